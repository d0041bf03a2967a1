#!/usr/bin/env python3
# Measures what an open WebSocket costs dais: resident memory over thousands of silent tunnels.
"""usage: tests/bench/tunnels.py [--count 5000] [--limit-mb 25] [PROGRAM]

Runs PROGRAM (build/release/dais) in front of a backend in this process, opens COUNT tunnels, sends a
message both ways through each, and prints the growth of its resident memory. Ends with 1 when that is
more than --limit-mb. Needs two descriptors per tunnel here and there; takes some seconds."""
import argparse
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from ws import TEXT, UPGRADE, WebSocket, frame  # noqa: E402  pylint: disable=wrong-import-position

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
# As browsers send it, give or take.
LINES = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101", "Cookie": "session=" + "x" * 200,
         "Accept-Language": "en,de;q=0.8", "Cache-Control": "no-cache", **UPGRADE}


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def head_of(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(65536)
        assert data, head
        head += data
    return head


def tunnel(listener, port):
    """One open tunnel: the client's socket and the backend's."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    lines = "".join(f"{name}: {value}\r\n" for name, value in LINES.items())
    client.sendall(f"GET /ws/one HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n".encode())
    behind, _ = listener.accept()
    head_of(behind)
    behind.sendall(ANSWER)
    head_of(client)
    return client, behind


def talk(client, behind, size):
    message = b"m" * size
    client.sendall(frame(TEXT, message))
    assert WebSocket(behind, False).read()[1] == message
    behind.sendall(frame(TEXT, message, mask=False))
    assert WebSocket(client).read()[1] == message


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--limit-mb", type=float, default=25)
    parser.add_argument("program", nargs="?", default=ROOT / "build" / "release" / "dais")
    args = parser.parse_args()
    need = 2 * args.count + 200
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(need, 20000)), hard))
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        url = "http://127.0.0.1:%d" % listener.getsockname()[1]
        pathlib.Path(folder, "dais.yaml").write_text(
            f'app: tunnels\nbackend: {{ url: "{url}", routes: [ /ws/ ], websocket: {{ idle: 10m }} }}\n')
        with subprocess.Popen([args.program, "serve", folder, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as dais:
            try:
                while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", dais.stdout.readline())):
                    pass
                grown = measure(listener, int(found[1]), dais.pid, args.count)
            finally:
                dais.terminate()
    print(f"{args.count} tunnels: {grown / 1024:.1f} MB more resident, {grown * 1024 / args.count:.0f} bytes each")
    return grown / 1024 > args.limit_mb


def measure(listener, port, pid, count):
    warm = tunnel(listener, port)
    talk(*warm, 100)
    before = resident_kb(pid)
    pairs = [tunnel(listener, port) for _ in range(count)]
    for pair in pairs:
        talk(*pair, 1000)
    grown = resident_kb(pid) - before
    for sock in (*warm, *(sock for pair in pairs for sock in pair)):
        sock.close()
    return grown


if __name__ == "__main__":
    sys.exit(main())
