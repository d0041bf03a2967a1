# Files and how much of them: quotas under load, uploads that break off by the hundred, thousands of small files.
import concurrent.futures
import contextlib
import hashlib
import os
import re
import sqlite3
import statistics
import time

from accounts_api import AUTH, ask, desk, joined
from conftest import DEADLINE, Conn, wait_for
from documents import call
from serving import open_files
from test_files_hostile import (BODY, MB, NO_LIMITS, content, fixture_db, fixture_folder, fixture_large, get, linked,
                                put)

__all__ = ["fixture_db", "fixture_folder", "fixture_large"]  # db, folder and large


# ---- quotas ----------------------------------------------------------------------------------------
def usage(server, bucket, user):
    """Bytes and files: as listed, which must be what the sums say."""
    items = call(server, "GET", f"/api/files/{bucket}?limit=1000", user=user).json()["items"]
    found = sum(item["size"] for item in items), len(items)
    database = server.data.parent / "app.db"
    if database.exists():
        with contextlib.closing(sqlite3.connect(database)) as conn:
            row = conn.execute("SELECT bytes, files FROM dais_file_use WHERE bucket = ? AND owner = ?",
                               (bucket, user)).fetchone()
        assert found == (row or (0, 0))
    return found[0]


def at_once(*works):
    """All together; their answers."""
    with concurrent.futures.ThreadPoolExecutor(len(works)) as pool:
        return [one.result() for one in [pool.submit(*work) for work in works]]


def test_quota_is_never_passed(db):
    """Many at once: put, replaced by more or less, moved, removed and put again."""
    size = 120_000
    for turn in range(4):
        user = f"quota{turn}"
        found = at_once(*[(put, db, f"small/q{turn}-{i}", content(size, b"%d %d" % (turn, i)), user)
                          for i in range(20)])
        assert {answer.status for answer in found} == {201, 403} and usage(db, "small", user) <= MB
        there = [item["path"] for item in call(db, "GET", "/api/files/small?limit=1000", user=user).json()["items"]]
        works = []
        for i, path in enumerate(there):
            works += [(call, db, "DELETE", f"/api/files/small/{path}", None, user),
                      (put, db, f"small/{path}", content(size * (1 + i % 2), b"again"), user),
                      (put, db, f"small/{path}", content(size // 2, b"less"), user),
                      (call, db, "PATCH", f"/api/files/small/{path}", {"path": f"{path}-moved"}, user)]
        assert {answer.status for answer in at_once(*works)} <= {200, 201, 204, 403, 404, 409}
        assert 0 <= usage(db, "small", user) <= MB
        items = call(db, "GET", "/api/files/small?limit=1000", user=user).json()["items"]
        for item in items:
            assert hashlib.sha256(get(db, f"small/{item['path']}", user).body).hexdigest() == item["etag"].strip('"')
            assert call(db, "DELETE", f"/api/files/small/{item['path']}", user=user).status == 204
        assert usage(db, "small", user) == 0
        wait_for(lambda: put(db, f"small/all{turn}", content(MB), user).status == 201,  # pylint: disable=W0640
                 "all that was reserved is given back")
        assert put(db, f"small/more{turn}", b"x", user).status == 403
        assert call(db, "DELETE", f"/api/files/small/all{turn}", user=user).status == 204


def test_quota_of_a_link_is_its_makers(tmp_path):
    with desk("sqlite", tmp_path, "files: { small: { quota: { bytes: 1MB } } }\n",
              auth=AUTH + NO_LIMITS) as server:
        ann = joined(server, "ann")
        links = [linked(server, f"small/{i}", ann, method="PUT") for i in range(4)]
        found = [ask(server, "PUT", link, content(400_000, b"%d" % i)).status for i, link in enumerate(links)]
        assert found == [201, 201, 403, 403]


# ---- nothing grows ---------------------------------------------------------------------------------
def abort_twenty(server, turn):
    conns = [Conn(server) for _ in range(20)]
    for i, conn in enumerate(conns):
        head = (f"PUT /api/files/small/a{i} HTTP/1.1\r\nHost: localhost\r\nX-Test-User: abort\r\n"
                f"Content-Length: {50_000}\r\n\r\n").encode()
        conn.send(head + bytes((turn * 20 + i) * 99))
    for conn in conns:
        conn.close()


def held(server):
    """Of drafts and stored files, those that the server has open."""
    found = []
    for fd in os.listdir(f"/proc/{server.proc.pid}/fd"):
        with contextlib.suppress(OSError):
            to = os.readlink(f"/proc/{server.proc.pid}/fd/{fd}")
            found += [to] if re.search(r"/files/(drafts|cache|blobs/..)/", to) else []
    return found


def test_uploads_that_are_aborted(db):
    """500 of them: no draft, no descriptor, nothing reserved, no blob."""
    put(db, "small/warm", b"x", "abort")
    stored = {path.name for path in db.data.glob("blobs/*/*")}, set(db.s3.objects if db.s3 else ())
    for turn in range(5):  # what is opened once for good: databases, threads
        abort_twenty(db, turn)
    wait_for(lambda: not list((db.data / "drafts").iterdir()), "no drafts")
    fds = open_files(db.proc.pid)
    for turn in range(5, 25):
        abort_twenty(db, turn)
    wait_for(lambda: not list((db.data / "drafts").iterdir()) and not held(db), "no drafts")
    wait_for(lambda: open_files(db.proc.pid) <= fds + 5, "no descriptors", 4 * DEADLINE)
    assert {path.name for path in db.data.glob("blobs/*/*")} <= stored[0]
    assert not db.s3 or set(db.s3.objects) - stored[1] <= {"app/owner"}
    wait_for(lambda: put(db, "small/all", content(MB - 1), "abort").status in (200, 201), "no reservations")
    wait_for(lambda: "dais_files_arriving{app=\"app\"} 0" in db.fetch("/metrics").body.decode(), "none arrives")


def test_answers_that_are_not_read(large):
    """Whoever leaves in the middle of a long one leaves no descriptor, and no block that is not whole."""
    fds = open_files(large.proc.pid)
    for i in range(40):
        with Conn(large) as conn:
            conn.request("/api/files/box/large", headers={"X-Test-User": "ann", "Range": f"bytes={i * 200_000}-"})
            assert conn.sock.recv(1000)
    wait_for(lambda: open_files(large.proc.pid) <= fds + 4, "no descriptors", 4 * DEADLINE)
    assert get(large, "box/large", deadline=3 * DEADLINE).body == BODY


def test_many_small_files(folder):
    """A list of them takes as long at its end as at its beginning."""
    many = int(os.environ.get("DAIS_MANY_FILES", "2000"))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        def some(first):
            with Conn(folder) as conn:
                for i in range(first, many, 4):
                    conn.request(f"/api/files/box/many/{i % 50:02}/{i:05}", "PUT", {"X-Test-User": "many"}, b"%d" % i)
                    assert conn.read("PUT").status == 201
        list(pool.map(some, range(4)))
    seen, after, times = [], "", []
    while after is not None:
        began = time.monotonic()
        page = call(folder, "GET", f"/api/files/box?prefix=many/&limit=100&after={after}", user="many").json()
        times.append(time.monotonic() - began)
        seen += [item["path"] for item in page["items"]]
        after = page["next"]
    assert len(seen) == many and seen == sorted(seen)
    begin, end = (statistics.median(some) for some in (times[:5], times[-5:]))
    assert end < 0.3 + 5 * begin, times
    folders = call(folder, "GET", "/api/files/box?prefix=many/&delimiter=/&limit=100", user="many").json()
    assert [item["path"] for item in folders["items"]] == [f"many/{i:02}/"
                                                           for i in range(50)] and folders["next"] is None
