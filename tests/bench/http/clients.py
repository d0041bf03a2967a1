# Runs as its own process and holds many connections: `clients.py idle|slow PORT COUNT`.
# Prints "ready", then waits for a line on standard input, prints what became of them, and ends.
import os
import select
import socket
import sys
import time

import procs

SOURCES = 8        # addresses 127.0.0.2 and up, so that no pair of addresses runs out of ports
TICKS = 250        # a slow connection has its turn in one of these parts of a second
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SLOW_HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def connect(port, number):
    client = socket.socket()
    client.settimeout(10)
    client.bind((f"127.0.0.{2 + number % SOURCES}", 0))
    client.connect(("127.0.0.1", port))
    return client


def ask_once(client):
    """One request on a connection that stays open; the answer must be complete and good."""
    client.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = client.recv(4096)
        if not more:
            raise OSError("closed before it answered")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError("a bad answer: " + repr(answer[:40]))


def is_open(client):
    client.setblocking(False)
    try:
        return client.recv(65536) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def told_to_stop(seconds):
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def hold_idle(port, count):
    clients = []
    for number in range(count):
        clients.append(connect(port, number))
        ask_once(clients[-1])
    print("ready", flush=True)
    sys.stdin.readline()
    for client in clients:
        is_open(client)   # takes the rest of a body that came in two parts
    print(sum(map(is_open, clients)), flush=True)


def send_one(client):
    try:
        client.send(b"a")
        return True
    except BlockingIOError:
        return True
    except OSError:
        return False


def hold_slow(port, count):
    """Each connection sends a byte of its header every second; who is cut off comes back."""

    def start(number):
        client = connect(port, number)
        client.sendall(SLOW_HEAD)
        client.setblocking(False)
        return client

    clients, cut, tick = [start(n) for n in range(count)], 0, 0
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        for number in range(tick % TICKS, count, TICKS):
            if not send_one(clients[number]):
                clients[number].close()
                clients[number] = start(number)
                cut += 1
        tick += 1
        due += 1 / TICKS
        if told_to_stop(max(0.0, due - time.monotonic())):
            break
    print(cut, flush=True)


if __name__ == "__main__":
    procs.raise_file_limit()
    os.nice(10)   # on few cores it must not be what delays the client that is measured
    {"idle": hold_idle, "slow": hold_slow}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
