# The place of files, seen by the whole server: the page at the start, /readyz, and whom a slow store keeps waiting.
import re
import shutil
import threading
import time

import pytest

from conftest import wait_for
from documents import call
from serving import serving, write_app
from stores import env_of, in_folder, object_store, stand_in

MANIFEST = """web: { root: web }
files:
  docs: { owner: false, rules: { read: public, create: public, write: public } }
"""


@pytest.fixture(name="app")
def _app(tmp_path):
    return write_app(tmp_path / "app", {"web/index.html": "hello"}, MANIFEST)


@pytest.fixture(name="s3")
def _s3(tmp_path):
    with object_store(tmp_path / "data") as s3:
        yield s3


def done_by(server, lane):
    text = server.fetch("/metrics").body.decode()
    return int(re.search(rf'^dais_lane_done_total{{lane="{lane}"}} (\d+)$', text, re.M)[1])


def test_what_comes_over_the_network_has_a_lane_of_its_own(app, s3, tmp_path):
    """Signed links are judged on a lane; what they fetch from the bucket keeps no reader waiting."""
    with serving(app, "--data", tmp_path / "data", env=env_of(s3)) as server:
        assert call(server, "PUT", "/api/files/docs/a", b"abc", None, Content_Type="text/plain").status == 201
        link = call(server, "POST", "/api/files/docs/a/sign", {}, None).json()["url"]
        for block in (tmp_path / "data/apps/app/files/cache").iterdir():
            block.unlink(missing_ok=True)
        before, stored = done_by(server, "read"), done_by(server, "store")
        assert call(server, "GET", link, user=None).body == b"abc"
        assert s3.calls["get"] and done_by(server, "read") == before and done_by(server, "store") > stored
        assert call(server, "HEAD", link, user=None).status == 200
        assert done_by(server, "read") == before + 1  # its row is enough


def readyz(server):
    began = time.monotonic()
    answer = server.fetch("/readyz")
    assert time.monotonic() - began < 10, "/readyz waits for the store"  # which says nothing for a minute
    return answer.status, answer.json()["checks"]["files:app"]


def asks_nobody(server):
    """Is the store's last answer known, so that readiness need not ask it?"""
    before = done_by(server, "store")
    readyz(server)
    return done_by(server, "store") == before


@stand_in("it denies what it is told to")
def test_ready_is_what_the_store_said_last(app, s3, tmp_path):
    with serving(app, "--data", tmp_path / "data", env=env_of(s3)) as server:
        wait_for(lambda: readyz(server) == (200, "ready") and asks_nobody(server), "the first look")
        began, calls = time.monotonic(), s3.calls.total()
        for _ in range(20):
            assert readyz(server) == (200, "ready")
        assert s3.calls.total() < calls + 10 + 3 * (time.monotonic() - began)  # by the clock, not by who asks
        s3.denied = {"get", "head", "list", "put"}
        wait_for(lambda: readyz(server) == (503, "failing"), "failing", 60)
        s3.denied = set()
        wait_for(lambda: readyz(server) == (200, "ready"), "ready again", 60)


@stand_in("it hangs as it is told")
def test_ready_does_not_wait_for_a_store_that_is_silent(app, s3, tmp_path):
    with serving(app, "--data", tmp_path / "data", env=env_of(s3)) as server:
        wait_for(lambda: readyz(server) == (200, "ready"), "ready")
        s3.fail("*", "hang-head", times=None)
        readers = [threading.Thread(target=server.fetch, args=("/api/files/docs",), daemon=True) for _ in range(3)]
        for reader in readers:
            reader.start()
        asked = s3.calls.total()
        wait_for(lambda: readyz(server) and s3.calls.total() > asked, "the store was asked, and is silent", 60)
        for _ in range(20):
            readyz(server)
        s3.heal()
        wait_for(lambda: readyz(server) == (200, "ready"), "ready again", 60)


@in_folder("the folder is removed")
def test_the_folder_is_gone(app, tmp_path):
    with serving(app, "--data", tmp_path / "data") as server:
        wait_for(lambda: readyz(server) == (200, "ready"), "ready")
        shutil.rmtree(tmp_path / "data/apps/app/files")
        wait_for(lambda: readyz(server) == (503, "failing"), "failing", 60)


@pytest.mark.parametrize("is_remote", [pytest.param(False, marks=in_folder("the page names it")), True])
def test_the_page_at_the_start_says_where_they_are(app, s3, tmp_path, is_remote):
    with serving(app, "--data", tmp_path / "data", env=env_of(s3) if is_remote else {}) as server:
        wait_for(lambda: "Ctrl+C" in server.stdout, "the page")
        text = server.stdout
        assert "  database         SQLite" in text
        where = f"the bucket {s3.env['S3_BUCKET']}, as S3_BUCKET says" if is_remote else "files in the data folder"
        assert f"  storage          {where}" in text
