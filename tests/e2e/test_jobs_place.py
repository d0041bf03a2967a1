# Where runs of jobs have their folders when root started the server, and results that cannot be taken.
import hashlib
import os
import pathlib
import shutil
import signal

import pytest

from accounts_api import ask
from conftest import wait_for
from jobs_api import make_programs, public_folder
from serving import serving, write_app

SAY = "#!/usr/bin/python3\nimport json, os, sys\nos.write(1, eval(json.load(sys.stdin)))\n"
MANIFEST = "web: { root: web }\njobs:\n  say: { run: workers/say, retries: 0, rules: { run: public, read: public } }\n"
NONE = "web: { root: web }\n"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0 or not os.access("/var/lib", os.W_OK), reason="needs root")


class Place:
    def __init__(self, folder):
        self.data = folder / "data"
        self.data.mkdir()
        mark = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        self.path = pathlib.Path("/var/lib/dais-jobs", mark)
        self.app = write_app(folder / "desk", {"web/index.html": "hello", "workers/say": SAY}, MANIFEST, "desk")
        make_programs(self.app)

    def serving(self, **options):
        return serving(self.app, "--data", self.data, **options)

    def exchange(self, target):
        """As one would who got there first."""
        self.path.parent.mkdir(mode=0o711, exist_ok=True)
        self.path.symlink_to(target)

    def clear(self):
        if self.path.is_symlink():
            self.path.unlink()
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture(name="place")
def fixture_place():
    with public_folder() as folder:
        place = Place(folder)
        yield place
        place.clear()


def said(server, expression):
    ident = ask(server, "POST", "/api/jobs/say", expression).json()["id"]
    path = f"/api/jobs/{ident}"
    over = ("succeeded", "failed")
    return wait_for(lambda: (job := ask(server, "GET", path).json())["state"] in over and job, "its end", 60)


@AS_ROOT
def test_the_place_is_there_while_the_server_is(place):
    with place.serving() as server:
        assert said(server, "b'{\"result\":1}'")["result"] == 1
        assert place.path.stat().st_mode & 0o777 == (place.path / "desk").stat().st_mode & 0o777 == 0o711
        shutil.rmtree(place.path)  # as whoever tidies up
        assert said(server, "b'{\"result\":2}'")["result"] == 2
        assert (place.path / "desk").is_dir()
    assert not place.path.exists()


@AS_ROOT
def test_a_server_does_not_start_where_somebody_else_made_the_place(place):
    place.exchange(place.data)
    with place.serving(ready=False) as server:
        server.expect_code = 11
        assert server.proc.wait(60) == 11
        wait_for(lambda: "is a link" in server.stderr, "the reason")
        assert f"{place.path}/desk" in server.stderr and "remove it" in server.stderr, server.stderr
    assert not (place.data / "desk").exists()


@AS_ROOT
def test_a_reload_is_refused_where_somebody_else_made_the_place(place):
    (place.app / "dais.yaml").write_text("app: desk\n" + NONE)
    place.exchange(place.data)
    with place.serving() as server:
        (place.app / "dais.yaml").write_text("app: desk\n" + MANIFEST)
        server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: "is a link" in server.stderr, "the reason")
        assert ask(server, "GET", "/").status == 200
        assert ask(server, "POST", "/api/jobs/say", "b''").status == 404
        place.path.unlink()
        server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: ask(server, "POST", "/api/jobs/say", "b''").status == 202, "the reload")


@pytest.mark.parametrize("line, why", [
    ("b'{\"result\":\"' + b'x' * 30000000 + b'\"}'", "longer than 2048 KB; a result may have 1024 KB"),
    ("b'{\"result\":' + b'[' * 50000 + b']' * 50000 + b'}'", "at most 64"),
    ("b'{\"result\":\"' + bytes([92]) + b'ud800\"}'", "surrogate"),
    ("b'{\"result\":{\"a\":1,\"a\":2}}'", "has the key \"a\" before"),
    ("b'{\"result\":\"' + bytes([255]) + b'\"}'", "UTF-8"),
    ("b'{\"result\":1'", "end"),
    ("b'{\"result\":1}' + bytes([10]) + b'{ \"result\" : '", "expected"),
], ids=["long", "deep", "surrogate", "twice", "no-utf8", "cut-off", "the-last-counts"])
def test_a_result_that_cannot_be_taken_fails_the_job(place, line, why):
    with place.serving() as server:
        job = said(server, line)
        assert job["state"] == "failed" and job["result"] is None and job["error"]["code"] == "bad_result", job
        assert why in job["error"]["message"], job["error"]
        good = said(server, line + " + bytes([10]) + b'{\"result\":5}'")
        assert good["state"] == "succeeded" and good["result"] == 5
