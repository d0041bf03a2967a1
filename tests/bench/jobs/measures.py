# What is measured of jobs: enqueueing beside a long queue, throughput, starts of workers, events on their way.
import contextlib
import random
import re
import selectors
import socket
import statistics
import threading
import time

from app import OVER, App, fill, paced, wait_ended
from servers import BenchError

PACE = 200         # enqueues a second, beside a long queue
STREAMS = 5        # jobs that talk at once, each with a listener
MESSAGE = re.compile(rb'"message":"(\d{19}) [^"]*:(\d+)[/"]')   # when, and the port of the server that runs it


def at(values, share):
    values = sorted(values)
    return values[round((len(values) - 1) * share)] if values else None


# ---- 1. an enqueue, beside a long queue ---------------------------------------------------------

class Enqueues:
    """Rounds of them; medians of the rounds' own figures, in milliseconds."""

    def __init__(self, queued):
        self.queued, self.rounds = queued, []

    def run(self, options, app, ms):
        said = paced(options, app, "hold", ms, PACE)[0][0]
        if said["lost"] or set(said["by_status"]) != {"202"}:
            raise BenchError(f"not all were queued: {said}")
        return said

    def figure(self, name):
        return statistics.median(said[name] for said in self.rounds) / 1000

    @property
    def worst(self):
        return max(said["max"] for said in self.rounds) / 1000

    @property
    def count(self):
        return sum(said["due"] for said in self.rounds)


def enqueue(options, folder, database):
    """(with an empty queue, with a long one), of which one job is done and all others wait; in turns."""
    with contextlib.ExitStack() as stack:
        apps, found = [], []
        for name, count in (("empty", 0), ("long", options.queued)):
            (folder / name).mkdir()
            (folder / name).chmod(0o755)
            apps.append(stack.enter_context(App(options, folder / name, database)))
            found.append(Enqueues(fill(options, apps[-1], "hold", count) if count else 0))
        options.say(f"{database}: {found[1].queued:,} queued")
        for number in range(options.rounds + 1):
            for app, of in zip(apps, found) if number % 2 else zip(apps[::-1], found[::-1]):
                said = of.run(options, app, options.ms / options.rounds if number else options.warm_ms)
                if number:   # the first round warms both
                    of.rounds.append(said)
        return found


# ---- 2. how many jobs that do nothing -----------------------------------------------------------

class Depth(threading.Thread):
    """Counts what is queued, twice a second."""

    def __init__(self, app):
        super().__init__(daemon=True)
        self.app, self.found, self.is_over = app, [], threading.Event()
        self.start()

    def run(self):
        while not self.is_over.wait(0.5):
            self.found.append(self.app.queued())

    def stop(self):
        self.is_over.set()
        self.join()
        return self.found


class Flow:
    """What came of so many jobs a second for a while."""

    def __init__(self, options, app, rate, ms):
        before, cpu = app.count(OVER), app.cpu_us()
        depth = Depth(app)
        began = time.monotonic()
        said, self.client = paced(options, app, "nothing", ms, rate / len(app.servers))
        self.over = app.count(OVER) - before
        self.seconds = max(time.monotonic() - began, ms / 1000)
        self.depths = depth.stop()
        self.cpu_us = (app.cpu_us() - cpu) / max(self.over, 1)
        self.offered, self.due = rate, sum(one["due"] for one in said)
        self.lost = sum(one["lost"] + sum(n for status, n in one["by_status"].items() if status != "202")
                        for one in said)
        self.p99 = max(one["p99"] for one in said) / 1000
        self.left = self._drain(app, before)

    def _drain(self, app, before):
        """How many were answered and are not done after all."""
        deadline = time.monotonic() + 30
        while (left := self.due - self.lost - (app.count(OVER) - before)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    @property
    def rate(self):
        return self.over / self.seconds

    @property
    def deepest(self):
        return max(self.depths[len(self.depths) // 2:], default=0)

    @property
    def holds(self):
        """All of them done, the queue never longer than what half a second brings, not growing."""
        return not self.lost and not self.left and self.deepest < self.offered / 2

    def told(self):
        return (f"{self.offered:,.0f}/s offered: {self.rate:,.0f}/s done, at most {self.deepest:,} queued, "
                f"p99 {self.p99:.1f} ms, {self.lost} refused, {self.cpu_us:.0f} us CPU each, "
                f"client {self.client:.0%} of a core")


def throughput(options, folder, database, servers, bar):
    """[Flow]: at the bar's rate, then at more until it is too much."""
    with App(options, folder, database, servers) as app:
        paced(options, app, "nothing", options.warm_ms, bar / servers / 2)
        flows, rate = [], bar * 1.02   # what the client is late with at its end is no matter then
        while len(flows) < 6:
            flows.append(Flow(options, app, rate, options.ms if not len(flows) else options.ms / 2))
            options.say(f"{database}: {flows[-1].told()}")
            if not flows[-1].holds or options.is_quick:
                break
            rate *= 1.25
        return flows


# ---- 3. from an enqueue to the worker's first action --------------------------------------------

def starts(options, folder, database):
    """Milliseconds of each, one after the other; nothing else runs."""
    found = []
    with App(options, folder, database) as app:
        server = app.servers[0]
        connection = server.connect()
        for number in range(options.starts + 3):
            began = time.time_ns()
            job = server.post("/api/jobs/start", connection=connection)
            over = wait_ended(server, job["id"])
            if number >= 3:
                found.append((over["result"]["at"] - began) / 1e6)
            time.sleep(random.uniform(0, 0.02))
        connection.close()
    return found


# ---- 4. from a worker's line to a listener ------------------------------------------------------

class Listener:
    """Of one job's events: milliseconds from a line to us, which its own server told, or another one."""

    def __init__(self, server, ident):
        self.text, self.port, self.is_over = b"", server.port, False
        self.here, self.there = [], []
        self.sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(f"GET /api/jobs/{ident}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def read(self):
        got = self.sock.recv(1 << 16)
        now = time.time_ns()
        self.text += got
        while b"\n\n" in self.text:
            frame, self.text = self.text.split(b"\n\n", 1)
            found = MESSAGE.search(frame) if b"event: progress" in frame else None
            if found:
                waits = self.here if int(found.group(2)) == self.port else self.there
                waits.append((now - int(found.group(1))) / 1e6)
            self.is_over |= b'"state":"succeeded"' in frame or b'"state":"failed"' in frame
        self.is_over |= not got


def listen(listeners, seconds):
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for one in listeners:
            selector.register(one.sock, selectors.EVENT_READ, one)
        while selector.get_map():
            if time.monotonic() > deadline:
                raise BenchError("a stream of events did not end")
            for key, _ in selector.select(1):
                key.data.read()
                if key.data.is_over:
                    selector.unregister(key.data.sock)
                    key.data.sock.close()


def events(options, folder, database, servers, least_ms, most_ms):
    """Milliseconds of each line that came; with two servers only of those whose listener is at the other one. Of lines
    that follow each other at once only the last comes."""
    each = max(2, options.lines // STREAMS)
    with App(options, folder, database, servers) as app:
        waits, tries = [], 0
        while len(waits) < options.lines * 3 // 5:
            if (tries := tries + 1) > 4:
                raise BenchError(f"only {len(waits)} of {options.lines} lines came to a listener")
            jobs = [app.servers[0].post("/api/jobs/lines", [each, least_ms, most_ms])["id"] for _ in range(STREAMS)]
            listeners = [Listener(server, ident) for ident in jobs for server in app.servers]
            listen(listeners, 30 + each * most_ms / 1000)
            waits += [wait for one in listeners for wait in (one.there if servers > 1 else one.here)]
        return waits


# ---- what a server with jobs costs while there are none -----------------------------------------

def idle(options, folder):
    """(milliseconds of CPU in a second, MB of its own memory) once a job was done and nothing is left."""
    with App(options, folder, "sqlite") as app:
        time.sleep(1)
        used, began = app.cpu_us(), time.monotonic()
        time.sleep(options.idle_s)
        used = (app.cpu_us() - used) / 1000 / (time.monotonic() - began)
        pid = app.servers[0].process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            own = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
        return used, own / 1024
