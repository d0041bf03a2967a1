# Files where things go wrong for a moment or take long: flaky answers, hanging objects, killed servers, long forms.
import concurrent.futures
import contextlib
import json
import re
import sqlite3
import subprocess
import threading
import unittest.mock

import pytest

from accounts_api import ask, desk
from conftest import DAIS_BIN, Conn, clean_env, wait_for
from documents import TEST_BIN, call
from s3 import S3, Handler
from serving import serving, write_app
from stores import stand_in

pytestmark = stand_in("it fails and hangs as it is told")

MB = 1 << 20
MANIFEST = """web: { root: web }
collections:
  notes: { owner: false, rules: { read: public, create: public, write: public } }
files:
  docs: { owner: false, rules: { read: public, create: public, write: public, delete: public } }
  few: { owner: false, max: 4MB, quota: { bytes: 4MB, per: app }, rules: { read: public, create: public } }
  ours:
    owner: false
    max: 4MB
    quota: { bytes: 4MB, per: app }
    rules: { read: public, create: public, write: public }
"""


@pytest.fixture(name="app")
def _app(tmp_path):
    return write_app(tmp_path / "app", {"web/index.html": "hello"}, MANIFEST)


@pytest.fixture(name="far")
def _far(app, tmp_path):
    """A server over an object store."""
    with S3() as s3:
        with serving(app, "--data", tmp_path / "data", env={**s3.env, "STORAGE_BACKEND": "s3"}) as server:
            server.s3, server.files = s3, tmp_path / "data/apps/app/files"
            yield server
        assert not s3.errors, s3.errors


def put(server, path, body=b"x", **headers):
    return call(server, "PUT", f"/api/files/docs/{path}", body, None, Content_Type="application/octet-stream",
                **headers)


def get(server, path, **headers):
    return call(server, "GET", f"/api/files/docs/{path}", None, None, **headers)


def empty(server):
    """Nothing is on the disk: the object store has to be asked."""
    for block in (server.files / "cache").iterdir():
        if not block.name.startswith("."):
            block.unlink(missing_ok=True)


def key_of(server):
    key, = [key for key in server.s3.objects if "-" in key]
    return key


def questions(server):
    """How often a content was asked for; readiness asks for something else now and then."""
    return sum(kind == "get" and "-" in key for kind, key, *_ in list(server.s3.requests))


# ---- answers that are off for a moment -------------------------------------------------------------
def spoil_first(server, times, spoiled):
    """The first so many GETs of the object find it spoiled; those behind them find it as it was."""
    s3, key, left = server.s3, key_of(server), [times]
    whole, take = s3.objects[key].body, s3.take_fault

    def take_fault(kind):
        if kind in ("get", "head"):
            if left[0] > 0 and spoiled is None:
                s3.objects.pop(key, None)
            else:
                s3.store(key, spoiled if left[0] > 0 else whole)
            left[0] -= kind == "get"
        return take(kind)

    s3.take_fault = take_fault


@pytest.mark.parametrize("spoiled", [None, b"other bytes!", b"short"], ids=["gone", "other", "short"])
def test_one_odd_answer_marks_nothing(far, spoiled):
    assert put(far, "a", b"these bytes.").status == 201
    spoil_first(far, 1, spoiled)
    empty(far)
    assert get(far, "a").body == b"these bytes."
    assert get(far, "a").body == b"these bytes." and "damaged" not in far.stderr


@pytest.mark.parametrize("spoiled", [None, b"other bytes!", b"short"], ids=["gone", "other", "short"])
def test_what_is_said_twice_is_believed(far, spoiled):
    assert put(far, "a", b"these bytes.").status == 201
    spoil_first(far, 100, spoiled)
    empty(far)
    answer = get(far, "a")
    assert answer.status == 500 and answer.json()["code"] == "damaged", answer
    wait_for(lambda: "a stored file is damaged" in far.stderr, "the log")
    asked = questions(far)
    assert get(far, "a").status == 500 and questions(far) == asked


# ---- an object that hangs --------------------------------------------------------------------------
def lane(server, figure, name):
    text = server.fetch("/metrics").body.decode()
    return float(re.search(rf'^dais_lane_{figure}{{lane="{name}"}} (\S+)$', text, re.M)[1])


class Hanging:
    """So many GETs of objects (not those of readiness) are not answered until they are let go."""
    def __init__(self, most):
        self.most, self.asked, self.over, self.lock = most, 0, threading.Event(), threading.Lock()

    def __enter__(self):
        do_get = Handler.do_get

        def hang(handler, body):
            with self.lock:
                is_it = "-" in handler.key and self.asked < self.most
                self.asked += is_it
            if is_it:
                self.over.wait(14)  # the server's patience with a silent store ends a little later
            do_get(handler, body)

        self.patch = unittest.mock.patch.object(Handler, "do_get", hang)
        self.patch.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.patch.stop()


def test_a_hanging_object_holds_one_worker(far):
    """Whoever else wants it waits without one: other objects are fetched meanwhile, and then all have theirs."""
    for name in "ab":
        assert put(far, name, name.encode() * 5000).status == 201
    wait_for(lambda: "app/owner" in far.s3.objects, "the first look at what is stored")
    empty(far)
    with concurrent.futures.ThreadPoolExecutor(40) as pool, Hanging(1) as hanging:
        tries = [pool.submit(get, far, "a", deadline=120)]
        wait_for(lambda: hanging.asked == 1, "a question that is not answered")
        before = lane(far, "done_total", "store")
        tries += [pool.submit(get, far, "a", deadline=120, Range="bytes=0-4999") for _ in range(39)]
        wait_for(lambda: lane(far, "done_total", "store") >= before + 39, "39 workers that were given back")
        assert get(far, "b").body == b"b" * 5000
        assert not any(one.done() for one in tries)
        hanging.over.set()
        assert {one.result().body for one in tries} == {b"a" * 5000}
    assert sorted(one.result().status for one in tries) == [200] + [206] * 39


def test_who_waits_fails_with_whoever_asks(far):
    assert put(far, "a", b"a" * 5000).status == 201
    empty(far)
    with concurrent.futures.ThreadPoolExecutor(20) as pool, Hanging(1) as hanging:
        tries = [pool.submit(get, far, "a", deadline=120) for _ in range(20)]
        wait_for(lambda: hanging.asked == 1 and lane(far, "done_total", "store") >= 19, "those who wait")
        far.s3.objects.pop(key_of(far))
        hanging.over.set()
        assert {(one.result().status, one.result().json()["code"]) for one in tries} == {(500, "damaged")}
    assert questions(far) < 20  # it was asked for twice


def test_readiness_waits_behind_nobody(far):
    """All of the lane's workers hang, and the store's own question is asked all the same."""
    for i in range(16):
        assert put(far, f"h{i}", b"%d" % i * 100).status == 201
    empty(far)
    with concurrent.futures.ThreadPoolExecutor(16) as pool, Hanging(16) as hanging:
        tries = [pool.submit(get, far, f"h{i}", deadline=120) for i in range(16)]
        wait_for(lambda: hanging.asked == 16, "16 that hang")
        before = lane(far, "done_total", "tend")
        wait_for(lambda: lane(far, "done_total", "tend") >= before + 3, "the next looks")
        assert not any(one.done() for one in tries)
        hanging.over.set()
        assert [one.result().body for one in tries] == [b"%d" % i * 100 for i in range(16)]


# ---- a server that was killed, and a reload --------------------------------------------------------
def test_drafts_of_a_killed_server_go_at_the_start(app, tmp_path):
    """And none of an upload that is under way when the manifest is read again, or beside a command."""
    drafts = tmp_path / "data/apps/app/files/drafts"
    with serving(app, "--data", tmp_path / "data") as server:
        with Conn(server) as conn:
            conn.send(b"PUT /api/files/docs/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" +
                      bytes(2_500_000))
            wait_for(lambda: list(drafts.iterdir()), "a draft")
            server.expect_code = -9
            server.proc.kill()
            server.proc.wait()
    assert list(drafts.iterdir())
    with serving(app, "--data", tmp_path / "data") as server:
        assert put(server, "first").status == 201 and not list(drafts.iterdir())
        with Conn(server) as conn:
            conn.send(b"PUT /api/files/docs/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" +
                      bytes(2_500_000))
            wait_for(lambda: list(drafts.iterdir()), "a draft")
            reload(app, tmp_path / "data")
            assert dais(app, tmp_path / "data", "verify").returncode == 0 and list(drafts.iterdir())
            conn.send(bytes(500_000))
            assert conn.read("PUT").status == 201


def dais(app, data, *args):
    return subprocess.run([DAIS_BIN, *args, app, "--data", data], env=clean_env(app), capture_output=True, text=True,
                          timeout=300)


def reload(app, data):
    done = dais(app, data, "reload")
    assert done.returncode == 0, done.stderr


def test_a_reload_begins_no_new_walk(app, far, tmp_path):
    """One that failed, as the store is another's or not surely ours yet, is tried again later, not at once."""
    def tries():
        return far.stderr.count("unneeded bytes could not be looked for")
    assert put(far, "a").status == 201
    wait_for(lambda: tries() == 1, "the first try")
    for _ in range(2):
        reload(app, tmp_path / "data")
        assert put(far, "a").status == 200
        before = lane(far, "done_total", "tend")
        wait_for(lambda: lane(far, "done_total", "tend") >= before + 2, "two looks")
    assert tries() == 1


# ---- conditions in several lines -------------------------------------------------------------------
@pytest.fixture(name="here")
def _here(app, tmp_path):
    """A server over a folder."""
    with serving(app, "--data", tmp_path / "data") as server:
        server.files = tmp_path / "data/apps/app/files"
        yield server


def send(server, method, path, body, *headers):
    with Conn(server) as conn:
        conn.request(f"/api/{path}", method, [("Content-Type", "application/json"), *headers], body)
        return conn.read(method)


@pytest.mark.parametrize("method, body", [("PUT", b"new"), ("PATCH", b'{"path":"b"}'), ("DELETE", None)])
def test_all_lines_of_if_match_count(here, method, body):
    tag = put(here, "a").get("etag")
    old, other = ("If-Match", '"old"'), ("If-Match", '"other", "more"')
    assert send(here, method, "files/docs/a", body, old, other).status == 412
    assert send(here, method, "files/docs/a", body, old, ("If-Match", tag), other).status in (200, 204)


def test_all_lines_of_if_none_match_count(here):
    tag = put(here, "a").get("etag")
    assert send(here, "PUT", "files/docs/a", b"new", ("If-None-Match", '"x"'), ("If-None-Match", tag)).status == 412
    assert send(here, "PUT", "files/docs/a", b"new", ("If-None-Match", '"x"'), ("If-None-Match", '"y"')).status == 200


def test_all_lines_of_if_match_count_for_documents(here):
    assert call(here, "PUT", "/api/notes/a-note-of-mine-1", {"n": 1}, None).status == 201
    path, lines = "notes/a-note-of-mine-1", [("If-Match", '"v7"'), ("If-Match", '"v1"')]
    assert send(here, "PATCH", path, b'{"n":2}', *lines).status == 200
    assert send(here, "PATCH", path, b'{"n":3}', *lines).status == 412


# ---- forms and their quota -------------------------------------------------------------------------
def form_head(bucket, length):
    return (f"POST /api/files/{bucket} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n").encode()


def form_of(*sizes):
    parts = b"".join(b'--b\r\nContent-Disposition: form-data; name="f"; filename="%d.bin"\r\n\r\n' % i +
                     bytes([i]) * size + b"\r\n" for i, size in enumerate(sizes))
    return parts + b"--b--\r\n"


def test_a_form_is_refused_before_its_body(here):
    """By the length that it says; and one that is under way holds room for all of itself."""
    with Conn(here) as conn:
        answer = conn.send(form_head("few", 5 * MB)).read("POST")
        assert answer.status == 403 and answer.json()["code"] == "quota_exceeded" and not answer.interim
    body = form_of(MB, MB, MB)
    with Conn(here) as first, Conn(here) as second:
        first.send(form_head("few", len(body)))
        wait_for(lambda: first.sock.recv(100).startswith(b"HTTP/1.1 100"), "100 Continue")
        answer = second.send(form_head("few", 2 * MB)).read("POST")
        assert answer.status == 403 and not answer.interim
        assert call(here, "PUT", "/api/files/few/x", bytes(2 * MB), None).status == 403
        first.send(body)
        assert first.read("POST").status == 201
    wait_for(lambda: call(here, "PUT", "/api/files/few/x", bytes(MB), None).status == 201, "that it holds nothing")
    assert call(here, "PUT", "/api/files/few/y", b"y", None).status == 403


def test_a_form_that_breaks_off_holds_nothing(here):
    def breaks_off():
        with Conn(here) as conn:
            if conn.send(form_head("few", 3 * MB)).sock.recv(12) != b"HTTP/1.1 100":
                return False  # the one before is not over yet
            conn.send(form_of(MB, MB)[:MB + MB // 2])
            return True

    for _ in range(3):
        wait_for(breaks_off, "room for a form")
    wait_for(lambda: call(here, "PUT", "/api/files/few/x", bytes(4 * MB), None).status == 201, "room for all")


def test_a_form_that_replaces_files_of_others_counts_once(app, tmp_path):
    """All of a bucket's bytes are held against one quota, whosever they are."""
    form = {"body": form_of(2 * MB + MB // 2), "Content_Type": "multipart/form-data; boundary=b"}
    with serving(app, "--data", tmp_path / "data", program=TEST_BIN) as server:
        assert call(server, "PUT", "/api/files/ours/0.bin", bytes(MB), "ann").status == 201
        assert call(server, "POST", "/api/files/ours", user="bob", **form).status == 201
        assert call(server, "GET", "/api/files/ours/0.bin?info=1").json()["owner"] == "ann"


# ---- sums ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("beside", [True, False])
def test_verify_mends_wrong_sums(app, tmp_path, beside):
    def sums(*statement):
        with contextlib.closing(sqlite3.connect(tmp_path / "data/apps/app/app.db", timeout=60)) as db, db:
            for text in statement:
                db.execute(text)
            return sorted(db.execute("SELECT bucket, owner, bytes, files FROM dais_file_use"))

    def verify(*args):
        done = dais(app, tmp_path / "data", "verify", *args)
        return done.returncode, done.stdout + done.stderr

    with contextlib.ExitStack() as stack:
        with serving(app, "--data", tmp_path / "data") as server:
            assert put(server, "a", b"12345").status == put(server, "b", b"1234567").status == 201
            right = sums()
        if beside:
            stack.enter_context(serving(app, "--data", tmp_path / "data"))
        wrong = sums("UPDATE dais_file_use SET bytes = 3, files = 9",
                     "INSERT INTO dais_file_use VALUES ('few', 'x', 1, 1)")
        code, said = verify("--dry-run")
        assert code == 10 and said.count("The sum that its quota") == 2 and sums() == wrong and right != wrong
        code, said = verify()
        assert code == 10 and "app: the sums of quotas were added up anew" in said and sums() == right
        assert verify()[0] == 0


# ---- dais doctor storage ---------------------------------------------------------------------------
def doctor(app, env, *args):
    done = subprocess.run([DAIS_BIN, "doctor", "storage", app, *args], env={**clean_env(app), **env},
                          capture_output=True, text=True, timeout=300)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_doctor_looks_at_the_object_store(app, tmp_path):
    assert doctor(app, {}) == (0, "files are kept in the data folder; with STORAGE_BACKEND=s3 and S3_BUCKET they would "
                               "be in an object store\n")
    with S3() as s3:
        env = {**s3.env, "STORAGE_BACKEND": "s3"}
        assert doctor(app, env) == (0, "the bucket files can be written, read and emptied\n")
        assert not s3.objects and not (tmp_path / "data").exists()
        s3.denied = {"put"}
        code, said = doctor(app, env)
        assert code == 10 and said.startswith("the bucket files cannot be used: writing") and s3.secret not in said
        s3.denied = {"delete"}
        code, said = doctor(app, env, "--json")
        assert code == 10 and json.loads(said)["ok"] is False and "deleting" in json.loads(said)["message"]
        s3.denied, s3.bucket = set(), "another"
        code, said = doctor(app, env)
        assert code == 10 and "bucket" in said
        s3.secret = "another"
        assert doctor(app, env)[0] == 10


def test_doctor_says_that_no_bucket_is_named(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "hello"}, "web: { root: web }\n")
    assert doctor(app, {"STORAGE_BACKEND": "s3"}) == (
        10, "STORAGE_BACKEND is s3, and no bucket is named; set S3_BUCKET\n")


# ---- links of those who are no accounts of the app -------------------------------------------------
def test_links_end_with_the_operator_or_the_key_that_made_them(tmp_path):
    def run(*words, value=""):
        done = subprocess.run([DAIS_BIN, *words, "--data", tmp_path / "data", "--json"], cwd=tmp_path / "desk",
                              env=clean_env(tmp_path), input=value, text=True, capture_output=True, timeout=300)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def link(server, token):
        answer = ask(server, "POST", "/api/files/box/a/sign", {}, token=token)
        assert answer.status == 200, answer
        return "/api/" + answer.json()["url"].partition("/api/")[2]

    def signed_in(server, email):
        asked = {"email": email, "password": "correct horse battery"}
        return ask(server, "POST", "/api/auth/login", asked).json()["token"]

    with desk("sqlite", tmp_path, "files: { box: { rules: { read: signed_in, create: signed_in } } }\n") as server:
        for email in ("one@ops.example", "two@ops.example"):
            run("user", "add", email, "--operator", value="correct horse battery")
        key, other = (run("key", "add", name, "--scopes", "files") for name in ("one", "two"))
        one, two = (signed_in(server, email) for email in ("one@ops.example", "two@ops.example"))
        assert ask(server, "PUT", "/api/files/box/a", b"shared", token=one).status == 201
        links = [link(server, token) for token in (one, two, key["token"], other["token"])]
        assert [ask(server, "GET", it).status for it in links] == [200] * 4
        run("user", "disable", "one@ops.example", "--operator")
        run("key", "remove", key["key"]["id"], "--yes")
        assert [ask(server, "GET", it).status for it in links] == [403, 200, 403, 200]
