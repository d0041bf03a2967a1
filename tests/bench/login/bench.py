#!/usr/bin/env python3
# Measures what a flood of logins does to those who read documents; writes docs/BENCHMARKS.md.
import argparse
import contextlib
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from http.client import HTTPException
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPO / "tests" / "bench" / "http")]

import procs
import report
from servers import START_SECONDS, BenchError, Process, fetch, free_port

BINARY, PACED = "build/release/dais", "build/release/bench/login_paced"
TITLE = "Logins: what a flood of them does to others"
LOGINS, READS, ADDRESSES = 500, 200, 5000
BAR_MS, BAR_REFUSED = 20, 2.0
MANIFEST = """# An app with accounts, for the benchmark.
app: bench
web: {{ root: web }}
auth: {{ signup: open }}
collections:
  notes: {{ rules: {{ read: public, create: signed_in, write: owner, delete: owner }} }}
limits: {{ write: off, "GET /never.txt": 0/min{limits} }}
"""
FLOODS = (
    ("quiet", "nobody logs in", 0, 0, ""),
    ("on-one", "limits on, from one address", LOGINS, 1, ""),
    ("on-many", f"limits on, from {ADDRESSES:,} addresses", LOGINS, ADDRESSES, ""),
    ("off-one", "limits off, from one address", LOGINS, 1, ", login: off"),
    ("off-many", f"limits off, from {ADDRESSES:,} addresses", LOGINS, ADDRESSES, ", login: off"),
)


def arguments():
    parser = argparse.ArgumentParser(prog="bench.py", description="Measures floods of logins.")
    add = parser.add_argument
    add("--short", action="store_true", default=os.environ.get("DAIS_BENCH") == "short",
        help="one short round; as DAIS_BENCH=short")
    add("--rounds", type=int, default=3)
    add("--ms", type=int, default=8000, help="length of one flood")
    add("--dais", default=BINARY, help="the binary to measure")
    add("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    add("--strict", action="store_true", help="exit 1 unless every bar is reached")
    args = parser.parse_args()
    if args.short:
        args.rounds, args.ms = 1, 3000
    return args


class App:
    """A running dais with an account and a document; `limits` is the end of its row of them."""

    def __init__(self, args, folder, limits):
        self.folder, self.port = folder, free_port()
        (folder / "app" / "web").mkdir(parents=True)
        (folder / "home").mkdir()
        (folder / "app" / "dais.yaml").write_text(MANIFEST.format(limits=limits))
        for name in ("index.html", "never.txt", "small.txt"):
            (folder / "app" / "web" / name).write_text("x" * 300)
        self.process = Process(
            [str(REPO / args.dais), "serve", str(folder / "app"), "--listen", f"127.0.0.1:{self.port}"],
            {"DAIS_DATA": str(folder / "data"), "DAIS_LOG": "error", "DAIS_TRUSTED_PROXIES": "127.0.0.1",
             "DAIS_THREADS": "2"}, folder / "home")
        try:
            self.wait_ready()
            self.token = self.post("auth/signup", {"email": "ann@example.org", "password": "correct horse"})["token"]
            self.note = self.post("notes", {"title": "x" * 200})["id"]
        except BaseException:
            self.process.close()
            raise

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.popen.poll() is None:
            try:
                if fetch(self.port, "/healthz", timeout=1)[0] == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.01)
        raise BenchError("dais did not answer: " + self.process.complaint())

    def post(self, path, body):
        command = ["curl", "-sS", "-X", "POST", "-H", "Content-Type: application/json", "--data", json.dumps(body),
                   f"http://127.0.0.1:{self.port}/api/{path}"]
        if hasattr(self, "token"):
            command[1:1] = ["-H", f"Authorization: Bearer {self.token}"]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    def requests(self, name, *made):
        path = self.folder / name
        path.write_bytes(b"".join(struct.pack("<I", len(one)) + one for one in made))
        return path

    def logins(self, addresses):
        return self.requests(f"logins{addresses}", *(login(i) for i in range(addresses)))

    def reads(self):
        return self.requests("reads", get(f"/api/notes/{self.note}"))

    def paced(self, ms, *flows):
        """A dict for each (file, rate), and microseconds of CPU that the server used."""
        words = [str(word) for flow in flows for word in flow]
        before = procs.cpu_us(self.process.family())
        done = subprocess.run([str(REPO / PACED), str(self.port), str(ms), *words], capture_output=True, text=True,
                              check=True)
        used = procs.cpu_us(self.process.family()) - before
        return [json.loads(line) for line in done.stdout.splitlines()], used


def login(i):
    body = json.dumps({"email": f"somebody{i}@example.org", "password": "not the one"}).encode()
    address = f"198.{18 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
    return (f"POST /api/auth/login HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: {address}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def get(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: 203.0.113.1\r\n{more}\r\n".encode()


def flood(args, folder, row):
    _, _, rate, addresses, limits = row
    app = App(args, folder, limits)
    try:
        flows = [(app.reads(), READS)]
        if rate:
            flows.append((app.logins(addresses), rate))
        app.paced(500, flows[0])
        found, used = app.paced(args.ms, *flows)
        reads, logins = found[0], found[1] if rate else {"by_status": {}, "lost": 0}
        if set(reads["by_status"]) != {"200"} or reads["lost"]:
            raise BenchError(f"reads failed: {reads}")
        return {"p50": reads["p50"], "p99": reads["p99"], "max": reads["max"], "cpu": used / args.ms / 10,
                "logins": logins}
    finally:
        app.process.close()


REFUSALS = (  # what is refused, and the answer it is compared with
    ("login, which closes the connection", login(1), "small file, connection closed",
     get("/small.txt", "Connection: close\r\n")),
    ("read, connection kept", get("/never.txt"), "small file", get("/small.txt")),
)


def refusals(args, folder):
    """(what, its CPU us, compared with, its CPU us)"""
    app = App(args, folder, ", login: 0/min")
    rate, ms, rows = 2000, args.ms // 2, []
    try:
        for i, (what, request, other, normal) in enumerate(REFUSALS):
            costs = []
            for name, made, status in ((f"refused{i}", request, "429"), (f"normal{i}", normal, "200")):
                file = app.requests(name, made)
                app.paced(300, (file, rate))
                found, used = app.paced(ms, (file, rate))
                if set(found[0]["by_status"]) != {status}:
                    raise BenchError(f"{name}: {found[0]}")
                costs.append(used / found[0]["by_status"][status])
            rows.append((what, costs[0], other, costs[1]))
    finally:
        app.process.close()
    return rows


def statuses(logins):
    return ", ".join(f"{n:,} x {status}" for status, n in sorted(logins["by_status"].items())) + (
        f", {logins['lost']:,} lost" if logins["lost"] else "")


def middle(rounds, key):
    return statistics.median(one[key] for one in rounds)


def tables(found, costs):
    bars, floods = [], []
    for row in FLOODS:
        rounds = found[row[0]]
        p99 = middle(rounds, "p99") / 1000
        if row[2]:
            bars.append((f"reads, {row[1]}", f"p99 < {BAR_MS} ms", f"{p99:.1f} ms", report.verdict(p99 < BAR_MS)))
        floods.append((row[1], f"{middle(rounds, 'p50') / 1000:.2f}", f"{p99:.2f}",
                       f"{max(one['max'] for one in rounds) / 1000:.1f}", f"{middle(rounds, 'cpu'):.0f} %",
                       statuses(rounds[-1]["logins"])))
    for what, refused, other, normal in costs:
        ratio = refused / normal
        bars.append((f"refused {what}", f"<= {BAR_REFUSED:.0f} x the CPU of a {other}", f"{ratio:.2f}",
                     report.verdict(ratio <= BAR_REFUSED)))
    return [("What must be reached", ("what", "bar", "measured", "verdict"), bars),
            ("Reads while somebody logs in", ("who logs in", "p50 ms", "p99 ms", "worst ms", "CPU of the server",
                                              "answers to logins, last round"), floods),
            ("What a refused request costs", ("refused", "CPU us", "compared with", "CPU us "),
             [(what, f"{refused:.1f}", other, f"{normal:.1f}") for what, refused, other, normal in costs])]


def facts(args, command, took):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"Made by `{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. "
        "Do not edit: the command writes this section.", "",
        f"- Machine: {os.cpu_count()} x {report.cpu_model()}, {memory:.0f} GB, "
        f"Linux {os.uname().release.split('-')[0]}; loopback, the cores shared with the client.",
        f"- Version: {report.output_of(str(REPO / args.dais), 'version')}.",
        f"- Method: {READS} reads of a document a second, and {LOGINS} logins with a wrong password, each sent when it "
        "is due, whether or not those before it were answered; a wait counts from then. Addresses come in "
        f"`X-Forwarded-For` through a trusted proxy, one e-mail address each. {args.rounds} rounds of {args.ms} ms, a "
        f"server of its own each; figures are medians. The run took {took:.0f} s.",
        "- With limits off a login waits in a queue of 64, and for a worker that gives way to all others; behind them "
        "it gets 503 with Retry-After.",
    ]


def main():
    args, began = arguments(), time.monotonic()
    procs.raise_file_limit()
    found = {row[0]: [] for row in FLOODS}
    try:
        with tempfile.TemporaryDirectory(prefix="dais-bench-") as scratch, contextlib.ExitStack():
            for number in range(args.rounds):
                for row in FLOODS:
                    print(f"round {number + 1}: {row[1]}", file=sys.stderr, flush=True)
                    found[row[0]].append(flood(args, Path(scratch) / f"{row[0]}-{number}", row))
            costs = refusals(args, Path(scratch) / "refusals")
    except BenchError as error:
        print(f"bench-login: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-login: stopped", file=sys.stderr)
        return 130
    command = "make bench-login" + (" DAIS_BENCH=short" if args.short else "")
    parts, about = tables(found, costs), facts(args, command, time.monotonic() - began)
    print("\n".join(about) + "\n" + report.as_text(parts))
    if not args.no_write and not args.short:
        report.write_section(REPO / "docs" / "BENCHMARKS.md", report.as_markdown(parts, about, TITLE), "bench-login")
        print("\nWritten to docs/BENCHMARKS.md.")
    return 1 if args.strict and any(row[-1] != "PASS" for row in parts[0][2]) else 0


if __name__ == "__main__":
    sys.exit(main())
