# WebSockets through dais: what passes, which rules and limits hold, and how each side is told.
import contextlib
import json
import queue
import signal
import socket
import struct
import threading
import time

import pytest

from backend import backend
from conftest import Conn, wait_for
from serving import resident_kb, serving, write_app
from ws import BINARY, CLOSE, CONTINUE, PING, PONG, TEXT, UPGRADE, accept, frame, opened

MANIFEST = 'web: {{ root: web }}\nbackend: {{ url: "{url}", routes: [ /api/ ], websocket: {{ {limits} }} }}\n'


class Behind:
    """A backend that notes what it reads, (opcode, payload) by (opcode, payload), and gives data back."""

    def __init__(self, extra=b"", script=None):
        self.seen, self.extra, self.script = queue.Queue(), extra, script

    def answer(self, request, sock):
        ws = accept(request, sock, self.extra)
        try:
            if self.script:
                self.script(ws)
            while True:
                opcode, payload, fin = ws.read()
                self.seen.put((opcode, payload))
                if opcode == CLOSE:
                    ws.send(CLOSE, payload)
                    break
                ws.send(PONG if opcode == PING else opcode, payload, fin=fin)
        except (EOFError, OSError) as e:
            self.seen.put(type(e).__name__)
        return b"", "close"

    def next(self):
        return self.seen.get(timeout=60)

    def close_code(self):
        """Of the close frame that must be the next thing it sees."""
        opcode, payload = self.next()
        assert opcode == CLOSE
        return struct.unpack(">H", payload[:2])[0]


@contextlib.contextmanager
def world(tmp_path, limits="idle: 60s", **options):
    behind = Behind(**options)
    with backend(behind.answer) as there:
        folder = write_app(tmp_path / "app", None, MANIFEST.format(url=there.url, limits=limits))
        with serving(folder) as server:
            server.behind = behind
            yield server


def ends(server, count=1):
    """What the log says about ended WebSockets, once there are so many."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        lines = [json.loads(line) for line in server.stderr.splitlines() if "WebSocket was ended" in line]
        if len(lines) >= count:
            return lines
        time.sleep(0.01)
    return []


def test_messages_pass_both_ways_unchanged(tmp_path):
    with world(tmp_path, "max_message: 10MB") as server, opened(server) as ws:
        for payload in (b"", b"a", b"x" * 125, b"y" * 126, b"z" * 65535, bytes(range(256)) * 300, b"w" * 5_000_000):
            sender = threading.Thread(target=ws.send, args=(BINARY, payload))
            sender.start()
            assert ws.read() == (BINARY, payload, True)
            sender.join()
        ws.send(TEXT, b"one ", fin=False)
        ws.send(PING, b"?")
        ws.send(CONTINUE, b"message")
        assert [ws.read() for _ in range(3)] == [(TEXT, b"one ", False), (PONG, b"?", True),
                                                 (CONTINUE, b"message", True)]
        ws.send(CLOSE, struct.pack(">H", 4001) + b"bye")
        assert ws.closed() == (4001, "bye")
        assert not [line for line in server.stderr.splitlines() if "WebSocket was ended" in line]


def test_frames_in_single_bytes_pass(tmp_path):
    with world(tmp_path, "max_message: 300B, max_session: 500B") as server, opened(server) as ws:
        ws.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for payload in (b"ab", b"c" * 200, b"", b"d" * 126):
            for byte in frame(BINARY, payload):
                ws.sock.sendall(bytes([byte]))
            assert ws.read() == (BINARY, payload, True)


def test_the_clients_first_frame_may_come_with_its_request(tmp_path):
    with world(tmp_path) as server, Conn(server) as conn:
        head = f"GET /api/ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n\r\n"
        conn.sock.sendall(head.encode() + key + frame(TEXT, b"early"))
        assert server.behind.next() == (TEXT, b"early")


WRONG = {
    "no mask": (frame(TEXT, b"ab", mask=False), 1002),
    "a reserved bit": (frame(TEXT, b"ab", rsv=4), 1002),
    "another reserved bit": (frame(TEXT, b"ab", rsv=1), 1002),
    "an unknown opcode": (frame(3, b"ab"), 1002),
    "a ping in pieces": (frame(PING, b"ab", fin=False), 1002),
    "a long ping": (frame(PING, b"a" * 126), 1002),
    "a piece of nothing": (frame(CONTINUE, b"ab"), 1002),
    "a message in a message": (frame(TEXT, b"ab", fin=False) + frame(TEXT, b"cd"), 1002),
    "2^63 bytes": (frame(BINARY, length=1 << 63, width=8), 1002),
    "2^63 - 1 bytes": (frame(BINARY, length=(1 << 63) - 1, width=8), 1009),
    "a length in too many bytes": (frame(BINARY, b"ab", width=8), 1002),
    "half a close code": (frame(CLOSE, b"a"), 1002),
    "a large message": (frame(BINARY, b"a" * 1001), 1009),
    "a message large in pieces": (frame(BINARY, b"a" * 900, fin=False) + frame(CONTINUE, b"b" * 101), 1009),
    "a large session": ((frame(BINARY, b"a" * 1000)) * 3, 1008),
    "a flood of pings": (frame(PING, b"x") * 250, 1008),
    "a flood of empty pieces": (frame(TEXT, b"", fin=False) + frame(CONTINUE, b"", fin=False) * 250, 1008),
}


@pytest.fixture(name="strict", scope="module")
def fixture_strict(tmp_path_factory):
    with world(tmp_path_factory.mktemp("strict"), "max_message: 1000B, max_session: 2500B") as server:
        yield server


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("name", WRONG)
def test_who_breaks_a_rule_is_told_and_so_is_the_backend(strict, name, pieces):
    data, code = WRONG[name]
    logged = strict.stderr.count("WebSocket was ended")
    start = max(len(data) - 20, 0) if pieces == "bytes" else len(data)
    with opened(strict) as ws:
        ws.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for part in [data[:start], *(data[i:i + 1] for i in range(start, len(data)))]:
                ws.sock.sendall(part)
        found = ws.closed()
        assert found[0] == code and 5 < len(found[1]) < 60
    while (seen := strict.behind.next())[0] != CLOSE:
        assert seen not in ("EOFError", "ConnectionResetError"), "it was not told"
        assert len(seen[1]) <= 1000
    assert struct.unpack(">H", seen[1][:2])[0] == 1001
    line = ends(strict, logged + 1)[logged]
    assert line["by"] == "client" and line["why"] == found[1] and line["code"] == code


def test_nothing_of_a_message_that_is_too_large_passes(strict):
    with opened(strict) as ws:
        ws.sock.sendall(frame(BINARY, b"first") + frame(BINARY, b"a" * 1001))
        assert ws.closed()[0] == 1009
    assert strict.behind.next() == (BINARY, b"first")
    assert strict.behind.close_code() == 1001


def test_what_the_backend_sends_is_not_limited_but_checked(tmp_path):
    def script(ws):
        ws.send(BINARY, b"x" * 100_000)
        ws.sock.sendall(frame(TEXT, b"half", fin=False, mask=False) + frame(TEXT, b"another", mask=False))
    with world(tmp_path, "max_message: 1000B, max_session: 1000B", script=script) as server, opened(server) as ws:
        assert ws.read() == (BINARY, b"x" * 100_000, True)
        assert ws.read() == (TEXT, b"half", False)
        assert ws.closed() == (1011, "a message began within another")
        assert server.behind.close_code() == 1002
        assert ends(server)[0]["by"] == "backend"


@pytest.mark.parametrize("agreed, code", [
    (b"permessage-deflate; client_max_window_bits=10", 0), (b"x-other", 1002), (b"", 1002)])
def test_compressed_messages_pass_when_both_agreed(tmp_path, agreed, code):
    extra = b"Sec-WebSocket-Extensions: " + agreed + b"\r\n" if agreed else b""
    with world(tmp_path, extra=extra) as server, opened(server) as ws:
        ws.send(TEXT, b"\xaa\x00", rsv=4)
        if code:
            assert ws.closed()[0] == code
        else:
            assert server.behind.next() == (TEXT, b"\xaa\x00")


def test_silence_ends_with_a_word_for_both(tmp_path):
    with world(tmp_path, "idle: 1s") as server, opened(server) as ws:
        began = time.monotonic()
        ws.send(TEXT, b"hello")
        assert ws.closed() == (1001, "idle for too long")
        assert time.monotonic() - began > 0.9
        assert server.behind.next() == (TEXT, b"hello")
        assert server.behind.close_code() == 1001
        assert [line["by"] for line in ends(server)] == ["silence"]
        assert "the backend failed" not in server.stderr


def test_bytes_either_way_keep_it_open(tmp_path):
    def script(ws):
        for _ in range(8):
            ws.send(TEXT, b"tick")
            time.sleep(0.5)
        ws.send(CLOSE, struct.pack(">H", 1000))
    with world(tmp_path, "idle: 3s", script=script) as server, opened(server) as ws:
        assert [ws.read()[1] for _ in range(8)] == [b"tick"] * 8
        assert ws.closed()[0] == 1000


def test_silence_within_a_frame_of_the_backend_is_cut(tmp_path):
    gate = threading.Event()

    def script(ws):
        ws.sock.sendall(b"\x82\x7e\x10\x00" + b"x" * 100)
        gate.wait(20)
    with world(tmp_path, "idle: 1s", script=script) as server, opened(server) as ws:
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := ws.sock.recv(65536):
                received += data
        gate.set()
        assert received == b"\x82\x7e\x10\x00" + b"x" * 100  # no close frame inside the message


def test_a_backend_that_goes_away_is_a_close(tmp_path):
    def script(ws):
        ws.send(TEXT, b"last words")
        raise EOFError
    with world(tmp_path, script=script) as server, opened(server) as ws:
        assert ws.read()[1] == b"last words"
        assert ws.closed() == (1001, "the backend closed the connection")


def test_a_client_that_goes_away_is_gone_for_the_backend(tmp_path):
    with world(tmp_path) as server:
        with opened(server) as ws:
            ws.sock.sendall(frame(TEXT, b"ab") + b"\x81")  # and half a head
        assert server.behind.next() == (TEXT, b"ab")
        assert server.behind.next() == "EOFError"


def test_a_server_that_stops_says_so_and_does_not_wait(tmp_path):
    with world(tmp_path) as server, opened(server) as ws:
        ws.send(TEXT, b"hello")
        assert ws.read()[1] == b"hello" and server.behind.next() == (TEXT, b"hello")
        began = time.monotonic()
        server.proc.send_signal(signal.SIGTERM)
        assert ws.closed() == (1001, "the server stops")
        assert server.behind.close_code() == 1001
        server.proc.wait(60)
        assert time.monotonic() - began < 5


def test_a_backend_that_reads_nothing_makes_no_memory_grow(tmp_path):
    gate = threading.Event()
    with world(tmp_path, "max_message: 1MB", script=lambda ws: gate.wait(30)) as server, opened(server) as ws:
        ws.sock.settimeout(1)
        before, sent = resident_kb(server.proc.pid), 0
        with contextlib.suppress(TimeoutError):
            while sent < 100_000_000:
                ws.sock.sendall(frame(BINARY, b"x" * 100_000))
                sent += 100_000
        assert sent < 60_000_000 and resident_kb(server.proc.pid) - before < 8000
        assert server.fetch("/").status == 200
        gate.set()
        print(server.stderr)


def test_a_client_that_reads_nothing_makes_no_memory_grow(tmp_path):
    sent = []

    def script(ws):
        ws.sock.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sum(sent) < 100_000_000:
                ws.send(BINARY, b"x" * 100_000)
                sent.append(100_000)
    with world(tmp_path, script=script) as server, opened(server):
        before = resident_kb(server.proc.pid)
        wait_for(lambda: sent, "the first of it")
        while server.behind.seen.empty() and sum(sent) < 100_000_000:
            count = sum(sent)
            time.sleep(1.2)
            if sum(sent) == count:
                break
        assert 0 < sum(sent) < 60_000_000 and resident_kb(server.proc.pid) - before < 8000
        assert server.fetch("/").status == 200


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n",
])
def test_another_protocol_than_asked_for_is_502(tmp_path, head):
    with backend(lambda *_: (head, "close")) as there:
        folder = write_app(tmp_path / "app", None, MANIFEST.format(url=there.url, limits=""))
        with serving(folder) as server:
            assert server.fetch("/api/ws", headers=UPGRADE).status == 502
