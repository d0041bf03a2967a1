# Sockets that somebody else opened (systemd's .socket units), and the word that dais serves: READY=1.
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

from conftest import DAIS_BIN, Conn, Server, clean_env, fetch, wait_for
from serving import write_app

READY = "READY=1"


# What systemd does between fork and exec: PID FDS PROGRAM ARGUMENT...
PASS = r"""
import os, sys
fds = [int(fd) for fd in sys.argv[2].split(",")]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ["LISTEN_PID"] = sys.argv[1] if sys.argv[1] != "ours" else str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextlib.contextmanager
def passing(listeners, folder, env=None, expect_code=0, listen_pid="ours"):
    """A server that gets these sockets as descriptors 3, 4 and so on."""
    fds = [sock.fileno() for sock in listeners]
    command = [sys.executable, "-c", PASS, listen_pid, ",".join(map(str, fds)), DAIS_BIN, "serve", folder]
    base = clean_env(folder, {"DAIS_LOG": "json", "LISTEN_FDS": len(fds), **(env or {})})
    server = Server(command, base, folder, fds)
    server.expect_code = expect_code
    try:
        yield server
    finally:
        server.stop()


def bound(family=socket.AF_INET, address=("127.0.0.1", 0), is_listening=True):
    """Under a number above those it becomes in the server."""
    with socket.socket(family) as sock:
        sock.bind(address)
        if is_listening:
            sock.listen(128)
        return socket.socket(fileno=fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 10))


@pytest.fixture
def app(tmp_path):
    return write_app(tmp_path / "desk")


def test_serves_what_is_passed_and_nothing_else(app):
    with bound() as first, bound() as second, passing([first, second], app, {"DAIS_LISTEN": "127.0.0.1:1"}) as server:
        for sock in (first, second):
            answer = fetch(sock.getsockname(), "/")
            assert answer.status == 200 and b"hello" in answer.body
        server.wait_ready()
        assert server.address == first.getsockname()
        assert f"http://127.0.0.1:{second.getsockname()[1]}/" in server.stdout
        # Every thread's side of it answers, and the descriptors are nobody else's.
        assert all(fetch(first.getsockname(), "/").status == 200 for _ in range(40))


def test_unix_socket_is_served_and_its_file_stays(app, tmp_path):
    path = tmp_path / "sock"
    with bound(socket.AF_UNIX, str(path)) as sock:
        with passing([sock], app):
            assert fetch(path, "/").status == 200
        assert path.is_socket()


def test_restarts_lose_no_connection(app):
    """Clients that connect all the time, while one server ends and the next begins, several times."""
    with bound() as sock:
        address, seen, stop = sock.getsockname(), [], threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    seen.append(fetch(address, "/", deadline=60).status)
                except (OSError, AssertionError) as error:
                    seen.append(error)
        clients = [threading.Thread(target=ask) for _ in range(4)]
        with passing([sock], app):
            fetch(address, "/")
            for client in clients:
                client.start()
            wait_for(lambda: len(seen) > 20, "the first answers")
        for _ in range(3):
            had = len(seen)
            with passing([sock], app):
                wait_for(lambda h=had: len(seen) > h + 20, "answers of the next server", 60)
        with passing([sock], app):
            stop.set()
            for client in clients:
                client.join(60)
        assert set(seen) == {200}, [row for row in seen if row != 200][:5]


def test_sockets_of_somebody_else_are_left_alone(app):
    """LISTEN_PID names the process they were for; ours it is not."""
    with bound() as sock, passing([sock], app, {"DAIS_LISTEN": "127.0.0.1:0"}, listen_pid="1") as server:
        server.wait_ready()
        assert server.address != sock.getsockname()


def test_what_does_not_listen_is_refused_with_a_sentence(app):
    with bound(is_listening=False) as sock:
        with passing([sock], app, expect_code=1) as server:
            server.proc.wait(60)
        assert "descriptor 3 was passed as a socket to serve and is none that listens" in server.stderr


def test_sockets_of_a_kind_that_is_not_known_are_refused(app):
    """systemd has ListenStream=vsock:… too; a client there has no address that dais could judge."""
    with contextlib.ExitStack() as stack:
        try:
            sock = stack.enter_context(bound(socket.AF_VSOCK, (socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY)))
        except OSError:
            pytest.skip("optional: no vsock here")
        with passing([sock], app, expect_code=1) as server:
            server.proc.wait(60)
        assert "descriptor 3 was passed as a socket to serve" in server.stderr


def test_backends_get_neither_socket_nor_variables(tmp_path):
    code = ("import http.server, os, stat\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            "  def do_GET(self):\n"
            "    fds = [os.readlink('/proc/self/fd/' + n) for n in '345' if os.path.exists('/proc/self/fd/' + n)]\n"
            "    body = repr((sorted(k for k in os.environ if 'LISTEN' in k or 'NOTIFY' in k), fds)).encode()\n"
            "    self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
            "    self.wfile.write(body)\n"
            "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n")
    app = write_app(tmp_path / "desk", {"web/index.html": "x", "backend.py": code},
                    "web: { root: web }\nbackend: { run: exec python3 backend.py, routes: [ /api/ ] }\n")
    with bound() as sock, passing([sock], app, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        answer = wait_for(lambda: (a := fetch(sock.getsockname(), "/api/", deadline=60)).status == 200 and a,
                          "the backend", 60)
        names, fds = eval(answer.body)  # pylint: disable=eval-used
        inode = os.fstat(sock.fileno()).st_ino
        assert names == [] and f"socket:[{inode}]" not in fds


@pytest.mark.parametrize("abstract", [False, True])
def test_manager_is_told_when_it_serves_and_when_it_stops(abstract, app, tmp_path):
    name = f"@dais-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1) if abstract else name)
        manager.settimeout(60)
        with bound() as sock, passing([sock], app, {"NOTIFY_SOCKET": name}) as server:
            assert manager.recv(100).decode() == READY
            assert fetch(sock.getsockname(), "/").status == 200
            server.proc.send_signal(signal.SIGTERM)
            assert manager.recv(100).decode() == "STOPPING=1"
            server.proc.wait(60)


def test_manager_that_is_busy_is_told_all_the_same(app, tmp_path):
    """Its queue is full when dais serves; without that word systemd would end it after a while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        manager.bind(str(tmp_path / "notify"))
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.sendto(b"x", str(tmp_path / "notify"))
        manager.settimeout(60)
        with bound() as sock, passing([sock], app, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            wait_for(lambda: "Ctrl+C stops" in server.stdout, "the page that is printed before")
            said = iter(lambda: manager.recv(100), READY.encode())
            assert set(said) == {b"x"}
            assert fetch(sock.getsockname(), "/").status == 200


def test_start_that_fails_tells_nothing(app, tmp_path):
    (app / "dais.yaml").write_text("app: 5 5\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        with bound() as sock, passing([sock], app, {"NOTIFY_SOCKET": str(tmp_path / "notify")}, 1) as server:
            server.proc.wait(60)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def is_listened_at(path):
    """Of a file that is there nobody may listen yet."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.mark.skipif(not pathlib.Path("/usr/bin/systemd-socket-activate").exists(), reason="no systemd here")
def test_systemds_own_tool_starts_it_on_the_first_connection(app, tmp_path):
    path = tmp_path / "sock"
    program = subprocess.Popen(["/usr/bin/systemd-socket-activate", "-l", str(path), "-E", "DAIS_LOG=json",
                                str(DAIS_BIN), "serve", str(app)], env=clean_env(tmp_path),
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: is_listened_at(path), "the socket")
        with Conn(path, 60) as conn:
            assert conn.request("/").read().status == 200
            assert conn.request("/").read().status == 200
    finally:
        program.terminate()
        _, told = program.communicate(timeout=60)
    assert program.returncode == 0, told
