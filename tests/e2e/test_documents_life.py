# Documents' requests at their edges: a client that leaves, a server that stops, a silent database, limits.
import contextlib
import itertools
import json
import re
import signal
import socket
import threading
import time

import pytest
from conftest import DEADLINE, Conn, wait_for
from documents import call, made, store
from postgres import Postgres
from serving import resident_kb, serving, write_app

NOTES = ("collections:\n  notes:\n    schema: s.json\n"
         "    rules: { read: public, create: public, write: public }\n")
SCHEMA = {"s.json": json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}})}


@pytest.fixture(name="db", scope="module")
def fixture_db(tmp_path_factory):
    with store("sqlite", tmp_path_factory.mktemp("life"), NOTES, SCHEMA) as server:
        yield server


def lines(server, body, deadline=DEADLINE):
    answer = call(server, "POST", "/api/notes/import", body, Content_Type="application/jsonl", deadline=deadline)
    assert answer.status == 200, answer.body
    return answer.json()


def test_a_bad_line_is_told_with_its_own_errors(db):
    told = lines(db, b'{"n":"x"}\n{not json\n{"n":1}\n')
    assert (told["created"], told["failed"]) == (1, 2)
    assert told["errors"][0]["errors"][0]["pointer"] == "/n"
    assert "errors" not in told["errors"][1], told


def test_lines_that_are_all_wrong_take_no_memory(db):
    """They are read one after the other, however many: what a client sends is not what we hold."""
    before, line = resident_kb(db.proc.pid), b'{"n":"' + b"x" * 60000 + b'"}\n'
    told = lines(db, line * 10000, 300)
    assert (told["created"], told["failed"], len(told["errors"])) == (0, 10000, 100)
    assert resident_kb(db.proc.pid, "VmHWM") - before < 400 << 10


# ---- a server that stops ------------------------------------------------------------------------
def begin_import(server):
    """A body that is not over."""
    conn = Conn(server)
    conn.send("POST /api/notes/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{\"n\":1}\n")
    return conn


def begin_export(server):
    """An answer that nobody takes."""
    for _ in range(4):
        lines(server, b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 9000) for n in range(1000)))
    conn = Conn(server)
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    conn.request("/api/notes/export")
    conn._exactly(1000, time.monotonic() + DEADLINE, "an export")  # pylint: disable=protected-access
    return conn


@pytest.mark.parametrize("begin", [begin_import, begin_export])
def test_the_second_signal_ends_what_is_under_way(tmp_path, begin):
    with store("sqlite", tmp_path, NOTES, SCHEMA) as server:
        with begin(server):
            wait_for(lambda: database_is_open(server), "it is in the database")
            server.proc.send_signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in server.stderr, "the drain")
            server.stop()


def database_is_open(server):
    return b'dais_database_open{app="app"} 1' in server.fetch("/metrics").body


def test_stopping_while_postgres_has_a_change_of_somebody_who_left(tmp_path):
    with Postgres() as postgres:
        app = write_app(tmp_path / "app", SCHEMA, NOTES)
        with serving(app, env={"DATABASE_URL": postgres.url}) as server:
            made(server, "/api/notes", {"n": 1})
            postgres.freeze()
            try:
                with Conn(server) as conn:
                    conn.request("/api/notes", "POST", {"Content-Type": "application/json"}, b'{"n":2}')
                    wait_for(lambda: is_taken(server), "the writer has it")
                    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                server.proc.send_signal(signal.SIGTERM)
                wait_for(lambda: "stopping" in server.stderr or server.proc.poll(), "the drain")
                later = threading.Timer(1, postgres.thaw)  # it ends without its answer, or waits for it
                later.start()
                server.stop(0, deadline=90)  # no further signal: that would end it at once
                later.join()
            finally:
                postgres.thaw()
        assert postgres.query("SELECT count(*) FROM app.c_notes") == [["2"]]


def is_taken(server):
    """Besides who asks this somebody is being served, and no change waits: it is under way."""
    told = server.fetch("/metrics").body
    n_open, n_idle = (int(re.search(rb"^dais_connections_%s (\d+)$" % name, told, re.M)[1])
                      for name in (b"open", b"idle"))
    return n_open - n_idle >= 2 and b'dais_database_waiting{app="app"} 0' in told


def test_of_requests_with_one_key_one_is_done(tmp_path):
    """Also where an attempt that had its answer is undone, and another one was quicker."""
    n_keys, n_clients, seen = 40, 8, {}
    with store("postgres", tmp_path, NOTES, SCHEMA) as server:
        def work():
            for i in range(n_keys):
                answer = call(server, "POST", "/api/notes", {"n": i}, Idempotency_Key=f"k{i}")
                seen.setdefault(i, []).append((answer.status, answer.body))
        clients = [threading.Thread(target=work) for _ in range(n_clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert [len(set(told)) for told in seen.values() if len(told) == n_clients] == [1] * n_keys, seen
        assert {told[0][0] for told in seen.values()} == {201}
        assert call(server, "GET", "/api/notes?limit=1&count=exact").json()["total"] == n_keys


def attempts(listener):
    """How many connections wait to be accepted."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for n in itertools.count():
            listener.accept()[0].close()
    return n


def test_a_database_that_says_nothing_holds_up_nobody(tmp_path):
    """It takes connections and is silent: each attempt lasts, and forty who wait are not forty attempts."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as silent:
        app = write_app(tmp_path / "app", {"web/index.html": "hello", **SCHEMA}, "web: { root: web }\n" + NOTES)
        url = f"postgres://ann:secret@127.0.0.1:{silent.getsockname()[1]}/db"
        with serving(app, env={"DATABASE_URL": url}) as server:
            began, waiting = time.monotonic(), [Conn(server, 90) for _ in range(40)]
            for i, conn in enumerate(waiting):
                if i % 2:
                    conn.request("/api/notes")
                else:
                    conn.request("/api/notes", "POST", {"Content-Type": "application/json"}, b"{}")
            for i, conn in enumerate(waiting):
                answer = conn.read("POST" if i % 2 == 0 else "GET")
                assert answer.status == 503 and answer.get("retry-after"), answer
                assert b"127.0.0.1" not in answer.body and b"secret" not in answer.body
                conn.close()
            took, n_tried = time.monotonic() - began, attempts(silent)
            assert took < 60 and 0 < n_tried <= 20, (took, n_tried)
            assert server.fetch("/").status == 200


# ---- limits and who asks ------------------------------------------------------------------------
def test_rows_of_limits_count_the_api(tmp_path):
    limits = NOTES + 'limits: { "POST /api/notes": 3/hour, "GET /api/notes": 2/hour }\n'
    with store("sqlite", tmp_path, limits, SCHEMA) as server:
        assert [call(server, "POST", "/api/notes", {"n": n}).status for n in range(4)] == [201, 201, 201, 429]
        refused = call(server, "POST", "/api/notes", {"n": 9})
        assert refused.json()["code"] == "too_many_requests" and refused.get("retry-after")
        assert [call(server, "GET", "/api/notes?limit=1").status for n in range(3)] == [200, 200, 429]


def test_a_batch_is_counted_as_what_is_in_it(tmp_path):
    limits = NOTES + 'limits: { "POST /api/notes": 3/hour }\n'

    def several(n):
        return {"requests": [{"method": "POST", "path": "/api/notes", "body": {"n": i}} for i in range(n)]}
    with store("sqlite", tmp_path, limits, SCHEMA) as server:
        assert call(server, "POST", "/api/batch", several(2)).status == 200
        refused = call(server, "POST", "/api/batch", several(2))
        assert refused.status == 429 and refused.get("retry-after"), refused.body
        assert call(server, "POST", "/api/notes", {"n": 9}).status == 429
        assert call(server, "POST", "/api/batch", several(1), user="bob").status == 200


# ---- a user without an account -------------------------------------------------------------------
OURS = "collections:\n  notes:\n    owner: true\n"


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"X-Forwarded-For": "9.9.9.9"}])
def test_nobody_else_is_the_local_user(ours, headers):
    for method, path, body in (("POST", "/api/notes", b'{"n":1}'), ("POST", "/api/notes/import", b'{"n":1}'),
                               ("POST", "/api/batch",
                                b'{"requests":[{"method":"POST","path":"/api/notes","body":{}}]}')):
        answer = ours.fetch(path, method=method, headers={"Content-Type": "text/plain", **headers}, body=body)
        asked = ours.fetch(path, method=method, headers={"Content-Type": "application/json", **headers}, body=body)
        assert {answer.status, asked.status} <= {401, 403, 415}, (path, answer, asked)
    assert ours.fetch("/api/notes?count=exact").json()["total"] == 0


@pytest.fixture(name="ours", scope="module")
def fixture_ours(tmp_path_factory):
    app = write_app(tmp_path_factory.mktemp("ours") / "app", {"web/index.html": "x"}, "web: { root: web }\n" + OURS)
    with serving(app) as server:
        yield server
