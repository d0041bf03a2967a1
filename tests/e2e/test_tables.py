# Tables that change while the app serves, on both databases: new fields and indexes, what is hidden, seeds, the trash.
import contextlib
import itertools
import json
import signal
import sqlite3

import pytest

import postgres
from conftest import fetch, wait_for
from serving import serving, write_app

OPEN = "rules: { read: public, create: public, write: public, delete: public }"
WHEN = "2026-01-01T00:00:00.000Z"
NUMBERS = itertools.count(1)  # each has a schema of its own


class Lite:
    """The app's file, read and written beside the server."""

    def __init__(self, folder):
        self.folder, self.env = folder, {}

    def query(self, sql):
        file = self.folder / "data/apps" / self.folder.name / "app.db"
        with contextlib.closing(sqlite3.connect(file, timeout=60)) as db:
            rows = [["" if value is None else str(value) for value in row] for row in db.execute(sql)]
            db.commit()
            return rows


class Elephant:
    def __init__(self, server, folder):
        self.server, self.schema = server, folder.name
        self.env = {"DATABASE_URL": server.url}

    def query(self, sql):
        return self.server.query(f'SET search_path TO "{self.schema}"; {sql}')


@pytest.fixture(name="pg", scope="module")
def fixture_pg():
    why = postgres.why_not()
    assert not why, why
    with postgres.Postgres() as server:
        yield server


@pytest.fixture(name="db", params=["sqlite", "postgres"])
def fixture_db(request, tmp_path):
    folder = tmp_path / f"table{next(NUMBERS)}"
    folder.mkdir()
    if request.param == "sqlite":
        yield folder, Lite(folder)
    else:
        yield folder, Elephant(request.getfixturevalue("pg"), folder)


def manifest(folder, notes, more=""):
    write_app(folder, {}, f"collections:\n  notes: {{ {notes}{', ' if notes else ''}{OPEN} }}\n{more}")


def call(server, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    return fetch(server, path, method, {"Content-Type": "application/json"}, data)


def served(folder, db):
    return serving(folder, env=db.env)


def until(check):
    return wait_for(check, "it came true", 120)


def doc_id(n):
    return f"0seeded{n:014d}"


def put_rows(db, n, make=lambda i: {"status": f"s{i % 3}", "title": f"t{i}", "secret": i}, start=0):
    """Rows as a server without indexes would have left them."""
    for low in range(start, start + n, 250):
        rows = []
        for i in range(low, min(low + 250, start + n)):
            body = json.dumps({"id": doc_id(i), "version": 1, "owner": None, "created": WHEN, "updated": WHEN,
                               **make(i)})
            rows.append(f"('{doc_id(i)}', 1, '{WHEN}', '{WHEN}', '{body}')")
        db.query(f"INSERT INTO c_notes (id, version, created, updated, body) VALUES {', '.join(rows)}")


def made(folder, db):
    """The tables, without anything in them."""
    manifest(folder, "")
    with served(folder, db) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(0)).status == 404


def cursor(db):
    found = db.query("SELECT value FROM dais_meta WHERE name = 'fill notes'")
    return found[0][0] if found else "~"  # behind all ids


def states(db):
    return {spec: state for spec, state in db.query("SELECT spec, state FROM dais_indexes ORDER BY spec")}


def is_settled(db):
    return not db.query("SELECT 1 FROM dais_meta WHERE name LIKE 'fill %'") and "building" not in states(db).values()


def columns(db):
    return {path: number for path, number in db.query("SELECT path, number FROM dais_fields WHERE state = 'ready'")}


# ---- new fields and indexes -----------------------------------------------------------------------
def test_an_index_on_a_table_with_rows(db):
    folder, data = db
    made(folder, data)
    put_rows(data, 3500)
    manifest(folder, "indexes: [ status, [ -title, status ] ], unique: [ title ]")
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(1)).status == 200
        during = call(server, "POST", "/api/notes", {"status": "new", "title": "new"})
        assert during.status == 201
        until(lambda: is_settled(data))
        assert set(states(data).values()) == {"ready"}
        assert call(server, "POST", "/api/notes", {"title": "t7"}).status == 409
    assert set(columns(data)) == {"status", "title"}
    k, = [f"k{number}" for path, number in columns(data).items() if path == "status"]
    assert data.query(f"SELECT count(*) FROM c_notes WHERE {k} IS NULL") == [["0"]]
    groups = data.query(f"SELECT count(*) FROM c_notes GROUP BY {k} ORDER BY 1")
    assert groups == [["1"], ["1166"], ["1167"], ["1167"]]


def test_killed_at_any_point_it_goes_on(db):
    folder, data = db
    made(folder, data)
    put_rows(data, 6000)
    manifest(folder, "indexes: [ status ], unique: [ title ], hidden: [ secret ]")
    kills = 0
    for rows in (1, 1500, 3500, 5500, 6000):
        with served(folder, data) as server:
            assert call(server, "GET", "/api/notes/" + doc_id(1)).json().get("secret") is None
            until(lambda: is_settled(data) or cursor(data) >= doc_id(rows - 1))
            kills += not is_settled(data)
            server.kill()
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(1)).status == 200
        until(lambda: is_settled(data))
    assert set(states(data).values()) == {"ready"} and kills
    nulls = " OR ".join(f"k{number} IS NULL" for number in columns(data).values())
    assert data.query(f"SELECT count(*) FROM c_notes WHERE shown IS NULL OR {nulls}") == [["0"]]
    assert data.query("SELECT count(*) FROM c_notes WHERE shown LIKE '%secret%'") == [["0"]]


def test_documents_that_break_a_unique(db, run_dais):
    folder, data = db
    made(folder, data)
    put_rows(data, 200, lambda i: {"title": f"t{i // 2}"})
    manifest(folder, "unique: [ title ]")
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(1)).status == 200
        until(lambda: states(data) == {"unique:title": "violated"})
        until(lambda: "break a unique" in server.stderr)
        assert call(server, "POST", "/api/notes", {"title": "t3"}).status == 409
        assert call(server, "POST", "/api/notes", {"title": "free"}).status == 201
        told = run_dais("check", folder, "--stored", env=data.env)
        assert told.returncode == 10, told.stderr
        assert f"notes {doc_id(7)} /title: is the same as in {doc_id(6)}, and must be unique" in told.stdout
        assert "201 documents, 100 of them break" in told.stdout
    for i in range(0, 200, 2):
        data.query(f"DELETE FROM c_notes WHERE id = '{doc_id(i)}'")
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(1)).status == 200
        until(lambda: states(data) == {"unique:title": "ready"})
    assert run_dais("check", folder, "--stored", env=data.env).returncode == 0


def test_what_goes_and_comes_back(db):
    """A field's column is not used again: changes made meanwhile are not in it."""
    folder, data = db
    manifest(folder, "indexes: [ status ]")
    with served(folder, data) as server:
        first = call(server, "POST", "/api/notes", {"status": "a"}).json()["id"]
    assert states(data) == {"status": "ready"}
    manifest(folder, "")
    with served(folder, data) as server:
        assert call(server, "PUT", "/api/notes/" + first, {"status": "b"}).status == 200
    assert not states(data)
    manifest(folder, "indexes: [ status ]")
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + first).status == 200
        until(lambda: states(data) == {"status": "ready"})
    assert columns(data) == {"status": "2"}
    assert data.query("SELECT count(*) FROM c_notes WHERE k2 = (SELECT k2 FROM c_notes WHERE k2 <> k1)") == [["1"]]


# ---- hidden ---------------------------------------------------------------------------------------
def test_what_is_hidden_now_is_never_seen(db):
    folder, data = db
    made(folder, data)
    put_rows(data, 2500)
    manifest(folder, "hidden: [ secret ]")
    with served(folder, data) as server:
        while not is_settled(data):
            assert "secret" not in call(server, "GET", "/api/notes/" + doc_id(2499)).json()
            for query in ("?sort=-id&limit=3", "?filter=title='t2499'", "?fields=secret,title&sort=-id&limit=3"):
                answer = call(server, "GET", "/api/notes" + query)
                assert answer.status != 200 or b"secret" not in answer.body, answer.body
            listed = call(server, "GET", "/api/notes?sort=-id&limit=3")
            assert listed.status == 200 and len(listed.json()["items"]) == 3, listed.body
            assert b"secret" not in call(server, "GET", "/api/notes/export?format=jsonl").body
        assert "secret" not in call(server, "GET", "/api/notes/" + doc_id(2499)).json()
    manifest(folder, "hidden: [ title ]")
    with served(folder, data) as server:
        for _ in range(20):
            seen = call(server, "GET", "/api/notes/" + doc_id(2499)).json()
            assert seen["secret"] == 2499 and "title" not in seen
        until(lambda: is_settled(data))
        seen = call(server, "GET", "/api/notes/" + doc_id(2499)).json()
        assert seen["secret"] == 2499 and "title" not in seen


def test_a_reload_in_between_keeps_every_key(db):
    """Writes of the old reading that are under way are not left without the new column."""
    folder, data = db
    manifest(folder, "")
    ids, refused = [], 0
    with served(folder, data) as server:
        for n in range(120):
            if n == 40:
                manifest(folder, "indexes: [ status ]")
                server.proc.send_signal(signal.SIGHUP)
            answer = call(server, "POST", "/api/notes", {"status": f"s{n % 2}"})
            assert answer.status in (201, 503), answer
            refused += answer.status == 503
            if answer.status == 201:
                ids.append(answer.json()["id"])
        until(lambda: "reloaded" in server.stderr)
        call(server, "GET", "/api/notes/" + ids[0])
        until(lambda: states(data) == {"status": "ready"} and is_settled(data))
    assert refused <= 2
    assert data.query("SELECT count(*) FROM c_notes WHERE k1 IS NULL") == [["0"]]
    assert len(data.query("SELECT k1, count(*) FROM c_notes GROUP BY k1")) == 2


# ---- history and trash ----------------------------------------------------------------------------
def test_fewer_versions(db):
    folder, data = db
    manifest(folder, "versions: 9")
    with served(folder, data) as server:
        made_id = call(server, "POST", "/api/notes", {"n": 0}).json()["id"]
        for n in range(1, 8):
            assert call(server, "PUT", "/api/notes/" + made_id, {"n": n}).status == 200
    assert data.query("SELECT count(*) FROM h_notes") == [["7"]]
    manifest(folder, "versions: 3")
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + made_id).status == 200
        until(lambda: is_settled(data))
    assert data.query("SELECT version FROM h_notes ORDER BY version") == [["6"], ["7"]]


def test_the_trash_is_emptied(db):
    folder, data = db
    manifest(folder, "trash: 30d")
    with served(folder, data) as server:
        ids = [call(server, "POST", "/api/notes", {"n": n}).json()["id"] for n in range(3)]
        assert call(server, "DELETE", "/api/notes/" + ids[0]).status == 204
        assert call(server, "DELETE", "/api/notes/" + ids[1]).status == 204
    data.query(f"UPDATE c_notes SET deleted = '{WHEN}' WHERE id = '{ids[0]}'")
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + ids[2]).status == 200
        until(lambda: data.query("SELECT count(*) FROM c_notes") == [["2"]])
    assert sorted(row[0] for row in data.query("SELECT id FROM c_notes")) == sorted(ids[1:])


# ---- seeds ----------------------------------------------------------------------------------------
def test_answers_are_kept_for_a_day(db):
    folder, data = db
    made(folder, data)
    blob = "x'{}'" if isinstance(data, Lite) else "'\\x{}'"
    rows = [f"({blob.format(f'{n:064x}')}, {blob.format('00')}, {1 if n < 150 else 4102444800000}, 200)"
            for n in range(151)]
    data.query("INSERT INTO dais_once (id, body, at, status) VALUES " + ", ".join(rows))
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes").status == 200
        until(lambda: data.query("SELECT count(*) FROM dais_once") == [["1"]])


def seed(folder, name, text):
    (folder / "seed").mkdir(exist_ok=True)
    (folder / "seed" / name).write_text(text)


SEEDED = '  tags: { rules: { read: public, create: public } }\n'


def test_seeds_are_loaded_once(db):
    folder, data = db
    manifest(folder, "unique: [ title ], refs: { tag: tags }", SEEDED)
    one = {"id": doc_id(1), "title": "one", "owner": "anna", "tag": doc_id(9)}
    seed(folder, "notes.jsonl", json.dumps(one) + "\n\n" + json.dumps({"title": "two"}) + "\n")
    seed(folder, "tags.json", json.dumps([{"id": doc_id(9), "name": "x"}]))
    for _ in range(2):
        with served(folder, data) as server:
            assert call(server, "GET", "/api/notes/" + doc_id(1)).json()["owner"] == "anna"
            assert call(server, "GET", "/api/tags/" + doc_id(9)).json()["owner"] is None
        assert data.query("SELECT count(*) FROM c_notes") == [["2"]]
        seed(folder, "notes.jsonl", json.dumps({"title": "three"}))
    assert data.query("SELECT count(*) FROM dais_meta WHERE name LIKE 'seed %'") == [["2"]]


@pytest.mark.parametrize("text,says", [
    ('{"title": "a"}\n{"title": "a"}\n', "seed/notes.jsonl:2"),
    ('{"title": "a"}\n\n{"title": \n', "seed/notes.jsonl:3"),
    ('{"title": "a"}\n[]\n', "seed/notes.jsonl:2"),
    ('{"title": "a", "id": "short"}\n', "seed/notes.jsonl:1"),
    ('{"title": "a", "owner": 7}\n', "seed/notes.jsonl:1"),
])
def test_of_a_wrong_seed_nothing_is_loaded(tmp_path, text, says, run_dais):
    folder = tmp_path / "wrong"
    folder.mkdir()
    manifest(folder, "unique: [ title ]", SEEDED)
    seed(folder, "notes.jsonl", text)
    seed(folder, "tags.json", '[{"name": "x"}]')
    data = Lite(folder)
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(1)).status == 404
        assert server.says(says) and server.says("nothing of the seed was loaded")
    assert data.query("SELECT (SELECT count(*) FROM c_notes) + (SELECT count(*) FROM c_tags)") == [["0"]]
    if says != "seed/notes.jsonl:2" or text.endswith("[]\n"):  # what only the database knows
        told = run_dais("check", folder)
        assert told.returncode == 1 and says in told.stdout
    seed(folder, "notes.jsonl", '{"title": "a"}\n')
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(1)).status == 404
    assert data.query("SELECT count(*) FROM c_notes") == [["1"]]


# ---- dais check --stored --------------------------------------------------------------------------
def test_stored_documents_are_compared_with_the_manifest(db, run_dais):
    folder, data = db
    manifest(folder, "", "  old: { rules: { read: public, create: public } }\n")
    assert run_dais("check", folder, "--stored", env=data.env).returncode == 0
    with served(folder, data) as server:
        assert call(server, "GET", "/api/notes/" + doc_id(0)).status == 404
        twice = [{"key": 1}, {"key": 1}]
        put_rows(data, 120, lambda i: {"title": "x" * (i % 2 * 10), "tag": doc_id(1), "steps": twice})
        (folder / "n.json").write_text(json.dumps({"properties": {"title": {"maxLength": 5}, "tag": {}, "steps": {}}}))
        manifest(folder, "schema: n.json, refs: { tag: tags }, checks: [ \"unique_keys(steps, 'key')\" ]", SEEDED)
        told = run_dais("check", folder, "--stored", "--json", env=data.env)
        assert told.returncode == 10, told.stdout + told.stderr
        items = json.loads(told.stdout)["stored"]
        of_one = [(i["pointer"], i["message"]) for i in items if i.get("id") == doc_id(1)]
        assert [pointer for pointer, _ in of_one] == ["/title", "/steps/1/key", "/tag"], of_one
        whole, = [i for i in items if i["kind"] == "collection" and i["collection"] == "notes"]
        assert (whole["documents"], whole["broken"]) == (120, 120)
        assert len({i["id"] for i in items if i["kind"] == "violation"}) == 100
        assert [i["collection"] for i in items if i["kind"] == "left"] == ["old"]
    assert run_dais("check", folder, "--stored", env=data.env).returncode == 10


# ---- what is told ---------------------------------------------------------------------------------
def test_readiness_figures_and_banner(db):
    folder, data = db
    manifest(folder, "")
    name = folder.name
    with served(folder, data) as server:
        ready = call(server, "GET", "/readyz")
        kind = "idle" if not data.env else "ready"
        assert ready.status == 200 and ready.json()["checks"] == {f"database:{name}": kind}
        assert call(server, "POST", "/api/notes", {"n": 1}).status == 201
        assert call(server, "GET", "/readyz").json()["checks"] == {f"database:{name}": "ready"}
        text = call(server, "GET", "/metrics").body.decode()
        assert f'dais_database_open{{app="{name}"}} 1' in text
        assert f'dais_database_commits_total{{app="{name}"}}' in text
        assert ("Postgres, as DATABASE_URL says" if data.env else "SQLite, a file for each app") in server.stdout
