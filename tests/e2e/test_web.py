# Static apps on the real binary: ownership of paths, hostile paths, codings, ranges, changes, live reload.
import gzip
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import DEADLINE, Conn, fetch, wait_for

SITE = """title: Demo
web:
  root: web
  fallback: index.html
  redirects: { "/old/*": "/new/:splat" }
  mounts: { /docs/: site }
  pages: { "/widget/*": widget.html }
  headers: { "/widget/*": { frame_ancestors: "*" } }
  errors: { 404: lost.html }
  env: { path: /_app/env.js, values: { PUBLIC_URL: "" } }
  rewrite: [ { files: "*.js", from: "http://127.0.0.1:8000", to: "" } ]
"""
TEXT = "".join(f"line {i}\n" for i in range(2000))
LARGE = bytes(i * 7 % 251 for i in range(1 << 20))
FILES = {
    "web/index.html": "<h1>home</h1>", "web/lost.html": "<h1>lost</h1>",
    "web/widget.html": "<h1>widget</h1>", "web/sub/index.html": "<h1>sub</h1>",
    "web/app.3f2a9c1b.js": "fetch('http://127.0.0.1:8000/api')", "web/text.txt": TEXT,
    "web/large.bin": LARGE, "web/.env": "SECRET", "web/.git/config": "SECRET",
    "site/index.html": "<h1>docs</h1>", "secret.txt": "SECRET", "web-other/x.txt": "SECRET",
}


@pytest.fixture
def site(make_app, dais):
    return dais(make_app("demo", FILES, SITE))


@pytest.mark.parametrize("path, status, body", [
    ("/", 200, "<h1>home</h1>"), ("/deep/link?x=1", 200, "<h1>home</h1>"),
    ("/sub/", 200, "<h1>sub</h1>"), ("/docs/", 200, "<h1>docs</h1>"),
    ("/widget/7", 200, "<h1>widget</h1>"), ("/missing.png", 404, "<h1>lost</h1>"),
    ("/docs/nothing", 404, "<h1>lost</h1>"), ("/.env", 404, "<h1>lost</h1>"),
    ("/.git/config", 404, "<h1>lost</h1>"), ("/app.3f2a9c1b.js", 200, "fetch('/api')"),
    ("/_app/env.js", 200, 'export const env={"PUBLIC_URL":""};\n'),
])
def test_owner_of_a_path(site, path, status, body):
    answer = site.fetch(path)
    assert (answer.status, answer.body.decode()) == (status, body)
    assert answer.get("x-content-type-options") == "nosniff"


def test_redirects(site):
    assert site.fetch("/old/a/b?q=1").get("location") == "/new/a/b?q=1"
    folder = site.fetch("/sub?q=1")
    assert (folder.status, folder.get("location")) == (301, "/sub/?q=1")


def test_other_methods(site):
    refused = site.fetch("/text.txt", method="POST", body=b"x")
    assert (refused.status, refused.get("allow")) == (405, "GET, HEAD")
    assert site.fetch("/deep/link", method="POST", body=b"x").status == 404
    head = site.fetch("/text.txt", method="HEAD")
    assert (head.status, head.get("content-length")) == (200, str(len(TEXT)))


def test_heads(site):
    assert site.fetch("/").get("cache-control") == "no-store"
    assert site.fetch("/app.3f2a9c1b.js").get("cache-control") == \
        "public, max-age=31536000, immutable"
    text = site.fetch("/text.txt")
    assert text.get("cache-control") == "no-cache"
    assert text.get("content-security-policy") == "frame-ancestors 'self'"
    assert site.fetch("/widget/1").get("content-security-policy") is None


def test_json_clients_get_a_problem(site):
    answer = site.fetch("/missing.png", headers={"Accept": "application/json"})
    assert (answer.status, answer.get("content-type")) == (404, "application/problem+json")


HOSTILE = ["/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt",
           "/..%5csecret.txt", "/..\\secret.txt", "/sub/../../secret.txt", "//secret.txt",
           "/%252e%252e/secret.txt", "/./../secret.txt", "/%00/../secret.txt", "/sub/..%c0%af",
           "/....//secret.txt", "/..;/secret.txt", "/%2e%2e%00", "/out.txt", "/up/secret.txt",
           "/absolute", "/../web-other/x.txt", "/fifo.txt", "/folder.html", "/sub/.%2e/%2e./secret.txt",
           "/%c0%ae%c0%ae/secret.txt", "/magic/etc/passwd", "/" + "a/../" * 200 + "../secret.txt"]


def test_nothing_outside_is_served(make_app, dais):
    folder = make_app("demo", FILES, SITE)
    web = folder / "web"
    os.symlink("../secret.txt", web / "out.txt")
    os.symlink("..", web / "up")
    os.symlink("/etc/passwd", web / "absolute")
    os.symlink("/proc/self/root", web / "magic")
    os.mkfifo(web / "fifo.txt")
    (web / "folder.html").mkdir()
    server = dais(folder)
    for path in HOSTILE:
        with Conn(server) as conn:
            answer = conn.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").read()
        assert b"SECRET" not in answer.body and b"root:" not in answer.body, path
        assert answer.status in (200, 400, 404), path
    assert server.fetch("/").status == 200


def test_codings(site):
    def coded(coding):
        answer = site.fetch("/text.txt", headers={"Accept-Encoding": coding})
        return answer if answer.get("content-encoding") == coding else None
    gz = wait_for(lambda: coded("gzip"), "the gzip copy")
    assert gzip.decompress(gz.body).decode() == TEXT
    br = wait_for(lambda: coded("br"), "the brotli copy")
    if tool := shutil.which("brotli"):
        plain = subprocess.run([tool, "-d", "-c"], input=br.body, capture_output=True, check=True)
        assert plain.stdout.decode() == TEXT
    plain = site.fetch("/text.txt")
    assert len({gz.get("etag"), br.get("etag"), plain.get("etag")}) == 3
    assert {a.get("vary") for a in (gz, br, plain)} == {"Accept-Encoding"}
    for answer in (gz, br):
        same = site.fetch("/text.txt", headers={"Accept-Encoding": answer.get("content-encoding"),
                                                "If-None-Match": answer.get("etag")})
        assert (same.status, same.body) == (304, b"")


@pytest.mark.parametrize("path, content", [("/text.txt", TEXT.encode()), ("/large.bin", LARGE)])
def test_ranges(site, path, content):
    with site.connect() as conn:
        whole = conn.request(path).read()
        assert whole.body == content
        for asked, first, last in (("0-0", 0, 0), ("100-199", 100, 199),
                                   ("-10", len(content) - 10, len(content) - 1),
                                   (f"{len(content) - 5}-", len(content) - 5, len(content) - 1)):
            part = conn.request(path, headers={"Range": f"bytes={asked}"}).read()
            assert part.status == 206
            assert part.body == content[first:last + 1]
            assert part.get("content-range") == f"bytes {first}-{last}/{len(content)}"
        beyond = conn.request(path, headers={"Range": f"bytes={len(content)}-"}).read()
        assert (beyond.status, beyond.get("content-range")) == (416, f"bytes */{len(content)}")
        many = conn.request(path, headers={"Range": "bytes=0-9,50-59,-5"}).read()
        boundary = re.fullmatch("multipart/byteranges; boundary=(.*)", many.get("content-type"))[1]
        parts = many.body.split(b"--" + boundary.encode())
        assert [p.split(b"\r\n\r\n", 1)[1][:-2] for p in parts[1:-1]] == \
            [content[:10], content[50:60], content[-5:]]
        assert parts[-1] == b"--\r\n"
        assert conn.request("/").read().status == 200


@pytest.mark.parametrize("end", [65000, 65300, 65340, 65400, 65450])
def test_a_part_that_nearly_fills_the_buffer(site, end):
    """No room is left for the next part's head then: it must wait, not hold up the server."""
    with site.connect() as conn:
        many = conn.request("/large.bin", headers={"Range": f"bytes=0-{end},90000-90009"}).read()
        parts = many.body.split(b"--" + many.get("content-type").split("boundary=")[1].encode())
        assert [p.split(b"\r\n\r\n", 1)[1][:-2] for p in parts[1:-1]] == \
            [LARGE[:end + 1], LARGE[90000:90010]]
    assert site.fetch("/").status == 200


def test_a_file_cut_while_it_is_sent(make_app, dais):
    folder = make_app("demo", FILES, SITE)
    file = folder / "web" / "huge.bin"
    with file.open("wb") as f:
        f.truncate(200 << 20)
    server = dais(folder)
    with server.connect() as conn:
        conn.request("/huge.bin")
        wait_for(lambda: conn._more(time.monotonic() + DEADLINE), "the first bytes")
        os.truncate(file, 1000)
        got = 0
        while conn._more(time.monotonic() + DEADLINE):
            got += len(conn.left)
            conn.left = b""
        assert got < 200 << 20
    assert server.fetch("/").status == 200


def replace(path, text):
    """As builds do: write beside, then rename."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.rename(path)


def test_changed_files_are_served(make_app, dais):
    folder = make_app("demo", FILES, SITE)
    server = dais(folder)
    before = server.fetch("/text.txt").get("etag")
    for n in range(3):
        replace(folder / "web" / "text.txt", f"version {n}\n" * 100)
        (folder / "web" / "fresh").mkdir(exist_ok=True)
        (folder / "web" / "fresh" / f"{n}.txt").write_text(f"{n}")
        wait_for(lambda: server.fetch("/text.txt").body.startswith(f"version {n}\n".encode()),
                 f"version {n}")
        wait_for(lambda: server.fetch(f"/fresh/{n}.txt").body == f"{n}".encode(), f"fresh/{n}.txt")
    assert server.fetch("/text.txt").get("etag") != before
    (folder / "web" / "text.txt").unlink()
    wait_for(lambda: server.fetch("/text.txt").status == 404, "404")
    shutil.rmtree(folder / "web")
    wait_for(lambda: server.fetch("/").status == 404, "an empty site")
    (folder / "web").mkdir()
    (folder / "web" / "index.html").write_text("again")
    wait_for(lambda: server.fetch("/").body == b"again", "the new folder")


def events(conn, until):
    """Reads the stream until the pattern is there."""
    wait_for(lambda: re.search(until, conn.left) or (conn._more(time.monotonic() + DEADLINE), False)[1],
             f"{until!r}")
    conn.left = b""


def test_live_reload(make_app, dais):
    folder = make_app("demo", {**FILES, "web/style.css": "a{}"}, SITE)
    server = dais(folder, "--dev")
    page = server.fetch("/").body.decode()
    script = re.search('<script src="([^"]+)">', page)[1]
    assert "EventSource" in server.fetch(script).body.decode()
    with server.connect() as conn:
        conn.request("/_/dev/events")
        events(conn, rb"retry: 500")
        replace(folder / "web" / "style.css", "b{}")
        events(conn, rb"event: css\n")
        replace(folder / "web" / "index.html", "<h1>new</h1>")
        events(conn, rb"event: reload\n")
        assert server.fetch("/").body.startswith(b"<h1>new</h1>")
        began = time.monotonic()
        server.stop()  # an open page does not hold the server up
        assert time.monotonic() - began < 5


def test_a_change_between_the_page_and_its_stream_is_not_missed(make_app, dais):
    folder = make_app("demo", FILES, SITE)
    server = dais(folder, "--dev")
    stream = "/_/dev/" + re.search(r"events\?seen=\d+", server.fetch("/_/dev/reload.js").body.decode())[0]
    with server.connect() as conn:
        conn.request(stream)
        events(conn, rb"retry: 500")
        replace(folder / "web" / "index.html", "<h1>new</h1>")
        events(conn, rb"event: reload\n")
    with server.connect() as conn:  # asks again with what it had seen
        conn.request(stream)
        events(conn, rb"event: reload\n")
    now = re.search(r"events\?seen=\d+", server.fetch("/_/dev/reload.js").body.decode())[0]
    with server.connect() as conn:
        conn.request("/_/dev/" + now)
        events(conn, rb"retry: 500\n\nevent: hello\ndata: 1\n\n\r\n\Z")  # and nothing to reload
        replace(folder / "web" / "index.html", "<h1>newer</h1>")
        events(conn, rb"event: reload\n")


def test_two_apps(make_app, dais):
    server = dais(make_app("one", FILES, SITE), make_app("two", FILES, SITE), "--dev")
    folder = server.fetch("/one/sub?q=1")
    assert (folder.status, folder.get("location")) == (301, "/one/sub/?q=1")
    assert server.fetch("/two/old/a").get("location") == "/two/new/a"
    page = server.fetch("/one/deep/link").body.decode()
    script = re.search('<script src="([^"]+)">', page)[1]
    assert script.startswith("/one/") and server.fetch(script).status == 200
    assert server.fetch("/one/../two/.env").status == 404


def test_a_thousand_requests_while_files_change(make_app, dais):
    folder = make_app("demo", FILES, SITE)
    server = dais(folder)
    with server.connect() as conn:
        for n in range(1000):
            if n % 50 == 0:
                replace(folder / "web" / "text.txt", f"{n // 50:02d}" * 500)
            body = conn.request("/text.txt").read().body
            assert body == TEXT.encode() or body == body[:2] * 500


def test_a_page_that_listens_late_does_not_hold_up_the_end(make_app, dais):
    server = dais(make_app("one", FILES, SITE), "--dev")
    with server.connect() as late:
        late.send("GET /_/dev/events HTTP/1.1\r\nHost: a\r\n")
        server.proc.send_signal(signal.SIGTERM)
        wait_for(lambda: "finishing" in server.stderr, "the drain")
        late.send("\r\n")
        assert server.proc.wait(8) == 0


def test_the_script_of_a_page_reached_by_the_apps_name(make_app, dais):
    server = dais(make_app("one", FILES, SITE), make_app("two", FILES, SITE), "--dev")
    for host in ("localhost", "two.localhost"):
        page = server.fetch("/two/" if host == "localhost" else "/", host=host).body.decode()
        script = re.search('<script src="([^"]*)">', page)[1]
        answer = server.fetch(script, host=host)
        assert (answer.status, answer.get("content-type")) == (200, "text/javascript; charset=utf-8")
        assert server.fetch(script, method="POST", host=host).status == 405


def test_a_reload_has_room_to_rewrite_again(make_app, dais):
    """Both hosts' files are in memory for a moment: more than one host's share."""
    large = "fetch('http://127.0.0.1:8000/api')" + " " * (14 << 20)
    folder = make_app("one", {**FILES, **{f"web/{n}.js": large for n in "abc"}}, SITE)
    server = dais(folder)
    for _ in range(3):
        for name in "abc":
            start = server.fetch(f"/{name}.js", headers={"Range": "bytes=0-10"}).body
            assert start == b"fetch('/api"
        assert fetch(folder / "data/dais.sock", "/reload", "POST").status == 200
