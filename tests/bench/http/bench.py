#!/usr/bin/env python3
# Compares dais with nginx and caddy over HTTP and writes a section of docs/BENCHMARKS.md.
import argparse
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import procs
import report
from cases import CASES, cases_named
from configs import Plan
from figures import all_figures
from pinned import Pinned
from rounds import run_all
from servers import BenchError, Server, fetch
from webfiles import write_app

REPO = Path(__file__).resolve().parents[3]
SERVERS = "dais,nginx,nginx-ofc,caddy"
BINARY = "build/release/dais"
DEFAULTS = (SERVERS, "1,2", BINARY)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Options(Pinned):
    """What a run needs to know, worked out from the command line."""
    binary: str
    rounds: int
    seconds: int
    threads: tuple
    max_noise: float     # share of the machine others may use during a turn
    command: str
    file_limit: int
    pins: tuple          # (server core, client core), or () when there is only one core


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench.py", description="Compares dais with nginx and caddy over HTTP.")
    add = parser.add_argument
    add("--quick", action="store_true", help="3 rounds of 1 s: a look, not a measurement")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=2, help="length of one turn")
    add("--only", default="", help="case keys, with commas: " + " ".join(c.key for c in CASES)
        + "; figures = those without load")
    add("--servers", default=SERVERS, help="the first one is compared with the others; "
        "NAME@2 is a second copy of NAME, to see the noise")
    add("--threads", default="1,2")
    add("--dais", default=BINARY, help="the binary to measure")
    add("--max-noise", type=float, default=20, help="a round is run again when other programs "
        "used more of the machine, in percent")
    add("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    add("--strict", action="store_true", help="exit 1 unless every bar is reached")
    return parser.parse_args()


def options_from(args):
    cores = sorted(os.sched_getaffinity(0))
    words = [word for word in sys.argv[1:] if word != "--no-write"]
    command = "make bench-http" + (f" BENCH_ARGS='{' '.join(words)}'" if words else "")
    return Options(
        binary=str((REPO / args.dais).resolve()),
        rounds=3 if args.quick else max(1, args.rounds),
        seconds=1 if args.quick else max(1, args.seconds),
        threads=tuple(int(n) for n in args.threads.split(",")),
        max_noise=args.max_noise / 100, command=command,
        file_limit=procs.raise_file_limit(),
        pins=tuple(cores[:2]) if len(cores) > 1 else ())


def check_tools(names, options):
    """Everything that is needed, said at once."""
    need = {"wrk"} | {name.split("@")[0].split("-")[0] for name in names} - {"dais"}
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted(tool for tool in need if not shutil.which(tool))
    if "dais" in names and not os.access(options.binary, os.X_OK):
        missing.append(BINARY + " (make release)")
    if missing:
        raise BenchError("missing: " + ", ".join(missing))


def health_of_dais(plan, options):
    """dais decides what /healthz says; the others are set up to say the same."""
    server = Server("dais", plan, options.binary)
    try:
        return fetch(server.port, "/healthz")[1].decode()
    finally:
        server.close()


def measure(args, options, names, scratch):
    """All that was asked for; returns (cases, results, figures)."""
    scratch.chmod(0o755)
    plan = Plan(write_app(scratch / "bench", "bench", with_large=True))
    if "dais" in names:
        plan = replace(plan, health=health_of_dais(plan, options))
    wanted = [word for word in args.only.split(",") if word]
    keys = [word for word in wanted if word != "figures"]
    cases = cases_named(keys) if keys else [] if wanted else list(CASES)
    results = run_all(names, cases, plan, options)
    figures = []
    if not wanted or "figures" in wanted:
        figures = all_figures(names, plan, options, scratch)
    return cases, results, figures


def publish(args, options, names, measured):
    """Prints the tables; writes them down when they are the whole picture."""
    cases, results, figures = measured
    parts = report.sections(cases, results, names, options, figures)
    facts = report.machine_facts(options, results, names)
    print("\n".join(facts) + "\n" + report.as_text(parts))
    if args.no_write:
        return
    if args.only or (args.servers, args.threads, args.dais) != DEFAULTS:
        print("\nNot written down: that needs all cases, servers, threads and the release build.")
        return
    report.write_section(REPO / "docs" / "BENCHMARKS.md", report.as_markdown(parts, facts))
    print("\nWritten to docs/BENCHMARKS.md.")


def misses(options, measured):
    cases, results, figures = measured
    return [row for row in report.bar_rows(cases, results, options, figures) if row[-1] != "PASS"]


def stop(*_):
    """The first signal ends the run in good order; a second one cannot disturb that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    args = arguments()
    names = args.servers.split(",")
    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        options = options_from(args)
        check_tools(names, options)
        with tempfile.TemporaryDirectory(prefix="dais-bench-") as scratch:
            measured = measure(args, options, names, Path(scratch))
        publish(args, options, names, measured)
    except BenchError as error:
        print(f"bench-http: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-http: stopped", file=sys.stderr)
        return 130
    return 1 if args.strict and misses(options, measured) else 0


if __name__ == "__main__":
    sys.exit(main())
