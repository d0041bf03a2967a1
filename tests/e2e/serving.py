# Servers that live as long as a test module, small apps for them, and raw conversations over sockets.
"""What a test module gets:

serving(folder, *args)    a context manager around a Server that ends as conftest's servers do
write_app(folder, files)  an app folder with a manifest and its files
exchange(server, parts)   sends the parts one by one, gives every byte until the peer closes
answers(raw, methods)     those bytes cut strictly into answers; nothing may follow the last one
best_of_three(limit, once)  what is to take no longer than that, and does not always on a busy machine
next_millisecond()        what is written from now on has a later time
"""
import contextlib
import os
import select
import socket
import time

import stores
from conftest import DAIS_BIN, DEADLINE, Broken, Conn, Server, clean_env


def write_app(folder, files=None, manifest="web: { root: web }\n", name=None):
    """An app folder; `manifest` is what follows the `app:` line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dais.yaml").write_text(f"app: {name or folder.name}\n{manifest}")
    for path, content in (files or {"web/index.html": "<h1>hello</h1>\n"}).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@contextlib.contextmanager
def serving(*args, env=None, cwd=None, listen="127.0.0.1:0", before=(), ready=True, program=DAIS_BIN):
    """`before` is put before the program, as in ["prlimit", "--nofile=64"]."""
    command = [*before, program, "serve", *args] + (["--listen", listen] if listen else [])
    cwd = cwd or args[0]
    server = Server(command, clean_env(cwd, {"DAIS_LOG": "json", **stores.put_by(args), **(env or {})}), cwd)
    try:
        yield server.wait_ready() if ready else server
    finally:
        server.stop()


def exchange(server, parts, deadline=DEADLINE, half_close=False):
    """Every byte the server sends until it closes. It may close while we still send."""
    received = b""
    with Conn(server, deadline) as conn:
        sock = conn.sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.monotonic() + deadline
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                sock.sendall(part)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        while True:
            wait = until - time.monotonic()
            if wait <= 0 or not select.select([sock], [], [], wait)[0]:
                raise Broken(f"open after {deadline} s; so far {received[:300]!r}")
            try:
                chunk = sock.recv(1 << 16)
            except ConnectionResetError:
                return received
            if not chunk:
                return received
            received += chunk


class _Replay(Conn):
    """Reads answers from bytes that are all there already."""

    def __init__(self, raw):  # pylint: disable=super-init-not-called
        self.left, self.deadline, self.sock = raw, DEADLINE, None

    def _more(self, until):
        return False


def answers(raw, methods=("GET",) * 2000):
    """The answers in `raw`; Broken when a byte is over or one is cut short."""
    replay, found = _Replay(raw), []
    while replay.left:
        found.append(replay.read(methods[len(found)]))
    return found


def best_of_three(limit, once):
    """For what must be quick on a machine that others use, too: `once` gives the seconds that it took; it is done
    again when that was not within the limit, and what is never quick fails."""
    took = []
    while len(took) < 3 and min(took, default=limit) >= limit:
        took.append(once())
    assert min(took) < limit, took


def next_millisecond():
    then = time.time_ns() // 1000000
    while time.time_ns() // 1000000 <= then:
        time.sleep(0.0005)


def splits(rng, data, pieces):
    """`data` cut at random places."""
    cuts = sorted(rng.randrange(1, len(data)) for _ in range(pieces - 1)) if len(data) > 1 else []
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]


def resident_kb(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


def cpu_ticks(pid):
    """User and system time of a process in clock ticks."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
