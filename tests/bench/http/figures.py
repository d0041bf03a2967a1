# The figures that are no load: memory with idle connections, memory and time at start, and a
# normal client among slow ones.
import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import procs
from cases import Case
from configs import dais_environment
from servers import BenchError, Process, Server, fetch, free_port
from webfiles import write_app
from wrk import load

IDLE = 10_000
SLOW = 1_000
STARTS = 20
APPS = 4
CLIENTS = str(Path(__file__).with_name("clients.py"))
PROBE = Case("probe", "a normal client", "/healthz", connections=4)


@dataclass
class Figure:
    name: str
    server: str
    value: float | None
    unit: str
    limit: float | None = None   # dais must stay under this
    note: str = ""


class Crowd:
    """The helper process that holds many connections to a server."""

    def __init__(self, kind, port, count):
        self.popen = subprocess.Popen(
            [sys.executable, CLIENTS, kind, str(port), str(count)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=procs.die_with_parent)

    def wait_ready(self):
        if self.popen.stdout.readline().strip() != "ready":
            raise BenchError("the crowd of clients failed: " + self.popen.stderr.read()[-300:])

    def finish(self):
        """Ends it and returns the number it says at the end."""
        return int(self.popen.communicate("stop\n", timeout=30)[0] or 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


def running(name, plan, options, pin=None):
    """A context that starts a server and closes it."""
    return contextlib.closing(Server(name, plan, options.binary, pin))


def idle_memory(name, plan, options):
    count = min(IDLE, options.file_limit - 200)
    plan = replace(plan, threads=2, connections=count + 100)
    with running(name, plan, options) as server:
        before = server.resident_mb()
        with Crowd("idle", server.port, count) as crowd:
            crowd.wait_ready()
            value, shared = server.resident_mb(), server.proportional_mb()
            alive = crowd.finish()
    note = f"{before:.1f} MB before them; {shared:.1f} MB with shared pages counted once"
    if alive != count or count != IDLE:
        note += f"; only {alive} of {IDLE} were open"
        value = None
    return Figure("10,000 idle keep-alive connections", name, value, "MB", 16, note)


def four_apps_memory(options, scratch):
    apps = [str(write_app(scratch / f"app{n}", f"app-{n}")) for n in range(1, APPS + 1)]
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        port = free_port()
        process = Process([options.binary, "serve", *apps, "--listen", f"127.0.0.1:{port}"],
                          dais_environment(2), home)
        try:
            wait_answer(process, port, 20)
            for number in range(1, APPS + 1):
                if fetch(port, f"/app-{number}/")[0] != 200:
                    raise BenchError(f"/app-{number}/ does not answer 200")
            value = procs.resident_mb(process.family())
        finally:
            process.close()
    return Figure("a fresh host with four static apps", "dais", value, "MB", 10,
                  "two threads, each app asked once")


def wait_answer(process, port, seconds):
    """Busy-polls until /healthz answers 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if client.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            if process.popen.poll() is not None:
                break
    raise BenchError("no answer after the start: " + process.complaint())


def start_time(name, plan, options, scratch):
    """Milliseconds from exec to the first 200."""
    times = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(dir=scratch) as home:
            port = free_port()
            command, env = plan.command(name, Path(home), port, options.binary)
            process = Process(command, env, home)
            try:
                wait_answer(process, port, 20)
                times.append((time.perf_counter() - process.exec_at) * 1000)
            finally:
                process.close()
    note = f"median of {STARTS}; quickest {min(times):.1f}, slowest {max(times):.1f}"
    return Figure("start to first answer", name, statistics.median(times), "ms", 15, note)


def no_app_memory(options, scratch):
    """Memory of a host that has nothing to serve."""
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        port = free_port()
        Path(home, "host.yaml").write_text("# A host without apps.\napps: []\n")
        command = [options.binary, "serve", home, "--listen", f"127.0.0.1:{port}"]
        process = Process(command, dais_environment(1), home)
        try:
            wait_answer(process, port, 5)
            value = procs.resident_mb(process.family())
        finally:
            process.close()
    return Figure("at start, with no app", "dais", value, "MB", 4, "one thread")


def slow_neighbours(name, plan, options):
    """p99 of a normal client alone and among slow ones, in turns."""
    pairs, cut, quiet = [], 0, 0
    with running(name, replace(plan, connections=SLOW + 200), options,
                 options.server_pin(1)) as server:
        while quiet < options.rounds and len(pairs) < 2 * options.rounds:
            alone = load(server, PROBE, options.seconds, options.client_pin(1))
            with Crowd("slow", server.port, SLOW) as crowd:
                crowd.wait_ready()
                among = load(server, PROBE, options.seconds, options.client_pin(1))
                cut += crowd.finish()
            if alone.problem or among.problem:
                raise BenchError(alone.problem or among.problem)
            pairs.append((max(alone.others, among.others), alone.p99, among.p99))
            quiet += pairs[-1][0] <= options.max_noise
    pairs = sorted(pairs)[:options.rounds]   # the rounds that others disturbed least
    before = statistics.median(pair[1] for pair in pairs)
    after = statistics.median(pair[2] for pair in pairs)
    note = f"{before:.0f} us without them; {cut} were cut off and came back"
    limit = max(2 * before, before + 1000)   # how we read "must not delay"
    return Figure("p99 of a normal client among 1,000 slow ones", name, after, "us", limit, note)


def attempt(name, server, unit, limit, measure):
    """A figure that cannot be taken is a row that says why, not the end of the run."""
    try:
        return measure()
    except (BenchError, OSError) as error:
        return Figure(name, server, None, unit, limit, str(error).replace("\n", " ")[:200])


def all_figures(names, plan, options, scratch):
    """Every figure for dais, and for nginx where it has one too."""
    small = replace(plan, app=write_app(scratch / "small", "small"))
    figures = []

    def take(*about, measure):
        figures.append(attempt(*about, measure))
        options.say(f"{figures[-1].name}: {figures[-1].server} {figures[-1].value} "
                    f"{figures[-1].unit} ({figures[-1].note})")

    for name in [n for n in names if n in ("dais", "nginx")]:
        take("10,000 idle keep-alive connections", name, "MB", 16,
             measure=lambda: idle_memory(name, plan, options))
        take("start to first answer", name, "ms", 15,
             measure=lambda: start_time(name, small, options, scratch))
        take("p99 of a normal client among 1,000 slow ones", name, "us", None,
             measure=lambda: slow_neighbours(name, plan, options))
        if name == "dais":
            take("a fresh host with four static apps", name, "MB", 10,
                 measure=lambda: four_apps_memory(options, scratch))
            take("at start, with no app", name, "MB", 4,
                 measure=lambda: no_app_memory(options, scratch))
    return figures
