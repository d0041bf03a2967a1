# An app with everything that a backup holds, its state as the API shows it, and `dais backup` for it.
"""
site = Site(folder, env=..., manifest=...)     an app folder and a data folder
with site.serve() as server:                   the real server
site.backup("create", code=0)                  what it printed; `text` of both on another code
site.made()                                    one backup of the app: its entry as JSON
Load(server, site).start() ... .stop()         writes until it is stopped; see there
state(server)                                  all there is: documents, histories, files
consistent(state)                              of one moment?
"""
import hashlib
import json
import re
import subprocess
import threading

import pytest

import postgres
import stores
from conftest import DAIS_BIN, REPORT, Broken, Conn, clean_env
from documents import DATABASES, call
from serving import serving, write_app

on_both = pytest.mark.parametrize("database", DATABASES)
needs_postgres = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-z]{4}")
ANYBODY = "rules: { read: public, create: public, write: public }"
MANIFEST = f"""web: {{ root: web }}
auth: {{ signup: open, roles: [ editor ] }}
limits: {{ login: off, signup: off, write: off, upload: off }}
collections:
  left: {{ {ANYBODY}, unique: [ key ], indexes: [ n ], search: [ words ], versions: 5 }}
  right: {{ {ANYBODY}, indexes: [ n ] }}
  shots: {{ {ANYBODY} }}
files: {{ box: {{ max: 50MB, {ANYBODY} }} }}
jobs:
  meet: {{ use: nothing, rules: {{ run: public, read: public }} }}
  save: {{ use: backup.run, rules: {{ run: public, read: public }}, retries: {{ max: 3, backoff: 100ms..200ms }} }}
"""
ROWS = ".jsonl.gz"


class Site:
    def __init__(self, folder, env=None, manifest=MANIFEST, name="desk", data=None):
        self.app = write_app(folder / name, None, manifest)
        self.data = data or folder / "data"
        self.env = {**(env or {}), **stores.env_of(stores.bucket_of(self.data))}
        self.place = self.data / "backups"
        self.folder = self.place / name

    def serve(self, env=None, **options):
        return serving(self.app, "--data", self.data, env={**self.env, **(env or {})}, **options)

    def command(self, *words, env=None):
        """[dais, words, the app and its data], and its environment."""
        return [str(DAIS_BIN), *map(str, words), str(self.app), "--data", str(self.data)], \
            clean_env(self.app, {**self.env, **(env or {})})

    def run(self, *words, code=0, env=None, before=()):
        command, env = self.command(*words, env=env)
        done = subprocess.run([*before, *command], env=env, text=True, capture_output=True, timeout=600, check=False,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == code and not REPORT.search(done.stderr), (done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stdout + done.stderr

    def backup(self, *words, **options):
        return self.run("backup", *words, **options)

    def checked(self):
        """What `dais check` says of a manifest that is wrong."""
        env = clean_env(self.app, {**self.env, "DAIS_DATA": str(self.data)})
        done = subprocess.run([DAIS_BIN, "check", self.app], env=env, text=True, capture_output=True, timeout=300,
                              check=False)
        assert done.returncode == 1 and not REPORT.search(done.stderr), done
        return done.stdout + done.stderr

    def restore(self, *words, **options):
        return self.backup("restore", "--yes", *words, **options)

    def all(self, *words):
        return json.loads(self.backup("list", "--json", *words))["backups"]

    def made(self, *words):
        """A new one of the app alone."""
        return json.loads(self.backup("create", "--app", self.app.name, "--json", *words))["made"][0]

    def rows(self, entry):
        return self.folder / (entry["name"] + ROWS)

    def entry(self, entry):
        return self.folder / (entry["name"] + ".json")

    def contents(self):
        return sorted(path for path in self.folder.glob("contents/??/*") if len(path.name) == 64)


def sealed(members):
    """The text of an entry that says this, with the digest it ends in."""
    body = json.dumps({key: value for key, value in members.items() if value is not None and key != "digest"})[:-1]
    return f'{body},"digest":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'


# ---- what there is ---------------------------------------------------------------------------------
def pages(server, path):
    after, found = "", []
    while True:
        answer = call(server, "GET", f"{path}{'&' if '?' in path else '?'}limit=100{after}", user=None)
        assert answer.status == 200, answer.body
        page = answer.json()
        found += page["items"]
        if not page.get("next"):
            return found
        after = f"&after={page['next']}"


def documents(server, name):
    answer = call(server, "GET", f"/api/{name}/export", user=None)
    assert answer.status == 200, answer.body
    return {one["id"]: one for one in map(json.loads, answer.body.decode().splitlines())}


def state(server):
    found = {name: documents(server, name) for name in ("left", "right", "shots")}
    found["files"] = {}
    for one in pages(server, "/api/files/box"):
        body = call(server, "GET", f"/api/files/box/{one['path']}", user=None)
        assert body.status == 200, (one, body)
        found["files"][one["path"]] = hashlib.sha256(body.body).hexdigest()
    found["history"] = {ident: call(server, "GET", f"/api/left/{ident}/versions", user=None).json()
                        for ident in sorted(found["left"])[:3]}
    return found


def consistent(found):
    """Whatever a transaction wrote is there as a whole, and of each writer all before its last one."""
    left, right = ({one["key"]: one for one in found[name].values()} for name in ("left", "right"))
    assert left.keys() == right.keys()
    assert all(left[key]["n"] == right[key]["n"] for key in left), "updated together"
    last = {}
    for key in left:
        writer, number = key.split("-")
        last.setdefault(writer, []).append(int(number))
    assert all(sorted(numbers) == list(range(len(numbers))) for numbers in last.values())
    for shot in found["shots"].values():  # its file was there before it
        assert found["files"].get(shot["path"]) == shot["sha"], shot
    return {writer: len(numbers) for writer, numbers in last.items()}


# ---- writing ---------------------------------------------------------------------------------------
def body_of(key):
    return hashlib.sha256(key.encode()).digest() * (1 + int(hashlib.md5(key.encode()).hexdigest(), 16) % 3000)


class Load:
    """`writers` threads, each: a pair of documents in one batch, sometimes both changed in another, then a file and a
    document that names it, and a job. `done[writer]` counts pairs that were acknowledged."""

    def __init__(self, server, writers=3, name="w"):
        self.server, self.done, self.error, self.is_over = server, {}, None, threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(f"{name}{i}",), daemon=True) for i in range(writers)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(180)
            assert not thread.is_alive()
        if self.error:
            raise self.error
        return dict(self.done)

    def count(self):
        return sum(self.done.values())

    @staticmethod
    def _ask(conn, method, path, body, statuses):
        headers = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        conn.request(path, method, headers, body if isinstance(body, bytes) else json.dumps(body).encode())
        answer = conn.read(method)
        assert answer.status in statuses, (method, path, answer.status, answer.body)
        return answer

    def _pair(self, conn, writer, number):
        key = f"{writer}-{number}"
        body = {"key": key, "n": number, "words": f"word{number} {key}"}
        made = self._ask(conn, "POST", "/api/batch", {"requests": [
            {"method": "POST", "path": f"/api/{name}", "body": body} for name in ("left", "right")]}, (200,))
        if number % 3 == 0:
            self._ask(conn, "POST", "/api/batch", {"requests": [
                {"method": "PATCH", "path": f"/api/{name}/{one['body']['id']}", "body": {"n": -number}}
                for name, one in zip(("left", "right"), made.json()["responses"])]}, (200,))

    def _file(self, conn, writer, number):
        path, body = f"{writer}/{number}.bin", body_of(f"{writer}-{number}")
        self._ask(conn, "PUT", f"/api/files/box/{path}", body, (200, 201))
        self._ask(conn, "POST", "/api/shots", {"path": path, "sha": hashlib.sha256(body).hexdigest()}, (201,))

    def _run(self, writer):
        try:
            with Conn(self.server, 120) as conn:
                for number in range(10 ** 6):
                    if self.is_over.is_set():
                        return
                    self._pair(conn, writer, number)
                    self.done[writer] = number + 1
                    self._file(conn, writer, number)
                    self._ask(conn, "POST", "/api/jobs/meet", {}, (200, 202))
        except (Broken, OSError, AssertionError) as error:
            self.error = self.error or error


def filled(site, n=4):
    """Some of everything; the state."""
    with site.serve() as server:
        load = Load(server, 2).start()
        while load.count() < n and not load.error:
            load.is_over.wait(0.01)
        load.stop()
        return state(server)


def env_of_database(database, stack):
    return {"DATABASE_URL": stack.enter_context(postgres.Postgres()).url} if database == "postgres" else {}


@pytest.fixture(name="site")
def fixture_site(tmp_path):
    return Site(tmp_path)


@pytest.fixture(name="filled_site")
def fixture_filled_site(site):
    site.state = filled(site)
    return site


def now(site):
    with site.serve() as server:
        return state(server)


def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 0x01
    path.chmod(0o600)
    path.write_bytes(data)


def raised(site):
    with site.serve() as server:
        assert call(server, "POST", "/api/left", {"key": "later-0", "n": 1}, user=None).status == 201
        return state(server)


def one_job(server, ident):
    return call(server, "GET", f"/api/jobs/{ident}", user=None).json()


def changed(site, made, **members):
    entry = json.loads(site.entry(made).read_text())
    entry.update(members)
    site.entry(made).write_text(sealed(entry))
