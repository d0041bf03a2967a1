# Lists, cursors, fields, expand, counts and aggregates over HTTP, on both databases, and what hostile askers get.
import json
from urllib.parse import quote, urlencode

import pytest
from conftest import DAIS_BIN
from postgres import Postgres, why_not
from serving import next_millisecond, serving, write_app

MANIFEST = """web: { root: web }
api: /api/
collections:
  notes:
    schema: schemas/note.json
    indexes: [[status], [year, -updated]]
    hidden: [secret, deep.inner]
    refs: { source: sources, via: sources }
    rules: { read: public, create: public, delete: public }
  sources:
    rules: { read: "open = true", create: public, write: public }
  mine:
    owner: true
    indexes: [[year]]
  drafts:
    rules: { read: "owner = @user.id || state = 'open'", create: public }
  paper:
    rules: { read: public, create: public, delete: "@user.id = 'ann' && kept is null" }
  closed:
    rules: { create: public }
"""
SCHEMA = {"type": "object", "properties": {
    name: {} for name in ("status", "year", "n", "secret", "deep", "source", "via", "tags", "title", "odd, name",
                          "expand")}}
N = 60


def one(server, path, user=None, method="GET", body=None):
    headers = [("X-Test-User", user)] if user else []
    if body is not None:
        headers.append(("Content-Type", "application/json"))
        body = json.dumps(body).encode()
    return server.fetch("/api/" + path, method=method, headers=headers, body=body, deadline=60)


def ask(server, name, user=None, **params):
    return one(server, name + ("?" + urlencode(params, quote_via=quote, safe="()") if params else ""), user)


def got(server, name, user=None, **params):
    answer = ask(server, name, user, **params)
    assert answer.status == 200, answer.body
    return answer.json()


def ids(page):
    return [item["id"] for item in page["items"]]


def refused(server, name, status=400, user=None, **params):
    answer = ask(server, name, user, **params)
    assert answer.status == status, (params, answer.status, answer.body[:300])
    assert answer.get("content-type") == "application/problem+json"
    return answer.json()["detail"]


def put(server, name, value, user=None):
    answer = one(server, name, user, "POST", value)
    assert answer.status == 201, answer.body


def note_id(number):
    return f"note-{number:012}"


def fill(server):
    put(server, "sources", {"id": "source-000000001", "open": True, "t": "first"})
    put(server, "sources", {"id": "source-000000002", "open": True, "t": "nobody will see this"})
    for i in range(N):
        put(server, "notes", {
            "id": note_id(i), "status": ["draft", "live"][i % 2], "year": 1990 + i // 7, "n": i / 10,
            "secret": f"s{i}", "deep": {"inner": i, "outer": {"x": i}}, "tags": ["a", f"t{i}"], "title": f"Title {i}",
            **({"odd, name": i} if i % 2 else {}), **({"source": f"source-{i % 3 + 1:09}"} if i % 3 < 2 else {})})
    assert one(server, "sources/source-000000002", method="PATCH", body={"open": False}).status < 300
    for i in range(6):
        user = ["ann", "bob"][i % 2]
        put(server, "mine", {"id": f"mine-0000000000{i}", "year": i}, user)
        put(server, "drafts", {"id": f"draft-000000000{i}", "state": "open" if i < 2 else "shut"}, user)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request, tmp_path_factory):
    app = write_app(tmp_path_factory.mktemp("lists") / "lists", manifest=MANIFEST, files={
        "web/index.html": "hi", "schemas/note.json": json.dumps(SCHEMA)})
    program = DAIS_BIN.with_name("dais-identity")

    def run(env):
        with serving(app, env=env, program=program) as found:
            fill(found)
            yield found
    if request.param == "sqlite":
        yield from run({})
        return
    if why_not():
        pytest.fail(why_not())
    with Postgres() as db:
        yield from run({"DATABASE_URL": db.url})


# ---- pages -------------------------------------------------------------------------------------
def test_pages_follow_each_other(server):
    for sort in ("", "-year", "year,-updated", "title", "-n,title", "status,-year", "-id", "owner", "-version,year"):
        whole = ids(got(server, "notes", sort=sort, limit=1000))
        assert sorted(whole) == [note_id(i) for i in range(N)]
        found, after, pages = [], "", 0
        while True:
            page = got(server, "notes", sort=sort, limit=7, **({"after": after} if after else {}))
            found += ids(page)
            pages += 1
            after = page["next"]
            if not after:
                break
        assert found == whole and pages == -(-N // 7), sort


def test_orders(server):
    assert ids(got(server, "notes", limit=3)) == [note_id(i) for i in range(3)]
    assert ids(got(server, "notes", limit=3, sort="-n")) == [note_id(N - 1 - i) for i in range(3)]
    page = got(server, "notes", sort="-`odd, name`", limit=1000)
    assert ids(page)[:2] == [note_id(59), note_id(57)] and ids(page)[-1] == note_id(0)


def test_pages_are_stable(server):
    first = got(server, "drafts", "ann", sort="-created", limit=2)
    put(server, "drafts", {"id": "draft-between-0000", "state": "open"}, "ann")
    second = got(server, "drafts", "ann", sort="-created", limit=2, after=first["next"])
    assert not set(ids(first)) & set(ids(second)) and "draft-between-0000" not in ids(second)


def test_filters(server):
    def n(text, **more):
        page = got(server, "notes", filter=text, limit=1000, count="exact", **more)
        assert page["total"] == len(page["items"])
        return page["total"]
    assert n("status = 'live'") == N / 2
    assert n("status = 'live' && title ~ 'TITLE 1'") == 6
    assert n("year >= 1995 && year < 1996") == 7
    assert n("tags ?= 't7' || deep.outer.x = 8") == 2
    assert n("!(status = 'live')") == N / 2
    assert n("owner is null") == N and n("owner != 'x'") == 0 and n("!(owner = 'x')") == N
    assert n("`odd, name` in (1, 3, 'x')") == 2
    assert n("year = '1995'") == 0 and n("year != '1995'") == 0
    assert n("id = @user.id") == 0
    assert n("version = 1") == N and n("version < 1.5") == N


def test_rules_narrow_lists(server):
    assert ids(got(server, "mine", "ann")) == [f"mine-0000000000{i}" for i in (0, 2, 4)]
    assert got(server, "mine", "bob", count="exact", filter="year > 1")["total"] == 2
    assert got(server, "mine", "eve") == {"items": [], "next": None}
    assert len(got(server, "drafts", "bob", sort="-state")["items"]) >= 4
    assert len(got(server, "drafts", "bob", filter="state = 'shut'")["items"]) == 2
    refused(server, "mine", 401)
    refused(server, "closed", 401)
    refused(server, "closed", 403, "ann")
    assert got(server, "mine/aggregate", "ann", fn="count,sum(year)")["items"] == [{"count": 3, "sum(year)": 6}]


def test_a_cursor_gives_no_rights(server):
    first = got(server, "mine", "ann", limit=1)
    assert ids(got(server, "mine", "bob", after=first["next"])) == [f"mine-0000000000{i}" for i in (1, 3, 5)]


def test_trash_is_for_those_who_may_delete(server):
    assert got(server, "notes", trash="only") == {"items": [], "next": None}
    refused(server, "drafts", 401, trash="only")
    assert "only" in refused(server, "notes", trash="1")
    for number in (1, 2, 3):
        put(server, "paper", {"id": f"paper-000000000{number}", "n": number}, "ann")
    for number in (2, 1):
        assert one(server, f"paper/paper-000000000{number}", "ann", "DELETE").status == 204
        next_millisecond()  # times are in these, and the last that was deleted comes first
    assert ids(got(server, "paper", "ann", trash="only")) == ["paper-0000000001", "paper-0000000002"]
    page = got(server, "paper", "ann", trash="only", sort="-n", limit=1, count="exact")
    assert ids(page) == ["paper-0000000002"] and page["total"] == 2
    assert ids(got(server, "paper", "ann", trash="only", sort="-n", after=page["next"])) == ["paper-0000000001"]
    assert ids(got(server, "paper")) == ["paper-0000000003"]
    refused(server, "paper", 401, trash="only")
    refused(server, "paper", 403, "bob", trash="only")


# ---- less and more -----------------------------------------------------------------------------
def test_fields(server):
    page = got(server, "notes", fields="year,deep.outer.x,tags.0", limit=1)
    assert page["items"] == [{"id": note_id(0), "year": 1990, "deep": {"outer": {"x": 0}}}]
    assert got(server, "notes", fields="deep,`odd, name`", filter="n = 0.1")["items"] == [
        {"id": note_id(1), "deep": {"outer": {"x": 1}}, "odd, name": 1}]
    assert one(server, f"notes/{note_id(3)}?fields=version").json() == {"id": note_id(3), "version": 1}


def test_expand_follows_the_other_rule(server):
    items = got(server, "notes", expand="source,via", limit=3, fields="n")["items"]
    assert items[0]["expand"]["source"]["t"] == "first"
    assert items[1]["expand"] == {"source": None, "via": None}  # there, but not for everybody
    assert items[2]["expand"] == items[1]["expand"]             # it refers to none
    assert list(items[0]) == ["id", "n", "expand"]
    answer = one(server, f"notes/{note_id(0)}?expand=source")
    assert answer.json()["expand"]["source"]["open"] is True and answer.get("etag") is None
    whole = got(server, "notes", expand="source", limit=1000)["items"]
    assert len(whole) == N and all(("secret" not in item and "expand" in item) for item in whole)


def test_aggregates(server):
    items = got(server, "notes/aggregate", fn="count,sum(n),min(n),max(title),avg(year)", group="status",
                filter="n <= 0.3")["items"]
    assert items == [
        {"status": "draft", "count": 2, "sum(n)": 0.2, "min(n)": 0.0, "max(title)": "Title 2", "avg(year)": 1990},
        {"status": "live", "count": 2, "sum(n)": 0.4, "min(n)": 0.1, "max(title)": "Title 3", "avg(year)": 1990}]
    assert got(server, "notes/aggregate")["items"] == [{"count": N}]
    none = got(server, "notes/aggregate", fn="sum(n),min(n)", filter="n < 0")
    assert none["items"] == [{"sum(n)": 0, "min(n)": None}]
    for params in ({"fn": "sum"}, {"fn": "sum(secret)"}, {"fn": "sum(n"}, {"fn": "count,count"}, {"group": "secret"},
                   {"fn": "median(n)"}, {"fn": "count(n)"}, {"group": "status,status"}, {"sort": "n"},
                   {"fn": "sum(deep.inner)"}, {"filter": "secret = 's1'"}):
        refused(server, "notes/aggregate", **params)


# ---- hostile items 14 to 16 --------------------------------------------------------------------
@pytest.mark.parametrize("path", ["secret", "secret.x", "`secret`", "deep.inner", "deep.`inner`", "deep.inner.y"])
def test_hidden_is_unknown(server, path):
    unknown = refused(server, "notes", filter="secreT = 's1'").replace("secreT", "NAME")
    said = refused(server, "notes", filter=f"{path} = 's1'")
    assert said.replace(path.replace("`", ""), "NAME") == unknown
    for text in (f"{path} ~ 's'", f"'s1' = {path}", f"n in {path}", f"{path} is null", f"n = 1 || !({path} >= 's')"):
        refused(server, "notes", filter=text)
    for param in ("sort", "fields", "expand"):
        refused(server, "notes", **{param: path})
        refused(server, "notes", **{param: f"n,-{path}"})
    refused(server, f"notes/{note_id(1)}", fields=path)


@pytest.mark.parametrize("text", [
    "(" * 10000, "(" * 9 + "n = 1" + ")" * 9, "n = 1)", "n = ", "'; DROP TABLE c_notes; --", '" OR 1=1 --',
    "n = 1 --", "n = 1; SELECT 1", "/secret = 1", "deep->>'inner' = 1", "n:lower = 'x'", "lower(title) = 'x'",
    "title LIKE '%a%'", "title = \"\\ud800\"", "title = 'x", "`a` = `b", "n = 1 OR 1 = 1", "n == 1", "$ne = 1",
    "{\"$gt\":\"\"}", " && ".join(["n = 1"] * 201), "n = 1" + " " * 5000, "title = '\x01'", "1 = 1 && x.y.z = 3",
    "n in ()", "n in (" + ",".join("1" * 300) + ")", "@user = 1", "@request.query.x = 1"])
def test_filter_texts_are_refused(server, text):
    detail = refused(server, "notes", filter=text)
    assert "sqlite" not in detail.lower() and "c_notes" not in detail


def test_texts_that_are_only_data(server):
    for text in ("title = '%'", "title ~ '%a%a%a%a%'", "title ~ '" + "a" * 3000 + "'", "title = \"' OR 1=1 --\"",
                 "title = '\\u0000'", "id > '\\u0000'", "owner != '\\u0000'", "year > 1e400", "version < -1e400",
                 "title = '\\ud83d\\ude00'", "1 = 2", "`odd, name` = '`'"):
        assert got(server, "notes", filter=text, limit=1000)["items"] in ([], got(server, "notes", limit=1000)["items"])


def test_parameters_are_refused(server):
    for params in ({"limit": "0"}, {"limit": "1001"}, {"limit": "-1"}, {"limit": "1e2"}, {"limit": ""}, {"limit": "x"},
                   {"limits": "3"}, {"count": "yes"}, {"sort": "n,"}, {"sort": "--n"}, {"sort": "n desc"},
                   {"sort": ",".join(["n"] * 9)}, {"sort": "n;DROP"}, {"fields": ","}, {"fields": "n,,n"},
                   {"fields": ",".join(["n"] * 65)}, {"expand": "n"}, {"expand": "source.t"}, {"sort": "x" * 5000},
                   {"sort": "nope"}, {"fields": "nope"}, {"filter": "nope = 1"}, {"sort": "id.x"}):
        refused(server, "notes", **params)
    for query in ("limit=1&limit=2", "filter=%", "filter=%00", "filter=%ff", "fil%74er=n", "sort=n&sort=n"):
        assert one(server, "notes?" + query).status == 400, query
    assert "did you mean `year`" in refused(server, "notes", sort="yaer")
    assert "secret" not in refused(server, "notes", sort="secre")
    assert ask(server, "notes", search="x").status == 400


def test_cursors_are_refused(server):
    cursor = got(server, "notes", sort="-year", limit=2)["next"]
    same = {"sort": "-year", "after": cursor}
    assert len(got(server, "notes", **same)["items"]) == 30
    for params in ({"after": cursor}, {**same, "sort": "year"}, {**same, "filter": "n > 0"}, {**same, "trash": "only"},
                   {**same, "after": cursor[:-1]}, {**same, "after": cursor + "A"}, {**same, "after": cursor + "="},
                   {**same, "after": cursor[::-1]}, {**same, "after": "A" * 10000}, {**same, "after": "'"}):
        assert "after" in refused(server, "notes", **params)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at in range(len(cursor)):
        other = letters[letters.index(cursor[at]) ^ 1]
        refused(server, "notes", sort="-year", after=cursor[:at] + other + cursor[at + 1:])
    assert ask(server, "mine", "ann", sort="-year", after=cursor).status == 400
