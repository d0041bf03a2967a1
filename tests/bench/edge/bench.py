#!/usr/bin/env python3
# Compares dais as a reverse proxy with nginx and caddy; writes a section of docs/BENCHMARKS.md.
import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPO / "tests" / "bench" / "http"))

import procs
import report
import transfers
from cases import Bar, Case
from pinned import Pinned
from proxies import ProxyPlan
from rounds import run_all
from servers import BenchError, Process, fetch, free_port

NAMES = ["dais", "nginx", "caddy"]
BINARY, PEER = "build/release/dais", "build/release/bench/peer"
PARTS = "small latency get put memory"
CASES = (Case("small", "small answer through the proxy", "/small",
              bars=(Bar("rate", 1.0, "nginx"), Bar("rate", 2.0, "caddy"))),)
TITLE = "Edge: a reverse proxy against nginx and caddy"


@dataclass
class Options(Pinned):
    """What a run needs to know; the same names as the HTTP benchmark's."""
    binary: str
    peer: str
    rounds: int
    seconds: int
    threads: tuple
    max_noise: float
    command: str
    pins: tuple          # (the proxy's core, the core of backend and client)


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench.py", description="Compares dais as a reverse proxy with nginx and caddy.")
    add = parser.add_argument
    add("--quick", action="store_true", help="3 short rounds: a look, not a measurement")
    add("--rounds", type=int, default=7)
    add("--seconds", type=int, default=2, help="length of one turn of small answers")
    add("--only", default=PARTS.replace(" ", ","), help="parts, with commas: " + PARTS)
    add("--dais", default=BINARY, help="the binary to measure")
    add("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    add("--strict", action="store_true", help="exit 1 unless every bar is reached")
    return parser.parse_args()


def options_from(args):
    cores = sorted(os.sched_getaffinity(0))
    words = [word for word in sys.argv[1:] if word != "--no-write"]
    procs.raise_file_limit()
    return Options(
        binary=str((REPO / args.dais).resolve()), peer=str(REPO / PEER),
        rounds=3 if args.quick else max(1, args.rounds),
        seconds=1 if args.quick else max(1, args.seconds), threads=(1, 2), max_noise=0.2,
        command="make bench-edge" + (f" BENCH_ARGS='{' '.join(words)}'" if words else ""),
        pins=tuple(cores[:2]) if len(cores) > 1 else ())


def check_tools(options):
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [tool for tool in ("wrk", "nginx", "caddy") if not shutil.which(tool)]
    missing += [path for path in (options.binary, options.peer) if not os.access(path, os.X_OK)]
    if missing:
        raise BenchError("missing: " + ", ".join(missing))


@contextlib.contextmanager
def backend(options, scratch):
    port = free_port()
    home = scratch / "backend"
    home.mkdir()
    process = Process([options.peer, "backend", str(port)], {}, home,
                      options.pins[1] if options.pins else None)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                if fetch(port, "/small")[0] == 200:
                    break
        yield port
    finally:
        process.close()


def measure(options, scratch, parts):
    """(results of wrk, rows of the rest)"""
    with backend(options, scratch) as port:
        plan = ProxyPlan(scratch / "x", backend=port)
        cases = [case for case in CASES if case.key in parts]
        results = run_all(NAMES, cases, plan, options) if cases else None
        rows = []
        if "latency" in parts:
            rows += transfers.latency_rows(NAMES, plan, options)
        for way, title in (("get", "100 MB download"), ("put", "100 MB upload")):
            if way in parts:
                rows += transfers.haul_rows(way, title, NAMES, plan, options)
        if "memory" in parts:
            rows += transfers.memory_rows(NAMES, plan, options)
    return cases, results, rows


def tables(options, cases, results, rows):
    made = []
    bars = report.bar_rows(cases, results, options, []) if results else []
    bars += [(r.what, "", r.bar, r.measured, report.verdict(r.holds)) for r in rows if r.bar]
    made.append(("What must be reached", ("what", "threads", "bar", "measured", "verdict"), bars))
    for threads in options.threads if results else ():
        columns = [c.format(subject="dais") for c in report.LOAD_COLUMNS]
        made.append(("One thread" if threads == 1 else f"{threads} threads", columns,
                     report.load_rows(cases, results, NAMES, threads)))
    made.append(("Beside the bars", ("what", "measured"),
                 [(r.what, r.measured) for r in rows if not r.bar]))
    return [part for part in made if part[2]]


def facts_of(options, results):
    facts = report.machine_facts(options, results, NAMES)
    facts[4] = (f"- Method: {options.rounds} rounds, every proxy takes a turn in each, the order changes every "
                "round; a ratio is the median of the rounds' own ratios. One backend, a small program in C, "
                "shares a core with the client; with one thread the proxy has the other core. Latency: one connection, "
                "all three on one core, so that only work takes time.")
    facts[5] = ("- nginx keeps 128 connections to the backend, does not buffer uploads, and writes no "
                "temporary files; access logs are off everywhere.")
    return facts


def stop(*_):
    raise KeyboardInterrupt


def main():
    args = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        options = options_from(args)
        check_tools(options)
        with tempfile.TemporaryDirectory(prefix="dais-bench-") as scratch:
            Path(scratch).chmod(0o755)
            cases, results, rows = measure(options, Path(scratch), args.only.split(","))
    except BenchError as error:
        print(f"bench-edge: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-edge: stopped", file=sys.stderr)
        return 130
    parts = tables(options, cases, results, rows)
    print(report.as_text(parts))
    if results and not args.no_write and args.only == PARTS.replace(" ", ","):
        report.write_section(REPO / "docs" / "BENCHMARKS.md",
                             report.as_markdown(parts, facts_of(options, results), TITLE), "bench-edge")
        print("\nWritten to docs/BENCHMARKS.md.")
    missed = [row for row in parts[0][2] if row[-1] != "PASS"]
    return 1 if args.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
