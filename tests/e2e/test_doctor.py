# `dais doctor headers` against the real server and against small servers with bad headers.
"""site(...) starts a server in this process: a function from request to (status, headers, body)."""
import contextlib
import gzip
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from conftest import ROOT

HTML = [("Content-Type", "text/html; charset=utf-8")]
GOOD = HTML + [
    ("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self';"
                                " frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=()"), ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
]
FOREIGN = "https://elsewhere.example"


class Site(http.server.ThreadingHTTPServer):
    """Answers with what `answer(request)` gives; keeps every request."""
    daemon_threads = True
    answer = requests = None

    def handle_error(self, request, client_address):
        pass  # a client that goes early is none


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self)
        status, headers, body = self.server.answer(self)
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status >= 200:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_OPTIONS = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    """site(answer, tls=None) -> its URL; `answer` is a list of headers, or a function."""
    with contextlib.ExitStack() as stack:
        def start(answer, tls=None):
            server = Site(("127.0.0.1", 0), Handler)
            server.requests = []
            server.answer = answer if callable(answer) else lambda _: (200, answer, b"<p>x")
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*tls)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            start.server = server
            return f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/"
        yield start


@pytest.fixture
def doctor(run_dais):
    """doctor(url, ...) -> (exit code, the JSON report)"""
    def ask(url, *args, env=None):
        done = run_dais("doctor", "headers", url, *args, "--json", env=env)
        assert done.returncode in (0, 10) and not done.stderr, done.stderr
        report = json.loads(done.stdout)
        assert report["ok"] == (done.returncode == 0)
        counts = {verdict: count for verdict, count in report["counts"].items() if count}
        told = [finding["verdict"] for finding in report["findings"]]
        assert counts == {verdict: told.count(verdict) for verdict in set(told)}
        return done.returncode, report
    return ask


def verdicts(report, subject):
    return [f["verdict"] for f in report["findings"] if f["subject"].lower() == subject.lower()]


def texts(report, subject):
    return " ".join(f["text"] for f in report["findings"] if f["subject"].lower() == subject.lower())


# ---- the real server ---------------------------------------------------------------------------
def test_an_app_of_ours_is_fine(dais, make_app, doctor, run_dais):
    server = dais(make_app("demo", {"web/index.html": "<title>x</title>" + "<p>words words" * 300}))
    url = "http://{}:{}/".format(*server.address)
    code, report = doctor(url)
    assert code == 0, report
    assert report["status"] == 200 and report["ip"] == "127.0.0.1"
    assert verdicts(report, "X-Content-Type-Options") == ["good"]
    assert verdicts(report, "frame-ancestors") == ["good"]
    assert verdicts(report, "Content-Encoding") == ["good"]
    assert verdicts(report, "Access-Control-Allow-Origin") == ["good"]
    assert verdicts(report, "Vary") == []
    assert "answers 200" in texts(report, "WebSocket")
    text = run_dais("doctor", "headers", url)
    assert text.returncode == 0 and "\x1b" not in text.stdout
    assert text.stdout.startswith(f"200  {url}") and "\n  good      X-Content-Type" in text.stdout


def test_example_apps_are_fine(dais, doctor, tmp_path):
    app = tmp_path / "apps/field-notes"
    shutil.copytree(ROOT / "apps/field-notes", app)
    shutil.copytree(ROOT / "web-kit", tmp_path / "web-kit")
    server = dais(app, "--data", tmp_path / "data")
    code, report = doctor("http://{}:{}/".format(*server.address))
    assert code == 0, report


# ---- one header after the other ----------------------------------------------------------------
def test_good_headers(site, doctor):
    code, report = doctor(site(GOOD))
    assert code == 0
    assert set(report["counts"]) == {"good", "note", "weak", "missing", "conflict", "bad"}
    bad = [f for f in report["findings"] if f["verdict"] not in ("good", "note")]
    assert bad == []


def changed(*pairs, without=()):
    names = [name.lower() for name, _ in pairs] + [name.lower() for name in without]
    return [pair for pair in GOOD if pair[0].lower() not in names] + list(pairs)


@pytest.mark.parametrize("headers, subject, wanted", [
    (HTML, "Content-Security-Policy", ["missing"]),
    (HTML, "frame-ancestors", ["missing"]),
    (HTML, "X-Content-Type-Options", ["missing"]),
    (HTML, "Referrer-Policy", ["note"]),
    (HTML, "Permissions-Policy", ["note"]),
    (HTML, "Cross-Origin-Opener-Policy", ["note"]),
    (HTML, "Cache-Control", ["weak"]),
    ([("Content-Type", "application/json")], "Content-Security-Policy", []),
    ([("Content-Type", "application/json")], "X-Content-Type-Options", ["missing"]),
    (changed(without=["Content-Type"]), "Content-Type", ["bad"]),
    (changed(("Content-Type", "text/html")), "Content-Type", ["weak"]),
    (changed(("X-Content-Type-Options", "yes")), "X-Content-Type-Options", ["bad"]),
    (changed(("X-Content-Type-Options", "nosniff, nosniff")), "X-Content-Type-Options", ["good"]),
    (changed(("Content-Security-Policy", "script-src 'unsafe-inline'")), "script-src 'unsafe-inline'", ["bad"]),
    (changed(("Content-Security-Policy", "script-src 'unsafe-inline'"),
             ("Content-Security-Policy", "script-src 'self'")), "script-src 'unsafe-inline'", []),
    (changed(("Content-Security-Policy-Report-Only", "default-src 'none'")),
     "Content-Security-Policy-Report-Only", ["note"]),
    (changed(("X-Frame-Options", "SAMEORIGIN")), "X-Frame-Options", ["conflict"]),
    (changed(("X-Frame-Options", "DENY"), ("X-Frame-Options", "SAMEORIGIN")), "X-Frame-Options", ["conflict"]),
    (changed(("Referrer-Policy", "unsafe-url")), "Referrer-Policy", ["bad"]),
    (changed(("Referrer-Policy", "origin")), "Referrer-Policy", ["weak"]),
    (changed(("Referrer-Policy", "nobody")), "Referrer-Policy", ["bad"]),
    (changed(("Referrer-Policy", "unsafe-url, new-one, no-referrer, newer")), "Referrer-Policy", ["good"]),
    (changed(("Permissions-Policy", "camera 'none'")), "Permissions-Policy", ["bad"]),
    (changed(("Permissions-Policy", "fullscreen=(self), camera=*")), "Permissions-Policy", ["weak"]),
    (changed(("Cross-Origin-Opener-Policy", "unsafe-none")), "Cross-Origin-Opener-Policy", ["note"]),
    (changed(("Cross-Origin-Opener-Policy", "same")), "Cross-Origin-Opener-Policy", ["bad"]),
    (changed(("Strict-Transport-Security", "max-age=9")), "Strict-Transport-Security", ["conflict"]),
    (changed(("X-XSS-Protection", "1; mode=block")), "X-XSS-Protection", ["note"]),
    (changed(("X-XSS-Protection", "0")), "X-XSS-Protection", []),
    (changed(("Cache-Control", "no-store, max-age=60")), "Cache-Control", ["conflict"]),
    (changed(("Cache-Control", "public, max-age=86400")), "Cache-Control", ["weak"]),
    (changed(("Cache-Control", "max-age=86400, must-revalidate")), "Cache-Control", ["good"]),
    (changed(("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b")), "Cache-Control", ["bad"]),
    (changed(("Cache-Control", "private, max-age=60"), ("Set-Cookie", "a=b")), "Cache-Control", ["good"]),
    (changed(("Server", "nginx/1.2.3")), "Server", ["weak"]),
    (changed(("Server", "nginx")), "Server", ["good"]),
    (changed(("X-Powered-By", "Express")), "X-Powered-By", ["weak"]),
])
def test_each_header(site, doctor, headers, subject, wanted):
    _, report = doctor(site(headers))
    assert verdicts(report, subject) == wanted, report


@pytest.mark.parametrize("cookie, wanted", [
    ("session=x", ["note", "bad", "weak"]),
    ("theme=x; HttpOnly; SameSite=Lax", ["note"]),
    ("theme=x; SameSite=Lax; Secure", ["weak"]),
    ("session=x; HttpOnly; SameSite=Lax; Secure", ["good"]),
    ("a=x; httponly; samesite=none", ["conflict", "note"]),
    ("a=x; HttpOnly; SameSite=None; Secure", ["note"]),
    ("__Host-a=x; HttpOnly; SameSite=Lax; Secure", ["conflict"]),
    ("__Host-a=x; HttpOnly; SameSite=Lax; Secure; Path=/", ["good"]),
    ("__Host-a=x; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=a.example", ["conflict"]),
    ("__Secure-a=x; HttpOnly; SameSite=Lax", ["conflict", "note"]),
])
def test_cookies(site, doctor, run_dais, cookie, wanted):
    url = site(changed(("Set-Cookie", cookie.replace("=x", "=hidden-value", 1))))
    _, report = doctor(url)
    assert verdicts(report, "Set-Cookie") == wanted, report
    assert "hidden-value" not in json.dumps(report) + run_dais("doctor", "headers", url).stdout


def test_text_that_could_be_smaller(site, doctor):
    body = b"<p>words words words" * 200

    def answer(request):
        if request.path == "/vary":
            return 200, GOOD + [("Content-Encoding", "gzip"), ("Vary", "Origin, Accept-Encoding")], gzip.compress(body)
        if request.path == "/gzip":
            return 200, GOOD + [("Content-Encoding", "gzip")], gzip.compress(body)
        return 200, GOOD, body
    url = site(answer)
    assert verdicts(doctor(url)[1], "Content-Encoding") == ["weak"]
    assert verdicts(doctor(url + "gzip")[1], "Vary") == ["weak"]
    report = doctor(url + "vary")[1]
    assert verdicts(report, "Content-Encoding") == ["good"] and verdicts(report, "Vary") == []


def test_a_body_without_end_is_no_trouble(site, doctor):
    code, _ = doctor(site(lambda _: (200, GOOD, b"x" * (8 << 20))))
    assert code == 0


def test_a_stream_and_a_broken_body(site, doctor):
    def answer(request):
        if request.path == "/stream":  # without an end; the client goes first
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
            request.rfile.read(1)
            return 200, [], b""
        return 200, GOOD + [("Content-Encoding", "gzip")], b"no gzip"
    url = site(answer)
    code, report = doctor(url)
    assert code == 10 and verdicts(report, "Body") == ["bad"]
    _, report = doctor(url + "stream", "--timeout", "2")
    assert report["status"] == 200 and verdicts(report, "Body") == ["note"]


# ---- other sites -------------------------------------------------------------------------------
def cors(decide, credentials=False):
    """A server that lets in the origins for which decide(origin) gives a value."""
    def answer(request):
        allowed = decide(request.headers.get("Origin", ""))
        extra = [("Access-Control-Allow-Origin", allowed)] if allowed else []
        if credentials and allowed:
            extra.append(("Access-Control-Allow-Credentials", "true"))
        if request.command == "OPTIONS" and allowed:
            extra += [("Access-Control-Allow-Methods", "POST"),
                      ("Access-Control-Allow-Headers", "Authorization")]
        return 200, GOOD + extra, b""
    return answer


@pytest.mark.parametrize("decide, credentials, wanted", [
    (lambda origin: None, False, ["good"]),
    (lambda origin: "*", False, ["note"]),
    (lambda origin: "*", True, ["conflict"]),
    (lambda origin: "https://app.example", True, ["good"]),
    (lambda origin: origin, False, ["note", "weak"]),
    (lambda origin: origin, True, ["bad", "bad"]),
    (lambda origin: origin if origin == "null" else None, False, ["good", "weak"]),
    (lambda origin: origin if origin == "null" else None, True, ["good", "bad"]),
    (lambda origin: origin if origin.startswith("http://127.0.0.1") else None, True, ["good", "bad"]),
    (lambda origin: f"{origin}\r\nAccess-Control-Allow-Origin: *", False, ["conflict"]),
])
def test_cors(site, doctor, decide, credentials, wanted):
    code, report = doctor(site(cors(decide, credentials)))
    found = verdicts(report, "Access-Control-Allow-Origin")
    assert found[:len(wanted)] == wanted, report
    assert code == (10 if {"bad", "conflict"} & set(wanted) else 0)


def test_preflight(site, doctor):
    _, report = doctor(site(cors(lambda origin: origin, True)))
    assert verdicts(report, "Access-Control-Allow-Methods") == ["bad"]
    assert "with an Authorization of its own as the visitor" in texts(report, "Access-Control-Allow-Methods")
    asked = [r for r in site.server.requests if r.command == "OPTIONS"]
    assert len(asked) == 1
    assert asked[0].headers["Access-Control-Request-Method"] == "POST"
    assert asked[0].headers["Origin"] == FOREIGN


def socket_place(takes):
    """A WebSocket place at /ws that opens for origins that takes(origin, own) likes."""
    def answer(request):
        if request.path != "/ws":
            return 200, GOOD, b""
        if request.headers.get("Upgrade") != "websocket" or request.headers["Sec-WebSocket-Version"] != "13":
            return 426, [], b""
        if not takes(request.headers["Origin"], "http://" + request.headers["Host"]):
            return 403, [], b"no"
        return 101, [("Upgrade", "websocket"), ("Connection", "Upgrade")], b""
    return answer


@pytest.mark.parametrize("takes, verdict, words", [
    (lambda origin, own: True, "bad", f"a page of {FOREIGN} too"),
    (lambda origin, own: origin == own, "good", "refused (403) for others"),
    (lambda origin, own: False, "note", "refused (403) for a page of this origin"),
])
def test_websocket(site, doctor, takes, verdict, words):
    url = site(socket_place(takes))
    for args in ([url, "--websocket", "/ws"], [url + "ws"]):
        code, report = doctor(*args)
        assert verdicts(report, "WebSocket") == [verdict] and words in texts(report, "WebSocket"), report
        if len(args) > 1:
            assert code == (10 if verdict == "bad" else 0)


def test_no_websocket_there(site, doctor):
    url = site(socket_place(lambda *_: True))
    _, report = doctor(url)
    assert verdicts(report, "WebSocket") == ["note"] and "--websocket" in texts(report, "WebSocket")
    _, report = doctor(url, "--websocket", "/other")
    assert verdicts(report, "WebSocket") == ["weak"]


# ---- redirects, TLS ----------------------------------------------------------------------------
def test_redirects_are_followed_and_told(site, doctor, run_dais):
    def answer(request):
        if request.path == "/":
            return 302, [("Location", "/two")], b""
        return (301, [("Location", "/three")], b"") if request.path == "/two" else (404, GOOD, b"")
    url = site(answer)
    _, report = doctor(url)
    assert report["status"] == 404 and report["url"] == url + "three"
    assert report["redirects"] == [{"url": url, "status": 302}, {"url": url + "two", "status": 301}]
    assert run_dais("doctor", "headers", url).stdout.startswith(f"302  {url}\n301  {url}two\n404  {url}three")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A CA of our own and certificates by it: {"ca": file, "good": (cert, key), "other": ...}"""
    folder = tmp_path_factory.mktemp("ca")

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "30")
    for name, subject in (("good", "IP:127.0.0.1"), ("other", "DNS:other.example")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName={subject}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "30", "-extfile", f"{name}.ext")
    return {"ca": folder / "ca.pem"} | {name: (folder / f"{name}.pem", folder / f"{name}.key")
                                       for name in ("good", "other")}


@pytest.mark.parametrize("hsts, wanted", [
    ([], ["note"]),  # on this machine; elsewhere it is missing
    (["max-age=31536000; includeSubDomains"], ["good"]),
    (['max-age="31536000"'], ["good"]),
    (["max-age=86400"], ["weak"]),
    (["max-age=0"], ["bad"]),
    (["includeSubDomains"], ["bad"]),
    (["max-age=31536000", "max-age=0"], ["conflict", "good"]),
])
def test_hsts(site, doctor, authority, hsts, wanted):
    url = site(GOOD + [("Strict-Transport-Security", value) for value in hsts], tls=authority["good"])
    _, report = doctor(url, "--ca", str(authority["ca"]))
    assert verdicts(report, "HTTPS") == ["good"]
    assert verdicts(report, "Strict-Transport-Security") == wanted


def test_cookies_over_tls_need_secure(site, doctor, authority):
    url = site(GOOD + [("Set-Cookie", "a=b; HttpOnly; SameSite=Lax")], tls=authority["good"])
    code, report = doctor(url, "--ca", str(authority["ca"]))
    assert code == 10 and verdicts(report, "Set-Cookie") == ["bad"]


def test_websocket_over_tls(site, doctor, authority):
    def answer(request):
        own = "https://" + request.headers["Host"]
        if request.headers.get("Upgrade") == "websocket" and request.headers["Origin"] == own:
            return 101, [("Upgrade", "websocket"), ("Connection", "Upgrade")], b""
        return 403, GOOD, b""
    url = site(answer, tls=authority["good"])
    _, report = doctor(url, "--ca", str(authority["ca"]))
    assert verdicts(report, "WebSocket") == ["good"]


@pytest.mark.parametrize("which, trusts", [("good", False), ("other", True)])
def test_certificates_are_verified(site, run_dais, authority, which, trusts):
    url = site(GOOD, tls=authority[which])
    args = ["--ca", authority["ca"]] if trusts else []
    done = run_dais("doctor", "headers", url, *args)
    assert done.returncode == 6 and "certificate is not trusted" in done.stderr
    assert not site.server.requests


# ---- nothing there, wrong usage ----------------------------------------------------------------
def test_unreachable(run_dais):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run_dais("doctor", "headers", f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert done.returncode == 6 and "does not accept a connection" in done.stderr and not done.stdout
    done = run_dais("doctor", "headers", "http://nobody.invalid/")
    assert done.returncode == 6 and "no such name" in done.stderr


def test_no_http_there(run_dais):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def talk():
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"220 mail ready\r\n")
        thread = threading.Thread(target=talk)
        thread.start()
        done = run_dais("doctor", "headers", f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert done.returncode == 6 and done.stderr.startswith("dais doctor: 127.0.0.1: ")


@pytest.mark.parametrize("args, words", [
    ([], "headers URL"),
    (["header", "http://x/"], "`header` is not known"),
    (["headers"], "needs a URL"),
    (["headers", "file:///etc/passwd"], "only http:// and https://"),
    (["headers", "example.com"], "only http:// and https://"),
    (["headers", "http://a:b@127.0.0.1/"], "user name or password"),
    (["headers", "http://127.0.0.1/", "--websocket", "ws"], "takes a path"),
    (["headers", "http://127.0.0.1/", "--timeout", "0"], "1 to 600"),
    (["headers", "http://127.0.0.1/", "--timeout", "1m"], "1 to 600"),
    (["headers", "http://127.0.0.1/", "more"], "more"),
])
def test_wrong_usage(run_dais, args, words):
    done = run_dais("doctor", *args)
    assert done.returncode == 1 and words in done.stderr


def test_a_server_cannot_drive_the_terminal(site, doctor, run_dais):
    evil = "a\x1b[2J\x1b]0;x\x07\x9b31m\x08b"
    url = site(GOOD + [("Server", evil + " 1.2"), ("Set-Cookie", f"{evil}=1")])
    done = run_dais("doctor", "headers", url)
    assert not set(map(ord, done.stdout)) & {0x1b, 7, 8, 0x9b}
    assert "a?[2J?]0;x?" in done.stdout
    doctor(url)  # and its JSON is JSON


def test_proxies_of_the_environment_are_not_used(site, doctor):
    def never(_):
        raise AssertionError("a proxy was asked")
    url = site(GOOD)
    proxy = site(never)
    code, _ = doctor(url, env={"http_proxy": proxy, "all_proxy": proxy, "HTTP_PROXY": proxy})
    assert code == 0 and not site.server.requests
