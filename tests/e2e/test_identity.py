# Who asks: the local user, rules by path, what the backend is told, and tokens another program checks.
import base64
import hashlib
import json
import pathlib
import socket
import subprocess
import time

import pytest

from backend import backend, ok
from conftest import DAIS_BIN, Conn, wait_for
from serving import exchange, serving, write_app

TEST_BIN = DAIS_BIN.parent / "dais-identity"  # the real server; X-Test-User says who asks
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def app(folder, url, more="", tail=""):
    return write_app(folder, {"web/index.html": "<h1>home</h1>"},
                     f"web: {{ root: web }}\nbackend: {{ url: \"{url}\", routes: [ / ]{more} }}\n{tail}")


def echo(request, _):
    told = {"target": request.target, "headers": request.headers, "body": len(request.body)}
    return ok(json.dumps(told).encode(), b"Content-Type: application/json\r\n")


def sent(answer, name):
    assert answer.status == 200, answer
    return [value for key, value in answer.json()["headers"] if key == name]


def user(text):
    return {"X-Test-User": text} if text else {}


# ---- this machine's own user -----------------------------------------------------------------------
@pytest.fixture(name="local", scope="module")
def fixture_local(tmp_path_factory):
    with backend(echo) as behind:
        folder = app(tmp_path_factory.mktemp("local") / "app", behind.url,
                     ", access: { /in/: signed_in, /op/: operator, /role/: \"role:editor\", /scope/: \"scope:x\" },"
                     " identity: { header: X-User, value: \"{user.id}/{user.roles}\" }",
                     "auth: { local: none, roles: [ editor, viewer ] }\n")
        with serving(folder) as server:
            yield server


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "a.localhost", "app.localhost:1", "127.0.0.1",
                                  "127.9.9.9:80", "[::1]", "[::1]:8000"])
def test_whoever_sits_at_this_machine_may_all(local, host):
    for path in ("/in/", "/op/", "/role/", "/scope/"):
        assert sent(local.fetch(path, host=host), "x-user") == ["local/editor,viewer"], path


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example",
                                  "10.0.0.1", "0.0.0.0", "[::2]", "[::ffff:10.0.0.1]", "localhost.", "1270.0.0.1"])
def test_another_name_is_another_site(local, host):
    assert local.fetch("/in/", host=host).status == 401  # DNS rebinding
    assert sent(local.fetch("/open/", host=host), "x-user") == []


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "X-Forwarded-Port",
                                  "X-Forwarded-Prefix", "X_Forwarded_For", "Forwarded", "X-Real-IP", "Via",
                                  "CF-Connecting-IP", "True-Client-IP", "X-Client-IP"])
def test_what_a_proxy_brings_is_not_local(local, name):
    assert local.fetch("/in/", headers={name: "127.0.0.1"}).status == 401


def test_a_proxy_that_says_nothing_speaks_the_old_protocol(local):
    raw = exchange(local, [b"GET /in/ HTTP/1.0\r\nHost: localhost\r\n\r\n"])
    assert raw.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("method, headers, status", [
    ("POST", {}, 200), ("POST", {"Sec-Fetch-Site": "same-origin"}, 200), ("POST", {"Sec-Fetch-Site": "none"}, 200),
    ("POST", {"Origin": "http://localhost"}, 200), ("POST", {"Origin": "http://LOCALHOST"}, 200),
    ("POST", {"Sec-Fetch-Site": "cross-site"}, 401), ("POST", {"Sec-Fetch-Site": "same-site"}, 401),
    ("POST", {"Sec-Fetch-Site": "odd"}, 401), ("POST", {"Origin": "http://evil.example"}, 401),
    ("POST", {"Origin": "http://localhost:5173"}, 401), ("POST", {"Origin": "null"}, 401),
    ("POST", {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 401),
    ("DELETE", {"Origin": "http://evil.example"}, 401), ("PROPFIND", {"Sec-Fetch-Site": "cross-site"}, 401),
    ("GET", {"Sec-Fetch-Site": "cross-site"}, 200), ("GET", {"Origin": "http://evil.example"}, 200),
])
def test_other_sites_change_nothing_as_the_local_user(local, method, headers, status):
    assert local.fetch("/in/", method=method, headers=headers).status == status


def test_with_accounts_nobody_is_local(tmp_path):
    with backend(echo) as behind, \
         serving(app(tmp_path / "app", behind.url, ", access: { /in/: signed_in }", "auth: { signup: open }\n")) as s:
        assert s.fetch("/in/").status == 401
        assert s.fetch("/").status == 200


def test_without_auth_everybody_here_is_local(tmp_path):
    with backend(echo) as behind, serving(app(tmp_path / "app", behind.url, ", access: { /: operator }")) as server:
        assert server.fetch("/").status == 200
        assert server.fetch("/", host="evil.example").status == 403
        assert server.fetch("/", headers={"X-Forwarded-For": "1.2.3.4"}).status == 403


@pytest.mark.parametrize("more, is_fine", [
    (", access: { /in/: signed_in }", False), (', identity: { header: X-User, value: "{user.id}" }', False),
    (", access: { /in/: nobody, /: public }", True), ("", True)])
def test_without_accounts_others_must_not_reach_it(tmp_path, run_dais, more, is_fine):
    folder = app(tmp_path / "app", "http://127.0.0.1:9", more)
    if is_fine:
        with serving(folder, listen="0.0.0.0:0"):
            return
    done = run_dais("serve", folder, "--listen", "0.0.0.0:0")
    assert done.returncode == 1 and "has no `auth:`" in done.stderr and "0.0.0.0:" in done.stderr


ALL = "owner: false, rules: { read: public, create: public, write: public, delete: public }"


@pytest.mark.parametrize("bucket, is_fine", [
    ("", False), (ALL.replace("false", "true"), False), (ALL.replace("write: public", "write: signed_in"), False),
    (ALL + ", visibility: choice", False), ("scope: user, " + ALL, False), (ALL, True)])
def test_nor_without_accounts_its_files(tmp_path, run_dais, bucket, is_fine):
    folder = write_app(tmp_path / "app", {"web/index.html": "x"},
                       f"web: {{ root: web }}\nfiles: {{ docs: {{ {bucket} }} }}\n")
    if is_fine:
        with serving(folder, listen="0.0.0.0:0"):
            return
    done = run_dais("serve", folder, "--listen", "0.0.0.0:0")
    assert done.returncode == 1 and "has no `auth:`" in done.stderr and "0.0.0.0:" in done.stderr


def test_where_nothing_depends_on_who_asks_everybody_may_come(tmp_path):
    with backend(echo) as behind, serving(app(tmp_path / "app", behind.url, tail="limits: { read: 100/min }\n")) as s:
        assert s.fetch("/", host="evil.example").status == 200
        assert s.fetch("/", headers={"Via": "1.1 p"}).status == 200


def is_listened_at(path):
    """Its name is there a moment before."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def test_a_socket_is_this_machine_too(tmp_path):
    with backend(echo) as behind:
        folder = app(tmp_path / "app", behind.url, ", access: { /: operator }")
        path = tmp_path / "s"
        with serving(folder, listen=f"unix:{path}", ready=False):
            wait_for(lambda: is_listened_at(path), "the socket")
            for host, status in (("localhost", 200), ("evil.example", 403)):
                with Conn(path) as conn:
                    assert conn.request("/", host=host).read().status == status


# ---- rules -----------------------------------------------------------------------------------------
ROLES = "auth: { roles: [ editor, admin ] }\n"
ACCESS = (', access: { "/api/": signed_in, "/api/open/": public, "/api/op/": operator, "/api/ed/": "role:editor",'
          ' "/api/key/": { read: "scope:read", write: "scope:write" }, "/api/never/": nobody,'
          ' "/api/ed/notes": { write: operator }, "/drop": { read: operator, write: public },'
          ' "/assets/users/{user.id}/": signed_in, "/assets/users/community/": { read: signed_in },'
          ' "/assets/users/": nobody, "/Caps/Here/": operator },'
          ' identity: { header: X-User, value: "{user.id}" }')


@pytest.fixture(name="ruled", scope="module")
def fixture_ruled(tmp_path_factory):
    with backend(echo) as behind:
        folder = app(tmp_path_factory.mktemp("ruled") / "app", behind.url, ACCESS, ROLES)
        with serving(folder, program=TEST_BIN) as server:
            server.behind = behind
            yield server


ED, OP = "ed;role=editor", "op;operator"
RULES = [
    # path, method, signed out, alice, an editor, an operator, a key for scope read
    ("/", "GET", 200, 200, 200, 200, 200), ("/api/x", "GET", 401, 200, 200, 200, 200),
    ("/api/x", "POST", 401, 200, 200, 200, 403), ("/api", "GET", 401, 200, 200, 200, 200),
    ("/api/open/x", "DELETE", 200, 200, 200, 200, 200), ("/api/op/x", "GET", 401, 403, 403, 200, 403),
    ("/api/ed/x", "GET", 401, 403, 200, 403, 403), ("/api/key/x", "GET", 401, 200, 200, 200, 200),
    ("/api/key/x", "PUT", 401, 200, 200, 200, 403), ("/api/never/x", "GET", 403, 403, 403, 403, 403),
    # what a prefix does not say, the next shorter one does
    ("/api/ed/notes", "GET", 401, 403, 200, 403, 403), ("/api/ed/notes", "POST", 401, 403, 403, 200, 403),
    ("/api/ed/notesbook", "POST", 401, 403, 200, 403, 403),
    # a method that may be either passes for both
    ("/drop", "POST", 200, 200, 200, 200, 200), ("/drop", "GET", 401, 403, 403, 200, 403),
    ("/drop", "get", 401, 403, 403, 200, 403), ("/drop", "PROPFIND", 401, 403, 403, 200, 403),
]


@pytest.mark.parametrize("row", RULES, ids=lambda row: f"{row[1]} {row[0]}")
def test_rules(ruled, row):
    path, method, *statuses = row
    for who, status in zip(("", "alice", ED, OP, "key;scope=read"), statuses):
        assert ruled.fetch(path, method=method, headers=user(who)).status == status, who


def test_a_method_in_a_header_is_a_method(ruled):
    for name in ("X-HTTP-Method-Override", "x-http-method", "X-Method-Override"):
        assert ruled.fetch("/drop", method="POST", headers={name: "GET"}).status == 401


def test_denied_is_told_apart(ruled):
    out = ruled.fetch("/api/x")
    assert (out.status, out.json()["code"]) == (401, "unauthenticated")
    assert out.get("content-type") == "application/problem+json" and out.get("cache-control") == "no-store"
    short = ruled.fetch("/api/op/x", headers=user("alice"))
    assert (short.status, short.json()["code"]) == (403, "forbidden")
    bad = ruled.fetch("/api/open/x", headers=user("bad"))
    assert (bad.status, bad.json()["code"]) == (401, "unauthenticated")
    page = ruled.fetch("/api/op/x", headers={**BROWSER, **user("alice")})
    assert page.status == 403 and page.get("content-type").startswith("text/html")


def test_a_person_is_sent_to_the_sign_in(ruled):
    for path, next_ in (("/api/x", "%2Fapi%2Fx"), ("/api/op/a%20b?c=%26&d", "%2Fapi%2Fop%2Fa%2520b%3Fc%3D%2526%26d"),
                        ("//evil.example/../api/x", "%2Fapi%2Fx")):
        page = ruled.fetch(path, headers=BROWSER)
        assert (page.status, page.get("location")) == (303, f"/_/sign-in?next={next_}")
    for headers in ({}, {**BROWSER, "Authorization": "Bearer x"}):
        assert ruled.fetch("/api/x", headers=headers).status == 401
    assert ruled.fetch("/api/x", method="POST", headers=BROWSER).status == 401


def test_a_key_is_nobody_beyond_its_scopes(ruled):
    for method, scopes, told in (("GET", "read", ["key"]), ("POST", "read", []), ("POST", "write", ["key"]),
                                 ("GET", "write", []), ("GET", "read:notes", []), ("PROPFIND", "read", []),
                                 ("PROPFIND", "read;scope=write", ["key"])):
        answer = ruled.fetch("/api/open/x", method=method, headers=user(f"key;scope={scopes}"))
        assert sent(answer, "x-user") == told, (method, scopes)


def test_the_body_of_a_denied_request_goes_nowhere(ruled):
    seen = len(ruled.behind.requests)
    with Conn(ruled) as conn:
        conn.send(b"POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert conn.read("POST").status == 401
        assert conn.at_end()
    assert len(ruled.behind.requests) == seen


ISOLATED = [
    # path, method, and what alice, bob, community, nobody get
    ("/assets/users/alice/x.png", "GET", 200, 403, 403, 403), ("/assets/users/alice/x.png", "PUT", 200, 403, 403, 403),
    ("/assets/users/alice", "GET", 200, 403, 403, 403), ("/assets/users/", "GET", 403, 403, 403, 403),
    ("/assets/users/alicex/y", "GET", 403, 403, 403, 403), ("/assets/users/ALICE/x", "GET", 403, 403, 403, 403),
    ("/assets/users/community/x", "GET", 200, 200, 200, 401), ("/assets/users/community/x", "PUT", 403, 403, 200, 403),
    ("/assets/users/{user.id}/x", "GET", 403, 403, 403, 403),
    ("/assets/users/bob/../alice/x", "GET", 200, 403, 403, 403),
    ("/assets/users/alice/..;/bob/x", "GET", 403, 403, 403, 403),
    ("/assets/users/alice/%252e%252e/bob/x", "GET", 403, 403, 403, 403),
    ("/assets/users/alice/..%252fbob/x", "GET", 403, 403, 403, 403),
    ("/assets/users/alice/..%255cbob/x", "GET", 403, 403, 403, 403),
    ("/assets/users/alice./x", "GET", 403, 403, 403, 403), ("/assets/users/alice;/x", "GET", 403, 403, 403, 403),
]


@pytest.mark.parametrize("row", ISOLATED, ids=lambda row: f"{row[1]} {row[0]}")
def test_each_account_has_its_own_folder(ruled, row):
    path, method, *statuses = row
    for who, status in zip(("alice", "bob", "community", ""), statuses):
        assert ruled.fetch(path, method=method, headers=user(who)).status == status, who


@pytest.mark.parametrize("who", ["al/ice", "alice/..", "..", ".", "a b", "alice%2f", "%c3%a9", "a" * 200, ";"])
def test_an_unsafe_id_has_no_folder(ruled, who):
    name = who.partition(";")[0]
    for path in (f"/assets/users/{name}/x", "/assets/users/x", "/assets/users//x", "/assets/users/../users/x"):
        answer = ruled.fetch(path.replace(" ", "%20"), headers=user(who))
        assert answer.status in (400, 403, 401, 200), answer
        if answer.status == 200:  # it left the folder on its way
            assert not answer.json()["target"].startswith("/assets/users")


TRICKS = ["/api/x", "/API/x", "/Api/X", "/api/x;y=1", "/api;y=1/x", "/api;/x", "/api./x", "/api%20/x", "/api../x",
          "//api/x", "/./api/x", "/a/../api/x", "/%61pi/x", "/%2561pi/x", "/%252561pi/x", "/api%253by=1/x",
          "/a/..;/api/x", "/a/..;x=y/api/x", "/api/open/..;/x", "/api/open/%252e%252e/x", "/api/open/..%252fx",
          "/api/open/..%255cx", "/api/open%255c..%255cx", "/x%255c..%255capi/x", "/;/api/x", "/;a=b/api/x",
          "/.;/api/x", "/api/open/.%20./..%20/x", "/API;a/x", "/%2541PI/x", "/api/x%2500.png", "/api%2500/x", "/api",
          "/api;x", "/API", "/api.", "/api/open/..;/..;/api/x", "/caps/here/x", "/CAPS/HERE/x", "/Caps/Here/x",
          "/caps/here", "/caps/here;/x"]


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_gets_around_a_rule(ruled, path):
    seen = len(ruled.behind.requests)
    assert ruled.fetch(path).status in (400, 401, 403), path
    assert len(ruled.behind.requests) == seen


@pytest.mark.parametrize("path", ["/apix", "/x/api/y", "/api/open/a;b", "/api/open/A.B/", "/api/open/50%25", "/x;/y"])
def test_harmless_paths_pass(ruled, path):
    assert ruled.fetch(path).status == 200


def test_frames_are_judged_like_requests(ruled):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert ruled.fetch("/api/ws", headers=headers).status == 401


# ---- what the backend is told ------------------------------------------------------------------------
LIES = ["X-User", "x-user", "X-USER", "X_User", "x_user", "X.User", "X~User", "X-uSER"]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("who, told", [("", []), ("alice", ["alice"])])
def test_nobody_brings_an_identity(ruled, lie, who, told):
    for hop in ("close", f"close, {lie}", "close, x-user"):  # listing it as a header of this hop removes ours as little
        answer = ruled.fetch("/", headers={**user(who), lie: "root", "Connection": hop})
        assert sent(answer, "x-user") == told
        assert all("root" not in value for name, value in answer.json()["headers"])


def test_a_trailer_is_no_identity(ruled):
    with Conn(ruled) as conn:
        conn.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-User\r\n\r\n"
                  b"3\r\nabc\r\n0\r\nX-User: root\r\n\r\n")
        answer = conn.read("POST")
    assert answer.json()["body"] == 3 and sent(answer, "x-user") == []


def value_app(tmp_path, url, header, value):
    return app(tmp_path / "app", url, f", identity: {{ header: {header}, value: '{value}' }}", ROLES)


@pytest.mark.parametrize("value, who, told", [
    ("{user.id}", "alice", ["alice"]), ("Bearer {user.id}", "alice", ["Bearer alice"]),
    ("id={user.id}; roles={user.roles}", "a;role=editor;role=admin", ["id=a; roles=editor,admin"]),
    ("{user.roles}", "a;role=x,operator;role=admin", ["admin"]), ("{user.roles}", "a", []),
    ("{user.email}", "a;email=a@b.example", ["a@b.example"]),
    ("{user.name}", "a;name=Ada Lovelace, Dr", ["Ada Lovelace, Dr"]),
    ("fixed", "a", ["fixed"]), ("{user.name}", "a;name=%c3%a9", ["\u00c3\u00a9"]),
    # nothing breaks out of its place
    ("{user.name}", "a;name=x%0d%0aX-Admin: 1", 403), ("{user.name}", "a;name=x%0aX-Admin: 1", 403),
    ("{user.id}", "a%0d%0ab", 403), ("{user.id}", "a b", 403), ("{user.id}", "a/../b", 403),
    ("{user.id}", "%c3%a9", 403),
    ("{user.id}", "a,b", 403), ("{user.id}", "a" * 129, 403), ("{user.id}", "a" * 128, ["a" * 128]),
    ("{user.email}", "a;email=x@y%0d%0aX-Admin: 1", 403), ("u={user.email}", "a;email=\"x,role=admin\"@y", 403),
    ("{user.name}", "a;name=" + "n" * 9000, 403), ("{user.name}", "a b;name=x", 403), ("fixed", "a/b", 403),
])
def test_values(tmp_path, value, who, told):
    with backend(echo) as behind, \
         serving(value_app(tmp_path, behind.url, "X-Who", value), program=TEST_BIN) as server:
        answer = server.fetch("/", headers=user(who))
        if told == 403:
            assert answer.status == 403 and not behind.requests
        else:
            assert sent(answer, "x-who") == told and sent(answer, "x-admin") == []
        assert sent(server.fetch("/", headers={"X-Who": "root"}), "x-who") == []


def test_authorization_can_be_the_header(tmp_path):
    with backend(echo) as behind, \
         serving(value_app(tmp_path, behind.url, "Authorization", "Bearer {user.id}"), program=TEST_BIN) as server:
        assert sent(server.fetch("/", headers={"Authorization": "Bearer root"}), "authorization") == []
        answer = server.fetch("/", headers={**user("alice"), "Authorization": "Bearer root"})
        assert sent(answer, "authorization") == ["Bearer alice"]


@pytest.mark.parametrize("name, value, told", [
    ("Cookie", "dais_app=secret", []), ("Cookie", "a=b; dais_app=secret; c=d", ["a=b; c=d"]),
    ("Cookie", "dais_app=secret; a=b", ["a=b"]), ("Cookie", "a=b; dais_app=secret", ["a=b"]),
    ("Cookie", "a=b;dais_app=secret;c=d", ["a=b;c=d"]), ("Cookie", "dais_app=secret; dais_app=secret", []),
    ("Cookie", "a=b; DAIS_APP=secret", ["a=b"]), ("Cookie", "a=b;  dais_app =secret; x", ["a=b; x"]),
    ("Cookie", "a=\"x;y\";  b=1 ;;c", ["a=\"x;y\";  b=1 ;;c"]), ("Cookie", "dais_other=1; dais_appx=2", None),
    ("Cookie", "dais_app; a", ["a"]), ("Cookie", "a=b; dais_instance_app=1", ["a=b"]),
    ("Authorization", "Bearer\tdst_x", []),
    ("Authorization", "Bearer dst_secret", []),
    ("Authorization", "bearer   dak_secret", []), ("Authorization", "BEARER dst_secret", []),
    ("Authorization", "Bearer eyJhbGciOi", None), ("Authorization", "Basic ZHN0Xw==", None),
    ("Authorization", "Bearer xdst_a", None), ("Authorization", "dak_secret", []),
])
def test_daiss_own_credentials_stay_here(tmp_path, name, value, told):
    with backend(echo) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        answer = server.fetch("/", headers={name: value})
        assert sent(answer, name.lower()) == ([value] if told is None else told)


def test_daiss_own_cookies_are_not_the_backends_to_give(tmp_path):
    cookies = b"".join(b"Set-Cookie: %s\r\n" % cookie for cookie in (
        b"dais_app=forged; Path=/", b"a=b; HttpOnly", b"DAIS_APP=forged", b" dais_instance_app=7", b"dais_apple=c"))
    with backend(lambda *_: ok(b"x", cookies)) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        assert server.fetch("/").all("set-cookie") == ["a=b; HttpOnly", "dais_apple=c"]


def test_lines_of_cookies_stay_apart(tmp_path):
    with backend(echo) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        answer = server.fetch("/", headers=[("Cookie", "a=b"), ("Cookie", "dais_app=s"), ("Cookie", "c=d; e=f")])
        assert sent(answer, "cookie") == ["a=b", "c=d; e=f"]


# ---- tokens ------------------------------------------------------------------------------------------
def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def der_integer(raw):
    raw = raw.lstrip(b"\0") or b"\0"
    raw = (b"\0" if raw[0] & 0x80 else b"") + raw
    return b"\x02" + bytes([len(raw)]) + raw


def openssl_verifies(tmp_path, token, key):
    """Only the openssl command decides: a P-256 key from its two coordinates, ECDSA over SHA-256."""
    head, payload, signature = token.split(".")
    point = b"\x04" + decode(key["x"]) + decode(key["y"])
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    raw = decode(signature)
    assert len(raw) == 64 and len(point) == 65
    both = der_integer(raw[:32]) + der_integer(raw[32:])
    (tmp_path / "key.der").write_bytes(spki)
    (tmp_path / "sig").write_bytes(b"\x30" + bytes([len(both)]) + both)
    (tmp_path / "signed").write_text(f"{head}.{payload}")
    done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", tmp_path / "key.der", "-keyform", "DER",
                           "-signature", tmp_path / "sig", tmp_path / "signed"], capture_output=True, check=False)
    return done.returncode == 0


JWT = ("X-Token", "Bearer {jwt}")
SECRET = "8f1c5be09d3a47627f60a1d9e24b83c5"


def token_of(server, who="alice;role=editor;email=a@b.example;name=Ada \"x\" \u00c3\u00a9", host="shop.example:81"):
    value, = sent(server.fetch("/", headers=user(who), host=host), "x-token")
    assert value.startswith("Bearer ")
    return value.removeprefix("Bearer ")


def test_tokens_hold_what_others_can_check(tmp_path):
    with backend(echo) as behind, \
         serving(value_app(tmp_path, behind.url, *JWT), program=TEST_BIN, env={"DAIS_SECRET": SECRET}) as server:
        answer = server.fetch("/_/jwks.json")
        key, = answer.json()["keys"]
        assert answer.get("cache-control") == "public, max-age=300"
        assert answer.get("content-type") == "application/jwk-set+json"
        assert {name: key[name] for name in ("kty", "crv", "alg", "use")} == {
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig"}
        assert "d" not in key
        thumb = json.dumps({name: key[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
        assert decode(key["kid"]) == hashlib.sha256(thumb.encode()).digest()

        before = int(time.time() - 0.02)  # there is a clock that is late by so much
        token = token_of(server)
        head, payload, _ = token.split(".")
        assert json.loads(decode(head)) == {"alg": "ES256", "typ": "JWT", "kid": key["kid"]}
        said = json.loads(decode(payload))
        assert before <= said["iat"] <= time.time() and said["exp"] == said["iat"] + 300
        assert {name: said[name] for name in ("iss", "aud", "sub", "email", "name", "roles")} == {
            "iss": "http://shop.example:81", "aud": "app", "sub": "alice", "email": "a@b.example",
            "name": "Ada \"x\" \u00e9", "roles": ["editor"]}
        assert openssl_verifies(tmp_path, token, key)
        forged = json.dumps({**said, "sub": "root"}).encode()
        forged = base64.urlsafe_b64encode(forged).decode().rstrip("=")
        assert not openssl_verifies(tmp_path, f"{head}.{forged}.{token.rpartition('.')[2]}", key)
        for i in range(40):  # numbers with leading zeros come by
            assert openssl_verifies(tmp_path, token_of(server, f"alice-{i}"), key)
        assert any(token_of(server) == token_of(server) for _ in range(2))  # a minute may have just ended
        assert json.loads(decode(token_of(server, "bob").split(".")[1]))["sub"] == "bob"
        assert token_of(server, "alice;role=admin;email=a@b.example;name=Ada") != token
        assert token_of(server, host="other.example") != token
        assert sent(server.fetch("/", headers={"X-Token": "Bearer forged"}), "x-token") == []
        assert not (tmp_path / "app/data/secret").exists()


def test_replicas_agree_and_apps_do_not(tmp_path):
    keys = []
    for folder, name, secret in (("one", "app", SECRET), ("two", "app", SECRET), ("three", "other", SECRET),
                                 ("four", "app", SECRET + "x")):
        folder = write_app(tmp_path / folder, None, "backend: { url: \"http://127.0.0.1:1\", routes: [ /api/ ],"
                           " identity: { header: X-T, value: \"{jwt}\" } }\n", name)
        with serving(folder, env={"DAIS_SECRET": secret, "PUBLIC_URL": "https://x.example/"}) as server:
            keys.append(server.fetch("/_/jwks.json").body)
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_the_issuer_is_the_public_address(tmp_path):
    with backend(echo) as behind:
        write_app(tmp_path / "two")
        app(tmp_path / "one", behind.url, ", identity: { header: X-Token, value: \"Bearer {jwt}\" }")
        (tmp_path / "host.yaml").write_text("apps: [ one, two ]\n")
        with serving(tmp_path, program=TEST_BIN, env={"PUBLIC_URL": "https://x.example/"}) as server:
            value, = sent(server.fetch("/one/", headers=user("alice")), "x-token")
            assert json.loads(decode(value.split(".")[1]))["iss"] == "https://x.example/one"
            assert server.fetch("/one/_/jwks.json").status == 200
            assert server.fetch("/two/_/jwks.json").status == 404


def test_the_secret_is_made_once_and_kept(tmp_path):
    with backend(echo) as behind:
        folder = value_app(tmp_path, behind.url, *JWT)
        found = []
        for _ in range(2):
            with serving(folder, program=TEST_BIN) as server:
                found.append(server.fetch("/_/jwks.json").body)
                token = token_of(server)
        secret = folder / "data/secret"
        assert found[0] == found[1] and openssl_verifies(tmp_path, token, json.loads(found[0])["keys"][0])
        assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_text()) == 65
        assert not [path for path in (folder / "data").iterdir() if path.name.startswith(".secret")]


@pytest.mark.parametrize("mode, text, says", [
    (0o644, SECRET, "can be read by others"), (0o600, "short", "is damaged"), (0o600, "", "is damaged")])
def test_a_bad_secret_is_refused(tmp_path, run_dais, mode, text, says):
    folder = value_app(tmp_path, "http://127.0.0.1:1", *JWT)
    (folder / "data").mkdir(mode=0o700)
    (folder / "data/secret").write_text(text)
    (folder / "data/secret").chmod(mode)
    done = run_dais("serve", folder, "--listen", "127.0.0.1:0")
    assert done.returncode == 11 and says in done.stderr and SECRET not in done.stderr


def test_a_short_setting_is_refused(tmp_path, run_dais):
    folder = value_app(tmp_path, "http://127.0.0.1:1", *JWT)
    done = run_dais("serve", folder, "--listen", "127.0.0.1:0", env={"DAIS_SECRET": "hunter2"})
    assert done.returncode == 1 and "too short" in done.stderr and "hunter2" not in done.stderr


def test_who_needs_no_secret_has_none(tmp_path):
    with serving(write_app(tmp_path / "app")) as server:
        assert server.fetch("/_/jwks.json").status == 404
    assert not (tmp_path / "app/data/secret").exists()


def test_a_reload_that_cannot_read_the_secret_changes_nothing(tmp_path, run_dais):
    with backend(echo) as behind:
        folder = app(tmp_path / "app", behind.url)
        with serving(folder) as server:
            (folder / "data/secret").write_text("short")
            (folder / "data/secret").chmod(0o600)
            value_app(tmp_path, behind.url, *JWT)
            done = run_dais("reload", folder)
            assert done.returncode != 0 and "is damaged" in done.stdout + done.stderr
            assert server.fetch("/").status == 200 and server.fetch("/_/jwks.json").status == 404


# ---- the manifest ------------------------------------------------------------------------------------
@pytest.mark.parametrize("more, says", [
    ("access: { /a: \"role:boss\" }", "there is no role `boss`; add it to `auth.roles`"),
    ("access: { /a: owner }", "`owner` is no rule for paths of a backend"),
    ("access: { /a: \"@user.id = 'x'\" }", "is no rule for paths of a backend"),
    ("access: { /a: { write: \"scope:\" } }", "`scope:` is no rule"),
    ("access: { \"/u/{user.email}/\": signed_in }", "braces must be one `{user.id}` between slashes"),
    ("access: { \"/u/x{user.id}/\": signed_in }", "braces must be one `{user.id}`"),
    ("access: { \"/u/{user.id}x\": signed_in }", "braces must be one `{user.id}`"),
    ("access: { \"/{user.id}/{user.id}/\": signed_in }", "braces must be one `{user.id}`"),
    ("identity: { header: X-A, value: \"{user.idd}\" }", "`{user.idd}` is unknown here"),
    ("identity: { header: X-A, value: \"{user.id\" }", "is unknown here"),
    ("identity: { header: X-A, value: \"x {user.name}\" }", "must be the whole `value`"),
    ("identity: { header: host, value: x }", "dais sets `host` itself"),
    ("identity: { header: X-Forwarded-For, value: x }", "dais sets `X-Forwarded-For` itself"),
])
def test_mistakes_are_found(tmp_path, run_dais, more, says):
    done = run_dais("check", app(tmp_path / "app", "http://127.0.0.1:1", ", " + more))
    assert done.returncode == 1 and says in done.stdout


def test_this_program_is_not_the_one_that_ships():
    assert b"X-Test-User" not in pathlib.Path(DAIS_BIN).read_bytes()
