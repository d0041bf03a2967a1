# Kills the server (-9) under a hundred uploads at once, again and again: what was acknowledged is there and right.
"""Clients put new files, put others over them, and remove some, each on a connection of its own. The server is killed
at a random moment and started again. At the end every file that was acknowledged must be there with the content that
was sent (or one that was sent later and not answered), every row must have its blob, the sums that quotas are held
against must be those of the rows, and what broke off is cleaned up once it is old."""
import hashlib
import os
import random
import sqlite3
import threading
import time

import pytest

from conftest import Broken, Conn, wait_for
from documents import TEST_BIN
from serving import serving, write_app
from stores import IS_REAL, env_of, object_store

KILLS = int(os.environ.get("DAIS_FILE_KILLS", "6"))
CLIENTS = 100
MANIFEST = "web: { root: web }\nfiles: { box: { max: 4MB, quota: { bytes: 1GB } } }\n"


def body_of(name, n):
    seed = hashlib.sha256(f"{name} {n}".encode()).digest()
    return seed * (1 + random.Random(f"{name} {n}").choice([0, 3, 300, 3000, 30_000]))


class Client(threading.Thread):
    """`known`: path -> the contents that it may have by now; b"" stands for none."""

    def __init__(self, name, server, known):
        super().__init__(daemon=True)
        self.label, self.server, self.known, self.error, self.done = name, server, known, None, 0
        self.random = random.Random(name)

    def ask(self, conn, method, path, body, statuses):
        before = self.known.get(path, {None})
        digest = hashlib.sha256(body).hexdigest() if body is not None else None
        self.known[path] = before | {digest}
        conn.request(f"/api/files/box/{path}", method, {"X-Test-User": f"u{self.label[-1]}"}, body)
        answer = conn.read(method)
        if answer.status not in statuses:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body!r}")
        self.known[path] = {digest}
        self.done += 1

    def run(self):
        try:
            with Conn(self.server, 120) as conn:
                for n in range(100000):
                    path = f"{self.label}/{self.random.randrange(8)}"
                    if self.random.random() < 0.2:
                        self.ask(conn, "DELETE", path, None, (204, 404))
                    else:
                        self.ask(conn, "PUT", path, body_of(path, n), (200, 201))
        except (Broken, OSError):
            pass
        except AssertionError as error:
            self.error = error


def life(server, known, number):
    """A hundred at once, then the end."""
    clients = [Client(f"{number}-{i:02}", server, known) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    moment = random.Random(number).random() * 1.5
    wait_for(lambda: sum(client.done for client in clients) >= CLIENTS // 2, "uploads", 120)
    time.sleep(moment)
    server.kill()
    for client in clients:
        client.join(150)
        assert client.error is None and not client.is_alive()
    return sum(client.done for client in clients)


def look(server, known, database):
    """What each path has now is one of what it may have; all that is there is whole."""
    there, after = {}, ""
    with Conn(server, 120) as conn:
        for user in range(10):
            after = ""
            while after is not None:
                conn.request(f"/api/files/box?limit=1000&after={after}", headers={"X-Test-User": f"u{user}"})
                page = conn.read().json()
                there.update({item["path"]: (item["etag"].strip('"'), f"u{user}") for item in page["items"]})
                after = page["next"]
        for path, may in known.items():
            assert there.get(path, (None,))[0] in may, (path, may)
        for path, (digest, user) in there.items():
            conn.request(f"/api/files/box/{path}", headers={"X-Test-User": user})
            answer = conn.read()
            assert answer.status == 200 and hashlib.sha256(answer.body).hexdigest() == digest, (path, answer.status)
    with sqlite3.connect(database) as db:
        assert not db.execute("SELECT path FROM dais_files WHERE hash NOT IN (SELECT hash FROM dais_blobs)").fetchall()
        assert not db.execute("SELECT hash FROM dais_blobs WHERE loose_at IS NULL AND hash NOT IN"
                              " (SELECT hash FROM dais_files)").fetchall()
        assert not db.execute("SELECT hash FROM dais_blobs WHERE loose_at IS NOT NULL AND hash IN"
                              " (SELECT hash FROM dais_files)").fetchall()
        sums = db.execute("SELECT owner, SUM(size), COUNT(*) FROM dais_files GROUP BY owner ORDER BY owner").fetchall()
        used = db.execute("SELECT owner, bytes, files FROM dais_file_use WHERE files <> 0 OR bytes <> 0"
                          " ORDER BY owner").fetchall()
        assert sums == used
        return {key for key, in db.execute("SELECT blob_key FROM dais_blobs")}
    db.close()


@pytest.mark.parametrize("place", ["s3"] if IS_REAL else ["folder", "s3"])
def test_kill(tmp_path, place):
    app = write_app(tmp_path / "app", {"web/index.html": "x"}, MANIFEST)
    data = tmp_path / "data/apps/app"
    known, done = {}, 0
    with object_store(tmp_path / "data") as s3:
        env = env_of(s3) if place == "s3" else {}

        def start():
            return serving(app, "--data", tmp_path / "data", program=TEST_BIN, env=env)
        for number in range(KILLS if place == "folder" else max(1, KILLS // 3)):
            with start() as server:
                done += life(server, known, number)
        with start() as server:
            keys = look(server, known, data / "app.db")
            stored = ({key.rpartition("/")[2] for key in s3.objects} - {"owner"} if place == "s3" else
                      {path.name for path in (data / "files/blobs").rglob("*-*")})
            assert keys <= stored, "a row without its bytes"
            assert done > 100
        # what broke off: once it is a day old, the next server that looks takes it away, and nothing else
        old = time.time() - 2 * 86400
        for path in data.glob("files/drafts/*"):
            os.utime(path, (old, old))
        for path in data.glob("files/blobs/*/*"):
            os.utime(path, (old, old))
        with s3.lock:
            for one in s3.objects.values():
                one.modified = old
        with start() as server:
            server.fetch("/api/files/box", headers={"X-Test-User": "u0"})

            def is_clean():
                left = ({key.rpartition("/")[2] for key in s3.objects} - {"owner"} if place == "s3" else
                        {path.name for path in (data / "files/blobs").rglob("*-*")})
                return left == keys and not list((data / "files/drafts").iterdir())
            wait_for(is_clean, "the end of what broke off", 300)
            look(server, known, data / "app.db")
