# A backend for tests: speaks HTTP/1.1 over a raw socket, notes every byte, answers as it is told.
"""backend(answer)   a context manager around a Backend; `answer(request, sock)` sends what it likes

A request has method, target, headers (pairs, names in lower case), body, raw. `answer` may return
bytes, which are sent, or None when it has sent all itself; after "close" in a returned pair, or an
exception, the connection ends."""
import contextlib
import socket
import threading


class Request:
    def __init__(self, head, body, connection):
        lines = head.split(b"\r\n")
        self.raw, self.body, self.connection = head, body, connection
        self.method, self.target, self.version = lines[0].decode().split(" ")
        self.headers = [(name.lower(), value.strip()) for name, _, value in
                        (line.decode("latin-1").partition(":") for line in lines[1:] if line)]

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


class _Ended(Exception):
    pass


class _Reader:
    def __init__(self, sock):
        self.sock, self.left = sock, b""

    def more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise _Ended
        self.left += data

    def until(self, mark):
        while mark not in self.left:
            self.more()
        found, _, self.left = self.left.partition(mark)
        return found

    def exactly(self, n):
        while len(self.left) < n:
            self.more()
        found, self.left = self.left[:n], self.left[n:]
        return found


class Backend:
    def __init__(self, answer):
        self.answer, self.requests, self.connections = answer, [], 0
        self.lock, self.socks, self.threads = threading.Lock(), [], []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, run, *args):
        thread = threading.Thread(target=run, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.socks.append(sock)
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock, number):
        reader = _Reader(sock)
        with sock, contextlib.suppress(_Ended, EOFError, OSError):
            while True:
                request = self._read(reader, number)
                with self.lock:
                    self.requests.append(request)
                answer = self.answer(request, sock)
                if isinstance(answer, tuple):
                    sock.sendall(answer[0])
                    return
                if answer is not None:
                    sock.sendall(answer)

    def _read(self, reader, number):
        request = Request(reader.until(b"\r\n\r\n"), b"", number)
        request.reader = reader
        length = request.get("content-length")
        if length is not None:
            assert request.get("transfer-encoding") is None, "both lengths"
            request.body = reader.exactly(int(length))
        elif request.get("transfer-encoding"):
            assert request.get("transfer-encoding") == "chunked"
            request.body = self._read_chunks(reader)
        return request

    @staticmethod
    def _read_chunks(reader):
        body = b""
        while size := int(reader.until(b"\r\n"), 16):
            body += reader.exactly(size)
            assert reader.exactly(2) == b"\r\n"
        assert reader.until(b"\r\n") == b"", "a trailer was passed on"
        return body

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for sock in self.socks:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


def ok(body=b"ok", headers=b"", status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


@contextlib.contextmanager
def backend(answer):
    server = Backend(answer)
    try:
        yield server
    finally:
        server.close()
