#!/usr/bin/env python3
# Measures files that people upload against cp, nginx and our own static files; writes docs/BENCHMARKS.md.
import argparse
import concurrent.futures
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPO / "tests" / "bench" / "http")]

import procs
import report
import wrk
from configs import Plan, command_for
from servers import START_SECONDS, BenchError, Process, fetch, free_port

BINARY = "build/release/dais"
TITLE = "Files that people upload"
MANIFEST = """# An app with files, for the benchmark.
app: bench
web: { root: web }
files: { up: { max: 4GB } }
"""
UPLOAD_BAR, GROWTH_BAR_MB, DOWNLOAD_BAR, SMALL_BAR, PAGE_BAR_MS = 0.7, 20, 1.0, 0.6, 3
PARALLEL, LARGE_MB, EACH, SMALL_KB, LISTED = 16, 10, 8, 64, 10000


def arguments():
    parser = argparse.ArgumentParser(prog="bench.py", description="Measures uploads, downloads and lists of files.")
    add = parser.add_argument
    add("--short", action="store_true", default=os.environ.get("DAIS_BENCH") == "short",
        help="one short round; as DAIS_BENCH=short")
    add("--rounds", type=int, default=5)
    add("--mb", type=int, default=1024, help="size of the long upload")
    add("--only", default="", help="upload, download, small or list, with commas")
    add("--place", default="", help="a folder on the disk to measure; default: the one for temporary files")
    add("--dais", default=BINARY, help="the binary to measure")
    add("--no-write", action="store_true", help="leave docs/BENCHMARKS.md alone")
    add("--strict", action="store_true", help="exit 1 unless every bar is reached")
    args = parser.parse_args()
    if args.short:
        args.rounds, args.mb = 2, 256
    return args


class App:
    """A running dais with one bucket and a static file of the small size."""

    def __init__(self, args, folder):
        self.folder, self.port = folder, free_port()
        (folder / "app" / "web").mkdir(parents=True)
        (folder / "home").mkdir()
        (folder / "app" / "dais.yaml").write_text(MANIFEST)
        (folder / "app" / "web" / "index.html").write_text("<p>bench</p>")
        (folder / "app" / "web" / "small.bin").write_bytes(os.urandom(SMALL_KB << 10))
        self.process = Process(
            [str(REPO / args.dais), "serve", str(folder / "app"), "--listen", f"127.0.0.1:{self.port}"],
            {"DAIS_DATA": str(folder / "data"), "DAIS_LOG": "error", "DAIS_THREADS": "2"}, folder / "home")
        try:
            wait_ready(self.process, self.port, "/healthz")
        except BaseException:
            self.process.close()
            raise

    def cpu_us(self):
        return procs.cpu_us(self.process.family())

    def put(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("PUT", path, body=body, headers={"Host": "localhost"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise BenchError(f"PUT {path}: {answer.status} {text[:200]!r}")

    def close(self):
        self.process.close()


def wait_ready(process, port, path):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.popen.poll() is None:
        try:
            if fetch(port, path, timeout=1)[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
    raise BenchError("a server did not answer: " + process.complaint())


def resident_mb(pids, name="VmHWM"):
    """Of all processes together: the most there ever was (VmHWM), or what there is (VmRSS)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                total += int(line.split()[1])
    return total / 1024


# ---- one long upload against cp and a flush to the same disk ----
def copy_seconds(source, target):
    began = time.perf_counter()
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)
    took = time.perf_counter() - began
    target.unlink()
    return took


def upload_seconds(app, source, name):
    began = time.perf_counter()
    done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-T", str(source), "-H", "Expect:",
                           f"http://127.0.0.1:{app.port}/api/files/up/{name}"], capture_output=True, text=True,
                          check=True)
    took = time.perf_counter() - began
    if done.stdout != "201":
        raise BenchError(f"the upload was answered {done.stdout}")
    subprocess.run(["curl", "-sS", "-X", "DELETE", f"http://127.0.0.1:{app.port}/api/files/up/{name}"], check=True)
    # The sweep would come in an hour; the copy of cp is gone at once, and with it its pages in memory.
    for blob in (app.folder / "data").glob("**/blobs/??/*"):
        blob.unlink()
    return took


def uploads(args, scratch):
    """([ratio of rates], [MB/s of ours], [MB/s of cp], MB of growth)"""
    source = scratch / "source.bin"
    with open(source, "wb") as out:
        for _ in range(args.mb):
            out.write(os.urandom(1 << 20))
    os.sync()
    ratios, ours, theirs = [], [], []
    app = App(args, scratch / "upload")
    try:
        app.put("/api/files/up/first", b"x")
        before = resident_mb(app.process.family(), "VmRSS")
        for number in range(args.rounds + 1):
            both = {}
            for who in ("cp", "dais") if number % 2 else ("dais", "cp"):
                both[who] = (copy_seconds(source, scratch / "copy.bin") if who == "cp"
                             else upload_seconds(app, source, f"long-{number}"))
                with open(source, "r+b") as change:  # other content: nothing is known already
                    change.write(os.urandom(64))
                os.sync()
            if not number:  # the first round warms both
                continue
            ours.append(args.mb / both["dais"])
            theirs.append(args.mb / both["cp"])
            ratios.append(both["cp"] / both["dais"])
        growth = resident_mb(app.process.family()) - before
    finally:
        app.close()
        source.unlink()
    return ratios, ours, theirs, growth


# ---- parallel downloads against nginx ----
class Nginx:
    def __init__(self, folder, root):
        self.port = free_port()
        folder.mkdir()
        plan = Plan(root, threads=2)
        command, env = command_for("nginx", plan, folder, self.port, "")
        self.process = Process(command, env, folder)
        try:
            wait_ready(self.process, self.port, "/healthz")
        except BaseException:
            self.process.close()
            raise

    def cpu_us(self):
        return procs.cpu_us(self.process.family())

    def close(self):
        self.process.close()


def download_all(server, path):
    """(MB/s, the server's CPU us a MB) of curls at once, each of which reads several files, one after the other."""
    began, cpu, clients, size = time.perf_counter(), server.cpu_us(), [], PARALLEL * EACH * LARGE_MB
    for client in range(PARALLEL):
        names = [path.format((client + i) % PARALLEL) for i in range(EACH)]
        clients.append(subprocess.Popen(
            ["curl", "-sS", "-f", *(word for name in names
                                    for word in ("-o", "/dev/null", f"http://127.0.0.1:{server.port}{name}"))]))
    if any([client.wait(120) for client in clients]):
        raise BenchError("a download failed")
    return size / (time.perf_counter() - began), (server.cpu_us() - cpu) / size


def downloads(args, scratch):
    folder = scratch / "download"
    app = App(args, folder)
    nginx = None
    ours, theirs = [], []
    try:
        for i in range(PARALLEL):
            body = os.urandom(LARGE_MB << 20)
            app.put(f"/api/files/up/large{i}.bin", body)
            (folder / "app" / "web" / f"large{i}.bin").write_bytes(body)
        nginx = Nginx(scratch / "nginx", folder / "app")
        turns = ((app, "/api/files/up/large{}.bin", ours), (nginx, "/large{}.bin", theirs))
        for number in range(2 * args.rounds + 1):
            for server, path, runs in turns if number % 2 else turns[::-1]:
                run = download_all(server, path)
                if number:  # the first turn warms both
                    runs.append(run)
    finally:
        app.close()
        if nginx:
            nginx.close()
    return ours, theirs


# ---- a small file against our own static file ----
class Case:
    connections, pipeline, accept_encoding = 16, 1, ""

    def __init__(self, path):
        self.path = path


def small(args, scratch):
    app = App(args, scratch / "small")
    ours, theirs = [], []
    try:
        app.put("/api/files/up/small.bin", (scratch / "small" / "app" / "web" / "small.bin").read_bytes())
        turns = (("/api/files/up/small.bin", ours), ("/small.bin", theirs))
        for number in range(args.rounds):
            for path, rates in turns if number % 2 else turns[::-1]:
                run = wrk.load(app, Case(path), 2, least_bytes=SMALL_KB << 10)
                if run.problem:
                    raise BenchError(f"{path}: {run.problem}")
                rates.append(run)
    finally:
        app.close()
    return ours, theirs


# ---- a page of a list ----
def listed(args, scratch):
    """Milliseconds of each page of 100 of 10,000 below a prefix."""
    app = App(args, scratch / "list")
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: app.put(f"/api/files/up/many/{i:05}.txt", b"%d" % i), range(LISTED)))
            list(pool.map(lambda i: app.put(f"/api/files/up/other/{i:05}.txt", b"%d" % i), range(200)))
        connection = http.client.HTTPConnection("127.0.0.1", app.port)
        took, after = [], ""
        while after is not None:
            began = time.perf_counter()
            connection.request("GET", f"/api/files/up?prefix=many/&limit=100&after={after}")
            page = connection.getresponse().read()
            took.append((time.perf_counter() - began) * 1000)
            after = json.loads(page)["next"]
        if len(took) < LISTED // 100:
            raise BenchError(f"{len(took)} pages")
    finally:
        app.close()
    return took


# ---- telling ----
def middle(values):
    return statistics.median(values)


def measure(args, scratch):
    wanted = [word for word in args.only.split(",") if word] or ["upload", "download", "small", "list"]
    bars, rows = [], []

    def told(what, bar, value, holds):
        bars.append((what, bar, value, report.verdict(holds)))

    if "upload" in wanted:
        ratios, ours, theirs, growth = uploads(args, scratch)
        told(f"upload of {args.mb} MB", f">= {UPLOAD_BAR} x cp and a flush", f"{middle(ratios):.2f}",
             middle(ratios) >= UPLOAD_BAR)
        told("memory while it comes in", f"< {GROWTH_BAR_MB} MB more", f"{growth:.1f} MB", growth < GROWTH_BAR_MB)
        rows.append((f"upload of {args.mb} MB, MB/s", f"{middle(ours):.0f}", f"cp, sync: {middle(theirs):.0f}"))
        rows.append(("the best round, MB/s", f"{max(ours):.0f}", f"cp, sync: {max(theirs):.0f}"))
    if "download" in wanted:
        ours, theirs = downloads(args, scratch)
        ratio = middle([a[0] / b[0] for a, b in zip(ours, theirs)])
        told(f"{PARALLEL} downloads of {LARGE_MB} MB at once", f">= {DOWNLOAD_BAR} x nginx", f"{ratio:.2f}",
             ratio >= DOWNLOAD_BAR)
        for at, what in enumerate(("MB/s", "CPU us a MB")):
            rows.append((f"{PARALLEL} downloads of {LARGE_MB} MB, {what}", f"{middle([run[at] for run in ours]):,.0f}",
                         f"nginx: {middle([run[at] for run in theirs]):,.0f}"))
    if "small" in wanted:
        ours, theirs = small(args, scratch)
        # By the rate, and by what it costs: the client may be what is slow.
        for by, ratios in (("", [a.rate / b.rate for a, b in zip(ours, theirs)]),
                           (", by CPU", [b.cpu / a.cpu for a, b in zip(ours, theirs)])):
            told(f"GET of {SMALL_KB} KB{by}", f">= {SMALL_BAR} x a static file of ours", f"{middle(ratios):.2f}",
                 middle(ratios) >= SMALL_BAR)
        rows.append((f"GET of {SMALL_KB} KB, a second", f"{middle([run.rate for run in ours]):,.0f}",
                     f"static: {middle([run.rate for run in theirs]):,.0f}"))
        rows.append((f"GET of {SMALL_KB} KB, CPU us", f"{middle([run.cpu for run in ours]):.1f}",
                     f"static: {middle([run.cpu for run in theirs]):.1f}"))
    if "list" in wanted:
        took = listed(args, scratch)
        told(f"a page of 100 of {LISTED:,} files", f"< {PAGE_BAR_MS} ms", f"{middle(took):.2f} ms",
             middle(took) < PAGE_BAR_MS)
        rows.append((f"a page of 100 of {LISTED:,}, ms", f"{middle(took):.2f}", f"worst: {max(took):.2f}"))
    return [("What must be reached", ("what", "bar", "measured", "verdict"), bars),
            ("Figures", ("what", "dais", "beside it"), rows)]


def facts(args, command, took):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"Made by `{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. "
        "Do not edit: the command writes this section.", "",
        f"- Machine: {os.cpu_count()} x {report.cpu_model()}, {memory:.0f} GB, "
        f"Linux {os.uname().release.split('-')[0]}; loopback, the cores shared with the clients.",
        f"- Version: {report.output_of(str(REPO / args.dais), 'version')}.",
        f"- Method: both sides take turns, {args.rounds} rounds; ratios are of neighbours, figures are medians. "
        "Uploads by "
        "curl of random bytes, against `cp` and `sync` of the same file on the same disk; downloads by as many curls, "
        f"{EACH} files each, against nginx with sendfile; small files by wrk with 16 connections. "
        f"The run took {took:.0f} s.",
    ]


def main():
    args, began = arguments(), time.monotonic()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [tool for tool in ("curl", "nginx", "wrk") if not shutil.which(tool)]
    try:
        if missing:
            raise BenchError("missing: " + ", ".join(missing))
        with tempfile.TemporaryDirectory(prefix="dais-bench-", dir=args.place or None) as scratch:
            Path(scratch).chmod(0o755)
            parts = measure(args, Path(scratch))
    except BenchError as error:
        print(f"bench-files: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-files: stopped", file=sys.stderr)
        return 130
    command = "make bench-files" + (" DAIS_BENCH=short" if args.short else "")
    about = facts(args, command, time.monotonic() - began)
    print("\n".join(about) + "\n" + report.as_text(parts))
    if not (args.no_write or args.short or args.only):
        report.write_section(REPO / "docs" / "BENCHMARKS.md", report.as_markdown(parts, about, TITLE), "bench-files")
        print("\nWritten to docs/BENCHMARKS.md.")
    return 1 if args.strict and any(row[-1] != "PASS" for row in parts[0][2]) else 0


if __name__ == "__main__":
    sys.exit(main())
