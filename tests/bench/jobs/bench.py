#!/usr/bin/env python3
# Measures the queue of jobs and their workers, on SQLite and on Postgres; writes docs/BENCHMARKS.md.
import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPO / "tests" / "bench" / "http"), str(REPO / "tests" / "e2e")]

import measures
import postgres
import procs
import report
from measures import at
from servers import BenchError

TITLE = "Jobs: the queue, its workers and those who watch"
BAR_ENQUEUE_MS, BAR_START_MS, BAR_EVENT_MS, BAR_IDLE_MS = 5, 20, 50, 1
BAR_RATE = {"sqlite": 6000, "postgres": 1500}
NAMES = {"sqlite": "SQLite", "postgres": "Postgres"}
SERVERS = {"sqlite": 1, "postgres": 2}   # for throughput and events
PARTS = ("enqueue", "rate", "start", "events", "idle")
PAUSES = {"now and then": (60, 160), "all the time": (2, 20)}   # between a worker's lines, ms


def arguments():
    parser = argparse.ArgumentParser(prog="bench.py", description="Measures the queue of jobs and their workers.")
    add = parser.add_argument
    add("--short", action="store_true", default=os.environ.get("DAIS_BENCH") == "short",
        help="a first look; as DAIS_BENCH=short")
    add("--quick", dest="is_quick", action="store_true", help="does it work at all? For tests")
    add("--only", default="", help=", ".join(PARTS) + "; with commas")
    add("--on", default="sqlite,postgres", help="the databases, with commas")
    add("--dais", default="build/release/dais", help="the binary to measure")
    add("--programs", default="build/release/bench", help="the folder of the clients")
    add("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    add("--strict", action="store_true", help="exit 1 unless every bar is reached")
    args = parser.parse_args()
    args.binary = str(REPO / args.dais)
    args.tool = lambda name: str(REPO / args.programs / name)
    args.rounds = 5
    args.queued, args.ms, args.warm_ms, args.starts, args.lines, args.idle_s = 100_000, 10_000, 1000, 200, 500, 10
    if args.short:
        args.queued, args.ms, args.starts, args.lines, args.idle_s = 20_000, 4000, 40, 100, 4
        args.rounds = 2
    if args.is_quick:
        args.rounds = 1
        args.queued, args.ms, args.warm_ms, args.starts, args.lines, args.idle_s = 200, 1000, 200, 3, 10, 1
    args.secret = secrets.token_hex(32)   # the same for all servers of an app
    args.say = lambda words: print(words, file=sys.stderr, flush=True)
    args.databases = [name for name in args.on.split(",") if name]
    if postgres.why_not() and "postgres" in args.databases:
        args.databases.remove("postgres")
        args.say("postgres: " + postgres.why_not())
    return args


class Results:
    def __init__(self):
        self.bars, self.rows = [], []

    def bar(self, what, bar, value, holds):
        self.bars.append((what, bar, value, report.verdict(holds)))

    def waits(self, what, values):
        self.rows.append((what, *(f"{at(values, share):.1f}" for share in (0.5, 0.99, 1)), f"{len(values):,}"))


def run_enqueue(args, folder, database, results):
    name = NAMES[database]
    empty, full = measures.enqueue(args, folder, database)
    results.bar(f"{name}: enqueue, {full.queued:,} queued", f"p99 < {BAR_ENQUEUE_MS} ms",
                f"{full.figure('p99'):.2f} ms", full.figure("p99") < BAR_ENQUEUE_MS)
    for what, of in (("the long queue", full), ("an empty queue", empty)):
        results.rows.append((f"{name}: enqueue, {measures.PACE}/s, {what}", f"{of.figure('p50'):.2f}",
                             f"{of.figure('p99'):.2f}", f"{of.worst:.1f}", f"{of.count:,}"))


def run_rate(args, folder, database, results):
    name, count = NAMES[database], SERVERS[database]
    bar = BAR_RATE[database] if not args.is_quick else 100
    flows = measures.throughput(args, folder, database, count, bar)
    first = flows[0]
    what = f"{name}: jobs that do nothing" + (f", {count} servers" if count > 1 else "")
    results.bar(what, f">= {bar:,}/s", f"{first.rate:,.0f}/s, at most {first.deepest:,} queued",
                first.holds and first.rate >= bar)
    best = max((flow for flow in flows if flow.holds), key=lambda flow: flow.offered, default=None)
    results.flows += [(name, flow) for flow in flows]
    results.best[name] = best


def run_start(args, folder, database, results):
    waits = measures.starts(args, folder, database)
    name = NAMES[database]
    results.bar(f"{name}: enqueue to a worker's first action", f"p99 < {BAR_START_MS} ms", f"{at(waits, 0.99):.1f} ms",
                at(waits, 0.99) < BAR_START_MS)
    results.waits(f"{name}: enqueue to a worker's first action", waits)


def run_events(args, folder, database, results):
    name = NAMES[database]
    for number, (often, pause) in enumerate(PAUSES.items()):
        here = folder / str(number)
        here.mkdir()
        here.chmod(0o755)
        waits = measures.events(args, here, database, SERVERS[database], *pause)
        what = f"{name}: a worker's line to a listener" + (" at the other server" if SERVERS[database] > 1 else "")
        if not number:
            results.bar(what, f"p99 < {BAR_EVENT_MS} ms", f"{at(waits, 0.99):.1f} ms", at(waits, 0.99) < BAR_EVENT_MS)
        results.waits(f"{what}, who prints {often}", waits)


def run_idle(args, folder, database, results):
    if database != "sqlite":
        return
    used, own = measures.idle(args, folder)
    results.bar("a server with jobs and none to do", f"< {BAR_IDLE_MS} ms CPU a second", f"{used:.2f} ms",
                used < BAR_IDLE_MS)
    results.idle_mb = own


RUNS = {"enqueue": run_enqueue, "rate": run_rate, "start": run_start, "events": run_events, "idle": run_idle}


def measure(args, scratch):
    results = Results()
    results.flows, results.best, results.idle_mb = [], {}, None
    for part in [word for word in args.only.split(",") if word] or PARTS:
        for database in args.databases:
            folder = scratch / f"{part}-{database}"
            folder.mkdir()
            folder.chmod(0o755)
            args.say(f"{part}, {database}")
            RUNS[part](args, folder, database, results)
            shutil.rmtree(folder, ignore_errors=True)
    return results


def parts_of(results):
    flows = [(name, f"{flow.offered:,.0f}", f"{flow.rate:,.0f}", f"{flow.deepest:,}", f"{flow.p99:.1f}",
              f"{flow.cpu_us:.0f}", f"{flow.client:.0%}", "yes" if flow.holds else "no")
             for name, flow in results.flows]
    return [part for part in (
        ("What must be reached", ("what", "bar", "measured", "verdict"), results.bars),
        ("How long it takes, ms", ("what", "p50", "p99", "worst", "of"), results.rows),
        ("Jobs that do nothing", ("on", "offered a second", "done a second", "most queued", "enqueue p99 ms",
                                  "CPU us a job", "client, of a core", "keeps up"), flows)) if part[2]]


def facts(args, results, command, took, busy):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"Made by `{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. "
        "Do not edit: the command writes this section.", "",
        f"- Machine: {os.cpu_count()} x {report.cpu_model()}, {memory:.0f} GB, "
        f"Linux {os.uname().release.split('-')[0]}; loopback, the cores shared with the clients and Postgres.",
        f"- Version: {report.output_of(args.binary, 'version')}.",
        "- Method: clients send when a request is due, whether or not those before it were answered; a wait counts "
        f"from then. Every enqueue waits for the disk. Enqueue: {measures.PACE} a second of a type of which one job "
        f"runs and all others wait, {args.rounds} rounds of {args.ms / args.rounds / 1000:.0f} s in turn with an empty "
        "queue, medians of the rounds. Jobs that do nothing: each goes through the API, the queue, a claim "
        f"and an end; {args.ms / 1000:.0f} s at the bar's rate, then half as long at more; it keeps up when all are "
        "done and fewer than half a second's wait at any time. Starts: one after the other, nothing else runs, a small "
        "program in C that looks at the clock. Events: five workers that print the time, each with a listener; those "
        "who print now and then do so every 60 to 160 ms, the others every 2 to 20 ms, of whose lines only the latest "
        "is told.",
        f"- The whole machine was {busy:.0%} busy. The run took {took:.0f} s."]
    for name, best in results.best.items():
        lines.append(f"- {name}: the most that it kept up with was " + (f"{best.offered:,.0f} a second." if best else
                                                                        "less than the bar."))
    if results.idle_mb:
        lines.append(f"- A server that has done a job and has nothing to do has {results.idle_mb:.1f} MB of its own.")
    return lines


def main():
    args, began, busy = arguments(), time.monotonic(), procs.machine_busy_us()
    try:
        with tempfile.TemporaryDirectory(prefix="dais-bench-") as scratch:
            Path(scratch).chmod(0o755)   # workers are somebody else where we are root
            results = measure(args, Path(scratch))
    except BenchError as error:
        print(f"bench-jobs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-jobs: stopped", file=sys.stderr)
        return 130
    took = time.monotonic() - began
    busy = (procs.machine_busy_us() - busy) / (took * 1e6 * (os.cpu_count() or 1))
    command = "make bench-jobs" + (" DAIS_BENCH=short" if args.short else "")
    about, parts = facts(args, results, command, took, busy), parts_of(results)
    print("\n".join(about) + "\n" + report.as_text(parts))
    is_whole = not args.only and args.databases == list(NAMES)
    if is_whole and not (args.no_write or args.short or args.is_quick):
        report.write_section(REPO / "docs" / "BENCHMARKS.md", report.as_markdown(parts, about, TITLE), "bench-jobs")
        print("\nWritten to docs/BENCHMARKS.md.")
    return 1 if args.strict and any(row[-1] != "PASS" for row in results.bars) else 0


if __name__ == "__main__":
    sys.exit(main())
