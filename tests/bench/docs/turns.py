# One turn of somebody: a load on the server, or one of the bare loops; and rounds of turns.
import json
import os
import statistics
import subprocess
from dataclasses import dataclass

import procs
from rounds import turn_order

MISSING = (404, 405, 501)   # of a call that is not built yet


@dataclass
class Run:
    """One turn. `problem` is empty when the figures may be used."""
    rate: float = 0      # units a second: requests, documents or rows
    p50: float = 0       # microseconds
    p99: float = 0
    cpu: float = 0       # server CPU microseconds a request
    client: float = 0    # share of one core that the client used
    others: float = 0    # share of the machine that was somebody else's
    problem: str = ""


def run_tool(command, seconds):
    def in_child():
        procs.die_with_parent()

    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60,
                          preexec_fn=in_child, check=False)
    if done.returncode:
        return None, done.stderr.strip()[-200:] or "it failed"
    return json.loads(done.stdout), ""


def problem_in(said):
    if said["bad"] and said["first_bad"] in MISSING:
        return "not there yet"
    if said["bad"]:
        return f"{said['bad']} answers like {said['first_bad']}: {said['said'][:80]}"
    if said["errors"]:
        return f"{said['errors']} requests were not answered"
    return "" if said["requests"] else "no answer at all"


class Load:
    """Requests from a file, on so many connections."""

    def __init__(self, key, server, file, connections, units=1):
        self.key, self.server, self.file = key, server, file
        self.connections, self.units, self.at = connections, units, 0

    def run(self, options, ms):
        family = self.server.process.family()
        busy, cpu = procs.machine_busy_us(), procs.cpu_us(family)
        said, problem = run_tool([options.tool("load"), str(self.server.port),
                                  str(self.connections), str(ms), str(self.file), str(self.at)],
                                 ms / 1000)
        cpu = procs.cpu_us(family) - cpu
        busy = procs.machine_busy_us() - busy
        if problem:
            return Run(problem=problem)
        self.at += said["requests"]
        n, us = max(said["requests"], 1), max(said["us"], 1)
        others = max(0.0, busy - cpu - said["cpu_us"]) / (us * (os.cpu_count() or 1))
        return Run(n * self.units * 1e6 / us, said["p50"], said["p99"], cpu / n,
                   said["cpu_us"] / us, others, problem_in(said))


class Bare:
    """One of the loops without a server."""

    def __init__(self, key, tool, *words):
        self.key, self.tool, self.words = key, tool, words

    def run(self, options, ms):
        words = [str(ms) if word is None else str(word) for word in self.words]
        said, problem = run_tool([options.tool(self.tool), *words], ms / 1000)
        if problem:
            return Run(problem=problem)
        return Run(said["requests"] * 1e6 / max(said["us"], 1))


class Figures:
    """All runs, by the key of the turn."""

    def __init__(self):
        self.runs = {}

    def add(self, key, run):
        self.runs.setdefault(key, []).append(run)

    def good(self, key):
        return [run for run in self.runs.get(key, ()) if not run.problem]

    def median(self, key, field):
        values = [getattr(run, field) for run in self.good(key)]
        return statistics.median(values) if values else None

    def problem(self, key):
        if key not in self.runs:
            return "not built"
        return next((run.problem for run in self.runs[key] if run.problem), "")

    def ratio(self, field, top, bottom):
        """(q1, median, q3) of the rounds' own ratios, or None."""
        pairs = zip(self.runs.get(top, ()), self.runs.get(bottom, ()))
        found = [getattr(a, field) / getattr(b, field) for a, b in pairs
                 if not a.problem and not b.problem and getattr(b, field) > 0]
        if not found:
            return None
        if len(found) == 1:
            return (found[0],) * 3
        return tuple(statistics.quantiles(found, n=4, method="inclusive"))

    def share(self, field):
        found = [getattr(run, field) for runs in self.runs.values() for run in runs
                 if not run.problem]
        return (statistics.median(found), max(found)) if found else (0.0, 0.0)


def run_rounds(turns, options, figures):
    """Everybody warms up, then takes a turn in each round; who has nothing to offer sits out."""
    able = []
    for turn in turns:
        first = turn.run(options, options.warm_ms)
        if first.problem:
            options.say(f"{turn.key}: {first.problem}")
            figures.add(turn.key, first)
        else:
            able.append(turn)
    for number in range(options.rounds if able else 0):
        for turn in turn_order(able, number):
            run = turn.run(options, options.ms)
            options.say(f"{turn.key:14} {run.rate:9.0f}/s  p99 {run.p99:6.0f} us  "
                        f"{run.cpu:7.2f} us CPU {run.problem}")
            figures.add(turn.key, run)
