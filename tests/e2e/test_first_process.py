# dais as the first process of a container: it reaps what others leave behind, and signals reach it.
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import DAIS_BIN, Server, clean_env, fetch, process_table, wait_for
from own_backend import about, app
from test_passed_sockets import PASS, bound

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="optional: needs root for a process namespace")


@contextlib.contextmanager
def serving_first(folder, sockets=()):
    """Gives the server and the pid, outside, of its first process."""
    command = ["unshare", "--pid", "--fork", "--mount-proc"]
    fds = [sock.fileno() for sock in sockets]
    if fds:
        command += [sys.executable, "-c", PASS, "ours", ",".join(map(str, fds))]
    env = clean_env(folder, {"DAIS_LOG": "json", **({"LISTEN_FDS": len(fds)} if fds else {})})
    server = Server([*command, DAIS_BIN, "serve", folder, "--listen", "127.0.0.1:0"], env, folder, fds)
    server.wait_ready()
    try:
        first, = [pid for pid, (parent, _) in process_table().items() if parent == server.proc.pid]
        yield server, first
    finally:
        if server.proc.poll() is None:
            server.note_children()
            os.kill(first, signal.SIGTERM)
            server.proc.wait(60)
        server.stop()


def states(parent):
    """Of the children of a process, zombies too."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = pathlib.Path("/proc", name, "stat").read_text(encoding="ascii", errors="replace")
            state, of = stat.rpartition(")")[2].split()[:2]
            if int(of) == parent:
                found.append(state)
    return found


def test_what_others_leave_behind_is_reaped(tmp_path):
    with serving_first(app(tmp_path / "app")) as (server, first):
        about(server)
        for _ in range(20):
            subprocess.run(["nsenter", "--target", str(first), "--pid", "sh", "-c", "(sleep 0.05 &)"], check=True)
        wait_for(lambda: len(states(first)) == 1, "everything but dais itself was reaped")
        about(server)


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_reach_it_once(tmp_path, signum, code):
    with serving_first(app(tmp_path / "app")) as (server, first):
        about(server)
        os.kill(first, signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.stderr, "a reload")
        os.kill(first, signum)
        server.expect_code = code
        assert server.proc.wait(60) == code
        assert "stopping at once" not in server.stderr


def test_ctrl_c_in_a_terminal_reaches_it_once(tmp_path):
    """What a terminal sends, each process of the foreground has got: `podman run -it`."""
    ours, theirs = os.openpty()
    folder = app(tmp_path / "app")
    on_terminal = ["setsid", "--ctty", "--wait", "unshare", "--pid", "--fork", "--mount-proc"]
    on_terminal += [DAIS_BIN, "serve", folder, "--listen", "127.0.0.1:0"]
    with open(tmp_path / "log", "w+b") as log:
        served = subprocess.Popen(on_terminal, env=clean_env(folder, {"DAIS_LOG": "json"}), cwd=folder, stdin=theirs,
                                  stdout=log, stderr=log)
        os.close(theirs)
        try:
            said = (tmp_path / "log").read_text
            wait_for(lambda: "Ctrl+C stops" in said(), "its start")
            os.write(ours, b"\x03")
            assert served.wait(60) == 130
            assert "stopping: finishing" in said() and "stopping at once" not in said()
        finally:
            os.close(ours)
            served.kill()
            served.wait()


def test_its_end_ends_the_first_process(tmp_path):
    with serving_first(app(tmp_path / "app")) as (server, first):
        about(server)
        served, = [pid for pid, (parent, _) in process_table().items() if parent == first]
        os.kill(served, signal.SIGKILL)
        server.expect_code = 128 + 9
        assert server.proc.wait(60) == 128 + 9


def test_sockets_passed_to_the_first_process_are_served(tmp_path):
    """As a container gets them from a .socket unit: LISTEN_PID is 1. The first process keeps none of them."""
    with bound() as sock, serving_first(app(tmp_path / "app"), [sock]) as (server, first):
        assert server.address == sock.getsockname()
        assert fetch(sock.getsockname(), "/").status == 200
        assert sorted(os.listdir(f"/proc/{first}/fd")) == ["0", "1", "2"]
