# Alternating rounds: every server takes a turn in each, in an order that changes, and ratios are
# taken inside a round, so that what disturbs the machine disturbs both sides of a ratio.
import statistics
import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException

from servers import BenchError, Server
from wrk import load

WARM_UP_SECONDS = 1


class Results:
    """Every run, found again by (case key, threads, server)."""

    def __init__(self):
        self.runs = defaultdict(list)
        self.refused = []   # cases that were not loaded, as problems() tells them
        self.repeated = 0   # rounds run again because other programs were busy

    def add(self, case, threads, server, run):
        self.runs[case.key, threads, server].append(run)

    def has(self, key, threads, server):
        return (key, threads, server) in self.runs

    def problems(self):
        """(case key, threads, server, round, what) of every run that was thrown away."""
        return self.refused + [
            (*where, i + 1, run.problem) for where, runs in self.runs.items()
            for i, run in enumerate(runs) if run.problem]

    def median(self, key, threads, server, field):
        values = [getattr(r, field) for r in self.runs.get((key, threads, server), ())
                  if not r.problem]
        return statistics.median(values) if values else None

    def ratio(self, metric, top, bottom):
        """(q1, median, q3) of top / bottom per round; each is (key, threads, server). Or None."""
        pairs = zip(self.runs.get(top, ()), self.runs.get(bottom, ()))
        ratios = [getattr(a, metric) / getattr(b, metric) for a, b in pairs
                  if not a.problem and not b.problem and getattr(b, metric) > 0]
        if not ratios:
            return None
        if len(ratios) == 1:
            return ratios[0], ratios[0], ratios[0]
        return tuple(statistics.quantiles(ratios, n=4, method="inclusive"))

    def others(self):
        """(median, worst) share of the machine that other programs used during the runs."""
        shares = [run.others for runs in self.runs.values() for run in runs]
        return (statistics.median(shares), max(shares)) if shares else (0.0, 0.0)


def turn_order(turns, number):
    """Each round begins with the next one; every second round the rest come the other way round."""
    at = number % len(turns)
    first, rest = turns[at], turns[at + 1:] + turns[:at]
    return [first, *(rest[::-1] if number % 2 else rest)]


def check_same(servers, case):
    """Every server must give the same answer; returns the length of its body."""
    answers = {server.name: server.answer(case) for server in servers}
    first = next(iter(answers.values()))
    if first[0] != 200 or any(answer != first for answer in answers.values()):
        told = "; ".join(f"{name}: status {a[0]} coding {a[1] or '-'} {a[2]} bytes {a[3]}"
                         for name, a in answers.items())
        raise BenchError(f"answers to {case.path} differ: {told}")
    return 1 if case.accept_encoding else first[2]


def run_round(order, threads, least, options):
    """One turn for everybody; returns (case, server, run) of each."""
    runs = []
    for case, server in order:
        run = load(server, case, options.seconds, options.client_pin(threads), least[case.key])
        server.check_alive()
        runs.append((case, server, run))
        options.say(f"{case.key:9} {threads}t {server.name:11} {run.rate:9.0f}/s "
                    f"{run.cpu:8.2f} us {run.problem}")
    return runs


def run_group(servers, cases, threads, options, results):
    """All rounds of cases that belong together, on servers that are running."""
    turns, least = [], {}
    for case in cases:
        able = [s for s in servers if s.name.split("@")[0] not in case.skip]
        try:
            least[case.key] = check_same(able, case) if able else 0
        except (BenchError, OSError, HTTPException) as error:
            options.say(f"{case.key}: not measured, {error}")
            results.refused.append((case.key, threads, "all", "-", str(error)))
            continue
        turns += [(case, server) for server in able]
    if not turns:
        return
    for case, server in turns:
        load(server, case, WARM_UP_SECONDS, options.client_pin(threads))
    spare = options.rounds   # a disturbed round is repeated, but not for ever
    for number in range(options.rounds):
        runs = run_round(turn_order(turns, number), threads, least, options)
        while spare and max(run.others for *_, run in runs) > options.max_noise:
            spare -= 1
            results.repeated += 1
            options.say("  other programs were busy: this round again")
            runs = run_round(turn_order(turns, number), threads, least, options)
        for case, server, run in runs:
            results.add(case, threads, server.name, run)


def groups_of(cases):
    groups = defaultdict(list)
    for case in cases:
        groups[case.group or case.key].append(case)
    return list(groups.values())


def run_fleet(names, cases, plan, options, results):
    """One set of servers, all configured by `plan`, through all the cases."""
    with ExitStack() as stack:
        servers = []
        for name in names:
            server = Server(name, plan, options.binary, options.server_pin(plan.threads))
            stack.callback(server.close)
            servers.append(server)
        for group in groups_of(cases):
            run_group(servers, group, plan.threads, options, results)


def run_all(names, cases, plan, options):
    """Every case with every number of threads it is meant for."""
    results = Results()
    for threads in options.threads:
        for logs in (False, True):
            chosen = [c for c in cases if c.logs == logs and threads in c.threads]
            if chosen:
                run_fleet(names, chosen, replace(plan, threads=threads, logs=logs), options,
                          results)
    if not results.runs:
        print("bench-http: nothing was asked for", file=sys.stderr)
    return results
