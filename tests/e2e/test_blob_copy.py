# Copies of what is in an object store: all of it, checked, and asked for again before it is called damaged.
import hashlib

import pytest
from s3 import S3, Fault
from s3_driver import Driver, Failed, build

BLOCK = 8 << 20


@pytest.fixture(scope="module", autouse=True)
def _program():
    build()


@pytest.fixture(name="s3")
def _s3():
    with S3() as server:
        yield server
        assert not server.errors


@pytest.fixture(name="copy")
def _copy(s3, tmp_path, request):
    """Makes a copy behind what is in a file; returns what then follows that."""
    target = tmp_path / "copy"
    with Driver({**s3.env, "DRIVER_CALL_MS": getattr(request, "param", 60000), "DRIVER_IDLE_MS": 15000}) as driver:
        def copy(key, size):
            target.write_bytes(b"before")
            driver("copy", tmp_path / "store", key, size, target)
            assert target.read_bytes()[:6] == b"before"
            return target.read_bytes()[6:]
        yield copy
    assert not list((tmp_path / "store" / "drafts").iterdir())


def some(size):
    return bytes(i * 7 % 251 for i in range(1009)) * (size // 1009) + b"z" * (size % 1009)


def stored(s3, body):
    key = hashlib.sha256(body).hexdigest() + "-abcdefghijkl"
    s3.store(f"app/{key[:2]}/{key}", body)
    return key


def fails(copy, *args):
    with pytest.raises(Failed) as failed:
        copy(*args)
    return failed.value.slug


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_all_of_it(s3, copy, size):
    assert copy(stored(s3, some(size)), size) == some(size)


def test_what_is_damaged_or_missing_is_told_when_it_was_said_twice(s3, copy):
    body = some(BLOCK + 1000)
    key = stored(s3, body)
    name = f"app/{key[:2]}/{key}"
    s3.store(name, body[:-1] + b"?")
    assert fails(copy, key, len(body)) == "damaged" and s3.calls["get"] == 4
    assert fails(copy, key, len(body) + 1) == "damaged"
    del s3.objects[name]
    assert fails(copy, key, len(body)) == "not_found"
    assert fails(copy, "../../../../etc/passwd", 1) == "damaged"


def test_what_is_said_once_is_asked_again_from_the_start(s3, copy):
    """The second block is missing the first time: what the first block was is not in the copy twice."""
    body, asked = some(2 * BLOCK + 5), []

    def take_fault(kind):
        asked.append(kind)
        is_second = asked.count("get") == 2 and kind == "get"
        return Fault(kind, "answer" if is_second else "", 1, {"status": 404, "code": "NoSuchKey"})
    key, s3.take_fault = stored(s3, body), take_fault
    assert copy(key, len(body)) == body
    assert asked.count("get") == 5


@pytest.mark.parametrize("copy", [6000], indirect=True)
def test_a_store_that_breaks_off(s3, copy):
    body = some(3000)
    key = stored(s3, body)
    s3.fail("get", "cut", times=1, at=1000)
    assert copy(key, len(body)) == body
    s3.fail("get", "answer", times=None, status=503, code="SlowDown")
    assert fails(copy, key, len(body)) == "unavailable"
