# Secrets in the store: where they come from, who sees them, that they are never readable, and rotation.
import concurrent.futures
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import termios

import pytest

from conftest import DAIS_BIN, clean_env, descendants, wait_for
from serving import serving, write_app

ONE, TWO = "8f1c5be09d3a47627f60a1d9e24b83c5d07e6f12", "2b9d0c6e7a15f384c8e1903b5d7f2a460b8cde91"
VALUE = "sk-live-0a8f5b1e77d2"
BACKEND = """# Says in its log, and to whoever asks, what it was given.
import http.server, os, sys
print("the key is", os.environ.get("STRIPE_KEY"), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = "|".join(os.environ.get(name, "-") for name in ("STRIPE_KEY", "LLM_ONE", "GREETING")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
MANIFEST = ("secrets: [STRIPE_KEY, 'LLM_*', OPTIONAL?]\n"
            f"backend: {{ run: {sys.executable} backend.py $PORT, routes: [/api/],"
            " env: { GREETING: 'hi $STRIPE_KEY' } }\n")


@pytest.fixture(name="app")
def fixture_app(tmp_path):
    return write_app(tmp_path / "shop", {"backend.py": BACKEND}, MANIFEST)


@pytest.fixture(name="secret")
def fixture_secret(app):
    def run(*words, value=None, env=None, folder=app):
        """`value` goes to standard input."""
        return subprocess.run([DAIS_BIN, "secret", *map(str, words)], env=clean_env(folder, env), cwd=folder,
                              input=value or "", text=True, capture_output=True, timeout=60, check=False)
    return run


def add(secret, name, value, **options):
    done = secret("add", name, value=value + "\n", **options)
    assert done.returncode == 0 and value not in done.stdout + done.stderr, done


def listed(secret, **options):
    done = secret("list", "--json", **options)
    assert done.returncode == 0, done
    return {(row["app"], row["name"]): row["from"] for row in json.loads(done.stdout)["secrets"]}


def said(server):
    wait_for(lambda: server.fetch("/api/x").status == 200, "the backend", 60)
    return server.fetch("/api/x").body.decode()


def test_a_stored_secret_reaches_the_backend_and_nobody_else(app, secret):
    add(secret, "STRIPE_KEY", VALUE)
    add(secret, "LLM_ONE", "one of a pattern")
    assert stat.S_IMODE(os.stat(app / "data/secrets.json").st_mode) == 0o600
    assert (app / "data/.gitignore").read_text() == "*\n"
    with serving(app) as server:
        assert said(server) == f"{VALUE}|one of a pattern|hi {VALUE}"
        wait_for(lambda: "the key is ***" in server.stderr, "its words in the log")
        told = server.stdout + server.stderr + server.fetch("/metrics").body.decode()
        for pid in [server.proc.pid, *(pid for pid, _ in descendants(server.proc.pid))]:
            told += pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    kept = b"".join(file.read_bytes() for file in (app / "data").rglob("*") if file.is_file())
    assert VALUE not in told and VALUE.encode() not in kept
    for verb in (["help", "env"], ["check"], ["secret", "list"]):
        done = subprocess.run([DAIS_BIN, *verb], env=clean_env(app), cwd=app, text=True, capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == 0 and VALUE not in done.stdout + done.stderr, done
        assert "the store of secrets" in done.stdout or verb == ["check"]


def test_the_environment_and_dotenv_are_stronger(app, secret):
    add(secret, "STRIPE_KEY", VALUE)
    assert listed(secret)["shop", "STRIPE_KEY"] == "the store of secrets"
    (app / ".env").write_text("STRIPE_KEY=of-dotenv\n")
    assert listed(secret)["shop", "STRIPE_KEY"] == ".env line 1"
    (app / "held").write_text("of-file")
    assert listed(secret, env={"STRIPE_KEY_FILE": app / "held"})["shop", "STRIPE_KEY"] == "STRIPE_KEY_FILE"
    assert listed(secret, env={"STRIPE_KEY": "x"})["shop", "STRIPE_KEY"] == "environment"
    done = secret("add", "STRIPE_KEY", value="another")
    assert "also comes from .env line 1, which is stronger" in done.stdout


def test_a_running_server_reads_it_on_reload(app, secret):
    add(secret, "STRIPE_KEY", VALUE)
    with serving(app) as server:
        assert said(server).startswith(VALUE)
        add(secret, "STRIPE_KEY", "another-value")
        done = subprocess.run([DAIS_BIN, "reload", "--backend", app], env=clean_env(app), capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == 0
        server.note_children()
        assert said(server).startswith("another-value|")


def test_removing_asks_and_a_value_is_no_argument(app, secret):
    add(secret, "STRIPE_KEY", VALUE)
    done = secret("remove", "STRIPE_KEY")
    assert done.returncode == 1 and "--yes" in done.stderr and listed(secret)["shop", "STRIPE_KEY"]
    assert secret("remove", "STRIPE_KEY", "--yes").returncode == 0
    assert listed(secret)["shop", "STRIPE_KEY"] is None
    assert "has no STRIPE_KEY" in secret("remove", "STRIPE_KEY", "--yes").stderr
    done = secret("add", f"STRIPE_KEY={VALUE}")
    assert done.returncode == 1 and "shell's history" in done.stderr and VALUE not in done.stderr
    assert secret("add", "DAIS_SECRET", value="x").returncode == 1
    assert secret("add", "STRIPE_KEY", value="\n").returncode == 1  # empty
    assert secret("add", "STRIPE_KEY", value="x" * 70000).returncode == 1
    (app / "held").write_text("of the file\n")
    assert secret("add", "STRIPE_KEY", "--file", app / "held").returncode == 0
    assert listed(secret)["shop", "STRIPE_KEY"] == "the store of secrets"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_shows_again_what_is_typed_when_the_asking_is_broken_off(app, signum):
    ours, theirs = os.openpty()

    def is_shown():
        return bool(termios.tcgetattr(theirs)[3] & termios.ECHO)

    with subprocess.Popen([DAIS_BIN, "secret", "add", "STRIPE_KEY"], stdin=theirs, stdout=theirs,
                          stderr=subprocess.DEVNULL, cwd=app, env=clean_env(app)) as asking:
        wait_for(lambda: not is_shown(), "a hidden prompt")
        os.write(ours, b"half of it")
        asking.send_signal(signum)
        assert asking.wait(60) == -signum
    assert is_shown() and not (app / "data/secrets.json").exists()
    os.close(ours)
    os.close(theirs)


def test_several_apps_have_their_own(tmp_path, secret):
    for name in ("one", "two"):
        write_app(tmp_path / "host" / name, manifest="web: { root: web }\nsecrets: [KEY]\n")
    host = tmp_path / "host"
    (host / "host.yaml").write_text("apps: [one, two]\n")
    done = secret("add", "KEY", value="x", folder=host)
    assert done.returncode == 1 and "--app NAME" in done.stderr
    for name in ("one", "two"):
        done = secret("add", "KEY", "--app", name, value=f"of {name}", folder=host)
        assert done.returncode == 0, done
    add(secret, "SMTP_URL", "smtp://me:hidden-one@mail.example", folder=host)
    assert listed(secret, folder=host) == dict.fromkeys([("one", "KEY"), ("two", "KEY"), (None, "SMTP_URL")],
                                                        "the store of secrets")


@pytest.mark.parametrize("wrong", ["changeme" * 5, "0" * 40, "0123456789abcdef" * 2,
                                   "your-secret-key-must-be-at-least-32-characters", "hunter2"])
def test_a_secret_that_anybody_would_try_is_refused(app, run_dais, wrong):
    done = run_dais("serve", app, "--listen", "127.0.0.1:0", env={"DAIS_SECRET": wrong, "STRIPE_KEY": "x"})
    assert done.returncode == 1 and "openssl rand -hex 32" in done.stderr and wrong not in done.stderr


def test_a_wrong_secret_is_an_error_and_not_an_empty_store(app, secret, run_dais):
    add(secret, "STRIPE_KEY", VALUE, env={"DAIS_SECRET": ONE})
    assert not (app / "data/secret").exists()
    for env in ({"DAIS_SECRET": TWO}, {}):
        done = run_dais("serve", app, "--listen", "127.0.0.1:0", env=env)
        assert done.returncode == 1 and "secrets.json" in done.stderr and "DAIS_SECRET" in done.stderr, done
        assert secret("list", env=env).returncode == 3
        assert secret("add", "LLM_ONE", value="x", env=env).returncode == 3
    assert listed(secret, env={"DAIS_SECRET": ONE})["shop", "STRIPE_KEY"]
    text = (app / "data/secrets.json").read_text()
    (app / "data/secrets.json").write_text(text.replace('"shop"', '"shoq"'))
    done = secret("list", env={"DAIS_SECRET": ONE})
    assert done.returncode == 11 and "changed by somebody without the secret" in done.stderr


def test_rotation(app, secret):
    add(secret, "STRIPE_KEY", VALUE)
    before, text = (app / "data/secret").read_text(), (app / "data/secrets.json").read_text()
    assert secret("rotate").returncode == 0
    assert (app / "data/secret").read_text() != before and (app / "data/secrets.json").read_text() != text
    assert not (app / "data/secret.next").exists()
    with serving(app) as server:
        assert said(server).startswith(VALUE)
    (app / "next").write_text(TWO + "\n")
    done = secret("rotate", "--to-file", app / "next")
    assert done.returncode == 0 and "set DAIS_SECRET" in done.stdout and TWO not in done.stdout
    assert secret("list").returncode == 3
    assert listed(secret, env={"DAIS_SECRET_FILE": app / "next"})["shop", "STRIPE_KEY"]
    done = secret("rotate", env={"DAIS_SECRET": TWO})
    assert done.returncode == 1 and "--to-file" in done.stderr
    (app / "next").write_text("changeme" * 5)
    assert secret("rotate", "--to-file", app / "next", env={"DAIS_SECRET": TWO}).returncode == 1
    assert listed(secret, env={"DAIS_SECRET": TWO})["shop", "STRIPE_KEY"]


def test_a_rotation_that_is_killed_anywhere_leaves_one_that_opens(app, secret):
    add(secret, "STRIPE_KEY", VALUE)
    for microseconds in range(0, 60000, 4000):
        rotation = subprocess.Popen([DAIS_BIN, "secret", "rotate"], env=clean_env(app), cwd=app,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            rotation.wait(microseconds / 1e6)
        except subprocess.TimeoutExpired:
            rotation.send_signal(signal.SIGKILL)
        rotation.wait(60)
        assert listed(secret)["shop", "STRIPE_KEY"] == "the store of secrets"


def test_many_at_once_are_all_kept(secret):
    names = [f"LLM_{i}" for i in range(12)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in pool.map(lambda name: secret("add", name, value="v-" + name), names):
            assert done.returncode == 0, done
    assert {("shop", name) for name in names} <= set(listed(secret))
