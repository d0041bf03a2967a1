# Runs the load generator once against one server and says what both of them did.
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import procs

SCRIPT = str(Path(__file__).with_name("wrk.lua"))


@dataclass
class Run:
    """One turn of one server. `problem` is empty when the figures may be used."""
    requests: int
    rate: float        # requests a second
    mb_s: float
    p50: float         # microseconds
    p99: float
    cpu: float         # server CPU microseconds a request
    others: float      # share of the machine that neither server nor client used, 0..1
    problem: str = ""


def wrk_command(port, path, connections, seconds, pipeline, accept_encoding):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", SCRIPT]
    if accept_encoding:
        command += ["-H", f"Accept-Encoding: {accept_encoding}"]
    return command + [f"http://127.0.0.1:{port}{path}", "--", str(pipeline)]


def totals_of(command, seconds, pin):
    def in_child():
        procs.die_with_parent()
        if pin is not None:
            os.sched_setaffinity(0, {pin})

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30,
                              preexec_fn=in_child, check=False)
    except subprocess.TimeoutExpired:
        return None
    for line in done.stdout.splitlines():
        if line.startswith("TOTALS "):
            return json.loads(line[len("TOTALS "):])
    return None


def problem_in(totals, least_bytes):
    """Why a run cannot be used, in a few words."""
    if totals["bad_status"] or totals["socket_errors"]:
        return f"{totals['bad_status']} bad answers, {totals['socket_errors']} socket errors"
    if not totals["requests"]:
        return "no answer at all"
    if totals["bytes"] < totals["requests"] * least_bytes:
        return "answers shorter than the file"
    return ""


def load(server, case, seconds, pin=None, least_bytes=1):
    """Loads `server` with `case` for about `seconds` and returns the Run."""
    command = wrk_command(server.port, case.path, case.connections, seconds, case.pipeline,
                          case.accept_encoding)
    busy, client, cpu = procs.machine_busy_us(), procs.children_cpu_us(), server.cpu_us()
    totals = totals_of(command, seconds, pin)
    cpu = server.cpu_us() - cpu
    client = procs.children_cpu_us() - client
    busy = procs.machine_busy_us() - busy
    if totals is None:
        return Run(0, 0, 0, 0, 0, 0, 0, "the load generator failed")
    requests, took = max(totals["requests"], 1), max(totals["us"], 1)
    others = max(0.0, busy - cpu - client) / (took * (os.cpu_count() or 1))
    return Run(totals["requests"], requests * 1e6 / took, totals["bytes"] / took,
               totals["p50"], totals["p99"], cpu / requests, others,
               problem_in(totals, least_bytes))
