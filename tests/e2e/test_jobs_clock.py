# The machine's clock jumps while a server runs, as it does when somebody sets it: jobs and schedules live with that.
import datetime
import os
import struct
import subprocess
import time

import pytest
from conftest import ROOT, wait_for
from documents import DATABASES, call
from jobs_api import ended, job, jobs, queued, running, steps

MANIFEST = """
jobs:
  steps: { run: workers/steps, input: schemas/steps.json, retries: 0, concurrency: 8 }
  hourly: { run: workers/brief, schedule: "0 * * * *", retries: 0, rules: { read: public } }
"""
DAY = "2031-05-05T"


def moment(text):
    return datetime.datetime.fromisoformat(f"{DAY}{text}+00:00").timestamp()


class Clock:
    """Of the server alone; it runs on from where it is set."""

    def __init__(self, folder, library):
        self.file, self.library = folder / "clock", library
        self.set("12:30:00")

    def set(self, text):
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(fd, struct.pack("q", int((moment(text) - time.time()) * 1e9)), 0)
        os.close(fd)

    def env(self):
        own = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": self.library, "WALL_CLOCK": self.file,
                "ASAN_OPTIONS": ":".join(filter(None, [own, "verify_asan_link_order=0"]))}


@pytest.fixture(name="library", scope="module")
def fixture_library(tmp_path_factory):
    library = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library,
                    "tests/e2e/wall_clock.c"], cwd=ROOT, check=True)
    return library


@pytest.fixture(name="desk", params=DATABASES)
def fixture_desk(request, tmp_path, library):
    clock = Clock(tmp_path, library)
    with jobs(request.param, MANIFEST, {"workers/brief": "#!/bin/sh\n"}, clock.env()) as server:
        server.clock = clock
        assert server.fetch("/healthz").get("date").startswith("Mon, 05 May 2031 12:3"), "the clock is ours"
        yield server


def hours(server):
    """Those that the hourly job ran for."""
    rows = call(server, "GET", "/api/jobs?type=hourly").json()["items"]
    assert all(row["state"] in ("queued", "running", "succeeded") for row in rows), rows
    return sorted(job(server, row["id"])["input"]["due"].removeprefix(DAY)[:5] for row in rows)


def runs_in_time(server, hour):
    """From two seconds before the full hour on; a slow server may notice only after it that its clock jumped."""
    server.clock.set(f"{hour - 1:02}:59:58")
    until = time.monotonic() + 7
    while f"{hour:02}:00" not in hours(server) and time.monotonic() < until:
        time.sleep(0.05)
    return f"{hour:02}:00" in hours(server)


def test_schedules_and_jobs_under_way(desk):
    gate = desk.open_folder / "gate"
    began = time.monotonic()
    slow = queued(desk, "steps", steps(["wait", str(gate)]))["id"]
    running(desk, slow)
    assert not hours(desk)
    desk.clock.set("15:40:00")  # three were missed: one run
    wait_for(lambda: hours(desk) == ["13:00"], "the run after a jump ahead")
    assert any(runs_in_time(desk, hour) for hour in (16, 17, 18))
    assert any(runs_in_time(desk, hour) for hour in (8, 9, 10)), "after a jump back it does not wait for the old hour"
    quick = queued(desk, "steps", steps())["id"]
    assert ended(desk, quick)["state"] == "succeeded"
    # What ran meanwhile was neither taken for lost nor for too long.
    assert (found := job(desk, slow))["state"] == "running" and found["attempt"] == 1, found
    gate.touch()
    found = ended(desk, slow)
    assert found["state"] == "succeeded" and found["attempt"] == 1, found
    assert found["created"] <= found["started"] <= found["ended"], found
    assert found["run_ms"] <= 1000 * (time.monotonic() - began), found
    assert len(hours(desk)) == len(set(hours(desk))) == 3


def test_a_delay_is_not_made_longer(desk):
    soon = queued(desk, "steps", steps(), query="?delay=1h")["id"]
    desk.clock.set("13:29:00")
    late = queued(desk, "steps", steps(), query="?delay=1h")["id"]
    assert job(desk, soon)["state"] == "queued"
    desk.clock.set("13:31:00")
    assert ended(desk, soon)["state"] == "succeeded"
    assert job(desk, late)["state"] == "queued"
    desk.clock.set("06:00:00")  # an hour from now at most, not eight
    wait_for(lambda: job(desk, late)["due"] <= f"{DAY}07:10", "its new time")
    desk.clock.set("07:30:00")
    assert ended(desk, late)["state"] == "succeeded"
