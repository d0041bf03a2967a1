# Limits with a name: what each counts, tries at one account, replicas that share, and what is told of it all.
import contextlib
import json
import sqlite3
import threading
import time

import pytest

import postgres
from conftest import Conn, wait_for
from documents import DATABASES, call, made, store
from serving import serving, write_app

TRUST = {"DAIS_TRUSTED_PROXIES": "loopback, 10.0.0.0/8"}
NOTES = "collections: { notes: { rules: { read: public, create: signed_in, write: owner, delete: owner } } }\n"
AUTH = "auth: { signup: open }\n"
FILES = {"web/index.html": "home", "schema/note.json": '{"type":"object"}'}
PASSWORD = "correct horse"


def app(folder, limits="", auth=AUTH):
    rows = f"limits: {{ {limits} }}\n" if limits else ""
    return write_app(folder, FILES, "web: { root: web }\n" + NOTES + auth + rows)


@contextlib.contextmanager
def served(tmp_path, limits="", *, env=None, auth=AUTH, **more):
    with serving(app(tmp_path / "app", limits, auth), "--data", tmp_path / "data", env={**TRUST, **(env or {})},
                 **more) as server:
        yield server


def post(server, path, body, address="192.0.2.1", **headers):
    return server.fetch(path, method="POST", body=json.dumps(body).encode(),
                        headers={"Content-Type": "application/json", "X-Forwarded-For": address, **headers})


def log_in(server, email="nobody@example.org", password="wrong one", address="192.0.2.1", **headers):
    return post(server, "/api/auth/login", {"email": email, "password": password}, address, **headers)


def sign_up(server, email, address="192.0.2.1"):
    return post(server, "/api/auth/signup", {"email": email, "password": PASSWORD}, address)


def left(answer):
    return tuple(answer.get(f"ratelimit-{name}") for name in ("limit", "remaining"))


def metric(server, bucket):
    text = server.fetch("/_/metrics").body.decode()
    lines = [line for line in text.splitlines() if line.startswith(f'dais_limit_refused_total{{bucket="{bucket}"}}')]
    return int(lines[0].split()[1]) if lines else None


def until_refused(ask, left_over=10):
    """The answers to ask(0), ask(1), ... with the first 429 as the last, where 10 a minute are allowed and as many at
    once: one more comes back in every six seconds that it takes."""
    began, found = time.monotonic(), []
    while not found or found[-1].status != 429:
        found.append(ask(len(found)))
        assert len(found) <= left_over + 2 + (time.monotonic() - began) / 6, found
    assert len(found) > left_over, found
    return found


# ---- what is on without a word -----------------------------------------------------------------------
def test_defaults(tmp_path):
    with served(tmp_path) as server:
        found = until_refused(lambda i: log_in(server, f"{i}@example.org"))
        assert {answer.status for answer in found[:-1]} == {401}
        assert left(found[0]) == ("10", "9") and left(found[-1]) == ("10", "0")
        assert 1 <= int(found[-1].get("retry-after")) <= 6 and found[-1].json()["code"] == "too_many_requests"
        assert log_in(server, address="192.0.2.2").status == 401  # another address has its own
        found = [sign_up(server, f"{i}@example.org") for i in range(6)]
        assert [answer.status for answer in found] == [201] * 5 + [429] and left(found[0]) == ("5", "4")
        cookie = {"Authorization": "Bearer " + found[0].json()["token"]}
        one = server.fetch("/api/notes", method="POST", body=b'{"a":1}',
                           headers={"Content-Type": "application/json", **cookie})
        assert one.status == 201 and left(one) == ("600", "599")
        assert left(server.fetch("/api/notes", headers=cookie)) == (None, None)  # reading is off
        assert left(server.fetch("/")) == (None, None)
        gone = server.fetch("/api/auth/logout", method="POST", headers=cookie)
        assert gone.status == 204 and left(gone) == (None, None)  # ending something is always possible


def test_resetting_and_the_pages_forms_count_before_they_are_read(tmp_path):
    with served(tmp_path, "reset: 1/min, login: 2/min, signup: 1/min") as server:
        for path, allowed in (("/api/auth/reset", 1), ("/_/sign-in", 2), ("/_/sign-up", 1)):
            address = f"192.0.2.{len(path)}"
            found = [post(server, path, {}, address).status for _ in range(allowed + 1)]
            assert 429 not in found[:allowed] and found[allowed] == 429, (path, found)
        # the page and the API count together
        assert [log_in(server, address="192.0.2.77").status, post(server, "/_/sign-in", {}, "192.0.2.77").status,
                log_in(server, address="192.0.2.77").status][0::2] == [401, 429]


def test_off_and_other_rates(tmp_path):
    with served(tmp_path, "login: off, write: 2/min, read: 3/min") as server:
        assert {log_in(server, f"{i}@example.org").status for i in range(12)} == {401}
        found = [server.fetch("/api/notes", headers={"X-Forwarded-For": "192.0.2.9"}).status for _ in range(4)]
        assert found == [200, 200, 200, 429]
        found = [post(server, "/api/notes", {"a": 1}).status for _ in range(3)]
        assert found == [401, 401, 429]


@pytest.mark.parametrize("auth", ["", "auth: { local: none }\n"])
def test_nothing_is_counted_without_accounts(tmp_path, auth):
    with served(tmp_path, "read: 1/min", auth=auth) as server:
        assert [left(server.fetch("/api/notes")) for _ in range(3)] == [(None, None)] * 3


def test_a_row_with_a_path_counts_too(tmp_path):
    with served(tmp_path, 'login: 3/min, "POST /api/auth/": 2/min') as server:
        found = [log_in(server) for _ in range(3)]
        assert [answer.status for answer in found] == [401, 401, 429]
        assert [left(answer) for answer in found[:2]] == [("2", "1"), ("2", "0")]  # what ends first is told
    with served(tmp_path / "b", 'login: 2/min, "POST /api/auth/": 3/min') as server:
        assert [log_in(server).status for _ in range(3)] == [401, 401, 429]


def test_bad_credentials_do_not_keep_anybody_from_signing_in(tmp_path):
    with served(tmp_path, '"POST /api/auth/": 9/min') as server:
        assert sign_up(server, "ann@example.org").status == 201
        stale = {"Cookie": "dais_app=dst_" + "x" * 43}
        assert log_in(server, "ann@example.org", PASSWORD, **stale).status == 200


# ---- documents: each counts --------------------------------------------------------------------------
@pytest.mark.parametrize("database", DATABASES)
def test_each_request_of_a_batch_counts(tmp_path, database):
    with store(database, tmp_path, NOTES + AUTH + "limits: { write: 5/min, read: 2/min }\n", FILES) as server:
        def batch(n, user="ann", method="POST", path="/api/notes"):
            body = {"body": {"a": 1}} if method == "POST" else {}
            return call(server, "POST", "/api/batch",
                        {"requests": [{"method": method, "path": path, **body} for _ in range(n)]}, user)
        assert batch(2).status == 200
        one = made(server, "/api/notes", {"a": 2})
        assert batch(3).status == 429  # two are left; none of it is done
        again = batch(1)
        assert again.status == 429 and int(again.get("retry-after")) >= 1 and left(again) == ("5", "0")
        assert batch(5, "bob").status == 200  # each account has its own
        assert batch(2, "eve", "GET", f"/api/notes/{one['id']}").status == 200
        assert batch(1, "eve", "GET", f"/api/notes/{one['id']}").status == 429
        assert len(call(server, "GET", "/api/notes", user="fay").json()["items"]) == 8


def test_an_import_counts_once(tmp_path):
    with store("sqlite", tmp_path, NOTES + AUTH + "limits: { write: 2/min }\n", FILES) as server:
        def bring(user):
            return call(server, "POST", "/api/notes/import", b'{"a":1}\n' * 20, user,
                        Content_Type="application/x-ndjson")
        first = bring("ann")
        assert left(first) == ("2", "1"), first
        assert [left(bring("ann")), bring("ann").status] == [("2", "0"), 429]


# ---- tries at one account ----------------------------------------------------------------------------
def test_one_account_is_slowed_from_wherever_it_is_tried(tmp_path):
    with served(tmp_path) as server:
        assert sign_up(server, "ann@example.org", "198.51.100.1").status == 201
        for email in ("ann@example.org", "nobody@example.org"):
            found = until_refused(lambda i, who=email: log_in(server, f" {who.upper()}", address=f"203.0.113.{i}"))
            assert {answer.status for answer in found[:-1]} == {401}
            assert 1 <= int(found[-1].get("retry-after")) <= 6
            assert found[-1].json()["code"] == "too_many_requests"

        def both():
            """Soon one after the other: a try comes back after six seconds."""
            found = [log_in(server, f"{who}@example.org", address="203.0.113.99") for who in ("ann", "nobody")]
            return [answer.status for answer in found] == [429, 429] and found
        known, unknown = wait_for(both, "both refused")
        assert {**known.json(), "request_id": "", "detail": ""} == {**unknown.json(), "request_id": "", "detail": ""}
        assert metric(server, "login") >= 4


def test_its_owner_gets_in_where_he_was_before(tmp_path):
    with served(tmp_path) as server:
        assert sign_up(server, "ann@example.org", "198.51.100.1").status == 201
        assert log_in(server, "ann@example.org", PASSWORD, "198.51.100.7").status == 200
        until_refused(lambda i: log_in(server, "ann@example.org", address=f"203.0.113.{i}"), 9)
        statuses = []
        while len(statuses) < 5 and 429 not in statuses:  # a try may have come back just now; who gets in is known then
            log_in(server, "ann@example.org", address="203.0.113.99")
            statuses.append(log_in(server, "ann@example.org", PASSWORD, f"203.0.113.{50 + len(statuses)}").status)
        assert statuses[-1] == 429, statuses
        assert log_in(server, "ann@example.org", PASSWORD, "198.51.100.7").status == 200


def test_signing_up_over_and_over_with_one_address(tmp_path):
    with served(tmp_path) as server:
        found = [sign_up(server, "ann@example.org", f"203.0.113.{i}").status for i in range(6)]
        assert 429 not in found[:5] and found[5] == 429


# ---- hostile -----------------------------------------------------------------------------------------
def test_a_thousand_tries_from_one_address(tmp_path):
    with served(tmp_path) as server, Conn(server) as conn:
        body = json.dumps({"email": "a@example.org", "password": "x"}).encode()
        head = (b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"X-Forwarded-For: 203.0.113.7\r\nContent-Length: %d\r\n\r\n" % len(body))
        began, found = time.monotonic(), []
        for _ in range(1000):
            with Conn(server) as one:
                one.send(head + body)
                found.append(one.read("POST").status)
        back = (time.monotonic() - began) / 6  # that come back while it runs
        assert found[:10] == [401] * 10 and found.count(401) <= 11 + back
        assert found.count(401) + found.count(429) == 1000
        assert conn.request("/").read().status == 200 and metric(server, "login") == found.count(429)


def test_pipelined_tries_are_counted_one_by_one(tmp_path):
    with served(tmp_path, "login: 3/day") as server, Conn(server) as conn:
        body = json.dumps({"email": "a@example.org", "password": "x"}).encode()
        one = (b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
               b"Content-Length: %d\r\n\r\n" % len(body)) + body
        conn.send(one * 5)
        found = [conn.read("POST") for _ in range(4)]
        assert [answer.status for answer in found] == [401, 401, 401, 429]
        assert found[3].get("connection") == "close"  # its body was not read


def test_no_spelling_of_a_path_gets_around_it(tmp_path):
    with served(tmp_path, "login: 2/day") as server:
        assert [log_in(server).status for _ in range(3)] == [401, 401, 429]
        for path in ("/api/auth/login/", "/api//auth/login", "/api/x/../auth/login", "/api/auth/%6cogin",
                     "/api/auth/login?x=1", "/api/./auth/login", "/api/auth/login#x"):
            answer = post(server, path, {"email": "a@example.org", "password": "x"})
            assert answer.status in (429, 404, 400, 308), (path, answer.status)


def test_who_is_not_trusted_cannot_choose_an_address(tmp_path):
    with served(tmp_path, "login: 2/day", env={"DAIS_TRUSTED_PROXIES": ""}) as server:
        assert [log_in(server, address=f"203.0.113.{i}").status for i in range(3)] == [401, 401, 429]
    with served(tmp_path / "b", "login: 2/day") as server:  # the leftmost is what the client wrote
        found = [log_in(server, f"{i}@b.org", address=f"198.51.100.{i}, 203.0.113.1, 10.0.0.9").status
                 for i in range(3)]
        assert found == [401, 401, 429]
        found = [log_in(server, f"{i}@c.org", address=f"2001:db8::{i}").status for i in range(3)]
        assert found == [401, 401, 429]


def test_a_refused_login_is_not_read(tmp_path):
    with served(tmp_path, "login: 0/min") as server, Conn(server) as conn:
        conn.send(b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
        answer = conn.read("POST")
        assert answer.status == 429 and not answer.interim and answer.get("connection") == "close"


# ---- events ------------------------------------------------------------------------------------------
def events(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "data/apps/app/app.db")) as db:
        names = [row[1] for row in db.execute("PRAGMA table_info(dais_events)")]
        rows = [dict(zip(names, row)) for row in db.execute("SELECT * FROM dais_events")]
    return [row for row in rows if "limit.reached" in map(str, row.values())]


def test_running_out_is_an_event_once_in_a_while(tmp_path):
    with served(tmp_path, "login: 1/day") as server:
        for _ in range(5):
            log_in(server, address="203.0.113.7")
        wait_for(lambda: events(tmp_path), "the event")
        for _ in range(5):
            log_in(server, address="203.0.113.7")
        log_in(server, address="203.0.113.8")
        log_in(server, "x@example.org", address="203.0.113.8")
        wait_for(lambda: len(events(tmp_path)) == 2, "the event of another address")
        found = [str(row) for row in events(tmp_path)]
        assert any("203.0.113.7" in row for row in found) and any("203.0.113.8" in row for row in found)
        assert all("login" in row for row in found)


# ---- replicas ----------------------------------------------------------------------------------------
needs_postgres = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
LIMITS = "login: 6/day, signup: 50/min, write: 20/day"


@contextlib.contextmanager
def replicas(tmp_path, database, n=2):
    folder = app(tmp_path / "app", LIMITS)
    env = {**TRUST, "DATABASE_URL": database.url, "DAIS_SECRET": "b7Qe0vXz3mK9tR1wYc5uJ8hLp2nD6sGa4fT"}
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serving(folder, "--data", tmp_path / f"data{i}", env=env)) for i in range(n)]


@needs_postgres
def test_replicas_count_logins_exactly(tmp_path):
    with postgres.Postgres() as database, replicas(tmp_path, database) as servers:
        found = [log_in(servers[i % 2], f"{i}@example.org", address="203.0.113.7").status for i in range(12)]
        assert found.count(401) == 6, found  # one address
        found = [log_in(servers[i % 2], "a@b.org", address=f"198.51.100.{i}").status for i in range(12)]
        assert found.count(401) == 6, found  # one account
        found = []

        def ask(server):
            for i in range(8):
                found.append(log_in(server, f"{i}@c.org", address="203.0.113.9").status)
        threads = [threading.Thread(target=ask, args=[server]) for server in servers * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found.count(401) == 6, found  # at once


@needs_postgres
def test_replicas_tell_each_other_about_the_rest(tmp_path):
    with postgres.Postgres() as database, replicas(tmp_path, database) as (one, two):
        joined = sign_up(one, "ann@example.org")
        assert joined.status == 201, one.story()
        token = joined.json()["token"]

        def write(server):
            return post(server, "/api/notes", {"a": 1}, Authorization=f"Bearer {token}")
        assert write(two).status == 201
        for _ in range(18):
            assert write(one).status == 201
        wait_for(lambda: int(database.query("SELECT count(*) FROM app.dais_limits WHERE bucket LIKE 'write%'")[0][0]),
                 "the row")
        # what the other one took is gone here, without having been asked meanwhile
        wait_for(lambda: two.fetch("/api/notes") and write(two).status == 429, "the other one")
        assert write(one).status in (201, 429)
        assert "ann@example" not in str(database.query("SELECT * FROM app.dais_limits"))


@needs_postgres
def test_limits_go_on_without_the_database(tmp_path):
    with postgres.Postgres() as database, replicas(tmp_path, database, 1) as (server,):
        assert log_in(server, address="203.0.113.1").status == 401
        database.kill()
        found = [log_in(server, f"{i}@example.org", address="203.0.113.2").status for i in range(8)]
        assert found == [503] * 6 + [429] * 2


# ---- the manifest ------------------------------------------------------------------------------------
def test_names_that_do_not_exist_or_count_nothing(tmp_path, run_dais):
    def check(limits, auth=AUTH):
        done = run_dais("check", app(tmp_path / "app", limits, auth), "--json")
        return done.returncode, [
            text for text in (problem["text"] for problem in json.loads(done.stdout)["problems"])
            if not text.startswith("`auth` is checked")]
    code, told = check("logn: 3/min")
    assert code != 0 and len(told) == 1 and "login" in told[0] and "logn" in told[0]
    assert check("login: 3/min, read: off, write: 1/s") == (0, [])
    assert check("upload: 3/min, publish: off")[1] == [
        "`publish` is checked but not served yet by this version"]
    assert check("write: 3/min", "")[1] == ["`write` counts nothing here: the app has no accounts (`auth`)"]
