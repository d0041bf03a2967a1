# References between documents: only to what is there, and what happens when that goes; on both databases.
import threading

import pytest

from documents import DATABASES, call, made, problem, store

ANYBODY = "rules: { read: public, create: public, write: public }"
MANIFEST = f"""
auth: {{ signup: open }}
collections:
  sources: {{ owner: true, rules: {{ read: "owner = @user.id || public = true" }} }}
  charts: {{ refs: {{ source: sources, more.sources: sources }}, {ANYBODY} }}
  books:
    versions: 9
    {ANYBODY}
    refs: {{ by: {{ to: authors, on_delete: clear }}, in.lists: {{ to: authors, on_delete: clear }} }}
  needs: {{ schema: needs.json, {ANYBODY}, refs: {{ by: {{ to: authors, on_delete: clear }} }} }}
  authors: {{ {ANYBODY} }}
  nodes: {{ trash: 1d, {ANYBODY}, refs: {{ up: {{ to: nodes, on_delete: cascade }} }} }}
  leaves: {{ {ANYBODY}, refs: {{ node: {{ to: nodes, on_delete: cascade }}, held: nodes }} }}
"""
FILES = {"needs.json": '{"type": "object", "required": ["by"]}'}
ABSENT = "absent-0123456789"


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with store(request.param, tmp_path_factory.mktemp("refs"), MANIFEST, FILES) as server:
        yield server


def new(db, name, **body):
    return made(db, f"/api/{name}", body)["id"]


def gone(db, name, *ids):
    return all(call(db, "GET", f"/api/{name}/{one}").status == 404 for one in ids)


def delete(db, name, one, more=""):
    return call(db, "DELETE", f"/api/{name}/{one}{more}")


def test_only_to_what_is_there(db):
    source = new(db, "sources")
    chart = new(db, "charts", source=source, more={"sources": [source, source]})
    for bad, pointer in (({"source": ABSENT}, "/source"), ({"source": 1}, "/source"), ({"source": {}}, "/source"),
                         ({"source": [source, ABSENT]}, "/source/1"), ({"source": "'"}, "/source"),
                         ({"source": ""}, "/source"),
                         ({"more": {"sources": ABSENT}}, "/more/sources"), ({"source": [[source]]}, "/source/0"),
                         ({"source": chart}, "/source"), ({"source": "\u0000" * 20}, "/source")):
        assert problem(call(db, "POST", "/api/charts", bad), 422) == [(pointer, "reference")], bad
        assert problem(call(db, "PUT", f"/api/charts/{chart}", bad), 422) == [(pointer, "reference")], bad
    for fine in ({"source": None}, {}, {"source": []}, {"more": 1}):
        assert call(db, "POST", "/api/charts", fine).status == 201, fine
    many = {"source": ABSENT, "more": {"sources": [ABSENT] * 3}}
    assert len(problem(call(db, "POST", "/api/charts", many), 422)) == 4


def test_somebody_elses_is_not_there(db):
    source, chart = new(db, "sources"), new(db, "charts")
    theirs = call(db, "PATCH", f"/api/charts/{chart}", {"source": source}, user="bob")
    absent = call(db, "PATCH", f"/api/charts/{chart}", {"source": ABSENT}, user="bob")
    assert problem(theirs, 422) == problem(absent, 422) and theirs.json()["detail"] == absent.json()["detail"]
    assert call(db, "PATCH", f"/api/charts/{chart}", {"source": source}).status == 200
    # what is there already stays, whoever writes around it
    assert call(db, "PATCH", f"/api/charts/{chart}", {"n": 1}, user="bob").status == 200
    assert call(db, "POST", "/api/charts", {"source": source}, user=None).status == 422


def test_restrict(db):
    source = new(db, "sources")
    chart = new(db, "charts", more={"sources": [source]})
    answer = delete(db, "sources", source)
    assert problem(answer, 409, "exists") == [("", "restrict")] and "more.sources of charts" in answer.json()["detail"]
    assert delete(db, "sources", source, "?purge=true").status == 409
    assert call(db, "PATCH", f"/api/charts/{chart}", {"more": None}).status == 200
    assert delete(db, "sources", source).status == 204
    assert call(db, "PATCH", f"/api/charts/{chart}", {"source": source}).status == 422  # the trash is not there
    assert call(db, "POST", f"/api/sources/{source}/restore").status == 200
    assert call(db, "PATCH", f"/api/charts/{chart}", {"source": source}).status == 200


def test_what_is_in_the_trash_holds_nothing_back(db):
    source = new(db, "sources")
    chart = new(db, "charts", source=source)
    assert delete(db, "charts", chart).status == 204
    assert delete(db, "sources", source).status == 204
    assert problem(call(db, "POST", f"/api/charts/{chart}/restore"), 409) == [("/source", "reference")]
    assert call(db, "POST", f"/api/sources/{source}/restore").status == 200
    assert call(db, "POST", f"/api/charts/{chart}/restore").status == 200
    assert delete(db, "sources", source).status == 409


def test_clear(db):
    one, two = new(db, "authors"), new(db, "authors")
    book = made(db, "/api/books", {"by": one, "in": {"lists": [one, two, one], "x": 1}, "z": 1})
    path = f"/api/books/{book['id']}"
    assert call(db, "DELETE", f"/api/authors/{one}", user="bob").status == 204
    after = call(db, "GET", path).json()
    assert after["version"] == 2 and "by" not in after and after["in"] == {"lists": [two], "x": 1} and after["z"] == 1
    versions = call(db, "GET", path + "/versions").json()["items"]
    assert [(item["version"], item["by"]) for item in versions] == [(2, "bob"), (1, "ann")]
    assert delete(db, "authors", two).status == 204 and call(db, "GET", path).json()["in"]["lists"] == []
    assert problem(call(db, "POST", path + "/versions/1/restore"), 422)[0] == ("/by", "reference")


def test_a_reference_that_was_cleared_meanwhile(db):
    author = new(db, "authors")
    book = new(db, "books", by=author, z=1)
    assert delete(db, "books", book).status == delete(db, "authors", author).status == 204
    back = call(db, "POST", f"/api/books/{book}/restore").json()
    assert "by" not in back and back["z"] == 1 and back["version"] == 2


def test_what_must_be_there_is_not_cleared(db):
    author = new(db, "authors")
    new(db, "needs", by=author)
    answer = delete(db, "authors", author)
    assert answer.status == 409 and "by of needs" in answer.json()["detail"]
    assert not gone(db, "authors", author)


def test_what_must_be_there_comes_back_first(db):
    author = new(db, "authors")
    need = new(db, "needs", by=author)
    assert delete(db, "needs", need).status == delete(db, "authors", author).status == 204
    back = f"/api/needs/{need}/restore"
    assert problem(call(db, "POST", back), 409) == [("", "reference")]
    assert call(db, "POST", f"/api/authors/{author}/restore").status == 200
    assert call(db, "POST", back).json()["by"] == author


def test_cascade(db):
    root = new(db, "nodes")
    child, leaf = new(db, "nodes", up=root), new(db, "leaves", node=root)
    grandchild = new(db, "nodes", up=[child])
    other = new(db, "nodes")
    assert delete(db, "nodes", root).status == 204
    assert gone(db, "nodes", root, child, grandchild) and gone(db, "leaves", leaf) and not gone(db, "nodes", other)
    assert call(db, "POST", f"/api/nodes/{root}/restore").status == 200  # alone: the others come back by themselves
    assert gone(db, "nodes", child)
    assert call(db, "POST", f"/api/nodes/{child}/restore").status == 200
    assert delete(db, "nodes", root, "?purge=true").status == 204
    assert call(db, "POST", f"/api/nodes/{child}/restore").status == 404


def test_one_who_is_held_back_holds_back_all(db):
    root = new(db, "nodes")
    child = new(db, "nodes", up=root)
    leaf = new(db, "leaves", held=child)
    assert delete(db, "nodes", root).status == 409
    assert not gone(db, "nodes", root, child)
    assert call(db, "PATCH", f"/api/leaves/{leaf}", {"node": child}).status == 200  # who goes too holds nobody back
    assert delete(db, "nodes", root).status == 204 and gone(db, "leaves", leaf)


def test_rings_end(db):
    one = new(db, "nodes")
    two = new(db, "nodes", up=one)
    assert call(db, "PATCH", f"/api/nodes/{one}", {"up": two}).status == 200
    assert call(db, "PATCH", f"/api/nodes/{two}", {"up": [one, two]}).status == 200
    assert delete(db, "nodes", two).status == 204 and gone(db, "nodes", one, two)
    alone = "alone-0123456789"
    assert made(db, "/api/nodes", {"id": alone, "up": alone})["up"] == alone
    assert delete(db, "nodes", alone).status == 204


def test_eight_deep_and_no_more(db):
    nodes = [new(db, "nodes")]
    for _ in range(8):
        nodes.append(new(db, "nodes", up=nodes[-1]))
    last = new(db, "nodes", up=nodes[-1])
    assert delete(db, "nodes", nodes[0]).status == 409 and not gone(db, "nodes", nodes[0])
    assert delete(db, "nodes", last).status == 204
    assert delete(db, "nodes", nodes[0]).status == 204 and gone(db, "nodes", *nodes)


def test_a_reference_and_a_delete_at_once(db):
    for _ in range(10):
        source, gate, found = new(db, "sources", public=True), threading.Barrier(2), {}

        def create():
            gate.wait()  # pylint: disable=cell-var-from-loop
            found["create"] = call(db, "POST", "/api/charts", {"source": source}).status

        def remove():
            gate.wait()  # pylint: disable=cell-var-from-loop
            found["delete"] = delete(db, "sources", source).status
        threads = [threading.Thread(target=create), threading.Thread(target=remove)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found in ({"create": 201, "delete": 409}, {"create": 422, "delete": 204}), found
