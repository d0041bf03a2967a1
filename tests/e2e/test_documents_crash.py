# Kills the server (-9) under concurrent writes, again and again: what was acknowledged is there, nothing is half.
"""Writers create documents, change them and create pairs in batches, each on a connection of its own. The server
is killed at a random moment and started again, a few hundred times in all. What it acknowledged is written down
by the writers; at the end every such document must be there, in that version or a later one, every document must
be whole (its check field is made of the others), and of a pair both must be there or none."""
import hashlib
import json
import os
import random
import threading
import time

import pytest
from conftest import Broken, Conn, wait_for
from postgres import Postgres
from serving import serving, write_app

KILLS = int(os.environ.get("DAIS_KILLS", "200"))
WRITERS = 6
MANIFEST = """title: Crash
collections:
  things: { schema: schemas/thing.json, owner: true, versions: 3, indexes: [ n ], unique: [ word ], search: [ word ] }
"""
SCHEMA = {"type": "object", "required": ["word", "n", "check"], "properties": {
    "word": {"type": "string"}, "n": {"type": "integer"}, "check": {"type": "string"}, "pair": {"type": "string"},
    "filler": {"type": "string"}}}


def body_of(word, n, **more):
    check = hashlib.sha256(f"{word} {n}".encode()).hexdigest()
    return {"word": word, "n": n, "check": check, "filler": check * (n % 20), **more}


class Writer(threading.Thread):
    """Writes until its connection breaks; keeps what was acknowledged: id -> (version, n)."""

    def __init__(self, name, server, seed):
        super().__init__(daemon=True)
        self.label, self.server, self.random = name, server, random.Random(seed)
        self.known, self.pairs, self.error = {}, [], None

    def ask(self, conn, method, path, body, status):
        conn.request(f"/api/{path}", method, {"content-type": "application/json"}, json.dumps(body).encode())
        answer = conn.read(method)
        if answer.status != status:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body!r}")
        return answer.json()

    def step(self, conn, i):
        name = f"{self.label}-{i:06}-thing"
        what = self.random.random()
        if what < 0.4 or not self.known:
            made = self.ask(conn, "POST", "things", body_of(name, i, id=name), 201)
            self.known[made["id"]] = (1, i)
        elif what < 0.8:
            one = self.random.choice(list(self.known))
            made = self.ask(conn, "PATCH", f"things/{one}", body_of(one, i), 200)
            self.known[one] = (made["version"], i)
        else:
            self.ask(conn, "POST", "batch", {"requests": [
                {"method": "POST", "path": "/api/things", "body": body_of(f"{name}-{half}", i, id=f"{name}-{half}",
                                                                          pair=name)} for half in "ab"]}, 200)
            self.pairs.append(name)

    def run(self):
        try:
            with Conn(self.server, 60) as conn:
                for i in range(1000000):
                    self.step(conn, i)
        except (Broken, OSError):
            pass
        except AssertionError as error:
            self.error = error


def export(server):
    with Conn(server, 300) as conn:
        conn.request("/api/things/export")
        answer = conn.read()
    assert answer.status == 200, answer
    return {doc["id"]: doc for doc in map(json.loads, answer.body.splitlines())}


def look(stored, writers):
    for writer in writers:
        assert writer.error is None
        for one, (version, n) in writer.known.items():
            assert one in stored, f"{one} was acknowledged and is gone"
            assert stored[one]["version"] >= version, one
            assert stored[one]["version"] > version or stored[one]["n"] == n, one
        for name in writer.pairs:
            assert f"{name}-a" in stored and f"{name}-b" in stored, f"the pair {name} was acknowledged"
    for doc in stored.values():
        assert doc["check"] == hashlib.sha256(f"{doc['word']} {doc['n']}".encode()).hexdigest(), doc["id"]
        if "pair" in doc:
            assert f"{doc['pair']}-a" in stored and f"{doc['pair']}-b" in stored, doc["pair"]


def one_life(folder, env, life, moment):
    """Starts, lets the writers write, kills; gives the writers."""
    with serving(folder, env=env) as server:
        writers = [Writer(f"w{life:03}-{k}", server, life * 100 + k) for k in range(WRITERS)]
        for writer in writers:
            writer.start()
        wait_for(lambda: all(writer.known or writer.error for writer in writers), "a document of each", 120)
        time.sleep(moment)
        server.kill()
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive()
        return writers


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_acknowledged_is_lost_by_kills(tmp_path, database):
    folder = write_app(tmp_path / "crash", {"schemas/thing.json": json.dumps(SCHEMA)}, MANIFEST)
    moments, writers = random.Random(7), []
    with (Postgres(settings={"max_connections": "300"}) if database == "postgres" else _nothing()) as postgres:
        env = {"DATABASE_URL": postgres.url} if postgres else {}
        for life in range(KILLS):
            writers += one_life(folder, env, life, moments.random() * 0.05)
        with serving(folder, env=env) as server:
            look(export(server), writers)
    assert sum(len(writer.known) for writer in writers) >= KILLS * WRITERS


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        pass
