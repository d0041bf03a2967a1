# Who asks, with real accounts: cookies and bearers, other sites, ends that hold at once, keys, and asking late.
import contextlib
import hashlib
import json
import secrets
import sqlite3
import subprocess
import threading
import time

import pytest

import postgres
from backend import backend, ok
from conftest import DEADLINE, Conn, wait_for
from serving import best_of_three, exchange, serving, write_app
from ws import TEXT, accept, opened

MANIFEST = """web: { root: web }
auth: { signup: open, session: 30d, roles: [ editor ] }
limits: { signup: 100000/min, login: 100000/min, read: 100000/min, write: 100000/min }
collections:
  notes: { owner: true, rules: { create: signed_in } }
backend: { url: "%s", routes: [ /b/, /ws ], access: { /b/in/: signed_in, /b/op/: operator, /b/ed/: "role:editor" },
           identity: { header: Authorization, value: "Bearer {user.id}" } }
"""
DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.skipif(
    postgres.why_not() is not None, reason=str(postgres.why_not())))]
PASSWORD = "correct horse battery"
OWN = {"Sec-Fetch-Site": "same-origin"}


def behind(request, sock):
    """An unmodified backend: who asks is the bearer."""
    if request.get("upgrade"):
        socket = accept(request, sock)
        with contextlib.suppress(EOFError, OSError):
            while True:
                socket.send(TEXT, socket.read()[1])
        return b"", "close"
    if request.target.startswith("/b/in/events"):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            sock.sendall(b"9\r\ndata: 1\n\n\r\n")
            sock.recv(1)
        return b"", "close"
    return ok(json.dumps(request.all("authorization")).encode(), b"Content-Type: application/json\r\n")


class Place:
    """A server with accounts, and its rows as another program changes them."""

    def __init__(self, server, folder, db):
        self.server, self.db, self.file = server, db, folder / "data" / "apps" / "app" / "app.db"
        self.people, self.psql = 0, None

    def change(self, sql):
        if self.db:
            return self.db.query("SET search_path TO app; " + sql)
        with contextlib.closing(sqlite3.connect(self.file, timeout=60)) as conn, conn:
            return conn.execute(sql).fetchall()

    def fetch(self, path, **options):
        return self.server.fetch(path, **options)

    def person(self):
        self.people += 1
        body = {"email": f"p{self.people}@example.com", "password": PASSWORD}
        answer = self.fetch("/api/auth/signup", method="POST", headers={"Content-Type": "application/json"},
                            body=json.dumps(body).encode())
        assert answer.status == 201, answer
        return answer.json()

    def key(self, scopes, user="", roles=(), expires=0):
        token = "dak_" + secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        blob = f"decode('{digest}', 'hex')" if self.db else f"x'{digest}'"
        self.change("INSERT INTO dais_keys (id, token, hint, name, user_id, scopes, roles, created, expires, used)"
                    f" VALUES ('k{digest[:12]}', {blob}, 'dak_', 'robot', '{user}', '{json.dumps(scopes)}',"
                    f" '{json.dumps(list(roles))}', 1, {expires}, 0)")
        return token, "k" + digest[:12]


@pytest.fixture(name="place", scope="module", params=DATABASES)
def fixture_place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("who")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(backend(behind)).url
        app = write_app(folder / "app", {"web/index.html": "hello"}, MANIFEST % url)
        db = stack.enter_context(postgres.Postgres()) if request.param == "postgres" else None
        env = {"DATABASE_URL": db.url} if db else {}
        server = stack.enter_context(serving(app, "--data", folder / "data", env=env))
        place = Place(server, folder, db)
        yield place
        if place.psql:
            place.psql.communicate(timeout=60)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def cookie(token):
    return {"Cookie": f"other=1; dais_app={token}"}


def me(place, headers):
    return place.fetch("/api/auth/me", headers=headers).status


def note(place, headers, method="POST", path="/api/notes"):
    return place.fetch(path, method=method, headers={"Content-Type": "application/json", **headers}, body=b"{}").status


def fake(prefix="dst_"):
    return prefix + secrets.token_urlsafe(32)


# ---- cookies and bearers ---------------------------------------------------------------------------
def test_the_bearer_counts_and_the_cookie_beside_it_does_not(place):
    ann, bob = place.person(), place.person()
    assert me(place, cookie(ann["token"])) == me(place, bearer(ann["token"])) == 200
    both = place.fetch("/api/auth/me", headers={**cookie(ann["token"]), **bearer(bob["token"])})
    assert both.json()["id"] == bob["user"]["id"]
    for bad in (fake(), fake("dst_o"), fake("dak_"), "dst_", "dst_x", fake("dln_"), ann["token"] + "x"):
        expected = 401
        assert me(place, {**cookie(ann["token"]), **bearer(bad)}) == expected, bad
        if not bad.startswith("dln_"):
            assert place.fetch("/b/open", headers=bearer(bad)).status == 401, bad
    for other in ("Basic YTpi", "Bearer something-else", "", "Token " + ann["token"]):
        assert me(place, {**cookie(ann["token"]), "Authorization": other}) == 401, other


def test_a_dead_cookie_is_a_stranger(place):
    for token in (fake(), "", "x", "dst_"):
        assert place.fetch("/b/open", headers=cookie(token)).status == 200
        assert me(place, cookie(token)) == 401


OTHERS = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "odd"}, {},
          {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:99"},
          {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}]


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_another_site_cannot_write_with_the_cookie(place, headers):
    ann = place.person()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x",
                 "application/json"):
        given = {**cookie(ann["token"]), **headers, "Content-Type": kind}
        assert note(place, given) in (401, 415), kind
        assert place.fetch("/b/in/x", method="POST", headers=given, body=b"a=1").status == 401
    out = place.fetch("/api/auth/logout", method="POST", headers={**cookie(ann["token"]), **headers})
    assert out.status in (204, 401, 403)
    assert me(place, bearer(ann["token"])) == 200
    assert note(place, {**headers, **bearer(ann["token"])}) == 201  # a program's own word


@pytest.mark.parametrize("headers", [OWN, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}], ids=str)
def test_its_own_pages_can(place, headers):
    assert note(place, {**cookie(place.person()["token"]), **headers}) == 201


# ---- ends ------------------------------------------------------------------------------------------
def doors(place, token):
    """The status of each door for who has this token."""
    return {"me": me(place, bearer(token)), "list": place.fetch("/api/notes", headers=bearer(token)).status,
             "create": note(place, bearer(token)), "backend": place.fetch("/b/in/x", headers=bearer(token)).status,
             "export": place.fetch("/api/notes/export", headers=bearer(token)).status,
             "batch": place.fetch("/api/batch", method="POST",
                                  headers={**bearer(token), "Content-Type": "application/json"},
                                  body=b'{"requests":[{"method":"POST","path":"/api/notes","body":{}}]}').status}


def test_after_signing_out_every_door_is_shut_at_once(place):
    for _ in range(5):
        token = place.person()["token"]
        before = doors(place, token)
        assert before["me"] == before["list"] == before["backend"] == 200 and before["create"] == 201
        assert place.fetch("/api/auth/logout", method="POST", headers=bearer(token)).status == 204
        assert set(doors(place, token).values()) == {401}


@contextlib.contextmanager
def events(place, token):
    with Conn(place.server) as conn:
        conn.request("/b/in/events", headers=bearer(token))
        while b"data: 1" not in conn.left:
            assert conn._more(time.monotonic() + DEADLINE)  # pylint: disable=protected-access
        yield conn


def test_streams_end_with_their_session(place):
    best_of_three(5, lambda: seconds_to_the_end(place))


def seconds_to_the_end(place):
    ann, bob = place.person()["token"], place.person()["token"]
    with events(place, ann) as stream, events(place, bob) as other, \
         opened(place.server, "/ws", bearer(ann).items()) as socket, \
         opened(place.server, "/ws", bearer(bob).items()) as others:
        socket.send(TEXT, b"one")
        assert socket.read() == (TEXT, b"one", True)
        began = time.monotonic()
        assert place.fetch("/api/auth/logout", method="POST", headers=bearer(ann)).status == 204
        assert socket.closed() == (1008, "the session has ended")
        while stream._more(time.monotonic() + DEADLINE):  # pylint: disable=protected-access
            pass
        took = time.monotonic() - began
        assert b"\r\n0\r\n" not in stream.left  # cut, not ended
        others.send(TEXT, b"two")
        assert others.read() == (TEXT, b"two", True)
        other.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.sock.recv(1)
    return took


@pytest.mark.parametrize("sql", ["UPDATE dais_users SET state = 1 WHERE id = '{user}'",
                                 "UPDATE dais_users SET state = 2 WHERE id = '{user}'",
                                 "DELETE FROM dais_sessions WHERE user_id = '{user}'",
                                 "UPDATE dais_sessions SET expires = 5 WHERE user_id = '{user}'"])
def test_what_another_process_ends_is_known_within_a_second(place, sql):
    def once():
        ann = place.person()
        with events(place, ann["token"]) as stream:
            place.change(sql.format(user=ann["user"]["id"]))
            took = seconds_until(lambda: me(place, bearer(ann["token"])) == 401, "the end")
            while stream._more(time.monotonic() + DEADLINE):  # pylint: disable=protected-access
                pass
        assert set(doors(place, ann["token"]).values()) == {401}
        return took
    best_of_three(2.5, once)


def seconds_until(condition, what):
    began = time.monotonic()
    wait_for(condition, what)
    return time.monotonic() - began


# ---- tokens that were replaced ---------------------------------------------------------------------
def replace(place, ann, until_ms):
    """As a refresh does it; the new token."""
    token = fake()
    old, new = (hashlib.sha256(text.encode()).hexdigest() for text in (ann["token"], token))
    both = (f"token = decode('{new}', 'hex'), old = decode('{old}', 'hex')" if place.db
            else f"token = x'{new}', old = x'{old}'")
    place.change(f"UPDATE dais_sessions SET {both}, old_until = {until_ms} WHERE user_id = '{ann['user']['id']}'")
    return token


def test_the_token_before_is_good_for_a_while(place):
    ann = place.person()
    new = replace(place, ann, int(time.time() * 1000) + 60_000)
    assert me(place, bearer(ann["token"])) == me(place, bearer(new)) == 200


def test_using_a_replaced_token_ends_the_session(place):
    found = {}

    def once():
        ann = found["ann"] = place.person()
        new = replace(place, ann, int(time.time() * 1000) - 1)
        assert me(place, bearer(new)) == 200
        took = seconds_until(lambda: me(place, bearer(ann["token"])) == 401, "the end of its time")
        return max(took, seconds_until(lambda: me(place, bearer(new)) == 401, "the end of the session"))
    best_of_three(2.5, once)
    ann = found["ann"]
    assert place.change(f"SELECT id FROM dais_sessions WHERE user_id = '{ann['user']['id']}'") == []
    who = ann["user"]["id"]
    wait_for(lambda: len(place.change(f"SELECT 1 FROM dais_events WHERE who = '{who}' AND kind = "
                                      "'account.token_reused'")) == 1, "the event")


# ---- keys ------------------------------------------------------------------------------------------
KEYS = [
    # scopes, and what a key may: list, create, GET and POST at the backend
    (["read"], 200, 403, 200, 403), (["write"], 403, 201, 403, 200), (["read", "write"], 200, 201, 200, 200),
    (["read:notes"], 200, 403, 403, 403), (["write:notes"], 403, 201, 403, 403), (["read:other"], 403, 403, 403, 403),
    ([], 403, 403, 403, 403), (["admin", "jobs", "files"], 403, 403, 403, 403),
]


@pytest.mark.parametrize("row", KEYS, ids=lambda row: "+".join(row[0]) or "none")
def test_keys_stay_within_their_scopes(place, row):
    scopes, *expected = row
    user = place.person()["user"]["id"]
    for owner in (user, ""):
        token, own = place.key(scopes, owner)
        found = [place.fetch("/api/notes", headers=bearer(token)).status, note(place, bearer(token)),
                 place.fetch("/b/in/x", headers=bearer(token)).status,
                 place.fetch("/b/in/x", method="POST", headers=bearer(token), body=b"x").status]
        assert found == expected, owner
        told = place.fetch("/b/open", headers=bearer(token)).json()
        assert told == ([f"Bearer {owner or own}"] if "read" in scopes else [])


def test_a_key_has_the_roles_of_its_account_or_its_own(place):
    user = place.person()["user"]["id"]
    mine, _ = place.key(["read"], user, ["editor"])
    apps, _ = place.key(["read"], "", ["editor"])
    assert place.fetch("/b/ed/x", headers=bearer(mine)).status == 403
    assert place.fetch("/b/ed/x", headers=bearer(apps)).status == 200
    assert place.fetch("/b/op/x", headers=bearer(apps)).status == 403


def test_keys_end(place):
    user = place.person()["user"]["id"]
    now = int(time.time() * 1000)
    assert me(place, bearer(place.key(["read"], user, expires=now - 1)[0])) == 401
    assert place.fetch("/b/in/x", headers=bearer(place.key(["read"], user, expires=now + 60_000)[0])).status == 200

    def once():
        user = place.person()["user"]["id"]
        token, name = place.key(["read"], user)
        assert place.fetch("/b/in/x", headers=bearer(token)).status == 200
        place.change(f"UPDATE dais_users SET state = 1 WHERE id = '{user}'")
        took = seconds_until(lambda: place.fetch("/b/in/x", headers=bearer(token)).status == 401, "its account's end")
        place.change(f"DELETE FROM dais_keys WHERE id = '{name}'")
        return took
    best_of_three(2.5, once)


def test_the_use_of_a_key_is_written_now_and_then(place):
    token, name = place.key(["read"])

    def used():
        return int(place.change(f"SELECT used FROM dais_keys WHERE id = '{name}'")[0][0])
    assert place.fetch("/b/in/x", headers=bearer(token)).status == 200
    wait_for(lambda: used() > 0, "its use")
    first = used()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:  # more than one look at the row
        assert place.fetch("/b/in/x", headers=bearer(token)).status == 200
    assert used() == first


# ---- one person's things at an unmodified backend ----------------------------------------------------
def test_two_people_of_one_backend(place):
    ann, bob = place.person(), place.person()
    for who in (ann, bob):
        for headers in (bearer(who["token"]), cookie(who["token"])):
            assert place.fetch("/b/open", headers=headers).json() == [f"Bearer {who['user']['id']}"]
    lies = [{"Authorization": f"Bearer {bob['user']['id']}"}, {"authorization": bob["user"]["id"]}]
    for lie in lies:
        assert place.fetch("/b/open", headers={**cookie(ann["token"]), **lie}).json() == []
        assert place.fetch("/b/in/x", headers=lie).status == 401


def test_a_person_is_sent_to_the_sign_in(place):
    page = place.fetch("/b/in/x?y=1", headers={"Accept": "text/html"})
    assert (page.status, page.get("location")) == (303, "/_/sign-in?next=%2Fb%2Fin%2Fx%3Fy%3D1")
    page = place.fetch("/b/in/x", headers={"Accept": "text/html", **cookie(fake())})
    assert page.status == 303


# ---- asking late: a Postgres that makes everybody wait -----------------------------------------------
# (SQLite is asked on the loop.)
POSTGRES_ONLY = pytest.mark.parametrize("place", ["postgres"], indirect=True, scope="module")


@contextlib.contextmanager
def locked(place):
    """Nobody reads a session until `release` is called, or the end."""
    go, began = threading.Event(), threading.Event()

    def hold():
        with subprocess.Popen([postgres.BIN / "psql", "-X", "-q", "-At", place.db.url], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as psql:
            psql.stdin.write("BEGIN; LOCK TABLE app.dais_sessions; SELECT 'held';\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "held\n"
            began.set()
            go.wait(120)
            psql.stdin.write("ROLLBACK;\n")
            psql.stdin.close()
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert began.wait(60)
        waiting(place)  # its own beginning takes a while
        yield go.set
    finally:
        go.set()
        thread.join(60)


def waiting(place):
    """Asked of one that runs already: who waits is told so after two seconds."""
    if not place.psql:
        place.psql = subprocess.Popen([postgres.BIN / "psql", "-X", "-q", "-At", place.db.url], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)  # pylint: disable=consider-using-with
    place.psql.stdin.write("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock';\n")
    place.psql.stdin.flush()
    return int(place.psql.stdout.readline())


def head(token, path="/api/auth/me", method="GET", more=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n").encode()


@POSTGRES_ONLY
def test_requests_in_a_row_are_answered_in_their_order(place):
    people = [place.person() for _ in range(4)]
    with locked(place) as release, Conn(place.server) as conn:
        conn.send(b"".join(head(p["token"]) for p in people))
        wait_for(lambda: waiting(place) >= 1, "a question")
        release()
        assert [conn.read().json()["id"] for _ in people] == [p["user"]["id"] for p in people]


@POSTGRES_ONLY
@pytest.mark.parametrize("path", ["/api/notes", "/b/in/x"])
@pytest.mark.parametrize("kind", ["length", "chunked", "continue", "late"])
def test_bodies_wait_for_who_sends_them(place, path, kind):
    token = place.person()["token"]
    body = b'{"a":"' + b"x" * 50_000 + b'"}'
    more = "Content-Type: application/json\r\n"
    more += "Transfer-Encoding: chunked\r\n" if kind == "chunked" else f"Content-Length: {len(body)}\r\n"
    more += "Expect: 100-continue\r\n" if kind == "continue" else ""
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if kind == "chunked" else body
    with locked(place) as release, Conn(place.server) as conn:
        conn.send(head(token, path, "POST", more))
        if kind in ("length", "chunked"):
            conn.send(sent)
        wait_for(lambda: waiting(place) >= 1, "a question")
        release()
        if kind == "continue":
            assert conn.read_interim().status == 100
        if kind in ("continue", "late"):
            conn.send(sent)
        conn.send(head(token))
        assert conn.read("POST").status in (200, 201)
        assert conn.read().status == 200


@POSTGRES_ONLY
def test_a_stranger_hears_so_before_the_body(place):
    with locked(place) as release, Conn(place.server) as conn:
        conn.send(head(fake(), "/b/in/x", "POST", "Content-Length: 1000000\r\n"))
        wait_for(lambda: waiting(place) >= 1, "a question")
        release()
        assert conn.read("POST").status == 401
        assert conn.at_end()


@POSTGRES_ONLY
def test_clients_that_leave_meanwhile(place):
    people = [place.person() for _ in range(6)]
    with locked(place) as release:
        for p in people:
            with Conn(place.server) as conn:
                conn.send(head(p["token"]) + head(p["token"]))
        wait_for(lambda: waiting(place) >= 1, "a question")
        release()
    assert place.fetch("/healthz").status == 200
    assert me(place, bearer(people[0]["token"])) == 200


@POSTGRES_ONLY
def test_clients_that_say_no_more_are_answered(place):
    token = place.person()["token"]
    with locked(place) as release:
        timer = threading.Timer(0.3, release)
        timer.start()
        raw = exchange(place.server, [head(token) + head(token)], half_close=True)
        timer.join()
    assert raw.count(b"HTTP/1.1 200 ") == 2


@POSTGRES_ONLY
def test_a_reload_meanwhile(place):
    tokens = [place.person()["token"]]  # more would hold the lanes that read the manifest
    with locked(place) as release, contextlib.ExitStack() as stack:
        conns = [stack.enter_context(Conn(place.server)) for _ in tokens]
        for conn, token in zip(conns, tokens):
            conn.send(head(token))
        wait_for(lambda: waiting(place) >= 1, "a question")
        seen = place.server.stderr.count('"reloaded"') + place.server.stdout.count('"reloaded"')
        place.server.proc.send_signal(1)
        wait_for(lambda: place.server.stderr.count('"reloaded"') + place.server.stdout.count('"reloaded"') > seen,
                 "the reload")
        release()
        assert [conn.read().status for conn in conns] == [200]
    assert me(place, bearer(tokens[0])) == 200


@POSTGRES_ONLY
def test_who_waits_too_long_is_told(place):
    token = place.person()["token"]

    def once():
        with locked(place):
            began = time.monotonic()
            assert place.fetch("/b/in/x", headers=bearer(token)).status == 503
            return time.monotonic() - began
    best_of_three(9, once)
    assert place.fetch("/b/in/x", headers=bearer(token)).status == 200
