# Shared fixtures: starts the real program, talks to it over raw sockets, checks how it ended.
"""What a test gets:

run_dais(*args, ...)      runs a verb to its end, gives the CompletedProcess (text)
dais(*args, ...)          starts a server, waits until it answers, gives a Server; stopped after the test
make_app(name, ...)       writes an app folder below tmp_path, gives its path
Conn, fetch               import them from conftest: strict HTTP/1.1 over a socket, with a deadline
free_port()               a port that nobody has, for who cannot say which one the system gave it

DAIS_BIN names the program under test (default build/debug/dais). After each test every server must
have ended with 0 on SIGTERM, without a sanitizer's report and without leaving a child behind."""
import contextlib
import json
import os
import pathlib
import queue
import random
import re
import select
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest

from stores import IS_REAL, pytest_terminal_summary  # noqa: F401  pylint: disable=unused-import

ROOT = pathlib.Path(__file__).resolve().parents[2]
DAIS_BIN = pathlib.Path(os.environ.get("DAIS_BIN", "build/debug/dais"))
DAIS_BIN = DAIS_BIN if DAIS_BIN.is_absolute() else ROOT / DAIS_BIN
DEADLINE = float(os.environ.get("DAIS_TEST_DEADLINE", "30"))  # of waiting only: no bar of a test
URL = re.compile(r"https?://[^\s\x1b]+")
REPORT = re.compile(r"(Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|: runtime error: ")
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t -~]*)\Z")


collect_ignore = [] if IS_REAL else ["test_files_versity.py"]


# ---- HTTP, strictly ----------------------------------------------------------------------------
class Broken(AssertionError):
    """The peer sent something that HTTP/1.1 does not allow, or too little before the deadline."""


class Response:
    """One answer: status, reason, headers (list of pairs, names in lower case), body, head (raw)."""

    def __init__(self, status, reason, headers, head):
        self.status, self.reason, self.headers, self.head = status, reason, headers, head
        self.body, self.trailers, self.interim = b"", [], []

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        if len(values) > 1:
            raise Broken(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else default

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<Response {self.status} {self.headers} {self.body[:80]!r}>"


class Conn:
    """One connection. `target` is a (host, port) pair, a Server, or the path of a unix socket."""

    def __init__(self, target, deadline=DEADLINE):
        if isinstance(target, Server):
            target = target.address
        if isinstance(target, (str, pathlib.Path)):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(deadline)
            self.sock.connect(str(target))
        else:
            self.sock = socket.create_connection(target, timeout=deadline)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.deadline = deadline
        self.left = b""  # received and not yet used

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def request(self, path="/", method="GET", headers=(), body=None, host="localhost"):
        """Sends one well-formed request; `headers` is a dict or a list of pairs."""
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        if not any(key.lower() == "host" for key, _ in pairs):
            pairs.insert(0, ("Host", host))
        if body is not None:
            pairs.append(("Content-Length", str(len(body))))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in pairs) + "\r\n"
        return self.send(head.encode("latin-1") + (body or b""))

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def _more(self, until):
        """Receives once more; False at the end of the stream."""
        wait = until - time.monotonic()
        if wait <= 0 or not select.select([self.sock], [], [], wait)[0]:
            raise Broken(f"nothing more within {self.deadline} s; so far: {self.left[:200]!r}")
        try:
            chunk = self.sock.recv(1 << 16)
        except ConnectionResetError:
            chunk = b""
        self.left += chunk
        return bool(chunk)

    def _line(self, until, what):
        while b"\n" not in self.left:
            if not self._more(until):
                raise Broken(f"closed in the middle of {what}: {self.left[:200]!r}")
        line, self.left = self.left.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            raise Broken(f"{what} does not end in CRLF alone: {line!r}")
        return line[:-1]

    def _exactly(self, size, until, what):
        while len(self.left) < size:
            if not self._more(until):
                raise Broken(f"closed after {len(self.left)} of {size} bytes of {what}")
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def _fields(self, until):
        fields = []
        while line := self._line(until, "a header"):
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.match(name):
                raise Broken(f"not a header: {line!r}")
            fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
        return fields

    def _head(self, until):
        first = self._line(until, "the status line")
        match = STATUS.match(first)
        if not match:
            raise Broken(f"not a status line: {first!r}")
        return Response(int(match[1]), match[2].decode(), self._fields(until), first)

    def _body(self, response, method, until):
        status, length = response.status, response.get("content-length")
        coding = response.get("transfer-encoding")
        if length is not None and coding is not None:
            raise Broken("both Content-Length and Transfer-Encoding")
        if length is not None and not re.fullmatch(r"\d+", length):
            raise Broken(f"Content-Length is {length!r}")
        if status in (204,) and (length is not None or coding is not None):
            raise Broken(f"{status} with a length")
        if method == "HEAD" or status in (204, 304):
            return
        if coding is not None:
            if coding != "chunked":
                raise Broken(f"Transfer-Encoding is {coding!r}")
            self._chunks(response, until)
        elif length is not None:
            response.body = self._exactly(int(length), until, "the body")
        else:
            if "close" not in (response.get("connection") or "").lower():
                raise Broken("neither a length nor Connection: close")
            while self._more(until):
                pass
            response.body, self.left = self.left, b""

    def _chunks(self, response, until):
        while True:
            line = self._line(until, "a chunk's size")
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
                raise Broken(f"not a chunk size: {line!r}")
            size = int(line, 16)
            if size == 0:
                response.trailers = self._fields(until)
                return
            response.body += self._exactly(size, until, "a chunk")
            if self._exactly(2, until, "a chunk's end") != b"\r\n":
                raise Broken("a chunk does not end in CRLF")

    def read(self, method="GET", deadline=None):
        """One final answer; 1xx before it are kept in `.interim`. 101 counts as final."""
        until = time.monotonic() + (deadline or self.deadline)
        interim = []
        while True:
            response = self._head(until)
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        if response.status != 101:
            self._body(response, method, until)
        return response

    def read_interim(self, deadline=None):
        """One 1xx answer, such as 100 Continue."""
        response = self._head(time.monotonic() + (deadline or self.deadline))
        if response.status >= 200:
            raise Broken(f"a final answer instead of an interim one: {response}")
        return response

    def at_end(self, deadline=None):
        """Waits until the peer closes; Broken when it sends more or does nothing."""
        until = time.monotonic() + (deadline or self.deadline)
        while self._more(until):
            pass
        if self.left:
            raise Broken(f"bytes before the end: {self.left[:200]!r}")
        return True


def fetch(target, path="/", method="GET", headers=(), body=None, deadline=DEADLINE, host="localhost"):
    """One request on its own connection."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if not any(key.lower() == "connection" for key, _ in pairs):
        pairs.append(("Connection", "close"))
    with Conn(target, deadline) as conn:
        return conn.request(path, method, pairs, body, host).read(method)


# ---- the program -------------------------------------------------------------------------------
def wait_for(condition, what, deadline=DEADLINE):
    """Polls until `condition()` is true and gives its value; never a bare sleep in a test."""
    until = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not happen within {deadline} s")
        time.sleep(0.01)
    return value


GIVEN = set()  # by free_port


def free_port():
    """Never the same twice, and below those that the system hands out: one of these may belong to a connection by
    the time it is used, and who asks for it before anybody listens may be connected to itself."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, max(first, 20000))
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("", port))
            if port not in GIVEN:
                GIVEN.add(port)
                return port


def clean_env(home, extra=None):
    """Nothing of the caller's environment but what a program cannot do without."""
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LANG": "C.UTF-8",
           "TZ": "UTC"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE"):
        if name in os.environ:
            env[name] = os.environ[name]
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = str(value)
    return env


def process_table():
    """{pid: (parent, start time)} of all living processes; zombies do not count."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        rest = stat[stat.rindex(")") + 2:].split()
        if rest[0] not in "ZX":
            table[int(entry)] = (int(rest[1]), rest[19])
    return table


def descendants(pid):
    """{(pid, start time)} of everything below that process."""
    table, found, todo = process_table(), set(), [pid]
    while todo:
        parent = todo.pop()
        for child, (of, since) in table.items():
            if of == parent:
                found.add((child, since))
                todo.append(child)
    return found


class Server:
    """A started program. `url` is what it printed, `address` the (host, port) behind it."""

    def __init__(self, command, env, cwd, pass_fds=()):
        self.command = [str(part) for part in command]
        self.proc = subprocess.Popen(self.command, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     start_new_session=True, pass_fds=pass_fds)
        self.out, self.err = [], []
        self.children = set()
        self.expect_code = 0  # of the exit; None: any
        self.url = self.address = self.port = None
        self._lines = queue.Queue()
        self._readers = [self._reader(self.proc.stdout, self.out, self._lines),
                         self._reader(self.proc.stderr, self.err, None)]

    @staticmethod
    def _reader(stream, keep, lines):
        def work():
            for raw in stream:
                keep.append(raw.decode("utf-8", "replace"))
                if lines:
                    lines.put(keep[-1])
            if lines:
                lines.put(None)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    @property
    def stdout(self):
        return "".join(self.out)

    @property
    def stderr(self):
        return "".join(self.err)

    def says(self, text):
        """Waits until a line of the log has it: lines are written after the answers of their turn."""
        return wait_for(lambda: [line for line in self.stderr.splitlines() if text in line], f"{text!r} in the log")

    def story(self):
        return f"{' '.join(self.command)}\nstdout:\n{self.stdout}\nstderr:\n{self.stderr}"

    def wait_ready(self, deadline=DEADLINE):
        """Reads the URL from standard output and waits until the port accepts."""
        until = time.monotonic() + deadline
        while self.url is None:
            try:
                line = self._lines.get(timeout=max(until - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no URL printed within {deadline} s\n{self.story()}") from None
            if line is None:
                self.proc.wait(deadline)
                self._join()
                raise AssertionError(f"ended with {self.proc.returncode}\n{self.story()}")
            if match := URL.search(line):
                self.url = match[0]
        parts = urlsplit(self.url)
        self.port = parts.port
        self.address = (parts.hostname, parts.port)
        Conn(self.address, max(until - time.monotonic(), 0.1)).close()
        self.note_children()
        return self

    def note_children(self):
        """Remembers what runs below the program now; all of it must be gone after stop()."""
        if self.proc.poll() is None:
            self.children |= descendants(self.proc.pid)
        return self.children

    def fetch(self, path="/", **options):
        return fetch(self, path, **options)

    def connect(self, deadline=DEADLINE):
        return Conn(self, deadline)

    def _join(self):
        for reader in self._readers:
            reader.join(DEADLINE)
        self.proc.stdout.close()
        self.proc.stderr.close()

    def stop(self, sig=signal.SIGTERM, deadline=DEADLINE):
        """Sends the signal, waits for the end, checks how it ended; may be called twice."""
        if getattr(self, "_is_checked", False):
            return self
        self._is_checked = True
        self.note_children()
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        try:
            self.proc.wait(deadline)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            self._join()
            raise AssertionError(f"alive {deadline} s after signal {sig}\n{self.story()}") from None
        self._join()
        self._check_end(sig)
        return self

    def kill(self):
        """kill -9: any exit code will do, but children must still be gone."""
        self.expect_code = None
        return self.stop(signal.SIGKILL)

    def _check_end(self, sig):
        code = self.proc.returncode
        assert not REPORT.search(self.stderr), f"a sanitizer reported\n{self.story()}"
        if self.expect_code is not None:
            assert code == self.expect_code, f"ended with {code} after signal {sig}\n{self.story()}"

        def left():
            table = process_table()
            return [pid for pid, since in self.children if table.get(pid, (0, ""))[1] == since]
        until = time.monotonic() + DEADLINE
        while (pids := left()) and time.monotonic() < until:
            time.sleep(0.01)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert not pids, f"left running: {pids}\n{self.story()}"


# ---- fixtures ----------------------------------------------------------------------------------
@pytest.fixture(scope="session", autouse=True)
def _program_exists():
    if not DAIS_BIN.is_file():
        pytest.exit(f"{DAIS_BIN} is not there; run `make` first", returncode=2)


@pytest.fixture
def run_dais(tmp_path):
    """run_dais("check", folder, env={}, cwd=None, timeout=60) -> CompletedProcess with text."""
    def run(*args, env=None, cwd=None, timeout=60, **options):
        done = subprocess.run([str(DAIS_BIN), *map(str, args)], env=clean_env(tmp_path, env),
                              cwd=cwd or tmp_path, timeout=timeout, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, check=False, **options)
        assert not REPORT.search(done.stderr), f"a sanitizer reported\n{done.stderr}"
        return done
    return run


@pytest.fixture
def dais(tmp_path):
    """dais(folder, ..., env={}, listen="127.0.0.1:0", ready=True) -> Server running `dais serve`."""
    started = []

    def start(*args, env=None, cwd=None, listen="127.0.0.1:0", ready=True, verb="serve"):
        command = [DAIS_BIN, verb, *args] + (["--listen", listen] if listen else [])
        server = Server(command, clean_env(tmp_path, {"DAIS_LOG": "json", **(env or {})}),
                        cwd or tmp_path)
        started.append(server)
        return server.wait_ready() if ready else server

    yield start
    failures = []
    for server in started:
        try:
            server.stop()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n\n".join(failures)


@pytest.fixture
def make_app(tmp_path):
    """make_app("shop", {"web/index.html": "hi"}, "web: { root: web }") -> the app's folder.

    `files` maps paths to text or bytes; `manifest` is what follows the `app:` line, or the whole
    file when it has an `app:` line itself; None writes none."""
    def make(name="demo", files=None, manifest="web: { root: web }\n"):
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        if manifest is not None:
            has_app = re.search(r"^app:", manifest, re.M)
            (folder / "dais.yaml").write_text(manifest if has_app else f"app: {name}\n{manifest}")
        for path, content in (files or {}).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder
    return make
