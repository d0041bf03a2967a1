# An object store that fails in every way: a clear answer in time, nothing half, and afterwards everything as before.
import collections
import concurrent.futures
import contextlib
import hashlib
import os
import time

import pytest

from conftest import Broken, wait_for
from documents import call
from s3 import S3
from stores import stand_in
from test_files_hostile import MB, content, files, get, put


@pytest.fixture(name="far")
def fixture_far(tmp_path):
    """Each case has its own: what fails often is left alone for a while."""
    with files("s3-sqlite", tmp_path) as server:
        assert put(server, "box/there", content(MB, b"there")).status == 201
        server.body = content(MB, b"there")
        yield server
        server.s3.heal()
        wait_for(lambda: put(server, "box/after", b"after").status in (200, 201), "uploads as before", 60)
        assert get(server, "box/after").body == b"after"
        wait_for(lambda: get(server, "box/there", deadline=60).status == 200, "the file as before", 60)
        assert get(server, "box/there").body == server.body
        wait_for(lambda: ready(server) == 200, "readiness", 60)
        wait_for(lambda: not list((server.data / "drafts").iterdir()), "no drafts")


def ready(server):
    return server.fetch("/readyz", deadline=60).status


def rows(server):
    return {item["path"] for item in call(server, "GET", "/api/files/box?limit=1000").json()["items"]}


def questions(server):
    """All but what readiness and the first look ask by the clock, whatever somebody does."""
    return collections.Counter(kind for kind, key, *_ in list(server.s3.requests)
                               if key not in ("app/ready", "app/owner"))


def empty(server):
    for path in (server.data / "cache").iterdir():
        path.unlink(missing_ok=True)


FAULTS = [("answer", {"status": 403, "code": "AccessDenied"}), ("answer", {"status": 404, "code": "NoSuchBucket"}),
          ("answer", {"status": 500, "code": "InternalError"}), ("answer", {"status": 503, "code": "SlowDown"}),
          ("answer", {"status": 503, "code": "SlowDown", "retry_after": 3600}),
          ("answer", {"status": 507, "code": "x"}),
          ("answer", {"status": 301, "code": "PermanentRedirect"}), ("answer", {"status": 400, "code": "ExpiredToken"}),
          ("reset", {}), ("early", {"status": 503, "code": "SlowDown"}), ("lost", {}), ("cut", {"at": 1000})]


long = pytest.mark.skipif(not os.environ.get("DAIS_LONG"), reason="optional: takes half a minute; DAIS_LONG=1")
CASES = [pytest.param(fault, more, marks=[] if more.get("status", 500) in (301, 400, 403, 404, 507) or
                      "retry_after" in more
                      else [long]) for fault, more in FAULTS]


@stand_in("it fails as it is told")
@pytest.mark.parametrize("fault, more", CASES, ids=lambda v: v if isinstance(v, str)
                         else "-".join(map(str, v.values())) or "x")
def test_object_store_fails(far, fault, more):
    """A clear answer in time, no row, no half file; and when it is over, everything as before."""
    if fault == "cut":
        far.s3.fail("get", fault, times=None, **more)
    else:
        far.s3.fail("*", fault, times=None, **more)
    empty(far)
    began = time.monotonic()
    if fault != "cut":
        answer = put(far, "box/new", content(50_000, b"new"), deadline=60)
        assert answer.status in (500, 503, 507) and answer.json()["detail"], answer
        assert "127.0.0.1" not in answer.json()["detail"] and "S3_" not in answer.json()["detail"], answer.json()
        assert rows(far) == {"there"}
    answer = None
    with contextlib.suppress(Broken):
        answer = get(far, "box/there", deadline=60)
    assert answer is None or answer.status in (500, 503, 507), answer
    assert time.monotonic() - began < 90
    if fault != "cut":
        wait_for(lambda: ready(far) == 503, "that it is told", 60)  # a look of before may end only now
    assert call(far, "GET", "/api/files/box").status == 200  # what needs no bytes goes on
    assert get(far, "box/there", method="HEAD").status in (200, 500)
    assert call(far, "DELETE", "/api/files/box/none").status == 404


@stand_in("it fails as it is told")
@pytest.mark.parametrize("kind", ["put", "get"])
@pytest.mark.parametrize("fault, more", FAULTS[2:4] + [("reset", {}), ("cut", {"at": 1000}), ("lost", {})],
                         ids=["500", "503", "reset", "cut", "lost"])
def test_object_store_fails_twice(far, kind, fault, more):
    """Nobody notices but by the time that it takes."""
    empty(far)
    far.s3.fail(kind, fault, times=2, **more)
    if kind == "get":
        assert get(far, "box/there", deadline=60).body == far.body
    else:
        assert put(far, "box/new", content(50_000, b"new"), deadline=60).status == 201
        empty(far)
        assert get(far, "box/new").body == content(50_000, b"new")


@pytest.mark.parametrize("spoil", ["gone", "other", "short",
                                   pytest.param("etag", marks=stand_in("it says another ETag"))])
def test_object_store_has_something_else(far, spoil):
    """Bytes that are not those that were stored are never sent; sent again, they are there again."""
    key, = [key for key in far.s3.objects if "-" in key]
    one = far.s3.objects[key]
    empty(far)
    if spoil == "gone":
        far.s3.objects.pop(key)
    elif spoil == "etag":
        far.s3.fail("get", "etag", times=None)
    else:
        far.s3.store(key, b"y" * (one.size if spoil == "other" else 10))
    with contextlib.suppress(Broken):
        answer = get(far, "box/there", deadline=60)
        assert answer.status >= 500 or spoil == "etag" and answer.body == far.body, answer
    far.s3.heal()
    assert put(far, "box/there", far.body).status == 200
    assert get(far, "box/there").body == far.body


@long
@stand_in("it hangs as it is told")
@pytest.mark.parametrize("kind, fault", [("put", "hang-head"), ("get", "hang-head"), ("get", "hang-body")])
def test_object_store_hangs(far, kind, fault):
    """An answer within the time that a call has, and others are served meanwhile."""
    empty(far)
    far.s3.fail(kind, fault, times=None)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        tries = [pool.submit(put, far, f"box/h{i}", content(50_000, b"%d" % i), deadline=90) if kind == "put" else
                 pool.submit(get, far, "box/there", deadline=90) for i in range(20)]
        assert call(far, "GET", "/api/files/box").status == 200
        assert get(far, "box/there", method="HEAD").status == 200
        for one in tries:
            with contextlib.suppress(Broken):
                assert one.result().status == 503, one.result()
    assert time.monotonic() - began < 80
    assert rows(far) == {"there"}


@long
@stand_in("it fails as it is told")
def test_what_is_left_of_an_outage(far):
    """Objects without a row may stay for the sweep; rows without an object never are."""
    far.s3.fail("put", "lost", times=None)
    far.s3.fail("delete", "answer", times=None, status=503, code="SlowDown")
    for i in range(3):
        assert put(far, f"box/lost{i}", content(9000, b"%d" % i), deadline=60).status == 503
    far.s3.heal()
    hashes = {key.rpartition("/")[2][:64] for key in far.s3.objects}
    for path in rows(far):
        assert hashlib.sha256(get(far, f"box/{path}", deadline=60).body).hexdigest() in hashes
    assert rows(far) == {"there"}


def test_what_is_asked_of_the_object_store(far):
    """Nothing for a list, nothing for what is on the disk, one question for what is not."""
    for i in range(200):
        put(far, f"box/c{i:03}", b"%d" % (i % 10))
    wait_for(lambda: "app/owner" in far.s3.objects and len(far.s3.objects) == 12,  # ten contents, `there`, `owner`
             "the first look at what is stored, and the end of what came twice")
    before = questions(far)
    assert len(call(far, "GET", "/api/files/box?limit=1000").json()["items"]) == 201
    for i in range(200):
        assert get(far, f"box/c{i:03}").body == b"%d" % (i % 10)
        assert get(far, f"box/c{i:03}", method="HEAD").status == 200
    assert get(far, "box/there", If_None_Match=get(far, "box/there").get("etag")).status == 304
    assert questions(far) == before, questions(far) - before
    empty(far)
    for i in range(200):
        assert get(far, f"box/c{i:03}").body == b"%d" % (i % 10)
    assert questions(far) - before == {"get": 10}, questions(far) - before


@stand_in("its secret is changed")
def test_keys_of_the_object_store_end(far):
    """The secret is in no answer and in no line of the log."""
    far.s3.secret = "another"
    empty(far)
    found = [put(far, "box/x", b"x", deadline=60), get(far, "box/there", deadline=60)]
    wait_for(lambda: ready(far) == 503, "that it is told", 60)
    found.append(far.fetch("/readyz", deadline=60))
    assert [answer.status for answer in found] == [503] * 3
    for name, value in far.s3.env.items():
        if name.endswith("KEY"):
            assert value not in far.stderr and all(value not in answer.body.decode() for answer in found)
    with open(f"/proc/{far.proc.pid}/environ", "rb") as file:
        env = dict(pair.split(b"=", 1) for pair in file.read().split(b"\0") if pair)
    far.s3.secret = env[b"S3_SECRET_ACCESS_KEY"].decode()
    assert far.s3.secret not in far.stderr


@stand_in("it sends elsewhere as it is told")
def test_the_operators_own_endpoint(tmp_path):
    """It comes from who runs the server: one inside is allowed, as MinIO beside it is; it leads nowhere else."""
    with files("s3-sqlite", tmp_path) as server, S3() as other:
        assert put(server, "box/x", b"x").status == 201 and server.s3.url.startswith("http://127.0.0.1:")
        empty(server)
        server.s3.fail("get", "answer", times=None, status=307, code="TemporaryRedirect",
                       headers=[("Location", other.url + "/files/x")])
        assert get(server, "box/x", deadline=60).status in (500, 503)
        assert not other.requests
