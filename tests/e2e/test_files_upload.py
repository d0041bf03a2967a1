# Files that come in: PUT and forms of every shape, and what is left of those that broke off: nothing.
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

import pytest

from accounts_api import ask, desk, joined
from conftest import DEADLINE, Conn, wait_for
from documents import DATABASES, TEST_BIN, call, problem, store
from serving import answers, exchange, resident_kb, serving, write_app
from stores import bucket_of, env_of, object_store, stand_in

MB = 1 << 20
MANIFEST = """
files:
  box:
    max: 8MB
    quota: { bytes: 24MB, per: user }
  pics: { max: 64KB, types: [image/png, "text/plain"] }
  shared:
    max: 1MB
    visibility: choice
    rules: { read: signed_in, create: signed_in, write: "role:editor", delete: owner }
  mine: { max: 1MB, scope: user }
  huge: { max: 1GB }
"""
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 2000


def content(size, seed=b"x"):
    return (hashlib.sha256(seed).digest() * (size // 32 + 1))[:size]


def etag(body):
    return f'"{hashlib.sha256(body).hexdigest()}"'


@contextlib.contextmanager
def files(database, folder, manifest=MANIFEST):
    with store(database, folder, manifest) as server:
        server.data, server.s3 = folder / "data" / "apps" / "app" / "files", bucket_of(folder / "data")
        yield server


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with files(request.param, tmp_path_factory.mktemp("up")) as server:
        yield server


def put(server, path, body, user="ann", kind=None, **headers):
    if kind:
        headers["Content_Type"] = kind
    else:
        headers.setdefault("Content_Type", "application/octet-stream")
    return call(server, "PUT", f"/api/files/{path}", body, user, **headers)


def get(server, path, user="ann"):
    return call(server, "GET", f"/api/files/{path}", user=user)


def drafts(server):
    return list((server.data / "drafts").iterdir())


def stored(server):
    """Blobs are files in a folder, and in the bucket of a server that keeps them so."""
    found = [one.path for key, one in server.s3.objects.items() if "-" in key] if server.s3 else \
        (server.data / "blobs").rglob("*")
    return [file for file in found if file.is_file()]


def blobs(server):
    return {file.name for file in stored(server)}


def nothing_left(server, before):
    """No draft, and no blob that was not there: what is removed may take a moment."""
    wait_for(lambda: not drafts(server) and blobs(server) == before, "the end of a broken upload")


def usage(server, bucket, user="ann"):
    """Bytes and files of an account: as listed, and as the sums have it, once /api/usage tells them."""
    items = [item for item in call(server, "GET", f"/api/files/{bucket}?limit=1000", user=user).json()["items"]
             if item["owner"] == user]
    found = {"bytes": sum(item["size"] for item in items), "files": len(items)}
    told = call(server, "GET", "/api/usage", user=user).json().get("files", {}).get(bucket, found)
    assert {name: told[name] for name in found} == found
    return found


# ---- sizes and ways --------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 65536, MB, MB + 1, 5 * MB + 1])
def test_sizes(db, size):
    body = content(size, str(size).encode())
    answer = put(db, f"huge/sizes/{size}.bin", body)
    assert answer.status == 201, answer.body
    assert answer.get("location") == f"/api/files/huge/sizes/{size}.bin"
    assert answer.get("etag") == etag(body) and answer.json()["size"] == size
    found = get(db, f"huge/sizes/{size}.bin")
    assert found.status == 200 and found.body == body and found.get("etag") == etag(body)
    assert put(db, f"huge/sizes/{size}.bin", body + b"+").status == 200
    assert get(db, f"huge/sizes/{size}.bin").body == body + b"+"
    wait_for(lambda: not drafts(db), "no drafts")


def head(path, user="ann", *more):
    lines = [f"PUT /api/files/{path} HTTP/1.1", "Host: localhost", f"X-Test-User: {user}", "Connection: close", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_trickled(db):
    body = content(3000)
    parts = [head("huge/trickled", "ann", f"Content-Length: {len(body)}")]
    raw = exchange(db, parts + [body[i:i + 7] for i in range(0, len(body), 7)])
    assert raw.startswith(b"HTTP/1.1 201 "), raw[:200]
    assert get(db, "huge/trickled").body == body


@pytest.mark.parametrize("size", [0, 1, 100_000, 2 * MB, 3 * MB + 17])
def test_chunked(db, size):
    body = content(size, b"chunked")
    step = max(1, size // 5)
    chunks = [b"%x\r\n%s\r\n" % (len(body[i:i + step]), body[i:i + step]) for i in range(0, size, step)]
    raw = exchange(db, [head("huge/chunked", "ann", "Transfer-Encoding: chunked"), *chunks, b"0\r\n\r\n"])
    assert raw[:12] in (b"HTTP/1.1 201", b"HTTP/1.1 200"), raw[:200]
    assert get(db, "huge/chunked").body == body


def test_connection_goes_on(db):
    with Conn(db) as conn:
        for i in range(3):
            body = content(200_000, b"%d" % i)
            answer = conn.request("/api/files/huge/kept", "PUT", {"X-Test-User": "ann"}, body).read()
            assert answer.status in (200, 201) and answer.get("connection") != "close"
        assert conn.request("/api/files/huge/kept", headers={"X-Test-User": "ann"}).read().body == body


def test_expect_continue(db):
    """100 Continue comes once it is known that the file may, and not before."""
    with Conn(db) as conn:
        conn.send(head("huge/expected", "ann", "Content-Length: 5", "Expect: 100-continue"))
        assert conn.read_interim().status == 100
        assert conn.send(b"hello").read().status == 201
    with Conn(db) as conn:
        conn.send(head("box/large", "ann", f"Content-Length: {9 * MB}", "Expect: 100-continue"))
        answer = conn.read()
        assert answer.status == 413 and not answer.interim
    with Conn(db) as conn:
        conn.send(head("box/x", "", "Content-Length: 5", "Expect: 100-continue"))
        answer = conn.read()
        assert answer.status == 401 and not answer.interim


# ---- what breaks off -------------------------------------------------------------------------------
@pytest.mark.parametrize("sent", [0, 10, 3 * MB])
@pytest.mark.parametrize("framing", ["Content-Length: 5000000", "Transfer-Encoding: chunked"])
def test_abort(db, sent, framing):
    before, used = blobs(db), usage(db, "box")
    with Conn(db) as conn:
        body = content(sent, b"abort")
        if "chunked" in framing:
            body = b"%x\r\n%s" % (sent + 5, body)
        conn.send(head("box/aborted", "ann", framing) + body)
        if sent > MB:
            wait_for(lambda: drafts(db), "a draft")
    nothing_left(db, before)
    assert get(db, "box/aborted").status == 404 and usage(db, "box") == used
    # and nothing is reserved any more: all of the quota can be announced
    with Conn(db) as conn:
        conn.send(head("box/aborted", "ann", f"Content-Length: {8 * MB}", "Expect: 100-continue"))
        assert conn.read_interim().status == 100


def test_abort_at_the_end(db):
    """The client leaves when all is sent: there is the file, or there is nothing."""
    for i in range(20):
        body = content(200_000, b"end %d" % i)
        with Conn(db) as conn:
            conn.send(head(f"huge/end/{i}", "ann", f"Content-Length: {len(body)}") + body)
    hashes = {hashlib.sha256(content(200_000, b"end %d" % i)).hexdigest() for i in range(20)}

    def is_settled():
        kept = {blob[:64] for blob in blobs(db)} & hashes
        listed = call(db, "GET", "/api/files/huge?prefix=end/&limit=100").json()["items"]
        return not drafts(db) and kept == {item["etag"].strip('"') for item in listed}
    wait_for(lambda: is_quiet(db), "the last one is through")
    wait_for(is_settled, "a blob for each file, and no other")


def is_quiet(server):
    """Nobody's request is under way, but who asks this."""
    told = server.fetch("/metrics").body
    n_open, n_idle = (int(re.search(rb"^dais_connections_%s (\d+)$" % name, told, re.M)[1])
                      for name in (b"open", b"idle"))
    return n_open - n_idle == 1


def test_bad_chunk(db):
    raw = exchange(db, [head("box/bad", "ann", "Transfer-Encoding: chunked") + b"5\r\nbad!!XX"])
    assert raw.startswith(b"HTTP/1.1 400 ")
    wait_for(lambda: not drafts(db), "no drafts")
    key = hashlib.sha256(b"bad!!").hexdigest()
    assert not [blob for blob in blobs(db) if blob.startswith(key)] and get(db, "box/bad").status == 404


# ---- limits ----------------------------------------------------------------------------------------
def test_too_large_before_the_body(db):
    with Conn(db) as conn:
        conn.send(head("box/large", "ann", f"Content-Length: {9 * MB}"))
        problem(conn.read(), 413, "body_too_large")  # not a byte of it was sent


def test_too_large_on_the_way(db):
    before = blobs(db)
    piece = b"100000\r\n" + bytes(MB) + b"\r\n"
    raw = exchange(db, [head("box/large", "ann", "Transfer-Encoding: chunked"), *[piece] * 9, b"0\r\n\r\n"])
    assert raw.startswith(b"HTTP/1.1 413 "), raw[:100]
    nothing_left(db, before)


def test_quota_before_the_body(db):
    for i in range(3):
        assert put(db, f"box/{i}", content(7 * MB, b"%d" % i), "quota").status == 201
    with Conn(db) as conn:
        conn.send(head("box/over", "quota", f"Content-Length: {4 * MB}"))
        problem(conn.read(), 403, "quota_exceeded")
    raw = exchange(db, [head("box/over", "quota", "Transfer-Encoding: chunked"),
                        *[b"100000\r\n" + bytes(MB) + b"\r\n"] * 4])
    assert raw.startswith(b"HTTP/1.1 403 "), raw[:100]  # as it comes
    assert put(db, "box/0", content(8 * MB), "quota").status == 200  # what it replaces does not count
    assert usage(db, "box", "quota")["bytes"] == 22 * MB


def test_quota_in_parallel(db):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        tries = [pool.submit(put, db, f"box/par{i}", content(5 * MB, b"p%d" % i), "parallel", deadline=4 * DEADLINE)
                 for i in range(20)]
        found = sorted(one.result().status for one in tries)
    assert set(found) == {201, 403}, found
    used = usage(db, "box", "parallel")
    assert used["bytes"] == found.count(201) * 5 * MB <= 24 * MB
    while usage(db, "box", "parallel")["bytes"] <= 19 * MB:  # all that was reserved is given back
        path = f"box/more{time.monotonic()}"
        wait_for(lambda: put(db, path, content(5 * MB), "parallel").status == 201, "room")  # pylint: disable=W0640


def test_types(db):
    before = blobs(db)
    assert put(db, "pics/a.png", PNG).status == 201
    assert put(db, "pics/b.txt", b"a text of its own", kind="text/plain").status == 201
    problem(put(db, "pics/c.png", b"%PDF-1.4 ..." + bytes(2000), kind="image/png"), 415, "unsupported_media_type")
    with Conn(db) as conn:  # as declared, before the body
        conn.send(head("pics/d", "ann", "Content-Length: 5000", "Content-Type: application/pdf"))
        problem(conn.read(), 415)
    with Conn(db) as conn:  # by its first bytes, long before its last
        conn.send(head("pics/e", "ann", "Content-Length: 60000") + b"%PDF-1.4\n" + bytes(1100))
        problem(conn.read(), 415)
    wait_for(lambda: not drafts(db), "no drafts")
    assert len(blobs(db) - before) == 2
    problem(put(db, "pics/f.png", PNG, Content_Encoding="gzip"), 415)
    problem(put(db, "pics/f.png", PNG, Content_Range="bytes 0-4/10"), 400)


def test_rights_and_conditions(db):
    body = b"mine"
    assert put(db, "box/taken", body).status == 201
    before = blobs(db)
    problem(put(db, "box/taken", b"theirs", "bob"), 409, "exists")
    problem(put(db, "box/x", b"x", None), 401)
    problem(put(db, "nowhere/x", b"x"), 404)
    problem(put(db, "box/taken", b"x", If_None_Match="*"), 412)
    problem(put(db, "box/taken", b"x", If_Match=etag(b"other")), 412)
    problem(put(db, "box/none", b"x", If_Match="*"), 412)
    nothing_left(db, before)
    assert put(db, "box/taken", b"new", If_Match=etag(body)).status == 200
    assert put(db, "box/fresh", b"new", If_None_Match="*").status == 201
    problem(put(db, "box/p?public=true", b"x"), 422)
    problem(put(db, "shared/p?public=yes", b"x"), 400)
    problem(put(db, "shared/p?pubic=true", b"x"), 400)
    assert put(db, "shared/p?public=true", b"x").json()["public"] is True
    assert get(db, "shared/p", None).status == 200
    assert put(db, "shared/p", b"y", "ed;role=editor").json()["owner"] == "ann"


def test_spaces(db):
    answer = put(db, "mine/a", b"ann's")
    assert answer.status == 201 and answer.get("location") == "/api/files/mine/a?user=ann"
    assert put(db, "mine/a", b"bob's", "bob").status == 201
    assert get(db, "mine/a").body == b"ann's"
    assert put(db, "mine/a?user=ann", b"x", "bob").status in (403, 409)


def test_signed_link(db):
    link = call(db, "POST", "/api/files/shared/linked.txt/sign", {"method": "PUT"}).json()["url"]
    path = link[link.index("/api/"):]
    with Conn(db) as conn:
        conn.send(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n"
                  "Expect: 100-continue\r\n\r\n".encode())
        assert conn.read_interim().status == 100
        assert conn.send(b"hi").read().status == 201
    assert get(db, "shared/linked.txt").body == b"hi"
    problem(call(db, "PUT", path.replace("linked", "other"), b"x", None), 403)
    problem(call(db, "PUT", path[:-3] + ("BBB" if path.endswith("AAA") else "AAA"), b"x", "ann"), 403)


@pytest.mark.parametrize("database", DATABASES)
def test_link_of_one_who_leaves_meanwhile(database, tmp_path):
    """The link was good when the upload began; its maker's account is gone when it is to be written."""
    with desk(database, tmp_path, MANIFEST) as server:
        for leaves in (False, True):
            ann = joined(server)
            answer = ask(server, "POST", f"/api/files/box/{ann.id}/sign", {"method": "PUT"}, token=ann.token)
            path = answer.json()["url"]
            path = path[path.index("/api/"):]
            with Conn(server) as conn:
                conn.send(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n"
                          "Expect: 100-continue\r\n\r\n".encode())
                assert conn.read_interim().status == 100
                if leaves:
                    gone = ask(server, "DELETE", "/api/auth/me", {"password": ann.password}, token=ann.token)
                    assert gone.status in (202, 204), gone.body
                answer = conn.send(b"hi").read()
                assert answer.status == (403 if leaves else 201), answer.body


def test_same_content_is_kept_once(db):
    body = content(100_000, b"once")
    for name in ("one", "two", "one"):
        assert put(db, f"huge/same/{name}", body).status in (200, 201)
    key = hashlib.sha256(body).hexdigest()
    wait_for(lambda: len([blob for blob in blobs(db) if blob.startswith(key)]) == 1, "one blob")
    assert get(db, "huge/same/two").body == body


def blob_of(server, body):
    key = hashlib.sha256(body).hexdigest()
    for block in (server.data / "cache").glob(f"{key}*"):
        block.unlink()
    return next(file for file in stored(server) if file.name.startswith(key))


@pytest.mark.parametrize("harm", ["gone", "short"])
def test_content_that_is_known_but_not_there(db, harm):
    """What a row alone vouches for is looked at before the copy that has just come is thrown away."""
    body = content(100_000, harm.encode())
    assert put(db, f"huge/{harm}/one", body).status == 201
    if harm == "gone":
        blob_of(db, body).unlink()
    else:
        os.truncate(blob_of(db, body), 50)
    assert put(db, f"huge/{harm}/two", body, If_None_Match="*").status == 201
    for name in ("one", "two"):
        found = get(db, f"huge/{harm}/{name}")
        assert found.status == 200 and found.body == body
    blob_of(db, body).unlink()
    assert post(db, "huge", ("prefix", f"{harm}/form"), ("a", body), ("b", body)).status == 201
    assert get(db, f"huge/{harm}/one").body == body


def test_other_sites_bring_no_cookies(tmp_path):
    """What a cookie says counts only for a page of the app's own."""
    app = write_app(tmp_path / "app", {"web/index.html": "x"},
                    "web: { root: web }\nauth: { signup: open }\n" + MANIFEST)
    with serving(app, "--data", tmp_path / "data") as server:
        email = b'{"email":"a@b.example","password":"correct horse battery"}'
        made = server.fetch("/api/auth/signup", method="POST", body=email, deadline=4 * DEADLINE,
                            headers={"Content-Type": "application/json", "Origin": "http://localhost"})
        cookies = [v.split(";")[0] for k, v in made.headers if k.lower() == "set-cookie"]
        if not cookies:
            pytest.skip(f"no session: {made.status} {made.body[:200]}")
        for origin, status in (("http://localhost", 201), ("http://evil.example", 401)):
            answer = server.fetch("/api/files/box/x", method="PUT", body=b"x",
                                  headers={"Cookie": "; ".join(cookies), "Origin": origin})
            assert answer.status == status, (origin, answer.body)
            text, kind = form(("x.txt", b"x"))
            answer = server.fetch("/api/files/box", method="POST", body=text,
                                  headers={"Cookie": "; ".join(cookies), "Origin": origin, "Content-Type": kind})
            assert answer.status == status, (origin, answer.body)


# ---- forms -----------------------------------------------------------------------------------------
def form(*parts, boundary="b0undary", end=True):
    """Of (filename, bytes[, type]), and fields as (name, text)."""
    out = b""
    for name, value, *more in parts:
        out += f"--{boundary}\r\n".encode()
        if isinstance(value, str):
            out += f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            continue
        raw = name if isinstance(name, bytes) else name.encode()
        out += b'Content-Disposition: form-data; name="file"; filename="' + raw + b'"\r\n'
        out += f"Content-Type: {more[0] if more else 'application/octet-stream'}\r\n\r\n".encode() + value + b"\r\n"
    return out + (f"--{boundary}--\r\n".encode() if end else b""), f"multipart/form-data; boundary={boundary}"


def refused(server, request, status, code=None):
    """Of a large body that is refused on its way the client may not get rid of all; it has its answer."""
    raw = exchange(server, [request], deadline=4 * DEADLINE)
    found = answers(raw, ("PUT",))
    problem(found[-1], status, code)


def post_text(bucket, *parts, user="ann", **more):
    body, kind = form(*parts, **more)
    return (f"POST /api/files/{bucket} HTTP/1.1\r\nHost: localhost\r\nX-Test-User: {user}\r\nConnection: close\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def post(server, bucket, *parts, user="ann", **more):
    body, kind = form(*parts, **more)
    return call(server, "POST", f"/api/files/{bucket}", body, user, Content_Type=kind)


def test_form(db):
    large = content(2 * MB + 1, b"\r\n--b0undar")
    answer = post(db, "huge", ("a.txt", b"one\r\n--b0undarx\r\n", "text/plain"),
                  ("prefix", "in/there"), ("b.bin", large),
                  ("path", "else/where.txt"), ("c.txt", b""), ("d.txt", b"four"), ("", b""), ("other", "x"))
    assert answer.status == 201, answer.body
    items = answer.json()["items"]
    assert [item["path"] for item in items] == ["a.txt", "in/there/b.bin", "else/where.txt", "in/there/d.txt"]
    assert get(db, "huge/a.txt").body == b"one\r\n--b0undarx\r\n"
    assert get(db, "huge/in/there/b.bin").body == large and items[1]["etag"] == etag(large)
    assert get(db, "huge/else/where.txt").body == b"" and get(db, "huge/in/there/d.txt").body == b"four"


def test_form_is_all_or_nothing(db):
    assert put(db, "box/bobs", b"bob", "bob").status == 201
    before, used = blobs(db), usage(db, "box")
    problem(post(db, "box", ("x1", b"1"), ("path", "bobs"), ("x2", b"2")), 409, "exists")
    problem(post(db, "box", ("x1", b"1"), ("x1", b"2")), 422)
    refused(db, post_text("box", ("x1", b"1"), ("x2", bytes(8 * MB + 1))), 413)
    problem(post(db, "pics", ("x1.png", PNG), ("x2", b"%PDF-1.4")), 415)
    problem(post(db, "box", ("x1", content(MB)), ("x2", b"cut"), end=False), 400)
    problem(post(db, "box", ("x1", b"1"), ("path", "../up"), ("x2", b"2")), 400)
    problem(post(db, "box", ("path", "x" * 1025), ("x2", b"2")), 400)
    problem(post(db, "box"), 422)
    problem(post(db, "box", ("field", "only")), 422)
    problem(post(db, "box", *[(f"n{i}", b"") for i in range(101)]), 422)
    problem(post(db, "box", ("x", b"1"), user=None), 401)
    problem(call(db, "POST", "/api/files/box", b"x", Content_Type="text/plain"), 415)
    problem(call(db, "POST", "/api/files/box?sig=x", b"x", Content_Type="text/plain"), 403)
    nothing_left(db, before)
    assert usage(db, "box") == used
    assert post(db, "huge", *[(f"hundred/{i}.txt", b"%d" % i) for i in range(100)]).status == 201


def test_form_cut_off(db):
    before = blobs(db)
    body, kind = form(("x", content(3 * MB)), ("y", b"y"))
    with Conn(db) as conn:
        conn.send(f"POST /api/files/box HTTP/1.1\r\nHost: localhost\r\nX-Test-User: ann\r\nContent-Type: {kind}\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:2 * MB])
        wait_for(lambda: drafts(db), "a draft")
    nothing_left(db, before)


def test_form_quota(db):
    parts = [(f"fq{i}", content(7 * MB, b"fq%d" % i)) for i in range(4)]
    refused(db, post_text("box", *parts, user="formquota"), 403, "quota_exceeded")
    assert usage(db, "box", "formquota")["bytes"] == 0
    assert post(db, "box", *parts[:3], user="formquota").status == 201
    assert usage(db, "box", "formquota")["bytes"] == 21 * MB


HOSTILE = ["../x", "..\\x", "/etc/passwd", "C:\\Windows\\x.dll", "a\tb", "CON", "n" * 300 + ".txt", "ü" * 200 + ".png",
           "\u202egnp.exe", "\u200fx", "noextension", ".htaccess", "a.php%00.png", "a%0d%0aSet-Cookie: x", "..", ".",
           "...", " ", "a;b", "a/../../b", "\ufeffbom", "%2e%2e%2fx", "x" * 255, "<script>.html", "'; DROP TABLE x --"]


def test_hostile_names(db):
    names = [(name * (i // len(HOSTILE) + 1)).encode() for i, name in
             enumerate(HOSTILE * 4)] + [b"\xff\xfe.txt", b"\xc0\xaf..", b"a\\\"b"]
    for i, name in enumerate(names):
        answer = post(db, "huge", ("prefix", f"hostile/{i}"), (name, b"%d" % i))
        assert answer.status == 201, (name, answer.body)
        path = answer.json()["items"][0]["path"]
        start, _, last = path.rpartition("/")
        assert start == f"hostile/{i}" and last not in ("", ".", "..") and len(last.encode()) <= 255, (name, path)
        assert not set(last) & set("\\/\0\r\n\t\u202e\u200f\ufeff"), (name, path)
    for path, status in (("%2e%2e/x", 405), ("a%00b", 400), ("a%5cb", 400), ("n" * 256, 400), ("%e2%80%aex", 400),
                         ("a%2fb", 400), ("CON", 201), (".htaccess", 201), ("a.php%2500.png", 201), ("a/", 400)):
        assert put(db, f"huge/{path}", b"x", "names").status == status, path
    assert all(file.name[64] == "-" for file in stored(db))


# ---- places that fail ------------------------------------------------------------------------------
def test_disk_full(tmp_path):
    """A disk of its own, in a namespace of its own: 300 MB, of which 256 MB are never written."""
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True,
                      check=False).returncode:
        pytest.skip("no mount in a namespace of one's own here")
    app = write_app(tmp_path / "app", {"web/index.html": "x"}, "web: { root: web }\n" + MANIFEST)
    (tmp_path / "data").mkdir()
    script = f"mount -t tmpfs -o size=300m tmpfs {tmp_path / 'data'} && exec \"$@\""
    with serving(app, "--data", tmp_path / "data", program=TEST_BIN,
                 before=["unshare", "-rm", "sh", "-c", script, "sh"]) as server:
        data = pathlib.Path(f"/proc/{server.proc.pid}/root{tmp_path}/data/apps/app/files")
        server.data, server.s3 = data, bucket_of(tmp_path / "data")
        assert put(server, "huge/fits", content(5 * MB)).status == 201
        before = blobs(server)
        refused(server, head("huge/large", "ann", f"Content-Length: {60 * MB}") + bytes(2 * MB), 507, "storage_full")
        raw = exchange(server, [head("huge/large", "ann", "Transfer-Encoding: chunked"),
                                *[b"100000\r\n" + bytes(MB) + b"\r\n"] * 60], deadline=4 * DEADLINE)
        assert raw.startswith(b"HTTP/1.1 507 "), raw[:100]
        refused(server, post_text("huge", ("a", b"1"), ("b", content(60 * MB))), 507)
        nothing_left(server, before)
        assert put(server, "huge/again", content(5 * MB, b"2")).status == 201


@contextlib.contextmanager
def in_bucket(folder):
    app = write_app(folder / "app", {"web/index.html": "x"}, "web: { root: web }\n" + MANIFEST)
    with object_store(folder / "data") as s3, serving(app, "--data", folder / "data", program=TEST_BIN,
                                                      env=env_of(s3)) as server:
        server.data = folder / "data/apps/app/files"
        yield server, s3


def kept(s3):
    """The keys of contents: whose the bucket is, is in it as soon as somebody had time for that."""
    return [key for key in s3.objects if "-" in key]


def test_object_store(tmp_path):
    with in_bucket(tmp_path) as (server, s3):
        body = content(3 * MB)
        assert put(server, "huge/a", body).status == 201
        assert get(server, "huge/a").body == body and len(kept(s3)) == 1
        assert put(server, "huge/b", body).status == 201
        wait_for(lambda: len(kept(s3)) == 1, "one object for the same content")
        for key in kept(s3):
            del s3.objects[key]
        assert put(server, "huge/b", body).status == 200 and len(kept(s3)) == 1
        assert get(server, "huge/a").body == body
        problem(put(server, "pics/a", b"%PDF-1.4"), 415)
        assert post(server, "huge", ("c", b"c"), ("d", b"d")).status == 201
        assert len(kept(s3)) == 3
        assert put(server, "box/bobs", b"b", "bob").status == 201
        problem(post(server, "box", ("c", b"new"), ("path", "bobs"), ("d", b"d")), 409)
        wait_for(lambda: len(kept(s3)) == 4, "the object of a form that was refused is gone")
        wait_for(lambda: not drafts(server), "no drafts")


@stand_in("it refuses what it is told to")
def test_object_store_that_refuses(tmp_path):
    with in_bucket(tmp_path) as (server, s3):
        s3.fail("put", "answer", times=None, status=403, code="AccessDenied")
        answer = put(server, "huge/e", b"e", deadline=4 * DEADLINE)
        assert answer.status >= 500, answer.body
        s3.heal()
        wait_for(lambda: not drafts(server), "no drafts")
        assert get(server, "huge/e").status == 404 and not kept(s3)


def test_server_stops(tmp_path):
    """An upload under way when the server ends leaves nothing that the next one trips over."""
    with files("sqlite", tmp_path) as server:
        conn = Conn(server)
        conn.send(head("huge/under-way", "ann", "Content-Length: 5000000") + bytes(2 * MB))
        wait_for(lambda: drafts(server), "a draft")
        conn.close()
        assert put(server, "huge/after", b"x").status == 201
        with Conn(server) as busy:
            busy.send(head("huge/busy", "ann", "Content-Length: 5000000") + bytes(2 * MB))
            wait_for(lambda: drafts(server), "a draft")
        server.stop()
        assert not drafts(server)


# ---- memory ----------------------------------------------------------------------------------------
RELEASE = TEST_BIN.parent.parent / "release" / "dais"


@pytest.mark.skipif(not RELEASE.exists(), reason="no release build")
def test_memory_stays_flat(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "x"}, "web: { root: web }\n" + MANIFEST)
    with serving(app, "--data", tmp_path / "data", program=RELEASE) as server:
        assert put(server, "huge/warm", content(4 * MB)).status == 201
        before, most, piece = resident_kb(server.proc.pid), 0, os.urandom(MB)
        with Conn(server, 120) as conn:
            conn.send(head("huge/large", "ann", f"Content-Length: {200 * MB}"))
            for _ in range(200):
                conn.send(piece)
                most = max(most, resident_kb(server.proc.pid))
            assert conn.read().status == 201
        assert most - before < 20_000, (before, most)
        with urllib.request.urlopen(server.url.rstrip("/") + "/api/files/huge/large", timeout=120) as back:
            assert hashlib.file_digest(back, "sha256").hexdigest() == hashlib.sha256(piece * 200).hexdigest()
        shutil.rmtree(tmp_path / "data/apps", ignore_errors=True)


# ---- the end of the server, and of what a link may -------------------------------------------------
def test_who_stops_at_once_stops_with_an_upload_half_way(tmp_path):
    """A second signal waits for nobody: the upload ends with the server, which ends well."""
    app = write_app(tmp_path / "app", {"web/index.html": "hi"}, "web: { root: web }\nfiles: { box: { max: 8MB } }\n")
    with serving(app, "--data", tmp_path / "data") as server, server.connect() as slow:
        slow.send("PUT /api/files/box/half.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n")
        slow.send(b"x" * 2500000)
        drafts = tmp_path / "data/apps/app/files/drafts"
        wait_for(lambda: list(drafts.glob("*")), "a draft")
        server.proc.terminate()
        wait_for(lambda: server.says("finishing"), "the first signal")
        server.proc.terminate()
        assert server.proc.wait(DEADLINE) == 0


def test_a_link_to_store_does_not_say_who_reads(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "hi"},
                    "web: { root: web }\nfiles: { box: { max: 8MB, visibility: choice } }\n")
    with serving(app, "--data", tmp_path / "data") as server:
        made = call(server, "POST", "/api/files/box/a.txt/sign", {"method": "PUT"}).json()["url"]
        path = "/api/files/" + made.partition("/api/files/")[2]
        assert call(server, "PUT", path + "&public=true", b"mine", Content_Type="text/plain").status == 403
        assert call(server, "PUT", path, b"mine", Content_Type="text/plain").json()["public"] is False
