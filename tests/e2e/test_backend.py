# Backends that dais runs: started, waited for, watched, started again, ended with all they started.
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from conftest import Conn, wait_for
from own_backend import RUN, about, app, is_alive, log_lines
from serving import serving


@pytest.mark.parametrize("run, name", [(RUN, "PORT"), (RUN + " # at $DAIS_SOCKET", "DAIS_SOCKET")])
def test_it_runs_in_its_folder_with_its_environment_and_no_more(tmp_path, run, name):
    folder = app(tmp_path / "app", run, ", env: { GREETING: hello there, WHERE: $DAIS_DATA }")
    ours = {"SECRET_OF_DAIS": "x", "DATABASE_URL": "postgres://u@h/x", "DAIS_DATA": str(tmp_path / "d")}
    with serving(folder, env=ours) as server:
        told = about(server)
        assert told["cwd"] == str(folder)
        env = told["env"]
        assert set(env) - {"PATH", "HOME", "LANG", "TZ", "PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"} == {
            name, "DAIS_INSTANCE", "PUBLIC_URL", "GREETING", "WHERE"}
        assert env["GREETING"] == "hello there" and env["WHERE"] == str(tmp_path / "d")
        assert about(server)["pid"] == told["pid"]
    assert not is_alive(told["pid"])
    assert not list(pathlib.Path(tmp_path / "d").glob("run/*"))


def test_the_start_tells_what_runs(tmp_path):
    with serving(app(tmp_path / "app")) as server:
        assert "  backend          app runs `exec python3 -S server.py`; its output is in the log\n" in server.stdout


def test_requests_wait_while_it_starts(tmp_path):
    folder = app(tmp_path / "app")
    (folder / "wait").touch()
    with serving(folder) as server, Conn(server, 30) as get, Conn(server, 30) as post:
        get.request("/api/about")
        post.request("/api/echo", "POST", body=b"x" * 200_000)
        assert server.fetch("/").body == b"<h1>home</h1>"
        (folder / "go").touch()
        assert get.read().status == 200
        assert post.read("POST").body == b"x" * 200_000


def test_a_body_that_only_ends_waits_too(tmp_path):
    folder = app(tmp_path / "app")
    (folder / "wait").touch()
    with serving(folder) as server, Conn(server, 30) as conn:
        conn.sock.sendall(b"POST /api/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert server.fetch("/").status == 200
        (folder / "go").touch()
        assert conn.read("POST").status == 200


def test_no_byte_is_lost_while_it_does_not_listen(tmp_path):
    away = r'''
import os, socket, time
path = os.environ["DAIS_SOCKET"]
with socket.socket(socket.AF_UNIX) as s:
    s.bind(path); s.listen(); s.accept()
os.unlink(path)
open("away", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
exec(open("server.py").read())
'''
    folder = app(tmp_path / "app", "exec python3 -S away.py # at $DAIS_SOCKET")
    (folder / "away.py").write_text(away)
    with serving(folder) as server, Conn(server, 30) as conn:
        wait_for((folder / "away").exists, "its leave")
        wait_for(lambda: any(line.get("msg") == "the backend is ready" for line in log_lines(server)), "its start")
        conn.request("/api/echo", "POST", body=b"x" * 50_000)
        assert server.fetch("/").status == 200
        (folder / "go").touch()
        assert conn.read("POST").body == b"x" * 50_000


def test_it_comes_back_after_the_spawner_was_killed(tmp_path):
    with serving(app(tmp_path / "app")) as server:
        before = about(server)["pid"]
        children = pathlib.Path(f"/proc/{server.proc.pid}/task/{server.proc.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(int(children[0]), signal.SIGKILL)
        wait_for(lambda: not is_alive(before), "its end")
        assert about(server)["pid"] != before


def test_it_is_started_again_when_it_ends(tmp_path):
    with serving(app(tmp_path / "app")) as server:
        first = about(server)["pid"]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: any(line["msg"] == "the backend ended" for line in log_lines(server)), "its end")
        second = about(server)["pid"]
        assert first != second
        assert server.fetch("/api/die", method="POST", body=b"").status == 502
        wait_for(lambda: sum(line["msg"] == "the backend ended" for line in log_lines(server)) == 2, "two ends")
        assert about(server)["pid"] not in (first, second)
        assert {line["why"] for line in log_lines(server) if line["msg"] == "the backend ended"} == {
            "signal 9", "exit code 3"}


def test_one_that_keeps_ending_is_told_and_answered_for(tmp_path):
    folder = app(tmp_path / "app", "echo no such module; exit 1")
    with serving(folder) as server:
        wait_for(lambda: any(line["msg"] == "the backend ended" for line in log_lines(server)), "its end")
        line = next(line for line in log_lines(server) if line["msg"] == "the backend ended")
        assert line["app"] == "app" and line["why"] == "exit code 1" and line["again_in_ms"] >= 100
        assert server.says('"said":"no such module"')
        assert server.fetch("/").status == 200


def test_one_that_listens_elsewhere_is_told(tmp_path):
    with serving(app(tmp_path / "app", "exec sleep 1000")) as server:
        wait_for(lambda: any(line["msg"] == "the backend does not listen yet" for line in log_lines(server)),
                 "the warning")
        line = next(line for line in log_lines(server) if line["msg"] == "the backend does not listen yet")
        assert line["app"] == "app" and line["at"].startswith("127.0.0.1:") and "$PORT" in line["told_by"]


def test_what_it_says_is_in_the_log(tmp_path):
    with serving(app(tmp_path / "app")) as server:
        server.fetch("/api/say", deadline=30)
        wait_for(lambda: any("aloud" in line.get("said", "") for line in log_lines(server)), "what it said")
        said = next(line for line in log_lines(server) if "aloud" in line.get("said", ""))
        assert said["msg"] == "backend" and said["app"] == "app"
        assert "\x1b" not in server.stderr


def test_all_it_started_ends_with_the_server(tmp_path):
    folder = app(tmp_path / "app", "setsid sleep 1000 & sleep 1001 & exec python3 -S server.py")
    with serving(folder) as server:
        pid = about(server)["pid"]
        marked = [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()
                  and f"PORT={about(server)['env']['PORT']}\0" in _environ(entry)]
        assert len(marked) == 3 and pid in marked
        server.stop()
        assert not any(is_alive(pid) for pid in marked)


def _environ(entry):
    try:
        return (entry / "environ").read_text(errors="replace")
    except OSError:
        return ""


def test_it_outlives_a_reload_that_leaves_it_alone(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        pid = about(server)["pid"]
        (folder / "dais.yaml").write_text((folder / "dais.yaml").read_text() + "title: New\n")
        assert run_dais("reload", folder).returncode == 0
        assert about(server)["pid"] == pid


def test_a_reload_that_changes_it_loses_no_request(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        pid = about(server)["pid"]
        failed, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                answer = server.fetch("/api/slow", deadline=30)
                if answer.status != 200:
                    failed.append(answer.status)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(2):
            app(folder, more=f", env: {{ NUMBER: \"{number}\" }}")
            assert run_dais("reload", folder).returncode == 0
            assert about(server)["env"]["NUMBER"] == str(number)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failed
        wait_for(lambda: not is_alive(pid), "the end of the first")


def test_several_end_at_the_same_time(tmp_path):
    slow = "python3 -S server.py & trap 'kill $!; sleep 3; exit' TERM; touch trapped; wait"
    for name in ("one", "two", "three"):
        app(tmp_path / "host" / name, slow)
    (tmp_path / "host" / "host.yaml").write_text("apps: [one, two, three]\n")
    with serving(tmp_path / "host") as server:
        for name in ("one", "two", "three"):
            assert server.fetch(f"/{name}/api/about", deadline=30).status == 200
        before = time.monotonic()
    assert time.monotonic() - before < 2 * 3


def test_a_killed_server_leaves_nothing(tmp_path):
    with serving(app(tmp_path / "app")) as server:
        pid = about(server)["pid"]
        server.kill()
        wait_for(lambda: not is_alive(pid), "its end")


def test_a_folder_that_cannot_hold_sockets_is_told(tmp_path):
    folder = app(tmp_path / "app")
    (folder / "data").mkdir()
    (folder / "data/run").write_text("a file")
    with serving(folder) as server:
        wait_for(lambda: any(line["msg"] == "the backend cannot be run" for line in log_lines(server)), "the reason")
        started = time.monotonic()
        assert server.fetch("/api/x", deadline=60).status in (404, 502, 503)
        assert time.monotonic() - started < 20
        assert server.fetch("/").status == 200
