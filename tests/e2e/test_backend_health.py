# How a backend is watched: ready, degraded, restarted, given up for a while; memory, output, figures.
import contextlib
import json
import os
import pathlib
import signal
import threading
import time

from conftest import Broken, fetch, wait_for
from backend import backend
from own_backend import RUN, about, app, is_alive, log_lines, processes, told
from serving import serving, write_app

HEALTH = ", health: { path: /health, every: 1s, timeout: 5s, restart_after: 2 }"
DEEP = ", health: { path: /health, deep: [ /api/ready ], every: 1s, timeout: 5s, restart_after: 2 }"


def readyz(server):
    answer = server.fetch("/readyz")
    return answer.status, answer.json()["checks"].get("backend:app")


# ---- ready ---------------------------------------------------------------------------------------
def test_it_is_ready_when_its_path_answers_well(tmp_path):
    folder = app(tmp_path / "app", more=HEALTH)
    (folder / "health").write_text("503")
    with serving(folder) as server:
        waiting = threading.Thread(target=lambda: about(server))
        waiting.start()
        wait_for(lambda: told(server, "the backend is not ready yet"), "the warning")
        line = told(server, "the backend is not ready yet")[0]
        assert line["path"] == "/health" and line["why"] == "it answered 503"
        assert waiting.is_alive() and not told(server, "the backend is ready")
        assert readyz(server) == (503, "starting")
        (folder / "health").write_text("204")
        waiting.join(60)
        assert not waiting.is_alive()
        assert len(told(server, "the backend is ready")) == 1 and readyz(server) == (200, "ready")


def test_the_probes_of_one_that_runs_elsewhere_only_feed_readiness(tmp_path):
    state = {"health": b"200 OK"}

    def answer(request, _):
        status = state["health"] if request.target == "/health" else b"200 OK"
        return b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nhi" % status
    with backend(answer) as behind:
        folder = write_app(tmp_path / "app", manifest="backend: { url: %s, routes: [ /api/ ]%s }\n"
                           % (json.dumps(f"http://127.0.0.1:{behind.listener.getsockname()[1]}"), HEALTH))
        with serving(folder) as server:
            wait_for(lambda: readyz(server) == (200, "ready"), "ready")
            probe = next(request for request in behind.requests if request.target == "/health")
            assert probe.get("host") == f"127.0.0.1:{behind.listener.getsockname()[1]}"
            state["health"] = b"500 Oh"
            wait_for(lambda: readyz(server) == (503, "degraded"), "degraded")
            assert server.fetch("/api/x").status == 200
            state["health"] = b"200 OK"
            wait_for(lambda: readyz(server) == (200, "ready"), "ready again")
            assert not told(server, "the backend is restarted")


def status_of(server):
    """502 too for an answer that broke off: what was under way is lost with its process."""
    try:
        return server.fetch("/api/about", deadline=40).status
    except Broken:
        return 502


# ---- degraded and restarted ------------------------------------------------------------------------
def test_a_deep_question_that_fails_is_told_and_then_well_again(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=DEEP.replace("restart_after: 2", "restart_after: 0"))
    with serving(folder) as server:
        wait_for(lambda: readyz(server) == (200, "ready"), "ready")
        pid = about(server)["pid"]
        (folder / "ready").write_text("500")
        wait_for(lambda: readyz(server) == (503, "degraded"), "degraded")
        assert about(server)["pid"] == pid
        wait_for(lambda: int(processes(folder, run_dais)[0]["probes"]) >= 3, "three failures")
        (folder / "ready").unlink()
        wait_for(lambda: readyz(server) == (200, "ready"), "well")
        lines = [line["msg"] for line in log_lines(server) if "the backend is" in line["msg"]]
        assert lines == ["the backend is ready", "the backend is degraded", "the backend is well again"]
        line = told(server, "the backend is degraded")[0]
        assert line["path"] == "/api/ready" and line["why"] == "it answered 500" and line["app"] == "app"
        assert about(server)["pid"] == pid


def test_failures_in_a_row_restart_it_less_often_each_time(tmp_path):
    folder = app(tmp_path / "app", more=DEEP.replace("restart_after: 2", "restart_after: 1"))
    with serving(folder) as server:
        pid = about(server)["pid"]
        (folder / "ready").write_text("500")
        wait_for(lambda: len(told(server, "the backend is restarted")) == 3, "three restarts", 90)
        assert [line["failed"] for line in told(server, "the backend is restarted")] == [1, 2, 4]
        assert told(server, "the backend is restarted")[0]["path"] == "/api/ready"
        (folder / "ready").unlink()
        wait_for(lambda: readyz(server) == (200, "ready"), "well")
        assert about(server)["pid"] != pid and not is_alive(pid)


@contextlib.contextmanager
def loaded(server, clients=4):
    """Clients that ask one GET after the other; gives the list their statuses go to."""
    stop, statuses = threading.Event(), []

    def ask():
        while not stop.is_set():
            statuses.append(status_of(server))
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(statuses) > 20, "load")
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def check_lost(server, statuses):
    """A GET is asked again of the next process, unless bytes of its answer had come."""
    assert set(statuses) <= {200, 502} and statuses.count(502) <= 4  # at most what each had under way
    wait_for(lambda: len(told(server, "the backend failed")) >= statuses.count(502), "a line for each")
    lost = [line["why"] for line in told(server, "the backend failed")]
    assert len(lost) == statuses.count(502) and all("within its answer" in why for why in lost), lost


def test_a_frozen_one_is_restarted_and_requests_go_on(tmp_path):
    folder = app(tmp_path / "app", more=DEEP.replace("timeout: 5s", "timeout: 2s"))
    with serving(folder) as server:
        pid = about(server)["pid"]
        with loaded(server) as statuses:
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: told(server, "the backend is restarted"), "the restart", 60)
            line = told(server, "the backend is restarted")[0]
            assert line["path"] == "/health" and line["why"] == "it did not answer in time" and line["failed"] == 2
            wait_for(lambda: not is_alive(pid), "its end")
            wait_for(lambda: len(told(server, "the backend is ready")) == 2, "the next")
            before = len(statuses)
            wait_for(lambda: len(statuses) > before + 50, "load that goes on")
        check_lost(server, statuses)


def test_killed_under_load_requests_that_had_not_begun_wait(tmp_path):
    folder = app(tmp_path / "app", more=HEALTH)
    with serving(folder) as server:
        pid = about(server)["pid"]
        with loaded(server) as statuses:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: len(told(server, "the backend is ready")) == 2, "the next")
            before = len(statuses)
            wait_for(lambda: len(statuses) > before + 50, "load that goes on")
        check_lost(server, statuses)


# ---- one that keeps ending ---------------------------------------------------------------------------
def test_one_that_keeps_ending_is_answered_for_at_once(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    (folder / "broken").touch()
    with serving(folder) as server:
        wait_for(lambda: told(server, "the backend keeps ending"), "the verdict", 90)
        seconds = []
        for _ in range(3):  # who waits at all waits half a minute
            begun = time.monotonic()
            answer = server.fetch("/api/about", deadline=60)
            seconds.append(time.monotonic() - begun)
            assert answer.status == 503
        assert min(seconds) < 2, seconds
        assert "its log says why" in answer.json()["detail"]
        assert readyz(server) == (503, "failing")
        row = processes(folder, run_dais)[0]
        assert row["backend"] == "app/0" and row["state"] == "failing" and row["last_end"] == "exit code 1"
        assert int(row["restarts"]) >= 5
        text = server.fetch("/metrics").body.decode()
        assert 'dais_backend_up{app="app",instance="0"} 0\n' in text
        assert int(text.split('dais_backend_ends_total{app="app",instance="0"} ')[1].split("\n")[0]) >= 5
        (folder / "broken").unlink()
        wait_for(lambda: server.fetch("/api/about", deadline=30).status == 200, "its return", 60)
        assert readyz(server) == (200, "ready")


# ---- what it may use -----------------------------------------------------------------------------------
def test_too_much_memory_ends_it(tmp_path):
    with serving(app(tmp_path / "app", more=", limits: { memory: 150MB }")) as server:
        pid = about(server)["pid"]
        assert server.fetch("/api/eat", method="POST", body=b"", deadline=30).status == 502
        wait_for(lambda: told(server, "the backend ended"), "its end")
        assert "it used more memory than allowed" in told(server, "the backend ended")[0]["why"]
        assert about(server)["pid"] != pid


def test_a_flood_of_output_is_bounded_and_told(tmp_path):
    with serving(app(tmp_path / "app")) as server:
        begun = time.monotonic()
        assert server.fetch("/api/flood", deadline=30).status == 200

        def counts():
            dropped = sum(line["dropped"] for line in told(server, "the backend says too much; lines were dropped"))
            said = sum("flood" in line.get("said", "") for line in log_lines(server))
            return said if said + dropped == 50_000 else None
        said = wait_for(counts, "the counts", 60)
        assert 2000 <= said <= 2000 + 1000 * (time.monotonic() - begun) and said < 50_000


def test_what_it_says_at_the_stop_does_not_hold_it_up(tmp_path):
    folder = app(tmp_path / "app")
    (folder / "chatty").write_text("1900")  # 200 KB: more than a pipe holds
    with serving(folder) as server:
        about(server)
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 9  # after ten seconds it would be killed
        assert sum("farewell" in line.get("said", "") for line in log_lines(server)) == 1900


# ---- figures -------------------------------------------------------------------------------------------
def test_debug_backends_has_a_line_per_process(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    with serving(folder) as server:
        pid = about(server)["pid"]
        slow = threading.Thread(target=lambda: server.fetch("/api/hang", deadline=90))
        slow.start()
        wait_for(lambda: processes(folder, run_dais)[0]["in_flight"] == "1", "the request")
        row = processes(folder, run_dais)[0]
        assert row["backend"] == "app/0" and int(row["pid"]) == pid and row["state"] == "ready"
        assert row["address"].startswith("127.0.0.1:") and row["restarts"] == "0" and row["last_end"] == "-"
        assert 3000 < int(row["rss_kb"]) < 200_000
        (folder / "go").touch()
        slow.join()
        wait_for(lambda: processes(folder, run_dais)[0]["in_flight"] == "0", "its end")
        assert 'dais_backend_up{app="app",instance="0"} 1\n' in server.fetch("/metrics").body.decode()
        assert fetch(pathlib.Path(folder / "data/dais.sock"), "/debug/backends").status == 200
