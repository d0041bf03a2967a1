# From start to end of `dais serve`: addresses, locks, signals, draining, reloading, what it says when it cannot.
import fcntl
import os
import random
import re
import signal
import socket
import threading
import time

import pytest

from conftest import DEADLINE, Broken, Conn, fetch, free_port, wait_for
from serving import serving, write_app

BIG = random.Random(3).randbytes(8_000_000)


@pytest.fixture
def app(tmp_path):
    return write_app(tmp_path / "app", {"web/index.html": "one\n", "web/big.bin": BIG})


def log_has(server, text):
    return wait_for(lambda: text in server.stderr, f"{text!r} in the log")


# ---- ending ----------------------------------------------------------------------------------------
def test_sigterm_finishes_what_is_under_way(app):
    with serving(app) as server:
        idle, download, half = server.connect(), server.connect(60), server.connect()
        with idle, download, half:
            assert idle.request("/").read().status == 200
            download.request("/big.bin")
            download._more(time.monotonic() + DEADLINE)  # the answer has begun
            half.send("GET / HTTP/1.1\r\nHost: localhost\r\n")
            wait_for(lambda: re.search(r"\bhead\b", conns(server)), "half a head")
            server.proc.send_signal(signal.SIGTERM)
            log_has(server, "stopping: finishing open requests")
            assert idle.at_end()
            answer = half.send("\r\n").read()
            assert (answer.status, answer.get("connection")) == (200, "close")
            assert half.at_end()
            with pytest.raises(OSError):
                fetch(server, "/")
            assert server.proc.poll() is None
            assert download.read().body == BIG
            assert download.at_end()
        begin = time.monotonic()
        assert server.proc.wait(60) == 0
        assert time.monotonic() - begin < 4


def conns(server):
    """What `dais debug conns` shows, asked of the control socket."""
    folder = server.command[server.command.index("serve") + 1]
    return fetch(os.path.join(folder, "data", "dais.sock"), "/debug/conns").body.decode()


def test_a_second_signal_does_not_wait(app):
    with serving(app) as server, server.connect() as slow:
        slow.request("/big.bin")
        slow._more(time.monotonic() + DEADLINE)
        server.proc.send_signal(signal.SIGTERM)
        log_has(server, "finishing")
        server.proc.send_signal(signal.SIGTERM)
        assert server.proc.wait(3) == 0
        log_has(server, "stopping at once")


def test_who_stops_does_not_reload(app):
    """The new host would be started after the last one was told to stop."""
    with serving(app) as server, Conn(app / "data/dais.sock") as late:
        late.send("POST /reload HTTP/1.1\r\nHost: localhost\r\n")
        wait_for(lambda: "unix" in conns(server) and " head " in conns(server), "half a request")
        server.proc.send_signal(signal.SIGTERM)
        log_has(server, "finishing")
        server.proc.send_signal(signal.SIGHUP)
        log_has(server, "reload refused: the server is stopping")
        answer = late.send("\r\n").read()
        assert (answer.status, answer.get("connection")) == (503, "close")
        assert server.proc.wait(60) == 0


def test_ctrl_c_says_130(app):
    with serving(app) as server:
        server.expect_code = 130
        server.stop(signal.SIGINT)
    assert server.proc.returncode == 130


def test_after_kill_9_the_same_address_and_data_serve_again(app):
    port = str(free_port())
    for _ in range(3):
        with serving(app, listen=f"127.0.0.1:{port}") as server:
            kept = server.connect()
            assert kept.request("/").read().status == 200
            assert (app / "data/dais.sock").exists() and (app / "data/dais.lock").exists()
            server.kill()
            kept.close()
    with serving(app, listen=f"127.0.0.1:{port}") as server:
        assert server.fetch("/").body == b"one\n"
        assert "connections" in fetch(app / "data/dais.sock", "/debug/mem").body.decode()
    assert not (app / "data/dais.sock").exists()


def test_a_start_right_after_kill_9_waits_for_the_killed_one(app):
    for _ in range(3):
        with serving(app) as killed:
            killed.proc.kill()  # its processes have the lock for a moment more
            with serving(app) as server:
                assert server.fetch("/").body == b"one\n"
            killed.kill()


def test_a_lock_that_is_given_up_within_a_second_is_taken(app):
    (app / "data").mkdir()
    with open(app / "data/dais.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with serving(app, ready=False) as server:
            def asked():
                links = [os.path.realpath(entry.path) for entry in os.scandir(f"/proc/{server.proc.pid}/fd")]
                return str(app / "data/dais.lock") in links
            wait_for(lambda: server.proc.poll() is not None or asked(), "asking for the lock")
            fcntl.flock(lock, fcntl.LOCK_UN)
            server.wait_ready()
            assert server.fetch("/").status == 200


# ---- when it cannot --------------------------------------------------------------------------------
def test_a_second_server_on_the_same_data_is_refused(app, run_dais):
    with serving(app) as server:
        done = run_dais("serve", app, "--listen", "127.0.0.1:0")
        assert done.returncode == 4 and done.stdout == ""
        assert done.stderr == (f"dais: another dais serves the data folder {app}/data; stop it, or "
                               "choose another with --data\n")
        assert server.fetch("/").status == 200
        assert "connections" in fetch(app / "data/dais.sock", "/debug/mem").body.decode()


def test_a_busy_port_is_named(app, tmp_path, run_dais):
    with serving(app) as server:
        done = run_dais("serve", app, "--data", tmp_path / "other",
                        "--listen", f"127.0.0.1:{server.port}")
        assert done.returncode == 11
        assert done.stderr == (f"dais: 127.0.0.1:{server.port} is in use by another program; stop it, "
                               "or choose another address with --listen or DAIS_LISTEN\n")
        assert all(server.fetch("/").status == 200 for _ in range(20))


REFUSED = [
    (["--listen", "nonsense"], 1, "DAIS_LISTEN is `nonsense`"),
    (["--listen", "127.0.0.1:99999"], 1, "it must be an address such as 127.0.0.1:8000"),
    (["--listen", "unix:"], 1, "unix:/path"),
    (["--listen", "example.com:80"], 1, "is not an address to listen on"),
    (["--listen", "192.0.2.1:0"], 11, "listening on 192.0.2.1:0 failed"),
    (["--listen", "unix:/nowhere/x.sock"], 11, "the folder of the unix socket"),
    (["--listen"], 1, "--listen needs a value"),
    (["--lisen", "x"], 1, "did you mean --listen?"),
    (["--data", "/dev/null"], 11, "choose another folder with --data"),
    (["--data", "/proc/dais"], 11, "choose another with --data"),
]


@pytest.mark.parametrize("flags, code, says", REFUSED, ids=[" ".join(r[0]) for r in REFUSED])
def test_what_cannot_be_served_is_said_in_one_sentence(app, run_dais, flags, code, says):
    done = run_dais("serve", app, *flags)
    assert done.returncode == code, done
    assert says in done.stderr and done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2


def test_folders_that_are_none(tmp_path, run_dais):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello\n")
    for args, says in (((), "dais.yaml: there is no such file; `dais new DIR` makes an app"),
                       ((tmp_path / "missing",), "there is no such file"),
                       ((tmp_path / "text.txt",), "text.txt")):
        done = run_dais("serve", *args, cwd=tmp_path / "empty")
        assert done.returncode == 1 and done.stdout == "", done
        assert says in done.stderr
    assert not list((tmp_path / "empty").iterdir())


def test_a_data_folder_that_may_not_be_written(app, tmp_path, run_dais):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if os.geteuid() == 0:
        pytest.skip("optional: root may write everywhere; --data /proc/dais above stands for it")
    done = run_dais("serve", app, "--data", locked / "data")
    assert done.returncode == 11 and "choose another with --data" in done.stderr


def test_without_a_server_reload_and_debug_say_so(app, run_dais):
    for verb in (["reload", app], ["debug", "conns", app], ["reload", "--data", app / "data", app]):
        done = run_dais(*verb)
        assert done.returncode == 6 and done.stdout == ""
        assert f"no running server was found at {app}/data/dais.sock" in done.stderr
        assert "start one with `dais serve`" in done.stderr
    done = run_dais("debug", "nothing", app)
    assert done.returncode == 1 and "choose backends, conns, jobs, lanes or mem" in done.stderr


# ---- where it listens and writes ---------------------------------------------------------------------
def test_who_says_where_to_listen(app):
    """Flag, environment, .env, default; PORT changes the port only, a stronger DAIS_LISTEN all."""
    a, b, c = free_port(), free_port(), free_port()
    (app / ".env").write_text(f"DAIS_LISTEN=127.0.0.2:{a}\n")
    table = [
        (None, {}, f"127.0.0.2:{a}"),
        (None, {"PORT": b}, f"127.0.0.2:{b}"),
        (None, {"DAIS_LISTEN": f"127.0.0.3:{c}"}, f"127.0.0.3:{c}"),
        (None, {"DAIS_LISTEN": f"127.0.0.3:{c}", "PORT": b}, f"127.0.0.3:{b}"),
        (f"127.0.0.4:{a}", {"DAIS_LISTEN": f"127.0.0.3:{c}", "PORT": b}, f"127.0.0.4:{a}"),
    ]
    for listen, env, expected in table:
        with serving(app, listen=listen, env=env) as server:
            assert server.url.startswith(f"http://{expected}/"), (listen, env)
            assert server.fetch("/").status == 200


def test_port_changes_only_the_port_of_host_yaml(tmp_path):
    port = free_port()
    write_app(tmp_path / "host" / "shop")
    (tmp_path / "host/host.yaml").write_text("apps: [shop]\nlisten: 127.0.0.7:1\n")
    with serving(tmp_path / "host", listen=None, env={"PORT": port}) as server:
        assert server.address == ("127.0.0.7", port)


def test_who_says_where_data_goes(app, tmp_path):
    (app / ".env").write_text(f"DAIS_DATA={tmp_path}/dotenv\n")
    for flags, env, expected in (([], {}, "dotenv"), ([], {"DAIS_DATA": tmp_path / "env"}, "env"),
                                 (["--data", tmp_path / "flag"], {"DAIS_DATA": tmp_path / "env"}, "flag")):
        with serving(app, *flags, env=env) as server:
            folder = tmp_path / expected
            assert (folder / "dais.sock").is_socket() and (folder / "dais.lock").exists()
            assert oct((folder / "dais.sock").stat().st_mode & 0o777) == "0o600"
            assert f"data             {folder}" in server.stdout
    assert not (app / "data").exists()


def test_listening_on_a_unix_socket(app, tmp_path):
    path = tmp_path / "web.sock"
    with serving(app, listen=f"unix:{path}", ready=False) as server:
        wait_for(lambda: f"unix:{path}" in server.stdout, "the address")
        assert fetch(path, "/").body == b"one\n"
        assert "this machine only" in server.stdout
        done = server.proc.poll()
        assert done is None
    assert not path.exists() and server.proc.returncode == 0


def test_listening_on_ipv6(app):
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with serving(app, listen="[::1]:0") as server:
        assert server.address[0] == "::1" and server.url.startswith("http://[::1]:")
        assert server.fetch("/", host=f"[::1]:{server.port}").status == 200
        assert server.fetch("/readyz").status == 200
        assert "this machine only" in server.stdout


# ---- reloading -----------------------------------------------------------------------------------------
def manifest(n):
    return f'app: app\nweb:\n  root: web\n  redirects: {{ /now: "/{n}" }}\n'


class Hammer:
    """One client that keeps asking on one connection and counts; any break is an error."""

    def __init__(self, server, path):
        self.server, self.path, self.count, self.error = server, path, 0, None
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over.is_set():
                with self.server.connect() as conn:
                    for _ in range(25):
                        answer = conn.request(self.path).read()
                        assert answer.status in (200, 302, 301, 308), answer
                        self.count += 1
        except (AssertionError, OSError) as e:
            self.error = repr(e)

    def end(self):
        self.is_over.set()
        self.thread.join()
        assert not self.error, self.error
        return self.count


def test_thirty_reloads_lose_no_request(app, run_dais):
    (app / "dais.yaml").write_text(manifest("first"))
    with serving(app) as server:
        hammers = [Hammer(server, path) for path in ("/", "/now", "/", "/healthz")]
        try:
            for n in range(30):
                (app / "dais.yaml").write_text(manifest(n))
                if n % 6 == 0:
                    done = run_dais("reload", app)
                    assert (done.returncode, done.stdout, done.stderr) == (0, "reloaded\n", "")
                elif n % 6 == 1:
                    server.proc.send_signal(signal.SIGHUP)
                    wait_for(lambda n=n: where(server) == f"/{n}", "the new manifest")
                else:
                    assert fetch(app / "data/dais.sock", "/reload", "POST").status == 200
                assert where(server) == f"/{n}"
        finally:
            for hammer in hammers:
                hammer.is_over.set()
        assert all(hammer.end() > 20 for hammer in hammers)
        text = server.fetch("/metrics").body.decode()
        assert "dais_reloads_total 30\n" in text and "dais_reload_failures_total 0\n" in text


@pytest.mark.parametrize("how", ["command", "signal"])
def test_a_long_reload_holds_nobody_up(app, how):
    """Reading folders takes as long as it takes; the one loop there is answers all the while."""
    rewrite = "web: { root: web, rewrite: [ { files: '*.js', from: x, to: y } ] }\n"
    (app / "dais.yaml").write_text(f"app: app\n{rewrite}")
    for name in "abc":
        (app / "web" / f"{name}.js").write_text(" " * (12 << 20))
    with serving(app, env={"DAIS_THREADS": "1"}) as server, server.connect() as conn:
        began, longest, over = time.monotonic(), 0, False
        if how == "signal":
            server.proc.send_signal(signal.SIGHUP)
        else:
            control = Conn(app / "data/dais.sock").request("/reload", "POST")
        while not over:
            asked = time.monotonic()
            assert conn.request("/healthz").read().status == 200
            longest = max(longest, time.monotonic() - asked)
            over = '"msg":"reloaded"' in server.stderr
            assert asked < began + 30
        whole = time.monotonic() - began
        assert longest < whole / 3, f"{longest:.3f} s of {whole:.3f} s"
        if how == "command":
            assert control.read("POST").status == 200
            control.close()


def where(server):
    return server.fetch("/now").get("location")


BROKEN = {
    "a key that is none": ("app: app\nweb: { root: web }\nwob: 1\n", "dais.yaml:3:1: "),
    "not YAML": ("app: [\n", "dais.yaml:"),
    "empty": ("", "dais.yaml"),
    "other app name": ("app: UPPER\nweb: { root: web }\n", "dais.yaml:1:6: "),
}


@pytest.mark.parametrize("text, says", BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_changes_nothing_and_reload_says_why(app, run_dais, text, says):
    (app / "dais.yaml").write_text(manifest("old"))
    with serving(app) as server:
        (app / "dais.yaml").write_text(text)
        done = run_dais("reload", app)
        assert done.returncode == 1 and done.stdout == ""
        lines = done.stderr.splitlines()
        assert says in lines[0]
        assert lines[-1] == ("dais reload: the manifests have errors; the server goes on with the "
                             "old ones")
        server.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: server.stderr.count("reload refused") == 2, "the second refusal")
        assert where(server) == "/old"
        assert all(line.startswith("{") for line in server.stderr.splitlines())
        assert says.split(":")[0] in server.stderr
        assert run_dais("debug", "mem", app).returncode == 0
        (app / "dais.yaml").write_text(manifest("new"))
        assert run_dais("reload", app).returncode == 0
        assert where(server) == "/new"


def test_a_file_being_sent_survives_a_reload(app):
    with serving(app) as server, server.connect(60) as download:
        download.request("/big.bin")
        download._more(time.monotonic() + DEADLINE)
        (app / "other").mkdir()
        (app / "dais.yaml").write_text("app: app\nweb: { root: other }\n")
        assert fetch(app / "data/dais.sock", "/reload", "POST").status == 200
        assert server.fetch("/big.bin").status == 404
        assert download.read().body == BIG


def test_debug_shows_what_goes_on(app, run_dais):
    with serving(app) as server, server.connect() as idle, server.connect() as half:
        idle.request("/").read()
        half.send("GET / HT")
        wait_for(lambda: re.search(r"\bhead\b", conns(server)), "half a head")
        shown = run_dais("debug", "conns", app)
        assert shown.returncode == 0 and shown.stderr == ""
        head, *rows = shown.stdout.splitlines()
        assert head.split() == ["loop", "peer", "state", "age_ms", "requests", "route"]
        states = sorted(row.split()[2] for row in rows)
        assert states == ["head", "idle", "run"]
        assert any(row.split()[1] == "unix" and row.split()[-1] == "control_conns" for row in rows)
        lanes = run_dais("debug", "lanes", "--data", app / "data").stdout.splitlines()
        assert lanes[0].split()[0] == "lane" and len(lanes) >= 4
        assert all(int(cell) >= 0 for row in lanes[1:] for cell in row.split()[1:])
        mem = run_dais("debug", "mem", app).stdout
        assert re.search(r"VmRSS:\s+\d+ kB", mem) and re.search(r"connections:\s+\d+", mem)


def test_the_control_socket_is_no_public_door(app):
    with serving(app) as server:
        for path in ("/reload", "/debug/conns", "/debug/mem"):
            assert server.fetch(path, method="POST").status in (404, 405)
            assert server.fetch(path).status == 404
        assert fetch(app / "data/dais.sock", "/").status == 404
        assert fetch(app / "data/dais.sock", "/readyz").status == 200
        with pytest.raises((Broken, OSError)), Conn(app / "data/dais.sock") as conn:
            conn.send(b"\0\0\0").half_close().at_end()


# ---- for a new user -------------------------------------------------------------------------------------
def test_help_says_what_a_new_user_needs(run_dais):
    done = run_dais("help", "serve")
    assert done.returncode == 0 and max(map(len, done.stdout.splitlines())) <= 100
    for word in ("dais serve [DIR...]", "--listen", "--data", "--dev", "host.yaml", "Ctrl+C", "unix:"):
        assert word in done.stdout, word
    for args in (["--help"], ["help"], ["-h"]):
        assert "serve      Serve an app" in run_dais(*args).stdout
    assert run_dais("serve", "--help").stdout == done.stdout


def test_the_banner_names_what_matters(app):
    with serving(app) as server:
        text = server.stdout
        assert f"http://127.0.0.1:{server.port}/" in text and f"{app}/data" in text
        for word in ("reachable from", "HTTPS", "log", "Ctrl+C", "dais reload", "--dev"):
            assert word in text, word
        assert "\x1b" not in text and max(map(len, text.splitlines())) <= 200
