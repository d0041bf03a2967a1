# Hostile clients and hostile backends, with dais between them: never two requests out of one, never an
# answer that was not meant, never more memory.
"""DAIS_TEST_LARGE_MB=10240 DAIS_BIN=build/release/dais: with bodies of 10 GB, half a minute each."""
import contextlib
import json
import os
import random
import socket
import struct
import threading
import time

import pytest

from backend import backend, ok
from conftest import DAIS_BIN, Broken, Conn, wait_for
from serving import answers, exchange, resident_kb, serving, splits, write_app
from test_http_hostile import FINE, HOST, SMUGGLED, SMUGGLING, get
from ws import UPGRADE

IS_RELEASE = "release" in str(DAIS_BIN)
LARGE = int(os.environ.get("DAIS_TEST_LARGE_MB", "200")) << 20
GROWTH_KB = 12_000 if IS_RELEASE else 400_000  # a sanitizer keeps what was freed for a while
MANIFEST = 'backend: {{ url: "{url}", routes: [ / ]{more} }}\n'


@contextlib.contextmanager
def world(tmp_path, answer, more=""):
    """A backend behind a dais, which has it as `behind`."""
    with backend(answer) as behind:
        with serving(write_app(tmp_path / "app", None, MANIFEST.format(url=behind.url, more=more))) as server:
            server.behind = behind
            yield server


def reasons(server, count=0):
    """What the log says about a failing backend, once there are so many lines."""
    if count:
        wait_for(lambda: len(reasons(server)) >= count, "a line in the log")
    lines = [json.loads(line) for line in server.stderr.splitlines() if '"the backend failed"' in line]
    return [line["why"] for line in lines]


# ---- clients: one request in, one request out ----------------------------------------------------
@pytest.fixture(name="recorder", scope="module")
def fixture_recorder(tmp_path_factory):
    with world(tmp_path_factory.mktemp("recorder"), lambda request, _: ok(request.body)) as server:
        yield server


def chunked(body, headers=b""):
    return b"POST /one HTTP/1.1\r\n" + HOST + headers + b"Transfer-Encoding: chunked\r\n\r\n" + body


@pytest.mark.parametrize("name", SMUGGLING)
def test_what_is_smuggled_never_arrives(recorder, name):
    data = SMUGGLING[name]
    for parts in ([data], splits(random.Random(data), data, 6)):
        seen = len(recorder.behind.requests)
        with contextlib.suppress(Broken):
            exchange(recorder, parts, deadline=5, half_close=True)
        new = recorder.behind.requests[seen:]
        assert len(new) <= 1 and not [one for one in new if "smuggled" in one.target]


REFUSED = {
    "a size with an underscore": (chunked(b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"), 400),
    "a size in another sign": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "a size of 17 digits": (chunked(b"00000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "a size that wraps": (chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "a size of 2^63": (chunked(b"8000000000000000\r\nhello\r\n0\r\n\r\n"), 400),
    "a space before a size": (chunked(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    "a space behind a size": (chunked(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "a tab before an extension": (chunked(b"5\t;a=b\r\nhello\r\n0\r\n\r\n"), 400),
    "LF behind a size": (chunked(b"5\nhello\r\n0\r\n\r\n"), 400),
    "LF behind a chunk": (chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    "LF in an extension": (chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), 400),
    "CR in an extension": (chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400),
    "NUL in an extension": (chunked(b"5;a=\0\r\nhello\r\n0\r\n\r\n"), 400),
    "an open quote": (chunked(b'5;a="b\r\nhello\r\n0\r\n\r\n'), 400),
    "20 KB of extensions": (chunked(b"5;a=" + b"b" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"), 431),
    "20 KB of trailers": (chunked(b"0\r\n" + b"A: b\r\n" * 6000 + b"\r\n"), 431),
    "a trailer that frames": (chunked(b"0\r\nContent-Length: 5\r\n\r\n"), 400),
    "a trailer that authorizes": (chunked(b"0\r\nAuthorization: Bearer x\r\n\r\n"), 400),
    "a trailer with LF": (chunked(b"0\r\nA: b\n\r\n"), 400),
    "a folded trailer": (chunked(b"0\r\nA: b\r\n c\r\n\r\n"), 400),
    "two codings in two lines": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: gzip\r\n"), 400),
    "an odd chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    "Expect of something else": (get(headers=b"Expect: 101-upgrade\r\n"), 417),
    "Expect twice": (chunked(b"0\r\n\r\n", b"Expect: 100-continue\r\nExpect: 100-continue\r\n"), 400),
    "an absolute target of no host": (get(b"http://"), 400),
    "an absolute target with a user": (get(b"http://a@b/"), 400),
    "65 KB of path": (get(b"/" + b"a" * 65_000), 414),
    "65 KB of escapes": (get(b"/" + b"%41" * 22_000), 414),
    "10,000 headers": (get(headers=b"A: b\r\n" * 10_000), 431),
    "a header of 100 KB": (get(headers=b"A: " + b"b" * 100_000 + b"\r\n"), 431),
    "CONNECT": (get(b"127.0.0.1:22", method=b"CONNECT"), 501),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_refused_before_it_is_a_request(recorder, name):
    data, status = REFUSED[name]
    for parts in ([data + SMUGGLED], splits(random.Random(name), data + SMUGGLED, 5)):
        seen = len(recorder.behind.requests)
        found = answers(exchange(recorder, parts))
        assert [one.status for one in found] == [status] and found[0].get("connection") == "close"
        assert len(recorder.behind.requests) == seen


PASSED = {
    "extensions": (chunked(b'5;a=b;c="d;e"\r\nhello\r\n0;y\r\n\r\n'),
                   b"hello"),
    "trailers": (chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"), b"hello"),
    "leading zeros": (chunked(b"0000005\r\nhello\r\n000\r\n\r\n"), b"hello"),
    "one byte each": (chunked(b"".join(b"1\r\n%c\r\n" % c for c in b"hello") + b"0\r\n\r\n"), b"hello"),
    "Connection names the length": (b"POST /one HTTP/1.1\r\n" + HOST + b"Connection: Content-Length\r\n"
                                    b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "Connection names the coding": (chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Connection: transfer-encoding\r\n"),
                                    b"hello"),
    "Connection names the host": (b"POST /one HTTP/1.1\r\n" + HOST + b"Connection: host\r\n"
                                  b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "a body that looks like one": (b"POST /one HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
                                   + SMUGGLED, SMUGGLED),
    "GET with a body": (b"GET /one HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize("name", PASSED)
def test_odd_bodies_arrive_as_one_request(recorder, name):
    data, body = PASSED[name]
    last = get(b"/two", headers=b"Connection: close\r\n")
    for parts in ([data + last], splits(random.Random(name), data + last, 7)):
        seen = len(recorder.behind.requests)
        found = answers(exchange(recorder, parts))
        assert [one.status for one in found] == [200, 200] and found[0].body == body
        new = recorder.behind.requests[seen:]
        assert [(one.target, one.body) for one in new] == [("/one", body), ("/two", b"")]
        assert new[0].get("host") == "localhost" and not new[0].all("x-sum") + new[0].all("trailer")


@pytest.mark.parametrize("target, host", [
    (b"http://other.example/one?a=b", "other.example"), (b"HTTP://other.example:81/one?a=b", "other.example:81"),
    (b"http://other.example/%6fne?a=b", "other.example"),
])
def test_an_absolute_target_becomes_a_path_and_a_host(recorder, target, host):
    answers(exchange(recorder, [get(target, headers=b"Connection: close\r\n")]))
    request = recorder.behind.requests[-1]
    assert (request.target, request.get("host"), request.get("x-forwarded-host")) == ("/one?a=b", host, host)


def test_who_expects_a_word_gets_it_from_us(recorder):
    with Conn(recorder) as conn:
        conn.sock.sendall(b"POST /one HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        interim = b""
        while not interim.endswith(b"\r\n\r\n"):
            interim += conn.sock.recv(1)
        assert interim.startswith(b"HTTP/1.1 100 ")
        conn.sock.sendall(b"hello")
        assert conn.read("POST").body == b"hello"
    assert recorder.behind.requests[-1].get("expect") is None


def test_everything_odd_but_fine_is_still_one_request_each(recorder):
    for name, data, statuses in FINE:
        if b"evil.example/" in data or name in ("unknown method", "TRACE"):
            continue
        seen = len(recorder.behind.requests)
        found = answers(exchange(recorder, [data, get(b"/two", headers=b"Connection: close\r\n")]))
        assert len(found) == len(statuses) + 1, name
        assert len(recorder.behind.requests) - seen == len(found), name


# ---- backends: no answer that was not meant ------------------------------------------------------
FRAME = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x3f\xff\xff\xff"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
BAD_HEADS = {
    "garbage": b"\x00\x01\x02garbage\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a frame of HTTP/2": FRAME + b"\r\n\r\n",
    "HTTP/2 in letters": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/3.0": b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "10,000 headers": HEAD + b"A: b\r\n" * 10_000 + b"\r\n",
    "a header of 100 KB": HEAD + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
    "an endless line": b"HTTP/1.1 200 " + b"O" * 200_000,
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "the same length twice": LONG + b"Content-Length: 5\r\n\r\nhello",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a length of 65 bits": HEAD + b"Content-Length: 18446744073709551616\r\n\r\nhello",
    "a length and chunks": LONG + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a space before a colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "a folded line": HEAD + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "bare LF once": HEAD + b"A: b\nContent-Length: 5\r\n\r\nhello",
    "bare CR": HEAD + b"A: b\rc\r\nContent-Length: 5\r\n\r\nhello",
    "NUL in a value": HEAD + b"A: b\0c\r\nContent-Length: 5\r\n\r\nhello",
    "no colon": HEAD + b"nonsense\r\nContent-Length: 5\r\n\r\nhello",
    "status 99": ok(status=b"99 What"), "status 099": ok(status=b"099 What"), "status 0": ok(status=b"0 What"),
    "status 600": ok(status=b"600 What"), "status 999": ok(status=b"999 What"),
    "status 1000": ok(status=b"1000 What"), "status 2OO": ok(status=b"2OO OK"), "status -1": ok(status=b"-1 What"),
    "no status": b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "a flood of 100": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "a flood of 103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 5000 + ok(),
    "101 unasked": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a line": b"HTTP/1.",
}
SILENT = ("nothing", "half a head", "half a line")  # wrong only because no more comes


@pytest.fixture(name="teller", scope="module")
def fixture_teller(tmp_path_factory):
    """A backend that answers /NAME as BAD_HEADS says, and leaves the connection open; /close/NAME closes."""
    def answer(request, _):
        what = request.target.strip("/").replace("%20", " ")
        if what == "fine":
            return ok(b"fine")
        if what.startswith("close/"):
            return BAD_HEADS[what[6:]], "close"
        return BAD_HEADS[what]
    with world(tmp_path_factory.mktemp("teller"), answer, ", timeout: 10s") as server:
        yield server


# Those that are silent and stay are for the time-outs below.
@pytest.mark.parametrize("name, end", [(name, end) for name in BAD_HEADS for end in ("open", "close")
                                       if end == "close" or name not in SILENT])
def test_a_head_that_is_none_is_502_and_the_connection_is_done_with(teller, name, end):
    path = ("/close/" if end == "close" else "/") + name.replace(" ", "%20")
    told = len(reasons(teller))
    answer = teller.fetch(path, method="POST")
    assert answer.status == 502 and answer.json()["code"] == "bad_gateway"
    assert teller.fetch("/fine").body == b"fine"
    bad, fine = teller.behind.requests[-2:]
    assert bad.connection != fine.connection
    why = reasons(teller, told + 1)
    assert len(why) == told + 1 and len(why[-1]) > 10


@pytest.mark.parametrize("name", SILENT)
def test_a_head_that_does_not_come_is_504(tmp_path, name):
    gate = threading.Event()

    def answer(_, sock):
        sock.sendall(BAD_HEADS[name])
        gate.wait(20)
        return b"", "close"
    with world(tmp_path, answer, ", timeout: 500ms") as server:
        assert server.fetch("/").status == 504
        assert reasons(server, 1) == ["the answer did not begin in time"]
        gate.set()


def test_an_endless_flood_of_interim_answers_ends(tmp_path):
    ended = threading.Event()

    def answer(_, sock):
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
        ended.set()
        return b"", "close"
    with world(tmp_path, answer) as server:
        assert server.fetch("/", method="POST").status == 502
        assert ended.wait(10) and reasons(server, 1) == ["too many interim answers"]


def test_a_few_interim_answers_are_skipped(tmp_path):
    with world(tmp_path, lambda *_: b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 5
               + ok(b"at last")) as server:
        answer = server.fetch("/")
        assert (answer.status, answer.body, answer.get("link")) == (200, b"at last", None)


BAD_BODIES = {  # (bytes, does the backend close?)
    "short": (LONG + b"\r\nhell", True),
    "chunks without an end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", True),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", True),
    "a chunk that is longer": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", False),
    "a chunk that overflows": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello", False),
    "chunks with LF": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", False),
    "a forbidden trailer": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
                            False),
    "endless trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 10_000,
                         False),
    "short and silent": (LONG + b"\r\nhell", False),
    "silent between chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", False),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_breaks_off_is_never_made_whole(tmp_path, name):
    data, closes = BAD_BODIES[name]

    def answer(request, _):
        if request.target == "/fine":
            return ok(b"fine")
        return (data, "close") if closes else data
    with world(tmp_path, answer, ", timeout: 3s") as server:
        with pytest.raises((Broken, ConnectionResetError)):
            server.fetch("/", method="POST")
        for _ in range(3):
            assert server.fetch("/fine").body == b"fine"
        bad, *fine = server.behind.requests
        assert bad.connection not in [one.connection for one in fine]
        assert reasons(server, 1)


EXTRA = {
    "more than its length": LONG + b"\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "an answer more": ok(b"hello") + ok(b"evil"),
    "an answer more, in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + ok(b"evil"),
    "garbage behind it": ok(b"hello") + b"\r\n",
    "a body of a 204": b"HTTP/1.1 204 None\r\n\r\n" + ok(b"evil"),
    "a body of a 304": b"HTTP/1.1 304 Same\r\nContent-Length: 4\r\n\r\nevil",
}


@pytest.mark.parametrize("name", EXTRA)
def test_what_nobody_asked_for_is_nobodys_answer(tmp_path, name):
    with world(tmp_path, lambda request, _: EXTRA[name] if request.target == "/bad" else ok(b"fine")) as server:
        for method in ("GET", "POST"):
            with Conn(server) as conn:
                answer = conn.request("/bad", method).read(method)
                assert answer.status in (200, 204, 304) and answer.body in (b"hello", b"")
                for _ in range(3):
                    assert conn.request("/fine").read().body == b"fine"
        done = set()
        for one in server.behind.requests:
            assert one.connection not in done, "it was used again"
            if one.target == "/bad":
                done.add(one.connection)
        assert len(done) == 2


def test_a_body_of_a_head_request_is_nobodys(tmp_path):
    with world(tmp_path, lambda request, _: ok(b"evil") if request.method == "HEAD" else ok(b"fine")) as server:
        with Conn(server) as conn:
            for _ in range(3):
                assert conn.request("/", "HEAD").read("HEAD").body == b""
                assert conn.request("/").read().body == b"fine"


# ---- bodies and sides that do not keep up --------------------------------------------------------
@contextlib.contextmanager
def raw_backend(serve):
    """A backend that is only sockets: serve(sock, head) once the head of a request is there."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads, count = [], []

    def run(sock):
        with sock, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = sock.recv(1)
                if not byte:
                    return
                head += byte
            serve(sock, head)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock = listener.accept()[0]
                sock.settimeout(60)
                count.append(sock)
                threads.append(threading.Thread(target=run, args=(sock,), daemon=True))
                threads[-1].start()
    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", count
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        for sock in count:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)


@contextlib.contextmanager
def raw_world(tmp_path, serve, more=""):
    with raw_backend(serve) as (url, count):
        with serving(write_app(tmp_path / "app", None, MANIFEST.format(url=url, more=more))) as server:
            server.count = count
            yield server


BLOCK = bytearray(1 << 20)


def pour(sock, n):
    """Sends n bytes; how many were taken."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < n:
            sent += sock.send(memoryview(BLOCK)[:min(len(BLOCK), n - sent)])
    return sent


def drain(sock, n):
    room, got = bytearray(1 << 20), 0
    while got < n and (count := sock.recv_into(room, min(len(room), n - got))):
        got += count
    return got


class Peak:
    """The most memory a process had while the block ran, in KB more than before."""

    def __init__(self, pid):
        self.pid, self.ended = pid, threading.Event()

    def _watch(self):
        while not self.ended.wait(0.02):
            self.most = max(self.most, resident_kb(self.pid))

    def __enter__(self):
        self.most = self.before = resident_kb(self.pid)
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.grown = self.most - self.before


@pytest.mark.parametrize("framing", ["length", "chunks", "until the end"])
def test_a_huge_download_takes_no_memory(tmp_path, framing):
    def serve(sock, _):
        if framing == "length":
            sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % LARGE)
            pour(sock, LARGE)
        elif framing == "chunks":
            sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(LARGE >> 20):
                sock.sendall(b"100000\r\n")
                sock.sendall(BLOCK)
                sock.sendall(b"\r\n")
            sock.sendall(b"0\r\n\r\n")
        else:
            sock.sendall(HEAD + b"\r\n")
            pour(sock, LARGE)
    with raw_world(tmp_path, serve) as server, Conn(server, 300) as conn:
        conn.sock.settimeout(60)
        with Peak(server.proc.pid) as peak:
            conn.sock.sendall(get())
            got = drain(conn.sock, LARGE)
        assert got == LARGE and peak.grown < GROWTH_KB


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_huge_upload_takes_no_memory(tmp_path, framing):
    got = []

    def serve(sock, _):
        got.append(drain(sock, LARGE))
        if framing == "chunks":
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                tail = tail[-10:] + sock.recv(1 << 20)
        sock.sendall(ok(b"thanks"))
    with raw_world(tmp_path, serve, ", max_body: 20GB") as server, Conn(server, 300) as conn:
        conn.sock.settimeout(60)
        with Peak(server.proc.pid) as peak:
            if framing == "length":
                conn.sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % LARGE)
                assert pour(conn.sock, LARGE) == LARGE
            else:
                conn.sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
                for _ in range(LARGE >> 20):
                    conn.sock.sendall(b"100000\r\n")
                    conn.sock.sendall(BLOCK)
                    conn.sock.sendall(b"\r\n")
                conn.sock.sendall(b"0\r\n\r\n")
            assert conn.read("POST").body == b"thanks"
        assert got == [LARGE] and peak.grown < GROWTH_KB


def test_what_is_declared_too_large_is_refused_unread(tmp_path):
    with raw_world(tmp_path, lambda *_: None, ", max_body: 1MB") as server:
        for more in (b"", b"Expect: 100-continue\r\n"):
            with Conn(server) as conn:
                conn.sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + more + b"Content-Length: %d\r\n\r\n" % (10 << 30))
                answer = conn.read("POST")
                assert answer.status == 413 and answer.get("connection") == "close"
        assert not server.count


def test_slow_readers_of_large_answers_cost_little_and_stop_nobody(tmp_path):
    size = 100 << 20

    def serve(sock, head):
        if b"/small" in head:
            sock.sendall(ok(b"small"))
            return
        sock.sendall(HEAD + (b"Content-Length: %d\r\n\r\n" % size if b"/sized" in head else b"\r\n"))
        pour(sock, size)
    with raw_world(tmp_path, serve) as server, contextlib.ExitStack() as open_ones:
        with Peak(server.proc.pid) as peak:
            for path in (b"/sized", b"/endless") * 4:
                conn = open_ones.enter_context(Conn(server))
                conn.sock.sendall(get(path))
                assert conn.sock.recv(1000)
            seconds = []
            for _ in range(50):
                began = time.monotonic()
                assert server.fetch("/small").body == b"small"
                seconds.append(time.monotonic() - began)
            assert sorted(seconds)[25] < 1, seconds  # the machine may hold up a few of them
        assert peak.grown < (8 * 600 if IS_RELEASE else 30_000)


def test_a_backend_that_reads_nothing_is_504_and_takes_no_memory(tmp_path):
    gate = threading.Event()
    with raw_world(tmp_path, lambda *_: gate.wait(30), ", max_body: 1GB, timeout: 1s") as server, Conn(server) as conn:
        conn.sock.settimeout(20)
        with Peak(server.proc.pid) as peak:
            conn.sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (500 << 20))
            assert pour(conn.sock, 500 << 20) < 100 << 20
        assert peak.grown < (2000 if IS_RELEASE else 60_000)
        with contextlib.suppress(ConnectionResetError, Broken):  # who still sends may miss it
            assert conn.read("POST").status == 504
        assert reasons(server, 1) == ["the other side did not read the request in time"]
        gate.set()


@pytest.mark.parametrize("how", ["ends", "resets"])
def test_a_backend_that_goes_while_the_client_uploads_is_502(tmp_path, how):
    def serve(sock, _):
        drain(sock, 100_000)
        if how == "resets":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with raw_world(tmp_path, serve, ", max_body: 1GB") as server, Conn(server) as conn:
        conn.sock.settimeout(20)
        conn.sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (500 << 20))
        began = time.monotonic()
        assert pour(conn.sock, 500 << 20) < 100 << 20
        assert time.monotonic() - began < 18  # it would wait for twenty
        with contextlib.suppress(ConnectionResetError, Broken):  # who still sends may miss it
            assert conn.read("POST").status == 502
        assert reasons(server, 1) and len(server.count) == 1


def test_an_answer_before_the_body_is_there_is_the_answer(tmp_path):
    """And what is left of the request is nobody's: neither connection goes on."""
    def serve(sock, head):
        if b"/fine" in head:
            sock.sendall(ok(b"fine"))
            return
        sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nnever")
        drain(sock, 1 << 40)
    with raw_world(tmp_path, serve, ", max_body: 1GB") as server, Conn(server) as conn:
        conn.sock.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
        answer = conn.read("POST")
        assert (answer.status, answer.body, answer.get("connection")) == (403, b"never", "close")
        assert server.fetch("/fine").body == b"fine"
        assert len(server.count) == 2


# ---- upgrades that are none ----------------------------------------------------------------------
@pytest.mark.parametrize("status", [b"200 OK", b"403 No", b"404 None", b"500 Oops"])
def test_a_refused_upgrade_is_an_ordinary_answer(tmp_path, status):
    with world(tmp_path, lambda *_: ok(b"body", status=status)) as server, Conn(server) as conn:
        for _ in range(2):
            answer = conn.request("/ws", headers=UPGRADE).read()
            assert (answer.status, answer.body) == (int(status[:3]), b"body")
        assert server.behind.connections == 1


def test_what_follows_a_refused_upgrade_is_a_request(tmp_path):
    """A client that believed in the tunnel already must not talk past us."""
    with world(tmp_path, lambda *_: ok(b"body", status=b"426 Upgrade")) as server:
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in UPGRADE.items())
        found = answers(exchange(server, [get(b"/ws", lines) + get(b"/%00")]))
        assert [one.status for one in found] == [426, 400]
        assert [one.target for one in server.behind.requests] == ["/ws"]
