# Files and people who mean harm: names, types, ranges, other people's files, links.
"""Nothing here is unpacked: no body is decompressed, no archive opened and no picture decoded, so that a bomb is as
large as it is sent. What an upload says of its size is held against `max` and the quota; see test_files_upload.py."""
import base64
import concurrent.futures
import contextlib
import hashlib
import re
import subprocess
import urllib.parse

import pytest

from accounts_api import AUTH, ask, desk, joined
from conftest import DAIS_BIN, DEADLINE, Conn, wait_for
from documents import call, problem, store
from postgres import why_not
from serving import serving, write_app
from stores import IS_REAL, env_of, object_store

MB = 1 << 20
MANIFEST = """
files:
  box: { max: 64MB }
  pub: { max: 64MB, rules: { read: public, create: signed_in, write: owner, delete: owner } }
  choice: { visibility: choice }
  mine: { scope: user }
  desk: { scope: user, rules: { read: "owner = @user.id || @user.roles ?= 'editor'", create: signed_in,
          write: "owner = @user.id || @user.roles ?= 'editor'" } }
  small: { quota: { bytes: 1MB, per: user } }
"""
needs_postgres = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
PLACES = ["folder-sqlite", pytest.param("folder-postgres", marks=needs_postgres), "s3-sqlite"]
if IS_REAL:
    PLACES = ["s3-sqlite", pytest.param("s3-postgres", marks=needs_postgres)]
ONE_PLACE = "s3-sqlite" if IS_REAL else "folder-sqlite"


@contextlib.contextmanager
def kept(place, folder):
    """The object store, if blobs are in one, and the variables of that place."""
    with object_store(folder / "data") if place.startswith("s3") else contextlib.nullcontext() as s3:
        yield s3, env_of(s3)


@contextlib.contextmanager
def files(place, folder, manifest=MANIFEST):
    with kept(place, folder) as (s3, env), store(place.split("-")[1], folder, manifest, env=env) as server:
        server.s3, server.data = s3, folder / "data" / "apps" / "app" / "files"
        yield server
        assert server.proc.poll() is None


@pytest.fixture(name="db", scope="module", params=PLACES)
def fixture_db(request, tmp_path_factory):
    with files(request.param, tmp_path_factory.mktemp("hostile")) as server:
        yield server


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory):
    with files(ONE_PLACE, tmp_path_factory.mktemp("hostile")) as server:
        yield server


def put(server, path, body=b"x", user="ann", kind="application/octet-stream", **headers):
    return call(server, "PUT", f"/api/files/{path}", body, user, Content_Type=kind, **headers)


def get(server, path, user="ann", method="GET", **headers):
    return call(server, method, f"/api/files/{path}", user=user, **headers)


def content(size, seed=b"x"):
    return (hashlib.sha256(seed).digest() * (size // 32 + 1))[:size]


def sealed(answer):
    """What a browser does with it: nothing, wherever it is shown."""
    policy = answer.get("content-security-policy")
    assert answer.all("content-security-policy") == [policy] and answer.get("x-content-type-options") == "nosniff"
    rules = [rule.strip() for rule in policy.split(";")]
    assert "sandbox" in rules and "default-src 'none'" in rules and not re.search(r"script-src|allow-", policy), policy
    return answer


def is_inline(answer):
    return answer.get("content-disposition").startswith("inline;")


# ---- what is shown ---------------------------------------------------------------------------------
SCRIPT = b"<script>alert(document.domain)</script>"
GIF = b"GIF89a/*" + b"\x01\x00\x00\x00" + b"*/=1;alert(1)"
LIES = ["image/png", "text/html", "text/html;charset=x", "text/plain", "image/svg+xml", "application/xhtml+xml",
        "text/xml",
        "TEXT/HTML", "text/html,image/png", "*/*", "image/*", "multipart/x-mixed-replace; boundary=x", "message/rfc822",
        "application/x-shockwave-flash", "text/javascript", "x", "", "application/mathml+xml", "text/cache-manifest"]
PAGES = {
    "page": b"<!DOCTYPE html><html>" + SCRIPT, "tag": SCRIPT, "late": b" \n\t\r\n<!-- " + b"x" * 900 + b" -->" + SCRIPT,
    "bom": b"\xef\xbb\xbf<html>" + SCRIPT, "utf16": ("\ufeff<html>" + SCRIPT.decode()).encode("utf-16"),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>',
    "svgns": b'<?xml version="1.0"?><x:svg xmlns:x="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "xhtml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">' + SCRIPT + b"</html>",
    "xslt": b'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="x"?><a/>',
    "math": b'<math xmlns="http://www.w3.org/1998/Math/MathML"><a href="javascript:alert(1)">x</a></math>',
    "pdf": b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj",
    "zip": b"PK\x03\x04" + bytes(26) + SCRIPT, "behind": b"x" * 2000 + SCRIPT, "nul": b"\0" + SCRIPT, "empty": b"",
}


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_shown(folder, name):
    """Whatever it says of itself; and text that is none of these is shown as text, behind the same walls."""
    for i, lie in enumerate(LIES):
        for end in ("", ".html", ".svg", ".png", ".xml"):
            path = f"box/{name}/{i}{end}"
            answer = put(folder, path, PAGES[name], kind=lie)
            assert answer.status == 201, (lie, end, answer.body)
            found = sealed(get(folder, path))
            kind = found.get("content-type")
            assert found.status == 200 and found.body == PAGES[name]
            assert kind.split(";")[0] == answer.json()["type"]
            if is_inline(found):
                assert kind == "text/plain; charset=utf-8" and name in ("behind", "empty", "late",
                                                                        "math"), (lie, end, kind)
            assert len(found.all("content-type")) == 1 and "\r" not in kind


def test_a_picture_that_is_also_a_script(folder):
    """It is shown as the picture that it is; as a script no browser takes it, since it may not guess."""
    for lie in LIES:
        assert put(folder, "box/poly.js", GIF, kind=lie).status in (200, 201)
        found = sealed(get(folder, "box/poly.js"))
        assert found.get("content-type") == "image/gif" and is_inline(found)
    jpeg = b"\xff\xd8\xff\xe0/*\x00\x10JFIF*/" + SCRIPT
    put(folder, "box/poly.html", jpeg, kind="text/html")
    assert sealed(get(folder, "box/poly.html")).get("content-type") == "image/jpeg"


def test_every_answer_about_a_file_is_sealed(db):
    body = b"<html>" + SCRIPT
    put(db, "pub/sealed.html", body, kind="text/html")
    tag = f'"{hashlib.sha256(body).hexdigest()}"'
    for user in ("ann", None):
        for how in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=3-4,6-7"}, {"If_None_Match": tag}, {"method": "HEAD"}):
            found = sealed(get(db, "pub/sealed.html", user, **how))
            assert found.status in (200, 206, 304) and not is_inline(found)
    for found in (get(db, "pub/sealed.html", Range="bytes=900-"), get(db, "pub/sealed.html", If_Match='"x"'),
                  get(db, "pub/%3Cscript%3E"), get(db, "pub?prefix=%3Cscript%3E"), get(db, "%3Cscript%3E/x")):
        assert found.get("x-content-type-options") == "nosniff" and "json" in found.get("content-type"), found


# ---- names -----------------------------------------------------------------------------------------
NAMES = ['a"b', "a'b", "a;b=c", 'x"; filename="evil.exe', "%0d%0aSet-Cookie: a=b", "ü.txt", "日本.txt", "%22", "a b", "%",
         "*", "=?utf-8?q?x?=", "😀.png", "é", "a\u0301", "CON", "nul.txt", ".htaccess", "a.php%00.png", "x" * 255,
         "ü" * 127, "<script>", "javascript:alert(1)", "C:", "~root", "-rf", "$(id)", "`id`", "a,b", "#x", "?y", "&z",
         "a+b"]


def named(answer):
    """The two names of a Content-Disposition, by RFC 6266 and nothing looser."""
    lines = answer.all("content-disposition")
    assert len(lines) == 1
    found = re.fullmatch(r"(?:inline|attachment); filename=\"([\x20-\x21\x23-\x5b\x5d-\x7e]*)\"; "
                         r"filename\*=UTF-8''((?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})*)", lines[0])
    assert found, lines
    return found[1], urllib.parse.unquote(found[2], errors="strict")


@pytest.mark.parametrize("name", NAMES)
def test_names_in_headers(folder, name):
    path = "box/names/" + urllib.parse.quote(name, safe="")
    assert put(folder, path, name.encode()).status == 201
    found = get(folder, path)
    plain, real = named(found)
    assert found.body == name.encode() and real == name and "%" not in plain and "/" not in plain
    assert found.get("set-cookie") is None
    found = get(folder, f"box/names/ü?download={urllib.parse.quote(name, safe='')}".replace("ü", "%C3%BC"))
    if found.status == 200:
        assert named(found)[1] == name and not is_inline(found)


@pytest.mark.parametrize("name", ["a%0d%0aSet-Cookie:%20x=1", "%00", "a%0ab", "../../x", "a/b", "a%5cb",
                                  "%e2%80%aegnp.exe",
                                  "%ff", "%ed%a0%80", "x" * 5000, "%c3%bc" * 2000, "%22%3b", "%7f", "%e2%80%a8"])
def test_names_to_download_as(folder, name):
    """What anybody writes into a link is not a name that turns itself around, nor one that is cut."""
    put(folder, "box/dl.txt", b"x")
    found = get(folder, f"box/dl.txt?download={name}")
    assert found.status in (200, 400), found
    assert found.get("set-cookie") is None
    if found.status == 200:
        plain, real = named(found)
        assert not set(real) & set("\u202e\u2028\r\n\0\x7f"), real
        assert "/" not in plain and "\\" not in plain


PATHS = [("a%00b", 400), ("a%0ab", 400), ("a%5cb", 400), ("a%2fb", 400), ("%2e%2e%2fx", 400),
         ("..%2f..%2fetc%2fpasswd", 400),
         ("a/", 400), ("n" * 256, 400), ("%c3%bc" * 128, 400), ("%e2%80%aex", 400), ("%ff", 400),
         ("%c0%ae%c0%ae/x", 400), ("%ed%a0%80", 400), ("%", 400), ("%zz", 400), ("a%7fb", 400), ("%ef%bb%bfx", 400),
         ("/".join(["d" * 200] * 5) + "/" + "x" * 20, 400), ("x/%2e", None), ("x/%2e%2e/y", None), ("./x", None),
         ("%252e%252e/x", 201),
         ("/".join(["d" * 200] * 5) + "/" + "x" * 19, 201), ("CON", 201), ("n" * 255, 201), (".../x", 201),
         ("..a", 201),
         ("%F0%9F%98%80", 201), ("sign", 201), ("a/sign", 201)]


@pytest.mark.parametrize("path, status", PATHS, ids=lambda v: str(v)[:40])
def test_paths(folder, path, status):
    """What is no path is refused by every method; nothing comes to lie outside of where it is asked for."""
    answers = {method: call(folder, method, f"/api/files/box/{path}", b"{}" if method in ("PUT", "PATCH") else None)
               for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE")}
    found = {method: answer.status for method, answer in answers.items()}
    if status == 400:
        assert set(found.values()) <= {400, 404} and found["PUT"] == 400, found
    elif status:
        assert found == {"GET": 404, "HEAD": 404, "PUT": 201, "PATCH": 200, "DELETE": 204}, found
    assert all(value < 500 for value in found.values())
    if answers["PUT"].status == 201:  # of what the server made shorter the name is the short one
        assert answers["PUT"].get("location").startswith("/api/files/box/")


def test_a_place_outside(folder):
    """Dots and double slashes are taken out of a path before anybody looks at it: they name what is named without."""
    for path in ("/api/files/box/../../apps/app/app.db", "/api/files/box/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
                 "/api/files/",
                 "/api/files/../../../../etc/passwd", "/api/files", "/api/files//x", "/api/files/box/..%5c..%5cx",
                 "/api/files/BOX/x", "/api/files/box%00/x", "/api/files/box%2fx"):
        for method in ("GET", "PUT", "DELETE"):
            answer = call(folder, method, path, b"x" if method == "PUT" else None)
            assert 300 <= answer.status < 500, (path, method, answer)
    for path in ("box//twice", "box/a/../twice", "box/./twice", "/box/twice"):
        assert put(folder, path, b"x").status in (200, 201) and get(folder, "box/twice").body == b"x"
    assert {entry.name for entry in folder.data.iterdir()} <= {"cache" if folder.s3 else "blobs", "drafts", "owner"}
    stored = set(folder.s3.objects) - {"app/owner"} if folder.s3 else {
        str(entry.relative_to(folder.data)) for entry in (folder.data / "blobs").rglob("*") if entry.is_file()}
    assert all(re.fullmatch(r"(blobs|app)/([0-9a-f]{2})/\2[0-9a-f]{62}-[0-9a-v]{12}", name) for name in stored)


def test_the_file_that_is_called_sign(folder):
    """POST of BUCKET/sign asks for a link to nothing."""
    put(folder, "box/sign", b"x")
    assert call(folder, "POST", "/api/files/box/sign", {}).status in (400, 404, 405)
    made = call(folder, "POST", "/api/files/box/sign/sign", {})
    assert made.status == 200 and call(folder, "GET", made.json()["url"][made.json()["url"].index("/api/"):],
                                       user=None).body == b"x"


# ---- ranges ----------------------------------------------------------------------------------------
BODY = content(20 * MB + 100, b"three blocks")
TAG = f'"{hashlib.sha256(BODY).hexdigest()}"'
RANGES = [
    ("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), ("bytes=-5", -5, None), ("bytes=-0", 416, 0), ("bytes=5-2", 200, 0),
    ("bytes=-5-2", 200, 0), ("bytes=a-b", 200, 0), ("bytes=--1", 200, 0), ("bytes=", 200, 0), ("bytes", 200, 0),
    ("items=0-5", 200, 0), ("bytes=20971620-", 416, 0), ("bytes=20971619-", -1, None), ("bytes=0-99999999999", 0, None),
    ("bytes=18446744073709551616-", 416, 0), ("bytes=0-18446744073709551616", 0, None), ("bytes=-99999999999", 0, None),
    ("bytes=8388600-8388620", 8388600, 8388621), ("bytes=8388608-16777215", 8388608, 16777216),
    ("bytes=8388607-16777216", 8388607, 16777217), ("bytes=1-", 1, None), ("bytes=0x5-9", 200, 0),
    ("bytes=" + ",".join(f"{i}-{i}" for i in range(1000)), 200, 0), ("bytes=0-1,3-4", 200, 0),
    ("bytes=" + ",".join(["0-"] * 900), 200, 0), ("BYTES=0-0", None, 0), (" bytes=0-0", None, 0),
]


@pytest.fixture(name="large", scope="module")
def fixture_large(db):
    assert put(db, "box/large", BODY, deadline=6 * DEADLINE).status == 201
    return db


@pytest.mark.parametrize("text, first, end", RANGES, ids=lambda v: str(v)[:30])
def test_ranges(large, text, first, end):
    found = get(large, "box/large", Range=text, deadline=3 * DEADLINE)
    if first == 416:
        problem(found, 416)
        assert found.get("content-range") == f"bytes */{len(BODY)}"
    elif first is None:
        assert found.status in (200, 206)
    elif first == 200 and not end:
        assert found.status in (200, 206) and (found.status == 206 or found.body == BODY)
        assert found.status == 200 or "," in text
    else:
        want = BODY[first:end]
        at = first % len(BODY) if first < 0 else first
        assert found.status == 206 and found.body == want
        assert found.get("content-range") == f"bytes {at}-{at + len(want) - 1}/{len(BODY)}"
    head = get(large, "box/large", method="HEAD", Range=text)
    assert head.status == 200 and head.get("content-length") == str(len(BODY))


def test_conditions_of_a_range(large):
    def ranged(**headers):
        return get(large, "box/large", Range="bytes=8388600-8388620", **headers)
    date = get(large, "box/large", method="HEAD").get("last-modified")
    assert ranged(If_Range=TAG).status == 206
    for other in ('"other"', f"W/{TAG}", "Sat, 01 Jan 2000 00:00:00 GMT", "x", ""):
        assert ranged(If_Range=other).status == 200 or other == "", other
    assert ranged(If_Range=date).status in (200, 206)
    assert ranged(If_None_Match=TAG).status == 304 and ranged(If_Match='"x"').status == 412


def test_ranges_of_nothing(db):
    put(db, "box/nothing", b"")
    for text in ("bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-2"):
        found = get(db, "box/nothing", Range=text)
        assert found.status in (200, 416) and (found.status == 416 or found.body == b""), text
    assert get(db, "box/nothing").get("content-length") == "0"


def blocks_read(server):
    """What was asked for of blobs: not whether the store is there, nor whose it is."""
    return [(key, headers.get("Range")) for kind, key, _, headers in server.s3.requests if kind == "get" and "-" in key]


def test_blocks_that_are_not_there(large):
    """From an object store: the cache is emptied below the server, or filled with something else."""
    if not large.s3:
        return
    cache = large.data / "cache"
    for spoil in (lambda path: path.unlink(missing_ok=True), lambda path: path.write_bytes(b"short")):
        for path in cache.iterdir():
            spoil(path)
        found = get(large, "box/large", Range="bytes=8388600-16777300", deadline=3 * DEADLINE)
        assert found.status == 206 and found.body == BODY[8388600:16777301]
        assert get(large, "box/large", deadline=3 * DEADLINE).body == BODY
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # each block is fetched once, however many want it
        for path in cache.iterdir():
            path.unlink(missing_ok=True)
        before = len(blocks_read(large))
        tries = [pool.submit(get, large, "box/large", deadline=6 * DEADLINE) for _ in range(8)]
        assert all(one.result().body == BODY for one in tries)
    assert len(blocks_read(large)) - before == 3, blocks_read(large)[before:]


# ---- other people's files --------------------------------------------------------------------------
def same(one, other, path, absent):
    """Not a word tells one from the other, but for the path that was asked for."""
    def told(answer):
        return answer.status, re.sub(rb'"(instance|request_id)":"[^"]*"', b"",
                                     answer.body), answer.get("www-authenticate")
    text = told(one)[1].replace(path.encode(), b"P"), told(other)[1].replace(absent.encode(), b"P")
    assert told(one)[0] == told(other)[0] and told(one)[2] == told(other)[2], (one, other)
    assert text[0] == text[1], (one.body, other.body)


WAYS = [("GET", "", None), ("HEAD", "", None), ("GET", "?info", None), ("GET", "?download", None),
        ("PATCH", "", {"path": "q"}),
        ("PATCH", "", {"public": True}), ("DELETE", "", None), ("POST", "/sign", {}),
        ("POST", "/sign", {"method": "GET"})]


@pytest.mark.parametrize("bucket", ["box", "choice"])
@pytest.mark.parametrize("user", ["bob", "bob;scope=files", None])
def test_a_file_of_somebody_else_is_as_none(db, bucket, user):
    put(db, f"{bucket}/anns", b"secret")
    for method, end, body in WAYS:
        for more in ({}, {"If_Match": '"x"'}, {"If_None_Match": "*"}, {"Range": "bytes=0-1"}):
            one = call(db, method, f"/api/files/{bucket}/anns{end}", body, user, **more)
            other = call(db, method, f"/api/files/{bucket}/none{end}", body, user, **more)
            assert one.status in (401, 404, 403), (method, end, one)
            same(one, other, "anns", "none")
    listed = call(db, "GET", f"/api/files/{bucket}?limit=1000", user=user)
    assert listed.status == 401 or not [item for item in listed.json()["items"] if item["owner"] == "ann"]
    if user:
        problem(call(db, "PUT", f"/api/files/{bucket}/anns", b"x", user), 409, "exists")
        same(put(db, f"{bucket}/anns", b"x", user, If_Match='"x"'),
             put(db, f"{bucket}/anns", b"x", user, If_Match="*"), "a", "a")
    assert get(db, f"{bucket}/anns").body == b"secret"


def test_links_to_write_over_somebody_elses(db):
    put(db, "box/anns", b"secret")
    problem(call(db, "POST", "/api/files/box/anns/sign", {"method": "PUT"}, "bob"), 409)
    problem(call(db, "POST", "/api/files/box/anns/sign", {"method": "PUT"}, None), 401)


def test_moving_over_somebody_elses(db):
    put(db, "box/bobs", b"b", "bob")
    put(db, "box/anns", b"a")
    problem(call(db, "PATCH", "/api/files/box/anns", {"path": "bobs"}), 409)
    assert get(db, "box/bobs", "bob").body == b"b" and get(db, "box/anns").body == b"a"
    for path in ("../x", "a//b", "", "x" * 1025, "a\u202eb", "a\0b", "/x", "x/", "n" * 256, 5, None, ["x"], {"a": 1},
                 True):
        answer = call(db, "PATCH", "/api/files/box/anns", {"path": path})
        assert answer.status in (400, 422), (path, answer)
    for body in (b"", b"[]", b"null", b"5", b'"x"', b"{", b'{"public":null}', b'{"public":"true"}', b'{"public":1}',
                 b"\xff",
                 b"[" * 100000, b'{"path":"x"' + b" " * 70000 + b"}"):
        answer = call(db, "PATCH", "/api/files/box/anns", body)
        assert answer.status in (200, 400, 413, 422) and (answer.status != 200 or body == b""), (body[:20], answer)


def test_who_sees_what_was_chosen(db):
    """Strangers: what is public, and of nothing else that it is there."""
    put(db, "choice/open", b"open", "eve")
    put(db, "choice/shut", b"shut", "eve")
    assert call(db, "PATCH", "/api/files/choice/open", {"public": True}, "eve").json()["public"] is True
    for user in (None, "bob"):
        assert get(db, "choice/open", user).body == b"open"
        assert get(db, "choice/shut", user).status == get(db, "choice/none", user).status == 404
        listed = call(db, "GET", "/api/files/choice?limit=1000", user=user).json()["items"]
        assert {item["path"] for item in listed if item["owner"] == "eve"} == {"open"}
        assert call(db, "GET", "/api/files/choice?prefix=sh", user=user).json()["items"] == []
        assert call(db, "GET", "/api/files/choice?delimiter=/&prefix=sh", user=user).json()["items"] == []
        for change in ({"public": False}, {"path": "x"}):
            assert call(db, "PATCH", "/api/files/choice/open", change, user).status == (404 if user else 401)
        assert call(db, "DELETE", "/api/files/choice/open", user=user).status == (404 if user else 401)
    assert get(db, "choice/open", None).get("cache-control") == "public, no-cache"
    assert get(db, "choice/shut", "eve").get("cache-control") == "private, no-cache"
    assert get(db, "box/none", None).status == 401  # where nothing can be public
    call(db, "PATCH", "/api/files/choice/open", {"public": False}, "eve")
    assert get(db, "choice/open", None, If_None_Match="*").status == 404
    assert get(db, "choice/open", "bob").status == 404


def test_folders_do_not_tell(db):
    put(db, "choice/secret-folder/x", b"x", "dan")
    listed = call(db, "GET", "/api/files/choice?delimiter=/&limit=1000", user="bob").json()["items"]
    assert "secret-folder/" not in {item["path"] for item in listed}


def test_spaces_of_others(db):
    put(db, "mine/x", b"ann's")
    put(db, "desk/x", b"ann's")
    for bucket in ("mine", "desk"):
        for user in ("bob", None):
            for method, end, body in WAYS:
                tail = end + ("&" if "?" in end else "?") + "user="
                one = call(db, method, f"/api/files/{bucket}/x{tail}ann", body, user)
                other = call(db, method, f"/api/files/{bucket}/x{tail}nobody", body, user)
                assert one.status in (401, 403, 404), (method, end, one)
                same(one, other, "ann", "nobody")
            listed = call(db, "GET", f"/api/files/{bucket}?user=ann", user=user)
            assert listed.status == 401 or listed.json()["items"] == []
            answer = put(db, f"{bucket}/new?user=ann", b"x", user)
            assert answer.status in (401, 403), answer
            answer = put(db, f"{bucket}/x?user=ann", b"x", user)
            assert answer.status in (401, 403, 409), answer
    editor = "ed;role=editor"
    assert get(db, "desk/x?user=ann", editor).body == b"ann's"
    made = put(db, "desk/new?user=ann", b"x", editor)
    assert made.status == 201 and made.json()["owner"] == "ann" and get(db, "desk/new").body == b"x"
    assert get(db, "mine/x?user=ann", editor).status == 404
    for user in ("%00", "a%2fb", "../ann", "x" * 129, "%ff", "ann&user=bob", ""):
        answer = get(db, f"desk/x?user={user}", "bob")
        assert answer.status in (400, 404), (user, answer)


def test_keys_and_the_scope(db):
    put(db, "box/k", b"k")
    assert get(db, "box/k", "ann;scope=files").body == b"k"
    assert put(db, "box/k2", b"k", "ann;scope=files").status == 201
    for scopes in ("scope=read", "scope=write", "scope=read;scope=write", "scope=jobs", "scope=read:box",
                   "scope=files:box"):
        for method, end, body in WAYS + [("PUT", "", b"x")]:
            answer = call(db, method, f"/api/files/box/k{end}", body, f"ann;{scopes}")
            assert answer.status == 403, (scopes, method, answer)
        assert call(db, "GET", "/api/files/box", user=f"ann;{scopes}").status == 403
        assert call(db, "GET", "/api/files/box/k", user="bad").status == 401
    assert get(db, "box/k").body == b"k"


def test_words_that_links_are_asked_with(db):
    put(db, "box/l", b"l")
    for body, status in (({"expires": "8d"}, 422), ({"expires": "0s"}, 422), ({"expires": "-1h"}, 422),
                         ({"expires": 5}, 422),
                         ({"expires": None}, (200, 422)), ({"expires": ["1h"]}, 422), ({"expires": {}}, 422),
                         ({"method": 5}, 422),
                         ({"method": "DELETE"}, 422), ({"method": "get"}, 422), ({"method": None}, (200, 422)),
                         ({"expires": "9" * 400 + "s"}, 422), ({"expires": "1h\0"}, 422), ([], 422), ("x", 422),
                         ({}, 200)):
        answer = call(db, "POST", "/api/files/box/l/sign", body)
        assert answer.status in (status if isinstance(status, tuple) else (status,)), (body, answer)


# ---- links -----------------------------------------------------------------------------------------
NO_LIMITS = "limits: { login: off, signup: off, upload: off }\n"
ACCOUNTS = """
files:
  box: {}
  share: { rules: { read: "owner = @user.id || @user.roles ?= 'editor'", create: signed_in, write: owner } }
"""


@pytest.fixture(name="people", scope="module", params=PLACES)
def fixture_people(request, tmp_path_factory):
    """Real accounts, sessions and keys."""
    folder = tmp_path_factory.mktemp("people")
    with kept(request.param, folder) as (s3, env), desk(request.param.split("-")[1], folder, ACCOUNTS, env=env,
                                                        auth=AUTH + NO_LIMITS) as server:
        server.s3, server.folder, server.env = s3, folder, env
        server.ann, server.bob = joined(server, "ann"), joined(server, "bob")
        yield server
        assert server.proc.poll() is None


def run(server, *words):
    """A command beside the server, with its variables."""
    with open(f"/proc/{server.proc.pid}/environ", "rb") as file:
        env = dict(pair.decode().split("=", 1) for pair in file.read().split(b"\0") if pair)
    done = subprocess.run([DAIS_BIN, *words, "--data", server.folder / "data"], cwd=server.folder / "desk", text=True,
                          timeout=120, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done


def linked(server, path, account, **body):
    """The link's path and query."""
    answer = ask(server, "POST", f"/api/files/{path}/sign", body, token=account.token)
    assert answer.status == 200, answer
    assert answer.get("cache-control") == "no-store"
    return answer.json()["url"].partition("/api/")[2].join(["/api/", ""])


def anybody(server, link, method="GET", body=None, **headers):
    return ask(server, method, link, body, **headers)


def spoiled(link):
    """Every way in which a link that was changed differs from what was signed."""
    path, _, query = link.partition("?")
    parts = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    sig = parts["sig"]
    raw = base64.urlsafe_b64decode(sig + "=")
    for i in range(0, len(raw), 5):
        yield f"flip {i}", path, {**parts, "sig": base64.urlsafe_b64encode(
            raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1:]).decode().rstrip("=")}
    for name, value in (("sig", ""), ("sig", sig[:-1]), ("sig", sig + "A"), ("sig", sig * 50), ("sig", "%00"),
                        ("by", ""),
                        ("by", parts["by"] + "x"), ("by", "op"), ("exp", str(int(parts["exp"]) + 1)),
                        ("exp", "0" + parts["exp"]),
                        ("exp", "-1"), ("exp", "99999999999999999999"), ("exp", ""), ("exp", "1e99"), ("method", "PUT"),
                        ("method", "DELETE"), ("method", ""), ("method", "get"), ("user", "x")):
        yield f"{name}={value[:10]}", path, {**parts, name: value}
    for name in parts:
        yield f"no {name}", path, {key: value for key, value in parts.items() if key != name}
    yield "other file", path + "2", parts
    yield "other bucket", path.replace("/box/", "/share/"), parts


def test_links_that_were_changed(people):
    ask(people, "PUT", "/api/files/box/l", b"linked", token=people.ann.token)
    ask(people, "PUT", "/api/files/box/l2", b"other", token=people.ann.token)
    link = linked(people, "box/l", people.ann, expires="1h")
    assert anybody(people, link).body == b"linked"
    for what, path, parts in spoiled(link):
        for who in ({}, {"token": people.ann.token}, {"cookie": people.ann.cookie}):
            answer = anybody(people, f"{path}?{urllib.parse.urlencode(parts)}", **who)
            if what == "no sig" and who:  # then it is no link, and these are unknown parameters or her own file
                assert answer.status in (200, 400), (what, answer)
                continue
            assert answer.status in (400, 401, 403), (what, answer)
            assert b"linked" not in answer.body
    for twice in ("sig", "exp", "by", "method"):
        value = dict(urllib.parse.parse_qsl(link.partition("?")[2], keep_blank_values=True))[twice]
        assert anybody(people, f"{link}&{twice}={value}").status in (400, 403)


def test_what_a_link_is_for(people):
    ask(people, "PUT", "/api/files/box/m", b"linked", token=people.ann.token)
    link = linked(people, "box/m", people.ann)
    assert anybody(people, link, "HEAD").status == 200
    for who in ({}, {"token": people.ann.token}, {"cookie": people.ann.cookie}):
        assert anybody(people, link, "PUT", b"over", **who).status == 403
        assert anybody(people, link, "DELETE", **who).status == 403
        assert anybody(people, link, "PATCH", {"path": "x"}, **who).status in (400, 403)
        assert anybody(people, link.replace("?", "/sign?"), "POST", {}, **who).status in (400, 403, 405)
        assert anybody(people, link.replace("/m?", "?"), **who).status in (400, 403)
    upload = linked(people, "box/m", people.ann, method="PUT")
    assert anybody(people, upload).status == anybody(people, upload, "HEAD").status == 403
    assert anybody(people, upload, "PUT", b"new", Content_Type="text/plain").status == 200
    found = anybody(people, link)
    assert found.body == b"new"  # what is there by now
    assert found.get("cache-control") == "private, no-cache"
    assert anybody(people, link, If_None_Match=found.get("etag")).status == 304
    assert anybody(people, link, Range="bytes=1-1").body == b"e"
    assert "expires" not in anybody(people, link + "&info").json()


@pytest.mark.parametrize("beside", [{"token": "dst_dead"}, {"cookie": "dais_session=dead"}, {"token": "bob"},
                                    {"Authorization": "Basic eDp4"},
                                    {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"}])
def test_a_link_is_judged_by_itself(people, beside):
    ask(people, "PUT", "/api/files/box/self", b"linked", token=people.ann.token)
    beside = {**beside, "token": people.bob.token} if beside.get("token") == "bob" else beside
    assert anybody(people, linked(people, "box/self", people.ann), **beside).body == b"linked"
    upload = linked(people, "box/self", people.ann, method="PUT")
    answer = anybody(people, upload, "PUT", b"linked", **beside)
    assert answer.status == 200 and answer.json()["owner"] == people.ann.id


def test_a_link_that_is_over(people):
    ask(people, "PUT", "/api/files/box/over", b"linked", token=people.ann.token)
    link = linked(people, "box/over", people.ann, expires="1s")
    wait_for(lambda: anybody(people, link).status == 403, "the end of the link")
    problem(anybody(people, link), 403)


def test_the_file_of_a_link_goes(people):
    for name in ("gone", "moved"):
        ask(people, "PUT", f"/api/files/box/{name}", b"linked", token=people.ann.token)
    gone, moved = linked(people, "box/gone", people.ann), linked(people, "box/moved", people.ann)
    ask(people, "DELETE", "/api/files/box/gone", token=people.ann.token)
    ask(people, "PATCH", "/api/files/box/moved", {"path": "elsewhere"}, token=people.ann.token)
    assert anybody(people, gone).status == anybody(people, moved).status == 404
    ask(people, "PUT", "/api/files/box/gone", b"bob's", token=people.bob.token)  # somebody else's by now
    assert anybody(people, gone).status == 404


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_the_maker_of_a_link_goes(people, how):
    """What they may not any more, it does not."""
    cat = joined(people, "cat")
    assert ask(people, "PUT", f"/api/files/box/cat-{how}", b"cat", token=cat.token).status == 201
    links = linked(people, f"box/cat-{how}", cat), linked(people, f"box/cat-{how}", cat, method="PUT")
    assert anybody(people, links[0]).body == b"cat"
    if how == "disable":
        run(people, "user", "disable", cat.id)
    else:
        assert ask(people, "DELETE", "/api/auth/me", {"password": cat.password}, token=cat.token).status in (202, 204)
    problem(anybody(people, links[0]), 403)
    problem(anybody(people, links[1], "PUT", b"x"), 403)


def test_the_maker_of_a_link_loses_a_role(people):
    cat = joined(people, "cat")
    ask(people, "PUT", "/api/files/share/roles", b"ann's", token=people.ann.token)
    assert ask(people, "POST", "/api/files/share/roles/sign", {}, token=cat.token).status == 404
    run(people, "user", "roles", cat.id, "--roles", "editor")
    link = linked(people, "share/roles", cat)
    assert anybody(people, link).body == b"ann's"
    run(people, "user", "roles", cat.id, "--roles", "")
    assert anybody(people, link).status == 404


def test_keys_make_links_within_their_scope(people):
    ask(people, "PUT", "/api/files/box/keyed", b"x", token=people.ann.token)
    for scopes, status in ((["files"], 200), (["read", "write"], 403), (["admin"], (200, 403))):
        key = ask(people, "POST", "/api/keys", {"name": "k", "scopes": scopes}, token=people.ann.token).json()
        answer = ask(people, "POST", "/api/files/box/keyed/sign", {}, token=key["key"])
        assert answer.status in (status if isinstance(status, tuple) else (status,)), (scopes, answer)
        assert ask(people, "DELETE", f"/api/keys/{key['id']}", token=people.ann.token).status == 204
        assert ask(people, "GET", "/api/files/box/keyed", token=key["key"]).status == 401


def test_links_are_not_in_the_log(people):
    ask(people, "PUT", "/api/files/box/log", b"linked", token=people.ann.token)
    link = linked(people, "box/log", people.ann)
    secret = urllib.parse.parse_qs(link.partition("?")[2])["sig"][0]
    for path in (link, link.replace("/log?", "/none?"), link + "&x=1", link + "%", link.replace("/api/", "/apx/")):
        answer = anybody(people, path, Referer="https://desk.example" + link, User_Agent="last-of-the-log")
        assert answer.status < 500 and secret not in str(answer.headers) + answer.body.decode(), path
    anybody(people, link, "PUT", b"x")
    people.says("last-of-the-log" if "last-of-the-log" in people.stderr else "box/log")
    assert secret not in people.stderr and secret not in people.stdout


def test_links_of_another_app(tmp_path):
    """Two apps of one host, of the same names and the same secret."""
    for app in ("one", "two"):
        write_app(tmp_path / app, None, "web: { root: web }\nauth: { signup: open }\nfiles: { box: {} }\n")
    (tmp_path / "host.yaml").write_text("apps: [one, two]\nhosts: { one: one.example, two: two.example }\n")
    with serving(tmp_path, "--data", tmp_path / "data", env={"PUBLIC_URL": "https://one.example"}) as server:
        made = {}
        for app in ("one", "two"):
            answer = ask(server, "POST", "/api/auth/signup",
                         {"email": "a@b.example", "password": "correct horse battery"},
                         host=f"{app}.example")
            assert answer.status == 201, answer
            made[app] = answer.json()["token"]
            ask(server, "PUT", "/api/files/box/x", app.encode(), token=made[app], host=f"{app}.example")
        answer = ask(server, "POST", "/api/files/box/x/sign", {}, token=made["one"], host="one.example")
        link = "/api/" + answer.json()["url"].partition("/api/")[2]
        assert ask(server, "GET", link, host="one.example").body == b"one"
        assert ask(server, "GET", link, host="two.example").status == 403


# ---- pages of other origins, and how often ---------------------------------------------------------
@pytest.mark.parametrize("page", [{"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
                                  {"Sec_Fetch_Site": "same-site"},
                                  {"Origin": "null"}, {"Origin": "https://desk.example.evil.example"}])
def test_cookies_of_other_origins(people, page):
    cookie = people.ann.cookie
    ask(people, "PUT", "/api/files/box/csrf", b"mine", token=people.ann.token)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\nx\r\n--b--\r\n'
    for method, path, body, kind in (("PUT", "/csrf", b"x", "text/plain"),
                                     ("POST", "", form, "multipart/form-data; boundary=b"),
                                     ("DELETE", "/csrf", None, None),
                                     ("PATCH", "/csrf", b'{"path":"y"}', "application/json"),
                                     ("PATCH", "/csrf", b'{"path":"y"}', "text/plain"),
                                     ("POST", "/csrf/sign", b"{}", "text/plain"),
                                     ("POST", "/csrf/sign", b"{}", "application/json")):
        headers = {**page, **({"Content_Type": kind} if kind else {})}
        answer = ask(people, method, f"/api/files/box{path}", body, cookie=cookie, **headers)
        assert answer.status in (401, 403, 415), (method, path, answer)
        assert answer.get("access-control-allow-origin") is None
    assert ask(people, "GET", "/api/files/box/csrf", token=people.ann.token).body == b"mine"
    assert ask(people, "PUT", "/api/files/box/csrf", b"mine", cookie=cookie).status == 200


def test_how_often_somebody_stores(tmp_path):
    """Whatever the file is called, and before a byte of it is taken."""
    with desk("sqlite", tmp_path, "files: { box: {} }\n",
              auth=AUTH + "limits: { login: off, signup: off, upload: 5/hour }\n") as server:
        ann, bob = joined(server, "ann"), joined(server, "bob")
        names = ["a", "b/sign", "c/sign", "d", "e/sign", "f", "g/sign", "h"]
        found = [ask(server, "PUT", f"/api/files/box/{name}", b"x", token=ann.token).status for name in names]
        assert found == [201] * 5 + [429] * 3
        with Conn(server) as conn:
            conn.request("/api/files/box/x", "PUT", {"Authorization": f"Bearer {ann.token}",
                                                     "Content-Length": "5000000",
                                                     "Expect": "100-continue"})
            answer = conn.read("PUT")
            assert answer.status == 429 and not answer.interim and int(answer.get("retry-after")) > 0
        assert ask(server, "POST", "/api/files/box", b"x", token=ann.token,
                   Content_Type="multipart/form-data; boundary=b").status == 429
        assert ask(server, "PUT", "/api/files/box/bob", b"x", token=bob.token).status == 201
        assert ask(server, "GET", "/api/files/box/a", token=ann.token).status == 200
        assert ask(server, "POST", "/api/files/box/a/sign", {}, token=ann.token).status == 200
        link = linked(server, "box/l", bob, method="PUT")
        found = [ask(server, "PUT", link, b"x").status for _ in range(8)]
        assert 429 in found, found  # a link has no account: where it comes from is counted
