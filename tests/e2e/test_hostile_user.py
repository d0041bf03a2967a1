# What a hostile first user found with nothing but the documents: each test is one promise that was broken.
import ctypes
import os
import re
import shutil
import subprocess
import threading

import pytest

from conftest import DAIS_BIN, ROOT, Conn, fetch, wait_for
from serving import serving, write_app


def check(run_dais, folder):
    """What `dais check` says, and how it ended."""
    done = run_dais("check", folder)
    return done.stdout + done.stderr, done.returncode


# ---- deploying by rename -----------------------------------------------------------------------
def exchange_folders(one, two):
    """Both names at once, as deployments do it; AT_FDCWD is -100, RENAME_EXCHANGE 2."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(two), 2)
    assert done == 0, os.strerror(ctypes.get_errno())


def test_a_root_replaced_by_a_rename_answers_all_the_time(tmp_path):
    """The old folder is deleted at once, long before dais has read the new one."""
    def files(i):
        return {"index.html": f"v{i}", "a.txt": f"v{i}" * 1000, "big.bin": bytes([48 + i]) * 400000}
    app = write_app(tmp_path / "demo", {f"web/{name}": data for name, data in files(0).items()})
    wrong, is_over = [], threading.Event()

    def ask(server, path):
        with Conn(server) as conn:
            while not is_over.is_set():
                answer = conn.request(path).read()
                if answer.status != 200 or path == "/big.bin" and len(set(answer.body)) != 1:
                    wrong.append((path, answer.status))
                    return

    with serving(app) as server:
        threads = [threading.Thread(target=ask, args=(server, path), daemon=True)
                   for path in ("/", "/a.txt", "/big.bin")]
        for thread in threads:
            thread.start()
        for i in range(1, 10):
            fresh = app / "fresh"
            for name, data in files(i).items():
                fresh.mkdir(exist_ok=True)
                (fresh / name).write_bytes(data if isinstance(data, bytes) else data.encode())
            exchange_folders(fresh, app / "web")
            shutil.rmtree(fresh)
            wait_for(lambda i=i: wrong or server.fetch("/").body == f"v{i}".encode(), f"version {i}")
        is_over.set()
        for thread in threads:
            thread.join()
    assert not wrong


# ---- what must not be public -------------------------------------------------------------------
@pytest.mark.parametrize("web", ["root: .", "root: web, mounts: { /x/: . }", "root: web, mounts: { /x/: data }"],
                         ids=["root", "mount", "itself"])
def test_the_data_folder_is_never_served(web, tmp_path, run_dais):
    app = write_app(tmp_path / "demo", {"web/index.html": "hi", "index.html": "hi", "data/x": "x"},
                    f"web: {{ {web} }}\n")
    done = run_dais("serve", app, "--listen", "127.0.0.1:0")
    assert done.returncode == 1, done.stdout
    assert "data folder" in done.stderr and "--data" in done.stderr


def test_a_data_folder_elsewhere_is_fine(tmp_path):
    app = write_app(tmp_path / "demo", {"index.html": "hi"}, "web: { root: . }\n")
    with serving(app, "--data", tmp_path / "data") as server:
        assert server.fetch("/").body == b"hi"
        assert server.fetch("/dais.yaml").status == 404
        assert server.fetch("/index.html").status == 200


# ---- messages that were wrong or missing -------------------------------------------------------
def test_a_name_taken_in_host_yaml_is_reported_there(tmp_path, run_dais):
    for name in ("one", "two"):
        write_app(tmp_path / name)
    (tmp_path / "host.yaml").write_text(
        "apps: [one, two]\nhosts:\n  one: x.example\n  two: X.example\n")
    said, code = check(run_dais, tmp_path)
    assert code == 1
    assert re.search(r"host\.yaml:4:8: the host name `x\.example` belongs to `one` already", said), said


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Date", "X-Request-Id",
                                  "X-Content-Type-Options", "Vary"])
def test_a_header_dais_sets_itself_is_refused_in_extra(name, tmp_path, run_dais):
    app = write_app(tmp_path / "demo", manifest=f'web: {{ headers: {{ "/*": {{ extra: {{ {name}: "5" }} }} }} }}\n')
    said, code = check(run_dais, app)
    assert code == 1 and f"dais.yaml:2:36: dais sets `{name}` itself" in said, said


def test_a_header_twice_in_extra_is_refused(tmp_path, run_dais):
    app = write_app(tmp_path / "demo",
                    manifest='web: { headers: { "/*": { extra: { X-A: "1", x-a: "2" } } } }\n')
    said, code = check(run_dais, app)
    assert code == 1 and "`x-a` stands here for the second time" in said, said


@pytest.mark.parametrize("web", ['redirects: { "/a%20b": /c }', 'headers: { "/a%20b/*": { csp: default } }',
                                 'pages: { "/a%20b": index.html }', 'env: { path: "/a%20b", values: { A: b } }',
                                 'mounts: { "/a%20b/": web }'])
def test_an_escape_in_a_path_that_would_never_match_is_told(web, tmp_path, run_dais):
    said, _ = check(run_dais, write_app(tmp_path / "demo", manifest=f"web: {{ {web} }}\n"))
    assert "write `%20` as the character it stands for" in said, said


@pytest.mark.parametrize("value", ["${PUBLIC_X", "a ${PUBLIC_X b", "${}"])
def test_a_variable_that_is_never_closed_is_told(value, tmp_path, run_dais):
    app = write_app(tmp_path / "demo",
                    manifest=f'web: {{ env: {{ path: /e.js, values: {{ A: "{value}" }} }} }}\n')
    said, code = check(run_dais, app)
    assert code == 1 and "`${` needs a name and a `}`" in said, said


@pytest.mark.parametrize("key", ["title", "description"])
def test_no_control_codes_reach_the_terminal_from_a_manifest(key, tmp_path, run_dais):
    app = write_app(tmp_path / "demo", manifest=f'{key}: "\\e[31mred\\a"\n')
    said, code = check(run_dais, app)
    assert code == 1 and f"`{key}` holds a control character" in said, said


# ---- addresses ---------------------------------------------------------------------------------
@pytest.mark.parametrize("to, location", [
    ("/b c", "/b%20c"), ("/ö", "/%C3%B6"), ("/b%20c", "/b%20c"), ("/b?q=ä b&c=%41#ü", "/b?q=%C3%A4%20b&c=%41#%C3%BC"),
    ("https://example.com/ö/:splat", "https://example.com/%C3%B6/x%20y"), ('/"<>`{}', "/%22%3C%3E%60%7B%7D"),
    ("/100%", "/100%25"),
])
def test_a_location_is_always_a_correct_address(to, location, tmp_path):
    app = write_app(tmp_path / "demo", manifest=f"web: {{ redirects: {{ '/a/*': '{to}' }} }}\n")
    with serving(app) as server:
        assert server.fetch("/a/x%20y").get("location") == location


# ---- what help promises ------------------------------------------------------------------------
def test_help_env_promises_nothing_for_later(run_dais):
    entries = dict(re.findall(r"^([A-Z0-9_]+)\n((?:    .*\n)+)", run_dais("help", "env").stdout, re.M))
    assert len(entries) > 20
    assert not [name for name, text in entries.items() if "not used yet" in text]


@pytest.mark.parametrize("key", ["apps", "listen", "data", "limits.connections", "hosts"])
def test_help_manifest_knows_the_keys_of_host_yaml(key, run_dais):
    done = run_dais("help", "manifest", key)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.startswith("\n")
    assert f"\n{key}\n" in "\n" + done.stdout.partition("In host.yaml:\n")[2]


def test_values_are_called_what_they_are(run_dais):
    text = run_dais("help", "manifest").stdout.partition("keys of host.yaml")[2]
    assert "each value a host name, such as charts.example.com, or a list" in text
    assert "a path of a folder" not in text.partition("\ntls.cert\n")[2]


def test_every_error_code_stands_once_in_the_documents():
    rows = re.findall(r"^\| `([a-z_]+)` \| \d", (ROOT / "docs/API.md").read_text(), re.M)
    assert len(rows) > 20 and len(rows) == len(set(rows))


def test_the_default_policy_of_the_documents_is_the_one_that_is_sent(tmp_path):
    text = re.sub(r"\s+", " ", (ROOT / "docs/MANIFEST.md").read_text())
    policy = re.search(r"`csp: default` is `([^`]+)`", text)[1]
    app = write_app(tmp_path / "demo", manifest='web: { headers: { "/*": { csp: default } } }\n')
    with serving(app) as server:
        assert server.fetch("/").get("content-security-policy") == policy + "; frame-ancestors 'self'"


# ---- commands ----------------------------------------------------------------------------------
def test_a_build_without_a_command_says_so(tmp_path, run_dais):
    done = run_dais("build", write_app(tmp_path / "demo"))
    assert done.returncode == 0 and "demo has no web.build: nothing to build" in done.stdout


@pytest.mark.parametrize("args, says", [
    (["--", "-x"], "dais serve ./-x\n"), (["it's"], "dais serve 'it'\\''s'\n"), (["a b"], "dais serve 'a b'\n")],
    ids=["dash", "quote", "space"])
def test_the_next_command_of_new_can_be_pasted(args, says, tmp_path, run_dais):
    done = run_dais("new", *args, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.endswith(says), done.stdout


@pytest.mark.parametrize("name", ["", "bad\nname", "\x1b[31mred"])
def test_new_refuses_names_nobody_can_type(name, tmp_path, run_dais):
    done = run_dais("new", name, cwd=tmp_path)
    assert done.returncode == 1 and "\x1b" not in done.stderr and not list(tmp_path.iterdir())
    assert "is not a name for a folder" in done.stderr


def test_the_reason_survives_a_long_name(tmp_path, run_dais):
    done = run_dais("new", "a" * 300, cwd=tmp_path)
    assert done.returncode != 0 and "File name too long" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_root_nobody_may_read_is_not_called_missing(tmp_path):
    app = write_app(tmp_path / "demo", {"web/404.html": "x"},
                    "web: { root: web, errors: { 404: 404.html } }\n")
    (app / "web").chmod(0)
    for folder in (app, *app.parents[:3]):
        folder.chmod(0o755)
    program = shutil.copy(DAIS_BIN, tmp_path / "dais")  # the tree may be closed to others
    who = {"user": 65534, "group": 65534} if os.getuid() == 0 else {}  # root may read everything
    done = subprocess.run([program, "check", app], capture_output=True, text=True, timeout=60, check=False,
                          cwd=app, **who)
    assert done.returncode == 1 and "the folder `web` cannot be read: Permission denied" in done.stderr + done.stdout


# ---- several apps ------------------------------------------------------------------------------
def test_an_app_with_names_of_its_own_shares_no_origin(tmp_path, run_dais):
    """Else what `dais check` says of shared origins is wrong, and so are the paths of its build."""
    for name in ("one", "two"):
        write_app(tmp_path / name, {"web/index.html": name}, 'web: { build: echo "base=$DAIS_BASE" }\n')
    (tmp_path / "host.yaml").write_text("apps: [one, two]\nhosts: { two: two.example }\n")
    built = run_dais("build", tmp_path).stdout
    assert re.findall("^base=(.*)$", built, re.M) == ["/one/", "/"]
    with serving(tmp_path) as server:
        assert server.fetch("/", host="two.example").body == b"two"
        assert server.fetch("/", host="two.localhost").body == b"two"
        assert server.fetch("/one/").body == b"one"
        assert server.fetch("/two/").status == server.fetch("/two").status == 404
        assert b"Apps" in server.fetch("/").body


def test_a_dot_at_the_end_of_a_host_name_changes_nothing(tmp_path):
    for name in ("one", "two"):
        write_app(tmp_path / name, {"web/index.html": name})
    (tmp_path / "host.yaml").write_text("apps: [one, two]\nhosts: { two: two.example }\n")
    with serving(tmp_path) as server:
        assert server.fetch("/", host="two.example.").body == b"two"
        assert server.fetch("/", host="TWO.example.:80").body == b"two"


def test_the_banner_names_a_socket_as_it_can_be_used(tmp_path):
    app, path = write_app(tmp_path / "demo"), f"/tmp/dais-test-{os.getpid()}.sock"
    with serving(app, listen=f"unix:{path}", ready=False) as server:
        wait_for(lambda: "Ctrl+C" in server.stdout, "the banner")
        assert re.search(rf"serves demo at unix:{path}$", server.stdout, re.M), server.stdout
        assert fetch(path, "/").status == 200


# ---- settings ----------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [lambda p: p.write_text("precious"), lambda p: p.symlink_to("/dev/null"),
                                  os.mkfifo], ids=["file", "link", "pipe"])
def test_listening_never_deletes_what_is_no_socket(make, tmp_path, run_dais):
    app, path = write_app(tmp_path / "demo"), tmp_path / "file"
    make(path)
    before = os.lstat(path)
    done = run_dais("serve", app, "--listen", f"unix:{path}")
    assert done.returncode != 0 and str(path) in done.stderr
    assert os.lstat(path).st_ino == before.st_ino and os.lstat(path).st_mode == before.st_mode


def test_an_env_file_may_start_with_a_byte_order_mark(tmp_path, run_dais):
    app = write_app(tmp_path / "demo", {".env": b"\xef\xbb\xbfPORT=1\r\n", "web/index.html": "hi"})
    said, code = check(run_dais, app)
    assert code == 0, said
    done = run_dais("help", "env", cwd=app)
    assert "now:     1 (from .env line 1)" in done.stdout


def test_an_env_file_that_is_not_utf8_is_told(tmp_path, run_dais):
    app = write_app(tmp_path / "demo", {".env": b"A=ok\nB=\xff\n", "web/index.html": "hi"})
    said, code = check(run_dais, app)
    assert code == 1 and ".env:2:1: this is not UTF-8" in said, said


@pytest.mark.parametrize("name, value, says", [
    ("DAIS_SECRET_FILE", "/nope", "/nope: there is no such file\n"),
    ("DAIS_LOG", "json,/nope/x.log", "/nope/x.log failed: No such file or directory"),
])
def test_a_file_of_a_setting_that_cannot_be_opened(name, value, says, tmp_path, run_dais):
    done = run_dais("serve", write_app(tmp_path / "demo"), env={name: value})
    assert done.returncode != 0 and says in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["DAIS_LOG", "DAIS_TRUSTED_PROXIES"])
def test_a_wrong_setting_is_told_once(name, tmp_path, run_dais):
    done = run_dais("serve", write_app(tmp_path / "demo"), env={name: "1.2.3"})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr


# ---- promises of the documents -----------------------------------------------------------------
@pytest.mark.parametrize("flag", ["--data", "--listen"])
@pytest.mark.parametrize("has_equals", [False, True])
def test_an_empty_value_of_a_flag_is_no_value(flag, has_equals, tmp_path, run_dais):
    args = [flag + "="] if has_equals else [flag, ""]
    done = run_dais("serve", write_app(tmp_path / "demo"), *args)
    assert done.returncode == 1 and f"{flag} needs a value" in done.stderr, done.stderr


def test_a_file_in_the_way_of_a_socket_is_called_that(tmp_path, run_dais):
    app, path = write_app(tmp_path / "demo"), tmp_path / "file"
    path.write_text("precious")
    done = run_dais("serve", app, "--listen", f"unix:{path}")
    assert f"{path} is there already and is no socket" in done.stderr, done.stderr


def test_the_home_page_shows_addresses_as_people_write_them(tmp_path):
    for name in ("one", "two"):
        write_app(tmp_path / name)
    (tmp_path / "host.yaml").write_text("apps: [one, two]\nhosts: { two: two.example }\n")
    with serving(tmp_path) as server:
        page = server.fetch("/", host="home.example").body.decode()
    assert 'href="//two.example/"' in page
    assert "<code>two.example/</code>" in page and "<code>/one/</code>" in page


def test_the_limit_of_connections_of_host_yaml_holds(tmp_path):
    write_app(tmp_path / "demo")
    (tmp_path / "host.yaml").write_text("apps: [demo]\nlimits: { connections: 16 }\n")
    with serving(tmp_path, env={"DAIS_THREADS": "1"}) as server:
        wait_for(lambda: b"dais_connections_open 1\n" in server.fetch("/metrics").body, "no other connection")
        held = [Conn(server) for _ in range(16)]
        for conn in held:
            assert conn.request("/").read().status == 200
        with Conn(server) as late:
            assert late.read().status == 503
        for conn in held:
            conn.close()
        wait_for(lambda: server.fetch("/").status == 200, "room for one more")


def test_limits_that_do_nothing_yet_are_told(tmp_path, run_dais):
    write_app(tmp_path / "demo")
    (tmp_path / "host.yaml").write_text("apps: [demo]\nlimits: { max_body: 1MB }\n")
    said, code = check(run_dais, tmp_path)
    assert code == 0 and "warning: `max_body` is checked but not served yet" in said, said


def test_reload_says_what_only_a_restart_changes(run_dais):
    assert "restart" in run_dais("help", "reload").stdout
