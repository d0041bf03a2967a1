# A backend whose health lies and whose loop can freeze: the deep path tells, and it is started again.
import contextlib
import json
import threading
import time

import pytest

from conftest import Broken, wait_for
from running import backend_pid, running, systems

QUICK = "  health: { path: /health, deep: [ /api/ready ], every: 1s, timeout: 500ms, restart_after: 2 }"
HEALTH = "  health: { path: /health, deep: [ /api/ready ] }"


def with_quick_health(app):
    file = app / "dais.yaml"
    text = file.read_text()
    assert text.count(HEALTH) == 1
    file.write_text(text.replace(HEALTH, QUICK))


@pytest.fixture(name="charts", scope="module")
def fixture_charts(tmp_path_factory):
    with running(tmp_path_factory.mktemp("story_analytics"), "story_analytics", with_quick_health) as server:
        yield server


def another_than(server, pid):
    def others():
        return [other for other in systems.backend_pids(server.proc.pid) if other != pid]
    return wait_for(others, "its restart", 60)


def test_one_with_a_dead_database_is_started_again(charts):
    pid = backend_pid(charts)
    assert charts.fetch("/api/connections/drop", method="POST").status == 200
    another_than(charts, pid)
    wait_for(lambda: charts.fetch("/api/ready", deadline=35).status == 200, "its recovery", 60)
    assert any('"level":"warn' in line or '"level":"error' in line for line in charts.stderr.splitlines())


def test_one_that_is_frozen_is_started_again_while_pages_go_on(charts):
    wait_for(lambda: len(systems.backend_pids(charts.proc.pid)) == 1, "one backend", 60)
    pid = backend_pid(charts)

    def freeze():
        with contextlib.suppress(Broken, OSError):
            charts.fetch("/api/notebooks/n/execute", method="POST", body=json.dumps({"seconds": 120}).encode(),
                         headers={"Content-Type": "application/json"}, deadline=60)
    cell = threading.Thread(target=freeze)
    cell.start()
    wrong, seconds = [], []

    def again():
        for path in ("/", "/embed/chart/x", "/assets/main-Cx8sQ4nV.js"):
            began = time.monotonic()
            if charts.fetch(path).status != 200:
                wrong.append(path)
            seconds.append(time.monotonic() - began)
        pids = systems.backend_pids(charts.proc.pid)
        return pids and pid not in pids
    wait_for(again, "its restart", 60)
    cell.join()
    assert not wrong and sorted(seconds)[len(seconds) // 2] < 1, seconds  # the machine may hold up a few of them
    wait_for(lambda: charts.fetch("/api/ready", deadline=35).status == 200, "its recovery", 60)
