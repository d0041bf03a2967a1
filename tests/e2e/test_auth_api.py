# Accounts and keys over HTTP: every call, good and bad, on both databases; what mails bring is in test_auth_mail.py.
import json
import re
import statistics
import time

import pytest

from accounts_api import AUTH, NO_LIMITS, PASSWORD, address, ask, cookie_of, desk, joined, logged_in, problem
from documents import DATABASES

MANIFEST = """
collections:
  notes: { owner: true }
  posts: { rules: { read: public, create: signed_in, write: owner } }
  box: { rules: { create: signed_in, read: "role:editor" } }
"""
USER = {"id", "email", "email_verified", "name", "roles", "operator", "created"}


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with desk(request.param, tmp_path_factory.mktemp("auth"), MANIFEST) as server:
        yield server


@pytest.fixture(name="lite", scope="module")
def fixture_lite(tmp_path_factory):
    """For what has nothing to do with a database."""
    with desk("sqlite", tmp_path_factory.mktemp("lite"), MANIFEST) as server:
        yield server


# ---- signing up, in and out ----------------------------------------------------------------------
def test_signing_up_signs_in(db):
    who = address()
    answer = ask(db, "POST", "/api/auth/signup", {"email": f"  {who.upper()} ", "password": PASSWORD, "name": " Ann "})
    assert answer.status == 201, answer.body
    found = answer.json()
    assert set(found) == {"token", "expires", "user"} and set(found["user"]) == USER
    assert re.fullmatch(r"dst_[\w-]{43}", found["token"])
    assert found["user"]["email"] == who and found["user"]["name"] == "Ann"
    assert (found["user"]["email_verified"], found["user"]["roles"], found["user"]["operator"]) == (False, [], False)
    assert answer.get("cache-control") == "no-store"
    cookie, *rest = answer.get("set-cookie").split("; ")
    assert cookie == f"dais_desk={found['token']}"
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(rest) and "Secure" not in rest
    assert 29 * 86400 < int(next(part for part in rest if part.startswith("Max-Age="))[8:]) <= 30 * 86400
    for way in ({"token": found["token"]}, {"cookie": cookie}):
        me = ask(db, "GET", "/api/auth/me", **way)
        assert me.status == 200 and me.json() == found["user"]
        assert me.get("cache-control") == "no-store"
    assert ask(db, "HEAD", "/api/auth/me", cookie=cookie).status == 200
    problem(ask(db, "GET", "/api/auth/me"), 401, "unauthenticated")


def test_logging_in(db):
    ann = joined(db)
    answer = ask(db, "POST", "/api/auth/login", {"email": ann.email.upper(), "password": PASSWORD})
    assert answer.status == 200 and answer.json()["user"]["id"] == ann.id
    assert cookie_of(answer) == f"dais_desk={answer.json()['token']}"
    assert answer.json()["token"] != ann.token, "a session of its own"
    wrong = problem(ask(db, "POST", "/api/auth/login", {"email": ann.email, "password": PASSWORD + "."}), 401)
    assert wrong == []


def test_logging_out_ends_the_session_at_the_server(db):
    """Hostile 13."""
    ann = joined(db)
    other = logged_in(db, ann)
    answer = ask(db, "POST", "/api/auth/logout", cookie=ann.cookie)
    assert answer.status == 204
    assert answer.get("set-cookie").startswith("dais_desk=;") and "Max-Age=0" in answer.get("set-cookie")
    for way in ({"token": ann.token}, {"cookie": ann.cookie}):
        problem(ask(db, "GET", "/api/auth/me", **way), 401)
        problem(ask(db, "POST", "/api/notes", {}, **way), 401)
        assert ask(db, "POST", "/api/auth/logout", **way).status == 204, "as often as you like"
    assert ask(db, "POST", "/api/auth/logout").status == 204
    unheard = db.fetch("/api/auth/logout", method="POST", headers={"Cookie": f"dais_desk={other}"})
    problem(unheard, 403)  # not "done": nothing was
    assert ask(db, "GET", "/api/auth/me", token=other).status == 200, "the other one goes on"


def test_a_bad_token_is_not_helped_by_a_good_cookie(db):
    ann = joined(db)
    problem(ask(db, "GET", "/api/auth/me", token="dst_" + "x" * 43, cookie=ann.cookie), 401)


def test_signing_up_again_with_the_password_signs_in(db):
    ann = joined(db)
    again = ask(db, "POST", "/api/auth/signup", {"email": ann.email, "password": PASSWORD})
    assert again.status == 201 and again.json()["user"]["id"] == ann.id
    other = ask(db, "POST", "/api/auth/signup", {"email": ann.email, "password": PASSWORD + " not"})
    assert other.status == 201 and other.json()["user"]["id"] != ann.id


# ---- what is wrong with a body -------------------------------------------------------------------
BAD = [
    ("signup", {}, [("/email", "required")]),
    ("signup", {"email": None, "password": PASSWORD}, [("/email", "type")]),
    ("signup", {"email": 5, "password": PASSWORD}, [("/email", "type")]),
    ("signup", {"email": ["a@example.com"], "password": PASSWORD}, [("/email", "type")]),
    ("signup", {"email": "a@example.com"}, [("/password", "required")]),
    ("signup", {"email": "a@example.com", "password": {"$ne": ""}}, [("/password", "type")]),
    ("signup", {"email": "nobody", "password": PASSWORD}, ["/email"]),
    ("signup", {"email": "a@b@c", "password": PASSWORD}, ["/email"]),
    ("signup", {"email": "a\r\nBcc: b@example.com", "password": PASSWORD}, ["/email"]),
    ("signup", {"email": "a\0@example.com", "password": PASSWORD}, ["/email"]),
    ("signup", {"email": "a" * 300 + "@example.com", "password": PASSWORD}, ["/email"]),
    ("signup", {"email": "a@example.com", "password": "short"}, ["/password"]),
    ("signup", {"email": "a@example.com", "password": "password"}, ["/password"]),
    ("signup", {"email": "a@example.com", "password": "x" * 1025}, ["/password"]),
    ("signup", {"email": "a@example.com", "password": PASSWORD, "name": 7}, [("/name", "type")]),
    ("signup", {"email": "a@example.com", "password": PASSWORD, "name": "x" * 201}, ["/name"]),
    ("signup", {"email": "a@example.com", "password": PASSWORD, "name": "a\0b"}, ["/name"]),
    ("signup", {"email": "a@example.com", "password": PASSWORD, "name": "a\x9b2Jb"}, ["/name"]),
    ("login", {"email": "a@example.com"}, [("/password", "required")]),
    ("login", {"password": PASSWORD}, [("/email", "required")]),
    ("login", {"email": True, "password": PASSWORD}, [("/email", "type")]),
    ("login", [1], [("", "type")]),
    ("login", "text", [("", "type")]),
    ("magic-link", {}, [("/email", "required")]),
    ("magic-link", {"email": "x"}, ["/email"]),
    ("magic-link", {"token": 5}, [("/token", "type")]),
    ("magic-link", {"token": ""}, [("/token", "required")]),
    ("magic-link", {"email": "a@example.com", "next": "//evil.example"}, ["/next"]),
    ("magic-link", {"email": "a@example.com", "next": "/\\evil.example"}, ["/next"]),
    ("magic-link", {"email": "a@example.com", "next": "https://evil.example/"}, ["/next"]),
    ("magic-link", {"email": "a@example.com", "next": "/a\nb"}, ["/next"]),
    ("magic-link", {"email": "a@example.com", "next": 1}, [("/next", "type")]),
    ("reset", {}, [("/email", "required")]),
    ("reset", {"token": "dln_" + "x" * 43}, [("/password", "required")]),
    ("reset", {"token": "dln_" + "x" * 43, "password": 1}, [("/password", "type")]),
    ("verify", {"token": []}, [("/token", "type")]),
    ("verify", {"token": "dln_" + "x" * 43, "password": 1}, [("/password", "type")]),
]


@pytest.mark.parametrize("call,body,wanted", BAD)
def test_what_is_wrong_is_told_with_its_place(db, call, body, wanted):
    found = problem(ask(db, "POST", f"/api/auth/{call}", body), 422, "invalid")
    if isinstance(wanted[0], str):
        found = [pointer for pointer, _ in found]
    assert found == wanted


@pytest.mark.parametrize("email", ["a\0b@example.com", "\x01", "x" * 5000, "'; DROP TABLE dais_users; --", "%",
                                   "ａ@example.com", "a@example.com\u2028"])
def test_an_address_that_nobody_can_have_is_just_wrong(db, email):
    problem(ask(db, "POST", "/api/auth/login", {"email": email, "password": PASSWORD}), 401, "unauthenticated")
    answer = ask(db, "POST", "/api/auth/login", {"email": "a@example.com", "password": email})
    problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("token", ["x", "dln_", "dln_" + "A" * 43, "dst_" + "A" * 43, "dln_" + "\0" * 43, "é" * 500])
def test_links_that_are_none_of_ours(db, token):
    said = {ask(db, "POST", f"/api/auth/{call}", body).json()["detail"]
            for call in ("magic-link", "verify", "reset")
            for body in [{"token": token, "password": PASSWORD}]
            if problem(ask(db, "POST", f"/api/auth/{call}", body), 400, "malformed") == []}
    assert len(said) == 1, "the same words for all"


WITH_BODY = [("POST", f"auth/{name}") for name in ("signup", "login", "magic-link", "verify", "reset", "password")] + [
    ("PATCH", "auth/me"), ("DELETE", "auth/me"), ("POST", "keys")]


@pytest.mark.parametrize("method,path", WITH_BODY)
def test_only_json_is_taken(lite, method, path):
    ann = joined(lite)
    good = json.dumps({"email": ann.email, "password": PASSWORD}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
                 "application/jsonp", "text/plain; application/json"):
        headers = {"Content-Type": kind} if kind else {}
        problem(ask(lite, method, f"/api/{path}", good, token=ann.token, **headers), 415, "unsupported_media_type")
    for bad in (b"{", b'{"email":1,"email":2}', b"\xff", b"[" * 5000):
        problem(ask(lite, method, f"/api/{path}", bad, token=ann.token, Content_Type="application/json"), 400)
    large = json.dumps({"email": "x" * 17000}).encode()
    problem(ask(lite, method, f"/api/{path}", large, token=ann.token, Content_Type="application/json"), 413)
    assert ask(lite, "GET", "/api/auth/me", token=ann.token).status == 200, "none of it did anything"


def test_methods_that_a_call_has_not(lite):
    for path, allow in (("auth/login", "POST"), ("auth/me", "GET, HEAD, PATCH, DELETE"),
                        ("auth/me/export", "GET, HEAD"), ("auth/sessions", "GET, HEAD, DELETE"),
                        ("auth/sessions/x", "DELETE"), ("keys", "GET, HEAD, POST"), ("keys/x", "DELETE")):
        answer = ask(lite, "PUT", f"/api/{path}", {})
        problem(answer, 405, "method_not_allowed")
        assert sorted(answer.get("allow").split(", ")) == sorted(allow.split(", ")), path
        options = ask(lite, "OPTIONS", f"/api/{path}")
        assert options.status == 204 and sorted(options.get("allow").split(", ")) == sorted(allow.split(", "))
    for path in ("auth", "auth/", "auth/nothing", "auth/me/x", "keys/x/y"):
        problem(ask(lite, "GET", f"/api/{path}"), 404, "not_found")


def test_an_idempotency_key_does_nothing(lite):
    """Two people behind one address may use the same one."""
    ann, bob = address(), address("bob")
    for who in (ann, bob):
        answer = ask(lite, "POST", "/api/auth/signup", {"email": who, "password": PASSWORD}, Idempotency_Key="k")
        assert answer.status == 201 and answer.json()["user"]["email"] == who
        assert answer.get("idempotency-replayed") is None


# ---- hostile -------------------------------------------------------------------------------------
WANTED = {"roles": ["editor"], "id": "chosen-by-the-client", "verified": True, "email_verified": True, "operator": True,
          "is_operator": True, "state": 0, "created": "2001-01-01T00:00:00.000Z", "version": 9, "owner": "x",
          "__proto__": {"operator": True}, "constructor": {"prototype": {"operator": True}}, "scopes": ["admin"],
          "user": {"operator": True}, "password_hash": "x", "has_password": False}


def test_nothing_is_assigned_that_was_not_asked_for(db):
    """Hostile 19."""
    who = address()
    answer = ask(db, "POST", "/api/auth/signup", {**WANTED, "email": who, "password": PASSWORD})
    assert answer.status == 201
    user, token = answer.json()["user"], answer.json()["token"]
    assert user["roles"] == [] and user["operator"] is False and user["email_verified"] is False
    assert user["id"] != WANTED["id"] and user["created"] > "2026"
    changed = ask(db, "PATCH", "/api/auth/me", {**WANTED, "email": "other@example.com", "name": "B"}, token=token)
    assert changed.status == 200 and changed.json() == {**user, "name": "B"}
    assert ask(db, "GET", "/api/auth/me", token=token).json() == {**user, "name": "B"}
    again = ask(db, "POST", "/api/auth/login", {**WANTED, "email": who, "password": PASSWORD})
    assert again.status == 200 and again.json()["user"] == {**user, "name": "B"}
    problem(ask(db, "GET", "/api/box", token=token), 403)
    key = ask(db, "POST", "/api/keys", {**WANTED, "name": "k", "scopes": ["read"], "user": "x", "roles": ["editor"]},
              token=token)
    assert key.status == 201 and key.json()["scopes"] == ["read"] and key.json()["id"] != WANTED["id"]
    assert ask(db, "GET", "/api/auth/me", token=key.json()["key"]).json()["id"] == user["id"]


FOREIGN = [{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"},
           {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost.evil.example"},
           {"Origin": "http://evil.example/?localhost"}]


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_change_nothing(db, headers):
    """Hostile 37, and signing a visitor in as somebody else."""
    ann = joined(db)
    mail = {"email": ann.email, "password": PASSWORD}
    for method, path, body in (("POST", "auth/login", mail), ("POST", "auth/signup", mail),
                               ("POST", "auth/logout", None), ("POST", "auth/refresh", None),
                               ("POST", "auth/magic-link", mail), ("POST", "auth/reset", mail),
                               ("POST", "auth/verify", {}), ("PATCH", "auth/me", {"name": "x"}),
                               ("DELETE", "auth/me", mail), ("POST", "auth/password", {"current": PASSWORD, **mail}),
                               ("DELETE", "auth/sessions", None), ("POST", "keys", {"name": "k", "scopes": ["read"]}),
                               ("DELETE", "auth/sessions/x", None), ("DELETE", "keys/x", None)):
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = ask(db, method, f"/api/{path}", body, cookie=ann.cookie, Content_Type=kind, **headers)
            problem(answer, 403, "forbidden")
            assert answer.get("set-cookie") is None
    me = ask(db, "GET", "/api/auth/me", cookie=ann.cookie)
    assert me.status == 200 and me.json()["name"] == "ann"
    own = ask(db, "POST", "/api/auth/login", mail, Sec_Fetch_Site="same-origin", Origin="http://localhost")
    assert own.status == 200
    bearer = ask(db, "PATCH", "/api/auth/me", {"name": "y"}, token=ann.token, **headers)
    assert bearer.status == 200, "a browser adds no Authorization by itself"


def test_pages_that_cors_names_may_sign_in_without_a_cookie(tmp_path):
    page = {"Origin": "https://me.example.com", "Sec-Fetch-Site": "cross-site"}
    cors = 'cors: { origins: [ "https://me.example.com" ], credentials: true }\n'
    with desk("sqlite", tmp_path, cors) as server:
        ann = joined(server)
        mail = {"email": ann.email, "password": PASSWORD}
        answer = ask(server, "POST", "/api/auth/login", mail, **page)
        assert answer.status == 200 and answer.get("set-cookie") is None
        assert answer.get("access-control-allow-origin") == "https://me.example.com"
        token = answer.json()["token"]
        assert ask(server, "PATCH", "/api/auth/me", {"name": "z"}, token=token, **page).status == 200
        problem(ask(server, "POST", "/api/notes", {}, cookie=ann.cookie, **page), 404)
        problem(ask(server, "PATCH", "/api/auth/me", {"name": "q"}, cookie=ann.cookie, **page), 401)
        other = {**page, "Origin": "https://me.example.com.evil.example"}
        problem(ask(server, "POST", "/api/auth/login", mail, **other), 403)


def _shape(answer):
    """What is told, without what is new in every answer."""
    found = answer.json()
    for name in ("token", "expires", "request_id"):
        found.pop(name, None)
    if "user" in found:
        found["user"] = {key: value for key, value in found["user"].items() if key not in ("id", "created", "email")}
    heads = {name: value for name, value in answer.headers if name not in ("x-request-id", "date", "set-cookie")}
    heads["content-length"] = 0 if "token" in answer.json() else heads.get("content-length")
    return answer.status, found, heads, bool(cookie_of(answer))


CALLS = {"login": lambda who: {"email": who, "password": "not the password"},
         "reset": lambda who: {"email": who}, "magic-link": lambda who: {"email": who},
         "signup": lambda who: {"email": who, "password": "another password"}}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_nothing_tells_whether_an_address_is_known(db, call):
    """Hostile 9: status, body, headers, and time; medians of alternating tries, of more of them while others use the
    machine: what is always longer for one kind stays so however many there are."""
    known = joined(db, "known")
    other = re.sub(r"^known", "nobdy", known.email)
    times, shapes, apart = {True: [], False: []}, {True: [], False: []}, True
    for i in range(97):
        if i in (24, 48, 72, 96):
            a, b = (statistics.median(times[is_known][2:]) for is_known in (True, False))
            apart = abs(a - b) >= 0.004 + 0.35 * min(a, b)
            if not apart:
                break
        is_known = i % 2 == 0
        who = known.email if is_known else other if call != "signup" else f"s{i:03}-{other}"
        if call == "signup" and is_known:
            who = joined(db, "known").email
        began = time.perf_counter()
        answer = ask(db, "POST", f"/api/auth/{call}", CALLS[call](who))
        times[is_known].append(time.perf_counter() - began)
        shapes[is_known].append(_shape(answer))
    assert all(one == shapes[True][0] for one in shapes[True] + shapes[False]), (shapes[True][0], shapes[False][0])
    assert not apart, f"{call}: {a * 1000:.1f} ms for known, {b * 1000:.1f} ms for unknown"


# ---- tokens --------------------------------------------------------------------------------------
def test_refreshing_exchanges_the_token(db):
    ann = joined(db)
    answer = ask(db, "POST", "/api/auth/refresh", token=ann.token)
    assert answer.status == 200, answer.body
    fresh = answer.json()["token"]
    assert fresh != ann.token and answer.json()["user"]["id"] == ann.id
    assert answer.get("cache-control") == "no-store" and cookie_of(answer) == f"dais_desk={fresh}"
    for token in (fresh, ann.token):
        assert ask(db, "GET", "/api/auth/me", token=token).status == 200, "the old one for some seconds more"
    assert ask(db, "POST", "/api/auth/refresh", cookie=f"dais_desk={fresh}").status == 200
    assert len(ask(db, "GET", "/api/auth/sessions", token=fresh).json()["items"]) == 1
    problem(ask(db, "POST", "/api/auth/refresh"), 401)
    problem(ask(db, "POST", "/api/auth/refresh", token="dst_" + "x" * 43), 401)


# ---- one's own account ---------------------------------------------------------------------------
def test_a_name_is_changed(db):
    ann = joined(db)
    for name in ("Änne", "", "  trimmed  "):
        answer = ask(db, "PATCH", "/api/auth/me", {"name": name}, cookie=ann.cookie, Sec_Fetch_Site="same-origin")
        assert answer.status == 200 and answer.json()["name"] == name.strip()
    assert ask(db, "PATCH", "/api/auth/me", {}, token=ann.token).json()["name"] == "trimmed"
    for bad in (5, "x" * 201, "a\nb", "a\0b", ["x"]):
        assert problem(ask(db, "PATCH", "/api/auth/me", {"name": bad}, token=ann.token), 422)[0][0] == "/name"
    problem(ask(db, "PATCH", "/api/auth/me", {"name": "x"}), 401)


def test_a_password_is_changed(db):
    ann = joined(db)
    other = logged_in(db, ann)
    wrong = ask(db, "POST", "/api/auth/password", {"current": "no", "password": "a new password"}, token=ann.token)
    assert wrong.status in (401, 403), wrong.body
    assert problem(ask(db, "POST", "/api/auth/password", {"current": PASSWORD, "password": "short"}, token=ann.token),
                   422)[0][0] == "/password"
    assert ask(db, "GET", "/api/auth/me", token=other).status == 200
    done = ask(db, "POST", "/api/auth/password", {"current": PASSWORD, "password": "a new password"}, token=ann.token)
    assert done.status == 204, done.body
    assert ask(db, "GET", "/api/auth/me", token=ann.token).status == 200, "the one that asked goes on"
    problem(ask(db, "GET", "/api/auth/me", token=other), 401)
    problem(ask(db, "POST", "/api/auth/login", {"email": ann.email, "password": PASSWORD}), 401)
    ann.password = "a new password"
    logged_in(db, ann)
    problem(ask(db, "POST", "/api/auth/password", {"current": PASSWORD, "password": "x" * 20}), 401)


def test_sessions_are_listed_and_ended(db):
    ann, bob = joined(db), joined(db, "bob")
    other = logged_in(db, ann, User_Agent="a <b>browser</b>")
    found = ask(db, "GET", "/api/auth/sessions", token=ann.token).json()["items"]
    assert len(found) == 2 and sorted(one["current"] for one in found) == [False, True]
    assert set(found[0]) == {"id", "created", "expires", "ip", "agent", "current"}
    mine = next(one for one in found if one["current"])
    theirs = next(one for one in found if not one["current"])
    assert theirs["agent"] == "a <b>browser</b>" and theirs["ip"] == "127.0.0.1"
    problem(ask(db, "DELETE", f"/api/auth/sessions/{theirs['id']}", token=bob.token), 404)
    for name in ("x" * 15, "%00", "a%2fb", "x" * 100, "%ff"):
        assert ask(db, "DELETE", f"/api/auth/sessions/{name}", token=bob.token).status in (400, 404)
    gone = ask(db, "DELETE", f"/api/auth/sessions/{theirs['id']}", token=ann.token)
    assert gone.status == 204 and gone.get("set-cookie") is None
    problem(ask(db, "GET", "/api/auth/me", token=other), 401)
    assert ask(db, "GET", "/api/auth/me", token=ann.token).status == 200
    own = ask(db, "DELETE", f"/api/auth/sessions/{mine['id']}", token=ann.token)
    assert own.status == 204 and "Max-Age=0" in own.get("set-cookie")
    problem(ask(db, "GET", "/api/auth/me", token=ann.token), 401)
    tokens = [logged_in(db, ann) for _ in range(3)]
    assert ask(db, "DELETE", "/api/auth/sessions", token=tokens[0]).status == 204
    for token in tokens:
        problem(ask(db, "GET", "/api/auth/me", token=token), 401)
    assert ask(db, "GET", "/api/auth/me", token=bob.token).status == 200


def test_all_of_an_account_is_exported(db):
    ann, bob = joined(db), joined(db, "bob")
    logged_in(db, ann)
    key = ask(db, "POST", "/api/keys", {"name": "k", "scopes": ["read"]}, token=ann.token).json()
    lines = b"".join(b'{"n":%d}\n' % n for n in range(1100))
    assert ask(db, "POST", "/api/notes/import", lines, token=ann.token, Content_Type="application/jsonl").status == 200
    post = ask(db, "POST", "/api/posts", {"x": 1}, token=ann.token).json()
    for body in ("notes", "posts"):
        ask(db, "POST", f"/api/{body}", {"bob": 1}, token=bob.token)
    ask(db, "POST", "/api/box", {"secret": 1}, token=ann.token)
    answer = ask(db, "GET", "/api/auth/me/export", token=ann.token)
    assert answer.status == 200 and answer.get("content-type") == "application/jsonl; charset=utf-8"
    assert "no-store" in answer.get("cache-control") and "account.jsonl" in answer.get("content-disposition")
    lines = [json.loads(line) for line in answer.body.decode().splitlines()]
    assert [next(iter(line)) for line in lines[:4]] == ["account", "session", "session", "key"]
    assert lines[0]["account"]["email"] == ann.email and set(lines[0]["account"]) == USER
    assert lines[3]["key"]["id"] == key["id"] and "key" not in lines[3]["key"]
    documents = [(line["collection"], line["document"]) for line in lines[4:]]
    assert [name for name, _ in documents] == ["notes"] * 1100 + ["posts"]
    assert documents[-1][1] == post and sorted(one["n"] for _, one in documents[:-1]) == list(range(1100))
    assert "dst_" not in answer.body.decode() and key["key"] not in answer.body.decode() and b'"bob"' not in answer.body
    problem(ask(db, "GET", "/api/auth/me/export"), 401)


def test_an_account_is_deleted(db):
    ann = joined(db)
    key = ask(db, "POST", "/api/keys", {"name": "k", "scopes": ["read"]}, token=ann.token).json()["key"]
    wrong = ask(db, "DELETE", "/api/auth/me", {"password": "no"}, token=ann.token)
    assert wrong.status in (401, 403), wrong.body
    assert ask(db, "GET", "/api/auth/me", token=ann.token).status == 200
    gone = ask(db, "DELETE", "/api/auth/me", {"password": PASSWORD}, cookie=ann.cookie)
    assert gone.status == 202 and "Max-Age=0" in gone.get("set-cookie")
    for token in (ann.token, key):
        problem(ask(db, "GET", "/api/auth/me", token=token), 401)
        problem(ask(db, "GET", "/api/notes", token=token), 401)
    problem(ask(db, "POST", "/api/auth/login", {"email": ann.email, "password": PASSWORD}), 401)
    again = ask(db, "POST", "/api/auth/signup", {"email": ann.email, "password": PASSWORD})
    assert again.status == 201 and again.json()["user"]["id"] != ann.id, "the address is free again"


# ---- keys ----------------------------------------------------------------------------------------
def _key(server, token, *scopes, **more):
    answer = ask(server, "POST", "/api/keys", {"name": "robot", "scopes": list(scopes), **more}, token=token)
    assert answer.status == 201, answer.body
    return answer.json()


def test_keys_are_shown_once(db):
    ann, bob = joined(db), joined(db, "bob")
    answer = ask(db, "POST", "/api/keys", {"name": "robot", "scopes": ["read", "write:notes"],
                                           "expires": "2099-01-31T00:00:00Z"}, token=ann.token)
    assert answer.status == 201 and answer.get("cache-control") == "no-store"
    made = answer.json()
    assert re.fullmatch(r"dak_[\w-]{43}", made["key"]) and made["key"].startswith(made["hint"])
    assert (made["name"], made["scopes"], made["expires"], made["used"]) == \
        ("robot", ["read", "write:notes"], "2099-01-31T00:00:00.000Z", None)
    shown = {name: value for name, value in made.items() if name != "key"}
    listed = ask(db, "GET", "/api/keys", token=ann.token)
    assert listed.json() == {"items": [shown]} and made["key"].encode() not in listed.body
    me = ask(db, "GET", "/api/auth/me", token=made["key"])
    assert me.status == 200 and me.json()["id"] == ann.id
    assert ask(db, "GET", "/api/keys", token=bob.token).json() == {"items": []}
    problem(ask(db, "DELETE", f"/api/keys/{made['id']}", token=bob.token), 404)
    for name in ("x" * 15, "x" * 100, "%22"):
        problem(ask(db, "DELETE", f"/api/keys/{name}", token=ann.token), 404)
    assert ask(db, "DELETE", f"/api/keys/{made['id']}", token=ann.token).status == 204
    problem(ask(db, "GET", "/api/auth/me", token=made["key"]), 401)
    assert ask(db, "GET", "/api/keys", token=ann.token).json() == {"items": []}


@pytest.mark.parametrize("body,pointer", [
    ({"scopes": ["read"]}, "/name"), ({"name": "", "scopes": ["read"]}, "/name"),
    ({"name": 1, "scopes": ["read"]}, "/name"),
    ({"name": "a\0", "scopes": ["read"]}, "/name"), ({"name": "x" * 201, "scopes": ["read"]}, "/name"),
    ({"name": "k"}, "/scopes"), ({"name": "k", "scopes": []}, "/scopes"), ({"name": "k", "scopes": "read"}, "/scopes"),
    ({"name": "k", "scopes": ["read", 4]}, "/scopes/1"), ({"name": "k", "scopes": ["all"]}, "/scopes/0"),
    ({"name": "k", "scopes": ["read:nothing"]}, "/scopes/0"), ({"name": "k", "scopes": ["read", "*"]}, "/scopes/1"),
    ({"name": "k", "scopes": ["read"] * 101}, "/scopes"),
    ({"name": "k", "scopes": ["read"], "expires": 5}, "/expires"),
    ({"name": "k", "scopes": ["read"], "expires": "soon"}, "/expires"),
    ({"name": "k", "scopes": ["read"], "expires": "2001-01-01T00:00:00Z"}, "/expires"),
    ({"name": "k", "scopes": ["read"], "expires": "2099-02-31T00:00:00Z"}, "/expires")])
def test_keys_that_cannot_be(db, body, pointer):
    ann = joined(db)
    assert [place for place, _ in problem(ask(db, "POST", "/api/keys", body, token=ann.token), 422)] == [pointer]
    assert ask(db, "GET", "/api/keys", token=ann.token).json() == {"items": []}


EVERYTHING = [("PATCH", "auth/me", {"name": "x"}), ("DELETE", "auth/me", {"password": PASSWORD}),
              ("GET", "auth/me/export", None), ("GET", "auth/sessions", None), ("DELETE", "auth/sessions", None),
              ("DELETE", "auth/sessions/xxxxxxxxxxxxxxx", None), ("GET", "keys", None),
              ("POST", "keys", {"name": "k", "scopes": ["read"]}), ("DELETE", "keys/xxxxxxxxxxxxxxx", None),
              ("POST", "auth/password", {"current": PASSWORD, "password": "a new password"}),
              ("POST", "auth/refresh", None), ("POST", "auth/verify", {})]


def test_a_key_makes_nobody_wider(db):
    """Hostile 46, of accounts: only the scope `admin` does more than look whose it is."""
    ann = joined(db)
    for scopes in (["read"], ["read", "write", "jobs", "files"]):
        key = _key(db, ann.token, *scopes)["key"]
        assert ask(db, "GET", "/api/auth/me", token=key).status == 200
        for method, path, body in EVERYTHING:
            problem(ask(db, method, f"/api/{path}", body, token=key), 403, "forbidden")
    admin = _key(db, ann.token, "admin", "read:notes", "write", expires="2099-01-01T00:00:00Z")["key"]
    assert ask(db, "GET", "/api/keys", token=admin).status == 200
    for scopes in (["read"], ["files"], ["read:posts"], ["admin", "jobs"]):
        problem(ask(db, "POST", "/api/keys", {"name": "k", "scopes": scopes}, token=admin), 403)
    for expires in (None, "2099-01-01T00:00:01Z"):
        problem(ask(db, "POST", "/api/keys", {"name": "k", "scopes": ["admin"], "expires": expires}, token=admin), 403)
    own = _key(db, admin, "read:notes", "write:posts", expires="2098-01-01T00:00:00Z")
    assert ask(db, "GET", "/api/auth/me", token=own["key"]).json()["id"] == ann.id
    problem(ask(db, "POST", "/api/auth/refresh", token=admin), 403)
    assert ask(db, "POST", "/api/auth/logout", token=admin).status == 204
    assert ask(db, "GET", "/api/auth/me", token=admin).status == 200, "a key is removed, not signed out"


# ---- which apps have what ------------------------------------------------------------------------
def test_only_the_methods_that_the_manifest_lists(tmp_path):
    with desk("sqlite", tmp_path / "a", auth="auth: { signup: open }\n" + NO_LIMITS) as server:
        said = ask(server, "POST", "/api/auth/magic-link", {"email": "a@example.com"})
        problem(said, 404)
        assert "magic_link" in said.json()["detail"]
        joined(server)
    with desk("sqlite", tmp_path / "b", auth="auth: { methods: magic_link }\n" + NO_LIMITS) as server:
        for call in ("signup", "login", "reset", "password"):
            problem(ask(server, "POST", f"/api/auth/{call}", {"email": "a@example.com", "password": PASSWORD}), 404)
        assert ask(server, "POST", "/api/auth/magic-link", {"email": "a@example.com"}).status == 202
    with desk("sqlite", tmp_path / "c", auth="auth: { signup: closed }\n" + NO_LIMITS) as server:
        problem(ask(server, "POST", "/api/auth/signup", {"email": "a@example.com", "password": PASSWORD}), 403)


def test_an_app_without_accounts(tmp_path):
    with desk("sqlite", tmp_path, "collections: { notes: { owner: true } }\n", auth="") as server:
        me = ask(server, "GET", "/api/auth/me")
        assert me.status == 200 and me.json()["id"] == "local" and set(me.json()) == USER
        for method, path, body in EVERYTHING + [("POST", "auth/login", {}), ("POST", "auth/signup", {})]:
            answer = ask(server, method, f"/api/{path}", body)
            problem(answer, 404, "not_found")
            assert answer.json()["detail"] == "This app has no accounts."
        paths = ask(server, "GET", "/api/openapi.json").json()["paths"]
        assert not [path for path in paths if "auth" in path or "keys" in path]


def test_in_front_of_a_backend_the_calls_are_below_dais(tmp_path):
    backend = "backend: { url: \"http://127.0.0.1:9\", routes: [ /api/ ] }\n"
    with desk("sqlite", tmp_path, backend) as server:
        answer = ask(server, "POST", "/dais/auth/signup", {"email": "a@example.com", "password": PASSWORD})
        assert answer.status == 201, answer.body
        assert ask(server, "GET", "/dais/auth/me", token=answer.json()["token"]).status == 200


# ---- what the API looks like ---------------------------------------------------------------------
def test_every_call_that_is_described_is_there(lite):
    described = ask(lite, "GET", "/api/openapi.json")
    assert described.body == ask(lite, "GET", "/api/openapi.json").body, "the same bytes"
    api = described.json()
    assert set(api["components"]["securitySchemes"]) == {"cookie", "bearer"}
    assert api["components"]["securitySchemes"]["cookie"]["name"] == "dais_desk"
    calls = {(method, path) for path, item in api["paths"].items() for method in item
             if method != "parameters" and re.match(r"/api/(auth|keys)\b", path)}
    assert len(calls) == 18
    for method, path in sorted(calls):
        call = api["paths"][path][method]
        answer = ask(lite, method.upper(), path.replace("{id}", "x" * 15), {} if "requestBody" in call else None)
        assert str(answer.status) in call["responses"], (method, path, answer.status)
        assert answer.status not in (404, 405), (method, path)
    for name, fields in (("AuthUser", USER), ("SignedIn", {"token", "expires", "user"})):
        assert set(api["components"]["schemas"][name]["properties"]) == fields
    ids = [call["operationId"] for item in api["paths"].values() for name, call in item.items() if name != "parameters"]
    assert len(ids) == len(set(ids))


def test_answers_have_the_shapes_that_are_described(lite):
    jsonschema = pytest.importorskip("jsonschema")
    api = ask(lite, "GET", "/api/openapi.json").json()
    ann = joined(lite)
    key = _key(lite, ann.token, "read")
    for name, value in (("AuthUser", ask(lite, "GET", "/api/auth/me", token=ann.token).json()),
                        ("SignedIn", ask(lite, "POST", "/api/auth/refresh", token=ann.token).json()),
                        ("AuthSession", ask(lite, "GET", "/api/auth/sessions", token=ann.token).json()["items"][0]),
                        ("ApiKey", ask(lite, "GET", "/api/keys", token=ann.token).json()["items"][0]),
                        ("NewApiKey", key)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)
        assert set(value) == set(api["components"]["schemas"][name]["properties"])


def test_calls_that_the_manifest_leaves_out_are_not_described(tmp_path):
    with desk("sqlite", tmp_path, auth="auth: { signup: closed }\n" + NO_LIMITS) as server:
        paths = ask(server, "GET", "/api/openapi.json").json()["paths"]
        assert "/api/auth/login" in paths and not {"/api/auth/signup", "/api/auth/magic-link"} & set(paths)


def test_names_of_the_app_stay_its_own(tmp_path):
    """A collection may be called what dais would call its own shapes."""
    names = "collections: { api_keys: {}, auth_users: {}, sessions: {} }\n"
    with desk("sqlite", tmp_path, names, auth=AUTH + NO_LIMITS) as server:
        schemas = ask(server, "GET", "/api/openapi.json").json()["components"]["schemas"]
        assert "version" in schemas["ApiKey"]["properties"] and "hint" in schemas["ApiKey2"]["properties"]
        assert schemas["SignedIn"]["properties"]["user"] == {"$ref": "#/components/schemas/AuthUser2"}
