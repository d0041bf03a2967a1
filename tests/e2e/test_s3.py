# Object stores: every call of src/s3 against a server that checks signatures, and against every fault it has.
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid

import pytest
from conftest import wait_for
from s3 import S3
from s3_driver import Driver, Failed, build
from serving import best_of_three

PART = 1 << 18
# Time enough on a slow machine; where something is to hang or to fail for good, the test says how long.
QUICK = {"DRIVER_PART": PART, "DRIVER_IDLE_MS": 15000, "DRIVER_CALL_MS": 60000, "DRIVER_CONNECT_MS": 10000}
HARD_KEYS = ["plain", "a b", "a+b", "100%", "a%20b", "ü/日本/😀", "q?x=1&y=2#z", "a//b", "a/./b/../c", "'\"<>&;", "~*!()",
             "tab\tkey", "=@,:$", "e\u0301", "end/", "a\\b"]


@pytest.fixture(scope="module", autouse=True)
def _program():
    build()


@pytest.fixture(name="s3")
def _s3():
    with S3() as server:
        yield server
        assert not server.errors


@pytest.fixture(name="drive")
def _drive(s3):
    with contextlib.ExitStack() as stack:
        yield lambda **env: stack.enter_context(Driver({**s3.env, **QUICK, **env}))


@pytest.fixture(name="file")
def _file(tmp_path):
    def make(size, name="file"):
        path = tmp_path / name
        path.write_bytes(bytes(range(251)) * (size // 251) + b"z" * (size % 251))
        return path
    return make


def fails(driver, *words):
    with pytest.raises(Failed) as failed:
        driver(*words)
    assert failed.value.sentence and not re.search(r"secret|Credential", failed.value.sentence)
    return failed.value


def ask(url, data=None, method="GET"):
    """Status and body, of anybody without credentials."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.read()


# ---- what works -----------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 1000, 2 * PART, 2 * PART + 1, 5 * PART, 5 * PART + 77])
def test_there_and_back(s3, drive, file, tmp_path, size):
    driver, source, to = drive(), file(size), tmp_path / "to"
    driver("put", "dir/x", source, "image/png")
    assert s3.objects["dir/x"].body == source.read_bytes() and s3.objects["dir/x"].type == "image/png"
    assert s3.calls["part"] == (0 if size <= 2 * PART else -(-size // PART)) and not s3.uploads
    shown, etag, modified = driver("head", "dir/x")
    assert int(shown) == size and etag == s3.objects["dir/x"].etag and abs(int(modified) / 1000 - time.time()) < 60
    driver("get", "dir/x", 0, size, to)
    assert to.read_bytes() == source.read_bytes()
    driver("get", "dir/x", size // 3, size // 2, to)
    assert to.read_bytes() == source.read_bytes()[size // 3:size // 3 + size // 2]
    driver("delete", "dir/x")
    driver("delete", "dir/x")
    assert not s3.objects and fails(driver, "head", "dir/x").slug == "not_found"
    assert fails(driver, "get", "dir/x", 0, 5, to).slug == "not_found"


@pytest.mark.parametrize("host", ["127.0.0.1", "s3.localhost"])
@pytest.mark.parametrize("prefix", ["", "up +ü&/"])
def test_hard_keys(s3, drive, file, tmp_path, host, prefix):
    driver = drive(S3_ENDPOINT_URL=f"http://{host}:{s3.port}", S3_PREFIX=prefix)
    for i, key in enumerate(HARD_KEYS):
        driver("put", key, file(i + 1), "text/plain")
    assert set(s3.objects) == {prefix + key for key in HARD_KEYS}
    for i, key in enumerate(HARD_KEYS):
        assert driver("head", key)[0] == str(i + 1)
        driver("get", key, 0, i + 1, tmp_path / "to")
    after, *found = driver("list", "", "")
    assert found[::4] == sorted(HARD_KEYS, key=str.encode) and after == ""
    url = driver("presign", "GET", "ü/日本/😀", 60)[0]
    if host == "127.0.0.1":
        assert ask(url) == (200, file(6).read_bytes())
    driver("delete-many", *HARD_KEYS)
    assert not s3.objects and s3.calls["delete-many"] == 1


def test_presigned(s3, drive):
    driver = drive()
    url = driver("presign", "PUT", "a b+c", 60)[0]
    assert ask(url, b"new", "PUT")[0] == 200
    assert s3.objects["a b+c"].body == b"new"
    for bad in (url.replace("a%20b", "a%20c"), driver("presign", "GET", "a b+c", 60)[0]):
        assert ask(bad, b"x", "PUT")[0] == 403
    s3.clock_off = 3600
    assert ask(url, b"new", "PUT")[0] == 403


def test_lists_in_pages(s3, drive):
    names = sorted(f"p/{i:03} +ü" for i in range(25)) + ["q/other"]
    for name in names:
        s3.store(name, b"12")
    s3.page, driver, found, after = 10, drive(), [], ""
    for page in range(3):
        after, *items = driver("list", "p/", after)
        found += items[::4]
        assert bool(after) == (page < 2) and set(items[1::4]) == {"2"}
    assert found == names[:-1]
    assert driver("list", "nothing", "") == [""]


def test_delete_many(s3, drive):
    names = [f"k{i}" for i in range(2500)]
    for name in names[:30]:
        s3.store(name, b"1")
    driver = drive()
    driver("delete-many", *names)
    assert not s3.objects and s3.calls["delete-many"] == 3 and s3.calls["delete"] == 0
    for name in names[:5]:
        s3.store(name, b"1")
    s3.fail("delete-many", "some", keys={"k1": "InternalError", "k3": "NoSuchKey"})
    driver("delete-many", *names[:5])
    assert set(s3.objects) == {"k3"} and s3.calls["delete"] == 1
    s3.knows_bulk = False
    for name in names[:5]:
        s3.store(name, b"1")
    before = s3.calls["delete-many"]
    driver("delete-many", *names[:5])
    driver("delete-many", *names[5:10])
    assert not s3.objects and s3.calls["delete-many"] == before + 1
    for name in ("line\nbreak", "bell\a"):
        s3.store(name, b"1")
    drive()("delete-many", "line\nbreak", "bell\a")
    assert not s3.objects


def test_uploads_that_nobody_finishes(s3, drive, file):
    driver = drive(S3_PREFIX="app/")
    s3.page = 2
    s3.clock_off = -30 * 60
    s3.fail("abort", "answer", times=None, status=403, code="AccessDenied")
    s3.fail("part", "answer", times=None, status=403, code="AccessDenied")
    for i in range(5):
        fails(driver, "put", f"x {i}", file(3 * PART), "")
    s3.heal()
    s3.clock_off = 0
    with s3.lock:
        s3.uploads["other"] = type(next(iter(s3.uploads.values())))("elsewhere", "", 0)
    now = int(time.time() * 1000)
    assert driver("stale", "", now - 3600_000) == ["0"] and len(s3.uploads) == 6
    assert driver("stale", "x", now - 60_000) == ["5"] and list(s3.uploads) == ["other"]


def test_session_tokens_and_the_check(s3, drive):
    s3.token = "token/+=of a session".replace(" ", "")
    driver = Driver({**s3.env, **QUICK})
    with driver:
        driver("check")
        assert not s3.objects and s3.calls == {"put": 1, "get": 1, "delete": 1}
        url = driver("presign", "GET", "nothing", 60)[0]
        assert ask(url)[0] == 404  # believed
    s3.denied = {"delete"}
    with Driver({**s3.env, **QUICK}) as driver:
        failed = fails(driver, "check")
        assert failed.slug == "unavailable" and failed.sentence.startswith("deleting: 127.") and \
            "s3:DeleteObject" in failed.sentence


def test_tls(tmp_path, file):
    pem, key = tmp_path / "pem", tmp_path / "key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days",
                    "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True,
                   capture_output=True)
    with S3(tls=(pem, key)) as s3:
        with Driver({**s3.env, **QUICK, "DRIVER_CA": pem}) as driver:
            driver("put", "x", file(3 * PART), "")
            assert s3.objects["x"].body == file(3 * PART).read_bytes()
        sent = [headers["x-amz-content-sha256"] for kind, _, _, headers in s3.requests if kind == "part"]
        assert sent == ["UNSIGNED-PAYLOAD"] * 3
        with Driver({**s3.env, **QUICK}) as driver:
            assert "certificate is not trusted" in fails(driver, "head", "x").sentence
        assert not s3.errors


def test_connections_are_kept(s3, drive, file):
    driver = drive()
    driver("put", "x", file(100000), "")
    accepted = []
    accept = s3.server.process_request
    s3.server.process_request = lambda *args: (accepted.append(args[1]), accept(*args))
    driver("threads", "x", 8, 20)
    assert s3.calls["head"] == s3.calls["get"] == 160 and 1 <= len(accepted) <= 8


def test_memory_does_not_grow_with_the_file(s3, drive, tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(64 << 20)
    driver = drive(DRIVER_PART=8 << 20)
    driver("check")

    def peak():
        status = pathlib.Path(f"/proc/{driver.process.pid}/status").read_text("ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    before = peak()
    driver("put", "large", path, "")
    driver("get", "large", 0, 64 << 20, tmp_path / "to")
    assert peak() - before < 12 << 10 and (tmp_path / "to").stat().st_size == 64 << 20


# ---- what fails and is repeated -------------------------------------------------------------------
FAULTS = [("answer", {"status": 500, "code": "InternalError"}), ("answer", {"status": 503, "code": "SlowDown"}),
          ("answer", {"status": 400, "code": "RequestTimeout"}), ("reset", {}), ("lost", {}), ("hang-head", {})]


@pytest.mark.parametrize("fault,more", FAULTS, ids=[more.get("code", fault) for fault, more in FAULTS])
def test_every_call_is_repeated(s3, drive, file, tmp_path, fault, more):
    driver = drive(DRIVER_IDLE_MS=1000) if fault == "hang-head" else drive()
    s3.fail("*", fault, 1, **more)
    driver("put", "x", file(1000), "")
    for kind in ("create", "part", "complete"):
        s3.fail(kind, fault, 1, **more)
    driver("put", "long", file(3 * PART), "")
    assert s3.objects["long"].body == file(3 * PART).read_bytes()
    for kind, words in (("get", ("get", "long", 5, 3 * PART - 5, tmp_path / "to")), ("head", ("head", "x")),
                        ("list", ("list", "", "")), ("uploads", ("stale", "", 1)),
                        ("delete-many", ("delete-many", "a", "b")), ("delete", ("delete", "x"))):
        s3.fail(kind, fault, 1, **more)
        driver(*words)
    assert (tmp_path / "to").read_bytes() == s3.objects["long"].body[5:]
    stats = [int(text) for text in driver("stats")]
    # On a connection that was kept, libcurl repeats by itself what got no answer.
    assert (1 if fault in ("reset", "lost") else 10) <= stats[6] <= 10 and stats[7] == 0 and stats[-1] == 0


def test_a_broken_get_goes_on_where_it_broke(s3, drive, file, tmp_path):
    source = file(1 << 20)
    s3.store("x", source.read_bytes())
    for _ in range(12):
        s3.fail("get", "cut", at=80000)
    driver = drive()
    driver("get", "x", 10, (1 << 20) - 10, tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == source.read_bytes()[10:] and s3.calls["get"] == 13
    ranges = [headers["Range"] for kind, _, _, headers in s3.requests if kind == "get"]
    assert ranges[:3] == [f"bytes={10 + i * 80000}-{(1 << 20) - 1}" for i in range(3)]
    assert all(headers["If-Match"] == s3.objects["x"].etag for kind, _, _, headers in s3.requests[1:])
    s3.fail("get", "hang-body")
    drive(DRIVER_IDLE_MS=1500)("get", "x", 0, 1 << 20, tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == source.read_bytes()


def test_never_parts_of_two_objects(s3, drive, file, tmp_path):
    s3.store("x", file(100000).read_bytes())
    driver = drive()
    s3.fail("get", "cut", at=1000)
    s3.fail("get", "etag")
    assert fails(driver, "get", "x", 0, 100000, tmp_path / "to").slug == "stale"
    assert fails(driver, "get", "x", 0, 100001, tmp_path / "to").slug == "stale"  # shorter than it should be
    assert fails(driver, "get", "x", 100000, 5, tmp_path / "to").slug == "stale"
    s3.knows_ranges = False
    driver("get", "x", 0, 100000, tmp_path / "to")
    assert fails(driver, "get", "x", 1, 100, tmp_path / "to").slug == "stale"
    s3.fail("get", "cut", at=1000)
    assert fails(driver, "get", "x", 0, 100000, tmp_path / "to").slug == "stale"


def test_a_failed_upload_is_ended(s3, drive, file):
    driver = drive()
    s3.fail("part", "answer", times=1, status=403, code="AccessDenied")
    assert "s3:PutObject" in fails(driver, "put", "x", file(4 * PART), "").sentence
    assert not s3.uploads and s3.calls["abort"] == 1
    s3.fail("complete", "inside", times=None, code="InternalError")
    assert fails(drive(DRIVER_CALL_MS=6000), "put", "x", file(4 * PART), "").slug == "unavailable"
    assert not s3.uploads and s3.calls["complete"] > 2 and not s3.objects
    s3.heal()
    s3.fail("complete", "inside", times=1, code="InternalError")
    driver("put", "x", file(4 * PART), "")
    assert not s3.uploads and len(s3.objects) == 1


# ---- what fails and says so -----------------------------------------------------------------------
def test_sentences(s3, drive, file):
    path = file(10)
    for env, expected in ((dict(S3_BUCKET="other"), 'has no bucket "other"'),
                          (dict(S3_ACCESS_KEY_ID="nobody"), "S3_ACCESS_KEY_ID"),
                          (dict(S3_SECRET_ACCESS_KEY="wrong"), "S3_SECRET_ACCESS_KEY"),
                          (dict(AWS_SESSION_TOKEN="wrong"), "session token")):
        failed = fails(drive(**env), "put", "x", path, "")
        assert failed.slug == "unavailable" and expected in failed.sentence
    driver = drive()
    s3.denied = {"put", "list", "get", "head"}
    assert "s3:PutObject" in fails(driver, "put", "x", path, "").sentence
    assert "s3:ListBucket" in fails(driver, "list", "", "").sentence
    assert "s3:GetObject" in fails(driver, "head", "x").sentence
    s3.denied = set()
    s3.fail("put", "answer", status=507, code="InsufficientStorage")
    assert fails(driver, "put", "x", path, "").slug == "storage_full"
    s3.fail("list", "noise", times=1)
    assert "cannot be read" in fails(driver, "list", "", "").sentence
    s3.fail("put", "early", times=None, status=403, code="AccessDenied")  # its reset may come first: then again
    assert "s3:PutObject" in fails(driver, "put", "x", file(2 * PART), "").sentence
    s3.heal()
    with Driver({**s3.env, **QUICK, "S3_ENDPOINT_URL": "ftp://x"}) as refused:
        assert not refused.is_ready and "S3_ENDPOINT_URL" in refused.sentence


def test_a_missing_bucket_is_no_missing_object(s3, drive):
    driver = drive(S3_BUCKET="other")
    failed = fails(driver, "head", "x")
    assert failed.slug == "unavailable" and 'has no bucket "other"' in failed.sentence
    driver = drive()
    s3.denied = {"get"}
    assert fails(driver, "head", "x").slug == "unavailable"  # nobody knows what is missing
    s3.denied = set()
    assert fails(driver, "head", "x").slug == "not_found"


def test_an_upload_whose_end_nobody_confirms(s3, drive, file):
    driver = drive()
    s3.fail("complete", "noise")
    driver("put", "x", file(3 * PART), "")  # it is there
    s3.fail("complete", "empty")
    failed = fails(driver, "put", "y", file(3 * PART), "")
    assert failed.slug == "unavailable" and "not there" in failed.sentence
    assert not s3.uploads and set(s3.objects) == {"x"}


def test_time_that_hashing_took(drive, file):
    path = file(0)
    os.truncate(path, 129 << 20)
    failed = fails(drive(DRIVER_CALL_MS=25, DRIVER_PART=64 << 20), "put", "x", path, "")
    assert failed.slug == "unavailable" and "in time" in failed.sentence


def test_wrong_region_and_wrong_clock(s3, drive, file):
    driver = drive(S3_REGION="us-east-1")
    driver("put", "x", file(10), "")
    driver("head", "x")
    assert s3.calls["put"] == 2 and s3.calls["head"] == 1  # it stays there
    assert drive(S3_REGION="us-east-1")("head", "x")[0] == "10"
    for off in (3600, -7200):
        s3.clock_off = off
        driver("head", "x")
        before = s3.calls["put"]
        driver("put", "x", file(10), "")
        assert s3.calls["put"] == before + 1
    other = drive()
    other("put", "x", file(10), "")  # "RequestTimeTooSkewed", then right
    s3.fail("put", "answer", times=None, status=403, code="RequestTimeTooSkewed")
    assert "clock" in fails(other, "put", "x", file(10), "").sentence


def test_a_call_ends_in_time(s3, drive, file):
    driver = drive(DRIVER_CALL_MS=2500)
    for fault in ("hang-head", "reset"):
        def once():
            s3.fail("*", fault, times=None)  # pylint: disable=cell-var-from-loop
            begin = time.monotonic()
            assert fails(driver, "put", "x", file(10), "").slug == "unavailable"
            took = time.monotonic() - begin
            s3.heal()
            drive()("put", "x", file(10), "")
            return took
        best_of_three(5, once)

    def at_once():
        s3.fail("*", "answer", status=503, code="SlowDown", retry_after=60)
        begin = time.monotonic()
        assert fails(drive(), "put", "x", file(10), "").retry_s == 60
        return time.monotonic() - begin
    best_of_three(2, at_once)


def test_the_breaker(s3, drive, file):
    driver = drive()
    s3.fail("*", "reset", times=None)
    driver.begin("put", "x", file(10), "")  # goes on trying, also while others are refused
    wait_for(lambda: s3.calls["put"] >= 8, "eight tries", 50)
    s3.heal()
    driver.end()
    assert driver("stats")[-1] == "0"
    s3.store("x", b"x")
    driver = drive(DRIVER_CALL_MS=300)
    s3.fail("*", "answer", times=None, status=503, code="SlowDown")
    for _ in range(8):
        fails(driver, "head", "x")
    failed = fails(driver, "head", "y")
    assert "left alone" in failed.sentence and 1 <= failed.retry_s <= 6 and driver("stats")[-1] == "1"
    s3.heal()
    refused = []

    def is_answered():
        try:
            driver("head", "y")
            return True
        except Failed as error:
            refused.append(error.sentence)
            return False
    s3.store("y", b"y")
    wait_for(is_answered, "that it is asked again", 60)
    # Nobody asked but whoever was let through: one, or one more for each who had no answer in time.
    asked = sum(key == "y" for _, key, *_ in s3.requests)
    assert asked == 1 + sum("left alone" not in sentence for sentence in refused) and driver("stats")[-1] == "0"


def test_nobody_there(drive, file):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    failed = fails(drive(S3_ENDPOINT_URL=f"http://127.0.0.1:{port}", DRIVER_CALL_MS=3000), "put", "x", file(1), "")
    assert failed.slug == "unavailable" and "does not accept a connection" in failed.sentence
    name = f"no-{uuid.uuid4().hex}.invalid"
    failed = fails(drive(S3_ENDPOINT_URL=f"http://{name}", DRIVER_CALL_MS=500), "put", "x", file(1), "")
    assert "no such name" in failed.sentence or "in time" in failed.sentence
