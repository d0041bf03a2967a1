# Every documented call of documents, said to SQLite and to Postgres: the answers are the same, byte for byte.
"""A conversation is a function that says things to a server and expects statuses. Each is held with two
servers, one per database; what was answered is written down with ids, times and cursors replaced by
numbers in the order they were met, and both transcripts must be equal."""
import difflib
import json
import re
import urllib.parse

import pytest
from conftest import Conn
from postgres import Postgres
from serving import serving, write_app

MANIFEST = """title: Alike
collections:
  sources: { owner: true }
  charts:
    schema: schemas/chart.json
    owner: true
    versions: 3
    indexes: [ status, [folder, -updated], n, [status, n] ]
    unique: [ [owner, title] ]
    search: [ title, subtitle ]
    hidden: [ internal_note ]
    refs: { source: sources }
    checks: [ "unique_keys(chapters, 'key')" ]
  log: { append_only: true, rules: { read: signed_in, create: signed_in, delete: signed_in } }
  locked: { rules: { read: nobody } }
  final: { owner: true, trash: 0 }
  any: { owner: true }
"""
CHART = {"type": "object", "required": ["title"], "properties": {
    "title": {"type": "string", "maxLength": 60}, "subtitle": {"type": "string"},
    "status": {"enum": ["draft", "published", "gone"]}, "folder": {"type": "string"}, "n": {"type": "number"},
    "tags": {"type": "array", "items": {"type": "string"}}, "internal_note": {"type": "string"},
    "source": {"type": ["string", "null"]}, "deep": {"type": "object"}, "chapters": {"type": "array"}}}

ID = re.compile(r"\b[0-9a-v]{20}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CURSOR = re.compile(r'("next":"|after=)[\w-]+')
TOLD = ("etag", "location", "allow", "accept-patch", "content-type", "cache-control", "idempotency-replayed",
        "content-disposition", "retry-after")


class Talk:
    """One side of a conversation, and its transcript."""

    def __init__(self, server):
        self.conn, self.lines, self.known = Conn(server), [], {}

    def _plain(self, text):
        def number(match):
            return self.known.setdefault(match[0], f"<id {len(self.known) + 1}>")
        text = re.sub(r'"request_id":"[^"]*"', '"request_id":"…"', text)
        return ID.sub(number, TIME.sub("<time>", CURSOR.sub(r"\1<cursor>", text)))

    def say(self, method, path, body=None, status=200, headers=(), **params):
        """`body`: bytes as they are, anything else as JSON. Returns the answer's JSON, or the answer."""
        query = urllib.parse.urlencode(params)
        headers = dict(headers)
        if body is not None and "content-type" not in headers:
            headers["content-type"] = "application/json"
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        target = f"/api/{path}" + (f"?{query}" if query else "")
        self.conn.request(target, method, headers, raw)
        answer = self.conn.read(method)
        told = "".join(f" {name}={answer.get(name)}" for name in TOLD if answer.get(name) is not None)
        self.lines.append(self._plain(f"{method} {target} {raw!r} -> {answer.status}{told} {answer.body.decode()}"))
        assert answer.status == status, self.lines[-1]
        return answer.json() if answer.body and "json" in answer.get("content-type") and \
            "jsonl" not in answer.get("content-type") else answer


def create_and_get(t):
    first = {"title": "One", "n": 1, "internal_note": "hush", "owner": "mallory", "version": 9}
    made = t.say("POST", "charts", first, 201)
    assert made["version"] == 1 and "internal_note" not in made and made["owner"] == "local"
    t.say("GET", f"charts/{made['id']}")
    t.say("GET", f"charts/{made['id']}", headers={"if-none-match": '"v1"'}, status=304)
    t.say("GET", f"charts/{made['id']}", headers={"if-none-match": '"v2"'})
    t.say("POST", "charts", {"title": "Own id", "id": "my-own-id-is-this-one"}, 201)
    t.say("POST", "charts", {"title": "Own id again", "id": "my-own-id-is-this-one"}, 409)
    t.say("POST", "charts", {"title": "One"}, 409)
    t.say("POST", "charts", {"title": 5, "status": "x", "chapters": [{"key": 1}, {"key": 1}]}, 422)
    t.say("POST", "charts", [], 422)
    t.say("GET", "charts/nothing-is-here-at-all", status=404)
    t.say("GET", "nothing", status=404)
    t.say("GET", "locked", status=403)
    t.say("POST", "locked", {}, 403)


ODD = ['{"__proto__":{"a":1},"constructor":2,"it\'s":"\\"; DROP TABLE c_any; --","a.b":{"c.d":1},"$where":null}',
       '{"big":123456789012345678901234567890,"tiny":1e-400,"neg":-0,"exp":1E+2,"half":0.10}',
       '{"nul":"a\\u0000b","emoji":"🦉","esc":"\\u00e9\\/","deep":[[[[[[[[]]]]]]]]}', '{"":"empty name"," ":1}',
       '{"id":"odd-odd-odd-odd-odd","select":"x","k1":"y","body":"z","deleted":true,"n":1}']


def odd_documents_come_back(t):
    for text in ODD:
        made = t.say("POST", "any", text.encode(), 201)
        t.say("GET", f"any/{made['id']}")
    for wanted in ("`it's` ~ 'drop'", "`a.b`.`c.d` = 1", "big = 123456789012345678901234567890", "deleted = true",
                   "big = 123456789012345678901234567891", "nul ~ 'b'", "body = 'z' && `select` = 'x'"):
        t.say("GET", "any", filter=wanted, count="exact")


def bad_json_says_where(t):
    for text in (b'{"a":1,"a":2}', b'{"a":', b"{'a':1}", b'{"a":"\xff"}', b"[" * 2000 + b"]" * 2000, b"", b"nul",
                 b'\xef\xbb\xbf{}', b'{"a":01}', b'{"a":"\\ud800"}', b'{"a":1}x'):
        t.say("POST", "any", text, 400)
    t.say("POST", "any", b"<a/>", 415, headers={"content-type": "text/xml"})


def fill(t, n=25):
    made = []
    for i in range(n):
        doc = {"id": f"chart-number-{i:04}", "title": f"Chart {i:02}", "n": (i * 7) % 10 - 3, "folder": "ab"[i % 2],
               "status": ("draft", "published", "gone")[i % 3], "tags": [f"t{i % 4}", "x"]}
        if i % 5 == 0:
            del doc["n"]
        made.append(t.say("POST", "charts", doc, 201)["id"])
    return made


def lists(t):
    fill(t)
    t.say("GET", "charts")
    for sort in ("id", "-id", "title", "-title", "n,title", "-n,title", "status,-n,title", "folder,-title",
                 "tags,title", "subtitle,title"):
        t.say("GET", "charts", sort=sort, limit=7)
    for wanted in ("status = 'draft'", "status != 'draft'", "n > 2", "n >= -1 && n < 3", "n is null", "n is not null",
                   "status in ('gone', 'draft') && n > 0", "!(status = 'draft' || n < 0)", "title ~ 'CHART 1'",
                   "title !~ '1'", "tags ?= 't1'", "tags ?= 't1' && status = 'draft'", "n = '2'", "status = 2",
                   "updated > '2026-01-01'", "version = 1 && owner = 'local'", "owner = @user.id", "version > 0.5",
                   "created > @now", "folder > 'a' || n = 1"):
        t.say("GET", "charts", filter=wanted, sort="title", count="exact", limit=5)
        t.say("GET", "charts", filter=wanted, sort="-n,title", limit=50)


def pages(t):
    ids = fill(t, 23)
    for sort in ("id", "-n,title", "tags,-title"):
        after, seen, rounds = {}, [], 0
        while after is not None and rounds < 20:
            page = t.say("GET", "charts", sort=sort, limit=5, **after)
            seen += [item["id"] for item in page["items"]]
            after = {"after": page["next"]} if page["next"] else None
            rounds += 1
        assert sorted(seen) == sorted(ids)
    cursor = t.say("GET", "charts", sort="title", limit=5)["next"]
    for other in ({"sort": "-title"}, {"sort": "title", "filter": "n > 0"}, {}):
        assert t.conn.request(f"/api/charts?{urllib.parse.urlencode({**other, 'after': cursor})}").read().status == 400
    other = cursor[:-2] + ("BB" if cursor.endswith("AA") else "AA")
    assert t.conn.request(f"/api/charts?sort=title&after={other}").read().status == 400


def list_mistakes(t):
    for params in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"filter": "nope = 1"},
                   {"filter": "internal_note = 'a'"}, {"sort": "internal_note"}, {"sort": "nope"}, {"filter": "a ="},
                   {"filter": "(" * 1000}, {"filter": "'; DROP TABLE x"}, {"filter": "\" OR 1=1 --"}, {"after": "zzz"},
                   {"fields": "internal_note"}, {"fields": "nope"}, {"expand": "title"}, {"count": "maybe"},
                   {"trash": "both"}, {"filter": "title = '" + "x" * 5000 + "'"}, {"unknown": "1"}):
        t.say("GET", "charts", status=400, **params)


def fields_and_expand(t):
    source = t.say("POST", "sources", {"name": "S"}, 201)["id"]
    chart = t.say("POST", "charts", {"title": "With", "source": source, "deep": {"a": 1, "b": {"c": 2}}}, 201)["id"]
    t.say("POST", "charts", {"title": "Without", "source": None}, 201)
    t.say("GET", "charts", fields="title,deep.b", sort="title")
    t.say("GET", "charts", expand="source", sort="title")
    t.say("GET", "charts", expand="source", fields="title", sort="title")
    t.say("GET", f"charts/{chart}", expand="source")
    t.say("GET", f"charts/{chart}", fields="title")
    t.say("POST", "charts", {"title": "Dangling", "source": "no-such-source-here"}, 422)
    t.say("DELETE", f"sources/{source}", status=409)


def aggregates(t):
    fill(t)
    t.say("GET", "charts/aggregate", fn="count", group="status")
    t.say("GET", "charts/aggregate", fn="count,sum(n),min(n),max(n),avg(n)", group="status,folder")
    t.say("GET", "charts/aggregate", fn="count,sum(n)")
    t.say("GET", "charts/aggregate", fn="count", group="n", filter="status = 'draft'")
    for params in ({"fn": "median(n)"}, {"fn": "count", "group": "internal_note"}, {"fn": "sum(internal_note)"}):
        t.say("GET", "charts/aggregate", status=400, **params)


def changes(t):
    one = t.say("POST", "charts", {"title": "First", "n": 1, "deep": {"a": 1, "b": 2}}, 201)["id"]
    t.say("PUT", f"charts/{one}", {"title": "Second"})
    t.say("PATCH", f"charts/{one}", {"n": 5, "deep": {"a": None, "c": [1]}},
          headers={"content-type": "application/merge-patch+json"})
    t.say("PATCH", f"charts/{one}", [{"op": "replace", "path": "/n", "value": 6}, {"op": "add", "path": "/deep/d",
                                                                                  "value": {}}],
          headers={"content-type": "application/json-patch+json"})
    t.say("PATCH", f"charts/{one}", [{"op": "test", "path": "/n", "value": 7}], 422,
          headers={"content-type": "application/json-patch+json"})
    t.say("PATCH", f"charts/{one}", {"title": None}, 422)
    t.say("PATCH", f"charts/{one}", {"n": 8}, 412, headers={"if-match": '"v1"'})
    t.say("PATCH", f"charts/{one}", {"n": 8}, headers={"if-match": '"v4"'})
    t.say("PUT", "charts/made-by-put-here-1", {"title": "Made"}, 201)
    t.say("PUT", "charts/short", {"title": "Made"}, 422)
    t.say("PUT", "charts/made-by-put-here-1", {"title": "Second"}, 409)
    t.say("PATCH", "charts/nothing-is-here-at-all", {"n": 1}, 404)
    got = t.say("GET", f"charts/{one}")
    t.say("PUT", f"charts/{one}", got)
    entry = t.say("POST", "log", {"a": 1}, 201)["id"]
    t.say("PUT", f"log/{entry}", {"a": 2}, 405)
    t.say("PATCH", f"log/{entry}", {"a": 2}, 405)
    t.say("DELETE", f"log/{entry}", status=204)


def trash(t):
    one = t.say("POST", "charts", {"title": "Bin"}, 201)["id"]
    t.say("DELETE", f"charts/{one}", status=204)
    t.say("GET", f"charts/{one}", status=404)
    t.say("DELETE", f"charts/{one}", status=404)
    t.say("GET", "charts", count="exact")
    t.say("GET", "charts", trash="only", count="exact")
    other = t.say("POST", "charts", {"title": "Bin"}, 201)["id"]
    t.say("POST", f"charts/{one}/restore", status=409)
    t.say("DELETE", f"charts/{other}", status=204, purge="true")
    t.say("POST", f"charts/{one}/restore")
    t.say("GET", f"charts/{one}")
    t.say("POST", f"charts/{one}/restore")
    final = t.say("POST", "final", {"a": 1}, 201)["id"]
    t.say("DELETE", f"final/{final}", status=204)
    t.say("GET", "final", trash="only")
    t.say("POST", f"final/{final}/restore", status=404)


def versions(t):
    one = t.say("POST", "charts", {"title": "V", "n": 1, "internal_note": "x"}, 201)["id"]
    for n in (2, 3, 4):
        t.say("PATCH", f"charts/{one}", {"n": n}, label=f"the {n}th")
    t.say("GET", f"charts/{one}/versions")
    t.say("GET", f"charts/{one}/versions/3")
    t.say("GET", f"charts/{one}/versions/1", status=404)
    t.say("GET", f"charts/{one}/versions/x", status=400)
    t.say("GET", f"charts/{one}/versions/2/diff", to="4")
    t.say("GET", f"charts/{one}/versions/2/diff")
    t.say("POST", f"charts/{one}/versions/2/restore")
    t.say("GET", f"charts/{one}/versions", limit=2)
    t.say("GET", "any/nothing-is-here-at-all/versions", status=404)


def batches(t):
    t.say("POST", "batch", {"requests": [
        {"method": "POST", "path": "/api/sources", "body": {"name": "batch"}},
        {"method": "POST", "path": "/api/charts", "body": {"title": "In a batch", "source": "$0.id"}},
        {"method": "PATCH", "path": "/api/charts/$1.id", "body": {"n": 4}},
        {"method": "GET", "path": "/api/charts/$1.id"},
        {"method": "DELETE", "path": "/api/charts/$1.id", "if_match": '"v2"'}]})
    t.say("POST", "batch", {"requests": [
        {"method": "POST", "path": "/api/any", "body": {"a": 1}},
        {"method": "POST", "path": "/api/charts", "body": {"title": 1}}]}, 422)
    t.say("POST", "batch", {"requests": [{"method": "POST", "path": "/api/any", "body": {}},
                                         {"method": "POST", "path": "/api/locked", "body": {}}]}, 403)
    t.say("GET", "any", count="exact")
    t.say("POST", "batch", {"requests": []}, 422)
    t.say("POST", "batch", {"requests": [{"method": "GET", "path": "/api/any"}] * 101}, 422)
    t.say("POST", "batch", {"requests": [{"method": "POST", "path": "/api/batch", "body": {"requests": []}}]}, 400)


def idempotency(t):
    def again(key, body, status, path="charts"):
        return t.say("POST", path, body, status, headers={"idempotency-key": key})
    again("a", {"title": "Once"}, 201)
    again("a", {"title": "Once"}, 201)
    again("a", {"title": "Twice"}, 422)
    again("b", {"title": "Once"}, 409)
    again("b", {"title": "Once"}, 409)
    again("c", {"title": 1}, 422)
    again("c", {"title": 1}, 422)
    again("d", {"requests": [{"method": "POST", "path": "/api/any", "body": {}}]}, 200, "batch")
    again("d", {"requests": [{"method": "POST", "path": "/api/any", "body": {}}]}, 200, "batch")
    again("x" * 256, {"title": "x"}, 400)
    t.say("GET", "charts", count="exact", sort="title")


def transfers(t):
    lines = b"".join(json.dumps({"id": f"imported-number-{i:04}", "title": f"T{i}", "n": i, "status": "draft"}).encode()
                     + b"\n" for i in range(450))
    t.say("POST", "charts/import", lines, headers={"content-type": "application/jsonl"})
    t.say("POST", "charts/import", lines[:400] + b'\n{"title":1}\n{bad\n\n{"title":"fine","n":-1}',
          headers={"content-type": "application/jsonl"})
    t.say("POST", "charts/import", lines[:400], headers={"content-type": "application/jsonl"}, mode="replace")
    t.say("GET", "charts/export", filter="n > 440 || n < 0")
    t.say("GET", "charts/export", format="csv", filter="n < 3")
    t.say("GET", "charts/export", format="csv", fields="title,n", filter="n < 3")
    t.say("GET", "charts/export", format="xml", status=400)
    t.say("GET", "locked/export", status=403)
    t.say("POST", "charts/import", b"", headers={"content-type": "application/jsonl"})


def search(t):
    for title, subtitle in (("War and Peace", "a long book"), ("Peace", "and nothing of war"),
                            ("Éclair café", "l'école"), ("東京タワー", "Tokyo tower"), ("Nothing", "at all")):
        t.say("POST", "charts", {"title": title, "subtitle": subtitle, "status": "draft"}, 201)
    for words in ("war", "war peace", '"war and peace"', "eclair", "ECOLE", "東京", "tow*", "peace -book", "zzz"):
        t.say("GET", "charts", search=words, sort="title", count="exact")
    t.say("GET", "charts", search="peace", filter="status = 'draft'", sort="title")
    t.say("GET", "charts", search="-war", status=400)
    t.say("GET", "charts", search="", sort="title")
    t.say("GET", "any", search="war", status=400)


def described(t):
    t.say("GET", "charts/schema")
    t.say("GET", "openapi.json")
    t.say("GET", "locked/schema")


CONVERSATIONS = [create_and_get, odd_documents_come_back, bad_json_says_where, lists, pages, list_mistakes,
                 fields_and_expand, aggregates, changes, trash, versions, batches, idempotency, transfers, search,
                 described]


@pytest.fixture(scope="module", name="postgres")
def _postgres():
    with Postgres() as running:
        yield running


def hold(tmp_path, name, conversation, env):
    folder = write_app(tmp_path / name / "alike", {"schemas/chart.json": json.dumps(CHART)}, MANIFEST)
    with serving(folder, env=env) as server:
        talk = Talk(server)
        conversation(talk)
        talk.conn.close()
    return talk.lines


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda fn: fn.__name__)
def test_both_databases_answer_alike(tmp_path, postgres, conversation):
    postgres.query("DROP SCHEMA IF EXISTS alike CASCADE")
    lite = hold(tmp_path, "lite", conversation, {})
    full = hold(tmp_path, "full", conversation, {"DATABASE_URL": postgres.url})
    assert lite == full, "\n".join(difflib.unified_diff(lite, full, "sqlite", "postgres", lineterm=""))
