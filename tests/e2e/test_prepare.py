# What comes before a backend's first start: its environment, secrets, packages, setup, and what it persists.
import json
import os
import pathlib
import re
import signal
import sqlite3
import stat

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
    found = wait_for(lambda: [line for line in lines(server) if line.get("msg") == msg], msg, 30)
    return found[0]


# ---- environment and secrets -------------------------------------------------------------------------
def test_the_backend_gets_its_secrets_and_nothing_else(tmp_path):
    folder = app(tmp_path / "app", ", env: { KEY_TWICE: \"$KEY-$KEY\", OVER: mine }",
                 'secrets: [ KEY, "NONE?", "TEAM_*", OVER, FILED, DATABASE_URL ]')
    (folder / ".env").write_text("KEY=from dotenv\nTEAM_B=b\nNOT_LISTED=x\n")
    (tmp_path / "filed").write_text("of a file\n")
    ours = {"TEAM_A": "a", "OVER": "theirs", "FILED_FILE": tmp_path / "filed", "DAIS_SECRET": "ours",
            "DATABASE_URL": "sqlite:///x", "OTHER": "x"}
    with serving(folder, env=ours) as server:
        env = about(server)["env"]
        usual = {"PATH", "HOME", "LANG", "TZ", "PORT", "PUBLIC_URL", "PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}
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
