# Where the files of a test's apps are kept: in a folder, in our stand-in of S3, or in a server of others.
"""DAIS_TEST_STORE=versity       every server that a test starts with --data has a bucket of versitygw for that data
                              folder, wherever it would have a folder or the stand-in (s3.py); VERSITYGW names the
                              program. `make test-versity` builds it and runs the suite of files so.
IS_REAL                       is it so?
@stand_in("why"), @in_folder("why"), @no_store("why")
                              what a test needs that the real server cannot give; it is skipped there with that
                              reason, and the summary counts how many ran where
bucket_of(data)               the Bucket of a data folder; None in a folder
object_store(data)            a context with a bucket of the real server, else the stand-in, which must like all it got
env_of(bucket)                the variables of a server whose store that is
put_by(words)                 the variables that `serving` adds for `dais serve words`

A Bucket is to a test what the stand-in is, as far as a real server goes: .env, .objects (what it holds, to be looked
at and removed), .store(key, body) (a signed PUT), .requests and .calls (from its access log; no headers)."""
import atexit
import collections
import contextlib
import datetime
import functools
import hashlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import pytest

from s3 import S3, Signature, quoted

STORE = os.environ.get("DAIS_TEST_STORE", "")
assert STORE in ("", "versity"), f"DAIS_TEST_STORE={STORE}: versity, or nothing"
IS_REAL = STORE == "versity"
ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSITY = pathlib.Path(os.environ.get("VERSITYGW", ROOT / "build/peers/versitygw/versitygw"))
REGION = "eu-test-1"
KINDS = {"PutObject": "put", "GetObject": "get", "HeadObject": "head", "DeleteObject": "delete",
         "DeleteObjects": "delete-many", "ListObjectsV2": "list", "CreateMultipartUpload": "create",
         "UploadPart": "part", "CompleteMultipartUpload": "complete", "AbortMultipartUpload": "abort",
         "ListMultipartUploads": "uploads"}
#                   bucket's owner, bucket, [time], address, who, id, operation, key, uri, status
LOGGED = re.compile(r"\S+ (\S+) \[[^]]*\] \S+ \S+ \S+ \S*?([A-Za-z0-9]+) (.*) (/\S*) (\d{3}) (\S+) ")


ANSWERED = collections.Counter()  # by servers that have ended


def _only(where):
    return lambda why: pytest.mark.skipif(IS_REAL, reason=f"{where}: {why}")


WHERE = ["on the stand-in only", "in a folder only", "needs no store"]
stand_in, in_folder, no_store = map(_only, WHERE)


# ---- the server ------------------------------------------------------------------------------------
class Versity:
    """versitygw above a folder: each bucket a folder in it, each object a file. `before` is put before the program."""

    def __init__(self, before=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dais-versity-"))
        self.data, self.log = self.folder / "data", self.folder / "access"
        self.data.mkdir()
        self.id, self.secret = "ID" + uuid.uuid4().hex[:14], uuid.uuid4().hex + "/+secret"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.process, self.before = None, list(before)
        self.start()

    def start(self):
        """Again, with the keys that it has by now and what it holds."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "ROOT_ACCESS_KEY": self.id,
               "ROOT_SECRET_KEY": self.secret}
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                ["setpriv", "--pdeathsig", "KILL", *self.before, VERSITY, "--port", f"127.0.0.1:{self.port}",
                 "--region", REGION, "--quiet", "--access-log", self.log, "posix", self.data], env=env,
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()

    def _wait(self):
        end = time.monotonic() + 30
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    text = (self.folder / "log").read_text("utf-8", "replace")
                    self.close()
                    raise AssertionError(f"versitygw does not start: {text}") from None
                time.sleep(0.05)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(20)

    def close(self):
        self.end()
        ANSWERED.update(operation for _, operation, *_ in self.logged())
        shutil.rmtree(self.folder, ignore_errors=True)

    def logged(self):
        """(bucket, operation, key, status) of every request so far."""
        if self.log.exists():
            for line in self.log.read_text("utf-8", "replace").splitlines():
                if found := LOGGED.match(line):
                    yield found[1], found[2], found[3], int(found[5])


@functools.cache
def versity():
    """One for all tests."""
    assert VERSITY.exists(), f"{VERSITY} is not there: `make test-versity` builds it where Go is installed"
    server = Versity()
    atexit.register(server.close)
    return server


# ---- a bucket --------------------------------------------------------------------------------------
class Object:
    def __init__(self, path):
        self.path = path

    body = property(lambda self: self.path.read_bytes())
    size = property(lambda self: self.path.stat().st_size)
    modified = property(lambda self: self.path.stat().st_mtime,
                        lambda self, when: os.utime(self.path, (when, when)))


class Objects(collections.abc.MutableMapping):
    """The files of a bucket: who changes one does what a rotten disk does to the server."""

    def __init__(self, folder):
        self.folder = folder

    def __iter__(self):
        for at, _, names in os.walk(self.folder):  # what is gone meanwhile is left out
            place = pathlib.Path(at).relative_to(self.folder)
            if place.parts[:1] != (".sgwtmp",):  # the server's own
                yield from (str(place / name) for name in names)

    def __len__(self):
        return sum(1 for _ in self)

    def __contains__(self, key):
        return (self.folder / key).is_file()

    def __getitem__(self, key):
        return Object(self.folder / key)  # it may be gone by now

    def __delitem__(self, key):
        self[key].path.unlink()

    def __setitem__(self, key, value):
        raise TypeError("Bucket.store() puts objects there")


class Bucket:
    def __init__(self, server):
        self.server, self.name, self.errors = server, "b-" + uuid.uuid4().hex[:20], []
        self.folder = server.data / self.name
        self.folder.mkdir()
        self.objects = Objects(self.folder)
        self.lock = contextlib.nullcontext()
        self.env = {"S3_ENDPOINT_URL": f"http://127.0.0.1:{server.port}", "S3_BUCKET": self.name, "S3_REGION": REGION,
                    "S3_ACCESS_KEY_ID": server.id, "S3_SECRET_ACCESS_KEY": server.secret}

    @property
    def requests(self):
        return [(KINDS.get(operation, operation), key, status, {})
                for bucket, operation, key, status in self.server.logged() if bucket == self.name]

    @property
    def calls(self):
        return collections.Counter(kind for kind, *_ in self.requests)

    def heal(self):
        """It was told nothing that could end."""

    def store(self, key, body):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path, host, digest = quoted(f"/{self.name}/{key}", "/"), f"127.0.0.1:{self.server.port}", hashlib.sha256(body)
        headers = {"host": host, "x-amz-content-sha256": digest.hexdigest(), "x-amz-date": now}
        signature = Signature("PUT", path, [], list(headers.items()), self.server.id, now[:8], REGION, now,
                              sorted(headers), "", digest.hexdigest()).expected(self.server.secret)
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.server.id}/{now[:8]}/{REGION}/s3/aws4_request,"
            f"SignedHeaders={';'.join(sorted(headers))},Signature={signature}")
        with contextlib.closing(http.client.HTTPConnection(host, timeout=20)) as conn:
            conn.request("PUT", path, body, headers)
            answer = conn.getresponse()
            assert answer.status == 200, answer.read()


# ---- which one -------------------------------------------------------------------------------------
@functools.cache
def _bucket(_data):
    return Bucket(versity())


def bucket_of(data):
    """Started again, a server has what it had."""
    return _bucket(str(pathlib.Path(data).absolute())) if IS_REAL else None


@contextlib.contextmanager
def object_store(data):
    if IS_REAL:
        yield bucket_of(data)
        return
    with S3() as s3:
        yield s3
        assert not s3.errors, s3.errors


def env_of(bucket):
    return {"STORAGE_BACKEND": "s3", "S3_FORCE_PATH_STYLE": "true", **bucket.env} if bucket else {}


def put_by(words):
    words = list(words)
    return env_of(bucket_of(words[words.index("--data") + 1])) if IS_REAL and "--data" in words else {}


def pytest_terminal_summary(terminalreporter):
    """What ran where, in figures; conftest takes it."""
    if not IS_REAL:
        return
    stats, say = terminalreporter.stats, terminalreporter.write_line
    say(f"files on versitygw: {len(stats.get('passed', ()))} passed, {len(stats.get('failed', ()))} failed,"
        f" {len(stats.get('error', ()))} errors")
    reasons = [report.longrepr[2] for report in stats.get("skipped", ()) if isinstance(report.longrepr, tuple)]
    for where in WHERE:
        say(f"  {where}: {sum(reason.startswith(f'Skipped: {where}') for reason in reasons)}")
    say(f"  skipped for other reasons: {sum(not any(where in reason for where in WHERE) for reason in reasons)}")
    if versity.cache_info().currsize:
        ANSWERED.update(operation for _, operation, *_ in versity().logged())
    say(f"  requests that versitygw answered: {ANSWERED.total()}: " +
        ", ".join(f"{n} {KINDS.get(operation, operation)}" for operation, n in ANSWERED.most_common()))
