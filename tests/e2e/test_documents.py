# Changing documents: create, put, patch, delete, restore, on both databases and by everybody who may try.
import json
import threading

import pytest

from documents import DATABASES, call, made, problem, store

NOTE = json.dumps({"type": "object", "required": ["title"], "additionalProperties": False, "properties": {
    "title": {"type": "string", "maxLength": 40}, "text": {"type": "string"}, "tags": {"type": "array"},
    "secret": {"type": "string"}, "in": {"type": "object"}, "list": {"type": "array"}, "status": {"type": "string"}}})
MANIFEST = """
auth: { signup: open }
collections:
  notes:
    schema: note.json
    owner: true
    unique: [ [owner, title] ]
    hidden: [ secret, in.secret ]
    checks: [ "unique_keys(list, 'key')" ]
  plain: { rules: { read: public, create: public, write: public } }
  shared: { rules: { read: public, create: signed_in, write: "status != 'closed'", delete: owner } }
  drop: { rules: { create: public, write: public, read: "owner = @user.id" } }
  log: { append_only: true, rules: { read: public, create: public, write: public } }
  final: { trash: 0, rules: { read: public, create: public, write: public } }
  names: { unique: [ name, [a.b, c] ], rules: { read: public, create: public, write: public } }
  locked: { }
  asked: { rules: { read: public, create: "@request.body.word = 'please'", write: "@request.body.word = 'please'" } }
"""
MERGE, PATCH = "application/merge-patch+json", "application/json-patch+json"
OURS = ("id", "version", "owner", "created", "updated")


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with store(request.param, tmp_path_factory.mktemp("documents"), MANIFEST, {"note.json": NOTE}) as server:
        yield server


@pytest.fixture(name="title")
def fixture_title(request):
    return f"{abs(hash(request.node.name))} {request.node.name}"[:39]


def own(document):
    return {key: value for key, value in document.items() if key not in OURS}


# ---- create ----------------------------------------------------------------------------------------
def test_created_with_a_place_and_a_tag(db, title):
    answer = call(db, "POST", "/api/notes", {"title": title})
    assert answer.status == 201 and answer.get("etag") == '"v1"'
    document = answer.json()
    assert list(document)[:5] == list(OURS) and document["owner"] == "ann" and document["version"] == 1
    assert answer.get("location") == f"/api/notes/{document['id']}"
    assert call(db, "GET", answer.get("location")).json() == document


def test_an_own_id_and_what_is_none(db):
    own_id = "my-own_id-0123456"
    assert made(db, "/api/plain", {"id": own_id, "a": 1})["id"] == own_id
    assert problem(call(db, "POST", "/api/plain", {"id": own_id}), 409, "exists") == [("/id", "unique")]
    for bad in ("short", "x" * 65, "with space 012345", "../../../etc/passwd", "", 123456789012345, ["x"]):
        assert problem(call(db, "POST", "/api/plain", {"id": bad}), 422) == [("/id", "id")], bad
    assert call(db, "POST", "/api/plain", {"id": None}).status == 201
    assert problem(call(db, "PUT", "/api/plain/short", {}), 422) == [("/id", "id")]


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object(db, body):
    assert problem(call(db, "POST", "/api/plain", body), 422) == [("", "type")]
    assert problem(call(db, "PUT", "/api/plain/some-id-0123456789", body), 422) == [("", "type")]


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1,"a":2}', b'{"a":\xff}', b"\xef\xbb\xbf{}", b'{"a":"\\ud800"}',
                                  b"[" * 100000, b'{"a":01}'])
def test_what_is_no_json(db, body):
    assert call(db, "POST", "/api/plain", body).status == 400


def test_names_that_look_like_something(db):
    body = {"__proto__": {"admin": True}, "constructor": 1, "a'b": 1, 'a"b': 2, "a.b": 3, "x; DROP TABLE c_plain": 4,
            "": 5, "$where": 6, "\u0000": 7, "%s%n": 8, "deleted": "yes", "body": {}, "k1": None, "\u202e": 9}
    document = made(db, "/api/plain", body)
    assert own(document) == body
    assert own(call(db, "GET", f"/api/plain/{document['id']}").json()) == body


def test_ours_in_a_body_are_ignored(db, title):
    document = made(db, "/api/notes", {"title": title, "version": 9, "owner": "bob", "created": 1, "updated": {}})
    assert document["version"] == 1 and document["owner"] == "ann" and document["created"].endswith("Z")
    put = call(db, "PUT", f"/api/notes/{document['id']}", {**document, "owner": "bob", "id": "x", "text": "t"})
    assert put.status == 200 and put.json()["owner"] == "ann" and put.json()["id"] == document["id"]
    assert put.json()["created"] == document["created"] and put.json()["version"] == 2


def test_numbers_come_back_as_they_were_sent(db):
    text = b'{"a":1e2,"b":9007199254740993,"c":1.0,"d":-0,"e":1e400}'
    document = call(db, "POST", "/api/plain", text)
    assert document.status == 201 and text[1:-1] in document.body


# ---- put -------------------------------------------------------------------------------------------
def test_put_replaces(db, title):
    document = made(db, "/api/notes", {"title": title, "text": "a", "tags": [1]})
    answer = call(db, "PUT", f"/api/notes/{document['id']}", {"title": title, "text": "b"})
    assert answer.status == 200 and answer.get("etag") == '"v2"' and own(answer.json()) == {"title": title, "text": "b"}
    assert answer.json()["updated"] >= document["updated"]


def test_put_creates(db, title):
    answer = call(db, "PUT", "/api/notes/put-creates-01234", {"title": title})
    assert answer.status == 201 and answer.get("location").endswith("/put-creates-01234")
    assert call(db, "PUT", "/api/notes/put-creates-01234", {"title": title}, If_None_Match="*").status == 412
    assert call(db, "PUT", "/api/notes/put-creates-01235", {"title": title + "2"}, If_Match="*").status == 412


def test_a_get_can_be_put_back_and_changes_nothing(db, title):
    document = made(db, "/api/notes", {"title": title, "secret": "s", "in": {"a": 1, "secret": 2}})
    assert "secret" not in json.dumps(document)
    again = call(db, "PUT", f"/api/notes/{document['id']}", document)
    assert again.status == 200 and again.get("etag") == '"v1"' and again.json() == document


def test_put_keeps_what_is_hidden(db, title):
    document = made(db, "/api/notes", {"title": title, "secret": "s", "in": {"a": 1, "secret": 2}})
    path = f"/api/notes/{document['id']}"
    assert call(db, "PUT", path, {"title": title, "in": {"a": 2}}).status == 200
    # a patch that empties them says whether they were there: the version moves only if so
    assert call(db, "PATCH", path, {"secret": None}).json()["version"] == 3
    assert call(db, "PATCH", path, {"in": {"secret": None}}).json()["version"] == 4
    assert call(db, "PATCH", path, {"in": {"secret": None}}).json()["version"] == 4


def test_a_schema_tells_all_that_is_wrong(db):
    found = problem(call(db, "POST", "/api/notes", {"text": 1, "more": 2, "list": [{"key": 1}, {"key": 1}]}), 422)
    assert {("/title", "required"), ("/text", "type")} <= set(found)
    assert "unique_keys" in [code for _, code in found], found


# ---- patch -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [MERGE, "application/json", "application/json; charset=utf-8"])
def test_merge_patch(db, title, kind):
    document = made(db, "/api/notes", {"title": title, "text": "a", "in": {"x": 1, "y": 2}})
    answer = call(db, "PATCH", f"/api/notes/{document['id']}", {"text": None, "in": {"x": None, "z": 3}, "version": 77},
                  content_type=kind)
    assert answer.status == 200 and own(answer.json()) == {"title": title, "in": {"y": 2, "z": 3}}
    assert answer.json()["version"] == 2


def test_json_patch(db, title):
    document = made(db, "/api/notes", {"title": title, "tags": [1, 2]})
    path = f"/api/notes/{document['id']}"
    answer = call(db, "PATCH", path, [{"op": "test", "path": "/version", "value": 1},
                                      {"op": "add", "path": "/tags/-", "value": 3},
                                      {"op": "copy", "from": "/title", "path": "/text"}], content_type=PATCH)
    assert answer.status == 200 and own(answer.json()) == {"title": title, "tags": [1, 2, 3], "text": title}
    for bad, status in [([{"op": "replace", "path": "/id", "value": "x"}], 422),
                        ([{"op": "remove", "path": "/version"}], 422),
                        ([{"op": "move", "from": "/owner", "path": "/text"}], 422),
                        ([{"op": "add", "path": "/owner", "value": "bob"}], 422),
                        ([{"op": "replace", "path": "", "value": []}], 422),
                        ([{"op": "test", "path": "/title", "value": "no"}], 422),
                        ([{"op": "nothing", "path": "/title"}], 400), ({"op": "add"}, 400)]:
        assert call(db, "PATCH", path, bad, content_type=PATCH).status == status, bad
    assert call(db, "GET", path).json()["version"] == 2


def test_a_json_patch_does_not_tell_what_is_hidden(db, title):
    document = made(db, "/api/notes", {"title": title, "secret": "s", "in": {"secret": "t", "a": 1}})
    path = f"/api/notes/{document['id']}"
    for ops in ([{"op": "test", "path": "/secret", "value": "s"}], [{"op": "copy", "from": "/secret", "path": "/text"}],
                [{"op": "move", "from": "/in/secret", "path": "/text"}]):
        assert call(db, "PATCH", path, ops, content_type=PATCH).status == 422, ops
    answer = call(db, "PATCH", path, [{"op": "copy", "from": "/in", "path": "/list"},
                                      {"op": "replace", "path": "/list", "value": []}], content_type=PATCH)
    assert answer.status == 200 and "secret" not in answer.body.decode()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x", ";"])
def test_another_type_is_told_which_are_right(db, title, kind):
    document = made(db, "/api/notes", {"title": title})
    answer = call(db, "PATCH", f"/api/notes/{document['id']}", {"text": "x"}, content_type=kind)
    assert answer.status == 415 and MERGE in answer.get("accept-patch") and PATCH in answer.get("accept-patch")
    assert call(db, "PUT", f"/api/notes/{document['id']}", {"title": title}, content_type=kind).status == 415
    assert call(db, "POST", "/api/notes", {"title": title}, content_type=MERGE).status == 415


# ---- If-Match --------------------------------------------------------------------------------------
def test_if_match(db):
    document = made(db, "/api/plain", {"n": 0})
    path = f"/api/plain/{document['id']}"
    assert call(db, "PATCH", path, {"n": 1}, If_Match='"v1"').status == 200
    answer = call(db, "PATCH", path, {"n": 2}, If_Match='"v1"')
    assert problem(answer, 412, "stale") == [("/version", "stale")] and "2" in answer.json()["errors"][0]["message"]
    assert call(db, "PATCH", path, {"n": 2}, If_Match='"x", "v2" , "v9"').status == 200
    assert call(db, "PATCH", path, {"n": 3}, If_Match="*").status == 200
    for tag in ('W/"v4"', '"v04x"', '"4"', '"v99999999999999999999"'):
        assert call(db, "PATCH", path, {"n": 9}, If_Match=tag).status == 412, tag
    for bad in ("v4", '"v4', '"v4" "v5"', ""):
        assert call(db, "PATCH", path, {"n": 9}, If_Match=bad).status == 400, bad
    assert call(db, "DELETE", path, If_Match='"v1"').status == 412
    assert call(db, "DELETE", path, If_Match='"v4"').status == 204


def test_of_two_writers_one_wins(db):
    document = made(db, "/api/plain", {"n": 0})
    path, found, gate = f"/api/plain/{document['id']}", [], threading.Barrier(8)

    def write(n):
        gate.wait()
        found.append(call(db, "PATCH", path, {"n": n}, If_Match='"v1"').status)
    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] + [412] * 7 and call(db, "GET", path).json()["version"] == 2


def test_writers_without_it_all_count(db):
    document = made(db, "/api/plain", {})
    path = f"/api/plain/{document['id']}"
    threads = [threading.Thread(target=lambda n=n: [call(db, "PATCH", path, {f"f{n}-{i}": 1}) for i in range(10)])
               for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = call(db, "GET", path).json()
    assert after["version"] == 41 and len(own(after)) == 40


# ---- who may ---------------------------------------------------------------------------------------
def test_what_is_not_yours_is_not_there(db, title):
    document = made(db, "/api/notes", {"title": title})
    path, absent = f"/api/notes/{document['id']}", "/api/notes/absent-0123456789"
    for method, body in (("GET", None), ("PATCH", {"text": "x"}), ("DELETE", None)):
        theirs, none = call(db, method, path, body, user="bob"), call(db, method, absent, body, user="bob")
        assert theirs.status == none.status == 404
        assert theirs.json()["detail"].replace(document["id"], "ID") == none.json()["detail"].replace(
            "absent-0123456789", "ID")
    assert call(db, "PUT", path, {"title": title}, user="bob").status == 404
    assert call(db, "PATCH", path, {"text": "x"}, user="bob", If_Match='"v7"').status == 404
    assert call(db, "DELETE", path + "?purge=true", user="bob").status == 404
    assert call(db, "POST", path + "/restore", user="bob").status == 404
    for sub in ("/versions", "/versions/1", "/versions/1/diff"):
        assert call(db, "GET", path + sub, user="bob").status == 404
    for method, body in (("PATCH", {"text": "x"}), ("DELETE", None), ("PUT", {"title": "x"})):
        assert call(db, method, path, body, user=None).status == 401
    assert call(db, "GET", path).json() == document


def test_no_rule_is_a_no(db):
    for method, path in (("POST", "/api/locked"), ("PUT", "/api/locked/some-id-012345678"),
                         ("PATCH", "/api/locked/some-id-012345678"), ("DELETE", "/api/locked/some-id-012345678"),
                         ("GET", "/api/locked/some-id-012345678"),
                         ("POST", "/api/locked/some-id-012345678/restore")):
        assert call(db, method, path, {} if method != "GET" else None).status == 403, method
        assert call(db, method, path, {} if method != "GET" else None, user=None).status == 401, method


def test_a_rule_holds_before_and_after(db):
    document = made(db, "/api/shared", {"status": "open"})
    path = f"/api/shared/{document['id']}"
    assert call(db, "PATCH", path, {"n": 1}, user="bob").status == 200
    for body in ({"status": "closed"}, {"status": None}):  # a comparison with nothing is false
        assert call(db, "PATCH", path, body).status == 403
    closed = made(db, "/api/shared", {"status": "closed"})
    assert call(db, "PATCH", f"/api/shared/{closed['id']}", {"status": "open"}).status == 404
    assert call(db, "PUT", f"/api/shared/{closed['id']}", {"status": "open"}).status == 404
    assert call(db, "DELETE", path, user="bob").status == 404 and call(db, "DELETE", path).status == 204


def test_a_rule_asks_for_the_body(db):
    assert call(db, "POST", "/api/asked", {"word": "now"}).status == 403
    document = made(db, "/api/asked", {"word": "please"})
    path = f"/api/asked/{document['id']}"
    assert call(db, "PATCH", path, {"word": "now"}).status == 403
    assert call(db, "PATCH", path, {"word": "please", "n": 1}).status == 200


def test_who_may_write_and_not_read_is_shown_nothing(db):
    answer = call(db, "POST", "/api/drop", {"a": 1}, user=None)
    assert answer.status == 201 and answer.body == b"" and answer.get("etag") == '"v1"'
    path = answer.get("location")
    answer = call(db, "PATCH", path, {"a": 2}, user="bob")
    assert answer.status == 204 and answer.get("etag") == '"v2"'
    assert call(db, "GET", path, user="bob").status == 404


def test_append_only(db):
    document = made(db, "/api/log", {"a": 1})
    path = f"/api/log/{document['id']}"
    for method, sub in (("PUT", ""), ("PATCH", ""), ("POST", "/versions/1/restore")):
        answer = call(db, method, path + sub, {"a": 2})
        assert answer.status == 405 and "DELETE" in answer.get("allow"), method
    assert call(db, "DELETE", path).status == 204


def test_the_largest_that_is_taken_can_be_read(db):
    body = b'{"a":[' + b",".join([b"0"] * 999_997) + b"]}"  # a million keys and values, as many as a body may have
    path = f"/api/plain/{call(db, 'POST', '/api/plain', body, deadline=120).json()['id']}"
    for query in ("?filter=b%20is%20null&fields=id", "/aggregate?fn=count,max(b)"):
        assert call(db, "GET", "/api/plain" + query, deadline=120).status == 200, query
    assert call(db, "GET", path + "?fields=id", deadline=120).status == 200
    assert b'"' in call(db, "GET", "/api/plain/export?format=csv&filter=a%20is%20not%20null", deadline=120).body
    assert call(db, "DELETE", path + "?purge=true", deadline=120).status == 204


# ---- trash -----------------------------------------------------------------------------------------
def test_to_the_trash_and_back(db, title):
    document = made(db, "/api/notes", {"title": title})
    path = f"/api/notes/{document['id']}"
    answer = call(db, "DELETE", path)
    assert answer.status == 204 and answer.body == b""
    for method, body in (("GET", None), ("PATCH", {"text": "x"}), ("DELETE", None)):
        assert call(db, method, path, body).status == 404, method
    assert "trash" in call(db, "PUT", path, {"title": title}).json()["detail"]
    assert call(db, "PUT", path, {"title": title}).status == 409
    assert call(db, "PUT", path, {"title": title}, user="bob").status == 404
    assert call(db, "POST", "/api/notes", {"title": "x", "id": document["id"]}).status == 409
    back = call(db, "POST", path + "/restore")
    assert back.status == 200 and back.json() == document and back.get("etag") == '"v1"'
    assert call(db, "POST", path + "/restore").json() == document


def test_the_trash_is_not_told_of_to_readers(db):
    path = f"/api/shared/{made(db, '/api/shared', {'status': 'closed'})['id']}"
    assert call(db, "GET", path, user="bob").status == 200
    assert call(db, "PUT", path, {}, user="bob").status == 404
    assert call(db, "DELETE", path).status == 204
    assert call(db, "PUT", path, {}, user="bob").status == 404


def test_back_only_if_its_key_is_free(db, title):
    document = made(db, "/api/notes", {"title": title})
    path = f"/api/notes/{document['id']}"
    assert call(db, "DELETE", path).status == 204
    other = made(db, "/api/notes", {"title": title})
    assert problem(call(db, "POST", path + "/restore"), 409) == [("/title", "unique")]
    assert call(db, "DELETE", f"/api/notes/{other['id']}").status == 204
    assert call(db, "POST", path + "/restore").status == 200


def test_gone_for_good(db, title):
    document = made(db, "/api/notes", {"title": title})
    path = f"/api/notes/{document['id']}"
    assert call(db, "DELETE", path).status == 204
    assert call(db, "DELETE", path + "?purge=yes").status == 400
    assert call(db, "DELETE", path + "?purge=true").status == 204
    assert call(db, "DELETE", path + "?purge=true").status == 404
    assert call(db, "POST", path + "/restore").status == 404
    assert call(db, "PUT", path, {"title": title}).status == 201
    assert call(db, "DELETE", path + "?purge=true").status == 204
    document = made(db, "/api/final", {})
    assert call(db, "DELETE", f"/api/final/{document['id']}").status == 204
    assert call(db, "POST", f"/api/final/{document['id']}/restore").status == 404


# ---- unique ----------------------------------------------------------------------------------------
def test_unique(db):
    made(db, "/api/names", {"name": "Zoë", "a": {"b": 1}, "c": 2})
    assert problem(call(db, "POST", "/api/names", {"name": "Zoë"}), 409, "exists") == [("/name", "unique")]
    both = problem(call(db, "POST", "/api/names", {"a": {"b": 1.0}, "c": 2}), 409)
    assert both == [("/a/b", "unique"), ("/c", "unique")]
    for free in ({"name": None}, {}, {"name": None}, {"name": ["Zoë"]}, {"name": ["Zoë"]}, {"name": {}}, {"name": {}},
                 {"a": {"b": 1}}, {"a": {"b": 1}, "c": None}, {"a": {"b": "1"}, "c": 2}, {"name": True},
                 {"name": "true"}):
        assert call(db, "POST", "/api/names", free).status == 201, free
    other = made(db, "/api/names", {"name": "x" * 600 + "a"})
    made(db, "/api/names", {"name": "x" * 600 + "b"})
    path = f"/api/names/{other['id']}"
    assert problem(call(db, "PATCH", path, {"name": "Zoë"}), 409) == [("/name", "unique")]
    assert problem(call(db, "PUT", path, {"name": "x" * 600 + "b"}), 409) == [("/name", "unique")]
    assert call(db, "PATCH", path, {"n": 1}).status == 200


def test_of_many_with_the_same_key_one_is_created(db):
    found, gate = [], threading.Barrier(8)

    def create():
        gate.wait()
        found.append(call(db, "POST", "/api/names", {"name": "all at once"}).status)
    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201] + [409] * 7


# ---- large and odd ---------------------------------------------------------------------------------
def test_large_documents(db):
    text = "x" * (3 << 20)
    document = made(db, "/api/plain", {"text": text})
    path = f"/api/plain/{document['id']}"
    assert call(db, "PATCH", path, {"n": 1}).status == 200
    assert call(db, "PUT", path, {"text": text, "n": 2}).json()["version"] == 3
    assert call(db, "PATCH", path, {"more": "y" * (6 << 20)}).status == 413
    many = made(db, "/api/plain", {"list": list(range(200000))})
    assert call(db, "PATCH", f"/api/plain/{many['id']}", {"n": 1}).status == 200
    assert call(db, "GET", path).json()["n"] == 2


def test_odd_parameters_and_ids(db):
    document = made(db, "/api/plain", {})
    path = f"/api/plain/{document['id']}"
    assert call(db, "PATCH", path + "?lable=x", {}).status == 400
    assert call(db, "PATCH", path + "?label=a%00b", {}).status == 400
    assert call(db, "PATCH", path + "?label=a%0Ab", {}).status == 400
    assert call(db, "PATCH", path + "?label=" + "%C3%A9" * 201, {}).status == 400
    assert call(db, "PATCH", path + "?label=" + "%C3%A9" * 200, {"n": 1}).status == 200
    for odd in ("x", "%27%20OR%201=1--", "%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80", "a" * 300):
        assert call(db, "GET", f"/api/plain/{odd}").status == 404
        assert call(db, "DELETE", f"/api/plain/{odd}").status == 404
        assert call(db, "PATCH", f"/api/plain/{odd}", {}).status == 404
