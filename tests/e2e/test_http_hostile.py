# Hostile bytes over real sockets: one exact answer each, then a closed connection and a living server.
"""The table CASES is the heart: (name, bytes, status). Every case is sent whole, byte by byte and in
random pieces, and must be answered the same way each time by one process that lives to the end."""
import random
import re

import pytest

from conftest import Conn, Broken
from serving import answers, exchange, serving, splits, write_app

HOST = b"Host: localhost\r\n"


def get(target=b"/", headers=b"", version=b"HTTP/1.1", host=HOST, method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + host + headers + b"\r\n"


def post(headers, body=b""):
    return b"POST / HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


CASES = [
    # ---- framing: what smuggles requests --------------------------------------------------------
    ("two lengths", post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"), 400),
    ("same length twice", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), 400),
    ("length list", post(b"Content-Length: 5, 5\r\n", b"hello"), 400),
    ("length plus", post(b"Content-Length: +5\r\n", b"hello"), 400),
    ("length minus", post(b"Content-Length: -5\r\n", b"hello"), 400),
    ("length hex", post(b"Content-Length: 0x5\r\n", b"hello"), 400),
    ("length empty", post(b"Content-Length:\r\n", b"hello"), 400),
    ("length fraction", post(b"Content-Length: 5.0\r\n", b"hello"), 400),
    ("length 2^63", post(b"Content-Length: 9223372036854775808\r\n"), 400),
    ("length 2^64", post(b"Content-Length: 18446744073709551616\r\n"), 400),
    ("length of 300 digits", post(b"Content-Length: " + b"9" * 300 + b"\r\n"), 400),
    ("length and chunked", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    ("chunked and length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), 400),
    ("chunked twice", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    ("chunked, chunked", post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 400),
    ("chunked not last", post(b"Transfer-Encoding: chunked, gzip\r\n"), 400),
    ("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    ("coding identity", post(b"Transfer-Encoding: identity\r\n", b"hello"), 400),
    ("coding xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    ("coding in quotes", post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400),
    ("coding with tab inside", post(b"Transfer-Encoding: chun\tked\r\n", b"0\r\n\r\n"), 400),
    ("coding empty", post(b"Transfer-Encoding:\r\n"), 400),
    ("space before colon", post(b"Content-Length : 5\r\n", b"hello"), 400),
    ("space before the name", b"GET / HTTP/1.1\r\n Content-Length: 5\r\n" + HOST + b"\r\n", 400),
    ("chunked in HTTP/1.0", get(headers=b"Transfer-Encoding: chunked\r\n", version=b"HTTP/1.0"), 400),
    # ---- lines and bytes --------------------------------------------------------------------------
    ("obs-fold", get(headers=b"X-A: one\r\n two\r\n"), 400),
    ("obs-fold by tab", get(headers=b"X-A: one\r\n\ttwo\r\n"), 400),
    ("bare LF after the request line", b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
    ("bare LF after a header", b"GET / HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    ("bare LF at the end", b"GET / HTTP/1.1\r\n" + HOST + b"\n", 400),
    ("bare CR in a value", get(headers=b"X-A: one\rX-B: two\r\n"), 400),
    ("NUL in a value", get(headers=b"X-A: a\0b\r\n"), 400),
    ("NUL in a name", get(headers=b"X-\0A: ab\r\n"), 400),
    ("NUL in the target", get(b"/a\0b"), 400),
    ("DEL in a value", get(headers=b"X-A: a\x7fb\r\n"), 400),
    ("escape in a value", get(headers=b"X-A: \x1b[31m\r\n"), 400),
    ("no colon", get(headers=b"Nonsense\r\n"), 400),
    ("empty name", get(headers=b": value\r\n"), 400),
    ("name in UTF-8", get(headers="X-Ä: 1\r\n".encode()), 400),
    ("a comma in a name", get(headers=b"X,A: 1\r\n"), 400),
    # ---- the request line -------------------------------------------------------------------------
    ("no version", b"GET /\r\n" + HOST + b"\r\n", 400),
    ("HTTP/2.0", get(version=b"HTTP/2.0"), 505),
    ("HTTP/1.2", get(version=b"HTTP/1.2"), 505),
    ("HTTP/0.9", get(version=b"HTTP/0.9"), 505),
    ("HTTP/1.10", get(version=b"HTTP/1.10"), 400),
    ("http in small letters", get(version=b"http/1.1"), 400),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32, 400),
    ("two spaces", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a tab for a space", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a space in the target", get(b"/a b"), 400),
    ("no slash", get(b"index.html"), 400),
    ("an asterisk with GET", get(b"*"), 400),
    ("a fragment", get(b"/a#b"), 400),
    ("a method in brackets", get(method=b"(GET)"), 400),
    ("CONNECT", get(b"example.com:443", method=b"CONNECT"), 501),
    ("ftp target", get(b"ftp://localhost/"), 400),
    ("user in the target", get(b"http://me@localhost/"), 400),
    ("empty authority", get(b"http:///etc"), 400),
    # ---- Host -------------------------------------------------------------------------------------
    ("no Host", get(host=b""), 400),
    ("two Hosts", get(headers=b"Host: other\r\n"), 400),
    ("Host with a path", get(host=b"Host: localhost/evil\r\n"), 400),
    ("Host with a user", get(host=b"Host: me@localhost\r\n"), 400),
    ("Host with a space", get(host=b"Host: local host\r\n"), 400),
    ("Host with a port that is none", get(host=b"Host: localhost:8x\r\n"), 400),
    # ---- sizes ------------------------------------------------------------------------------------
    ("a header of 100 KB", get(headers=b"X-A: " + b"a" * 100_000 + b"\r\n"), 431),
    ("10,000 headers", get(headers=b"".join(b"X-%d: 1\r\n" % i for i in range(10_000))), 431),
    ("101 headers", get(headers=b"".join(b"X-%d: 1\r\n" % i for i in range(101))), 431),
    ("an address of 65 KB", get(b"/" + b"a" * 65_000), 414),
    ("a query of 65 KB", get(b"/?" + b"a" * 65_000), 414),
    ("65 KB that never ends its line", b"GET /" + b"a" * 70_000, 414),
    ("a method of 70 KB", b"A" * 70_000, 414),
    ("a header that never ends", b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000, 431),
    # ---- paths ------------------------------------------------------------------------------------
    ("escaped slash", get(b"/a%2fb"), 400),
    ("escaped slash in capitals", get(b"/a%2Fb"), 400),
    ("escaped NUL", get(b"/a%00b"), 400),
    ("escaped newline", get(b"/a%0d%0aX: y"[:9]), 400),
    ("escaped backslash", get(b"/..%5c..%5cdais.yaml"), 400),
    ("backslash", get(b"/..\\..\\dais.yaml"), 400),
    ("half an escape", get(b"/%2"), 400),
    ("an escape of letters", get(b"/%zz"), 400),
    ("above the root", get(b"/../dais.yaml"), 400),
    ("above the root, escaped", get(b"/%2e%2e/dais.yaml"), 400),
    ("above the root, later", get(b"/a/../../dais.yaml"), 400),
    ("overlong slash", get(b"/..%c0%afdais.yaml"), 400),
    ("a surrogate", get(b"/%ed%a0%80"), 400),
    ("half a character", get(b"/%c3"), 400),
    # ---- Expect and bodies nobody takes -----------------------------------------------------------
    ("unknown expectation", get(headers=b"Expect: 200-ok\r\n"), 417),
    ("expectation with a body to a file", post(b"Expect: 100-continue\r\nContent-Length: 5\r\n"), 405),
    ("a body to a file", post(b"Content-Length: 5\r\n", b"hello"), 405),
    ("a body of 2^63-1", post(b"Content-Length: 9223372036854775807\r\n", b"hello"), 405),
    ("a chunk that overflows", post(b"Transfer-Encoding: chunked\r\n", b"FFFFFFFFFFFFFFFFF\r\n"), 405),
    ("GET with a body", get(headers=b"Content-Length: 5\r\n") + b"hello", 200),
    ("GET with a chunked body", get(headers=b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 200),
    ("GET with a slow body", get(headers=b"Content-Length: 5\r\n"), 200),
]

# Requests that are fine, however odd they look: (name, bytes, statuses of the answers).
FINE = [
    ("absolute target", get(b"http://localhost/"), [200]),
    ("absolute target, other Host", get(b"http://localhost/", host=b"Host: evil.example\r\n"), [200]),
    ("absolute target without a path", get(b"http://localhost"), [200]),
    ("double slash", get(b"//index.html"), [200]),
    ("double slash, a host", get(b"//evil.example/"), [404]),
    ("a dot", get(b"/./index.html"), [200]),
    ("up and down", get(b"/x/../index.html"), [200]),
    ("double escape", get(b"/%252e%252e/dais.yaml"), [404]),
    ("escaped letters", get(b"/%69ndex.html"), [200]),
    ("empty line before", b"\r\n" + get(), [200]),
    ("unknown method", get(method=b"BREW"), [405]),
    ("TRACE", get(method=b"TRACE"), [405]),
    ("100 headers", get(headers=b"".join(b"X-%d: 1\r\n" % i for i in range(98))), [200]),
    ("latin-1 in a value", get(headers=b"X-A: caf\xe9\r\n"), [200]),
    ("an empty value", get(headers=b"X-A:\r\n"), [200]),
    ("length zero", get(headers=b"Content-Length: 0\r\n"), [200]),
    ("three in one", get() + get(b"/nothing.txt") + get(), [200, 404, 200]),
]

# The second request must never be seen: whoever is in front of us believed it was a body.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLING = {
    "CL.TE": post(b"Content-Length: 60\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE.CL": post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                  b"2c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    "TE.TE": post(b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n", b"0\r\n\r\n" + SMUGGLED),
    "CL.0": post(b"Content-Length: 45\r\n", SMUGGLED),
    "GET CL.0": get(headers=b"Content-Length: 45\r\n") + SMUGGLED,
    "0.CL by space": post(b"Content-Length : 45\r\n", SMUGGLED),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: 45\r\n", SMUGGLED),
    "folded": post(b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 45\r\n", SMUGGLED),
    "chunk extension with LF": post(b"Transfer-Encoding: chunked\r\n", b"0;\nxx\r\n\r\n" + SMUGGLED),
    "chunk size with 0x": post(b"Transfer-Encoding: chunked\r\n", b"0x0\r\n\r\n" + SMUGGLED),
    "after a refusal": get(b"/%zz") + SMUGGLED,
    "after a bare CR": get(headers=b"X: a\r\r\n") + SMUGGLED,
}


def ids(table):
    return [row[0].replace(" ", "-") for row in table]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = write_app(tmp_path_factory.mktemp("hostile") / "app", {
        "web/index.html": "<h1>hello</h1>\n", "web/big.bin": random.Random(1).randbytes(300_000)})
    with serving(folder) as running:
        pid = running.proc.pid
        yield running
        assert running.fetch("/").status == 200
        assert running.proc.poll() is None and running.proc.pid == pid


@pytest.fixture(scope="module", autouse=True)
def slow_heads(server):
    """Three heads that trickle in while the other tests run; looked at by the last test."""
    conns = [Conn(server, 20) for _ in range(3)]
    conns[0].send(b"G")
    conns[1].send(b"GET / HTTP/1.1\r\nHost: local")
    conns[2].request("/").read()
    conns[2].send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n")
    yield conns
    for conn in conns:
        conn.close()


def seen(server, data, parts):
    """What one conversation shows: the answers without what differs from one to the next."""
    raw = exchange(server, parts)
    found = answers(raw, ["GET"] * 9)
    for answer in found:
        assert re.fullmatch(r"[A-Za-z0-9_-]{15,64}", answer.get("x-request-id"))
        if answer.status >= 400:
            check_problem(answer)
    varying = ("date", "x-request-id")
    del data
    return [(a.status, [h for h in a.headers if h[0] not in varying],
             re.sub(rb'"request_id":"[^"]+"', b"", a.body)) for a in found]


def check_problem(answer):
    """RFC 9457, nothing of the inside, the same request id as in the header."""
    assert answer.get("content-type") == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.get("x-request-id")
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id"}
    assert answer.get("x-content-type-options") == "nosniff"
    assert answer.get("cache-control") == "no-store"
    assert "/" not in problem["detail"].replace("HTTP/1.", "")


@pytest.mark.parametrize("name, data, status", CASES, ids=ids(CASES))
def test_hostile_bytes_get_one_answer_and_the_end(server, name, data, status):
    rng = random.Random(name)
    whole = seen(server, data, [data])
    assert [one[0] for one in whole] == [status]
    assert ("connection", "close") in whole[0][1]
    assert seen(server, data, splits(rng, data, 7)) == whole
    if len(data) < 400:
        assert seen(server, data, [data[i:i + 1] for i in range(len(data))]) == whole
    assert server.proc.poll() is None


@pytest.mark.parametrize("name, data, statuses", FINE, ids=ids(FINE))
def test_odd_bytes_are_answered_and_the_connection_goes_on(server, name, data, statuses):
    rng = random.Random(name)
    last = get(headers=b"Connection: close\r\n")
    for parts in ([data], splits(rng, data, 5), [data[i:i + 1] for i in range(len(data))]):
        found = answers(exchange(server, [*parts, last]))
        assert [a.status for a in found] == [*statuses, 200]
        assert [a.get("connection") for a in found] == [None] * len(statuses) + ["close"]


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=[k.replace(" ", "-") for k in SMUGGLING])
def test_a_smuggled_request_is_never_answered(server, data):
    for parts in ([data], splits(random.Random(data), data, 6)):
        found = answers(exchange(server, parts))
        assert len(found) == 1, [a.status for a in found]
        assert found[0].get("connection") == "close"
        assert b"smuggled" not in found[0].body


def test_head_methods_and_versions(server):
    raw = exchange(server, [get(method=b"HEAD", headers=b"Connection: close\r\n")])
    head = answers(raw, ["HEAD"])[0]
    assert head.status == 200 and int(head.get("content-length")) > 0
    for connection, expected in ((b"", "close"), (b"Connection: keep-alive\r\n", "keep-alive")):
        with server.connect() as conn:
            answer = conn.send(get(version=b"HTTP/1.0", headers=connection)).read()
            assert (answer.status, answer.get("connection")) == (200, expected)
    with server.connect() as conn:
        options = conn.request("/", "OPTIONS").read("OPTIONS")
        assert options.status == 204 and "GET" in options.get("allow")
        assert conn.request("/", "DELETE").read().get("allow") == options.get("allow")
        assert conn.send(get(b"*", method=b"OPTIONS")).read("OPTIONS").status == 204


def test_pipelined_requests_are_answered_in_order(server):
    wanted = [f"/nothing-{i}" for i in range(200)]
    data = b"".join(get(path.encode(), b"X-N: %d\r\n" % i) for i, path in enumerate(wanted))
    found = answers(exchange(server, [data, get(headers=b"Connection: close\r\n")]))
    assert [a.status for a in found] == [404] * 200 + [200]
    assert len({a.get("x-request-id") for a in found}) == 201


def test_a_client_that_stops_sending_still_gets_its_answers(server):
    data = get() * 300 + get(b"/big.bin") + get() * 300
    found = answers(exchange(server, [data], half_close=True))
    assert [a.status for a in found] == [200] * 601


def test_pipelining_large_answers_without_reading_is_bounded(server):
    """Each answer is larger than the socket takes; what is read ahead must not pile up."""
    one = get(b"/big.bin", b"X-Pad: " + b"p" * 80 + b"\r\n")
    with server.connect(20) as conn:
        conn.sock.settimeout(0.2)
        sent = 0
        try:
            for _ in range(40):
                sent += conn.sock.send(one * 200)
        except TimeoutError:
            pass
        conn.sock.settimeout(20)
        for _ in range(40):
            assert len(conn.read().body) == 300_000
    assert server.proc.poll() is None, server.story()
    assert server.fetch("/").status == 200


def test_random_damage_never_ends_the_process(server):
    """Every case with random bytes changed, many on one connection: any answer, but the end."""
    rng = random.Random(20261121)
    for _ in range(150):
        data = bytearray(rng.choice(CASES[:60])[1][:3000])
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(b"\0\r\n :\x80\xff%/;0")
        raw = exchange(server, [bytes(data)], half_close=True)
        for answer in answers(raw):
            assert answer.status in (200, 400, 404, 405, 414, 417, 431, 501, 505)
    assert server.fetch("/").status == 200


def test_slow_heads_are_cut_off_after_ten_seconds(slow_heads):
    """Begun when this module began, so that nothing waits here but the rest of the ten seconds."""
    for conn in slow_heads:
        answer = conn.read(deadline=60)
        assert answer.status == 408 and answer.get("connection") == "close"
        check_problem(answer)
        assert conn.at_end()
        with pytest.raises(Broken):
            conn.read(deadline=1)
