# Starts, watches and stops one server under test; nothing of it is left behind.
import gzip
import hashlib
import http.client
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import procs

START_SECONDS = 20
STOP_SECONDS = 5


class BenchError(Exception):
    """Something that makes the figures meaningless; said to the person, then we stop."""


def free_port():
    """Below the range that outgoing connections use, so that no client can take it meanwhile."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise BenchError("no free port between 20000 and 32000")


def fetch(port, path, headers=None, timeout=10):
    """(status, body, headers) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def environment(extra, home):
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
            "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", **extra}


class Process:
    """A server process with a folder of its own; close() ends it and everything it started."""

    def __init__(self, command, env, home, pin=None, quiet=False):
        self.home = Path(home)
        self.log = self.home / "output.txt"
        self.log.touch()

        clock = mmap.mmap(-1, 8)   # shared with the child, which notes when it leaves for exec

        def in_child():
            procs.die_with_parent()
            if pin is not None:
                os.sched_setaffinity(0, {pin})
            struct.pack_into("d", clock, 0, time.perf_counter())

        with open("/dev/null" if quiet else self.log, "wb") as output:
            self.popen = subprocess.Popen(
                command, env=environment(env, home), cwd=home, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, preexec_fn=in_child)
        self.pid = self.popen.pid
        self.exec_at = struct.unpack("d", clock)[0]   # by time.perf_counter()

    def family(self):
        return procs.family(self.pid)

    def complaint(self):
        """Its last words, without the paths of this machine."""
        words = self.log.read_text(errors="replace").strip()[-600:]
        return words.replace(str(self.home), "…") or "(it said nothing)"

    def close(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)   # the session is ours: we made it
        except ProcessLookupError:
            pass
        self.popen.wait()


class Server:
    """A running server of some kind, ready to answer on `port`."""

    def __init__(self, name, plan, binary, pin=None):
        self.name = name
        self.plan = plan
        self.folder = tempfile.TemporaryDirectory(prefix="server-", dir=plan.app.parent)
        self.port = free_port()
        command, env = plan.command(name, Path(self.folder.name), self.port, binary)
        try:
            self.process = Process(command, env, self.folder.name, pin, quiet=plan.logs)
        except OSError as error:
            self.folder.cleanup()
            raise BenchError(f"{name} cannot be started: {error.strerror}") from error
        try:
            self.wait_ready()
        except BaseException:
            self.close()
            raise

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.popen.poll() is not None:
                break
            try:
                if fetch(self.port, "/healthz", timeout=1)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
        raise BenchError(f"{self.name} did not answer: {self.process.complaint()}")

    def answer(self, case):
        """What it says to a case's request, in a form that can be compared."""
        headers = {"Accept-Encoding": case.accept_encoding} if case.accept_encoding else {}
        status, body, headers = fetch(self.port, case.path, headers)
        coding = headers.get("Content-Encoding", "")
        if coding == "gzip":   # every server may compress as it likes, to the same content
            body = gzip.decompress(body)
        return status, coding, len(body), hashlib.sha256(body).hexdigest()[:12]

    def check_alive(self):
        if self.process.popen.poll() is not None:
            raise BenchError(f"{self.name} ended under load: {self.process.complaint()}")

    def cpu_us(self):
        return procs.cpu_us(self.process.family())

    def resident_mb(self):
        return procs.resident_mb(self.process.family())

    def proportional_mb(self):
        return procs.proportional_mb(self.process.family())

    def close(self):
        self.process.close()
        self.folder.cleanup()
