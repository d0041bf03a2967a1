# Several processes of one backend: who gets a request, who keeps it, what happens when one is not there.
import os
import signal
import threading

from conftest import Conn, wait_for
from own_backend import about, app, is_alive, processes, told
from serving import serving
from test_backend_reload import Load

THREE = ", instances: 3"
STICKY = ", instances: 3, sticky: cookie"
SEVERAL_THREADS = {"DAIS_THREADS": "2"}


def all_ready(server, count=3):
    return wait_for(lambda: len(told(server, "the backend is ready")) >= count, "all of them")


def number_of(answer):
    assert answer.status == 200, answer
    return answer.json()["env"]["DAIS_INSTANCE"]


def test_each_has_a_number_an_address_and_its_share(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=THREE)
    with serving(folder, env=SEVERAL_THREADS) as server:
        all_ready(server)
        seen = [server.fetch("/api/about").json() for _ in range(30)]
        assert {one["env"]["DAIS_INSTANCE"] for one in seen} == {"0", "1", "2"}
        assert len({one["env"]["PORT"] for one in seen}) == len({one["pid"] for one in seen}) == 3
        rows = processes(folder, run_dais)
        assert [row["backend"] for row in rows] == ["app/0", "app/1", "app/2"]
        assert {int(row["pid"]) for row in rows} == {one["pid"] for one in seen}
        assert not any(answer.get("set-cookie") for answer in [server.fetch("/api/about")])


def test_the_one_with_the_fewest_requests_is_asked(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=THREE)
    with serving(folder, env=SEVERAL_THREADS) as server:
        all_ready(server)
        busy = [Conn(server, 30) for _ in range(2)]
        for count, conn in enumerate(busy):
            conn.request("/api/hang")
            wait_for(lambda n=count: sum(int(row["in_flight"]) for row in processes(folder, run_dais)) == n + 1, "it")
        free = [row["backend"][-1] for row in processes(folder, run_dais) if row["in_flight"] == "0"]
        assert len(free) == 1
        with Conn(server, 30) as conn:  # one after the other: the last is given back before the next
            assert {number_of(conn.request("/api/about").read()) for _ in range(12)} == set(free)
        (folder / "go").touch()
        for conn in busy:
            assert conn.read().status == 200
            conn.close()


def test_one_that_is_not_there_is_not_asked(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=THREE)
    with serving(folder, env=SEVERAL_THREADS) as server:
        all_ready(server)
        pid = int(processes(folder, run_dais)[1]["pid"])
        (folder / "wait").touch()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: told(server, "the backend ended"), "its end")
        assert told(server, "the backend ended")[0]["instance"] == 1
        assert {number_of(server.fetch("/api/about")) for _ in range(12)} == {"0", "2"}
        assert server.fetch("/readyz").status == 200
        (folder / "go").touch()
        all_ready(server, 4)
        assert {number_of(server.fetch("/api/about")) for _ in range(12)} == {"0", "1", "2"}


def test_a_cookie_keeps_a_visitor_with_one(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=STICKY)
    with serving(folder, env=SEVERAL_THREADS) as server:
        all_ready(server)
        first = server.fetch("/api/about")
        number = number_of(first)
        assert first.get("set-cookie") == f"dais_instance_app={number}; Path=/; HttpOnly; SameSite=Lax"
        cookie = {"Cookie": f"a=b; dais_instance_app={number}; dais_instance_ap=1"}
        for _ in range(9):
            again = server.fetch("/api/about", headers=cookie)
            assert number_of(again) == number and again.get("set-cookie") is None
        for odd in ("9", "-1", "x", "", "99999999999999999999"):
            other = server.fetch("/api/about", headers={"Cookie": f"dais_instance_app={odd}"})
            assert other.get("set-cookie").startswith(f"dais_instance_app={number_of(other)};")
        with Conn(server, 30) as conn:
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", **cookie}
            assert conn.request("/api/tunnel", headers=upgrade).read().status == 101
            assert processes(folder, run_dais)[int(number)]["in_flight"] == "1"
        (folder / "wait").touch()
        os.kill(int(processes(folder, run_dais)[int(number)]["pid"]), signal.SIGKILL)
        wait_for(lambda: told(server, "the backend ended"), "its end")
        moved = server.fetch("/api/about", headers=cookie)
        assert number_of(moved) != number
        assert moved.get("set-cookie").startswith(f"dais_instance_app={number_of(moved)};")
        (folder / "go").touch()


def test_below_a_mount_the_cookie_is_for_that_app(tmp_path):
    for name in ("one", "two"):
        app(tmp_path / "host" / name, more=STICKY)
    (tmp_path / "host" / "host.yaml").write_text("apps: [one, two]\n")
    with serving(tmp_path / "host") as server:
        all_ready(server, 6)
        answer = server.fetch("/two/api/about")
        assert answer.get("set-cookie") == \
            f"dais_instance_two={number_of(answer)}; Path=/two/; HttpOnly; SameSite=Lax"


def test_all_are_replaced_without_a_failed_request(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=STICKY)
    with serving(folder, env=SEVERAL_THREADS) as server:
        all_ready(server)
        old = {int(row["pid"]) for row in processes(folder, run_dais)}
        with Load(server) as load:
            load.go_on()
            assert run_dais("reload", folder, "--backend").returncode == 0
            load.go_on(100)
        assert not load.failed, load.failed[:5]
        new = {about(server)["pid"] for _ in range(12)}
        assert len(new) == 3 and not new & old and load.pids & new and load.pids & old
        wait_for(lambda: not any(is_alive(pid) for pid in old), "their ends")


def test_the_number_of_them_can_change(tmp_path, run_dais):
    folder = app(tmp_path / "app", more=THREE)
    with serving(folder, env=SEVERAL_THREADS) as server:
        all_ready(server)
        app(folder)
        assert run_dais("reload", folder).returncode == 0
        wait_for(lambda: len(processes(folder, run_dais)) == 1, "one of them", 60)
        assert number_of(server.fetch("/api/about")) == "0"


def test_requests_wait_for_the_first_of_them(tmp_path):
    folder = app(tmp_path / "app", more=THREE)
    (folder / "wait").touch()
    with serving(folder, env=SEVERAL_THREADS) as server:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(about(server))) for _ in range(6)]
        for thread in threads:
            thread.start()
        (folder / "go").touch()
        for thread in threads:
            thread.join(60)
        assert len(answers) == 6
