# A backend behind dais: what reaches it, what comes back, and what neither side can make happen.
import json
import socket
import threading

import pytest

from backend import backend, ok
from conftest import Broken, Conn, wait_for
from serving import exchange, serving, write_app
from test_http_hostile import CASES, HOST
from ws import BINARY, UPGRADE, WebSocket, accept, frame, upgrade

MANIFEST = "web: {{ root: web }}\nbackend: {{ url: \"{url}\", routes: [ {routes} ]{more} }}\n"


def app(folder, url, routes="/api/", more="", files=None, tail=""):
    return write_app(folder, files, MANIFEST.format(url=url, routes=routes, more=more) + tail)


@pytest.fixture(name="echo", scope="module")
def fixture_echo(tmp_path_factory):
    """A backend that tells what it got as JSON, behind one dais."""
    def answer(request, _):
        told = {"method": request.method, "target": request.target, "headers": request.headers,
                "length": len(request.body), "sum": sum(request.body) % 65521}
        return ok(json.dumps(told).encode(), b"Content-Type: application/json\r\n")
    with backend(answer) as behind:
        folder = app(tmp_path_factory.mktemp("echo") / "app", behind.url, "/api/, /health",
                     ", static_first: [ /mixed/ ], strip: [ /api/cut/ ]",
                     {"web/index.html": "<h1>home</h1>", "web/mixed/there.txt": "a file"})
        with serving(folder) as server:
            server.behind = behind
            yield server


def told(server, path, **options):
    answer = server.fetch(path, **options)
    assert answer.status == 200, answer
    return answer.json()


def header(told_headers, name):
    values = [value for key, value in told_headers if key == name]
    assert len(values) <= 1
    return values[0] if values else None


# ---- whose path is it? -------------------------------------------------------------------------
@pytest.mark.parametrize("path, target", [
    ("/api/x", "/api/x"), ("/api/", "/api/"), ("/api/x?a=1&b=%20", "/api/x?a=1&b=%20"),
    ("/health", "/health"), ("/health/deep", "/health/deep"), ("/mixed/absent.txt", "/mixed/absent.txt"),
    ("/api//x", "/api/x"), ("/api/./a/../x", "/api/x"), ("/api/%41", "/api/A"),
    ("/x/../api/%2e%2e/api/x", "/api/x"), ("/api/caf%C3%A9", "/api/caf%C3%A9"),
    ("/api/a;b", "/api/a;b"), ("/api/cut/here", "/here"), ("/api/cut/", "/"),
])
def test_the_backend_gets_its_paths_in_one_form(echo, path, target):
    assert told(echo, path)["target"] == target


@pytest.mark.parametrize("path, body", [
    ("/", b"<h1>home</h1>"), ("/mixed/there.txt", b"a file"), ("/api", b"<h1>home</h1>"),
    ("/healthy", b"<h1>home</h1>"),
])
def test_other_paths_stay_with_the_app(tmp_path, path, body):
    with backend(lambda *_: ok(b"backend")) as behind:
        folder = write_app(tmp_path / "app", {"web/index.html": "<h1>home</h1>", "web/mixed/there.txt": "a file"},
                           f"web: {{ root: web, fallback: index.html }}\nbackend: {{ url: \"{behind.url}\","
                           " routes: [ /api/, /health ], static_first: [ /mixed/ ] }\n")
        with serving(folder) as server:
            assert server.fetch(path).body == body
        assert not behind.requests


@pytest.mark.parametrize("path", ["/api/..%2fx", "/api/%00", "/api/%5cx", "/api/%c0%ae", "/../api/x", "/api/%ff"])
def test_ambiguous_paths_reach_nobody(echo, path):
    seen = len(echo.behind.requests)
    assert echo.fetch(path).status == 400
    assert len(echo.behind.requests) == seen


# ---- what the backend is told ------------------------------------------------------------------
def test_the_client_is_described_anew(echo):
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Prefix": "/evil", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6",
            "X_Forwarded_For": "6.6.6.6", "X-Request-Id": "chosen", "Connection": "X-Secret, keep-alive",
            "X-Secret": "1", "Keep-Alive": "1", "TE": "trailers", "Proxy-Connection": "x", "X-Kept": "yes"}
    headers = told(echo, "/api/x", headers=lies, host="shop.example:81")["headers"]
    assert header(headers, "x-forwarded-for") == "127.0.0.1"
    assert header(headers, "x-real-ip") == "127.0.0.1"
    assert header(headers, "x-forwarded-proto") == "http"
    assert header(headers, "x-forwarded-host") == header(headers, "host") == "shop.example:81"
    assert header(headers, "forwarded") == 'for=127.0.0.1;proto=http;host="shop.example:81"'
    assert header(headers, "x-kept") == "yes"
    assert header(headers, "x-request-id") not in (None, "chosen")
    for name in ("x-forwarded-prefix", "x_forwarded_for", "x-secret", "keep-alive", "te", "connection",
                 "proxy-connection", "upgrade"):
        assert header(headers, name) is None, name


def test_a_client_never_brings_its_identity(tmp_path):
    with backend(lambda request, _: ok(str(request.all("x-user")).encode())) as behind:
        folder = app(tmp_path / "app", behind.url, more=", identity: { header: X-User, value: \"{user.id}\" }")
        with serving(folder) as server:
            lies = {"X-User": "root", "x-user": "root"}
            assert server.fetch("/api/", headers=lies).body == b"['local']"  # test_identity.py has the rest
            assert server.fetch("/api/", headers=lies, host="elsewhere.example").status == 403


def test_methods_and_bodies_arrive(echo):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        assert told(echo, "/api/x", method=method)["method"] == method
    body = bytes(range(256)) * 4000
    answer = told(echo, "/api/x", method="POST", body=body)
    assert (answer["length"], answer["sum"]) == (len(body), sum(body) % 65521)
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 1500]), body[i:i + 1500])
                       for i in range(0, len(body), 1500)) + b"0\r\nX-Tail: 1\r\n\r\n"
    raw = exchange(echo, [b"POST /api/x HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + HOST
                          + b"\r\n", chunked])
    answer = json.loads(raw.partition(b"\r\n\r\n")[2])
    assert (answer["length"], answer["sum"]) == (len(body), sum(body) % 65521)


def test_a_body_that_only_ends_has_its_end_passed_on(tmp_path):
    with backend(lambda request, _: ok(b"%d" % len(request.body))) as behind, \
         serving(app(tmp_path / "app", behind.url)) as server, Conn(server) as conn:
        conn.sock.sendall(b"POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert conn.read("POST").body == b"0"  # it came when the backend's connection was not open yet


def test_one_connection_serves_many(tmp_path):
    with backend(lambda *_: ok()) as behind:
        with serving(app(tmp_path / "app", behind.url), env={"DAIS_THREADS": "1"}) as server:
            for _ in range(50):
                assert server.fetch("/api/").body == b"ok"
        assert behind.connections == 1 and len(behind.requests) == 50


# ---- what comes back ---------------------------------------------------------------------------
def test_answers_pass_as_they_are(tmp_path):
    lines = (b"Content-Type: text/x-y\r\nX-Own: 1\r\nSet-Cookie: a=b; Path=/; HttpOnly\r\nSet-Cookie: c=d\r\n"
             b"Location: /next\r\nETag: W/\"1\"\r\nServer: other\r\nDate: never\r\nKeep-Alive: 5\r\n"
             b"Connection: X-Hop\r\nX-Hop: 1\r\nX-Request-Id: theirs\r\n")
    with backend(lambda *_: ok(b"body", lines, b"418 Teapot")) as behind:
        with serving(app(tmp_path / "app", behind.url)) as server:
            answer = server.fetch("/api/")
    assert (answer.status, answer.body) == (418, b"body")
    assert answer.get("content-type") == "text/x-y" and answer.get("x-own") == "1"
    assert answer.all("set-cookie") == ["a=b; Path=/; HttpOnly", "c=d"]
    assert answer.get("location") == "/next" and answer.get("etag") == 'W/"1"'
    assert answer.get("server") == "dais" and answer.get("date") != "never"
    assert answer.get("x-request-id") != "theirs" and answer.get("x-hop") is None
    assert answer.get("keep-alive") is None


def test_below_a_mount_links_come_back_below_it(tmp_path):
    def answer(request, _):
        location = {"/api/path": b"/next", "/api/full": b"http://h.example/next", "/api/else": b"https://o.example/n",
                    "/api/rel": b"next", "/api/net": b"//o.example/n"}[request.target]
        return ok(request.get("x-forwarded-prefix").encode(),
                  b"Location: " + location + b"\r\nSet-Cookie: a=b; path=/x\r\n", b"302 Found")
    with backend(answer) as behind:
        app(tmp_path / "one", behind.url)
        write_app(tmp_path / "two")
        (tmp_path / "host.yaml").write_text("apps: [ one, two ]\n")
        with serving(tmp_path) as server:
            found = {path: server.fetch(f"/one/api/{path}", host="h.example") for path in
                     ("path", "full", "else", "rel", "net")}
    assert found["path"].body == b"/one" and found["path"].get("set-cookie") == "a=b; path=/one/x"
    assert {path: answer.get("location") for path, answer in found.items()} == {
        "path": "/one/next", "full": "http://h.example/one/next", "else": "https://o.example/n",
        "rel": "next", "net": "//o.example/n"}


def test_a_head_that_grows_too_large_below_a_mount_is_502(tmp_path):
    cookie = b"Set-Cookie: " + b"path=/;" * 2200 + b"\r\n"
    name = "a" * 30
    with backend(lambda *_: ok(b"body", cookie * 3)) as behind:
        app(tmp_path / name, behind.url)
        write_app(tmp_path / "two")
        (tmp_path / "host.yaml").write_text(f"apps: [ {name}, two ]\n")
        with serving(tmp_path) as server:
            assert server.fetch(f"/{name}/api/x").status == 502


def test_heads_have_no_body(tmp_path):
    def answer(request, _):
        return {"/api/head": b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
                "/api/none": b"HTTP/1.1 204 None\r\n\r\n",
                "/api/same": b"HTTP/1.1 304 Same\r\nETag: \"1\"\r\n\r\n"}[request.target]
    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server, Conn(server) as conn:
        head = conn.request("/api/head", "HEAD").read("HEAD")
        assert (head.status, head.get("content-length"), head.body) == (200, "77", b"")
        assert conn.request("/api/none").read().status == 204
        same = conn.request("/api/same").read()
        assert (same.status, same.get("etag"), same.body) == (304, '"1"', b"")


def test_events_flow_as_they_happen(tmp_path):
    step = threading.Semaphore(0)

    def answer(_, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i in range(3):
            sock.sendall(b"data: %d\n\n" % i)
            assert step.acquire(timeout=60)
        return b"", "close"
    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server, Conn(server) as conn:
        conn.sock.sendall(b"GET /api/ HTTP/1.1\r\n" + HOST + b"\r\n")
        received = b""
        for i in range(3):
            while b"data: %d\n\n" % i not in received:
                received += conn.sock.recv(65536)
            step.release()
        while not received.endswith(b"0\r\n\r\n"):
            received += conn.sock.recv(65536)


BROKEN = {
    "nothing": b"", "garbage": b"hello\r\n\r\n", "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 30000, "a strange status": ok(status=b"799 What"),
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % i for i in range(500)) + b"\r\n",
    "a protocol nobody asked for": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answers_are_502(tmp_path, name):
    with backend(lambda *_: (BROKEN[name], "close")) as behind, \
         serving(app(tmp_path / "app", behind.url)) as server:
        answer = server.fetch("/api/", headers={"Accept": "application/json"})
        assert answer.status == 502 and answer.json()["code"] == "bad_gateway"
        assert b"127.0.0.1" not in answer.body
        assert server.fetch("/").status == 200
        # what gave no byte of an answer was asked once more
        assert server.fetch("/api/").status == 502 and behind.connections == (4 if name == "nothing" else 2)


@pytest.mark.parametrize("name, start", [
    ("a length", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
    ("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ("broken chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
])
def test_half_an_answer_is_not_made_whole(tmp_path, name, start):
    with backend(lambda *_: (start, "close")) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        with pytest.raises((Broken, ConnectionResetError)):
            server.fetch("/api/")
        assert server.fetch("/").status == 200, name


def test_silence_is_504_and_absence_502(tmp_path):
    gate = threading.Event()

    def answer(*_):
        gate.wait(20)
        return b"", "close"
    with backend(answer) as behind, \
         serving(app(tmp_path / "app", behind.url, more=", timeout: 200ms")) as server:
        assert server.fetch("/api/").status == 504
        gate.set()
    with serving(app(tmp_path / "app", behind.url)) as server:
        assert server.fetch("/api/").status == 502


BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def test_an_app_has_its_own_pages_for_errors(tmp_path):
    with backend(lambda *_: (b"", "close")) as behind:
        for name in ("one", "two"):
            write_app(tmp_path / name, {"web/index.html": "home", "web/oops.html": f"<h1>oops {name}</h1>",
                                        "web/in.html": "<h1>sign in</h1>"},
                      f"web: {{ root: web, errors: {{ 502: oops.html, 401: in.html }} }}\n"
                      f"backend: {{ url: \"{behind.url}\", routes: [ /api/ ], access: {{ /api/me: signed_in }} }}\n"
                      "auth: { signup: open }\n")
        (tmp_path / "host.yaml").write_text("apps: [ one, two ]\n")
        with serving(tmp_path / "one") as server:
            page = server.fetch("/api/x", headers=BROWSER)
            assert (page.status, page.body) == (502, b"<h1>oops one</h1>")
            assert page.get("content-type") == "text/html; charset=utf-8" and page.get("cache-control") == "no-store"
            assert server.fetch("/api/me", headers=BROWSER).get("location") == "/_/sign-in?next=%2Fapi%2Fme"
            page = server.fetch("/api/me", headers={**BROWSER, "Authorization": "Bearer dst_x"})
            assert (page.status, page.body) == (401, b"<h1>sign in</h1>")
            head = server.fetch("/api/x", method="HEAD", headers=BROWSER)
            assert (head.status, head.get("content-length")) == (502, "17")
            assert server.fetch("/api/x", headers={**BROWSER, "If-None-Match": "*"}).status == 502
            assert server.fetch("/api/x").json()["code"] == "bad_gateway"
            assert server.fetch("/api/x", method="POST", headers=BROWSER).json()["code"] == "bad_gateway"
            assert server.fetch("/readyz", method="POST", headers=BROWSER).status == 405
            assert b"oops" not in server.fetch("/api/%00", headers=BROWSER).body
        with serving(tmp_path) as server:
            for name in ("one", "two"):
                body = f"<h1>oops {name}</h1>".encode()
                assert server.fetch(f"/{name}/api/x", headers=BROWSER).body == body
                assert server.fetch("/api/x", headers=BROWSER, host=f"{name}.localhost").body == body
            assert b"oops" not in server.fetch("/nope", headers=BROWSER).body


# ---- limits and smuggling ----------------------------------------------------------------------
def test_bodies_have_a_limit(tmp_path):
    with backend(lambda *_: ok()) as behind, \
         serving(app(tmp_path / "app", behind.url, more=", max_body: 10KB")) as server:
        assert server.fetch("/api/", method="POST", body=b"x" * 10000).status == 200
        assert server.fetch("/api/", method="POST", body=b"x" * 10241).status == 413
        raw = exchange(server, [b"POST /api/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n"]
                       + [b"800\r\n" + b"x" * 2048 + b"\r\n"] * 6)
        assert raw.startswith(b"HTTP/1.1 413 ")
    assert len(behind.requests) == 1


@pytest.fixture(name="whole", scope="module")
def fixture_whole(tmp_path_factory):
    with backend(lambda *_: ok()) as behind:
        with serving(app(tmp_path_factory.mktemp("whole") / "app", behind.url, "/")) as server:
            server.behind = behind
            yield server


BAD = [case[:3] for case in CASES if case[2] >= 400 and case[2] not in (404, 405)] + [
    ("a chunk that overflows",
     b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", 400),
    ("a body beyond all limits", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9223372036854775807\r\n\r\nhello",
     413),
    ("a chunk that is longer",
     b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", 400),
]


@pytest.mark.parametrize("name, raw, status", BAD, ids=[case[0] for case in BAD])
def test_no_malformed_request_reaches_a_backend(whole, name, raw, status):
    seen = len(whole.behind.requests)
    received = exchange(whole, [raw, b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"])
    assert received.startswith(b"HTTP/1.1 %d " % status), (name, received[:200])
    assert len(whole.behind.requests) == seen


# ---- upgrades (their frames: test_websocket.py) --------------------------------------------------
def tunnel_answer(request, sock):
    assert request.get("connection") == "Upgrade" and request.get("upgrade") == "websocket"
    ws = accept(request, sock)
    while True:
        opcode, payload, fin = ws.read()
        ws.send(opcode, payload, fin=fin)


def test_tunnels_carry_bytes_both_ways(tmp_path):
    with backend(tunnel_answer) as behind, serving(app(tmp_path / "app", behind.url)) as server, \
         Conn(server) as conn:
        head = upgrade(server, conn)
        assert head.startswith(b"HTTP/1.1 101 ") and b"Upgrade: websocket\r\n" in head
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        data = bytes(range(256)) * 3000
        writer = threading.Thread(target=lambda: [conn.sock.sendall(frame(BINARY, data)) for _ in range(3)])
        writer.start()
        ws = WebSocket(conn.sock)
        assert [ws.read()[1] for _ in range(3)] == [data] * 3
        writer.join()


def test_tunnels_are_for_welcome_origins(tmp_path):
    with backend(tunnel_answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        for origin, status in (("https://evil.example", 403), ("null", 403),
                               (f"http://127.0.0.1:{server.port}", 101)):
            with Conn(server) as conn:
                assert upgrade(server, conn, headers=[("Origin", origin)]).startswith(b"HTTP/1.1 %d " % status)
    assert len(behind.requests) == 1


@pytest.mark.parametrize("protocol", ["h2c", "websocket, h2c", "echo"])
def test_only_websockets_become_tunnels(echo, protocol):
    """Behind another protocol's tunnel nobody would check paths."""
    headers = told(echo, "/api/x", headers={**UPGRADE, "Upgrade": protocol})["headers"]
    assert header(headers, "upgrade") is None and header(headers, "connection") is None


def test_a_refused_upgrade_is_an_answer(tmp_path):
    with backend(lambda *_: ok(b"no", status=b"426 Upgrade")) as behind, \
         serving(app(tmp_path / "app", behind.url)) as server:
        answer = server.fetch("/api/ws", headers=UPGRADE)
        assert (answer.status, answer.body) == (426, b"no")


# ---- who may ------------------------------------------------------------------------------------
def test_what_is_not_public_is_denied(tmp_path):
    access = (', access: { "/api/": signed_in, "/api/open/": public, "/api/open/notes": { write: operator },'
              ' "/api/never": nobody }')
    with backend(lambda *_: ok()) as behind, \
         serving(app(tmp_path / "app", behind.url, "/", access, tail="auth: { signup: open }\n")) as server:
        for path, method, status in (
                ("/", "GET", 200), ("/elsewhere", "POST", 200), ("/api/", "GET", 401), ("/api/x", "POST", 401),
                ("/api", "GET", 401),
                ("/api/open/", "POST", 200), ("/api/open/notes", "GET", 200), ("/api/open/notes", "POST", 401),
                ("/api/open/notes/1", "DELETE", 401), ("/api/open/notesbook", "DELETE", 200),
                ("/api/never", "GET", 403), ("/x/../api/x", "GET", 401), ("//api/x", "GET", 401),
                ("/%61pi/x", "GET", 401), ("/api/open/../x", "GET", 401), ("/api/open/x", "PROPFIND", 200)):
            assert server.fetch(path, method=method).status == status, (path, method)
    assert len(behind.requests) == 6


# ---- endings -----------------------------------------------------------------------------------
def test_a_client_that_leaves_is_left_at_the_backend_too(tmp_path):
    gone = threading.Event()

    def answer(_, sock):
        if sock.recv(1) == b"":
            gone.set()
        return b"", "close"
    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        with Conn(server) as conn:
            conn.sock.sendall(b"GET /api/ HTTP/1.1\r\n" + HOST + b"\r\n")
            while not behind.requests:
                threading.Event().wait(0.001)
        assert gone.wait(60)


def test_slow_readers_slow_the_backend(tmp_path):
    sent = []

    def answer(_, sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n")
        sock.settimeout(1)
        try:
            while sum(sent) < 300_000_000:
                sent.append(sock.send(b"x" * 100_000))
        except TimeoutError:
            pass
        return b"", "close"
    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server, Conn(server) as conn:
        conn.sock.sendall(b"GET /api/ HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_for(lambda: len(behind.threads) > 1, "the request")
        for thread in list(behind.threads)[1:]:
            thread.join(60)
        assert sum(sent) < 60_000_000  # what the kernels hold


def test_reload_keeps_what_is_under_way(tmp_path, run_dais):
    gate, arrived = threading.Event(), threading.Event()

    def answer(*_):
        arrived.set()
        assert gate.wait(60)
        return ok(b"late")
    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server, Conn(server) as conn:
        conn.sock.sendall(b"GET /api/ HTTP/1.1\r\n" + HOST + b"\r\n")
        assert arrived.wait(60)
        assert run_dais("reload", tmp_path / "app").returncode == 0
        gate.set()
        assert conn.read("GET").body == b"late"
