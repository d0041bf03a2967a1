# dais health: one line about a running server, and an exit code for containers and scripts.
import socket
import threading

import pytest

from serving import serving, write_app

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(name="answering")
def fixture_answering():
    """answering(raw, stays=False): a socket that says this to everybody; gives its port."""
    sockets, threads = [], []

    def start(raw, stays=False):
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def work():
            try:
                conn, _ = listening.accept()
            except OSError:
                return
            conn.recv(4096)
            conn.sendall(raw)
            if not stays:
                conn.close()
            else:
                sockets.append(conn)
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return listening.getsockname()[1]

    yield start
    for one in sockets:
        one.close()


def test_a_server_is_found_where_the_settings_say(tmp_path, run_dais):
    folder = write_app(tmp_path / "app")
    with serving(folder, listen="0.0.0.0:0") as server:
        port = server.port
        for args, env in (([], {"DAIS_LISTEN": f"0.0.0.0:{port}"}), ([], {"PORT": port}),
                          ([f"http://127.0.0.1:{port}"], {}), ([f"127.0.0.1:{port}"], {}),
                          ([f"http://localhost:{port}/"], {}), ([f"http://127.0.0.1:{port}/healthz"], {})):
            done = run_dais("health", *args, env=env)
            assert done.returncode == 0 and done.stderr == "", (args, env, done)
            assert done.stdout.endswith(f':{port}/healthz: 200 {{"ok":true}}\n') and done.stdout.count("\n") == 1
        (tmp_path / ".env").write_text(f"DAIS_LISTEN=127.0.0.1:{port}\n")
        assert run_dais("health", "--path", "/_/healthz", cwd=tmp_path).returncode == 0
        done = run_dais("health", f"http://127.0.0.1:{port}/x", "--path=/readyz")
        assert done.returncode == 0 and '/readyz: 200 {"ready":true' in done.stdout
        done = run_dais("health", f"http://127.0.0.1:{port}/nothing")
        assert done.returncode == 11 and done.stdout == "" and "/nothing: 404" in done.stderr


def test_a_unix_socket(tmp_path, run_dais):
    folder = write_app(tmp_path / "app")
    with serving(folder) as server:
        server.fetch("/")
        done = run_dais("health", f"unix:{folder}/data/dais.sock")
        assert done.returncode == 0 and "/healthz: 200" in done.stdout


def test_nobody_there(tmp_path, run_dais):
    with socket.socket() as taken:  # by somebody who does not listen
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = run_dais("health", f"127.0.0.1:{port}")
    assert done.returncode == 6 and f"127.0.0.1:{port}/healthz: nobody listens there" in done.stderr
    assert run_dais("health", f"unix:{tmp_path}/none.sock").returncode == 6


@pytest.mark.parametrize("raw, stays, code, said", [
    (OK, False, 0, ": 200 ok\n"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", False, 0, ": 204\n"),
    (b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot\r\nnow\x1b[31m", False, 11, ": 503 not  now [31m\n"),
    (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", False, 11, ": 302\n"),
    (b"SSH-2.0-x\r\n\r\n", False, 11, "is no HTTP server"),
    (b"HTTP/1.1\r\n\r\n", False, 11, "is no HTTP server"),
    (b"HTTP/1.1 2\x1b[\r\n\r\n", False, 11, "is no HTTP server"),
    (b"HTTP/1.1 2\n\n\r\n\r\n", False, 11, "is no HTTP server"),
    (b"HTTP/1.1 2000\r\n\r\n", False, 11, "is no HTTP server"),
    (b"HTTP/1.1 200 OK\r\n", False, 11, "is no HTTP server"),
    (b"HTTP/1.1 200 OK\r\nContent-length: 3\r\n\r\nok", False, 11, "the answer broke off"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok", False, 0, ": 200 ok\n"),
    (b"HTTP/1.1 200 OK\r\n\r\n\xc2\x9b31m\x00", False, 0, ": 200  31m \n"),
    (b"", False, 11, "is no HTTP server"),
    (OK, True, 11, "no whole answer came within 3 s"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, False, 0, ": 200 " + "x" * 200),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, False, 0, ": 200 " + "x" * 200),
])
def test_whatever_answers(run_dais, answering, raw, stays, code, said):
    done = run_dais("health", f"127.0.0.1:{answering(raw, stays)}")
    assert done.returncode == code and said in done.stdout + done.stderr, done
    assert (done.stdout + done.stderr).count("\n") == 1 and not {"\x1b", "\x9b"} & set(done.stdout + done.stderr)


@pytest.mark.parametrize("args, said", [
    (["https://localhost"], "https is not asked"), (["--path", "x"], "is no path"), (["--path", "/a b"], "is no path"),
    (["nonsense"], "nonsense"), (["http://"], "names no server"),
    (["--path", ""], "needs a value"), (["a", "b"], "one too many")])
def test_what_cannot_be_asked(run_dais, args, said):
    done = run_dais("health", *args)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") <= 2, done


def test_settings_that_are_wrong(run_dais):
    done = run_dais("health", env={"PORT": "many"})
    assert done.returncode == 1 and "PORT" in done.stderr
