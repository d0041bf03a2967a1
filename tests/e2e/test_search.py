# Full-text search over HTTP, on both databases: what is found, ranked, paged, refused; an index built meanwhile.
import concurrent.futures
import json
import random
import time
from urllib.parse import quote, urlencode

import pytest
from conftest import DAIS_BIN
from postgres import Postgres, why_not
from serving import serving, write_app

HEAD = """web: { root: web }
api: /api/
collections:
  books:
    search: %s
    indexes: [[year]]
    hidden: [secret]
    rules: { read: public, create: public, write: public, delete: public }
  drafts:
    search: text
    rules: { read: "owner = @user.id || state = 'open'", create: public }
  plain:
    rules: { read: public, create: public }
"""
FIELDS = "[title, tags, chapters.text]"
WORDS = ["war", "peace", "Straße", "école", "東京", "カメラ", "학교", "Łódź", "naïve", "ที่นี่", "мир", "x86", "don't"]


@pytest.fixture(scope="module", name="postgres")
def fixture_postgres():
    if why_not():
        pytest.skip(why_not())
    with Postgres() as db:
        yield db


@pytest.fixture(name="settings", params=["sqlite", "postgres"])
def fixture_settings(request, tmp_path):
    if request.param == "sqlite":
        return {"DATABASE_URL": f"sqlite:///{tmp_path}/app.db"}
    db = request.getfixturevalue("postgres")
    return {"DATABASE_URL": db.url}


def call(server, path, method="GET", body=None, user=None, **params):
    headers = [("X-Test-User", user)] if user else []
    if body is not None:
        headers.append(("Content-Type", "application/json"))
        body = json.dumps(body).encode()
    if params:
        path += "?" + urlencode({k.rstrip("_"): v for k, v in params.items()}, quote_via=quote)
    return server.fetch("/api/" + path, method=method, headers=headers, body=body, deadline=60)


def add(server, name, value, user=None):
    answer = call(server, name, "POST", value, user)
    assert answer.status == 201, answer.body
    return answer.json()["id"]


def found(server, text, name="books", user=None, **params):
    answer = call(server, name, user=user, search=text, **params)
    assert answer.status == 200, (text, answer.body)
    return [item["id"] for item in answer.json()["items"]]


def refused(server, status, name="books", **params):
    answer = call(server, name, **params)
    assert answer.status == status, (params, answer.status, answer.body)
    assert answer.get("content-type") == "application/problem+json"
    return answer.json()["detail"]


def app(tmp_path, slug, fields=FIELDS):
    return write_app(tmp_path / slug, manifest=HEAD % fields)


def test_words_of_many_scripts_are_found_changed_and_gone(tmp_path, settings):
    with serving(app(tmp_path, "found"), env=settings) as server:
        ids = {word: add(server, "books", {"title": f"before {word.upper()}, after"}) for word in WORDS}
        for word, one in ids.items():
            assert found(server, word) == [one]
            assert found(server, f'"before {word} after"') == [one]
            assert found(server, f"{word} -before") == []
        deep = add(server, "books", {"tags": ["one", ["Two"]], "chapters": [{"text": "three"}, {"text": "four"}],
                                     "secret": "five", "other": "six"})
        for word in ("one", "two", "three", "FOUR", "fo*", "one four"):
            assert found(server, word) == [deep]
        for word in ("five", "six", '"three four"', "o"):
            assert found(server, word) == []
        assert call(server, f"books/{deep}", "PATCH", {"tags": ["seven"]}).status == 200
        assert found(server, "one") == [] and found(server, "seven three") == [deep]
        assert call(server, f"books/{deep}", "DELETE").status == 204
        assert found(server, "seven") == []
        assert call(server, f"books/{deep}/restore", "POST").status == 200
        assert found(server, "seven") == [deep]
        assert call(server, f"books/{deep}?purge=true", "DELETE").status == 204
        assert found(server, "seven") == []
        again = add(server, "books", {"title": "another with its row number"})
        assert found(server, "seven") == [] and found(server, "number") == [again]


def test_the_best_come_first_and_pages_follow(tmp_path, settings):
    with serving(app(tmp_path, "pages"), env=settings) as server:
        late = add(server, "books", {"chapters": [{"text": "wombat"}], "title": "z", "year": 0})
        tagged = add(server, "books", {"tags": ["wombat"], "title": "z", "year": 1})
        titled = add(server, "books", {"title": "wombat", "year": 2})
        assert found(server, "wombat") == [titled, tagged, late]
        assert found(server, "wombat", sort="year") == [late, tagged, titled]
        assert found(server, "wombat", filter="year > 0") == [titled, tagged]
        assert found(server, "wombat", filter="year > 0 && !(title = 'z')") == [titled]
        many = [add(server, "books", {"title": f"quokka {n}", "year": n % 7}) for n in range(40)]
        for more in ({}, {"sort": "-year"}, {"filter": "year < 5"}, {"fields": "title"}):
            seen, cursor, total = [], "", None
            while cursor is not None:
                page = call(server, "books", search="quokka", limit=7, count="exact",
                            **({"after": cursor} if cursor else {}), **more).json()
                seen += [item["id"] for item in page["items"]]
                cursor, total = page["next"], page["total"]
            wanted = [one for n, one in enumerate(many) if "filter" not in more or n % 7 < 5]
            assert sorted(seen) == sorted(wanted) and total == len(wanted)
        cursor = call(server, "books", search="quokka", limit=7).json()["next"]
        for other in ({}, {"search": "wombat"}, {"search": "quokka", "sort": "year"},
                      {"search": "quokka", "filter": "year=1"}):
            assert "after" in refused(server, 400, after=cursor, **other)
        other = cursor[:-2] + ("BB" if cursor.endswith("AA") else "AA")
        assert "after" in refused(server, 400, search="quokka", after=other)


def test_only_what_may_be_read_is_found_and_counted(tmp_path, settings):
    with serving(app(tmp_path, "rules"), program=DAIS_BIN.with_name("dais-identity"), env=settings) as server:
        own = add(server, "drafts", {"text": "hidden wombat"}, "ada")
        shared = add(server, "drafts", {"text": "open wombat", "state": "open"}, "ada")
        add(server, "drafts", {"text": "another wombat"}, "bob")
        assert sorted(found(server, "wombat", "drafts", "ada")) == sorted([own, shared])
        assert found(server, "wombat", "drafts") == [shared]
        assert call(server, "drafts", search="wombat", count="exact").json()["total"] == 1
        assert found(server, "hidden", "drafts", "bob") == []


def test_what_cannot_be_searched_is_told(tmp_path, settings):
    with serving(app(tmp_path, "refused"), env=settings) as server:
        one = add(server, "books", {"title": "x"})
        assert "1024 bytes" in refused(server, 400, search="x" * 1025)
        assert "no word" in refused(server, 400, search="?!")
        assert "leave out" in refused(server, 400, search="-x")
        assert "20" in refused(server, 400, search=" ".join("abcdefghijklmnopqrstuvw"))
        assert "trash" in refused(server, 400, search="x", trash="only")
        assert "cannot be searched" in refused(server, 400, "plain", search="x")
        refused(server, 404, "missing", search="x")
        for text in ("title:x", '" OR 1=1 --', "x' | 'x", "^x", "x:*", "{title}: x", "NEAR(x y)", "x\x00y", "\\' x",
                     "%", "x AND", "😀 x", "\u202ex"):
            assert call(server, "books", search=text).status in (200, 400), text
        assert found(server, "x") == [one]


def test_an_index_is_built_while_the_app_serves(tmp_path, settings):
    folder = app(tmp_path, "built", "title")
    rand = random.Random(7)
    with serving(folder, env=settings) as server:
        def many(_):
            return [add(server, "books", {"title": f"old {rand.choice(WORDS)}", "tags": [f"tag{n % 3}"]})
                    for n in range(120)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ids = [one for some in pool.map(many, range(4)) for one in some]
        assert found(server, "tag1") == []
    app(tmp_path, "built")
    with serving(folder, env=settings) as server:
        changed = [call(server, f"books/{one}", "PATCH", {"tags": ["changed"]}).status for one in ids[::9]]
        assert set(changed) == {200}
        deadline = time.monotonic() + 120
        while (answer := call(server, "books", search="changed")).status == 503:
            assert "is being built" in answer.json()["detail"]
            assert time.monotonic() < deadline
        left = [one for n, one in enumerate(ids) if n % 9]
        for n in range(3):
            page = call(server, "books", search=f"tag{n}", limit=1000, sort="id", count="exact").json()
            wanted = sorted(one for k, one in enumerate(ids) if k % 9 and k % 120 % 3 == n)
            assert [item["id"] for item in page["items"]] == wanted and page["total"] == len(wanted)
        assert len(found(server, "changed", limit=1000)) == len(ids) - len(left)
