# Large answers through the proxy, which move from socket to socket without passing through memory.
import hashlib
import random
import socket
import threading
import time

import pytest

from backend import backend, ok
from serving import serving, write_app

SIZE = 5 << 20
BYTES = random.Random(7).randbytes(SIZE)
MANIFEST = "backend: {{ url: \"{url}\", routes: [ / ] }}\n"


def app(folder, url):
    return write_app(folder, None, MANIFEST.format(url=url))


def head(length):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length




def ask(port, path):
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return sock


def read_head(sock):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        one = sock.recv(1)
        assert one, data
        data += one
    return data


@pytest.mark.parametrize("piece", [1 << 20, 70_000, 1000], ids=["at once", "in parts", "in crumbs"])
def test_every_byte_arrives_in_order_whoever_is_slow(tmp_path, piece):
    size = SIZE if piece > 1000 else 1 << 20

    def answer(request, sock):
        body = BYTES[:size]
        sock.sendall(head(size) + body[:100])
        for at in range(100, size, piece):
            sock.sendall(body[at:at + piece])

    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        def slowly(sock, most):
            read_head(sock)
            digest, left = hashlib.sha256(), size
            while left:
                got = sock.recv(min(most, left))
                assert got
                digest.update(got)
                left -= len(got)
            assert digest.digest() == hashlib.sha256(BYTES[:size]).digest()

        socks = [ask(server.port, "/x") for _ in range(6)]
        failures = []

        def run(sock, most):
            try:
                slowly(sock, most)
            except BaseException as error:    # told below, in the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=run, args=(sock, most))
                   for sock, most in zip(socks, [1 << 20, 1 << 20, 9000, 9000, 70_000, 1 << 16])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not failures
        for sock in socks:
            sock.sendall(b"GET /again HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert all(read_head(sock).startswith(b"HTTP/1.1 200") for sock in socks)
        for sock in socks:
            sock.close()


def test_a_reader_that_stops_stops_nobody_else(tmp_path):
    def answer(request, sock):
        return ok(BYTES if request.target == "/large" else b"small")

    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        stuck = [ask(server.port, "/large") for _ in range(8)]
        seconds = []
        for _ in range(20):
            began = time.monotonic()
            assert server.fetch("/small").body == b"small"
            seconds.append(time.monotonic() - began)
        assert sorted(seconds)[10] < 2, seconds  # the machine may hold up a few of them
        for sock in stuck:
            read_head(sock)
            digest, left = hashlib.sha256(), SIZE
            while left:
                got = sock.recv(min(1 << 20, left))
                digest.update(got)
                left -= len(got)
            assert digest.digest() == hashlib.sha256(BYTES).digest()
            sock.close()


def test_a_large_answer_that_breaks_off_is_not_made_whole(tmp_path):
    def answer(request, sock):
        return head(SIZE) + BYTES[:SIZE - 1], "close"

    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        sock = ask(server.port, "/x")
        read_head(sock)
        got = b""
        while True:
            try:
                piece = sock.recv(1 << 20)
            except ConnectionResetError:
                break
            if not piece:
                break
            got += piece
        assert len(got) < SIZE and BYTES.startswith(got)
        sock.close()


def test_what_lies_behind_a_large_answer_belongs_to_nobody(tmp_path):
    """Bytes behind the end would be the next answer on that connection, somebody else's."""
    def answer(request, sock):
        if request.target == "/large":
            return head(SIZE) + BYTES + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"
        return ok(b"good")

    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        for _ in range(3):
            assert server.fetch("/large").body == BYTES
            assert server.fetch("/small").body == b"good"


def test_a_client_that_leaves_in_the_middle_leaves_the_others_theirs(tmp_path):
    """The pipe between the sockets is shared: nothing of one answer may get into another."""
    def answer(request, sock):
        return ok(BYTES if request.target == "/a" else BYTES[::-1])

    with backend(answer) as behind, serving(app(tmp_path / "app", behind.url)) as server:
        for _ in range(10):
            leaver = ask(server.port, "/a")
            read_head(leaver)
            leaver.recv(100_000)
            leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            leaver.close()
            assert server.fetch("/b").body == BYTES[::-1]
