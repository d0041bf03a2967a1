# POST /api/batch: several changes of one transaction, all or none; on both databases.
import pytest

from documents import DATABASES, call, made, problem, store

ANYBODY = "rules: { read: public, create: public, write: public }"
MANIFEST = f"""
auth: {{ signup: open }}
collections:
  notes: {{ owner: true, unique: [ title ] }}
  parts: {{ {ANYBODY}, versions: 3, refs: {{ note: notes, more.all: notes }} }}
  shut: {{ rules: {{ read: public }} }}
"""


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with store(request.param, tmp_path_factory.mktemp("batch"), MANIFEST) as server:
        yield server


def batch(db, *requests, **options):
    keys = ("method", "path", "body", "if_match")
    return call(db, "POST", "/api/batch", {"requests": [dict(zip(keys, one)) for one in requests]}, **options)


def test_all_of_it(db):
    old = made(db, "/api/parts", {"n": 1})
    answer = batch(db, ("POST", "/api/notes?label=x", {"title": "one"}),
                   ("POST", "/api/parts", {"note": "$0.id", "more": {"all": ["$0.id"], "$0.id": "$0.idx"}}),
                   ("PATCH", f"/api/parts/{old['id']}", {"note": "$0.id"}, '"v1"'),
                   ("PATCH", "/api/parts/$1.id", [{"op": "add", "path": "/x", "value": 1}]),
                   ("PUT", "/api/parts/put-in-a-batch-01", {"y": 1}),
                   ("GET", "/api/parts/$1.id"), ("DELETE", "/api/parts/$1.id"), ("POST", "/api/parts/$1.id/restore"),
                   ("POST", "/api/parts/$1.id/versions/1/restore"), ("DELETE", "/api/parts/$4.id?purge=true"))
    assert answer.status == 200, answer.body
    found = answer.json()["responses"]
    assert [one["status"] for one in found] == [201, 201, 200, 200, 201, 200, 204, 200, 200, 204]
    assert [one["etag"] for one in found] == [
        '"v1"', '"v1"', '"v2"', '"v2"', '"v1"', '"v2"', None, '"v2"', '"v3"', None]
    note, part = found[0]["body"], found[1]["body"]
    assert part["note"] == note["id"] and part["more"] == {"all": [note["id"]], "$0.id": "$0.idx"}
    assert found[2]["body"]["note"] == note["id"] and found[5]["body"]["x"] == 1 and found[6]["body"] is None
    assert call(db, "GET", f"/api/parts/{part['id']}").json() == found[8]["body"]
    assert call(db, "GET", "/api/parts/put-in-a-batch-01").status == 404


@pytest.mark.parametrize("bad, status, pointer", [
    (("POST", "/api/notes", {"title": "twice"}), 409, "/body/title"),
    (("POST", "/api/parts", {"note": "absent-0123456789"}), 422, "/body/note"),
    (("PATCH", "/api/notes/absent-0123456789", {}), 404, ""),
    (("PATCH", "/api/notes/$0.id", {"a": 1}, '"v9"'), 412, "/body/version"),
    (("GET", "/api/notes/$0.id", None, '"v2"'), 412, "/body/version"),
    (("POST", "/api/shut", {}), 403, ""),
    (("POST", "/api/notes", {"id": "short"}), 422, "/body/id"),
    (("POST", "/api/notes", [1]), 422, "/body"),
    (("POST", "/api/notes"), 422, ""),
    (("POST", "/api/none", {}), 404, ""),
    (("POST", "/api/batch", {"requests": []}), 400, ""),
    (("GET", "/api/notes"), 400, ""),
    (("GET", "/api/notes/$0.id/versions"), 400, ""),
    (("POST", "/other", {}), 400, ""),
    (("POST", "/api/notes?what=1", {}), 400, ""),
    (("DELETE", "/api/notes/$0.id?purge=1"), 400, ""),
    (("PATCH", "/api/notes/$0.id", {}, "v1"), 400, ""),
    (("PATCH", "/api/notes/$0.id", {}, 1), 400, ""),
    (("PATCH", "/api/notes/$1.id", {}), 422, ""),
    (("PATCH", "/api/notes/$0.id", {"x": ["$7.id"]}), 422, ""),
    (("PATCH", "/api/notes/$0.id/../x", {}), 400, ""),
    ((1, 2, 3), 400, ""), ((), 400, ""),
])
def test_none_of_it(db, bad, status, pointer):
    answer = batch(db, ("POST", "/api/notes", {"id": "all-or-nothing-1", "title": "twice"}), bad,
                   ("POST", "/api/notes", {"title": "never"}))
    assert problem(answer, status)[0][0] == "/requests/1" + pointer
    assert call(db, "GET", "/api/notes/all-or-nothing-1").status == 404


def test_how_many(db):
    note = ("POST", "/api/parts", {})
    assert batch(db).status == batch(db, *[note] * 101).status == 422
    assert len(batch(db, *[note] * 100).json()["responses"]) == 100
    for body in ([], {}, {"requests": {}}, {"requests": None}):
        assert problem(call(db, "POST", "/api/batch", body), 422) == [("/requests", "requests")]
    assert problem(call(db, "POST", "/api/batch", {"requests": [1]}), 422)[0][0] == "/requests/0"
    odd = {"method": "POST", "path": "/api/parts", "body": {}, "headers": {}}
    assert problem(call(db, "POST", "/api/batch", {"requests": [odd]}), 422)[0][0] == "/requests/0"
    assert call(db, "GET", "/api/batch").status == 405
    assert call(db, "POST", "/api/batch", b"{", user=None).status == 400


def test_a_key_covers_all_of_it(db):
    first = batch(db, ("POST", "/api/notes", {"title": "once"}), Idempotency_Key="k1")
    again = batch(db, ("POST", "/api/notes", {"title": "once"}), Idempotency_Key="k1")
    assert first.status == again.status == 200 and first.body == again.body
    assert batch(db, ("POST", "/api/notes", {"title": "two"}), Idempotency_Key="k1").status == 422


def test_what_is_not_yours_is_not_there_either(db):
    note = made(db, "/api/notes", {"title": "mine"})
    for one in (("GET", f"/api/notes/{note['id']}"), ("PATCH", f"/api/notes/{note['id']}", {}),
                ("DELETE", f"/api/notes/{note['id']}"), ("PUT", f"/api/notes/{note['id']}", {})):
        assert batch(db, one, user="bob").status == 404
    assert batch(db, ("POST", "/api/parts", {"note": note["id"]}), user="bob").status == 422
    assert batch(db, ("POST", "/api/notes", {"title": "x"}), user=None).status == 401
