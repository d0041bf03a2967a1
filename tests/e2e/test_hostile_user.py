# What a hostile first user found with nothing but the documents: each test is one promise that was broken.
import ctypes
import os
import re
import shutil
import threading

import pytest

from conftest import ROOT, Conn, fetch, wait_for
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
