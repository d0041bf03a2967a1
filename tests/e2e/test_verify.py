# `dais verify`: every row and every byte is read again, and what is damaged is set aside by whoever keeps it.
import contextlib
import dataclasses
import hashlib
import itertools
import json
import pathlib
import sqlite3
import subprocess

import pytest

from accounts_api import ask, desk, joined
from conftest import DAIS_BIN, clean_env, wait_for
from documents import DATABASES, call
from postgres import Postgres
from serving import serving, write_app
from stores import bucket_of, env_of, in_folder, object_store, stand_in

MANIFEST = """web: { root: web }
files:
  docs: { owner: false, rules: { read: public, create: public, write: public } }
  own: { scope: user }
collections:
  notes: { owner: false, rules: { read: public, create: public, write: public } }
"""
NOW = "2026-01-02T03:04:05.678Z"
NUMBERS = itertools.count(1)


@dataclasses.dataclass
class Database:
    """One of its own on a Postgres, or the SQLite file that an app has in its data folder."""
    cluster: Postgres = None
    name: str = ""

    @property
    def env(self):
        return {"DATABASE_URL": self.cluster.url_at(self.cluster.port, database=self.name)} if self.cluster else {}

    def sql(self, app, data, text, *values):
        """Rows; of a Postgres all is text."""
        if not self.cluster:
            with contextlib.closing(sqlite3.connect(data / f"apps/{app}/app.db", timeout=60)) as db, db:
                return db.execute(text, values).fetchall()
        pieces = text.split("?")
        literals = [f"'{value}'" if isinstance(value, str) else str(value) for value in values]
        text = "".join(a + b for a, b in zip(pieces, [*literals, ""], strict=True))
        return [tuple(row) for row in self.cluster.query(f"SET search_path TO {app}; {text}", self.name)]


@dataclasses.dataclass
class Place:
    app: pathlib.Path
    data: pathlib.Path
    keys: dict
    database: Database

    @property
    def bucket(self):
        return bucket_of(self.data)

    @property
    def env(self):
        return {**self.database.env, **env_of(self.bucket)}

    def serve(self, env=None):
        return serving(self.app, "--data", self.data, env={**self.database.env, **(env or {})})

    def sql(self, text, *values):
        return self.database.sql("app", self.data, text, *values)

    def put(self, path, content, bucket="docs", space="", owner=""):
        """As an upload leaves it: bytes, their row, the file's, the sum."""
        sha = hashlib.sha256(content).hexdigest()
        key = self.keys.setdefault(sha, f"{sha}-{len(self.keys):012}")
        blob = self.blob(content)
        if self.bucket:
            self.bucket.store(f"app/{key[:2]}/{key}", content)
        else:
            blob.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            blob.write_bytes(content)
        self.sql("INSERT INTO dais_blobs VALUES (?, ?, ?, NULL, 0) ON CONFLICT DO NOTHING", sha, key, len(content))
        self.sql("INSERT INTO dais_files VALUES (?, ?, ?, ?, ?, ?, 'text/plain', 0, 1, ?, ?)", bucket, space, path,
                 owner, sha, len(content), NOW, NOW)
        self.sql("INSERT INTO dais_file_use VALUES (?, ?, ?, 1) ON CONFLICT (bucket, owner) DO UPDATE SET"
                 " bytes = dais_file_use.bytes + excluded.bytes, files = dais_file_use.files + 1",
                 bucket, owner, len(content))
        return blob

    def key(self, content):
        return self.keys[hashlib.sha256(content).hexdigest()]

    def blob(self, content):
        key = self.key(content)
        return self.blobs / key[:2] / key

    @property
    def blobs(self):
        return self.bucket.folder / "app" if self.bucket else self.data / "apps/app/files/blobs"

    def aside(self):
        return [path.name for path in (self.data / "apps/app/files").glob("damaged/*")]

    def moved(self, *contents):
        """Their blobs, as aside() has them: what is in a bucket stays where it is."""
        return [] if self.bucket else sorted(self.key(content) for content in contents)

    def user(self, word, who):
        subprocess.run([DAIS_BIN, "user", word, who, self.app, "--data", self.data, "--yes"],
                       env=clean_env(self.app, self.env), capture_output=True, timeout=300, check=True)

    def verify(self, *flags, code=0, env=None):
        done = subprocess.run([DAIS_BIN, "verify", self.app, "--data", self.data, *flags],
                              env=clean_env(self.app, {**self.env, **(env or {})}), capture_output=True, text=True,
                              timeout=300, check=False)
        assert done.returncode == code and "Sanitizer" not in done.stderr, (done.returncode, done.stdout, done.stderr)
        return done.stdout if code in (0, 10) else done.stderr

    def events(self):
        done = subprocess.run([DAIS_BIN, "events", self.app, "--data", self.data, "--kind", "data.damaged", "--json"],
                              env=clean_env(self.app, self.env), capture_output=True, timeout=300, check=True)
        return [item for line in done.stdout.splitlines() for item in json.loads(line)["items"]]


@pytest.fixture(name="cluster", scope="module")
def _cluster():
    with Postgres() as cluster:
        yield cluster


@pytest.fixture(name="database", params=DATABASES)
def _database(request):
    if request.param == "sqlite":
        return Database()
    found = Database(request.getfixturevalue("cluster"), f"verify{next(NUMBERS)}")
    found.cluster.query(f"CREATE DATABASE {found.name}")
    return found


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(name="place")
def _place(tmp_path, database):
    app = write_app(tmp_path / "app", {"web/index.html": "hello"}, MANIFEST)
    place = Place(app, tmp_path / "data", {}, database)
    with place.serve() as server:
        assert call(server, "POST", "/api/notes", {"n": 1}).status == 201
        assert call(server, "GET", "/api/files/docs", user=None).status == 200
    return place


@pytest.fixture(name="server")
def _server(place):
    with place.serve() as server:
        yield server


def spoil(blob, at=0):
    blob.write_bytes(blob.read_bytes()[:at] + b"?" + blob.read_bytes()[at + 1:])


def get(server, path):
    return call(server, "GET", path, user=None)


def test_nothing_is_wrong(place):
    place.put("a.txt", b"a" * 100)
    place.put("same.txt", b"a" * 100)
    place.put("b/c.txt", b"")
    said = place.verify()
    assert "app: 3 files, 2 contents of 0.0 MB: all as stored\n" in said and "1 document" in said
    found = json.loads(place.verify("--json"))
    assert found["ok"] and found["found"][-1] == {
        "kind": "files", "app": "app", "files": 3, "contents": 2, "bytes": 100, "damaged": 0, "missing": 0,
        "unreadable": 0, "mended": 0, "unneeded": 0}
    assert not place.aside() and not place.events()


@ON_SQLITE
def test_nothing_is_stored(tmp_path, database):
    place = Place(write_app(tmp_path / "app", {"web/index.html": "hello"}, MANIFEST), tmp_path / "data", {}, database)
    assert "nothing is stored yet" in place.verify()
    assert not place.data.exists()


@pytest.mark.parametrize("beside", [True, False], ids=["beside a server", "alone"])
def test_damage_is_told_and_set_aside(place, beside):
    place.put("fine.txt", b"fine")
    spoil(place.put("bad.txt", b"bad" * 1000), 1234)
    place.put("also/bad.txt", b"bad" * 1000).unlink()
    place.put("gone.txt", b"gone").unlink()
    spoil(place.put("mine.txt", b"mine", "own", "u1", "u1"))
    (place.blob(b"bad" * 1000)).write_bytes(b"bad" * 999 + b"xyz")
    with place.serve() if beside else contextlib.nullcontext() as server:
        dry = place.verify("--dry-run", code=10)
        assert not place.aside() and not place.events()
        said = place.verify(code=10)
        for line in ("app, docs/bad.txt: damaged: ", "app, docs/also/bad.txt: damaged: ",
                     "app, docs/gone.txt: missing: ", "app, own/mine.txt of u1: damaged: ",
                     "2 damaged, 1 missing, 0 unreadable"):
            assert line in said and line in dry, said
        assert "app: 3 set aside; nobody is sent them" in said and "set aside" not in dry and "fine.txt" not in said
        assert "is whole again once the same content is sent again" in said
        assert sorted(place.aside()) == place.moved(b"bad" * 1000, b"mine")
        assert len(place.events()) == 3
        again = place.verify("--json", code=10)
        items = {item.get("path"): item for item in json.loads(again)["found"]}
        bad = items["bad.txt"]
        assert bad["kind"] == ("damaged" if place.bucket else "missing") and bad["bucket"] == "docs"
        assert items["mine.txt"]["user"] == "u1"
        assert bad["blob"] == hashlib.sha256(b"bad" * 1000).hexdigest()
        assert len(place.events()) == 3
        if beside:
            for path in ("bad.txt", "gone.txt"):
                answer = get(server, f"/api/files/docs/{path}")
                assert answer.status == 500 and answer.json()["code"] == "damaged", answer.body
            assert get(server, "/api/files/docs/fine.txt").body == b"fine"


def test_what_is_fine_again_is_sent_again(place, server):
    blob = place.put("a.txt", b"content")
    spoil(blob)
    assert "1 set aside; nobody is sent it" in place.verify(code=10)
    assert get(server, "/api/files/docs/a.txt").status == 500
    blob.write_bytes(b"content")  # from a backup
    assert "docs/a.txt: mended: It was damaged, and is fine again." in place.verify("--dry-run")
    assert get(server, "/api/files/docs/a.txt").status == 500
    assert "1 fine again" in place.verify()
    assert get(server, "/api/files/docs/a.txt").body == b"content"
    assert "mended" not in place.verify()


def test_a_read_marks_it_too(place, server):
    place.put("a.txt", b"content").write_bytes(b"cont")
    place.put("b.txt", b"other").unlink()
    for path in ("a.txt", "b.txt"):
        for _ in range(2):
            answer = get(server, f"/api/files/docs/{path}")
            assert answer.status == 500 and answer.json()["code"] == "damaged"
    assert len(place.events()) == 2 and place.aside() == place.moved(b"content")
    assert "(This was known.)" in place.verify(code=10)


def test_rows_that_do_not_fit(place):
    for name in ("a", "b", "c", "d", "e"):
        place.put(name, name.encode())
    sha = {name: hashlib.sha256(name.encode()).hexdigest() for name in "abcde"}
    place.sql("DELETE FROM dais_blobs WHERE hash = ?", sha["a"])
    place.sql("UPDATE dais_files SET size = 7 WHERE path = 'b'")
    place.sql("UPDATE dais_blobs SET loose_at = 1 WHERE hash = ?", sha["c"])
    place.sql("UPDATE dais_blobs SET blob_key = ? WHERE hash = ?", "../../../../../../etc/passwd", sha["d"])
    place.sql("UPDATE dais_blobs SET blob_key = ? WHERE hash = ?", place.keys[sha["a"]], sha["e"])
    said = place.verify(code=10)
    for line in ("docs/a: missing: It is not known where", "docs/b: damaged: Its row says another size",
                 "docs/c: damaged: Its bytes are taken for unneeded", "docs/d: damaged: Its row names bytes of another",
                 "docs/e: damaged: Its row names bytes of another", "app, docs: damaged: The sum that its quota"):
        assert line in said, said
    with place.serve() as server:
        assert get(server, "/api/files/docs/d").status == 500


def test_sizes_that_no_file_has(place):
    for name in "abcdefghijkl":
        place.put(name, name.encode())
    place.sql("UPDATE dais_files SET size = 1000000000000000000")
    said = place.verify(code=10)
    assert said.count("Its row says a size that no file has.") == 12 and "overflow" not in said, said
    place.verify(code=10)


@in_folder("its folder is moved")
def test_no_folder_of_blobs(place):
    place.put("a.txt", b"content")
    (place.data / "apps/app/files").rename(place.data / "elsewhere")
    assert "docs/a.txt: missing: The folder of the stored files is not there." in place.verify("--dry-run", code=10)
    assert not (place.data / "apps/app/files").exists()


@ON_SQLITE
def test_a_torn_database(place):
    for i in range(200):
        assert place.sql("INSERT INTO dais_file_use VALUES (?, ?, 0, 0)", "docs", f"owner{i:050}" * 3) == []
    file = place.data / "apps/app/app.db"
    page = place.sql("PRAGMA page_size")[0][0]
    root = place.sql("SELECT rootpage FROM sqlite_master WHERE name = 'dais_file_use'")[0][0]
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(file, "r+b") as f:
        f.seek((root - 1) * page + 20)
        f.write(b"\xff" * 60)
    done = subprocess.run([DAIS_BIN, "verify", place.app, "--data", place.data], env=clean_env(place.app, place.env),
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (10, 11), done
    assert "database: damaged: " in done.stdout, done


# ---- files as they are sent ---------------------------------------------------------------------
def get_uncached(place, server, path):
    for block in (place.data / "apps/app/files/cache").iterdir():
        block.unlink(missing_ok=True)
    return get(server, path)


def sent(server, path, content):
    return call(server, "PUT", path, content, user=None, Content_Type="text/plain")


def test_the_same_content_mends_it(place, server):
    assert sent(server, "/api/files/docs/a.txt", b"content").status == 201
    assert sent(server, "/api/files/docs/b.txt", b"content").status == 201
    wait_for(lambda: len(list(place.blobs.glob("??/*-*"))) == 1, "the end of what came twice")
    spoil(next(place.blobs.glob("??/*-*")))
    said = place.verify(code=10)
    assert "docs/a.txt: damaged" in said and "docs/b.txt: damaged" in said and "1 damaged, 0 missing" in said
    for name in "ab":
        assert get(server, f"/api/files/docs/{name}.txt").json()["code"] == "damaged"
    assert sent(server, "/api/files/docs/c.txt", b"content").status == 201
    for name in "abc":
        assert get(server, f"/api/files/docs/{name}.txt").body == b"content"
    assert "3 files, 1 content of 0.0 MB: all as stored" in place.verify()


def test_an_object_store(place):
    with object_store(place.data) as s3:
        env = env_of(s3)
        with place.serve(env) as server:
            for name in ("fine", "bad", "short", "gone"):
                assert sent(server, f"/api/files/docs/{name}", name.encode() * 100).status == 201
            objects = {one.body: key for key, one in s3.objects.items() if b"\n" not in one.body and one.size >= 300}
            s3.store(objects[b"bad" * 100], b"bad" * 99 + b"xyz")
            s3.store(objects[b"short" * 100], b"short")
            del s3.objects[objects[b"gone" * 100]]
            for beside in (True, False):
                said = place.verify("--dry-run", code=10, env=env)
                assert "docs/bad: damaged" in said and "docs/short: damaged" in said and "docs/gone: missing" in said
                assert "docs/fine" not in said and "2 damaged, 1 missing, 0 unreadable" in said, beside
            place.verify(code=10, env=env)
            for name in ("bad", "short", "gone"):  # though the cache had them
                assert get(server, f"/api/files/docs/{name}").status == 500
                assert sent(server, f"/api/files/docs/{name}", name.encode() * 100).status in (200, 201)
                assert get(server, f"/api/files/docs/{name}").body == name.encode() * 100
            assert "all as stored" in place.verify(env=env)


@stand_in("it denies what it is told to")
def test_an_object_store_that_denies(place):
    with object_store(place.data) as s3, place.serve(env_of(s3)) as server:
        assert sent(server, "/api/files/docs/a", b"a").status == 201
        s3.denied = {"get", "head"}
        assert "verify" in place.verify(code=11, env=env_of(s3))
        answer = get_uncached(place, server, "/api/files/docs/a")
        assert answer.status == 503 and not place.events()
        s3.denied = set()
        wait_for(lambda: get(server, "/api/files/docs/a").body == b"a", "the store to be asked again", 90)


def test_what_an_object_store_sends_is_looked_at(place):
    """Without its cache: bytes that are others, too few, gone."""
    large = bytes(range(251)) * 80000  # two and a half blocks
    with object_store(place.data) as s3, place.serve(env_of(s3)) as server:
        for name in ("bad", "short", "gone"):
            assert sent(server, f"/api/files/docs/{name}", name.encode() * 100).status == 201
        assert sent(server, "/api/files/docs/large", large).status == 201
        keys = {one.body[:9]: key for key, one in s3.objects.items()}
        s3.store(keys[b"badbadbad"], b"bad" * 99 + b"xyz")
        s3.store(keys[b"shortshor"], b"short")
        del s3.objects[keys[b"gonegoneg"]]
        for name in ("bad", "short", "gone"):
            answer = get_uncached(place, server, f"/api/files/docs/{name}")
            assert answer.status == 500 and answer.json()["code"] == "damaged", (name, answer.body)
        assert len(place.events()) == 3
        assert get(server, "/api/files/docs/large").body == large
        part = call(server, "GET", "/api/files/docs/large", user=None, Range="bytes=8388600-8388620")
        assert part.status == 206 and part.body == large[8388600:8388621]


# ---- whose they are -----------------------------------------------------------------------------
def test_an_account_and_its_files(tmp_path, database):
    files = "files:\n  docs: { owner: true }\n"

    def sql(text):
        return database.sql("desk", tmp_path / "data", text)
    with desk("sqlite", tmp_path, files, env=database.env) as server:
        ann, bob = joined(server, "ann"), joined(server, "bob")
        for who in (ann, bob):
            answer = ask(server, "PUT", f"/api/files/docs/of-{who.id}.txt", who.id.encode(), token=who.token,
                         Content_Type="text/plain")
            assert answer.status == 201, answer.body
        lines = [json.loads(line) for line in
                 ask(server, "GET", "/api/auth/me/export", token=ann.token).body.splitlines()]
        mine, = (line["file"] for line in lines if "file" in line)
        assert (mine["bucket"], mine["path"]) == ("docs", f"of-{ann.id}.txt") and mine["size"] == len(ann.id)
        assert "account" in lines[0] and bob.id not in json.dumps(lines)
        answer = ask(server, "DELETE", "/api/auth/me", {"password": ann.password}, token=ann.token)
        assert answer.status in (200, 202, 204), answer.body
        wait_for(lambda: sql("SELECT owner FROM dais_files") == [(bob.id,)], "the files of who left to go", 90)
        assert sql("SELECT owner FROM dais_file_use WHERE bytes > 0") == [(bob.id,)]
        assert len(sql("SELECT hash FROM dais_blobs WHERE loose_at IS NOT NULL")) == 1


def test_files_of_before_accounts_change_hands(tmp_path, database):
    app, data = tmp_path / "app", tmp_path / "data"
    place = Place(write_app(app, {"web/index.html": "hello"}, "web: { root: web }\nfiles: { docs: { owner: true } }\n"),
                  data, {}, database)
    with place.serve() as server:
        assert call(server, "GET", "/api/files/docs", user=None).status == 200
    place.put("a.txt", b"content", owner="local")
    write_app(app, {"web/index.html": "hello"},
              "web: { root: web }\nauth: { signup: open }\nfiles: { docs: { owner: true } }\n")
    with place.serve() as server:
        ann, bob = joined(server, "ann"), joined(server, "bob")
        assert ask(server, "GET", "/api/files/docs/a.txt", token=ann.token).status == 404
        place.user("adopt", ann.email)
        assert ask(server, "GET", "/api/files/docs/a.txt", token=ann.token).body == b"content"
        assert ask(server, "GET", "/api/files/docs/a.txt", token=bob.token).status == 404
    place.sql("UPDATE dais_files SET owner = 'local'")
    place.sql("UPDATE dais_file_use SET owner = 'local'")
    place.user("adopt", bob.email)  # without a server
    assert place.sql("SELECT owner FROM dais_files") == [(bob.id,)]
    assert "all as stored" in place.verify()
