# Real nginx and real Caddy before dais, as `dais render` sets them up: what passes, what stays out, what is said once.
import contextlib
import gzip
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from backend import backend, ok
from conftest import DAIS_BIN, DEADLINE, ROOT, Conn, clean_env, fetch, free_port, wait_for
from running import direct, running, systems
from serving import serving, write_app
from ws import BINARY, TEXT, UPGRADE, WebSocket, accept

MB = 1 << 20
PROXIES = ("nginx", "caddy")
FILES = {"nginx": "ops/nginx.conf", "caddy": "ops/Caddyfile"}
TRUSTED = {"DAIS_TRUSTED_PROXIES": "loopback"}
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
HIDDEN = ("/metrics", "/readyz", "/_/metrics", "/_/readyz")
ECHO = """title: Echo
web: {{ root: web, fallback: index.html }}
backend:
  url: "{url}"
  routes: [ /api/ ]
  max_body: 1MB
  bounds: {{ /api/uploads/: {{ max_body: 3MB, timeout: 300s }} }}
  websocket: {{ idle: 90s }}
"""


# ---- rendering and checking ----------------------------------------------------------------------
def render(app, out, word="droplet"):
    return subprocess.run([DAIS_BIN, "render", word, app, "-o", out], env=clean_env(out), timeout=60, text=True,
                          capture_output=True, check=False)


def rendered(app, out, kind, word="droplet"):
    done = render(app, out, word)
    assert done.returncode == 0, done.stderr
    return (out / FILES[kind]).read_text(encoding="utf-8")


def replaced(text, *pairs):
    """Each of them must be there, or the test tests something else."""
    for old, new in pairs:
        assert re.search(old, text), f"{old} is not in\n{text}"
        text = re.sub(old, new, text)
    return text


@pytest.fixture(name="certificate", scope="module")
def fixture_certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", folder / "privkey.pem",
                    "-out", folder / "fullchain.pem"], check=True, capture_output=True, timeout=60)
    return folder


def nginx_files(folder, sites, certificate, port=80, tls_port=443, upstream="127.0.0.1:8000"):
    """The sites in a whole configuration as Debian's is, with the paths and ports of this test."""
    for i, site in enumerate(sites):
        site = replaced(site, (r"listen \[::\]:.*\n", ""), (r"listen 80;", f"listen 127.0.0.1:{port};"),
                        (r"listen 443 ", f"listen 127.0.0.1:{tls_port} "), (r"127\.0\.0\.1:8000", upstream),
                        (r"/etc/letsencrypt/live/[^/]*/", f"{certificate}/"), (r"/var/log/nginx/", f"{folder}/"),
                        (r"/var/www/html;", f"{folder}/www;"))
        (folder / f"site-{i}.conf").write_text(site, encoding="utf-8")
    temporary = "".join(f"{name}_temp_path {folder}/{name};\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    file = folder / "whole.conf"
    file.write_text(f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log info;\n"
                    f"events {{}}\nhttp {{\naccess_log off;\ngzip on;\n{temporary}include {folder}/site-*.conf;\n}}\n")
    return file


def nginx(folder, file):
    return [NGINX, "-c", file, "-p", folder, "-e", folder / "error.log"]


def nginx_accepts(folder, sites, certificate):
    folder.mkdir()
    file = nginx_files(folder, sites, certificate, free_port(), free_port())
    done = subprocess.run([*nginx(folder, file), "-t"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr


def caddy(folder, *args, env=None):
    return subprocess.run(["caddy", *args], env=caddy_env(folder, env), capture_output=True, text=True, timeout=60,
                          check=False)


def caddy_env(folder, more=None):
    return clean_env(folder, {"XDG_DATA_HOME": folder / "data", "XDG_CONFIG_HOME": folder / "config", **(more or {})})


def caddy_accepts(folder, text):
    folder.mkdir()
    file = folder / "Caddyfile"
    file.write_text(text, encoding="utf-8")
    done = caddy(folder, "validate", "--config", file, "--adapter", "caddyfile")
    assert done.returncode == 0 and '"level":"warn"' not in done.stderr, done.stderr
    assert caddy(folder, "fmt", file).stdout == text


def accepts(kind, folder, text, certificate):
    if kind == "nginx":
        nginx_accepts(folder, [text], certificate)
    else:
        caddy_accepts(folder, text)


# ---- running -------------------------------------------------------------------------------------
class TlsConn(Conn):
    """A connection to a proxy; `source` is the address it comes from."""

    def __init__(self, front, name="localhost", source="127.0.0.1"):
        super().__init__(("127.0.0.1", front.tls_port))
        self.sock.close()
        plain = socket.create_connection(("127.0.0.1", front.tls_port), self.deadline, (source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(plain, server_hostname=name)

    def _more(self, until):
        return bool(self.sock.pending()) and self._take() or super()._more(until)

    def _take(self):
        self.left += self.sock.recv(1 << 16)
        return True


class Front:
    """A proxy that runs. `log()` is what it wrote, of requests and of mistakes."""

    def __init__(self, kind, folder, port, tls_port):
        self.kind, self.folder, self.port, self.tls_port, self.proc = kind, folder, port, tls_port, None
        self.names = ["localhost"]  # that it certainly knows

    @property
    def host(self):
        return f"localhost:{self.tls_port}"

    def fetch(self, path="/", method="GET", headers=(), body=None, name="localhost", **options):
        pairs = [*(headers.items() if isinstance(headers, dict) else headers), ("Connection", "close")]
        with TlsConn(self, name, **options) as conn:
            return conn.request(path, method, pairs, body, f"{name}:{self.tls_port}").read(method)

    def access_log(self):
        file = self.folder / "stderr" if self.kind == "caddy" else next(
            path for path in self.folder.glob("*.log") if path.name != "error.log")
        return file.read_text(encoding="utf-8")

    @contextlib.contextmanager
    def run(self, command, env):
        with open(self.folder / "stderr", "wb") as log:
            self.proc = subprocess.Popen(command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log)
        try:
            wait_for(self._answers, f"the start of {self.kind}", 60)
            yield self
        finally:
            self.proc.terminate()
            code = self.proc.wait(60)
        assert code == 0, (self.folder / "stderr").read_text()

    def _answers(self):
        """For every name: Caddy makes their certificates one after the other, while it answers for the first."""
        assert self.proc.poll() is None, (self.folder / "stderr").read_text()
        with contextlib.suppress(OSError):
            for name in self.names:
                TlsConn(self, name).close()
            return True
        return False


def adapted(folder, text, env):
    """The Caddyfile as Caddy understands it."""
    file = folder / "Caddyfile"
    file.write_text(text, encoding="utf-8")
    done = caddy(folder, "adapt", "--config", file, "--adapter", "caddyfile", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def front(kind, text, folder, certificate, upstream):
    """A context manager: the file in a running proxy, with ports of its own and this upstream."""
    folder.mkdir()
    it = Front(kind, folder, free_port(), free_port())
    if kind == "nginx":
        file = nginx_files(folder, [text], certificate, it.port, it.tls_port, upstream)
        return it.run(nginx(folder, file), clean_env(folder))
    env = {"DAIS_UPSTREAM": upstream}
    config = adapted(folder, text, env)
    http = config["apps"]["http"]
    http.update(http_port=it.port, https_port=it.tls_port)
    http["servers"]["srv0"]["listen"] = [f"127.0.0.1:{it.tls_port}"]
    config["admin"] = {"disabled": True}
    config["apps"]["pki"] = {"certificate_authorities": {"local": {"install_trust": False}}}
    subjects = [name for route in http["servers"]["srv0"]["routes"] for name in route["match"][0]["host"]]
    it.names = subjects
    config["apps"]["tls"] = {"automation": {"policies": [{"subjects": subjects, "issuers": [{"module": "internal"}]}]}}
    (folder / "caddy.json").write_text(json.dumps(config))
    return it.run(["caddy", "run", "--config", folder / "caddy.json"], caddy_env(folder, env))


class Echo:
    """A backend that keeps what it was asked, and streams as it is told."""

    def __init__(self):
        self.go = threading.Event()

    def answer(self, request, sock):
        path = request.target.partition("?")[0]
        if path in ("/api/events", "/api/lines"):
            kind = b"text/event-stream" if path == "/api/events" else b"application/x-ndjson"
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % kind +
                         b"9\r\ndata: 1\n\n\r\n")
            assert self.go.wait(60)
            return b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"
        if path == "/api/ws":
            socket_of = accept(request, sock)
            while True:
                opcode, payload, _ = socket_of.read()
                socket_of.send(opcode, payload)
        if path == "/api/data":
            return ok(json.dumps(["a sentence"] * 500).encode(), b"Content-Type: application/json\r\n")
        if path == "/api/login":
            return ok(b"", b"Location: /?token=hush-answer\r\nSet-Cookie: s=hush-cookie\r\n", b"303 See Other")
        return ok(b"%d" % len(request.body), b"Content-Type: text/plain\r\n")


@pytest.fixture(name="stack", scope="module")
def fixture_stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(name="echo", scope="module")
def fixture_echo(stack, tmp_path_factory):
    """dais before a backend of the test: .seen() is the last request, .go lets streams go on."""
    behaviour = Echo()
    there = stack.enter_context(backend(behaviour.answer))
    files = {"web/index.html": "<!doctype html><title>Echo</title>" + "<p>hello</p>" * 500, "web/app.js": "1;" * 5000}
    app = write_app(tmp_path_factory.mktemp("echo") / "echo", files, ECHO.format(url=there.url))
    server = stack.enter_context(serving(app, env=TRUSTED))
    server.app, server.go = app, behaviour.go
    server.seen = lambda: there.requests[-1]
    return server


@pytest.fixture(name="fronts", scope="module")
def fixture_fronts(stack, tmp_path_factory, certificate):
    """fronts(kind, server): a proxy before that dais, one of each for all tests."""
    made = {}

    def get(kind, server):
        if (kind, server) not in made:
            folder = tmp_path_factory.mktemp(kind)
            text = rendered(server.app, folder / "out", kind)
            made[kind, server] = stack.enter_context(
                front(kind, text, folder / "run", certificate, f"127.0.0.1:{server.port}"))
        return made[kind, server]
    return get


@pytest.fixture(name="system", scope="module")
def fixture_system(stack, tmp_path_factory):
    """system(name): one of the four example systems behind dais."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = stack.enter_context(running(tmp_path_factory.mktemp(name), name, env=TRUSTED))
        return made[name]
    return get


@pytest.fixture(name="kind", params=PROXIES, scope="module")
def fixture_kind(request):
    return request.param


@pytest.fixture(name="it")
def fixture_it(fronts, kind, echo):
    echo.go.clear()
    return fronts(kind, echo)


# ---- the examples --------------------------------------------------------------------------------
def test_story_gen_gets_its_paths_whole(fronts, kind, system):
    it = fronts(kind, system("story_gen"))
    assert it.fetch("/api/v1").json()["capabilities"] == ["stories", "analysis", "dashboard"]
    assert it.fetch("/healthz").json()["owner"] == "story_gen"
    assert it.fetch("/docs").get("content-type") == "text/html; charset=utf-8"
    page = it.fetch("/studio/some/deep/link?x=1")
    assert page.status == 200 and b"<!doctype html>" in page.body


BROKEN = {"nginx": (r"    location / \{\n        proxy_pass (http://\w+);",
                    r"    location /api/ { proxy_pass \1/; }\n\g<0>"),
          "caddy": (r"\treverse_proxy \{", r"\turi /api/* strip_prefix /api\n\g<0>")}


def test_a_rule_that_strips_the_prefix_is_seen(kind, system, tmp_path, certificate):
    """The shipped rule of story_gen, and ours, before its backend itself."""
    server = system("story_gen")
    upstream = "{}:{}".format(*direct(server))
    text = rendered(server.app, tmp_path / "out", kind)
    for name, rule, status in (("ours", text, 200), ("broken", replaced(text, BROKEN[kind]), 404)):
        rule = rule.replace("health_uri /_/healthz", "health_uri /healthz")
        with front(kind, rule, tmp_path / name, certificate, upstream) as it:
            assert it.fetch("/api/v1").status == status
            assert it.fetch("/healthz").status == 200


def opened(it, path, origin=None):
    conn = TlsConn(it)
    headers = {**UPGRADE, "Origin": origin or f"https://{it.host}"}
    return conn, conn.request(path, headers=headers, host=it.host).read()


def test_langhero_talks(fronts, kind, system):
    it = fronts(kind, system("langhero"))
    conn, answer = opened(it, "/stream/mock")
    assert answer.status == 101
    talk = WebSocket(conn.sock, left=conn.left)
    talk.send(TEXT, json.dumps({"scenario_id": 1, "expected_response": "green tea please"}).encode())
    assert json.loads(talk.read()[1]) == {"event": "ready", "scenario_id": 1}
    for turn in range(1, 4):
        talk.send(BINARY, bytes(range(256)) * 1000)
        assert json.loads(talk.read()[1])["bytes"] == 256000 * turn
    conn.close()
    conn, answer = opened(it, "/stream/mock", "https://evil.example")
    assert answer.status == 403
    conn.close()
    clip = it.fetch("/examples/welcome.wav")
    part = it.fetch("/examples/welcome.wav", headers={"Range": "bytes=100-1099"})
    assert part.status == 206 and part.body == clip.body[100:1100]


def test_story_analytics_has_its_time_and_its_uploads(tmp_path):
    app = ROOT / "tests/systems/story_analytics"
    nginx = rendered(app, tmp_path, "nginx")
    for name in ("read", "send"):
        assert 300 < int(re.search(rf"proxy_{name}_timeout +(\d+)s;", nginx)[1]) <= 330
    assert "client_max_body_size  110m;" in nginx
    text = (tmp_path / FILES["caddy"]).read_text()
    assert 300 < int(re.search(r"response_header_timeout (\d+)s", text)[1]) <= 330
    assert "max_size 110MiB" in text


# ---- what passes ---------------------------------------------------------------------------------
def test_websockets_pass_and_connections_are_shared_after_them(it, echo):
    conn, answer = opened(it, "/api/ws")
    assert answer.status == 101
    talk = WebSocket(conn.sock, left=conn.left)
    for payload in (b"", b"x" * 70000):
        talk.send(BINARY, payload)
        assert talk.read() == (BINARY, payload, True)
    assert it.fetch("/api/x").status == 200 and "upgrade" not in (echo.seen().get("connection") or "")
    conn.close()


@pytest.mark.parametrize("path", ["/api/events", "/api/lines"])
def test_streams_arrive_as_they_are_sent(it, echo, path):
    with TlsConn(it) as conn:
        conn.request(path, headers={"Accept-Encoding": "gzip, br"}, host=it.host)
        while b"data: 1\n\n" not in conn.left:
            assert conn._more(time.monotonic() + DEADLINE), conn.left  # pylint: disable=protected-access
        assert b"data: 2" not in conn.left and b"content-encoding" not in conn.left.lower()
        echo.go.set()
        answer = conn.read()
        assert answer.body == b"data: 1\n\ndata: 2\n\n"


def test_uploads_are_bounded_as_dais_says(it):
    most = it.fetch("/api/uploads/x", method="POST", body=bytes(3 * MB))
    assert most.status == 200 and most.body == b"%d" % (3 * MB)
    for path, size in (("/api/uploads/x", 3 * MB + 1), ("/api/uploads/x", 9 * MB),
                       ("/api/x", MB + 1), ("/api/x", 3 * MB)):
        answer = refused(it, path, size)
        assert answer.status == 413, (path, size)
        if size <= 3 * MB:  # so only dais can know
            assert answer.get("content-type") == "application/problem+json"


def refused(it, path, size):
    """The answer to a body that may not be read to its end."""
    with TlsConn(it) as conn:
        with contextlib.suppress(OSError):
            conn.request(path, "POST", [("Connection", "close")], bytes(size), it.host)
        return conn.read("POST")


@pytest.mark.parametrize("size", [600 << 10, 900 << 10, 3 * MB])
def test_a_refusal_of_a_large_body_arrives(it, size):
    """dais answers before it read the body; a proxy that was cut then would only say that something is wrong."""
    for _ in range(10):
        assert refused(it, "/", size).status == 405


def test_an_endless_upload_ends(it):
    with TlsConn(it) as conn:
        conn.send(f"POST /api/uploads/x HTTP/1.1\r\nHost: {it.host}\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(5):
                conn.send(b"100000\r\n" + bytes(MB) + b"\r\n")
        assert conn.read("POST").status == 413


def test_chunked_uploads_pass(it):
    with TlsConn(it) as conn:
        conn.send(f"POST /api/uploads/x HTTP/1.1\r\nHost: {it.host}\r\nTransfer-Encoding: chunked\r\n\r\n")
        conn.send(b"100000\r\n" + bytes(MB) + b"\r\n0\r\n\r\n")
        assert conn.read("POST").body == b"%d" % MB


def test_compressed_once(it):
    for path, coding in (("/app.js", "br"), ("/", "br"), ("/api/data", "gzip")):
        answer = it.fetch(path, headers={"Accept-Encoding": "gzip, br"})
        assert answer.status == 200 and answer.get("content-encoding") == coding, path
        assert "accept-encoding" in answer.get("vary").lower()
        plain = it.fetch(path)
        assert plain.get("content-encoding") is None
        if coding == "gzip":
            assert gzip.decompress(answer.body) == plain.body


def test_ranges_and_validators(it):
    whole = it.fetch("/app.js")
    part = it.fetch("/app.js", headers={"Range": "bytes=10-19"})
    assert part.status == 206 and part.body == whole.body[10:20]
    assert part.get("content-range") == f"bytes 10-19/{len(whole.body)}"
    assert it.fetch("/app.js", headers={"If-None-Match": whole.get("etag")}).status == 304


@pytest.mark.parametrize("path", ["/api/a%20b?x=%2F&y", "/api/%C3%A4/", "/api/a%3Fb", "/api/a+b;c=1,2"])
def test_paths_arrive_as_they_were_sent(it, echo, path):
    it.fetch(path)
    through = echo.seen().target
    fetch(echo, path)
    assert through == echo.seen().target


# ---- headers -------------------------------------------------------------------------------------
ONCE = {"strict-transport-security": "max-age=31536000", "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin"}


def said_once(answer):
    names = [name for name, _ in answer.headers]
    assert sorted(names) == sorted(set(names)), answer.headers
    for name, value in ONCE.items():
        assert answer.get(name) == value, (name, answer.headers)


def test_no_header_twice(it):
    for path in ("/", "/deep/link", "/app.js", "/absent.js", "/api/data", "/api/x", "/healthz", *HIDDEN):
        answer = it.fetch(path, headers={"Accept-Encoding": "gzip"})
        said_once(answer)
        assert "x-frame-options" not in [name for name, _ in answer.headers]
    assert "frame-ancestors 'self'" in it.fetch("/").get("content-security-policy")
    for size in (2 * MB, 9 * MB):
        said_once(refused(it, "/api/x", size))


def test_embedding_stays_allowed(fronts, kind, system):
    """No policy at all means that everybody may show it: a proxy that added one would break it."""
    it = fronts(kind, system("story_analytics"))
    embed = it.fetch("/embed/chart/x")
    assert embed.get("x-frame-options") is None
    assert "frame-ancestors" not in (embed.get("content-security-policy") or "")
    assert "frame-ancestors 'none'" in it.fetch("/library").get("content-security-policy")


FORGED = [("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "6.6.6.6"), ("Forwarded", "for=6.6.6.6;proto=http"),
          ("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Prefix", "/evil"),
          ("X-Request-Id", "forged"), ("CF-Connecting-IP", "6.6.6.6")]


def test_who_asks_is_known_and_not_believed(it, echo):
    answer = it.fetch("/api/x", headers=FORGED, source="127.0.0.5")
    seen = echo.seen()
    assert answer.status == 200 and not re.search(r"6\.6\.6\.6|evil\.|/evil", str(seen.headers))
    assert seen.get("x-forwarded-for") == "127.0.0.5" and seen.get("x-forwarded-proto") == "https"
    assert seen.get("host") == it.host == seen.get("x-forwarded-host")
    assert answer.get("x-request-id") == seen.get("x-request-id") != "forged"
    wait_for(lambda: answer.get("x-request-id") in it.access_log(), "the line in the log")
    wait_for(lambda: answer.get("x-request-id") in echo.stderr, "the line in the log of dais")


@pytest.mark.parametrize("path", [*HIDDEN, "/%6detrics", "//metrics", "/./readyz", "/metrics?x", "/_//metrics"])
def test_what_is_for_this_machine_stays_there(it, path):
    answer = it.fetch(path)
    assert answer.status in (403, 404) and b"dais_" not in answer.body and b'"ready"' not in answer.body


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP"])
def test_dais_itself_shows_it_to_no_proxy(echo, name):
    """So that a proxy whose rule is lost shows nothing either."""
    for path in HIDDEN:
        assert fetch(echo, path).status == 200
        assert fetch(echo, path, headers={name: "127.0.0.1"}).status == 403


def test_plain_http_leads_to_https(it):
    answer = fetch(("127.0.0.1", it.port), "/a/b?c=d")
    assert answer.status in (301, 308) and answer.get("location").endswith("/a/b?c=d")
    assert re.match(r"https://localhost(:\d+)?/", answer.get("location"))
    assert answer.get("strict-transport-security") is None


def test_certbot_is_answered(fronts, echo):
    it = fronts("nginx", echo)
    file = it.folder / "www/.well-known/acme-challenge/token"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("proof")
    assert fetch(("127.0.0.1", it.port), "/.well-known/acme-challenge/token").body == b"proof"


def test_the_log_keeps_no_secrets(it):
    headers = {"Authorization": "Bearer hush-bearer", "Cookie": "s=hush-sent",
               "Referer": "https://x.example/?hush-referer"}
    answer = it.fetch("/api/login?token=hush-query", "POST", headers, b"hush-body")
    assert answer.status == 303
    wait_for(lambda: "/api/login" in it.access_log(), "the line in the log")
    assert "hush-" not in it.access_log()  # with a dash, which no id has


# ---- dais is away, or believes nobody ------------------------------------------------------------
def test_nothing_is_believed_unless_dais_is_told(kind, tmp_path, certificate):
    with backend(lambda request, sock: ok(b"hi", b"Content-Type: text/plain\r\n")) as there:
        app = write_app(tmp_path / "echo", None, ECHO.format(url=there.url))
        text = rendered(app, tmp_path / "out", kind)
        with serving(app) as server, front(kind, text, tmp_path / "run", certificate, f"127.0.0.1:{server.port}") as it:
            for path in ("/", "/api/x", "/healthz"):
                said_once(it.fetch(path, headers=FORGED, source="127.0.0.5"))
            seen = [request for request in there.requests if request.target == "/api/x"][-1]
            assert seen.get("x-forwarded-for") == "127.0.0.1" and seen.get("x-forwarded-proto") == "http"
            for path in HIDDEN:
                assert it.fetch(path).status == 403


def test_while_dais_is_away_nothing_leaks_into_the_log(kind, tmp_path, certificate, echo):
    text = replaced(rendered(echo.app, tmp_path / "out", kind), *([(r"lb_try_duration 10s", "lb_try_duration 0s")]
                                                                  if kind == "caddy" else []))
    with front(kind, text, tmp_path / "run", certificate, f"127.0.0.1:{free_port()}") as it:
        answer = it.fetch("/api/x?token=hush-query", headers={"Cookie": "hush-sent"})
        assert answer.status in (502, 503)
        said_once(answer)
        wait_for(lambda: "/api/x" in it.access_log(), "the line in the log")
        assert "hush-" not in it.access_log()  # with a dash, which no id has


def test_caddy_waits_for_a_dais_that_starts(tmp_path, certificate, echo):
    """It asks every five seconds and gives up after ten: a busy machine may need more than one try to be in time."""
    text, port, statuses = rendered(echo.app, tmp_path / "out", "caddy"), free_port(), []
    copy = shutil.copytree(echo.app, tmp_path / "copy", ignore=shutil.ignore_patterns("data"))
    with front("caddy", text, tmp_path / "run", certificate, f"127.0.0.1:{port}") as it:
        while len(statuses) < 4 and 200 not in statuses:
            asking = threading.Thread(target=lambda: statuses.append(it.fetch("/").status))
            asking.start()
            with serving(copy, listen=f"127.0.0.1:{port}"):
                asking.join()
    assert statuses[-1] == 200, statuses


# ---- names ---------------------------------------------------------------------------------------
NAMES = ("app.example.com", "www.example.com", "old.example.com")


def test_every_name_is_served(kind, tmp_path, certificate):
    app = write_app(tmp_path / "named", None, "hosts: [ App.example.com, www.example.com, old.example.com ]\n"
                    "deploy: { prod: { kind: droplet, domain: app.EXAMPLE.com, admin_email: ops@example.com } }\n"
                    "web: { root: web }\n")
    text = rendered(app, tmp_path / "out", kind, "prod")
    assert text.lower().count("app.example.com") >= 1
    address = f"127.0.0.1:{free_port()}"
    with serving(app, env=TRUSTED, listen=address, ready=False), \
            front(kind, text, tmp_path / "run", certificate, address) as it:
        wait_for(lambda: it.fetch("/", name=NAMES[0]).status == 200, "the start of dais")
        for name in NAMES:
            assert b"hello" in it.fetch("/", name=name).body
            plain = fetch(("127.0.0.1", it.port), "/x", host=name)
            assert plain.status in (301, 308) and plain.get("location").startswith(f"https://{name}")


# ---- every manifest ------------------------------------------------------------------------------
APPS = [path.parent for folder in ("models", "apps", "tests/systems", "tests/fixtures/manifest")
        for path in sorted((ROOT / folder).glob("*/dais.yaml"))]
CLOUDS = ("droplet", "aws", "gcp", "azure")
LONG = ".".join(["a" * 63] * 3 + ["b" * 61])
ODD = {
    "quotes": 'title: "A \\"b\\" \\\\ $c `d` {$HOME} <%e%> \\n; } f"\nweb: {}\n',
    "lookalike": "title: 'no'\nhosts: [ '1e3', '0x10', 'null', 127.0.0.1 ]\nweb: {}\n",
    "a" * 40: "web: {}\n",
    "http": "web: {}\n",
    "long-names": f"hosts: [ {LONG}, {'c' * 63} ]\nweb: {{}}\n",
    "no-bodies": "backend: { url: 'http://127.0.0.1:9', routes: [ /api/ ], max_body: 0 }\n",
    "large": "backend: { url: 'http://127.0.0.1:9', routes: [ / ], max_body: 1TB, timeout: 1d, "
             "websocket: { idle: 1h } }\n",
    "own-metrics": "backend: { url: 'http://127.0.0.1:9', routes: [ /metrics, /readyz ] }\n",
    "no-headers": "web: { headers: { '/*': { hsts: off, referrer_policy: off } } }\n",
    "own-headers": "web: { headers: { '/*': { hsts: 1d, referrer_policy: no-referrer }, '/x/*': { hsts: off } } }\n",
    "mail": "deploy: { prod: { kind: droplet, admin_email: \"o'neil+x&y=z@example.com\", domain: a.example } }\n"
            "web: {}\n",
}


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_both_tools_accept_it(kind, app, tmp_path, certificate):
    texts = {rendered(app, tmp_path / word, kind, word) for word in CLOUDS}
    for i, text in enumerate(texts):
        accepts(kind, tmp_path / f"check-{i}", text, certificate)


@pytest.fixture(name="odd")
def fixture_odd(tmp_path, kind):
    def get(name):
        app = write_app(tmp_path / name, None, ODD[name])
        return rendered(app, tmp_path / f"{name}-out", kind, "prod" if "prod:" in ODD[name] else "droplet")
    return get


@pytest.mark.parametrize("name", ODD)
def test_both_tools_accept_odd_values(kind, odd, name, tmp_path, certificate):
    accepts(kind, tmp_path / "check", odd(name), certificate)


def test_bodies_are_never_unlimited(kind, odd):
    assert re.search(r"client_max_body_size +1m;|max_size 1MiB\n", odd("no-bodies"))
    assert re.search(r"client_max_body_size +1048576m;|max_size 1048576MiB\n", odd("large"))


def test_a_backend_keeps_its_own_metrics(odd):
    text = odd("own-metrics")
    assert " /_/metrics" in text and not re.search(r" /(metrics|readyz)\b", text)


def test_headers_follow_the_manifest(odd):
    text = odd("no-headers")
    assert "Strict-Transport" not in text and "Referrer-Policy" not in text and "nosniff" in text
    text = odd("own-headers")
    assert "max-age=86400" in text and " no-referrer" in text


def test_many_apps_of_one_nginx(tmp_path, certificate):
    """What nginx shares among its sites is called differently in each."""
    names = ["a" * 40, "a" * 39 + "b", "a-b", "http"]
    sites = [rendered(write_app(tmp_path / name, None, f"hosts: [ {name[-9:]}.example ]\nweb: {{}}\n"),
                      tmp_path / f"{name}-out", "nginx") for name in names]
    assert len({re.search(r"upstream (\w+)", site)[1] for site in sites}) == len(names)
    nginx_accepts(tmp_path / "check", sites, certificate)


def test_variables_of_caddy_may_be_set(tmp_path, echo):
    """DOMAIN may name what stands there already, and ACME_EMAIL may be empty, as Compose passes it."""
    text = rendered(echo.app, tmp_path / "out", "caddy")
    for env, names in (({}, ["localhost"]), ({"DOMAIN": "a.example", "ACME_EMAIL": ""}, ["a.example"])):
        server, = adapted(tmp_path, text, env)["apps"]["http"]["servers"].values()
        assert server["routes"][0]["match"] == [{"host": names}]


def test_mail_that_a_caddyfile_cannot_hold(tmp_path):
    app = write_app(tmp_path / "x", None,
                    "deploy: { prod: { kind: droplet, admin_email: 'a{$b}@example.com' } }\nweb: {}\n")
    done = render(app, tmp_path / "out", "prod")
    assert done.returncode == 1 and "target.admin_email" in done.stderr and "ops/Caddyfile" in done.stderr
    assert not pathlib.Path(tmp_path / "out").exists()
