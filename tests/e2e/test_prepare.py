# What comes before a backend's first start: its environment, secrets, packages, setup, and what it persists.
import json
import os
import pathlib
import re
import shutil
import sqlite3
import stat
import tempfile
import time

import pytest

from conftest import wait_for
from serving import serving, write_app

# Tells its environment; /api/say prints what it is sent; /api/write appends to a file.
PROGRAM = r'''
import http.server, json, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(json.dumps({"pid": os.getpid(), "env": dict(os.environ)}).encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/say":
            os.write(1, body)
        else:
            with open(self.headers["X-File"], "ab") as file:
                file.write(body)
        self.answer(b"done")
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "client"
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''
RUN = "exec python3 -S server.py"


def app(folder, backend="", top="", run=RUN, files=None):
    """`backend` and `top` are further keys, each starting with a comma or a line."""
    write_app(folder, {"web/index.html": "<h1>home</h1>", "server.py": PROGRAM, **(files or {})},
              f"web: {{ root: web }}\n{top}\nbackend: {{ run: {json.dumps(run)}, routes: [ /api/ ]{backend} }}\n")
    return folder


def about(server, path="/api/about"):
    answer = server.fetch(path, deadline=30)
    assert answer.status == 200, (answer, server.story())
    return answer.json()


def lines(server):
    return [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]


def told(server, msg):
    """The first log line with that message, once it is there."""
    found = wait_for(lambda: [line for line in lines(server) if line.get("msg") == msg], msg, 60)
    return found[0]


# ---- environment and secrets -------------------------------------------------------------------------
def test_the_backend_gets_its_secrets_and_nothing_else(tmp_path):
    folder = app(tmp_path / "app", ", env: { KEY_TWICE: \"$KEY-$KEY\", OVER: mine }",
                 'secrets: [ KEY, "NONE?", "TEAM_*", OVER, FILED, DATABASE_URL ]')
    (folder / ".env").write_text("KEY=from dotenv\nTEAM_B=b\nNOT_LISTED=x\n")
    (tmp_path / "filed").write_text("of a file\n")
    ours = {"TEAM_A": "a", "OVER": "theirs", "FILED_FILE": tmp_path / "filed",
            "DAIS_SECRET": "8f1c5be09d3a47627f60a1d9e24b83c5",
            "DATABASE_URL": "sqlite:///x", "OTHER": "x"}
    with serving(folder, env=ours) as server:
        env = about(server)["env"]
        usual = {"PATH", "HOME", "LANG", "TZ", "PORT", "PUBLIC_URL", "DAIS_INSTANCE", "PWD", "SHLVL", "_", "OLDPWD",
                     "LC_CTYPE"}
        assert {name: value for name, value in env.items() if name not in usual} == {
            "KEY": "from dotenv", "KEY_TWICE": "from dotenv-from dotenv", "TEAM_A": "a", "TEAM_B": "b",
            "OVER": "mine", "FILED": "of a file", "DATABASE_URL": "sqlite:///x"}


def test_backend_secrets_choose_among_the_apps(tmp_path):
    folder = app(tmp_path / "app", ', secrets: [ "TEAM_*" ]', 'secrets: [ "KEY?", "TEAM_*" ]')
    with serving(folder, env={"KEY": "k", "TEAM_A": "a"}) as server:
        env = about(server)["env"]
        assert "KEY" not in env and env["TEAM_A"] == "a"
    app(folder, ", secrets: []", 'secrets: [ "KEY?", "TEAM_*" ]')
    with serving(folder, env={"KEY": "k", "TEAM_A": "a"}) as server:
        env = about(server)["env"]
        assert "KEY" not in env and "TEAM_A" not in env


def test_a_missing_secret_keeps_it_from_starting(tmp_path, run_dais):
    folder = app(tmp_path / "app", top="secrets: [ KEY ]")
    sentence = f"dais.yaml:3:12: the secret `KEY` has no value; set it in the environment or in {folder}/.env"
    for verb in ("check", "serve"):
        done = run_dais(verb, folder)
        assert done.returncode == 1 and sentence in done.stdout + done.stderr, done
    assert run_dais("check", folder, env={"KEY": "x"}).returncode == 0
    assert run_dais("build", folder).returncode == 0, "building needs none"


def test_secrets_as_large_as_no_process_can_have_are_told(tmp_path, run_dais):
    folder = app(tmp_path / "app", top='secrets: [ "X_*" ]')
    (tmp_path / "large").write_text("x" * 1_000_000)
    done = run_dais("check", folder, env={f"X_{i}_FILE": tmp_path / "large" for i in range(60)})
    assert done.returncode == 1 and f"{tmp_path}/large: a secret is at most 64 KB long" in done.stdout


def test_a_new_secret_starts_it_again(tmp_path, run_dais):
    folder = app(tmp_path / "app", top='secrets: [ "KEY?" ]')
    with serving(folder) as server:
        first = about(server)
        assert "KEY" not in first["env"]
        (folder / ".env").write_text("KEY=new\n")
        assert run_dais("reload", folder).returncode == 0
        assert about(server)["env"]["KEY"] == "new"


def test_public_url_is_where_it_is_reached(tmp_path):
    for name in ("one", "two"):
        app(tmp_path / "host" / name)
    (tmp_path / "host" / "host.yaml").write_text("apps: [one, two]\nhosts: { two: two.example }\n")
    with serving(tmp_path / "host") as server:
        assert about(server, "/one/api/x")["env"]["PUBLIC_URL"] == f"http://127.0.0.1:{server.port}/one"
    with serving(tmp_path / "host", env={"PUBLIC_URL": "https://all.example/"}) as server:
        assert about(server, "/one/api/x")["env"]["PUBLIC_URL"] == "https://all.example/one"
        answer = server.fetch("/api/x", host="two.example", deadline=30)
        assert answer.json()["env"]["PUBLIC_URL"] == "https://two.example"
    with serving(app(tmp_path / "app"), listen="0.0.0.0:0") as server:
        assert about(server)["env"]["PUBLIC_URL"] == f"http://127.0.0.1:{server.port}"
    with serving(tmp_path / "app", env={"PUBLIC_URL": "https://mine.example/below/"}) as server:
        assert about(server)["env"]["PUBLIC_URL"] == "https://mine.example/below"


def test_help_env_lists_secrets_without_their_values(tmp_path, run_dais):
    folder = app(tmp_path / "app", top='secrets: [ KEY, "NONE?" ]')
    (folder / ".env").write_text("KEY=hunter2secret\n")
    done = run_dais("help", "env", cwd=folder)
    assert done.returncode == 0 and "hunter2" not in done.stdout
    assert "KEY\n    now:     set, not shown (from .env line 1)\n" in done.stdout
    assert "NONE\n    now:     not set\n" in done.stdout


def test_the_data_folder_stays_out_of_git(tmp_path):
    folder = app(tmp_path / "app")
    with serving(folder):
        assert (folder / "data/.gitignore").read_text() == "*\n"
        (folder / "data/.gitignore").write_text("# mine\n")
    with serving(folder):
        assert (folder / "data/.gitignore").read_text() == "# mine\n"


@pytest.mark.parametrize("pieces", [["hunter2-secret-of-mine"], ["x" * 9000 + "hunter2-secret-of-mine"],
                                    ["x" * 8180 + "hunter2-secret-of-mine\n"], ["<hunter2-secret", "-of-mine>\n"],
                                    ["a line of a key\n"], ["postgres://me:hunter2pw@h/x\n"]])
def test_what_it_prints_of_a_secret_is_masked(tmp_path, pieces):
    folder = app(tmp_path / "app", ", secrets: []", "secrets: [ KEY, PEM ]")
    ours = {"KEY": "hunter2-secret-of-mine", "PEM": "-----BEGIN-----\na line of a key\n-----END-----\n",
            "DATABASE_URL": "postgres://me:hunter2pw@h/x"}
    with serving(folder, env=ours) as server:
        about(server)
        for piece in pieces:
            server.fetch("/api/say", method="POST", body=piece.encode(), deadline=30)
        server.fetch("/api/say", method="POST", body=b"\nthe end\n", deadline=30)
        wait_for(lambda: any(line.get("said") == "the end" for line in lines(server)), "the end")
        assert "***" in server.stderr or len(pieces[0]) > 8000  # a value in the log is cut at 1 KB
    for word in ("hunter2", "of-mine", "a line of a key"):
        assert word not in server.stderr


# ---- persist -----------------------------------------------------------------------------------------
KEEP = ", persist: [ uploads, state/app.db, plain.txt ]"


def kept(folder, path="", data=None):
    return (data or folder / "data") / "apps" / folder.name / "persist" / path


def test_what_is_there_is_moved_and_linked(tmp_path):
    folder = app(tmp_path / "app", KEEP, files={"uploads/a/b.txt": "b", "plain.txt": "plain", "state/x": "x"})
    (folder / "uploads/a/b.txt").chmod(0o640)
    with serving(folder) as server:
        about(server)
        assert kept(folder, "uploads/a/b.txt").read_text() == "b"
        assert kept(folder, "plain.txt").read_text() == "plain"
        assert os.readlink(folder / "uploads") == "data/apps/app/persist/uploads"
        assert os.readlink(folder / "state/app.db") == "../data/apps/app/persist/state/app.db"
        assert not kept(folder, "state/app.db").exists(), "a file is made by whoever writes it first"
        for name in ("uploads/new.txt", "state/app.db", "plain.txt"):
            assert server.fetch("/api/write", method="POST", body=b"!", headers={"X-File": name}).status == 200
    assert kept(folder, "uploads/new.txt").read_text() == "!"
    assert kept(folder, "state/app.db").read_text() == "!"
    assert kept(folder, "plain.txt").read_text() == "plain!"
    assert (folder / "state/x").read_text() == "x" and not (folder / "state").is_symlink()
    with serving(folder) as server:  # and nothing changes any more
        about(server)
    assert kept(folder, "plain.txt").read_text() == "plain!"


def test_a_missing_path_becomes_a_folder(tmp_path):
    folder = app(tmp_path / "app", ", persist: [ var/cache, .store ]")
    with serving(folder, "--data", tmp_path / "data") as server:
        about(server)
        for path in ("var/cache", ".store"):
            assert os.readlink(folder / path) == str(kept(folder, path, tmp_path / "data"))
            assert kept(folder, path, tmp_path / "data").is_dir()


def test_an_sqlite_file_goes_with_what_is_beside_it(tmp_path):
    folder = app(tmp_path / "app", ", persist: [ app.db ]")
    db = sqlite3.connect(folder / "app.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(x)")
    db.execute("INSERT INTO t VALUES (42)")
    db.commit()
    assert (folder / "app.db-wal").stat().st_size > 0
    files = {name: (folder / name).read_bytes() for name in ("app.db", "app.db-wal")}
    db.close()
    for name, content in files.items():  # as a killed process leaves them
        (folder / name).write_bytes(content)
    with serving(folder) as server:
        about(server)
    assert not (folder / "app.db-wal").exists()
    again = sqlite3.connect(folder / "app.db")
    assert again.execute("SELECT x FROM t").fetchall() == [(42,)]
    again.execute("INSERT INTO t VALUES (43)")
    again.commit()
    assert kept(folder, "app.db-wal").exists() and not (folder / "app.db-wal").exists()
    again.close()


def test_both_sides_are_refused_and_nothing_is_overwritten(tmp_path, run_dais):
    folder = app(tmp_path / "app", ", persist: [ uploads ]", files={"uploads/a": "first"})
    with serving(folder) as server:
        about(server)
    (folder / "uploads").unlink()
    (folder / "uploads").mkdir()
    (folder / "uploads/a").write_text("second")
    done = run_dais("check", folder)
    assert done.returncode == 1 and "`uploads` cannot be persisted: it is in the app folder and kept" in done.stdout
    with serving(folder) as server:
        line = told(server, "what the backend persists is not in its place; it is not started")
        assert line["path"] == "uploads" and "nothing is overwritten" in line["why"]
        answer = server.fetch("/api/x")
        assert answer.status == 503 and "uploads" not in answer.body.decode() and "log" in answer.json()["detail"]
        assert server.fetch("/").status == 200
        assert (folder / "uploads/a").read_text() == "second" and kept(folder, "uploads/a").read_text() == "first"
        (folder / "uploads").rename(tmp_path / "away")
        assert run_dais("reload", folder).returncode == 0
        about(server)
        assert (folder / "uploads/a").read_text() == "first"


def test_what_a_new_release_ships_gives_way(tmp_path):
    for number in ("1", "2", "3"):
        folder = app(tmp_path / number / "app", ", persist: [ uploads, empty ]",
                     files={"uploads/default": "of release " + number})
        (folder / "empty").mkdir()
        with serving(folder, "--data", tmp_path / "data") as server:
            about(server)
            assert (folder / "uploads/default").read_text() == "of release 1"
            assert (folder / "uploads").is_symlink() and (folder / "empty").is_symlink()
            if number != "1":
                assert (folder / "uploads.shipped/default").read_text() == "of release " + number
                assert told(server, "what came with the release gives way to what is kept")


def test_links_that_lead_elsewhere_are_refused(tmp_path, run_dais):
    folder = app(tmp_path / "app", ", persist: [ uploads, way/in ]", files={"elsewhere/x": "x"})
    (folder / "uploads").symlink_to("elsewhere")
    (folder / "way").symlink_to(tmp_path)
    said = run_dais("check", folder).stdout
    assert "`uploads` cannot be persisted: it is a link to somewhere else" in said
    assert re.search(r"`way/in` cannot be persisted: \S+/way is a link, not a folder of the app", said)
    with serving(folder) as server:
        told(server, "what the backend persists is not in its place; it is not started")
    assert not (tmp_path / "in").exists() and (folder / "elsewhere/x").exists()


@pytest.mark.parametrize("path, says", [
    ("../x", "it must be a path inside the app folder"), ("/etc", "it must be a path inside the app folder"),
    (".", "write `.` as names"), ("a/../b", "it must be a path inside"), ("a//b", "write `a//b` as names"),
    ("./a", "write `./a` as names"), ("a/", "write `a/` as names"), ("data/x", "it lies in the data folder"),
    ("web", "holds the site's own files"), ("a, a/b", "`a/b` and `a` (line 4) lie in one another")])
def test_paths_that_cannot_be_are_told(tmp_path, run_dais, path, says):
    done = run_dais("check", app(tmp_path / "app", f", persist: [ {path} ]"))
    assert done.returncode == 1 and says in done.stdout, done.stdout


def test_dais_own_folder_in_the_way_is_told(tmp_path, run_dais):
    folder = app(tmp_path / "app", ", persist: [ data ]")
    done = run_dais("check", folder)
    assert done.returncode == 0 and "warning: `data` is the folder dais itself keeps its data in" in done.stdout
    with serving(folder) as server:
        about(server)
        assert not (folder / "data").is_symlink()
    folder = app(tmp_path / "other", ", persist: [ var ]")
    done = run_dais("check", folder, env={"DAIS_DATA": folder / "var/dais"})
    assert done.returncode == 1 and "lies in it; choose another with --data" in done.stdout


def test_another_data_folder_is_not_taken_for_an_empty_one(tmp_path):
    folder = app(tmp_path / "app", ", persist: [ uploads ]", files={"uploads/a": "a"})
    with serving(folder, "--data", tmp_path / "one") as server:
        about(server)
    with serving(folder, "--data", tmp_path / "two") as server:
        line = told(server, "what the backend persists is not in its place; it is not started")
        assert "another data folder" in line["why"]
    assert (folder / "uploads/a").read_text() == "a"
    (tmp_path / "one").rename(tmp_path / "three")
    with serving(folder, "--data", tmp_path / "three") as server:
        about(server)
        assert (folder / "uploads/a").read_text() == "a"


# Another file system than that of tmp_path.
@pytest.fixture
def far(tmp_path):
    place = pathlib.Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield pathlib.Path(folder)


def tree(folder):
    """{path: (kind and mode, time, content)} of all below."""
    found = {}
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (stat.filemode(st.st_mode),
                                                st.st_mtime_ns * (not path.is_symlink()), content)
    return found


def make_tree(folder):
    files = {"a.txt": b"a", "deep/er/b.bin": bytes(range(256)) * 5000, "empty": b"", ".hidden": b"h"}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "link").symlink_to("../outside")
    (folder / "none").mkdir()
    (folder / "a.txt").chmod(0o400)
    os.utime(folder / "a.txt", (1, 1_000_000_001))
    os.utime(folder / "deep", (1, 1_000_000_002))


def test_to_another_file_system_it_is_copied(tmp_path, far):
    folder = app(tmp_path / "app", ", persist: [ store, app.db ]", files={"app.db": "db", "app.db-wal": "wal"})
    make_tree(folder / "store")
    before = tree(folder / "store")
    with serving(folder, "--data", far / "data") as server:
        about(server)
    assert tree(kept(folder, "store", far / "data")) == before
    assert (folder / "store").is_symlink() and (folder / "store/a.txt").read_bytes() == b"a"
    assert kept(folder, "app.db-wal", far / "data").read_text() == "wal"
    assert sorted(path.name for path in folder.iterdir()) == ["app.db", "dais.yaml", "server.py", "store", "web"]
    assert not list(far.rglob("*.dais-partial"))


def test_nothing_is_copied_under_the_hands_of_a_running_app(tmp_path, far, run_dais):
    folder = app(tmp_path / "app", files={"store/a": "a", "store/b": "b"})
    with serving(folder, "--data", far / "data") as server:
        about(server)
        app(folder, ", persist: [ store ]")
        run_dais("reload", folder, env={"DAIS_DATA": far / "data"})
        line = told(server, "what the backend persists is not in its place; it is not started")
        assert "the app is running; stop dais and start it again" in line["why"]
        assert not (folder / "store").is_symlink() and (folder / "store/a").read_text() == "a"
    with serving(folder, "--data", far / "data") as server:
        about(server)
        assert (folder / "store").is_symlink() and (folder / "store/b").read_text() == "b"


# What a crash can leave: before the copy was whole, when the source was set aside, when the copy was in
# its place, when the link was made and a part of what was set aside is gone.
@pytest.mark.parametrize("state", ["partial", "aside", "renamed", "linked"])
def test_an_interrupted_move_is_finished(tmp_path, far, state):
    folder = app(tmp_path / "app", ", persist: [ store ]")
    make_tree(folder / "store")
    before = tree(folder / "store")
    to = kept(folder, "store", far / "data")
    to.parent.mkdir(parents=True)
    if state == "partial":
        shutil.copytree(folder / "store/deep", f"{to}.dais-partial")
    else:
        shutil.copytree(folder / "store", to if state != "aside" else f"{to}.dais-partial", symlinks=True)
        (folder / "store").rename(folder / "store.dais-moving")
    if state == "linked":
        (folder / "store").symlink_to(to)
        (folder / "store.dais-moving/a.txt").unlink()
    with serving(folder, "--data", far / "data") as server:
        about(server)
    assert tree(to) == before or state != "partial" and {k: v[2] for k, v in tree(to).items()} == {
        k: v[2] for k, v in before.items()}
    assert (folder / "store/a.txt").read_bytes() == b"a"
    assert not (folder / "store.dais-moving").exists() and not list(far.rglob("*.dais-partial"))


def test_a_kill_in_the_middle_of_a_move_loses_nothing(tmp_path, far):
    """Killed again and again, the move is whole in the end."""
    folder = app(tmp_path / "app", ", persist: [ store ]")
    make_tree(folder / "store")
    for number in range(40):
        (folder / f"store/{number}.bin").write_bytes(os.urandom(1 << 20))
    before = tree(folder / "store")
    to = kept(folder, "store", far / "data")
    for wanted in (1, 9, 23, 40):  # files copied when the kill comes
        with serving(folder, "--data", far / "data") as server:
            server.expect_code = None
            part = pathlib.Path(f"{to}.dais-partial")
            wait_for(lambda: to.exists() or part.exists() and len(list(part.iterdir())) >= wanted, "the copy")
            server.proc.kill()
    with serving(folder, "--data", far / "data") as server:
        about(server)
    assert tree(to) == before
    assert not (folder / "store.dais-moving").exists() and not list(far.rglob("*.dais-partial"))


# ---- packages ----------------------------------------------------------------------------------------
# A dpkg-query that knows what stands in a file beside it, one package a line.
DPKG = """#!/bin/sh
code=0
for name in "$@"; do
    case $name in -*) continue;; esac
    if grep -qx "$name" "${0%/*}/installed"; then echo "installed $name"
    elif [ "$name" = removed ]; then echo "config-files $name"
    else echo "dpkg-query: no packages found matching $name" >&2; code=1; fi
done
exit $code
"""


@pytest.fixture
def dpkg(tmp_path):
    """A PATH on which such a dpkg-query comes first; `installed` is its file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dpkg-query").write_text(DPKG)
    (folder / "dpkg-query").chmod(0o755)
    (folder / "installed").write_text("one\nlibtwo-2.0\n")
    (folder / "a-command").write_text("#!/bin/sh\n")
    (folder / "a-command").chmod(0o755)
    return folder


def path_of(folder):
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_missing_package_is_told_with_the_line_to_type(tmp_path, dpkg, run_dais):
    folder = app(tmp_path / "app", ", packages: [ one, three, libtwo-2.0, a-command, removed ]")
    done = run_dais("check", folder, env=path_of(dpkg))
    assert done.returncode == 0
    sentence = "packages the backend needs are not installed here; sudo apt-get install -y three removed"
    assert f"warning: {sentence}\n" in done.stdout
    with serving(folder, env=path_of(dpkg)) as server:
        line = told(server, "the backend needs packages; it is not started")
        assert line["install"] == "sudo apt-get install -y three removed" and line["level"] == "error"
        answer = server.fetch("/api/x")
        assert answer.status == 503 and answer.get("retry-after")
        assert "three" not in answer.body.decode() and "apt" not in answer.body.decode()
        assert server.fetch("/").status == 200
        (dpkg / "installed").write_text("one\nlibtwo-2.0\nthree\nremoved\n")
        assert run_dais("reload", folder).returncode == 0
        about(server)


def test_packages_that_are_there_are_no_news(tmp_path, dpkg, run_dais):
    folder = app(tmp_path / "app", ", packages: [ one, a-command ]")
    assert run_dais("check", folder, env=path_of(dpkg)).stdout == "ok app\n"
    with serving(folder, env=path_of(dpkg)) as server:
        about(server)
        assert not any("package" in line["msg"] for line in lines(server))


def test_where_nobody_can_say_it_is_started(tmp_path, dpkg, run_dais):
    folder = app(tmp_path / "app", ", packages: [ three ]")
    (dpkg / "dpkg-query").write_text("#!/bin/sh\nexit 2\n")
    done = run_dais("check", folder, env=path_of(dpkg))
    assert done.returncode == 0 and "cannot be looked up here, without dpkg: three" in done.stdout
    with serving(folder, env=path_of(dpkg)) as server:
        about(server)
        assert told(server, "packages the backend needs cannot be looked up here, without dpkg")


# ---- setup -------------------------------------------------------------------------------------------
COUNT = 'echo run >> ru""ns'  # so written that its file is none the command names


def runs(folder):
    return len((folder / "runs").read_text().splitlines()) if (folder / "runs").exists() else 0


def served_once(folder, *args, **options):
    with serving(folder, *args, **options) as server:
        about(server)
        return server


def with_setup(folder, setup=COUNT, more="", **options):
    return app(folder, f", setup: {json.dumps(setup)}{more}", **options)


def test_setup_runs_once_with_the_backends_environment(tmp_path):
    folder = with_setup(tmp_path / "app", COUNT + "; echo in $PWD with $KEY $GREETING $PORT.; env > ../env",
                        ", env: { GREETING: hello }", top="secrets: [ KEY ]")
    server = served_once(folder, env={"KEY": "hunter2-secret", "OTHER": "x"})
    said = [line["said"] for line in lines(server) if line["msg"] == "setup"]
    assert said == [f"in {folder} with *** hello ."]
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert set(env) - {"PATH", "HOME", "LANG", "TZ", "PWD", "SHLVL", "_", "OLDPWD"} == {"KEY", "GREETING", "PUBLIC_URL"}
    assert env["KEY"] == "hunter2-secret" and "hunter2" not in server.stderr
    for _ in range(2):
        served_once(folder, env={"KEY": "hunter2-secret"})
    assert runs(folder) == 1


def test_setup_runs_again_when_what_it_depends_on_changes(tmp_path, run_dais):
    setup = COUNT + " && cat < tools/list.txt && cd sub && true --file=other.cfg"
    files = {"tools/list.txt": "a", "sub/package.json": "{}", "requirements-dev.txt": "x", "README": "r",
             "sub/other.cfg": "o"}
    folder, count = with_setup(tmp_path / "app", setup, files=files), 1
    served_once(folder)
    for path in ("tools/list.txt", "sub/package.json", "requirements-dev.txt", "go.sum", ".dais-release"):
        (folder / path).write_text("changed")
        served_once(folder)
        count += 1
        assert runs(folder) == count, path
    (folder / "requirements-dev.txt").unlink()
    served_once(folder)
    assert runs(folder) == count + 1
    with_setup(folder, setup + " && true", files={})
    served_once(folder)
    count += 2
    for path in ("README", "web/index.html"):
        (folder / path).write_text("changed")
    with serving(folder) as server:
        about(server)
        assert runs(folder) == count
        pid = about(server)["pid"]
        (folder / "tools/list.txt").write_text("at a reload")
        assert run_dais("reload", folder).returncode == 0
        assert about(server)["pid"] != pid and runs(folder) == count + 1
        pid = about(server)["pid"]
        assert run_dais("reload", folder).returncode == 0
        assert about(server)["pid"] == pid and runs(folder) == count + 1


def test_what_setup_makes_is_no_reason_to_run_it_again(tmp_path):
    setup = COUNT + "; mkdir -p .venv/bin; echo $$ > .venv/bin/pip; .venv/bin/pip || true"
    folder = with_setup(tmp_path / "app", setup)
    served_once(folder)
    (folder / ".venv/bin/pip").write_text("upgraded")
    served_once(folder)
    assert runs(folder) == 1
    shutil.rmtree(folder / ".venv")  # but its loss is one
    served_once(folder)
    assert runs(folder) == 2
    served_once(folder)
    assert runs(folder) == 2


def test_each_release_folder_is_set_up_once(tmp_path):
    data = tmp_path / "data"
    one, two = (with_setup(tmp_path / number / "app") for number in "12")
    for folder in (one, two, one, two):
        served_once(folder, "--data", data)
    assert runs(one) == runs(two) == 1
    one.rename(tmp_path / "old")
    with_setup(one)  # made anew at the same path
    served_once(one, "--data", data)
    assert runs(one) == 1


def test_a_failed_setup_is_told_and_tried_again(tmp_path, run_dais):
    folder = with_setup(tmp_path / "app", COUNT + "; echo first; echo no $KEY such module >&2; test -e go || exit 7",
                        top="secrets: [ KEY ]")
    with serving(folder, env={"KEY": "hunter2-secret"}) as server:
        line = told(server, "the backend's setup failed; it is not started")
        assert line["why"] == "exit code 7" and line["last"] == "first\nno *** such module" and line["level"] == "error"
        answer = server.fetch("/api/x", headers={"Accept": "text/html"})
        assert answer.status == 503 and b"could not be started" in answer.body and b"module" not in answer.body
        (folder / "go").touch()
        assert run_dais("reload", folder).returncode == 0
        about(server)
        assert runs(folder) == 2
    assert "hunter2" not in server.stderr


def test_a_setup_that_cannot_be_run_is_told(tmp_path):
    with serving(with_setup(tmp_path / "app", "/no/such/command")) as server:
        line = told(server, "the backend's setup failed; it is not started")
        assert line["why"] == "exit code 127"


def test_a_setup_has_its_time(tmp_path):
    with serving(with_setup(tmp_path / "app", COUNT + "; exec sleep 1000", ", setup_timeout: 3s")) as server:
        line = told(server, "the backend's setup failed; it is not started")
        assert "longer than allowed" in line["why"]
        assert not any("sleep" in name for name in commands(server))
    assert runs(tmp_path / "app") == 1


def commands(server):
    """The command lines of all below the server."""
    found = []
    for pid, _ in server.note_children():
        try:
            found.append(pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            pass
    return found


def test_requests_are_told_that_it_is_being_set_up(tmp_path):
    folder = with_setup(tmp_path / "app", "until test -e go; do sleep 0.02; done", top="secrets: [ KEY ]")
    with (serving(folder, env={"KEY": "hunter2-secret"}) as server, server.connect(40) as early,
          server.connect(40) as late):
        told(server, "the setup begins")
        assert not any("hunter2" in command for command in commands(server))
        early.request("/api/early")
        assert server.fetch("/").status == 200
        answer = early.read()
        assert answer.status == 503
        assert answer.json()["detail"] == "The app is being set up; try again in a few minutes."
        late.request("/api/late")
        (folder / "go").touch()
        assert late.read().status == 200


@pytest.mark.parametrize("end", ["term", "kill"])
def test_an_interrupted_setup_runs_again(tmp_path, end):
    folder = with_setup(tmp_path / "app", COUNT + "; test -e go || exec sleep 1000")
    with serving(folder) as server:
        told(server, "the setup begins")
        wait_for(lambda: runs(folder) == 1, "its start")
        server.note_children()
        if end == "kill":
            server.kill()
    (folder / "go").touch()
    served_once(folder)
    assert runs(folder) == 2


def test_setups_of_several_apps_end_at_the_same_time(tmp_path):
    slow = "trap 'sleep 3; exit 1' TERM; while :; do sleep 0.1; done"
    for name in ("one", "two", "three"):
        app(tmp_path / "host" / name, f", setup: {json.dumps(slow)}")
    (tmp_path / "host" / "host.yaml").write_text("apps: [one, two, three]\n")
    with serving(tmp_path / "host") as server:
        wait_for(lambda: server.stderr.count('"the setup begins"') == 3, "three setups")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 2 * 3


def test_a_reload_does_not_set_up_twice_at_a_time(tmp_path, run_dais):
    setup = ("test ! -e busy || echo both >> ../twice; touch busy; trap 'rm busy; exit 1' TERM; "
             "until test -e go || test $A; do sleep 0.02; done; rm busy")
    folder = with_setup(tmp_path / "app", setup)
    with serving(folder) as server:
        told(server, "the setup begins")
        wait_for((folder / "busy").exists, "its start")
        with server.connect(40) as waiting:
            waiting.request("/api/x")
            assert server.fetch("/").status == 200
            with_setup(folder, setup, ", env: { A: b }")
            assert run_dais("reload", folder).returncode == 0
            (folder / "go").touch()
            assert about(server)["env"]["A"] == "b"
    assert not (tmp_path / "twice").exists()


def test_a_setup_that_talks_without_end_does_not_fill_the_log(tmp_path):
    folder = with_setup(tmp_path / "app", "seq 1 60000; printf %09999d 0")
    server = served_once(folder)
    said = [line for line in lines(server) if line["msg"] == "setup"]
    assert 1000 < len(said) <= 20000 and told(server, "the setup says too much; the rest is not logged")
