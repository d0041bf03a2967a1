# What takes long with documents of accounts: handing them over while the server stops, and leavers whose things stay.
import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess

import pytest

from accounts_api import AUTH, NO_LIMITS, PASSWORD, ask, desk, joined
from conftest import DAIS_BIN, Conn, clean_env, wait_for
from documents import DATABASES
from serving import serving, write_app

NOTES = "collections: { notes: { owner: true } }\n"
MANY = 6000


def app(folder, auth=AUTH + NO_LIMITS):
    return write_app(folder / "desk", {"web/index.html": "hello"}, "web: { root: web }\n" + auth + NOTES)


def database(folder):
    found = next((folder / "data").rglob("app.db"))
    return contextlib.closing(sqlite3.connect(found, timeout=20, isolation_level=None))


def one(db, sql, *values):
    return db.execute(sql, values).fetchone()[0]


def test_handing_over_ends_when_the_server_does(tmp_path):
    folder = app(tmp_path, "")
    with serving(folder, "--data", tmp_path / "data") as server:
        body = b'{"a":1}\n' * MANY
        assert ask(server, "POST", "/api/notes/import", body, Content_Type="application/x-ndjson").status == 200
    folder = app(tmp_path)
    env = clean_env(tmp_path, {})
    subprocess.run([DAIS_BIN, "user", "add", "ann@example.com", "--data", tmp_path / "data"], cwd=folder, env=env,
                   input=PASSWORD, text=True, check=True, timeout=60, capture_output=True)
    local = "SELECT count(*) FROM c_notes WHERE owner = 'local'"
    with serving(folder, "--data", tmp_path / "data") as server, database(tmp_path) as db:
        with subprocess.Popen([DAIS_BIN, "user", "adopt", "ann@example.com", "--yes", "--data", tmp_path / "data"],
                              cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as adopt:
            wait_for(lambda: one(db, local) < MANY, "the first that are handed over")
            server.proc.send_signal(signal.SIGTERM)
            said = adopt.communicate(timeout=60)
            assert server.proc.wait(60) == 0
        assert 0 < one(db, local) < MANY, said
        assert adopt.returncode != 0 and "again" in said[1], said
    done = subprocess.run([DAIS_BIN, "user", "adopt", "ann@example.com", "--yes", "--data", tmp_path / "data"],
                          cwd=folder, env=env, text=True, timeout=120, capture_output=True, check=False)
    assert done.returncode == 0, done
    with database(tmp_path) as db:
        assert one(db, local) == 0
        found = db.execute("SELECT who, object, detail FROM dais_events WHERE kind = 'account.adopted'").fetchall()
    assert len(found) >= 1 and all(row[0] == "operator" and "local" in row[2] for row in found), found


def test_one_whose_things_stay_holds_nobody_up(tmp_path):
    folder = app(tmp_path)
    with serving(folder, "--data", tmp_path / "data") as server:
        people = sorted((joined(server, f"p{i}") for i in range(3)), key=lambda who: who.id)
        for who in people:
            assert ask(server, "POST", "/api/notes", {"a": 1}, token=who.token).status == 201
    stuck, *others = people
    with database(tmp_path) as db:
        db.execute(f"CREATE TRIGGER stuck BEFORE DELETE ON c_notes WHEN OLD.owner = '{stuck.id}'"
                   " BEGIN SELECT RAISE(ABORT, 'stuck'); END")
    ids = "SELECT count(*) FROM dais_users WHERE id = ?"
    with serving(folder, "--data", tmp_path / "data") as server, database(tmp_path) as db:
        for who in people:
            assert ask(server, "DELETE", "/api/auth/me", {"password": PASSWORD}, token=who.token).status == 202
        for who in others:
            wait_for(lambda who=who: one(db, ids, who.id) == 0, "the others are gone", deadline=60)
            assert one(db, "SELECT count(*) FROM c_notes WHERE owner = ?", who.id) == 0
        assert one(db, ids, stuck.id) == 1
        kept = "SELECT count(*) FROM dais_events WHERE kind = 'account.not_removed' AND object = ?"
        wait_for(lambda: one(db, kept, stuck.id) == 1, "the event", deadline=60)
        server.says(stuck.id)
        lines = [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]
        assert len(re.findall(stuck.id, server.stderr)) == 1 or len([x for x in lines if stuck.id in str(x)]) == 1
    with database(tmp_path) as db:
        db.execute("DROP TRIGGER stuck")
    with serving(folder, "--data", tmp_path / "data") as server, database(tmp_path) as db:
        assert ask(server, "POST", "/api/auth/login", {"email": "x@example.com", "password": "y"}).status == 401
        wait_for(lambda: one(db, ids, stuck.id) == 0, "gone at last", deadline=60)


@pytest.mark.parametrize("database_kind", DATABASES)
@pytest.mark.parametrize("method, path", [("POST", "/api/notes"), ("POST", "/api/notes/import"), ("POST", "/api/batch"),
                                          ("PUT", "/api/notes/{id}")])
def test_a_write_that_waited_while_its_account_left(tmp_path, database_kind, method, path):
    with desk(database_kind, tmp_path, NOTES + "limits: { write: off, login: off, signup: off }\n", AUTH) as server:
        ann, bob = joined(server), joined(server, "bob")
        note = ask(server, "POST", "/api/notes", {"a": 1}, token=ann.token).json()["id"]
        kind, body = "application/json", b'{"a":2}'
        if path.endswith("import"):
            kind, body = "application/x-ndjson", body + b"\n"
        if path.endswith("batch"):
            body = b'{"requests":[{"method":"POST","path":"/api/notes","body":{"a":2}}]}'
        with Conn(server) as conn:
            conn.send(f"{method} {path.format(id=note)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
                      f"Authorization: Bearer {ann.token}\r\nContent-Length: {len(body)}\r\n"
                      "Expect: 100-continue\r\n\r\n".encode())
            wait_for(lambda: b"100 Continue" in conn.sock.recv(100, socket.MSG_PEEK), "it was let in")
            assert ask(server, "DELETE", "/api/auth/me", {"password": PASSWORD}, token=ann.token).status == 202
            conn.send(body)
            answer = conn.read(method)
        assert answer.status in (401, 404), (answer.status, answer.body)
        assert ask(server, "POST", "/api/notes", {"a": 3}, token=bob.token).status == 201
