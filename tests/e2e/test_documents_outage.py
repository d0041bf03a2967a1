# A database that is locked, full, read-only or gone: 503 while it lasts, the next request works, nothing is lost.
import json
import os
import pathlib
import sqlite3
import threading
import time

import pytest
from conftest import Broken, Conn
from postgres import Postgres
from serving import best_of_three, serving, write_app

MANIFEST = "collections: { notes: { owner: true, indexes: [ n ] } }\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="optional: needs root, to mount")


def call(server, method, path, body=None, deadline=60):
    with Conn(server, deadline) as conn:
        raw = None if body is None else json.dumps(body).encode()
        conn.request(f"/api/{path}", method, {"content-type": "application/json"} if raw else {}, raw)
        return conn.read(method)


def is_503(answer):
    problem = answer.json()
    assert answer.status == 503, answer.body
    assert answer.get("retry-after") and problem["code"] == "unavailable" and problem["detail"]
    assert "SQL" not in answer.body.decode() and "/" not in problem["detail"]
    return True


def seconds_to_a_503(server, method, body=None):
    began = time.monotonic()
    assert is_503(call(server, method, "notes", body))
    return time.monotonic() - began


def readiness(server):
    with Conn(server) as conn:
        return conn.request("/_/readyz").read().status


def wait_for(condition, deadline=90):
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


def test_locked_by_another_process(tmp_path):
    folder = write_app(tmp_path / "locked", {}, MANIFEST)
    with serving(folder) as server:
        assert call(server, "POST", "notes", {"n": 1}).status == 201
        other = sqlite3.connect(folder / "data/apps/locked/app.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        best_of_three(15, lambda: seconds_to_a_503(server, "POST", {"n": 2}))
        assert len(call(server, "GET", "notes").json()["items"]) == 1
        other.execute("ROLLBACK")
        other.close()
        assert call(server, "POST", "notes", {"n": 3}).status == 201
        assert [doc["n"] for doc in call(server, "GET", "notes?sort=n").json()["items"]] == [1, 3]


def in_namespace(*mounts):
    """Mounts of the server's own, gone with it."""
    return ["unshare", "-m", "sh", "-ec", "; ".join(mounts) + '; exec "$@"', "sh"]


@needs_root
def test_a_full_disk(tmp_path):
    folder = write_app(tmp_path / "full", {}, MANIFEST)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = in_namespace(f"mount -t tmpfs -o size=3m none {disk}")
    with serving(folder, env={"DATABASE_URL": f"sqlite:///{disk}/app.db"}, before=mounted) as server:
        kept, answer = [], None
        for n in range(400):
            answer = call(server, "POST", "notes", {"n": n, "filler": "x" * 20000})
            if answer.status != 201:
                break
            kept.append(answer.json()["id"])
        assert kept and is_503(answer)
        for one in kept:
            assert call(server, "GET", f"notes/{one}").status == 200
        # room again: a file of somebody else's would do; here documents go for good
        inside = pathlib.Path(f"/proc/{server.proc.pid}/root{disk}")
        assert inside.joinpath("app.db").exists()
        resize = ["nsenter", "-t", str(server.proc.pid), "-m", "mount", "-o", "remount,size=30m", str(disk)]
        assert os.spawnvp(os.P_WAIT, resize[0], resize) == 0
        wait_for(lambda: call(server, "POST", "notes", {"n": -1}).status == 201)
        listed = {doc["id"] for doc in call(server, "GET", "notes?limit=1000&fields=n").json()["items"]}
        assert listed >= set(kept) and len(listed) == len(kept) + 1 + count_tries(server, listed)


def count_tries(server, listed):
    """What was tried again while the disk was still full, and came through in the end."""
    answer = call(server, "GET", "notes?filter=n%20%3D%20-1&count=exact&limit=1").json()
    assert answer["total"] >= 1 and len(listed) >= answer["total"]
    return answer["total"] - 1


@needs_root
def test_a_database_that_cannot_be_written(tmp_path):
    folder = write_app(tmp_path / "frozen", {}, MANIFEST)
    store = tmp_path / "store"
    store.mkdir()
    env = {"DATABASE_URL": f"sqlite:///{store}/app.db"}
    with serving(folder, env=env) as server:
        assert call(server, "POST", "notes", {"n": 1}).status == 201
    frozen = in_namespace(f"mount --bind {store} {store}", f"mount -o remount,bind,ro {store}")
    with serving(folder, env=env, before=frozen) as server:
        is_503(call(server, "POST", "notes", {"n": 2}))
        assert readiness(server) == 503
    with serving(folder, env=env) as server:
        assert call(server, "POST", "notes", {"n": 3}).status == 201


class Writer(threading.Thread):
    """Creates until told to stop; keeps ids that were acknowledged and statuses that were not 201."""

    def __init__(self, server, name):
        super().__init__(daemon=True)
        self.server, self.label, self.acknowledged, self.others, self.ends = server, name, [], [], False
        self.error = None

    def run(self):
        n = 0
        try:
            with Conn(self.server, 60) as conn:
                while not self.ends:
                    one, n = f"writer-{self.label}-note-{n:06}", n + 1
                    conn.request("/api/notes", "POST", {"content-type": "application/json"},
                                 json.dumps({"id": one, "n": n}).encode())
                    answer = conn.read("POST")
                    if answer.status == 201:
                        self.acknowledged.append(one)
                    else:
                        self.others.append(answer.status)
                        time.sleep(0.01)
        except (Broken, OSError) as error:
            self.error = error


@pytest.mark.parametrize("way", ["fast", "immediate", "kill"])
def test_postgres_goes_and_comes_back_under_load(tmp_path, way):
    folder = write_app(tmp_path / "away", {}, MANIFEST)
    with Postgres() as postgres, serving(folder, env={"DATABASE_URL": postgres.url}) as server:
        assert call(server, "POST", "notes", {"n": 0}).status == 201
        writers = [Writer(server, k) for k in range(4)]
        for writer in writers:
            writer.start()
        wait_for(lambda: all(writer.acknowledged for writer in writers))
        if way == "kill":
            postgres.kill()
        else:
            postgres.stop(way)
        wait_for(lambda: all(writer.others for writer in writers))
        best_of_three(10, lambda: seconds_to_a_503(server, "GET"))
        wait_for(lambda: readiness(server) == 503)
        postgres.start()
        before = [len(writer.acknowledged) for writer in writers]
        wait_for(lambda: all(len(w.acknowledged) > n for w, n in zip(writers, before)))
        wait_for(lambda: readiness(server) == 200)
        for writer in writers:
            writer.ends = True
            writer.join(90)
            assert not writer.is_alive()
            assert writer.error is None and set(writer.others) == {503}
        with Conn(server, 120) as conn:
            conn.request("/api/notes/export")
            stored = {json.loads(line)["id"] for line in conn.read().body.splitlines()}
        for writer in writers:
            assert stored >= set(writer.acknowledged)
