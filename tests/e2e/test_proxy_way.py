# The way of one request through dais and back, where several parts of it meet: hostile on purpose.
import contextlib
import json
import random
import socket
import struct
import threading

import pytest

from backend import backend, ok
from conftest import Broken, Conn, wait_for
from own_backend import app, processes
from serving import serving, write_app
from test_answers import PUBLIC, cached
from ws import TEXT, UPGRADE, frame

# ---- what a client claims in headers -------------------------------------------------------------
CLAIMS = ["X-Forwarded-Port", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Server", "X-Forwarded-User",
          "X-Forwarded", "Forwarded-For", "X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "Client-IP",
          "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Front-End-Https", "Proxy"]


@pytest.mark.parametrize("name", CLAIMS)
def test_nothing_a_client_claims_for_a_proxy_arrives(claims, name):
    answer = claims.fetch("/", headers={name: "/claimed", "X-Kept": "1"})
    assert "claimed" not in str(answer.json()) and ["x-kept", "1"] in answer.json()


@pytest.fixture(name="claims", scope="module")
def fixture_claims(tmp_path_factory):
    with backend(lambda request, _: ok(json.dumps(request.headers).encode())) as behind:
        folder = write_app(tmp_path_factory.mktemp("claims") / "app", None,
                           f'backend: {{ url: "{behind.url}", routes: [ / ] }}\n')
        with serving(folder) as server:
            yield server


def test_what_a_framework_may_take_for_another_method_is_not_sent_twice(tmp_path):
    """The first request of each kind finds a backend that hangs up."""
    seen = []

    def answer(request, _):
        seen.append(request.target)
        return (b"", "close") if seen.count(request.target) == 1 else ok(b"fine")
    with backend(answer) as behind, serving(write_app(
            tmp_path / "app", None, f'backend: {{ url: "{behind.url}", routes: [ / ] }}\n')) as server:
        assert server.fetch("/plain").status == 200
        assert server.fetch("/other", headers={"X-HTTP-Method-Override": "DELETE"}).status == 502
    assert seen == ["/plain", "/plain", "/other"]


# ---- the cache -----------------------------------------------------------------------------------
def test_a_header_that_is_taken_off_says_nothing_to_the_cache(tmp_path):
    def answer(request, _):
        return ok(str(request.get("accept-language")).encode(), PUBLIC + b"Vary: Accept-Language\r\n")
    with cached(tmp_path, answer) as server:
        german = {"Accept-Language": "de"}
        poison = server.fetch("/api/x", headers={**german, "Connection": "close, accept-language"})
        assert poison.body == b"None"
        assert server.fetch("/api/x", headers=german).body == b"de"
        assert server.fetch("/api/x", headers=german).get("cache-status") == "dais; hit"
        assert server.fetch("/api/x", headers={**german, "Connection": "close, accept-language"}).body == b"None"


def test_an_answer_that_a_change_has_overtaken_is_not_kept(tmp_path):
    """The old one is on its way while a POST changes what it is about."""
    state, asked, go = {"body": b"old"}, threading.Event(), threading.Event()

    def answer(request, _):
        if request.method == "POST":
            state["body"] = b"new"
            return ok(b"")
        body = state["body"]
        if not asked.is_set():
            asked.set()
            go.wait(60)
        return ok(body, PUBLIC)
    with cached(tmp_path, answer) as server, Conn(server, 60) as conn:
        conn.request("/api/x")
        assert asked.wait(60)
        assert server.fetch("/api/x", method="POST").status == 200
        go.set()
        assert conn.read().body == b"old"
        assert server.fetch("/api/x").body == b"new"
        assert server.fetch("/api/x").get("cache-status") == "dais; hit"


def test_a_cookie_that_stays_here_says_nothing_to_the_cache(tmp_path):
    folder = app(tmp_path / "app", more=", instances: 2, sticky: cookie, cache: 1MB")
    manifest = (folder / "dais.yaml").read_text()
    (folder / "dais.yaml").write_text(manifest.replace("{ root: web }", '{ root: web, headers: { /api/about: { '
                                                       'cache_control: "public, max-age=60" } } }'))
    with serving(folder) as server:
        cookie = server.fetch("/api/ready", deadline=30).get("set-cookie").split(";")[0]
        assert server.fetch("/api/about").get("set-cookie") is None  # it is for everybody
        assert cookie.startswith("dais_instance_")
        again = server.fetch("/api/about", headers={"Cookie": cookie})
        assert again.get("cache-status") == "dais; hit" and again.get("set-cookie") is None
        for own in (f"{cookie}; a=b", f"a=b; {cookie}", "dais_app=x", f"{cookie}; dais_app=x"):
            assert server.fetch("/api/about", headers={"Cookie": own}).get("cache-status") is None, own
        two = server.fetch("/api/about", headers=[("Cookie", cookie), ("Cookie", "a=b")])
        assert two.get("cache-status") is None


# ---- everything at once --------------------------------------------------------------------------
MORE = ', instances: 2, sticky: cookie, cache: 1MB, max_body: 100KB, routes: [ /api/ ] }\n'
EVERYTHING = ('web: { root: web, headers: { "/api/*": { csp: "script-src \'nonce-{nonce}\'" } },'
              ' rewrite: [ { files: "*", from: PATH, to: WAY } ] }\n'
              'cors: { origins: [ "https://friend.example" ] }\nlimits: { "GET /api/slow": 1000/s }\n')


def leave(conn):
    """With a reset."""
    with contextlib.closing(conn):
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def rude(server, dice):
    """One client that does one thing and perhaps leaves in the middle of it, or when it is cut off."""
    conn = Conn(server, 20)
    try:
        be_rude(conn, dice)
    finally:
        leave(conn)


def be_rude(conn, dice):
    origin = {"Origin": "https://friend.example"}
    kind = dice.randrange(10)
    if kind == 0:
        conn.request("/api/about", headers=origin)
    elif kind == 1:
        conn.request("/api/flood", method="HEAD")
    elif kind == 2:
        conn.request("/api/tunnel", headers=UPGRADE)
        if conn.read().status == 101:
            conn.send(frame(TEXT, b"hello"))
            if dice.random() < 0.5:
                conn.sock.recv(100)
    elif kind == 3:
        conn.send(b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n")
        conn.send(b"x" * dice.randrange(90000))
    elif kind == 4:
        conn.send(b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"3\r\nabc\r\n" + dice.choice([b"x\r\n", b"5\r\n", b"0\r\n\r\n", b"fffff\r\n" + b"x" * 200_000]))
    elif kind == 5:
        conn.request("/api/hang")
    elif kind == 6:
        conn.request("/api/events", headers=origin)
    elif kind == 7:
        conn.request("/api/die", method="POST", body=b"now")
    elif kind == 8:
        conn.request("/api/x", method="OPTIONS", headers={**origin, "Access-Control-Request-Method": "PUT"})
    else:
        conn.send(b"GET /api/slow HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
    if dice.random() < 0.4 and kind in (0, 1, 8, 9):
        conn.read("HEAD" if kind == 1 else "GET")


def test_whatever_clients_do_each_instance_is_given_back(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    text = (folder / "dais.yaml").read_text()
    text = text.replace("web: { root: web }\n", EVERYTHING).replace(", routes: [ /api/ ] }\n", MORE)
    (folder / "dais.yaml").write_text(text)
    with serving(folder, env={"DAIS_THREADS": "2"}) as server:
        assert server.fetch("/api/about", deadline=30).status == 200

        def many(seed):
            dice = random.Random(seed)
            for _ in range(40):
                try:
                    rude(server, dice)
                except (OSError, Broken):
                    pass
        threads = [threading.Thread(target=many, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (folder / "go").touch()
        wait_for(lambda: all(row["in_flight"] == "0" for row in processes(folder, run_dais)), "rest", 90)
        # so often told to end, they may be left alone for up to ten seconds before they begin again
        wait_for(lambda: server.fetch("/api/about", deadline=60).status == 200, "an answer at rest", 60)
