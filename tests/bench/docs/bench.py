#!/usr/bin/env python3
# Measures documents over HTTP against what SQLite and libpq do barely; writes docs/BENCHMARKS.md.
import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPO / "tests" / "bench" / "http"), str(REPO / "tests" / "e2e")]

import procs
import report
import rows
import ruled
from app import Docs, Requests, fill, write_app
from exporting import export_figures
from pinned import Pinned
from servers import BenchError
from turns import Bare, Figures, Load, Run, run_rounds

BINARY, TOOLS = "build/release/dais", "build/release/bench/docs_"
PARTS = "reads writes rules postgres million"
CONNECTIONS, BATCHES = 64, 8
CACHES_MB = 8   # what SQLite may keep for its readers, however large the table
RIVALS = ("pocketbase",)
TITLE = "Documents: against the same server's fixed answers, bare SQLite and bare libpq"


@dataclass
class Options(Pinned):
    """What a run needs to know, worked out from the command line."""
    binary: str
    parts: tuple
    rounds: int
    ms: int
    warm_ms: int
    stored: int
    million: int
    is_short: bool

    @staticmethod
    def tool(name):
        return str(REPO / (TOOLS + name))


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench.py", description="Measures documents against bare SQLite and libpq.")
    add = parser.add_argument
    add("--short", action="store_true", default=os.environ.get("DAIS_BENCH") == "short",
        help="3 short rounds and no table of 1,000,000; as DAIS_BENCH=short")
    add("--rounds", type=int, default=5)
    add("--ms", type=int, default=1000, help="length of one turn")
    add("--only", default=PARTS.replace(" ", ","), help="parts, with commas: " + PARTS)
    add("--stored", type=int, default=100_000)
    add("--million", type=int, default=1_000_000, help="how many the large table has")
    add("--dais", default=BINARY, help="the binary to measure")
    add("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    add("--strict", action="store_true", help="exit 1 unless every bar is reached")
    return parser.parse_args()


def options_from(args):
    procs.raise_file_limit()
    parts = tuple(args.only.split(","))
    if args.short:
        parts = tuple(part for part in parts if part != "million")
    return Options(binary=str((REPO / args.dais).resolve()), parts=parts,
                   rounds=3 if args.short else max(1, args.rounds),
                   ms=400 if args.short else args.ms, warm_ms=150 if args.short else 400,
                   stored=args.stored, million=args.million, is_short=args.short)


class Bench:
    """Folders, servers and figures of one run; close() leaves nothing behind."""

    def __init__(self, options, scratch, stack):
        self.options, self.scratch, self.stack = options, scratch, stack
        self.figures, self.bars, self.facts = Figures(), [], []
        self.app = write_app(scratch / "app")
        self.requests = Requests(options, scratch / "requests")
        self.requests.write_fixed()
        self.n_servers = 0

    def data(self, name):
        return self.scratch / "data" / name

    def serve(self, data, extra=None):
        self.n_servers += 1
        server = Docs(self.options, self.app, data, self.scratch / f"home{self.n_servers}", extra)
        self.stack.callback(server.close)
        return server

    def load(self, key, server, file=None, connections=CONNECTIONS, units=1):
        return Load(key, server, self.requests.file(file or key), connections, units)

    def bare(self, key, what, file, *more):
        return Bare(key, "limits", what, file, None, *more)

    def rounds(self, *turns):
        os.sync()   # what was stored before is not written in somebody's turn
        run_rounds(turns, self.options, self.figures)


def fill_base(bench):
    options = bench.options
    options.say(f"storing {options.stored:,} documents")
    fill(options, bench.app, bench.data("base"), options.stored)
    fill(options, bench.app, bench.data("base"), 1000, "own")
    if "writes" in options.parts:
        fill(options, bench.app, bench.data("base"), options.stored // 5, "words")


def run_reads(bench):
    server = bench.serve(bench.data("base"))
    bench.requests.write_gets("get", "notes", bench.options.stored)
    bench.requests.write_gets("own", "own", 1000)
    server.ask("/api/notes/nobody-has-this-id")   # opens the database
    bench.requests.write_list("list", server)
    bench.requests.write_filter("filter")
    bench.rounds(
        bench.load("fixed", server), bench.load("get", server), bench.load("own", server),
        bench.bare("get-bare", "get", server.file),
        bench.load("list", server), bench.bare("list-bare", "list", server.file),
        bench.load("filter", server), bench.bare("filter-bare", "filter", server.file))
    bench.facts.append(f"- {bench.options.stored:,} stored: the server has "
                       f"{server.memory_kb('RssAnon') / 1024:.1f} MB of its own, and "
                       f"{server.memory_kb('RssFile') / 1024:.0f} MB of files mapped.")
    server.close()


def run_writes(bench):
    """On copies: what others read stays as it is, and both sides begin with the same tables."""
    options, base = bench.options, bench.data("base") / "apps" / "bench" / "app.db"
    data, bare = bench.data("writes"), bench.scratch / "bare.db"
    (data / "apps" / "bench").mkdir(parents=True)
    shutil.copyfile(base, data / "apps" / "bench" / "app.db")
    shutil.copyfile(base, bare)
    server = bench.serve(data)
    bench.requests.write_creates("create", "notes")
    bench.requests.write_creates("search", "words")
    bench.requests.write_patches(options.stored)
    bench.requests.write_batches()
    # Without an index of words a create is only a create: that would be no figure for this row.
    status, answer = server.ask("/api/words?search=river&limit=1")
    is_there = status == 200 and json.loads(answer)["items"]
    search = [bench.load("search", server)] if is_there else []
    if not is_there:
        bench.figures.add("search", Run(problem="not there yet"))
    bench.rounds(
        bench.load("create", server), bench.bare("create-bare", "create", bare, CONNECTIONS),
        *search, bench.load("patch", server),
        bench.load("batch", server, connections=BATCHES, units=100),
        bench.bare("batch-bare", "create", bare, 100 * BATCHES))
    server.close()
    bare.unlink()


def run_million(bench):
    options = bench.options
    options.say(f"storing {options.million:,} documents")
    fill(options, bench.app, bench.data("million"), options.million)
    small, large = bench.serve(bench.data("base")), bench.serve(bench.data("million"))
    bench.requests.write_gets("get-100k", "notes", options.stored)
    bench.requests.write_gets("get-1m", "notes", options.million)
    for name, server in (("list-100k", small), ("list-1m", large)):
        server.ask("/api/notes/nobody-has-this-id")
        bench.requests.write_list(name, server)
    bench.rounds(*(bench.load(key, server) for key, server in (
        ("get-100k", small), ("get-1m", large), ("list-100k", small), ("list-1m", large))))
    anon = [server.memory_kb("RssAnon") / 1024 for server in (small, large)]
    bench.bars.append(("memory with 1,000,000 stored", f"<= {CACHES_MB} MB more than with 100,000",
                       f"{anon[1]:.1f} MB and {anon[0]:.1f} MB", anon[1] <= anon[0] + CACHES_MB))
    export_figures(bench, large)
    small.close()
    large.close()


def run_postgres(bench):
    try:
        import pg
    except ImportError:
        bench.options.say("postgres: not built")
        return
    pg.run(bench)


def rivals():
    found = [name for name in RIVALS if shutil.which(name)]
    return "installed, not measured yet: " + ", ".join(found) if found else "none is installed"


def machine_facts(bench, command, took):
    options, memory = bench.options, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    others, clients = bench.figures.share("others"), bench.figures.share("client")
    return [
        f"Made by `{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. "
        "Do not edit: the command writes this section.", "",
        f"- Machine: {os.cpu_count()} x {report.cpu_model()}, {memory / 2**30:.0f} GB, "
        f"Linux {os.uname().release.split('-')[0]}; loopback, the cores shared with the client.",
        f"- Version: {report.output_of(options.binary, 'version')}.",
        f"- Method: documents of 1 KB, checked by a schema, two indexes, {options.stored:,} stored, "
        f"{CONNECTIONS} keep-alive connections (batches: {BATCHES}); {options.rounds} rounds of "
        f"{options.ms} ms, in which everybody takes a turn in a changing order. Figures are "
        "medians, a ratio is the median of the rounds' own ratios. Every create waits for the "
        "disk, on both sides. The run took "
        f"{took:.0f} s.",
        f"- The client used {clients[0]:.0%} of a core in the median turn, {clients[1]:.0%} at most.",
        f"- Other programs: {rivals()}.",
        f"- Noise: others used {others[0]:.0%} of the machine in the median turn, {others[1]:.0%} "
        "in the worst.", *bench.facts]


def publish(args, bench, took):
    words = [word for word in sys.argv[1:] if word not in ("--no-write", "--short")]
    command = "make bench-docs" + (" DAIS_BENCH=short" if bench.options.is_short else "")
    command += f" BENCH_ARGS='{' '.join(words)}'" if words else ""
    bars = rows.bar_table(bench.figures, bench.options.parts, bench.bars)
    parts = [("What must be reached", rows.BAR_COLUMNS, bars),
             ("Measured", rows.COLUMNS, rows.table(bench.figures, bench.options.parts))]
    facts = machine_facts(bench, command, took)
    print("\n".join(facts) + "\n" + report.as_text(parts))
    if not args.no_write and not words and not bench.options.is_short:
        report.write_section(REPO / "docs" / "BENCHMARKS.md",
                             report.as_markdown(parts, facts, TITLE), "bench-docs")
        print("\nWritten to docs/BENCHMARKS.md.")
    return [row for row in bars if row[-1] != "PASS"]


def stop(*_):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    args, began = arguments(), time.monotonic()
    options = options_from(args)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    runs = {"reads": run_reads, "writes": run_writes, "rules": ruled.run, "postgres": run_postgres,
            "million": run_million}
    try:
        with tempfile.TemporaryDirectory(prefix="dais-bench-") as scratch, \
                contextlib.ExitStack() as stack:
            bench = Bench(options, Path(scratch), stack)
            if {"reads", "writes", "million"} & set(options.parts):
                fill_base(bench)
            for part in options.parts:
                runs[part](bench)
        misses = publish(args, bench, time.monotonic() - began)
    except BenchError as error:
        print(f"bench-docs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-docs: stopped", file=sys.stderr)
        return 130
    return 1 if args.strict and misses else 0


if __name__ == "__main__":
    sys.exit(main())
