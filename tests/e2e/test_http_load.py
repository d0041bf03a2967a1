# Many connections: slow ones delay nobody, idle ones cost little, too many are refused politely.
import contextlib
import os
import re
import resource
import socket
import time

from conftest import DAIS_BIN, Broken, Conn, wait_for
from flood import flood
from serving import cpu_ticks, open_files, resident_kb, serving, write_app

SANITIZED = re.compile(r"debug|tsan").search(str(DAIS_BIN))


def p99_of(server, rounds=200):
    """The 99th percentile of `rounds` requests on one connection, in seconds."""
    times = []
    with Conn(server) as conn:
        for _ in range(rounds):
            begin = time.perf_counter()
            assert conn.request("/").read().status == 200
            times.append(time.perf_counter() - begin)
    return sorted(times)[rounds * 99 // 100]


def metric(server, name):
    text = server.fetch("/metrics").body.decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])


def test_a_thousand_slow_heads_delay_nobody(tmp_path):
    with serving(write_app(tmp_path / "app")) as server:
        alone = p99_of(server)
        with flood(server, 1000, r"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: 1\r\n") as stand:
            assert stand == 1000
            wait_for(lambda: metric(server, "dais_connections_open") >= 1000, "accepting them")
            crowded = min(p99_of(server) for _ in range(3))  # of these seconds the machine may be busy in some
        assert crowded < max(20 * alone, 0.25), (alone, crowded)
        wait_for(lambda: metric(server, "dais_connections_open") == 1, "closing them")


def test_five_thousand_idle_connections_cost_little(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(5000, hard - 200)
    with serving(write_app(tmp_path / "app")) as server:
        server.fetch("/")
        before = resident_kb(server.proc.pid)
        with flood(server, count) as stand:
            assert stand == count
            wait_for(lambda: metric(server, "dais_connections_idle") >= count, "accepting them")
            each = (resident_kb(server.proc.pid) - before) * 1024 / count
            ticks = cpu_ticks(server.proc.pid)
            assert server.fetch("/").status == 200
            assert cpu_ticks(server.proc.pid) - ticks < 50
        assert each < (6000 if SANITIZED else 1500), f"{each:.0f} bytes per idle connection"


def test_without_descriptors_it_refuses_recovers_and_does_not_spin(tmp_path):
    folder = write_app(tmp_path / "app")
    with serving(folder, before=["prlimit", "--nofile=64:64"]) as server:
        assert len(os.listdir(f"/proc/{server.proc.pid}/fd")) < 40
        with contextlib.ExitStack() as stack:
            conns = []
            for _ in range(150):
                conns.append(stack.enter_context(contextlib.closing(Conn(server))))
            standing = [c for c in conns if is_served(c)]
            assert 8 <= len(standing) < 40
            ticks, begin = cpu_ticks(server.proc.pid), time.monotonic()
            for conn in standing:  # who is in stays served
                assert conn.request("/").read().status == 200
            wait_for(lambda: time.monotonic() - begin > 0.5, "half a second")
            used = (cpu_ticks(server.proc.pid) - ticks) / os.sysconf("SC_CLK_TCK")
            assert used < 0.3, f"{used} s of processor time in half a second"
        wait_for(lambda: recovered(server), "serving again")
        assert metric(server, "dais_connections_refused_total") > 0
    assert server.proc.returncode == 0


def is_served(conn, deadline=5):
    try:
        return conn.request("/").read(deadline=deadline).status == 200
    except (Broken, OSError):
        return False


def recovered(server):
    with contextlib.suppress(Broken, OSError, socket.timeout):
        return server.fetch("/", deadline=5).status == 200
    return False


def test_who_is_refused_is_told_to_come_back(tmp_path):
    folder = write_app(tmp_path / "app")
    with serving(folder, before=["prlimit", "--nofile=64:64"], env={"DAIS_THREADS": "1"}) as server:
        with contextlib.ExitStack() as stack:
            conns = [stack.enter_context(contextlib.closing(Conn(server))) for _ in range(60)]
            answer = conns[-1].read()
            assert answer.status == 503 and answer.get("retry-after") == "2"
            assert answer.get("connection") == "close" and conns[-1].at_end()
            assert conns[0].request("/").read().status == 200


def test_when_accept_itself_fails_it_waits_instead_of_spinning(tmp_path):
    with serving(write_app(tmp_path / "app")) as server:
        server.fetch("/")
        pid, old = server.proc.pid, resource.getrlimit(resource.RLIMIT_NOFILE)
        room = open_files(pid) + 4
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, old[1]))
        with contextlib.ExitStack() as stack:
            conns = [stack.enter_context(contextlib.closing(Conn(server))) for _ in range(40)]
            wait_for(lambda: "accepting paused" in server.stderr, "running out of descriptors")
            ticks, begin = cpu_ticks(pid), time.monotonic()
            wait_for(lambda: time.monotonic() - begin > 0.5, "half a second")
            used = (cpu_ticks(pid) - ticks) / os.sysconf("SC_CLK_TCK")
            assert used < 0.25, f"{used} s of processor time in half a second"
            assert any(is_served(c) for c in conns)
        wait_for(lambda: recovered(server), "serving again")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
