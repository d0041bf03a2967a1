# A real object store that ends, hangs, is full, forgets keys or loses a bucket; and objects that are sent in parts.
"""Only with DAIS_TEST_STORE=versity: each case has a versitygw of its own."""
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.request

import pytest

from conftest import Broken, Conn, wait_for
from documents import TEST_BIN, call, store
from serving import serving, write_app
from stores import IS_REAL, Bucket, Versity, env_of
from test_files_hostile import MB, content, get, put

pytestmark = pytest.mark.skipif(not IS_REAL, reason="make test-versity runs it")
MANIFEST = "files: { box: { max: 1GB } }\n"


@contextlib.contextmanager
def served(versity, folder):
    bucket = Bucket(versity)
    with store("sqlite", folder, MANIFEST, env=env_of(bucket)) as server:
        server.s3, server.data, server.body = bucket, folder / "data/apps/app/files", content(MB, b"there")
        assert put(server, "box/there", server.body).status == 201
        wait_for(lambda: "app/owner" in bucket.objects, "the first look")
        yield server


@pytest.fixture(name="far")
def _far(tmp_path):
    versity = Versity()
    try:
        with served(versity, tmp_path) as server:
            yield server
            as_before(server)
    finally:
        versity.close()


def as_before(server):
    wait_for(lambda: put(server, "box/after", b"after").status in (200, 201), "uploads as before", 60)
    wait_for(lambda: uncached(server, "box/there").status == 200, "the file as before", 60)
    assert get(server, "box/there").body == server.body and get(server, "box/after").body == b"after"
    wait_for(lambda: server.fetch("/readyz", deadline=60).status == 200, "readiness", 60)
    wait_for(lambda: not list((server.data / "drafts").iterdir()), "no drafts")
    keys = {key.rpartition("/")[2][:64] for key in server.s3.objects}
    assert all(row["etag"].strip('"') in keys for row in rows(server)), "a row without its bytes"


def rows(server):
    return call(server, "GET", "/api/files/box?limit=1000").json()["items"]


def forget(server):
    for block in (server.data / "cache").iterdir():
        block.unlink(missing_ok=True)


def uncached(server, path, deadline=90):
    forget(server)
    return get(server, path, deadline=deadline)


def is_down(server, statuses=(503,)):
    """What needs the store says so, what does not goes on, and nothing is half."""
    before = [row["path"] for row in rows(server)]
    answer = put(server, "box/new", content(50_000, b"new"), deadline=90)
    assert answer.status in statuses and answer.json()["detail"], answer
    assert "127.0.0.1" not in answer.json()["detail"] and server.s3.name not in answer.json()["detail"]
    with contextlib.suppress(Broken):
        assert uncached(server, "box/there").status in (500, 503)
    assert get(server, "box/there", method="HEAD").status in (200, 500)
    assert [row["path"] for row in rows(server)] == before
    assert call(server, "DELETE", "/api/files/box/none").status == 404
    wait_for(lambda: server.fetch("/readyz", deadline=60).status == 503, "not ready", 60)


def test_it_ends_and_starts_again(far):
    far.s3.server.end(signal.SIGKILL)
    is_down(far)
    far.s3.server.start()


def test_it_hangs(far):
    """An answer within the time that a call has, and others are served meanwhile."""
    far.s3.server.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        tries = [pool.submit(put, far, f"box/h{i}", content(50_000, b"%d" % i), deadline=90) for i in range(20)]
        assert call(far, "GET", "/api/files/box").status == 200
        assert get(far, "box/there", method="HEAD").status == 200
        assert [one.result().status for one in tries] == [503] * 20
    assert time.monotonic() - began < 80
    assert [row["path"] for row in rows(far)] == ["there"]
    far.s3.server.process.send_signal(signal.SIGCONT)


def test_its_keys_change(far):
    """The secret is in no answer and in no line of the log."""
    server = far.s3.server
    secret, server.secret = server.secret, "other+keys+than+these"
    server.end()
    server.start()
    is_down(far)
    wait_for(lambda: "S3_SECRET_ACCESS_KEY" in far.stderr, "the reason in the log")
    assert secret not in far.stderr and server.secret not in far.stderr
    server.secret = secret
    server.end()
    server.start()


def test_its_bucket_is_gone(far):
    elsewhere = far.s3.folder.with_name("elsewhere-of-it")
    far.s3.folder.rename(elsewhere)
    is_down(far, (500, 503))
    assert not far.s3.folder.exists()
    elsewhere.rename(far.s3.folder)


def test_it_is_killed_under_uploads(far):
    """What was acknowledged is there, whenever it ended."""
    known, ends, lock = {}, threading.Event(), threading.Lock()

    def work(number):
        n = 0
        while not ends.is_set():
            path, body = f"box/k{number}-{n}", content(1 + 77_777 * (n % 5), b"%d %d" % (number, n))
            status = put(far, path, body, deadline=90).status
            assert status in (201, 500, 503), status
            if status == 201:
                with lock:
                    known[path] = body
            n += 1
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        works = [pool.submit(work, number) for number in range(16)]
        for turn in range(1, 5):
            until = 40 * turn
            wait_for(lambda: len(known) > until, "uploads", 90)
            far.s3.server.end(signal.SIGKILL)
            far.s3.server.start()
        ends.set()
        for one in works:
            one.result()
    forget(far)
    for path, body in known.items():
        wait_for(lambda: get(far, path, deadline=60).status == 200, "it is asked again", 60)
        assert get(far, path).body == body
    assert {f"box/{row['path']}" for row in rows(far)} == {"box/there", *known}


def test_its_disk_is_full(tmp_path):
    """A disk of its own, in a namespace of its own: 24 MB."""
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True,
                      check=False).returncode:
        pytest.skip("no mount in a namespace of one's own here")
    script = "mount -t tmpfs -o size=24m tmpfs data && exec \"$@\""
    versity = Versity(["unshare", "-rm", "sh", "-c", script, "sh"])
    try:
        versity.data = pathlib.Path(f"/proc/{versity.process.pid}/root{versity.data}")
        with served(versity, tmp_path) as server:
            for size in (30 * MB, 50 * MB):  # in one piece, and in parts
                answer = put(server, "box/large", content(size), deadline=90)
                assert answer.status == 507 and answer.json()["detail"], answer
                as_before(server)
            assert {row["path"] for row in rows(server)} == {"there", "after"}
            size, n = 0, 0
            while size < 40 * MB and (answer := put(server, f"box/f{n}", content(3 * MB, b"%d" % n),
                                                    deadline=90)).status == 201:
                size, n = size + 3 * MB, n + 1
            assert answer.status == 507, answer
            assert {row["path"] for row in rows(server)} == {"there", "after", *(f"f{i}" for i in range(n))}
            assert call(server, "DELETE", "/api/files/box/f0").status == 204
    finally:
        versity.close()


@pytest.mark.parametrize("size", [32 * MB, 32 * MB + 1, 70 * MB + 12345])
def test_in_parts(far, size):
    body = content(size, b"parts")
    digest = hashlib.sha256(body).hexdigest()
    answer = put(far, "box/parts", body, deadline=90)
    assert answer.status == 201 and answer.get("etag") == f'"{digest}"'
    assert far.s3.calls["part"] == (0 if size <= 32 * MB else -(-size // (16 * MB)))
    assert far.s3.calls["create"] == far.s3.calls["complete"] and not far.s3.calls["abort"]
    forget(far)
    wanted = urllib.request.Request(far.url.rstrip("/") + "/api/files/box/parts", headers={"X-Test-User": "ann"})
    with urllib.request.urlopen(wanted, timeout=60) as found:
        assert hashlib.file_digest(found, "sha256").hexdigest() == digest
    forget(far)
    for at in (16 * MB - 10, 32 * MB - 10):
        found = call(far, "GET", "/api/files/box/parts", Range=f"bytes={at}-{at + 19}")
        assert found.status == 206 and found.body == body[at:at + 20]


def test_parts_that_break_off(tmp_path):
    """Of an upload in parts the parts are left; once they are a day old, the next server takes them away."""
    app = write_app(tmp_path / "app", {"web/index.html": "x"}, "web: { root: web }\n" + MANIFEST)
    versity = Versity()
    try:
        bucket = Bucket(versity)

        def start():
            return serving(app, "--data", tmp_path / "data", program=TEST_BIN, env=env_of(bucket))
        with start() as server, Conn(server) as conn:
            assert call(server, "GET", "/api/files/box").status == 200
            wait_for(lambda: "app/owner" in bucket.objects, "the first look")
            conn.send(f"PUT /api/files/box/off HTTP/1.1\r\nHost: localhost\r\nX-Test-User: ann\r\n"
                      f"Content-Length: {200 * MB}\r\n\r\n".encode() + content(200 * MB))
            wait_for(lambda: bucket.calls["part"], "a part", 60)
            versity.process.send_signal(signal.SIGSTOP)
            server.kill()
            versity.process.send_signal(signal.SIGCONT)
        assert not bucket.calls["complete"] and not bucket.calls["abort"]
        parts = [path for path in bucket.folder.rglob("*") if path.is_file() and ".sgwtmp" in path.parts]
        assert parts
        with start() as server:
            assert call(server, "GET", "/api/files/box").json()["items"] == []
            wait_for(lambda: bucket.calls["uploads"], "a look at what broke off", 60)
            assert not bucket.calls["abort"]  # they may be somebody's who is at it
        for path in [*bucket.folder.rglob("*")]:
            os.utime(path, (time.time() - 2 * 86400,) * 2)
        with start() as server:
            assert call(server, "GET", "/api/files/box").json()["items"] == []
            wait_for(lambda: bucket.calls["abort"] == 1, "the end of what broke off", 60)
            wait_for(lambda: not [path for path in parts if path.exists()], "the end of its parts")
    finally:
        versity.close()
