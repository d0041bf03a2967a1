# WebSocket frames for tests, good and bad ones, and a backend that speaks them.
"""frame(...)          the bytes of one frame, as wrong as asked
WebSocket(conn)     a client (or, with is_client=False, a server) on an open socket: send, read, closed
opened(server, ..)  a context manager around a WebSocket through dais
accept(request, sock, extra)  the 101 of a backend; gives a WebSocket of its side"""
import base64
import contextlib
import hashlib
import struct

from conftest import Conn

CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x01\x02\x03\x04"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}


def masked(data, mask=MASK):
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def frame(opcode, payload=b"", fin=True, mask=True, rsv=0, length=None, width=None):
    """`length` and `width` (0, 2 or 8 bytes) lie about the payload's."""
    n = len(payload) if length is None else length
    width = (0 if n < 126 else 2 if n < 65536 else 8) if width is None else width
    short = {0: n, 2: 126, 8: 127}[width]
    head = bytes([fin << 7 | rsv << 4 | opcode, mask << 7 | short])
    head += {0: b"", 2: struct.pack(">H", n & 0xffff), 8: struct.pack(">Q", n)}[width]
    return head + (MASK + masked(payload) if mask else payload)


class WebSocket:
    def __init__(self, sock, is_client=True, left=b""):
        self.sock, self.is_client, self.left = sock, is_client, left

    def send(self, opcode, payload=b"", **options):
        self.sock.sendall(frame(opcode, payload, mask=self.is_client, **options))

    def _exactly(self, n):
        parts, have = [self.left], len(self.left)
        while have < n:
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.left = whole[n:]
        return whole[:n]

    def read(self):
        """(opcode, payload, fin)"""
        first, second = self._exactly(2)
        n = second & 127
        if n == 126:
            n = struct.unpack(">H", self._exactly(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self._exactly(8))[0]
        assert bool(second & 128) != self.is_client, "wrongly masked"
        mask = self._exactly(4) if second & 128 else None
        payload = self._exactly(n)
        return first & 15, masked(payload, mask) if mask else payload, bool(first & 128)

    def closed(self):
        """Reads to the end: (code, reason) of the close frame, which nothing follows."""
        while True:
            opcode, payload, _ = self.read()
            if opcode == CLOSE:
                break
        with contextlib.suppress(ConnectionResetError):
            assert self.left == b"" and self.sock.recv(1) == b""
        return struct.unpack(">H", payload[:2])[0], payload[2:].decode()


def accept(request, sock, extra=b""):
    digest = hashlib.sha1(request.get("sec-websocket-key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + extra +
                 b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")
    return WebSocket(sock, False, request.reader.left)


def upgrade(server, conn, path="/api/ws", headers=()):
    """Asks for a WebSocket, gives the head of the answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*UPGRADE.items(), *headers])
    conn.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{lines}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = conn.sock.recv(1)
        assert byte, head
        head += byte
    return head


@contextlib.contextmanager
def opened(server, path="/api/ws", headers=()):
    with Conn(server) as conn:
        head = upgrade(server, conn, path, headers)
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield WebSocket(conn.sock)
