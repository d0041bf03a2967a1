# What the server says about itself: /metrics strictly parsed, its sums exact, health, ids, the debug verbs.
import contextlib
import math
import os
import re
import signal
import socket
import threading
import time

import pytest

from conftest import ROOT, Conn, fetch, wait_for
from s3 import S3
from serving import resident_kb, serving, write_app

FORWARDING = ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Forwarded-Host: localhost",
              "X-Forwarded-Proto: https", "X-Real-IP: 127.0.0.1"]
DOCUMENTED = re.compile(r"`(dais_[a-z0-9_]+|process_[a-z_]+)(?:\{([a-z,]+)\})?`")


# ---- Prometheus' text format 0.0.4, strictly -----------------------------------------------------------
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP_LINE = re.compile(rf"# HELP ({NAME}) ((?:[^\\]|\\\\|\\n)+)\Z")
TYPE_LINE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)\Z")
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([-+0-9.eE]+|[+-]Inf|NaN)\Z")
PART = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"')


class Metrics:
    """A page of /metrics; anything that the format does not allow is an AssertionError."""

    def __init__(self, text):
        self.types, self.helps, self.series, self.order = {}, {}, {}, []
        assert text.endswith("\n") and "\r" not in text
        for line in text[:-1].split("\n"):
            self._line(line)
        assert set(self.types) == set(self.helps) >= set(self.order)
        for name, kind in self.types.items():
            self._family(name, kind)

    def _line(self, line):
        if match := HELP_LINE.match(line):
            assert match[1] not in self.helps and match[1] not in self.types, line
            self.helps[match[1]] = match[2]
        elif match := TYPE_LINE.match(line):
            assert match[1] in self.helps and match[1] not in self.types, line
            self.types[match[1]] = match[2]
        else:
            self._sample(line)

    def _sample(self, line):
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        labels = PART.findall(match[2] or "")
        assert len(dict(labels)) == len(labels), f"a label twice: {line!r}"
        family = self._family_of(match[1])
        if not self.order or self.order[-1] != family:
            assert family not in self.order, f"{family} is not in one piece"
            self.order.append(family)
        key = (match[1], frozenset(labels))
        assert key not in self.series, f"twice: {line!r}"
        self.series[key] = float(match[3])

    def _family_of(self, name):
        base = re.sub(r"_(bucket|sum|count)\Z", "", name)
        family = base if self.types.get(base) == "histogram" else name
        assert family in self.types, f"{name} before its TYPE"
        return family

    def _family(self, name, kind):
        values = [v for (key, _), v in self.series.items() if self._family_of(key) == name]
        assert all(math.isfinite(v) and v >= 0 for v in values), name
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        if kind == "histogram":
            self._histogram(name)

    def _histogram(self, name):
        of = {}
        for (key, labels), value in self.series.items():
            if key == name + "_bucket":
                rest = frozenset(pair for pair in labels if pair[0] != "le")
                of.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
        for labels, buckets in of.items():
            bounds, counts = zip(*buckets)
            assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, name
            assert list(counts) == sorted(counts), f"{name} is not cumulative"
            total, spent = self.series[name + "_count", labels], self.series[name + "_sum", labels]
            assert counts[-1] == total and (spent == 0 or total > 0)
            least = sum(lower * (b - a) for lower, a, b in zip([0, *bounds], [0, *counts], counts))
            most = sum(upper * (b - a) for upper, a, b in zip(bounds, [0, *counts], counts) if b > a)
            slack = total * 1e-6  # spent is in whole microseconds, each cut off
            assert least - slack <= spent <= most + slack, f"{name}{labels}: {least} {spent} {most}"

    def get(self, name, **labels):
        return self.series.get((name, frozenset(labels.items())), 0)

    def requests(self):
        """{(route, status): count}."""
        return {(dict(labels)["route"], int(dict(labels)["status"])): int(value)
                for (name, labels), value in self.series.items() if name == "dais_requests_total"}

    def counters(self):
        return {(name, labels): value for (name, labels), value in self.series.items()
                if self.types[self._family_of(name)] != "gauge"}


def metrics(target):
    answer = fetch(target, "/metrics")
    assert answer.status == 200 and answer.get("cache-control") == "no-store"
    assert answer.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.body.decode())


BAD_PAGES = {
    "no newline at the end": "# HELP a b\n# TYPE a gauge\na 1",
    "sample first": "a 1\n# HELP a b\n# TYPE a gauge\n",
    "no type": "# HELP a b\na 1\n",
    "twice": '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n',
    "two pieces": "# HELP a b\n# TYPE a gauge\n# HELP c d\n# TYPE c gauge\na 1\nc 1\na{x=\"1\"} 2\n",
    "no type at all": "# HELP a b\n",
    "bad escape": '# HELP a b\n# TYPE a gauge\na{x="\\t"} 1\n',
    "open quote": '# HELP a b\n# TYPE a gauge\na{x="1} 1\n',
    "empty line": "# HELP a b\n# TYPE a gauge\n\na 1\n",
    "not a number": "# HELP a b\n# TYPE a gauge\na x\n",
    "counter's name": "# HELP a b\n# TYPE a counter\na 1\n",
    "not cumulative": '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    "no +Inf": '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
    "other count": '# HELP a b\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n',
    "sum too small": '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 0\na_bucket{le="+Inf"} 2\na_sum 1\na_count 2\n',
    "sum too large": '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 2\na_sum 3\na_count 2\n',
}


@pytest.mark.parametrize("text", BAD_PAGES.values(), ids=BAD_PAGES)
def test_the_parser_itself_is_strict(text):
    with pytest.raises((AssertionError, KeyError)):
        Metrics(text)


# ---- one server for all that only asks -----------------------------------------------------------------
@pytest.fixture
def app(tmp_path):
    folder = write_app(tmp_path / "app", {"web/index.html": "<h1>hello</h1>\n", "web/a.txt": "0123456789",
                                        "web/docs/index.html": "docs\n", "web/big.bin": b"x" * 300_000},
                       "web: { root: web, fallback: index.html, redirects: { /old: /new } }\n")
    with open(folder / "web/huge.bin", "wb") as file:
        file.truncate(32 << 20)
    return folder


@pytest.fixture
def server(app):
    with serving(app) as running:  # the first connection only saw whether the port accepts
        wait_for(lambda: (m := metrics(running)).requests().get(("metrics", 200)) ==
                 m.get("dais_connections_total") - 2 > 0, "counting the first connection")
        yield running


def socket_of(server):
    return os.path.join(server.command[server.command.index("serve") + 1], "data", "dais.sock")


def settled(target):
    """The figures when no connection but the asking one is left."""
    return wait_for(lambda: (m := metrics(target)).get("dais_connections_open") == 1 and m, "quiet")


# ---- /metrics ------------------------------------------------------------------------------------------
@pytest.fixture
def storing(tmp_path):
    """With everything that has figures of its own: documents, accounts, files, jobs, an object store."""
    app = write_app(tmp_path / "full", {"web/index.html": "hello"}, """web: { root: web }
auth: { signup: open }
collections: { notes: { owner: true } }
files: { uploads: { owner: true } }
jobs: { tidy: { use: prune.run } }
""")
    with S3() as s3, serving(app, env={**s3.env, "STORAGE_BACKEND": "s3"}) as server:
        yield server


def test_metrics_are_what_the_page_on_them_says(storing, run_dais):
    server = storing
    documented = {name: set(filter(None, labels.split(","))) for name, labels in
                  DOCUMENTED.findall((ROOT / "docs/API.md").read_text())}
    server.fetch("/")
    server.fetch("/metrics")
    page = metrics(server)
    assert set(page.types) == set(documented)
    for (name, labels), _ in page.series.items():
        keys = {key for key, _ in labels} - {"le"}
        assert keys == documented[page._family_of(name)], name
    version, release = re.search(r"(\S+) \((\w+)\)", run_dais("version").stdout).groups()
    assert page.get("dais_build_info", version=version, release=release, mode=mode_of(page)) == 1


def mode_of(page):
    return next(dict(labels)["mode"] for name, labels in page.series if name == "dais_build_info")


N = 7
KINDS = {  # what is sent, how often it counts, as what
    "200": ("GET /a.txt", "", ("web", 200)),
    "head": ("HEAD /a.txt", "", ("web", 200)),
    "deep link": ("GET /deep/er/link", "", ("web", 200)),
    "304": ("GET /a.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", ("web", 304)),
    "206": ("GET /a.txt", "Range: bytes=2-4\r\n", ("web", 206)),
    "206 in parts": ("GET /a.txt", "Range: bytes=0-0,5-6\r\n", ("web", 206)),
    "416": ("GET /a.txt", "Range: bytes=99-\r\n", ("web", 416)),
    "404": ("GET /missing.png", "", ("web", 404)),
    "404 of the host": ("GET /_/nothing", "", ("missing", 404)),
    "405": ("DELETE /a.txt", "", ("web", 405)),
    "options": ("OPTIONS /a.txt", "", ("web", 204)),
    "options *": ("OPTIONS *", "", ("whole_server", 204)),
    "redirect": ("GET /old", "", ("web", None)),
    "folder": ("GET /docs", "", ("web", None)),
    "large": ("GET /big.bin", "", ("web", 200)),
    "health": ("GET /healthz", "", ("healthz", 200)),
    "ready": ("GET /_/readyz", "", ("readyz", 200)),
    "forbidden": ("GET /readyz", "X-Forwarded-For: 9.9.9.9\r\n", ("readyz", 403)),
    "malformed": ("GET  /", "", ("none", 400)),
    "no such version": ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", None, ("none", 505)),
    "bad path": ("GET /%zz", "", ("none", 400)),
    "long header": ("GET /", f"X-A: {'a' * 70000}\r\n", ("none", 431)),
}


@pytest.mark.parametrize("what, more, key", KINDS.values(), ids=KINDS)
def test_each_answer_counts_once_and_every_byte_too(server, what, more, key):
    before = settled(server)
    sent = received = status = 0
    text = what if more is None else f"{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"
    for _ in range(N):
        status, size = raw(server, text.encode())
        sent, received = sent + len(text), received + size
    page = settled(server)
    route, expected = key
    assert status == (expected or status) and status != 0
    grown = {k: v - before.requests().get(k, 0) for k, v in page.requests().items()}
    asks = grown.pop(("metrics", 200))
    assert {k: v for k, v in grown.items() if v} == {(route, status): N}
    took = (page.get("dais_request_duration_seconds_count", route=route)
            - before.get("dais_request_duration_seconds_count", route=route))
    assert took == N
    assert (page.get("dais_connections_total") - before.get("dais_connections_total")) == N + asks
    check_bytes(server, before, sent, received)


def raw(server, data):
    """Status and number of bytes of what comes back until the end."""
    with Conn(server) as conn:
        conn.send(data)
        got = b""
        while chunk := conn.sock.recv(1 << 16):
            got += chunk
        return int(got[9:12]), len(got)


def check_bytes(server, before, sent, received):
    """Asking has its price too: it is known for what comes in, and small for what goes out."""
    ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    page = settled(server)
    asks = page.requests()["metrics", 200] - before.requests()["metrics", 200]
    taken = page.get("dais_received_bytes_total") - before.get("dais_received_bytes_total")
    assert taken == sent + asks * len(ask)
    given = page.get("dais_sent_bytes_total") - before.get("dais_sent_bytes_total")
    assert received < given < received + asks * 40_000


def test_every_byte_sent_is_counted(server):
    """On one connection the figures before and after differ by what was received in between."""
    with server.connect() as conn:
        def sent():
            size = len(conn.left)
            head = conn.request("/metrics").read()
            assert size == 0 and not conn.left
            return Metrics(head.body.decode()).get("dais_sent_bytes_total"), head

        first, answer = sent()
        wire = len(answer.body) + sum(len(k) + len(v) + 4 for k, v in answer.headers) + len(answer.head) + 4
        for path in ("/a.txt", "/big.bin", "/missing.png", "/old"):
            answer = conn.request(path).read()
            wire += len(answer.body) + sum(len(k) + len(v) + 4 for k, v in answer.headers)
            wire += len(answer.head) + 4
        second, _ = sent()
    assert second - first == wire


def test_bytes_that_come_while_an_answer_goes_out_are_counted(server):
    before, more = settled(server), "GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.connect(60) as conn:
        conn.request("/huge.bin")
        conn._more(time.monotonic() + 30)  # the answer has begun; so much fits into no socket
        ahead = conn.send(more * 3)
        assert len(ahead.read().body) == 32 << 20
        assert [conn.read().body for _ in range(3)] == [b"0123456789"] * 3
    check_bytes(server, before, 3 * len(more) + len(more) + len("huge.bin") - len("a.txt"), 32 << 20)


def test_connections_are_counted_from_opening_to_closing(server):
    before = settled(server)
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(server.connect()) for _ in range(50)]
        for conn in conns[:20]:
            conn.request("/").read()
        for conn in conns[20:30]:
            conn.send("GET / HTTP/1.1\r\n")
        page = wait_for(lambda: (m := metrics(server)).get("dais_connections_open") == 51
                        and m.get("dais_connections_idle") == 40 and m, "51 open, 40 idle")
        assert page.get("dais_connections_refused_total") == 0
    page = settled(server)
    assert page.get("dais_connections_idle") == 0
    asks = page.requests()["metrics", 200] - before.requests()["metrics", 200]
    assert page.get("dais_connections_total") - before.get("dais_connections_total") == 50 + asks
    assert page.get("dais_lane_depth", lane="slow") == 0


def test_a_thousand_paths_and_methods_make_no_thousand_series(server):
    for path, method in (("/", "GET"), ("/missing.txt", "GET"), ("/", "X")):
        server.fetch(path, method=method)
    before = settled(server)
    with server.connect() as conn:
        for n in range(1000):
            name = f"/{os.urandom(6).hex()}{n}" + ("" if n % 3 else ".txt") + ("?q" if n % 5 else "")
            conn.request(name, host=f"h{n}.example", headers={"X-Request-Id": f"id-{n}"}).read()
    for n in range(20):
        raw(server, f"M{n} /{n} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    page = settled(server)
    assert not set(page.series) - set(before.series)
    assert sum(page.requests().values()) - sum(before.requests().values()) >= 1020


def test_lanes_memory_and_uptime_are_true(server):
    first = metrics(server)
    for _ in range(10):
        metrics(server)
    page = metrics(server)
    done = page.get("dais_lane_done_total", lane="slow") - first.get("dais_lane_done_total", lane="slow")
    assert done == 11  # each /metrics is one work of the slow lane, counted when it is over
    assert (page.get("dais_lane_wait_seconds_total", lane="slow")
            > first.get("dais_lane_wait_seconds_total", lane="slow"))
    lanes = {dict(labels)["lane"] for name, labels in page.series if name == "dais_lane_depth"}
    assert {"read", "write", "slow"} <= lanes
    assert page.get("dais_lane_done_total", lane="write") == 0
    held = page.get("process_resident_memory_bytes") / 1024
    assert held > 1000
    wait_for(lambda: abs(metrics(server).get("process_resident_memory_bytes") / 1024
                         - resident_kb(server.proc.pid)) < 2048, "the same as the kernel's")
    sizes = len("<h1>hello</h1>\n") + 10 + 5
    assert sizes <= page.get("dais_static_memory_bytes") < 10_000_000
    with open(f"/proc/{server.proc.pid}/stat", encoding="ascii") as file:
        since = int(file.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")

    def differs():
        said = metrics(server).get("dais_uptime_seconds")
        with open("/proc/uptime", encoding="ascii") as file:
            return float(file.read().split()[0]) - since - said
    wait_for(lambda: -2 < differs() < 2, "its age")


def test_no_counter_decreases_over_reloads(server):
    for path in ("/", "/missing.png", "/old", "/healthz"):
        server.fetch(path)
    pages = [settled(server)]
    for n in range(5):
        server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda n=n: metrics(server).get("dais_reloads_total") == n + 1, "reloading")
        server.fetch("/")
        pages.append(settled(server))
    for old, new in zip(pages, pages[1:]):
        assert not set(old.counters()) - set(new.counters())
        assert all(new.counters()[key] >= value for key, value in old.counters().items())
        assert set(new.series) - set(old.series) <= {key for key in new.series if "metrics" in str(key)}
    assert pages[-1].requests()["web", 200] - pages[0].requests()["web", 200] == 5
    assert (pages[-1].get("dais_static_memory_bytes") == pages[1].get("dais_static_memory_bytes"))
    manifest = os.path.join(os.path.dirname(os.path.dirname(socket_of(server))), "dais.yaml")
    with open(manifest, "a", encoding="ascii") as file:
        file.write("nonsense: 1\n")
    server.proc.send_signal(signal.SIGHUP)
    page = wait_for(lambda: (m := metrics(server)).get("dais_reload_failures_total") == 1 and m, "refusing")
    assert page.get("dais_reloads_total") == 5


def test_requests_whose_client_left_are_counted(server):
    """Their bytes are read before the end is seen, so none may be missing."""
    before = settled(server).requests()
    for _ in range(40):
        server.connect().request("/a.txt").close()
        server.connect().request("/missing.png").close()
    page = wait_for(lambda: (m := settled(server)).requests().get(("web", 404), 0) >= 40 and
                    m.requests().get(("web", 200), 0) >= 40 and m, "counting them")
    grown = {key: value - before.get(key, 0) for key, value in page.requests().items()}
    assert (grown["web", 200], grown["web", 404]) == (40, 40)
    assert set(grown) == {("web", 200), ("web", 404), ("metrics", 200)}


# ---- /healthz and /readyz -------------------------------------------------------------------------------
OWN_HOSTS = ["localhost", "127.0.0.1:1", "[::1]", "app.localhost", "LOCALHOST:80", "10.1.2.3", "[2001:db8::1]:8080"]
FOREIGN_HOSTS = ["example.com", "a" * 200 + ".example", "localhost.example", "127.0.0.1.example.com", "xlocalhost"]
HOSTS = OWN_HOSTS + FOREIGN_HOSTS


@pytest.mark.parametrize("path, body", [("/healthz", {"ok": True}), ("/readyz", {"ready": True, "checks": {}})])
def test_health_for_every_name_method_and_condition(server, path, body):
    for target in (path, "/_" + path):
        for host in HOSTS if path == "/healthz" else OWN_HOSTS:
            answer = server.fetch(target, host=host)
            assert (answer.status, answer.json()) == (200, body)
            assert answer.get("content-type") == "application/json"
            assert answer.get("cache-control") == "no-store"
            assert not answer.get("etag") and not answer.get("last-modified")
        head = server.fetch(target, method="HEAD")
        assert head.status == 200 and head.get("content-length") == str(len(answer.body))
        for name, value in (("If-None-Match", "*"), ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
                            ("Range", "bytes=0-0")):
            assert server.fetch(target, headers={name: value}).body == answer.body
        assert server.fetch(target + "?verbose=1").status == 200
        refused = server.fetch(target, method="POST", body=b"x")
        assert (refused.status, refused.get("allow")) == (405, "GET, HEAD")
        with server.connect() as conn:
            conn.send(f"GET {target} HTTP/1.0\r\n\r\n")
            assert conn.read().status == 200


@pytest.mark.parametrize("line", FORWARDING)
def test_who_comes_through_a_proxy_sees_health_alone(server, line):
    headers = [tuple(line.split(": "))]
    for path in ("/readyz", "/_/readyz", "/metrics", "/_/metrics"):
        answer = server.fetch(path, headers=headers)
        assert answer.status == 403 and answer.json()["code"] == "forbidden"
        assert answer.get("cache-control") == "no-store" and b"dais_" not in answer.body
    assert server.fetch("/healthz", headers=headers).json() == {"ok": True}


@pytest.mark.parametrize("name", FOREIGN_HOSTS)
def test_a_page_whose_name_was_made_to_lead_here_sees_health_alone(server, name):
    for path in ("/readyz", "/_/readyz", "/metrics", "/_/metrics"):
        answer = server.fetch(path, host=name + ":8080")
        assert answer.status == 403 and answer.json()["code"] == "forbidden" and "localhost" in answer.json()["detail"]
        assert answer.get("cache-control") == "no-store" and b"dais_" not in answer.body
    assert server.fetch("/healthz", host=name).json() == {"ok": True}


def test_other_machines_see_health_alone(app):
    own = next((ip for ip in own_addresses() if not ip.startswith("127.")), None)
    if not own:
        pytest.skip("optional: this machine has no address but loopback; the forwarding headers stand for it")
    with serving(app, listen=f"{own}:0") as server:
        assert server.fetch("/healthz").status == 200
        assert server.fetch("/readyz").status == server.fetch("/metrics").status == 403
        assert fetch(socket_of(server), "/readyz").status == fetch(socket_of(server), "/metrics").status == 200


def own_addresses():
    with open("/proc/net/fib_trie", encoding="ascii") as file:
        return re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", file.read())


def test_while_draining_it_is_alive_and_not_ready(server):
    with server.connect() as health, server.connect() as ready, server.connect() as head:
        for conn in (health, ready, head):
            conn.send("G" if conn is not head else "H")
        wait_for(lambda: debug(server, "conns").count(" head ") == 3, "three beginnings")
        server.proc.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping: finishing open requests" in server.stderr, "draining")
        answer = health.send("ET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").read()
        assert (answer.status, answer.json(), answer.get("connection")) == (200, {"ok": True}, "close")
        answer = ready.send("ET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").read()
        assert answer.status == 503 and answer.get("cache-control") == "no-store"
        assert answer.get("retry-after") == "2" and answer.json()["code"] == "unavailable"
        assert answer.get("x-request-id") == answer.json()["request_id"]
        answer = head.send("EAD /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").read("HEAD")
        assert answer.status == 503
    assert server.proc.wait(60) == 0


# ---- X-Request-Id and X-Release ----------------------------------------------------------------------------
ID = re.compile(r"[A-Za-z0-9_-]{15,64}")


def test_every_answer_has_an_id_and_the_release(server, run_dais):
    release = re.search(r"\((\w+)\)", run_dais("version").stdout)[1]
    seen = set()
    for what, more, (_, status) in KINDS.values():
        text = what if more is None else f"{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"
        with server.connect() as conn:
            answer = conn.send(text).read(text.split()[0])
        assert status in (answer.status, None)
        assert ID.fullmatch(answer.get("x-request-id")) and answer.get("x-release") == release
        if answer.get("content-type") == "application/problem+json" and answer.body:
            assert answer.json()["request_id"] == answer.get("x-request-id")
        seen.add(answer.get("x-request-id"))
    assert len(seen) == len(KINDS)
    server.proc.send_signal(signal.SIGHUP)
    wait_for(lambda: metrics(server).get("dais_reloads_total") == 1, "reloading")
    assert server.fetch("/").get("x-release") == release


def test_ten_thousand_ids_differ(server):
    seen = set()
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(server.connect()) for _ in range(4)]
        for _ in range(50):
            for conn in conns:
                conn.send(b"HEAD /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            for conn in conns:
                seen |= {conn.read("HEAD").get("x-request-id") for _ in range(50)}
    assert len(seen) == 10_000 and all(ID.fullmatch(one) for one in seen)


TAKEN = ["0123456789abcdef", "a-b_C9", "x" * 63]
NOT_TAKEN = ["", "a b", "x" * 64, "x" * 300, "<b>", 'a"b', "a,b", "a\tb", "\u00fc", "a\u0001", "a;b", "../x"]


def test_ids_of_trusted_proxies_are_taken_when_well_formed(app):
    with serving(app, env={"DAIS_TRUSTED_PROXIES": "127.0.0.1"}) as server:
        for given in TAKEN:
            for path in ("/", "/missing.png", "/readyz"):
                assert server.fetch(path, headers={"X-Request-Id": given}).get("x-request-id") == given
        for given in NOT_TAKEN:
            answer = server.fetch("/", headers={"X-Request-Id": given})
            if answer.status == 200:
                assert ID.fullmatch(answer.get("x-request-id")) and answer.get("x-request-id") != given
            else:
                assert answer.status == 400 and "\u0001" in given
    for env in ({}, {"DAIS_TRUSTED_PROXIES": "10.0.0.0/8"}):
        with serving(app, env=env) as server:
            for given in TAKEN:
                got = server.fetch("/", headers={"X-Request-Id": given, "X-Forwarded-For": "10.0.0.1"})
                assert got.get("x-request-id") != given


# ---- dais debug -----------------------------------------------------------------------------------------
def debug(server, what):
    return fetch(socket_of(server), "/debug/" + what).body.decode()


def test_debug_conns_is_right_with_fifty_open(app, server, run_dais):
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(server.connect()) for _ in range(50)]
        for n, conn in enumerate(conns[:30]):
            for _ in range(n):
                conn.request("/").read()
        for conn in conns[30:40]:
            conn.send("GET / HTTP/1.1\r\n")
        wait_for(lambda: debug(server, "conns").count(" head ") == 10, "ten half heads")
        done = run_dais("debug", "conns", app)
        assert done.returncode == 0 and done.stderr == ""
        head, *rows = done.stdout.splitlines()
        assert head.split() == ["loop", "peer", "state", "age_ms", "requests", "route"]
        cells = [row.split() for row in rows]
        assert sorted(int(c[4]) for c in cells if c[1] == "127.0.0.1" and c[2] == "idle" and int(c[4])) == \
            list(range(1, 30))
        assert sum(c[2] == "head" for c in cells) == 10
        assert [c[2:3] + c[5:] for c in cells if c[1] == "unix"] == [["run", "control_conns"]]
        assert len(cells) == 51 and all(len(c) == 5 for c in cells if c[1] != "unix")
        assert all(0 <= int(c[3]) < 60_000 and int(c[0]) in range(64) for c in cells)
        mem = run_dais("debug", "mem", app).stdout
        assert re.search(r"^connections:\s+51$", mem, re.M)
    wait_for(lambda: len(debug(server, "conns").splitlines()) == 2, "only the asking one")


def test_debug_lanes_and_mem_have_their_shape(app, server, run_dais):
    done = run_dais("debug", "lanes", app)
    head, *rows = done.stdout.splitlines()
    columns = ["lane", "running", "workers", "depth", "depth_max", "done", "refused", "wait_avg_us", "run_avg_us"]
    assert done.returncode == 0 and head.split() == columns
    table = {row.split()[0]: dict(zip(columns, row.split())) for row in rows}
    assert set(table) >= {"read", "write", "slow"} and table["write"]["workers"] == "1"
    assert table["slow"]["running"] == "1"  # the one that answers this
    again = {row.split()[0]: row.split() for row in debug(server, "lanes").splitlines()[1:]}
    assert int(again["slow"][5]) == int(table["slow"]["done"]) + 1
    mem = run_dais("debug", "mem", app)
    assert mem.returncode == 0 and mem.stderr == ""
    shown = dict(re.fullmatch(r"([A-Za-z ]+):\s+(\d+)(?: kB)?", line).groups() for line in mem.stdout.splitlines())
    assert list(shown) == ["VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "heap in use", "heap free",
                           "mapped", "static files", "connections"]
    assert int(shown["VmRSS"]) > 1000
    wait_for(lambda: abs(int(re.search(r"VmRSS:\s+(\d+)", debug(server, "mem"))[1])
                         - resident_kb(server.proc.pid)) < 2048, "the same as the kernel's")
    assert shown["connections"] == "1"


def test_the_control_socket_is_its_owners(app, server):
    path = app / "data/dais.sock"
    assert path.is_socket() and oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct((app / "data").stat().st_mode & 0o777) == "0o700"
    assert path.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("state", ["never", "stopped", "killed", "file", "garbage"])
def test_debug_without_a_server_says_what_to_do(app, tmp_path, run_dais, state):
    if state in ("stopped", "killed"):
        with serving(app) as server:
            server.stop() if state == "stopped" else server.kill()
        assert (app / "data/dais.sock").exists() is (state == "killed")
    path, said = app / "data/dais.sock", "no running server was found at"
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        if state == "file":
            (app / "data").mkdir()
            path.write_text("not a socket")
        if state == "garbage":
            (app / "data").mkdir()
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(60)
            said = "is no dais"
        for what in ("conns", "lanes", "mem"):
            if state == "garbage":
                done = ask_garbage(listener, run_dais, what, app)
            else:
                done = run_dais("debug", what, app)
            assert done.returncode == 6 and done.stdout == "" and said in done.stderr, done
            assert len(done.stderr.splitlines()) == 1
    assert run_dais("debug", app).returncode == run_dais("debug").returncode == 1


def ask_garbage(listener, run_dais, what, app):
    def answer():
        conn, _ = listener.accept()
        with conn:
            conn.recv(1000)
            conn.sendall(b"220 mail\r\n")
    thread = threading.Thread(target=answer)
    thread.start()
    done = run_dais("debug", what, app)
    thread.join()
    return done
