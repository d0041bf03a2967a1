# A real worker: ffmpeg makes a smaller clip; its progress in a terminal and over SSE, its end when cancelled.
import os
import pty
import re
import select
import subprocess
import time

import pytest

from conftest import DAIS_BIN, DEADLINE, clean_env, wait_for
from documents import call
from jobs_api import Stream, best, ended, jobs, queued, running

# What ffmpeg says of its progress (out_time_us) becomes ours; it is stopped by the signal that stops the job.
WORKER = """#!/usr/bin/python3
# Makes the clip smaller: ffmpeg's own progress, line by line.
import json, subprocess, sys
order = json.load(sys.stdin)
args = ["ffmpeg", "-nostdin", "-hide_banner", "-y", "-f", "lavfi", "-i",
        f"testsrc=duration={order['seconds']}:size=320x240:rate=25"]
if order.get("slow"):
    args[1:1] = ["-re"]
args += ["-vf", "scale=160:120", "-progress", "pipe:1", "-loglevel", "info", "out.mp4"]
with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as child:
    for line in child.stdout:
        name, _, value = line.strip().partition("=")
        if name == "out_time_us" and value.isdigit():
            done = min(int(value) / 1e6 / order["seconds"], 1)
            print(json.dumps({"progress": done, "message": f"{int(value) / 1e6:.1f} s"}), flush=True)
if child.returncode:
    sys.exit(1)
shown = ["-show_entries", "format=duration:stream=width", "-of", "json"]
probe = subprocess.run(["ffprobe", "-v", "error", *shown, "out.mp4"], capture_output=True, text=True, check=True)
found = json.loads(probe.stdout)
print(json.dumps({"result": {"width": found["streams"][0]["width"], "seconds": float(found["format"]["duration"])}}))
"""
MANIFEST = """
jobs:
  shrink: { run: workers/shrink, packages: [ffmpeg], timeout: 2m, retries: 0, concurrency: 2 }
"""


@pytest.fixture(name="server", scope="module")
def fixture_server():
    with jobs("sqlite", MANIFEST, {"workers/shrink": WORKER}) as server:
        yield server


def tree_of(mark):
    """Processes whose arguments have the mark."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def test_a_clip_with_progress_over_sse(server):
    ident = queued(server, "shrink", {"seconds": 4, "slow": True})["id"]  # at once it may be over in one step
    with Stream(server, f"/api/jobs/{ident}/events") as stream:
        events = stream.rest()
    steps = [event.data["progress"] for event in events if event.kind == "progress"]
    assert len(steps) >= 2 and steps == sorted(steps) and steps[-1] > 0.9, steps
    last = events[-1].data
    assert events[-1].kind == "state" and last["state"] == "succeeded", last
    assert last["result"]["width"] == 160 and abs(last["result"]["seconds"] - 4) < 0.5
    log = call(server, "GET", f"/api/jobs/{ident}/log").body.decode()
    assert "testsrc" in log and "out.mp4" in log


def on_a_terminal(*args):
    """The command on a terminal of its own: what it showed, and its exit code."""
    main, other = pty.openpty()
    with subprocess.Popen([DAIS_BIN, *map(str, args)], stdin=other, stdout=other, stderr=other,
                          env=clean_env("/tmp")) as process:
        os.close(other)
        shown, end = b"", time.monotonic() + 4 * DEADLINE
        while time.monotonic() < end:
            ready, _, _ = select.select([main], [], [], 0.5)
            try:
                piece = os.read(main, 65536) if ready else b""
            except OSError:  # nobody has the other end any more
                break
            shown += piece
            if not piece and process.poll() is not None:
                break
        process.wait(DEADLINE)
    os.close(main)
    return shown.decode(), process.returncode


def test_a_clip_with_progress_on_a_terminal(server):
    shown, code = on_a_terminal("job", "run", "shrink", server.folder / "app", "--data", server.folder / "data",
                                "--input", '{"seconds": 5, "slow": true}')
    assert code == 0, shown
    bars = [int(found) for found in re.findall(r"\[[#.]{20}\] +(\d+) %", shown)]
    assert len(set(bars)) >= 3 and bars == sorted(bars), shown
    assert "\r" in shown and "succeeded" in shown and '"width":160' in shown, shown


def test_cancelled_within_two_seconds_and_nothing_is_left(server):
    best(2, lambda: cancel_one(server))


def cancel_one(server):
    """How long it took."""
    seconds = 1000000 + time.monotonic_ns() % 1000000000  # nobody else's: others may test on this machine, too
    ident = queued(server, "shrink", {"seconds": seconds, "slow": True})["id"]
    running(server, ident)
    mark = f"testsrc=duration={seconds}:".encode()
    assert wait_for(lambda: tree_of(mark), "ffmpeg")
    with Stream(server, f"/api/jobs/{ident}/events") as stream:
        stream.until("progress")
        begun = time.monotonic()
        assert call(server, "POST", f"/api/jobs/{ident}/cancel").status == 202
        last = stream.rest()[-1].data
    took = time.monotonic() - begun
    assert last["state"] == "cancelled", (took, last)
    assert not tree_of(mark), "what it started ends with it"
    assert ended(server, ident)["state"] == "cancelled"
    assert not any(entry.name.startswith(ident) for entry in server.folder.rglob(ident + "*"))
    return took
