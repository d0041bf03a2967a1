# What the server writes down: lines that parse strictly, hold no secret, are there once, and never hold it up.
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import DAIS_BIN, REPORT, URL, Broken, Conn, clean_env, fetch, wait_for
from serving import exchange, serving, write_app

LEVELS = ("debug", "info", "warn", "error")
OF_REQUEST = {"time": str, "level": str, "msg": str, "id": str, "method": str, "path": str, "mount": str,
              "route": str, "status": int, "bytes": int, "us": int, "client": str}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


# ---- reading a log strictly ----------------------------------------------------------------------------
def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def pairs_once(pairs):
    assert len(dict(pairs)) == len(pairs), f"a key twice: {pairs}"
    return dict(pairs)


def parse(raw):
    """All lines of a log in JSON; AssertionError or ValueError when one of them is not strictly that."""
    assert not raw or raw.endswith(b"\n")
    rows = []
    for line in raw.decode("utf-8", "strict").split("\n")[:-1]:
        row = json.loads(line, parse_constant=no_constant, object_pairs_hook=pairs_once)
        assert list(row)[:3] == ["time", "level", "msg"] and row["level"] in LEVELS, row
        assert TIME.fullmatch(row["time"]) and len(line.encode()) < 8192
        if row["msg"] == "request":
            wrong = {key for key in OF_REQUEST if type(row.get(key)) is not OF_REQUEST[key]}
            assert not wrong and set(row) - set(OF_REQUEST) <= {"error", "where", "cut"}, row
            assert 0 <= row["us"] < 60_000_000 and row["bytes"] >= 0
        rows.append(row)
    return rows


def requests(raw):
    return [row for row in parse(raw) if row["msg"] == "request"]


class Logged:
    """A server whose log is a file; `requests(n)` waits for that many lines about requests."""

    def __init__(self, server, path):
        self.server, self.path = server, path

    def raw(self):
        """Only whole lines: one may just be on its way."""
        data = self.path.read_bytes()
        return data[:data.rfind(b"\n") + 1]

    def requests(self, n):
        wait_for(lambda: self.raw().count(b'"msg":"request"') >= n, f"{n} lines")
        return requests(self.raw())


@contextlib.contextmanager
def logged(folder, level="info", env=None):
    path = folder.parent / "dais.log"
    with serving(folder, env={"DAIS_LOG": f"{level},{path}", **(env or {})}) as server:
        yield Logged(server, path)
    parse(path.read_bytes())
    assert not server.stderr


@pytest.fixture
def app(tmp_path):
    return write_app(tmp_path / "app", {"web/index.html": "<h1>hello</h1>\n", "web/a.txt": "0123456789",
                                        "web/big.bin": b"x" * 300_000},
                     "web: { root: web, redirects: { /old: /new } }\n")


# ---- every line ----------------------------------------------------------------------------------------
HOSTILE = {
    "quotes": b'/%22,%22level%22:%22error', "backslashes": b"/%5C%5C%5c%22", "raw quote": b'/a"b',
    "line break": b'/a%0A{%22msg%22:%22request%22}', "CRLF": b"/a%0d%0a%0d%0a", "tab": b"/%09",
    "terminal": b"/%1b[2J%1b]0;x%07", "C1": b"/%c2%9b31m", "delete": b"/%7f",
    "not UTF-8": b"/%ff%fe%80", "overlong": b"/%c0%af%e0%80%af", "surrogate": b"/%ed%a0%80",
    "cut character": b"/" + b"a" * 1022 + b"%e2%82%ac" * 3, "lone tail": b"/%e2%82", "beyond": b"/%f5%80%80%80",
    "U+2028": b"/%e2%80%a8%e2%80%a9%e2%80%ae", "raw bytes": b"/\xff\xfe\xc3", "raw UTF-8": "/größe".encode(),
    "8 KB": b"/" + b"a" * 8000, "all control": b"/" + b"%01" * 2000, "all quotes": b"/" + b"%22" * 2000,
    "all invalid": b"/" + b"%ff" * 2600, "NUL": b"/%00", "bad escape": b"/%zz", "empty": b"",
    "as text": b"/%20status=200%20route=web", "braces": b"/}%7d]", "60 KB": b"/" + b"b" * 60_000,
}


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_path_makes_one_strict_line(app, target):
    with logged(app) as log:
        with log.server.connect() as conn:
            conn.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = conn.read()
            assert conn.at_end()
        other = log.server.fetch("/a.txt").get("x-request-id")
        row, after = sorted(log.requests(2), key=lambda row: row["id"] == other)
        assert (row["status"], after["status"]) == (answer.status, 200)
        assert row["id"] == answer.get("x-request-id") and row["bytes"] == len(answer.body)
        assert "cut" not in row and len(row["path"].encode()) <= 3 * 1024  # U+FFFD has three bytes
        assert row["route"] == {400: "-", 414: "-", 431: "-"}.get(answer.status, "web")
        if answer.status >= 400:
            assert row["error"] and row["where"]


@pytest.mark.parametrize("target", [HOSTILE[k] for k in ("terminal", "C1", "not UTF-8", "as text", "line break",
                                                         "raw bytes", "all control", "U+2028")])
def test_a_hostile_path_is_harmless_as_text(app, target):
    with logged_text(app) as (server, path):
        exchange(server, [b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"])
        line = wait_for(lambda: [x for x in path.read_bytes().split(b"\n") if b" request " in x], "a line")
        text = line[0].decode("utf-8", "strict")
        assert len(line) == 1 and text.isprintable(), text
        assert len(re.findall(r" status=\d+", re.sub(r'"(\\.|[^"\\])*"', '""', text))) == 1


@contextlib.contextmanager
def logged_text(folder):
    path = folder.parent / "text.log"
    with serving(folder, env={"DAIS_LOG": f"{path},text"}) as server:
        yield server, path


def test_each_request_is_one_line_with_the_answers_figures(app):
    with logged(app, "debug") as log:
        sent, rows = {}, {}
        for method, path, headers in (("GET", "/a.txt", {}), ("HEAD", "/a.txt", {}), ("GET", "/old", {}),
                                      ("GET", "/a.txt", {"Range": "bytes=1-3"}), ("GET", "/big.bin", {}),
                                      ("GET", "/a.txt", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
                                      ("GET", "/a.txt", {"Range": "bytes=99-"}), ("DELETE", "/a.txt", {}),
                                      ("OPTIONS", "/a.txt", {}), ("GET", "/none.png", {}), ("GET", "/healthz", {}),
                                      ("GET", "/metrics", {}), ("GET", "/readyz", {"X-Real-IP": "9.9.9.9"})):
            begin = time.monotonic()
            answer = log.server.fetch(path, method=method, headers=headers)
            rows = {row["id"]: row for row in log.requests(len(sent) + 1)}  # the server may end its work after us
            spent = (time.monotonic() - begin) * 1e6
            sent[answer.get("x-request-id")] = (method, path, answer.status, len(answer.body), spent)
        assert set(rows) == set(sent)
        for name, (method, path, status, size, spent) in sent.items():
            row = rows[name]
            assert (row["method"], row["path"], row["status"], row["bytes"]) == (method, path, status, size)
            assert row["us"] <= spent and row["client"] == "127.0.0.1" and row["mount"] == ""
            quiet = path in ("/healthz", "/metrics", "/readyz")
            assert row["level"] == ("debug" if quiet else "info")


def test_four_crowds_at_once_leave_one_line_each(app):
    with logged(app) as log, contextlib.ExitStack() as stack:
        conns = [stack.enter_context(log.server.connect(60)) for _ in range(8)]
        seen = []
        for _ in range(10):
            for n, conn in enumerate(conns):
                conn.send(f"HEAD /{'%c3%a9' * 20}{n} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 40)
            for conn in conns:
                seen += [conn.read("HEAD").get("x-request-id") for _ in range(40)]
        rows = log.requests(len(seen))
        assert sorted(row["id"] for row in rows) == sorted(seen)


def reset(conn):
    """Closes with a reset instead of an end."""
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def test_who_leaves_before_the_answer_is_one_line_too(app):
    def both(log):
        lines = log.raw().count(b'"route":"metrics"')  # first: the page counts all but itself
        page = fetch(app / "data/dais.sock", "/metrics").body.decode()
        return [lines, sum(map(int, re.findall(
            r'^dais_requests_total\{route="metrics",status="(?:200|499)"\} (\d+)$', page, re.M)))]

    with logged(app, "debug") as log:
        for path in ("/a.txt", "/big.bin", "/metrics"):
            for _ in range(30):
                log.server.connect().request(path).close()
        wait_for(lambda: log.raw().count(b'"msg":"request"') >= 90, "ninety lines")
        # One worker answers /metrics: of twenty at once most are waiting for it when they are reset.
        wait_for(lambda: resets(log) or b'"status":499' in log.raw(), "one that left in time")
        wait_for(lambda: len(set(both(log))) == 1, "as many lines as are counted")
        rows = requests(log.raw())
        assert len({row["id"] for row in rows}) == len(rows)
        for path in ("/a.txt", "/big.bin"):
            assert sum(row["path"] == path for row in rows) == 30


def resets(log):
    conns = [log.server.connect().request("/metrics") for _ in range(20)]
    for conn in conns:
        reset(conn)


# ---- nothing secret ------------------------------------------------------------------------------------
S = "hunter2secret"
SECRET_REQUESTS = {
    "query": f"GET /a.txt?token={S} HTTP/1.1\r\nHost: h\r\n",
    "query of nothing": f"GET /none.png?token={S} HTTP/1.1\r\nHost: h\r\n",
    "query of a redirect": f"GET /old?token={S} HTTP/1.1\r\nHost: h\r\n",
    "query encoded": f"GET /a.txt?%74oken={S}&%0a HTTP/1.1\r\nHost: h\r\n",
    "authorization": f"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {S}\r\n",
    "basic": f"GET /readyz HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {S}\r\nX-Real-IP: 1.1.1.1\r\n",
    "cookie": f"GET / HTTP/1.1\r\nHost: h\r\nCookie: dais_app={S}; a={S}\r\n",
    "other headers": f"GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: {S}\r\nReferer: http://h/?t={S}\r\nUser-Agent: {S}\r\n",
    "body": f"POST /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: {len(S)}\r\n\r\n{S}",
    "chunked body": f"POST /a.txt HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{len(S):x}\r\n{S}\r\n0\r\n",
    "absolute target": f"GET http://me:{S}@h/a.txt HTTP/1.1\r\nHost: h\r\n",
    "absolute query": f"GET http://h/a.txt?{S} HTTP/1.1\r\nHost: h\r\n",
    "host with a name": f"GET / HTTP/1.1\r\nHost: me:{S}@h\r\n",
    "bad request line": f"GET /?t={S}  HTTP/1.1\r\nHost: h\r\n",
    "bad version": f"GET /?t={S} HTTP/9.9\r\nHost: h\r\n",
    "bad path": f"GET /%zz?t={S} HTTP/1.1\r\nHost: h\r\n",
    "header without colon": f"GET / HTTP/1.1\r\nHost: h\r\nAuthorization Bearer {S}\r\n",
    "space before colon": f"GET / HTTP/1.1\r\nHost: h\r\nCookie : {S}\r\n",
    "folded": f"GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\n {S}\r\n",
    "NUL in a cookie": f"GET / HTTP/1.1\r\nHost: h\r\nCookie: {S}\0\r\n",
    "bad length": f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {S}\r\n",
    "bad coding": f"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {S}\r\n",
    "bad expectation": f"POST / HTTP/1.1\r\nHost: h\r\nExpect: {S}\r\nContent-Length: 1\r\n",
    "bad range": f"GET /a.txt HTTP/1.1\r\nHost: h\r\nRange: {S}\r\n",
    "too large": f"GET / HTTP/1.1\r\nHost: h\r\nCookie: {S * 8000}\r\n",
    "id": f"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {S}\r\n",
    "conditions": f'GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: "{S}"\r\nIf-Range: "{S}"\r\n',
}


def test_no_secret_is_ever_written(app):
    settings = {"DAIS_SECRET": S + "-8f1c5be09d3a47627f60a1d9", "SMTP_URL": f"smtp://me:{S}@mail.example",
                "OPENAI_API_KEY": S,
                "S3_SECRET_ACCESS_KEY": S, "DATABASE_URL": f"postgres://me:{S}@db.example/x"}
    manifest = app / "dais.yaml"
    manifest.write_text(manifest.read_text() + 'secrets: [ OPENAI_API_KEY, MISSING_KEY ]\npublish: {}\n')
    (app / ".env").write_text(f"MISSING_KEY={S}\nREDIS_URL=redis://:{S}@cache.example\n")
    with logged(app, "debug", env=settings) as log:
        for text in SECRET_REQUESTS.values():
            exchange(log.server, [text.replace("\r\n", "\r\nConnection: close\r\n", 1).encode() + b"\r\n"])
        for text in list(SECRET_REQUESTS.values())[:8]:  # left in the middle
            with log.server.connect() as conn:
                conn.send(text)
        rows = log.requests(len(SECRET_REQUESTS))
        assert any(row["msg"] == "manifest" and "warning" in row["problem"] for row in parse(log.raw()))
        said = log.server.stdout.encode()
        for what in ("conns", "lanes", "mem"):
            said += fetch(app / "data/dais.sock", f"/debug/{what}").body
        said += log.server.fetch("/metrics").body
        log.server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: b'"msg":"reloaded"' in log.raw(), "reloading")
    said += log.path.read_bytes() + log.server.stderr.encode() + log.server.stdout.encode()
    for file in (app / "data").rglob("*"):
        said += file.read_bytes() if file.is_file() else b""
    assert S.encode() not in said, [line for line in said.split(b"\n") if S.encode() in line][:3]
    assert {row["status"] for row in rows} >= {200, 400, 403, 404, 405, 417, 431}


# ---- where it goes and how it looks ------------------------------------------------------------------------
LEVEL_ROWS = {"debug": {"request /a.txt", "request /healthz", "reload", "stopping"},
              "info": {"request /a.txt", "reload", "stopping"}, "warn": {"reload"}, "error": {"reload"}}


@pytest.mark.parametrize("level", LEVELS)
def test_levels(app, level):
    with logged(app, level) as log:
        log.server.fetch("/healthz")
        log.server.fetch("/a.txt")
        (app / "dais.yaml").write_text("nonsense: 1\n")
        log.server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: b"reload refused" in log.raw(), "the refusal")
    rows = parse(log.path.read_bytes())
    assert min(LEVELS.index(row["level"]) for row in rows) >= LEVELS.index(level)
    seen = {f"request {row['path']}" if row["msg"] == "request" else row["msg"].split()[0].strip(":")
            for row in rows}
    assert seen & {"request /a.txt", "request /healthz", "reload", "stopping"} == LEVEL_ROWS[level]


FORMATS = [("", True), ("info", True), ("text", False), ("json", True), ("debug,text", False),
           ("text,debug", False), (" warn , json ", True), ("json,text", False)]


@pytest.mark.parametrize("value, is_json", FORMATS)
def test_format_where_nobody_looks(app, value, is_json):
    """Standard error is a pipe: JSON unless told otherwise, and never a colour."""
    with serving(app, env={"DAIS_LOG": value}) as server:
        server.fetch("/a.txt")
        server.proc.send_signal(signal.SIGHUP)
        (app / "dais.yaml").write_text("nonsense: 1\n")
        server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload refused" in server.stderr, "a line")
    assert "\x1b" not in server.stderr
    if is_json:
        parse(server.stderr.encode())
    else:
        line = re.compile(r"\d\d:\d\d:\d\d (debug|info|warn|error) {0,1} \S.*")
        assert all(line.fullmatch(one) for one in server.stderr.splitlines()), server.stderr


@pytest.mark.parametrize("value", ["nonsense", "info,loud", "INFO", "dais.log", "info json"])
def test_a_setting_that_is_none_is_refused(app, run_dais, value):
    done = run_dais("serve", app, "--listen", "127.0.0.1:0", env={"DAIS_LOG": value})
    assert done.returncode == 1 and "DAIS_LOG" in done.stderr and done.stdout == ""
    assert "debug, info, warn, error" in done.stderr


def test_a_file_that_cannot_be_is_named(app, tmp_path, run_dais):
    for path in (tmp_path / "nowhere/x.log", tmp_path):
        done = run_dais("serve", app, "--listen", "127.0.0.1:0", env={"DAIS_LOG": path})
        assert done.returncode == 11 and str(path) in done.stderr and done.stdout == ""


def test_a_log_file_is_the_owners_is_added_to_and_may_be_relative(app, tmp_path):
    for n in (1, 2):
        with serving(app, cwd=tmp_path, env={"DAIS_LOG": "./x.log,json"}) as server:
            server.fetch(f"/{n}.txt")
            assert "./x.log" in server.stdout and not server.stderr
    path = tmp_path / "x.log"
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert [row["path"] for row in requests(path.read_bytes())] == ["/1.txt", "/2.txt"]


@contextlib.contextmanager
def writing_to(folder, descriptor, env=None):
    """A server with standard error of its own; gives (process, address). Must end with 0."""
    command = [DAIS_BIN, "serve", folder, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=clean_env(folder, env), stdin=subprocess.DEVNULL, cwd=folder,
                          stdout=subprocess.PIPE, stderr=descriptor, start_new_session=True) as proc:
        try:
            url = URL.search(proc.stdout.readline().decode())[0]
            yield proc, ("127.0.0.1", int(url.rstrip("/").rsplit(":", 1)[1]))
            proc.send_signal(signal.SIGTERM)
            assert proc.wait(60) == 0
        finally:
            if proc.poll() is None:
                proc.kill()


def drain(fd, until, deadline=60):
    """Reads until `until(bytes)` or the end."""
    got, end = b"", time.monotonic() + deadline
    while not until(got):
        if not select.select([fd], [], [], max(end - time.monotonic(), 0))[0]:
            raise AssertionError(f"nothing more came: {got[-500:]!r}")
        try:
            chunk = os.read(fd, 1 << 16)
        except OSError:  # a terminal whose other end is closed
            break
        if not chunk:
            break
        got += chunk
    assert not REPORT.search(got.decode("utf-8", "replace")), got
    return got


TERMINALS = [({}, True, False), ({"NO_COLOR": "1"}, False, False), ({"NO_COLOR": ""}, True, False),
             ({"DAIS_LOG": "json"}, False, True), ({"DAIS_LOG": "text", "NO_COLOR": "yes"}, False, False)]


@pytest.mark.parametrize("env, has_color, is_json", TERMINALS, ids=[str(t[0]) for t in TERMINALS])
def test_on_a_terminal(app, env, has_color, is_json):
    ours, theirs = pty.openpty()
    with writing_to(app, theirs, env) as (proc, address):
        os.close(theirs)
        assert fetch(address, "/a.txt?" + S).status == 200
        assert fetch(address, "/%c2%9b2J%e2%80%ae.txt").status == 404
        (app / "dais.yaml").write_text("nonsense: 1\n")
        proc.send_signal(signal.SIGHUP)
        shown = drain(ours, lambda got: b"reload refused" in got
                      and len(re.findall(rb'request id|"msg":"request"', got)) == 2 and got.endswith(b"\n"))
    os.close(ours)
    assert (b"\x1b" in shown) is has_color
    plain = re.sub(rb"\x1b\[\d*m", b"", shown).replace(b"\r\n", b"\n")
    assert S.encode() not in plain
    if is_json:
        assert len(requests(plain)) == 2
    else:
        lines = plain.decode("utf-8", "strict").split("\n")[:-1]
        assert all(line.isprintable() for line in lines)
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d (info |error) .*", line) for line in lines), lines
        assert sum(" request " in line for line in lines) == 2


def test_on_a_terminal_problems_are_written_for_people(app):
    (app / "dais.yaml").write_text((app / "dais.yaml").read_text() + "publish: {}\n")
    ours, theirs = pty.openpty()
    with writing_to(app, theirs, {}):
        os.close(theirs)
        shown = drain(ours, lambda got: b"`publish`" in got and got.endswith(b"\n")).decode()
    os.close(ours)
    said = r"\S*dais\.yaml:\d+:1: warning: `publish` is checked but not served yet by this version\r\n"
    assert re.fullmatch(said, shown)


# ---- files that are rotated --------------------------------------------------------------------------------
def test_a_renamed_file_is_begun_anew_by_a_reload(app, run_dais):
    """As logrotate does it; no line is lost while requests go on."""
    with logged(app) as log:
        ids, over, error = [], threading.Event(), []

        def ask():
            try:
                while not over.is_set():
                    with log.server.connect() as conn:
                        ids.extend(conn.request("/a.txt").read().get("x-request-id") for _ in range(20))
            except (AssertionError, OSError) as e:
                error.append(repr(e))
        thread = threading.Thread(target=ask)
        thread.start()
        old = []
        for n in range(4):
            old.append(log.path.with_suffix(f".old{n}"))
            wait_for(lambda: log.path.stat().st_size, "a line")
            log.path.rename(old[-1])
            if n == 3:
                (app / "dais.yaml").write_text("nonsense: 1\n")
            if n % 2:
                assert run_dais("reload", app).returncode == (n == 3)
            else:
                log.server.proc.send_signal(signal.SIGHUP)
            wait_for(log.path.exists, "a new file")
        over.set()
        thread.join()
        assert not error
        raw = lambda: b"".join(path.read_bytes() for path in [*old, log.path])
        wait_for(lambda: raw().count(b'"route":"web"') >= len(ids), "all lines")
        assert sorted(row["id"] for row in requests(raw()) if row["route"] == "web") == sorted(ids)
        assert oct(log.path.stat().st_mode & 0o777) == "0o600"


def test_a_file_of_ten_megabytes_rotates_itself_and_loses_nothing(app):
    line = b"HEAD /" + b"%22" * 1000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"  # 2.3 KB in the log
    with logged(app) as log, log.server.connect(60) as one, log.server.connect(60) as two:
        ids = []
        for _ in range(120):
            for conn in (one, two):
                conn.send(line * 20)
            for conn in (one, two):
                ids += [conn.read("HEAD").get("x-request-id") for _ in range(20)]
        first = pathlib.Path(f"{log.path}.1")
        raw = lambda: (first.read_bytes() if first.exists() else b"") + log.path.read_bytes()
        wait_for(lambda: raw().count(b'"msg":"request"') >= len(ids), "all lines")
        assert 10 << 20 <= first.stat().st_size < 11 << 20 and log.path.stat().st_size < 2 << 20
        parse(first.read_bytes())
        assert sorted(row["id"] for row in requests(raw())) == sorted(ids)


# ---- a standard error that is none, is closed, or that nobody reads ------------------------------------------
def ask_many(address, n, path="/" + "p" * 300 + ".txt"):
    """n requests over four connections, all answered."""
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(Conn(address, 60)) for _ in range(4)]
        for _ in range(n // 40):
            for conn in conns:
                conn.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 10)
            for conn in conns:
                assert {conn.read("HEAD").status for _ in range(10)} == {404}


@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-", "0<&- 2>/dev/full", "2>/dev/full"])
def test_without_a_standard_error_nothing_else_is_written_to(app, closed):
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    with serving(app, before=shell, env={"DAIS_LOG": "debug"}) as server:
        for _ in range(5):
            assert server.fetch("/a.txt").status == 200
        for fd in (0, 2):
            assert os.readlink(f"/proc/{server.proc.pid}/fd/{fd}").startswith("/dev/")
    assert (app / "data/dais.lock").read_bytes() == b""
    assert server.proc.returncode == 0


def test_a_reader_that_has_gone_ends_nothing(app):
    ours, theirs = os.pipe()
    with writing_to(app, theirs) as (_, address):
        os.close(theirs)
        os.close(ours)
        ask_many(address, 200)


def pipe():
    return os.pipe()


def stream():
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def terminal():
    ours, theirs = pty.openpty()
    return ours, theirs


@pytest.mark.parametrize("make", [pipe, stream, terminal])
def test_a_reader_that_stops_reading_stops_nothing(app, make):
    ours, theirs = make()
    env = {"DAIS_LOG": "json"}
    with writing_to(app, theirs, env) as (proc, address):
        os.close(theirs)
        begin = time.monotonic()
        ask_many(address, 2000)
        assert fetch(address, "/metrics").status == 200
        proc.send_signal(signal.SIGHUP)
        wait_for(lambda: b"dais_reloads_total 1\n" in fetch(address, "/metrics").body, "a reload")
        assert time.monotonic() - begin < 60  # it waited for the reader, but once: 100 ms for each line are minutes
        got = b""  # what was written before it stopped
        while select.select([ours], [], [], 0)[0]:
            got += os.read(ours, 1 << 16)
        fetch(address, "/after.txt")  # now somebody reads again
        got += drain(ours, lambda more: b"/after.txt" in got + more and more.endswith(b"\n"))
    os.close(ours)
    rows = parse(got.replace(b"\r\n", b"\n"))
    lost = [row["lines"] for row in rows if row["msg"].startswith("log lines were lost")]
    seen = len([row for row in rows if row["msg"] != "log lines were lost: they could not be written"])
    assert len(lost) >= 1 and seen + sum(lost) == 2000 + 1 + 1  # the reload and the one after
    assert rows[-1]["path"] == "/after.txt"
    assert rows[-1]["level"] == "info" and {row["level"] for row in rows} == {"info", "warn"}


def test_a_slow_reader_gets_every_line_whole(app):
    """Many threads write faster than it reads, but it never stops for long (but when others use this machine; then
    what is lost is told): nothing mixes."""
    lost = [read_slowly(app)]
    while lost[-1]:
        assert len(lost) < 6, lost
        lost.append(read_slowly(app))


def read_slowly(app):
    """How many lines were lost."""
    ours, theirs = os.pipe()
    got, over = [], threading.Event()

    def read():
        while chunk := os.read(ours, 3000):
            got.append(chunk)
            over.wait(0.0005)
    thread = threading.Thread(target=read)
    thread.start()
    with writing_to(app, theirs, {"DAIS_THREADS": "4"}) as (_, address):
        os.close(theirs)
        askers = [threading.Thread(target=ask_many, args=(address, 400)) for _ in range(3)]
        for one in askers:
            one.start()
        for one in askers:
            one.join()
        over.set()
    thread.join()
    os.close(ours)
    rows = parse(b"".join(got))
    seen = [row["id"] for row in rows if row["msg"] == "request"]
    lost = sum(row["lines"] for row in rows if row["msg"].startswith("log lines were lost"))
    assert len(seen) == len(set(seen)) == 1200 - lost
    return lost
