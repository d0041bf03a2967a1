# Exchanging a running backend: no request fails, one that never gets ready is given up; several instances.
import http.client
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import DAIS_BIN, Conn, clean_env, wait_for
from own_backend import RUN, about, app, is_alive, log_lines, processes, told
from serving import open_files, serving
from ws import TEXT, WebSocket


class Load:
    """Eight clients that keep their connections and send GETs and POSTs; what went wrong is in `failed`."""

    def __init__(self, server, clients=8):
        self.server, self.failed, self.done, self.pids = server, [], 0, set()
        self.over, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(clients)]

    def _work(self, number):
        conn = http.client.HTTPConnection(*self.server.address, timeout=90)
        count = 0
        while not self.over.is_set():
            count += 1
            body = bytes([number]) * (10 if count % 3 else 200_000) if count % 2 else None
            try:
                conn.request("POST" if body else "GET", "/api/echo" if body else "/api/about", body)
                answer = conn.getresponse()
                got = answer.read()
                if answer.status != 200 or (body and got != body):
                    raise AssertionError(f"{answer.status} {got[:200]!r}")
                with self.lock:
                    self.done += 1
                    if not body:
                        self.pids.add(json.loads(got)["pid"])
            except Exception as e:  # pylint: disable=broad-exception-caught
                self.failed.append(repr(e))
                conn.close()
        conn.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def go_on(self, more=30):
        before = self.done
        wait_for(lambda: self.done > before + more or self.failed, "load that goes on", 60)


def reload_in_background(folder, tmp_path, *flags):
    return subprocess.Popen([str(DAIS_BIN), "reload", str(folder), *flags], env=clean_env(tmp_path),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("run", [RUN, RUN + " # at $DAIS_SOCKET"])
def test_five_replacements_under_load_lose_no_request(tmp_path, run_dais, run):
    folder = app(tmp_path / "app", run)
    with serving(folder, env={"DAIS_THREADS": "3"}) as server:
        first = about(server)["pid"]
        with Load(server) as load:
            load.go_on()
            for _ in range(5):
                done = run_dais("reload", folder, "--backend")
                assert done.returncode == 0 and done.stdout == "reloaded\n", done.stderr
                load.go_on()
        assert not load.failed, load.failed[:5]
        assert len(load.pids) == 6
        wait_for(lambda: len(told(server, "the old backend is ended")) == 5, "five ends")
        assert all(line["cut"] == 0 for line in told(server, "the old backend is ended"))
        assert not is_alive(first) and len(processes(folder, run_dais)) == 1


def test_the_load_sees_a_backend_that_is_just_killed(tmp_path):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        pid = about(server)["pid"]
        with Load(server) as load:
            for _ in range(30):  # a GET is asked again, so it takes a POST that was just under way
                load.go_on()
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda old=pid: not is_alive(old), "its end")
                if load.failed:
                    break
                wait_for(lambda: server.fetch("/api/about", deadline=30).status == 200, "its return", 60)
                pid = about(server)["pid"]
        assert load.failed


def test_requests_go_to_the_old_one_until_the_new_one_is_ready(tmp_path):
    folder = app(tmp_path / "app", more=", health: /health")
    with serving(folder) as server:
        old = about(server)["pid"]
        (folder / "health").write_text("500")
        process = reload_in_background(folder, tmp_path, "--backend")
        wait_for(lambda: len([line for line in log_lines(server)]) and about(server)["pid"] == old, "the old one")
        wait_for(lambda: len(_children_at(folder)) == 2, "two of them")
        for _ in range(20):
            assert about(server)["pid"] == old
        assert process.poll() is None
        (folder / "health").unlink()
        assert process.communicate(timeout=90)[0] == "reloaded\n"
        assert about(server)["pid"] != old
        wait_for(lambda: not is_alive(old), "its end")


def _children_at(folder):
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    found += [int(entry)] if b"server.py" in file.read() else []
        except OSError:
            continue
    return found


def test_one_that_keeps_ending_is_given_up(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        pid = about(server)["pid"]
        (folder / "broken").touch()
        with Load(server, 2) as load:
            done = run_dais("reload", folder, "--backend")
            load.go_on()
        assert done.returncode != 0 and not load.failed
        assert "the backend of app was not replaced: its new process keeps ending: exit code 1" in done.stderr
        assert about(server)["pid"] == pid and len(told(server, "reload refused")) == 1
        assert server.says("broken, it says")
        wait_for(lambda: len(processes(folder, run_dais)) == 1, "the end of the new one")
        (folder / "broken").unlink()
        assert run_dais("reload", folder, "--backend").returncode == 0
        assert about(server)["pid"] != pid
        text = server.fetch("/metrics").body.decode()
        assert "dais_reloads_total 1\n" in text and "dais_reload_failures_total 1\n" in text


def test_two_reloads_at_once_happen_one_after_the_other(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        about(server)
        with Load(server, 4) as load:
            both = [reload_in_background(folder, tmp_path, "--backend") for _ in range(3)]
            server.proc.send_signal(signal.SIGHUP)
            for process in both:
                assert process.communicate(timeout=90)[0] == "reloaded\n"
            wait_for(lambda: len(told(server, "reloaded")) == 4, "four reloads")
            load.go_on()
        assert not load.failed
        wait_for(lambda: len(told(server, "the old backend is ended")) == 3, "three ends")
        assert len(processes(folder, run_dais)) == 1


def test_a_reload_while_it_starts(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    (folder / "wait").touch()
    with serving(folder) as server:
        waiting = threading.Thread(target=lambda: about(server))
        waiting.start()
        assert run_dais("reload", folder).returncode == 0  # nothing changed: nothing to wait for
        process = reload_in_background(folder, tmp_path, "--backend")
        wait_for(lambda: len(_children_at(folder)) == 2, "two of them")
        assert process.poll() is None and waiting.is_alive()
        (folder / "go").touch()
        assert process.communicate(timeout=90)[0] == "reloaded\n"
        waiting.join(60)
        assert not waiting.is_alive()
        wait_for(lambda: len(processes(folder, run_dais)) == 1, "one of them")


def test_who_waits_for_one_that_never_starts_is_answered_by_the_next(tmp_path, run_dais):
    folder = app(tmp_path / "app", "exec sleep 1000")
    with serving(folder) as server, Conn(server, 30) as conn:
        conn.request("/api/about")
        wait_for(lambda: processes(folder, run_dais)[0]["state"] == "starting", "the first")
        app(folder)
        assert run_dais("reload", folder).returncode == 0
        assert conn.read().status == 200
        wait_for(lambda: len(processes(folder, run_dais)) == 1, "the end of the first")


def test_a_stop_during_a_reload(tmp_path):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        about(server)
        (folder / "wait").touch()
        processes_ = [reload_in_background(folder, tmp_path, "--backend") for _ in range(2)]
        wait_for(lambda: len(_children_at(folder)) == 2, "two of them")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 9  # after ten seconds they would be killed
        told_why = [process.communicate(timeout=90)[1] for process in processes_]
        assert any("stopping" in why for why in told_why)  # the other may have come too late to be read
        assert all(process.returncode != 0 for process in processes_)
        assert not _children_at(folder)


def test_an_asker_that_goes_away_changes_nothing(tmp_path):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        old = about(server)["pid"]
        (folder / "wait").touch()
        process = reload_in_background(folder, tmp_path, "--backend")
        wait_for(lambda: len(_children_at(folder)) == 2, "two of them")
        process.kill()
        process.communicate()
        (folder / "go").touch()
        wait_for(lambda: about(server)["pid"] != old, "the new one")


def test_what_is_under_way_ends_before_the_old_one_does(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server, Conn(server, 30) as conn:
        old = about(server)["pid"]
        conn.request("/api/hang")
        wait_for(lambda: processes(folder, run_dais)[0]["in_flight"] == "1", "the request")
        assert run_dais("reload", folder, "--backend").returncode == 0
        assert about(server)["pid"] != old
        row = next(row for row in processes(folder, run_dais) if row["pid"] == str(old))
        assert row["state"] == "draining" and row["in_flight"] == "1"
        time.sleep(1.5)  # longer than an idle one is given
        assert is_alive(old)
        (folder / "go").touch()
        answer = conn.read()
        assert answer.status == 200 and answer.json()["pid"] == old
        wait_for(lambda: not is_alive(old), "its end")


def test_an_old_one_is_not_started_again(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=", health: { path: /health, every: 1s, timeout: 10s, restart_after: 1 }")
    with serving(folder) as server, Conn(server, 30) as conn:
        old = about(server)["pid"]
        conn.request("/api/hang")
        wait_for(lambda: processes(folder, run_dais)[0]["in_flight"] == "1", "the request")
        assert run_dais("reload", folder, "--backend").returncode == 0
        os.kill(old, signal.SIGKILL)
        (folder / "go").touch()
        assert conn.read().status in (200, 502)  # or asked again of the new one
        wait_for(lambda: [row["state"] for row in processes(folder, run_dais)] == ["ready"], "one of them")
        assert len(told(server, "the backend is ready")) == 2 and not told(server, "the backend ended")


def test_a_tunnel_goes_on_after_a_switch(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    with serving(folder) as server, Conn(server, 30) as conn, Conn(server, 60) as events:
        old = about(server)["pid"]
        assert conn.request("/api/tunnel", headers=upgrade).read().status == 101
        events.request("/api/events")
        wait_for(lambda: processes(folder, run_dais)[0]["in_flight"] == "2", "both")
        assert run_dais("reload", folder, "--backend").returncode == 0
        assert about(server)["pid"] != old
        socket = WebSocket(conn.sock)
        socket.send(TEXT, b"still there")
        assert socket.read() == (TEXT, b"still there", True)
        wait_for(lambda: told(server, "the old backend is ended"), "its end", 90)
        line = told(server, "the old backend is ended")[0]
        assert line["cut"] == 2 and 29_000 < line["ms"] < 45_000
        assert socket.closed()[0] == 1001


def test_a_reload_without_room_for_the_new_one_is_refused(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        pid = about(server)["pid"]
        os.rmdir(folder / "data/run")
        (folder / "data/run").write_text("in the way")
        app(folder, more=", env: { NEW: yes }")
        done = run_dais("reload", folder)
        assert done.returncode != 0 and "the backend of app cannot be run: the folder" in done.stderr
        assert about(server)["pid"] == pid
        (folder / "data/run").unlink()
        assert run_dais("reload", folder).returncode == 0
        assert about(server)["env"]["NEW"] == "yes"


def test_an_environment_no_process_can_have_is_told(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        app(folder, more=", env: { " + ", ".join(f"V{i}: {'x' * 9000}" for i in range(40)) + " }, instances: 64")
        done = run_dais("reload", folder)
        assert "cannot be run: its environment has 41 variables of 351 KB" in done.stderr
        assert about(server)["pid"]


def test_a_backend_that_cannot_be_run_is_not_ready(tmp_path):
    folder = app(tmp_path / "app")
    (folder / "data").mkdir()
    (folder / "data/run").write_text("in the way")
    with serving(folder) as server:
        answer = server.fetch("/readyz")
        assert answer.status == 503 and answer.json()["checks"] == {"backend:app": "failing"}


def test_sockets_of_a_killed_server_are_taken_away(tmp_path):
    folder = app(tmp_path / "app", RUN + " # at $DAIS_SOCKET")
    for _ in range(2):
        with serving(folder) as server:
            about(server)
            assert len(os.listdir(folder / "data/run")) == 1
            server.kill()
    with serving(folder) as server:
        about(server)
        assert len(os.listdir(folder / "data/run")) == 1
    assert not os.listdir(folder / "data/run")


def test_many_reloads_of_a_changing_manifest_leave_nothing_behind(tmp_path, run_dais):
    socket = RUN + " # at $DAIS_SOCKET"
    variants = [(RUN, ""), (socket, ", env: { A: b }, instances: 2"), (RUN, ", health: /health, setup: 'true'"),
                (socket, ", persist: [ kept ], cache: 1MB"), (socket, ", setup: 'echo $A', env: { A: c }")]
    folder = app(tmp_path / "app")
    with serving(folder, env={"DAIS_THREADS": "3"}) as server:
        about(server)
        with Load(server, 4) as load:
            for run, more in variants * 4:
                app(folder, run, more)
                with open(folder / "dais.yaml", "a") as file:
                    file.write("limits: { 'GET /api/about': 1000000/min }\n" if len(more) % 2 else "")
                done = run_dais("reload", folder)
                assert done.returncode == 0, done.stderr
                load.go_on(10)
            app(folder)
            assert run_dais("reload", folder).returncode == 0
        assert not load.failed, load.failed[:5]
        wait_for(lambda: len(processes(folder, run_dais)) == 1, "one of them")
        wait_for(lambda: open_files(server.proc.pid) < 60, "closed descriptors")
        assert not os.listdir(folder / "data/run") and len(_children_at(folder)) == 1
