# What happens to a backend's answers on their way out: headers, policies, CORS, rewriting, pages.
import base64
import contextlib
import hashlib
import re
import threading

import pytest

from backend import backend, ok
from conftest import Broken, Conn, wait_for
from serving import resident_kb, serving, write_app
from test_proxy import BROWSER, tunnel_answer
from ws import UPGRADE, upgrade

HTML = b"Content-Type: text/html; charset=utf-8\r\n"
JSON = b"Content-Type: application/json\r\n"
DEFAULT_REFERRER = "strict-origin-when-cross-origin"
CSP = "content-security-policy"
SECURE = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


def manifest(behind, web="", more="", top="", routes="/api/"):
    return (f"web: {{ root: web{web} }}\nbackend: {{ url: \"{behind.url}\", routes: [ {routes} ]{more} }}\n{top}")


def app(folder, behind, files=None, **parts):
    return write_app(folder, files, manifest(behind, **parts))


def by_path(answers):
    """Answers by the last name of the path: (header lines, status line's rest or nothing)."""
    def answer(request, _):
        lines, *status = answers[request.target.split("?")[0].rsplit("/", 1)[1]]
        status = status[0] if status else b"200 OK"
        if status[:3] in (b"304", b"204"):
            return b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\n"
        return ok(b"body", lines, status)
    return answer


# ---- defaults ----------------------------------------------------------------------------------
def test_defaults_are_added_where_the_backend_says_nothing(tmp_path):
    own = (b"x-content-type-options: theirs\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n")
    answers = {"page": (HTML,), "json": (JSON,), "own": (HTML + own,), "none": (b"",), "oops": (HTML, b"500 Oops"),
               "framed": (HTML + b"Content-Security-Policy: img-src 'self'; Frame-Ancestors https://a.example\r\n",),
               "unframed": (HTML + b"Content-Security-Policy: default-src 'self'\r\n",)}
    with backend(by_path(answers)) as behind, serving(app(tmp_path / "app", behind)) as server:
        got = {name: server.fetch(f"/api/{name}") for name in answers}
    for name in ("page", "oops"):
        assert got[name].all("x-content-type-options") == ["nosniff"], name
        assert got[name].get("referrer-policy") == DEFAULT_REFERRER
        assert got[name].all(CSP) == ["frame-ancestors 'self'"]
        assert got[name].get("strict-transport-security") is None
    assert got["json"].get("x-content-type-options") == "nosniff"
    assert got["json"].get(CSP) is None and got["json"].get("referrer-policy") is None
    assert got["none"].get("x-content-type-options") is None  # a browser may find out what it is
    assert got["own"].all("x-content-type-options") == ["theirs"]
    assert got["own"].all("referrer-policy") == ["no-referrer"]
    assert got["own"].all("x-frame-options") == ["DENY"] and got["own"].get(CSP) is None
    assert got["framed"].all(CSP) == ["img-src 'self'; Frame-Ancestors https://a.example"]
    assert got["unframed"].all(CSP) == ["default-src 'self'", "frame-ancestors 'self'"]


def test_hsts_is_for_https(tmp_path):
    answers = {"own": (JSON + b"Strict-Transport-Security: max-age=1\r\n",), "none": (JSON,)}
    with backend(by_path(answers)) as behind:
        for name, web, own, none in (
                ("default", "", "max-age=1", "max-age=31536000"),
                ("written", ', headers: { "/*": { hsts: 30d } }', "max-age=2592000", "max-age=2592000"),
                ("off", ', headers: { "/*": { hsts: off } }', None, None)):
            with serving(app(tmp_path / name, behind, web=web),
                         env={"DAIS_TRUSTED_PROXIES": "127.0.0.1"}) as server:
                for path, expected in (("own", own), ("none", none)):
                    secure = server.fetch(f"/api/{path}", headers=SECURE)
                    assert secure.get("strict-transport-security") == expected, (name, path)
                    assert server.fetch(f"/api/{path}").get("strict-transport-security") is None


# ---- what the manifest says --------------------------------------------------------------------
def test_what_is_written_replaces_what_the_backend_says(tmp_path):
    theirs = (b"Referrer-Policy: unsafe-url\r\nPermissions-Policy: camera=*\r\nX-Own: theirs\r\nX-Kept: theirs\r\n"
              b"Cross-Origin-Opener-Policy: unsafe-none\r\nCache-Control: no-store\r\nX-Gone: theirs\r\n")
    answers = {"x": (HTML + theirs,), "lost": (HTML + theirs, b"404 Not Found"), "y": (HTML,)}
    web = (', headers: { "/api/v1/*": { referrer_policy: origin, permissions_policy: "camera=()", coop: same-origin,'
           ' cache_control: "max-age=60", extra: { X-Own: ours, X-Gone: "" } },'
           ' "/api/*": { permissions_policy: off, extra: { X-More: two } } }')
    with backend(by_path(answers)) as behind, serving(app(tmp_path / "app", behind, web=web)) as server:
        one, two = server.fetch("/api/v1/x"), server.fetch("/api/x")
        lost, other = server.fetch("/api/v1/lost"), server.fetch("/api/v1/y")
    assert one.all("referrer-policy") == ["origin"] and one.all("permissions-policy") == ["camera=()"]
    assert one.all("x-own") == ["ours"] and one.all("cross-origin-opener-policy") == ["same-origin"]
    assert one.all("cache-control") == ["max-age=60"] and one.get("x-kept") == "theirs"
    assert one.get("x-gone") is None and one.get("x-more") == "two"
    assert two.all("referrer-policy") == ["unsafe-url"] and two.get("permissions-policy") is None
    assert two.all("x-own") == ["theirs"] and two.all("cache-control") == ["no-store"] and two.get("x-more") == "two"
    assert lost.all("cache-control") == ["no-store"] and lost.all("x-own") == ["ours"]  # an error is not kept
    assert other.get("cache-control") == "max-age=60" and other.get("referrer-policy") == "origin"


def test_frames_are_never_spoken_of_twice(tmp_path):
    both = (b"X-Frame-Options: SAMEORIGIN\r\nContent-Security-Policy: frame-ancestors 'none'; img-src *,"
            b" frame-ancestors 'self', font-src *\r\n")
    answers = {"both": (HTML + both,), "only": (HTML + b"Content-Security-Policy: frame-ancestors 'none'\r\n",),
               "xfo": (HTML + b"X-Frame-Options: DENY\r\n",), "none": (HTML,)}
    web = (', headers: { "/api/all/*": { frame_ancestors: "*" }, "/api/some/*": { frame_ancestors: https://a.example },'
           ' "/api/own/*": { csp: "img-src \'self\'" }, "/api/old/*": { extra: { X-Frame-Options: SAMEORIGIN } },'
           ' "/api/off/*": { csp: off } }')
    expected = {
        ("all", "both"): (None, ["img-src *, font-src *"]), ("all", "only"): (None, []), ("all", "xfo"): (None, []),
        ("all", "none"): (None, []),
        ("some", "both"): (None, ["img-src *, font-src *", "frame-ancestors https://a.example"]),
        ("some", "xfo"): (None, ["frame-ancestors https://a.example"]),
        ("own", "both"): ("SAMEORIGIN", ["img-src 'self'"]),
        ("own", "only"): (None, ["img-src 'self'; frame-ancestors 'self'"]),
        ("own", "xfo"): ("DENY", ["img-src 'self'"]),
        ("old", "none"): ("SAMEORIGIN", []), ("old", "xfo"): ("SAMEORIGIN", []),
        ("off", "only"): (None, ["frame-ancestors 'self'"]), ("off", "xfo"): ("DENY", []),
    }
    with backend(by_path(answers)) as behind, serving(app(tmp_path / "app", behind, web=web)) as server:
        for (profile, name), (frame_options, policies) in expected.items():
            answer = server.fetch(f"/api/{profile}/{name}")
            assert answer.get("x-frame-options") == frame_options, (profile, name)
            assert answer.all(CSP) == policies, (profile, name)


def test_what_is_nobodys_business_stays_here(tmp_path):
    secret = {"Authorization": "Bearer theirs", "Proxy-Authenticate": "Basic", "Proxy-Authorization": "x",
              "X-Accel-Redirect": "/protected/x", "X-Accel-Buffering": "no", "X-Sendfile": "/etc/x", "Cookie": "a=b",
              "X-Powered-By": "Express", "Server": "gunicorn", "X-AspNet-Version": "4", "X-User": "root",
              "X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1", "X-CSP-Nonce": "abc", "Proxy-Connection": "x"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in secret.items()).encode()
    more = ', identity: { header: X-User, value: "{user.id}" }'
    with backend(lambda *_: ok(b"body", lines + b"X-Fine: yes\r\n")) as behind, \
         serving(app(tmp_path / "app", behind, more=more)) as server:
        answer = server.fetch("/api/x")
    assert answer.get("x-fine") == "yes" and answer.get("server") == "dais"
    for name in secret:
        assert name == "Server" or answer.get(name.lower()) is None, name


# ---- policies for scripts ----------------------------------------------------------------------
def sha(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def script_sources(answer):
    return re.search(r"script-src ([^;]*)", answer.get(CSP))[1].split()


def test_the_default_policy_names_the_scripts_of_a_page(tmp_path):
    page = ("<!-- <script>no()</script> --><script>one()</script><SCRIPT type=module>two('http://127.0.0.1:8000')"
            "</SCRIPT><script type=importmap>{}</script><script src=/x.js></script>"
            "<script type=application/json>{}</script><p onclick=x()>" + "<p>words" * 200)
    files = {"web/index.html": page, "web/plain.html": "<p>none", "web/x.js": "1", "web/other/a.html": page,
             "web/large.html": page + "x" * 300_000}
    app_folder = write_app(tmp_path / "app", files, """web:
  root: web
  fallback: index.html
  pages: { "/share/*": plain.html }
  headers: { "/*": { csp: default }, "/other/*": { csp: "script-src {scripts} 'nonce-{nonce}'; style-src {styles}" } }
  rewrite: [ { files: "*.html", from: "http://127.0.0.1:8000", to: "" } ]
""")
    sources = [sha("one()"), sha("two('')"), sha("{}")]
    with serving(app_folder) as server:
        for path in ("/", "/index.html", "/deep/link", "/large.html"):
            assert script_sources(server.fetch(path)) == ["'self'", *sources], path
        for path in ("/plain.html", "/x.js", "/share/x"):
            assert script_sources(server.fetch(path)) == ["'self'"], path
        assert server.fetch("/other/a.html").get(CSP) == \
            f"script-src {' '.join(sources)}; style-src; frame-ancestors 'self'"

        def packed():
            answer = server.fetch("/", headers={"Accept-Encoding": "br"})
            return answer if answer.get("content-encoding") == "br" else None
        answer = wait_for(packed, "the compressed copy")
        assert script_sources(answer) == ["'self'", *sources]
        same = server.fetch("/", headers={"If-None-Match": answer.get("etag"), "Accept-Encoding": "br"})
        assert same.status == 304 and script_sources(same) == ["'self'", *sources]
    assert any("onclick" in line and "/index.html" in line for line in server.stderr.splitlines())


def test_a_nonce_is_for_one_answer(tmp_path):
    def answer(request, _):
        nonce = request.get("x-csp-nonce") or "none"
        if request.get("if-none-match"):
            return b"HTTP/1.1 304 Same\r\nETag: \"1\"\r\n\r\n"
        return ok(f"<script nonce={nonce}>".encode(), HTML + b"ETag: \"1\"\r\n")
    web = (', headers: { "/api/page/*": { csp: "default-src \'self\'; script-src {scripts} \'nonce-{nonce}\'",'
           ' frame_ancestors: none } }')
    with backend(answer) as behind, serving(app(tmp_path / "app", behind, web=web)) as server:
        seen = set()
        for _ in range(20):
            page = server.fetch("/api/page/x", headers={"X-CSP-Nonce": "chosen"})
            nonce = re.search(rb"nonce=([^>]*)>", page.body)[1].decode()
            assert page.all(CSP) == [f"default-src 'self'; script-src 'nonce-{nonce}'; frame-ancestors 'none'"]
            assert len(base64.b64decode(nonce)) == 16
            seen.add(nonce)
        assert len(seen) == 20
        # The page a browser kept has the nonce, and the policy, of when it came.
        same = server.fetch("/api/page/x", headers={"If-None-Match": '"1"'})
        assert same.status == 304 and same.get(CSP) is None
        assert b"nonce=none>" in server.fetch("/api/else", headers={"X-CSP-Nonce": "chosen"}).body


def test_tunnels_have_no_headers_of_pages(tmp_path):
    with backend(tunnel_answer) as behind, \
         serving(app(tmp_path / "app", behind, web=', headers: { "/*": { csp: default } }')) as server, \
         Conn(server) as conn:
        head = upgrade(server, conn).lower()
        assert head.startswith(b"http/1.1 101 ") and b"policy" not in head and b"nosniff" not in head


# ---- CORS --------------------------------------------------------------------------------------
FRIEND, FOE = "https://a.b.preview.example.com", "https://preview.example.com.evil.example"
CORS = ("cors: { origins: [ https://me.example.com, \"https://*.preview.example.com\" ], credentials: true }\n"
        "auth: { signup: open }\n")
ALLOW = "access-control-allow-"


@pytest.fixture(name="cors", scope="module")
def fixture_cors(tmp_path_factory):
    theirs = (b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
              b"Access-Control-Expose-Headers: X-Total\r\nX-Total: 7\r\nVary: Accept\r\n")

    def answer(request, _):
        return (b"", "close") if request.target == "/api/broken" else ok(b"body", theirs)
    with backend(answer) as behind:
        more = ', max_body: 1KB, access: { "/api/me": signed_in, "/api/never": nobody }'
        folder = app(tmp_path_factory.mktemp("cors") / "app", behind, more=more, top=CORS,
                     files={"web/index.html": "<h1>home</h1>", "web/data.json": "{}"})
        with serving(folder) as server:
            server.behind = behind
            yield server


def varies(answer):
    return [name.strip().lower() for line in answer.all("vary") for name in line.split(",")]


@pytest.mark.parametrize("path, method, status", [
    ("/data.json", "GET", 200), ("/api/x", "GET", 200), ("/api/x", "POST", 200), ("/lost.json", "GET", 404),
    ("/data.json", "POST", 405), ("/api/me", "GET", 401), ("/api/never", "GET", 403), ("/api/broken", "GET", 502),
    ("/api/x", "OPTIONS", 200), ("/data.json", "OPTIONS", 204),
])
def test_pages_of_friends_may_read_every_answer(cors, path, method, status):
    def ask(origin):
        return cors.fetch(path, method=method, headers={"Origin": origin} if origin else {})
    for origin in (FRIEND, "https://me.example.com"):
        answer = ask(origin)
        assert answer.status == status and answer.all(ALLOW + "origin") == [origin]
        assert answer.all(ALLOW + "credentials") == ["true"] and "origin" in varies(answer)
        assert "X-Request-Id" in ",".join(answer.all("access-control-expose-headers"))
    for origin in (FOE, "null", "https://me.example.com.", None):
        answer = ask(origin)
        assert answer.status == status and "origin" in varies(answer)
        assert answer.get(ALLOW + "origin") is None and answer.get(ALLOW + "credentials") is None


def test_a_body_that_is_too_large_is_told(cors):
    answer = cors.fetch("/api/x", method="POST", body=b"x" * 2000, headers={"Origin": FRIEND})
    assert answer.status == 413 and answer.get(ALLOW + "origin") == FRIEND


def test_the_backend_says_what_may_be_read(cors):
    answer = cors.fetch("/api/x", headers={"Origin": FRIEND})
    assert "X-Total" in answer.all("access-control-expose-headers") and "accept" in varies(answer)


def preflight(server, path, origin, method="PUT", headers="X-One, content-type", **more):
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **more}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return server.fetch(path, method="OPTIONS", headers=asked)


@pytest.mark.parametrize("path", ["/api/x", "/api/me", "/api/never", "/api/broken", "/data.json", "/lost"])
def test_preflights_are_answered_here(cors, path):
    seen = len(cors.behind.requests)
    answer = preflight(cors, path, FRIEND)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.get(ALLOW + "origin") == FRIEND and answer.get(ALLOW + "methods") == "PUT"
    assert answer.get(ALLOW + "headers") == "X-One, content-type" and answer.get(ALLOW + "credentials") == "true"
    assert answer.get("access-control-max-age") == "600"
    assert set(varies(answer)) == {"origin", "access-control-request-method", "access-control-request-headers"}
    for origin in (FOE, "null"):
        refused = preflight(cors, path, origin)
        assert refused.status == 204 and not [name for name, _ in refused.headers if name.lower().startswith(ALLOW)]
    assert len(cors.behind.requests) == seen


def test_preflights_echo_only_what_is_sane(cors):
    assert preflight(cors, "/api/x", FRIEND, method="A B").get(ALLOW + "methods") is None
    assert preflight(cors, "/api/x", FRIEND, method="X" * 33).get(ALLOW + "methods") is None
    assert preflight(cors, "/api/x", FRIEND, headers="a, b c").get(ALLOW + "headers") is None
    assert preflight(cors, "/api/x", FRIEND, headers="a" * 5000).get(ALLOW + "headers") is None
    assert preflight(cors, "/api/x", FRIEND, headers=None).get(ALLOW + "headers") is None


def test_without_cors_the_backends_word_counts(tmp_path):
    lines = b"Access-Control-Allow-Origin: https://x.example\r\n"
    with backend(lambda *_: ok(b"body", lines)) as behind, serving(app(tmp_path / "app", behind)) as server:
        answer = preflight(server, "/api/x", "https://x.example")
        assert answer.body == b"body" and answer.get(ALLOW + "origin") == "https://x.example"
        assert server.fetch("/", headers={"Origin": FRIEND}).get(ALLOW + "origin") is None
        assert "origin" not in varies(server.fetch("/"))


def test_cors_for_everybody_is_without_credentials(tmp_path, run_dais):
    with backend(lambda *_: ok(b"body")) as behind:
        with serving(app(tmp_path / "app", behind, top="cors: { origins: \"*\" }\n")) as server:
            answer = server.fetch("/api/x", headers={"Origin": FOE})
            assert answer.get(ALLOW + "origin") == "*" and answer.get(ALLOW + "credentials") is None
            assert server.fetch("/api/x", headers={"Origin": "null"}).get(ALLOW + "origin") is None
        folder = app(tmp_path / "bad", behind, top="cors: { origins: \"*\", credentials: true }\n")
        assert run_dais("check", folder).returncode == 1


def test_tunnels_follow_rules_of_their_own(tmp_path):
    with backend(tunnel_answer) as behind, serving(app(tmp_path / "app", behind, top=CORS)) as server, \
         Conn(server) as conn:
        assert upgrade(server, conn, headers=[("Origin", FRIEND)]).startswith(b"HTTP/1.1 403 ")


# ---- rewriting ---------------------------------------------------------------------------------
ORIGIN = b"http://127.0.0.1:8000"
REWRITE = (', rewrite: [ { files: "*.js", from: "http://127.0.0.1:8000", to: "" },'
           ' { files: "all/*", from: one, to: three } ]')
JS = b"Content-Type: text/javascript\r\n"


@contextlib.contextmanager
def rewritten(tmp_path, answer, web=REWRITE, routes="/"):
    with backend(answer) as behind, serving(app(tmp_path / "app", behind, web=web, routes=routes)) as server:
        server.behind = behind
        yield server


def test_text_of_the_backend_is_rewritten(tmp_path):
    text = b"fetch('" + ORIGIN + b"/api')"
    lines = (JS + b"ETag: \"1\"\r\nAccept-Ranges: bytes\r\nContent-MD5: x\r\nDigest: x\r\nRepr-Digest: x\r\n"
             b"Cache-Control: max-age=9\r\n")
    asked = {"Accept-Encoding": "gzip, br", "Range": "bytes=0-5", "If-Range": '"1"', "Accept": "*/*"}
    with rewritten(tmp_path, lambda *_: ok(text, lines)) as server:
        got = server.fetch("/a/x.js?v=1", headers=asked)
        assert (got.status, got.body) == (200, b"fetch('/api')")
        assert got.get("content-length") is None and got.get("transfer-encoding") == "chunked"
        assert got.get("etag") == 'W/"1"' and got.get("cache-control") == "max-age=9"
        for name in ("accept-ranges", "content-md5", "digest", "repr-digest"):
            assert got.get(name) is None, name
        request = server.behind.requests[-1]
        assert request.get("accept") == "*/*"
        for name in ("accept-encoding", "range", "if-range"):
            assert request.get(name) is None, name
        other = server.fetch("/a/x.jsx", headers=asked)
        assert other.body == text and other.get("etag") == '"1"' and other.get("accept-ranges") == "bytes"
        assert server.behind.requests[-1].get("accept-encoding") == "gzip, br"
        assert server.behind.requests[-1].get("range") == "bytes=0-5"
        head = server.fetch("/x.js", method="HEAD")
        assert head.get("content-length") is None and head.get("etag") == 'W/"1"'
        with Conn(server) as conn:  # the connection goes on behind it
            for _ in range(3):
                assert conn.request("/x.js").read().body == b"fetch('/api')"


def test_a_match_may_be_cut_anywhere(tmp_path):
    text, step = b"one " + ORIGIN + b" two", threading.Semaphore(0)

    def answer(request, sock):
        at = int(request.target.split("?")[1])
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + JS + b"\r\n")
        for piece in (text[:at], text[at:]):
            if piece:
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            step.acquire(timeout=0.02)  # so that the first piece is read by itself
        return b"0\r\n\r\n"
    with rewritten(tmp_path, answer) as server, Conn(server) as conn:
        for at in range(len(text) + 1):
            assert conn.request(f"/x.js?{at}").read().body == b"one  two", at


def test_much_text_is_rewritten_without_being_held(tmp_path):
    sent, piece, stopped = [], b"x" * 999 + ORIGIN, threading.Event()

    def answer(request, sock):
        if request.target == "/whole.js":
            return ok(piece * 20_000, JS)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n" + JS + b"\r\n")
        sock.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sum(sent) < 300_000_000:
                sent.append(sock.send(piece * 100))
        stopped.set()
        return b"", "close"
    with rewritten(tmp_path, answer) as server:
        assert server.fetch("/whole.js").body == b"x" * 999 * 20_000
        before = resident_kb(server.proc.pid)
        with Conn(server) as conn:
            conn.sock.sendall(b"GET /stopped.js HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stopped.wait(60)
            assert 0 < sum(sent) < 60_000_000  # what the kernels hold
            assert resident_kb(server.proc.pid) - before < 30_000


def test_what_passes_as_it_is(tmp_path):
    answers = {"film": (b"Content-Type: video/mp4\r\n", b"200 OK"), "part": (JS, b"206 Partial Content"),
               "packed": (JS + b"Content-Encoding: gzip\r\nETag: \"1\"\r\n", b"200 OK"),
               "events": (b"Content-Type: text/event-stream\r\n", b"200 OK"), "text": (JS, b"404 Not Found"),
               "movie.mp4": (b"Content-Type: video/mp4\r\n", b"200 OK")}

    def answer(request, _):
        lines, status = answers[request.target.rsplit("/", 1)[1]]
        return ok(b"one", lines, status)
    with rewritten(tmp_path, answer) as server:
        for name in ("film", "part", "packed", "events", "packed", "movie.mp4"):
            got = server.fetch(f"/all/{name}", headers={"Range": "bytes=0-"})
            assert got.body == b"one" and got.get("content-length") == "3", name
            assert server.behind.requests[-1].get("range") == ("bytes=0-" if name == "movie.mp4" else None)
        assert got.get("etag") is None and server.fetch("/all/packed").get("etag") == '"1"'
        assert server.fetch("/all/text").body == b"three"
        assert server.fetch("/deep/all/text").body == b"one"
        assert len(server.says("cannot be rewritten")) == 1


def test_half_a_rewritten_answer_is_not_made_whole(tmp_path):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n" + JS + b"\r\nhello http://127"
    with rewritten(tmp_path, lambda *_: (cut, "close")) as server:
        with pytest.raises((Broken, ConnectionResetError)):
            server.fetch("/x.js")


# ---- whose path is it? -------------------------------------------------------------------------
def test_files_pages_and_the_backend_share_the_paths(tmp_path):
    files = {"web/index.html": "index", "web/share.html": "share", "web/assets/there.js": "file", "web/api/x": "hidden",
             "web/both/index.html": "folder", "web/api/mixed/f.txt": "mixed", "site/a.html": "mounted"}
    web = (', fallback: index.html'
           ', pages: { "/share/*": share.html, "/api/share/*": share.html, "/assets/*": share.html }'
           ', redirects: { "/api/old": /new, "/old": /new }, mounts: { "/assets/docs/": site }'
           ', env: { path: /assets/env.js, values: {} }')
    with backend(lambda request, _: ok(f"{request.method} {request.target}".encode())) as behind, \
         serving(app(tmp_path / "app", behind, web=web, files=files, routes="/api/, /health",
                     more=", static_first: [ /assets/, /both/, /api/mixed/ ]")) as server:
        for path, body in {
                "/": "index", "/deep/link": "index", "/share/1": "share", "/share": "index", "/healthy": "index",
                "/health": "GET /health", "/api/x": "GET /api/x", "/api/share/1": "GET /api/share/1",
                "/api/old": "GET /api/old", "/api": "index", "/api/lost.js": "GET /api/lost.js",
                "/assets/there.js": "file", "/assets/absent.js": "GET /assets/absent.js",
                "/assets/docs/a.html": "mounted", "/assets/env.js": "export const env={};\n",
                "/both/": "folder", "/both/x": "GET /both/x", "/api/mixed/f.txt": "mixed",
                "/api/mixed/g.txt": "GET /api/mixed/g.txt"}.items():
            assert server.fetch(path).body.decode() == body, path
        assert server.fetch("/old").get("location") == "/new"
        assert server.fetch("/lost.js").status == 404
        # What a file cannot answer is for the backend.
        assert server.fetch("/assets/there.js", method="POST").body == b"POST /assets/there.js"
        assert server.fetch("/assets/there.js", method="HEAD").get("content-type").startswith("text/javascript")
        assert server.fetch("/share/1", method="POST").status == 405


# ---- the cache ---------------------------------------------------------------------------------
PUBLIC = b"Cache-Control: public, max-age=60\r\n"


@contextlib.contextmanager
def cached(tmp_path, answer, more="", size="1MB", **parts):
    with backend(answer) as behind, \
         serving(app(tmp_path / "app", behind, more=f", cache: {size}{more}", **parts)) as server:
        server.behind = behind
        yield server


def counting(lines):
    """Answers with how many came before; lines by the last name of the path."""
    count = iter(range(1000))

    def answer(request, _):
        return ok(b"%d" % next(count), lines.get(request.target.split("?")[0].rsplit("/", 1)[1], PUBLIC))
    return answer


def test_what_is_public_is_given_again(tmp_path):
    lines = {"x": PUBLIC + b"ETag: \"1\"\r\nX-Own: 1\r\nAge: 7\r\n" + JSON, "y": PUBLIC, "none": b"", "own":
             b"Cache-Control: private, max-age=60\r\n", "cookie": PUBLIC + b"Set-Cookie: a=b\r\n"}
    with cached(tmp_path, counting(lines), top=CORS) as server:
        first, again = server.fetch("/api/x"), server.fetch("/api/x", headers={"Origin": FRIEND})
        assert first.body == again.body == b"0" and first.get("cache-status") is None
        assert again.get("cache-status") == "dais; hit" and first.get(ALLOW + "origin") is None
        assert again.get(ALLOW + "origin") == FRIEND
        for name in ("etag", "x-own", "content-type", "cache-control", "x-content-type-options", "content-length"):
            assert first.all(name) == again.all(name) and len(again.all(name)) == 1, name
        assert first.all("age") == ["7"] and again.all("age") in (["7"], ["8"])
        head = server.fetch("/api/x", method="HEAD")
        assert (head.status, head.body, head.get("content-length")) == (200, b"", "1")
        same = server.fetch("/api/x", headers={"If-None-Match": 'W/"1"'})
        assert (same.status, same.get("etag")) == (304, '"1"')
        assert len(server.behind.requests) == 1
        assert server.fetch("/api/x?q").body == b"1" and server.fetch("/api/x", host="other.example").body == b"2"
        assert server.fetch("/api/z%3Fq").body == b"3" and server.fetch("/api/z?q?").body == b"4"
        for headers in ({"Cookie": "a=b"}, {"Authorization": "x"}, {"Cache-Control": "no-store"},
                        {"Range": "bytes=0-"}):
            assert int(server.fetch("/api/x", headers=headers).body) > 4, headers
        assert server.fetch("/api/x").body == b"0"
        for name in ("none", "own", "cookie"):
            assert server.fetch(f"/api/{name}").body != server.fetch(f"/api/{name}").body, name
        forced = server.fetch("/api/y").body
        assert server.fetch("/api/y", headers={"Cache-Control": "no-cache"}).body != forced
        newest = server.fetch("/api/y").body
        assert newest != forced
        assert server.fetch("/api/y", method="POST").status == 200
        assert server.fetch("/api/y").body not in (newest, forced)


def test_what_varies_is_kept_apart(tmp_path):
    lines = {"x": PUBLIC + b"Vary: Accept-Language\r\nVary: Accept\r\n"}
    with cached(tmp_path, counting(lines)) as server:
        bodies = {lang: server.fetch("/api/x", headers={"Accept-Language": lang}).body for lang in ("de", "fr", "it")}
        assert len(set(bodies.values())) == 3
        for lang, body in bodies.items():
            assert server.fetch("/api/x", headers={"Accept-Language": lang}).body == body


def test_what_is_old_is_asked_for_again(tmp_path):
    state = {"etag": b'"1"', "body": b"one"}

    def answer(request, _):
        lines = b"Cache-Control: public, max-age=0\r\nETag: " + state["etag"] + b"\r\n"
        if request.get("if-none-match") == state["etag"].decode():
            return b"HTTP/1.1 304 Same\r\n" + lines + b"\r\n"
        return ok(state["body"], lines)
    with cached(tmp_path, answer) as server:
        assert server.fetch("/api/x").body == b"one"
        again = server.fetch("/api/x", headers={"If-None-Match": '"0"'})
        assert (again.status, again.body, again.get("cache-status")) == (200, b"one", "dais; hit")
        assert server.behind.requests[-1].get("if-none-match") == '"1"'
        assert server.fetch("/api/x", headers={"If-None-Match": '"1"'}).status == 304
        state.update(etag=b'"2"', body=b"two")
        assert server.fetch("/api/x").body == b"two" and server.fetch("/api/x").get("cache-status") == "dais; hit"
        assert len(server.behind.requests) == 5


def test_only_whole_answers_are_kept(tmp_path):
    head = b"HTTP/1.1 200 OK\r\n" + PUBLIC
    answers = {"cut": head + b"Content-Length: 9\r\n\r\nhalf", "open": head + b"\r\nhalf", "chunks": head +
               b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "large": ok(b"x" * 200_000, PUBLIC),
               "whole": head + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n"}
    with cached(tmp_path, lambda request, _: (answers[request.target.rsplit("/", 1)[1]], "close")) as server:
        for name, times in (("cut", 2), ("open", 2), ("chunks", 2), ("large", 2), ("whole", 1)):
            seen = len(server.behind.requests)
            for _ in range(2):
                with contextlib.suppress(Broken, ConnectionResetError):
                    server.fetch(f"/api/{name}")
            assert len(server.behind.requests) - seen == times, name


def test_large_answers_are_kept_as_they_pass(tmp_path):
    """Bodies of this size else go from socket to socket, unseen."""
    body = bytes(range(256)) * 8000
    with cached(tmp_path, lambda *_: ok(body, PUBLIC), size="64MB") as server:
        for _ in range(3):
            assert server.fetch("/api/x").body == body
        assert len(server.behind.requests) == 1


def test_the_cache_keeps_what_was_rewritten_and_what_the_manifest_says(tmp_path):
    text = b"a " + ORIGIN + b" b"
    web = (REWRITE + ', headers: { "/api/kept/*": { cache_control: "public, max-age=9" },'
           ' "/api/not/*": { cache_control: no-store } }')
    with cached(tmp_path, lambda *_: ok(text, JS + PUBLIC), web=web) as server:
        for path, asked in (("/api/x.js", 1), ("/api/kept/x.js", 1), ("/api/not/x.js", 2)):
            seen = len(server.behind.requests)
            assert [server.fetch(path).body for _ in range(2)] == [b"a  b"] * 2
            assert len(server.behind.requests) - seen == asked, path


def test_access_is_asked_before_the_cache(tmp_path):
    with cached(tmp_path, counting({"x": PUBLIC}), more=", access: { /api/me: signed_in }",
                top="auth: { signup: open }\n") as server:
        assert server.fetch("/api/me/x").status == 401 and not server.behind.requests
