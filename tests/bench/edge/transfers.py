# What wrk does not measure: added latency, 100 MB both ways, and memory of connections that are held.
import contextlib
import os
import statistics
import subprocess
from dataclasses import dataclass, replace

import procs
from rounds import turn_order
from servers import BenchError, Server

ASKED = 4000        # requests of a turn of the latency measurement
HAULS = 16          # bodies of 100 MB in a turn
CONNECTIONS = 4     # that carry them
STUCK = 64
TUNNELS = 5000


@dataclass
class Row:
    """A figure with what it must be; `holds` is None when it could not be taken."""
    what: str
    bar: str
    measured: str
    holds: bool | None = None


def quartiles(values):
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def spread(values, digits=2):
    low, middle, high = (f"{v:.{digits}f}" for v in quartiles(values))
    return f"{middle} ({low}-{high})"


class Peer:
    """One run of the peer program."""

    def __init__(self, program, *words, pin=None):
        def in_child():
            procs.die_with_parent()
            if pin is not None:
                os.sched_setaffinity(0, {pin})

        self.popen = subprocess.Popen([program, *map(str, words)], text=True, preexec_fn=in_child,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)

    def numbers(self, say=""):
        out, err = self.popen.communicate(say, timeout=120)
        if self.popen.returncode:
            raise BenchError(err.strip()[-300:] or "a client failed")
        return [int(word) for word in out.split()]

    def wait_ready(self):
        if self.popen.stdout.readline().strip() != "ready":
            raise BenchError(self.popen.stderr.read()[-300:] or "a client failed")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


@contextlib.contextmanager
def fleet(names, plan, options):
    with contextlib.ExitStack() as stack:
        servers = []
        for name in names:
            server = Server(name, plan, options.binary, options.server_pin(plan.threads))
            stack.callback(server.close)
            servers.append(server)
        yield servers


def rounds_of(servers, options, measure):
    """{name: [figure of each round]}, every server in each round, in a changing order."""
    taken = {name: [] for name, _ in servers}
    for name, port in servers:   # warm
        measure(port)
    for number in range(options.rounds):
        for name, port in turn_order(servers, number):
            taken[name].append(measure(port))
    return taken


def ratios(taken, top, bottom):
    return [a / b for a, b in zip(taken[top], taken[bottom])]


def added_latency(names, plan, options):
    """{name: [microseconds more than without a proxy, of each round]}"""
    def p50(port):
        with Peer(options.peer, "latency", port, ASKED, pin=options.client_pin(1)) as peer:
            return peer.numbers()[0] / 1000

    with fleet(names, plan, options) as servers:
        ports = [("direct", plan.backend)] + [(s.name, s.port) for s in servers]
        taken = rounds_of(ports, options, p50)
    return {name: [t - d for t, d in zip(taken[name], taken["direct"])] for name in names}


def latency_rows(names, plan, options):
    """On one core, where nothing but work takes time; beside it with a core for the proxy, where waking
    an idle core twice costs more than either proxy."""
    one_core = replace(options, pins=options.pins[1:] * 2)
    added = added_latency(names, plan, one_core)
    mine = statistics.median(added["dais"])
    rows = [Row("added latency, median", "< 40 us", f"{spread(added['dais'], 1)} us", mine < 40)]
    for other in names[1:]:
        share = ratios(added, "dais", other)
        is_bar = other == "nginx"
        rows.append(Row(f"added latency against {other}'s {spread(added[other], 1)} us",
                        "<= 1.2 x" if is_bar else "", spread(share),
                        statistics.median(share) <= 1.2 if is_bar else None))
    for name, values in added_latency(names, plan, options).items():
        rows.append(Row(f"added latency with idle cores to wake, {name}", "", f"{spread(values, 1)} us"))
    for row in rows:
        options.say(str(row))
    return rows


def haul_rows(way, title, names, plan, options):
    def seconds(port):
        with Peer(options.peer, way, port, HAULS, CONNECTIONS, pin=options.client_pin(1)) as peer:
            return peer.numbers()[0] / 1e6

    with fleet(names, plan, options) as servers:
        taken = rounds_of([(s.name, s.port) for s in servers], options, seconds)
    rows = []
    for name in names:
        rate = [HAULS * 100 * 1.048576 / s for s in taken[name]]
        options.say(f"{way} {name}: {spread(rate, 0)} MB/s")
    for other in names[1:]:
        share = ratios(taken, other, "dais")   # seconds: theirs over ours is our rate over theirs
        is_bar = other == "nginx"
        mine = statistics.median(HAULS * 100 * 1.048576 / s for s in taken["dais"])
        rows.append(Row(f"{title} against {other}, {mine:,.0f} MB/s",
                        ">= 0.9 x" if is_bar else "", spread(share),
                        statistics.median(share) >= 0.9 if is_bar else None))
    return rows


def growth(name, plan, options, *words):
    """Resident memory that connections of the peer cost; and what the peer says at the end."""
    with fleet([name], replace(plan, connections=2 * TUNNELS + 200), options) as (server,):
        with Peer(options.peer, "latency", server.port, 200) as peer:
            peer.numbers()
        before = server.resident_mb()
        with Peer(options.peer, *words[:-1], server.port, words[-1]) as peer:
            peer.wait_ready()
            after = server.resident_mb()
            told = peer.numbers("stop\n")
    return before, after, told


def memory_rows(names, plan, options):
    rows = []
    for name in names:
        for way, title in (("get", "a stuck download"), ("put", "a stuck upload")):
            before, after, _ = growth(name, plan, options, "stuck", way, STUCK)
            each = (after - before) * 1024 / STUCK
            mine = name == "dais"
            rows.append(Row(f"memory of {title}, {name}", "< 256 KB" if mine else "",
                            f"{each:.0f} KB", each < 256 if mine else None))
        before, after, (alive,) = growth(name, replace(plan, threads=2), options, "tunnels", TUNNELS)
        if alive != TUNNELS:
            raise BenchError(f"only {alive} of {TUNNELS} tunnels of {name} were alive at the end")
        rows.append(Row(f"{TUNNELS:,} open WebSocket tunnels, {name}", "< 25 MB" if name == "dais" else "",
                        f"{after:.1f} MB, {before:.1f} of it before them",
                        after < 25 if name == "dais" else None))
        options.say(f"memory: {rows[-1]}")
    return rows
