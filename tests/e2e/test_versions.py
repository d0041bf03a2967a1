# Earlier versions of documents: kept, listed, read, compared, restored; on both databases.
import json

import pytest

from documents import DATABASES, call, made, problem, store

NOTE = json.dumps({"type": "object", "required": ["title"],
                   "properties": {"title": {"type": "string", "maxLength": 20}, "secret": {}, "key": {}, "public": {}}})
STRICT = NOTE.replace("20", "5")
MANIFEST = """
auth: { signup: open }
collections:
  notes: { owner: true, versions: 5, hidden: [ secret ], schema: SCHEMA, unique: [ key ],
           rules: { read: "owner = @user.id || public = true" } }
  one: { versions: 1, rules: { read: public, create: public, write: public } }
  none: { rules: { read: public, create: public, write: public } }
"""


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with store(request.param, tmp_path_factory.mktemp("versions"), MANIFEST.replace("SCHEMA", "note.json"),
               {"note.json": NOTE}) as server:
        yield server


def note(db, n, **more):
    """One that was written n times: its path."""
    path = f"/api/notes/{made(db, '/api/notes', {'title': 'v1', **more})['id']}"
    for i in range(2, n + 1):
        assert call(db, "PATCH", path, {"title": f"v{i}"}).json()["version"] == i
    return path


def versions(db, path, **options):
    answer = call(db, "GET", path + "/versions", **options)
    assert answer.status == 200, answer
    return [item["version"] for item in answer.json()["items"]]


def test_the_newest_are_kept(db):
    path = note(db, 8)
    assert versions(db, path) == [8, 7, 6, 5, 4]
    for n in range(4, 9):
        answer = call(db, "GET", f"{path}/versions/{n}")
        assert answer.json()["title"] == f"v{n}" and answer.json()["version"] == n and answer.get("etag") == f'"v{n}"'
    for n in (1, 3, 9, 10 ** 18):
        assert call(db, "GET", f"{path}/versions/{n}").status == 404, n
    for odd in ("0", "-1", "x", "1e1", "99999999999999999999"):
        assert call(db, "GET", f"{path}/versions/{odd}").status == 400, odd


def test_page_by_page(db):
    path, after, found = note(db, 7), "", []
    while True:
        page = call(db, "GET", f"{path}/versions?limit=2{after}").json()
        found += [item["version"] for item in page["items"]]
        assert len(page["items"]) <= 2
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == [7, 6, 5, 4, 3]
    for bad in ("limit=0", "limit=1001", "limit=x", "after=x", "after=-1", "after=0", "other=1"):
        assert call(db, "GET", f"{path}/versions?{bad}").status == 400, bad


def test_a_label_drives_no_terminal(db):
    for bad in ("a%0Ab", "a%7Fb", "a%C2%9B2Jb", "%FF"):
        assert call(db, "POST", f"/api/notes?label={bad}", {"title": "a"}).status == 400, bad


def test_who_and_why(db):
    answer = call(db, "POST", "/api/notes?label=first%20%C3%A9", {"title": "a"})
    path = f"/api/notes/{answer.json()['id']}"
    call(db, "PATCH", path + "?label=second", {"title": "b"})
    call(db, "PUT", path, {"title": "c"})
    items = call(db, "GET", path + "/versions").json()["items"]
    assert [(item["version"], item["by"], item["label"]) for item in items] == [
        (3, "ann", None), (2, "ann", "second"), (1, "ann", "first é")]
    assert items[2]["updated"] <= items[1]["updated"] <= items[0]["updated"]


def test_what_changes_nothing_is_no_version(db):
    path = note(db, 2)
    for method, body in (("PATCH", {}), ("PATCH", {"title": "v2"}), ("PUT", {"title": "v2"})):
        assert call(db, method, path, body).get("etag") == '"v2"'
    assert call(db, "POST", path + "/versions/2/restore").get("etag") == '"v2"'
    assert versions(db, path) == [2, 1]


def test_a_version_comes_back_as_a_new_one(db):
    path = note(db, 3, secret="s1")
    answer = call(db, "POST", path + "/versions/1/restore?label=back")
    assert answer.status == 200 and answer.get("etag") == '"v4"' and answer.json()["title"] == "v1"
    assert versions(db, path) == [4, 3, 2, 1]
    assert call(db, "GET", path + "/versions").json()["items"][0]["label"] == "back"
    assert call(db, "POST", path + "/versions/9/restore").status == 404
    assert call(db, "POST", path + "/versions/1/restore", If_Match='"v3"').status == 412
    assert call(db, "POST", path + "/versions/1/restore", user="bob").status == 404


def test_what_was_hidden_is_hidden_and_comes_back(db):
    path = note(db, 1, secret="hush-one")  # no id has a dash
    assert call(db, "PATCH", path, {"secret": "hush-two"}).json()["version"] == 2
    for part in ("/versions", "/versions/1", "/versions/2", "/versions/1/diff", "/versions/1/diff?to=2"):
        answer = call(db, "GET", path + part)
        assert answer.status == 200 and b"hush" not in answer.body, part
    assert call(db, "GET", path + "/versions/1/diff").json() == []
    assert call(db, "POST", path + "/versions/1/restore").json()["version"] == 3  # the secret made it another
    assert call(db, "POST", path + "/versions/1/restore").json()["version"] == 3


def test_the_difference(db):
    path = note(db, 3)
    assert call(db, "GET", path + "/versions/1/diff").json() == [{"op": "replace", "path": "/title", "value": "v3"}]
    back = call(db, "GET", path + "/versions/3/diff?to=2").json()
    assert back == [{"op": "replace", "path": "/title", "value": "v2"}]
    for bad, status in (("9/diff", 404), ("1/diff?to=9", 404), ("1/diff?to=0", 400), ("1/diff?to=x", 400)):
        assert call(db, "GET", f"{path}/versions/{bad}").status == status, bad


def test_todays_read_rule_counts(db):
    path = note(db, 2)
    assert call(db, "GET", path + "/versions/1", user="bob").status == 404
    call(db, "PATCH", path, {"public": True})
    assert call(db, "GET", path + "/versions/1", user="bob").status == 200
    assert versions(db, path, user="bob") == [3, 2, 1]
    call(db, "PATCH", path, {"public": False})
    assert call(db, "GET", path + "/versions/3", user="bob").status == 404


def test_in_the_trash_there_are_none(db):
    path = note(db, 3)
    assert call(db, "DELETE", path).status == 204
    for part in ("/versions", "/versions/1", "/versions/1/diff"):
        assert call(db, "GET", path + part).status == 404
    assert call(db, "POST", path + "/versions/1/restore").status == 404
    assert call(db, "POST", path + "/restore").get("etag") == '"v3"'
    assert versions(db, path) == [3, 2, 1]


def test_what_is_purged_leaves_nothing(db):
    path = note(db, 3)
    assert call(db, "DELETE", path + "?purge=true").status == 204
    assert call(db, "PUT", path, {"title": "new"}).status == 201
    assert versions(db, path) == [1]
    assert call(db, "PATCH", path, {"title": "new 2"}).status == 200
    assert call(db, "GET", path + "/versions/1").json()["title"] == "new"


def test_one_or_none(db):
    for name in ("one", "none"):
        path = f"/api/{name}/{made(db, f'/api/{name}', {'n': 1})['id']}"
        assert call(db, "PATCH", path, {"n": 2}).status == 200
        assert versions(db, path) == [2]
        assert call(db, "GET", path + "/versions/1").status == 404
        assert call(db, "GET", path + "/versions/2").json()["n"] == 2


def test_a_taken_key_holds_a_version_back(db):
    path = note(db, 1, key="held")
    assert call(db, "PATCH", path, {"key": None}).status == 200
    made(db, "/api/notes", {"title": "other", "key": "held"})
    assert problem(call(db, "POST", path + "/versions/1/restore"), 409) == [("/key", "unique")]


def test_where_fewer_are_to_be_kept_fewer_are_there(tmp_path):
    manifest = MANIFEST.replace("SCHEMA", "note.json")
    with store("sqlite", tmp_path, manifest, {"note.json": NOTE}) as db:
        path = note(db, 5)
    with store("sqlite", tmp_path, manifest.replace("versions: 5", "versions: 2"), {"note.json": NOTE}) as db:
        assert versions(db, path) == [5, 4] and call(db, "GET", path + "/versions/3").status == 404
        assert call(db, "PATCH", path, {"title": "v6"}).status == 200 and versions(db, path) == [6, 5]


def test_todays_schema_counts(tmp_path):
    with store("sqlite", tmp_path, MANIFEST.replace("SCHEMA", "note.json"), {"note.json": NOTE}) as db:
        path = f"/api/notes/{made(db, '/api/notes', {'title': 'much too long'})['id']}"
        assert call(db, "PATCH", path, {"title": "short"}).status == 200
    with store("sqlite", tmp_path, MANIFEST.replace("SCHEMA", "note.json"), {"note.json": STRICT}) as db:
        assert call(db, "GET", path + "/versions/1").status == 200
        assert problem(call(db, "POST", path + "/versions/1/restore"), 422) == [("/title", "maxLength")]
