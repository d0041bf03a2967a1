# Limits on routes: who is counted and by what, what a refused request gets, and what a flood costs.
import threading
import time

import pytest

from backend import backend, ok
from conftest import Conn, wait_for
from serving import resident_kb, serving, write_app
from test_identity import TEST_BIN

TRUST = {"DAIS_TRUSTED_PROXIES": "loopback"}


def app(folder, url, limits, tail="auth: { signup: open }\n", name=None):
    return write_app(folder, {"web/index.html": "home", "web/file.txt": "a file"},
                     f"web: {{ root: web }}\nbackend: {{ url: \"{url}\", routes: [ /api/ ] }}\n"
                     f"limits: {{ {limits} }}\n{tail}", name)


@pytest.fixture(name="behind", scope="module")
def fixture_behind():
    with backend(lambda request, _: ok(request.target.encode())) as behind:
        yield behind


def left(answer):
    return tuple(answer.get(f"ratelimit-{name}") for name in ("limit", "remaining", "reset"))


def statuses(server, n, path="/api/x", **options):
    return [server.fetch(path, **options).status for _ in range(n)]


def test_what_an_answer_says(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 3/min, \"GET /\": 100/day")) as server:
        began = time.monotonic()
        found = [left(server.fetch("/api/x")) for _ in range(3)]
        no = server.fetch("/api/x")
        late = int(time.monotonic() - began) + 1  # a second that is over is one less to wait
        for (limit, remaining, reset), count, most in zip(found, "210", (20, 40, 60)):
            assert (limit, remaining) == ("3", count) and most - late <= int(reset) <= most, found
        assert found[0][2] == "20"
        assert no.status == 429 and no.json()["code"] == "too_many_requests"
        assert no.get("content-type") == "application/problem+json" and no.get("cache-control") == "no-store"
        assert left(no)[:2] == ("3", "0") and 60 - late <= int(left(no)[2]) <= 60
        assert 1 <= int(no.get("retry-after")) <= 20
        page = server.fetch("/api/x", headers={"Accept": "text/html,*/*;q=0.8"})
        assert page.status == 429 and page.get("content-type").startswith("text/html") and page.get("retry-after")
        # files are counted by their own row, errors and 304 too, and say so
        etag = server.fetch("/file.txt").get("etag")
        same = server.fetch("/file.txt", headers={"If-None-Match": etag})
        assert same.status == 304 and left(same)[:2] == ("100", "98")
        gone = server.fetch("/gone")
        assert gone.status == 404 and left(gone)[:2] == ("100", "97")
        assert left(server.fetch("/file.txt", method="POST")) == (None, None, None)
        assert left(server.fetch("/healthz")) == (None, None, None)
    assert len(behind.requests) == 3


ROWS = "\"POST /api/jobs/\": 2/min, \"GET /api/free/\": off, \"* /api/\": 4/min, \"GET /api/jobs/\": 3/min"


@pytest.mark.parametrize("method, path, allowed", [
    ("POST", "/api/jobs/a", 2), ("POST", "/api/jobs", 2), ("GET", "/api/jobs/a", 3), ("HEAD", "/api/jobs/a", 3),
    ("PUT", "/api/jobs/a", 4), ("GET", "/api/free/a", 6), ("POST", "/api/free/a", 4), ("PROPFIND", "/api/x", 4),
    ("GET", "/api/jobsx", 4), ("GET", "/elsewhere", 6),
    # no spelling gets around a row
    ("POST", "/API/jobs/a", 2), ("POST", "/api//jobs/a", 2), ("POST", "/api/x/../jobs/a", 2),
    ("POST", "/api/%6aobs/a", 2), ("POST", "/api/JOBS/a", 2), ("POST", "/api/jobs;x/a", 2), ("post", "/api/jobs/a", 2),
    ("POST", "/api/free/..;/jobs/a", 2), ("POST", "/api/%256aobs/a", 2), ("POST", "/api/jobs./a", 2),
])
def test_which_row_counts(tmp_path, behind, method, path, allowed):
    with serving(app(tmp_path / "app", behind.url, ROWS)) as server:
        found = statuses(server, 6, path, method=method)
        assert [status == 429 for status in found] == [False] * allowed + [True] * (6 - allowed)


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_asked_for_in_a_header_counts_too(tmp_path, behind, name):
    with serving(app(tmp_path / "app", behind.url, '"POST /api/": 100/min, "DELETE /api/": 2/min')) as server:
        assert statuses(server, 3, method="POST", headers={name: "delete"}) == [200, 200, 429]
        assert statuses(server, 3, method="POST", headers={name: "PUT"}) == [200] * 3


def test_rows_count_apart_and_paths_of_one_together(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, ROWS)) as server:
        assert statuses(server, 3, "/api/jobs/a", method="POST") == [200, 200, 429]
        assert server.fetch("/api/jobs/b", method="POST").status == 429
        assert statuses(server, 3, "/api/jobs/b") == [200, 200, 200]
        assert server.fetch("/api/jobs/b").status == 429


def test_nothing_at_all_is_a_rate_too(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 0/day")) as server:
        no = server.fetch("/api/x")
        assert (no.status, no.get("retry-after"), left(no)) == (429, "86400", ("0", "0", "0"))


# ---- who is counted ----------------------------------------------------------------------------------
def test_accounts_are_counted_wherever_they_are(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 2/min"), program=TEST_BIN, env=TRUST) as server:
        def get(who, address):
            return server.fetch("/api/x", headers={"X-Test-User": who, "X-Forwarded-For": address}).status
        assert [get("alice", "1.1.1.1"), get("alice", "2.2.2.2"), get("alice", "3.3.3.3")] == [200, 200, 429]
        assert [get("bob", "1.1.1.1"), get("", "1.1.1.1"), get("", "1.1.1.1"), get("", "1.1.1.1")] == [200] * 3 + [429]
        # trying out credentials is counted by address, too
        assert [get("bad", "4.4.4.4"), get("bad", "4.4.4.4"), get("bad", "4.4.4.4"), get("", "4.4.4.4")] == [
            401, 401, 429, 429]
        assert get("alice-2", "4.4.4.4") == 200


@pytest.mark.parametrize("tail", ["", "auth: { local: none }\n"])
def test_the_local_user_is_never_counted(tmp_path, behind, tail):
    with serving(app(tmp_path / "app", behind.url, "\"* /\": 1/day", tail)) as server:
        answer = server.fetch("/api/x")
        assert answer.status == 200 and left(answer) == (None, None, None)
        assert statuses(server, 5) == [200] * 5
        assert statuses(server, 3, host="other.example") == [200, 429, 429]
        assert statuses(server, 2, headers={"X-Forwarded-For": "9.9.9.9"}) == [429, 429]


def test_a_header_from_nobody_we_trust_changes_nothing(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 2/min")) as server:
        found = [server.fetch("/api/x", headers={name: f"6.6.6.{i}"}).status for i, name in enumerate(
            ["X-Forwarded-For", "X-Real-IP", "X-Forwarded-For", "CF-Connecting-IP", "X-Client-IP"])]
        found += [server.fetch("/api/x", headers={"Forwarded": "for=6.6.6.9"}).status]
        assert found == [200, 200, 429, 429, 429, 429]


def test_the_nearest_hop_nobody_trusts_is_the_client(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 1/min"),
                 env={"DAIS_TRUSTED_PROXIES": "loopback, 10.0.0.0/8"}) as server:
        def get(hops):
            return server.fetch("/api/x", headers={"X-Forwarded-For": hops}).status
        assert [get("1.1.1.1"), get("2.2.2.2"), get("1.1.1.1")] == [200, 200, 429]
        # what stands left of it is what the client says
        assert [get("7.7.7.1, 3.3.3.3"), get("7.7.7.2, 3.3.3.3"), get("7.7.7.3, 3.3.3.3, 10.1.1.1")] == [200, 429, 429]
        assert [get("7.7.7.1"), get("7.7.7.2")] == [200, 200]  # nobody was counted for it


def test_a_home_of_ipv6_is_one_address(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 2/min"), env=TRUST) as server:
        def get(hop):
            return server.fetch("/api/x", headers={"X-Forwarded-For": hop}).status
        assert [get("2001:db8::1"), get("2001:db8::2"), get("2001:db8::ffff:0:3")] == [200, 200, 429]
        assert [get("2001:db8:0:1::1"), get("::ffff:5.5.5.5"), get("5.5.5.5"), get("5.5.5.5"), get("5.5.5.6")] == [
            200, 200, 200, 429, 200]


def test_apps_count_apart(tmp_path, behind):
    for name in ("one", "two"):
        app(tmp_path / name, behind.url, "\"GET /api/\": 1/min")
    (tmp_path / "host.yaml").write_text("apps: [ one, two ]\n")
    with serving(tmp_path) as server:
        assert [server.fetch(f"/{name}/api/x").status for name in ("one", "two", "one", "two")] == [200, 200, 429, 429]


# ---- over time ---------------------------------------------------------------------------------------
def test_a_reload_forgets_nothing_that_stayed(tmp_path, behind, run_dais):
    folder = app(tmp_path / "app", behind.url, "\"GET /api/\": 1/day, \"GET /file.txt\": 1/day")
    with serving(folder) as server:
        assert statuses(server, 2) == [200, 429] and statuses(server, 2, "/file.txt") == [200, 429]
        app(tmp_path / "app", behind.url, "\"GET /api/\": 1/day, \"GET /file.txt\": 2/day")
        assert run_dais("reload", folder).returncode == 0
        assert statuses(server, 1) == [429] and statuses(server, 2, "/file.txt") == [200, 200]


def test_tokens_come_back(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /api/\": 20/s")) as server, Conn(server) as conn:
        def ask():
            return conn.request("/api/x").read()
        wait_for(lambda: ask().status == 429, "running out")
        answer = ask()
        assert answer.status == 200 or answer.get("retry-after") == "1"
        wait_for(lambda: ask().status == 200, "a token coming back")


def test_a_refused_body_is_not_read(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"POST /api/\": 0/min")) as server, Conn(server) as conn:
        conn.send(b"POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n")
        answer = conn.read("POST")
        assert answer.status == 429 and not answer.interim and answer.get("connection") == "close"


def test_threads_count_together(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /file.txt\": 50/day"), env={"DAIS_THREADS": "4"}) as server:
        found = []

        def ask():
            for _ in range(20):
                found.append(server.fetch("/file.txt").status)
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found.count(200) == 50 and found.count(429) == 110


def test_many_addresses_take_no_more_room(tmp_path, behind):
    with serving(app(tmp_path / "app", behind.url, "\"GET /file.txt\": 3/day", "auth: { local: none }\n"),
                 env=TRUST) as server:
        def ask(conn, address):
            return conn.request("/file.txt", headers={"X-Forwarded-For": address}).read().status
        with Conn(server) as conn:
            assert [ask(conn, "9.9.9.9") for _ in range(4)] == [200, 200, 200, 429]
            wait_for(lambda: list((tmp_path / "app").rglob("app.db")), "the event of it, in a database")
            ask(conn, "9.9.9.8")
            before = resident_kb(server.proc.pid)
            for i in range(20000):
                assert ask(conn, f"1.{i >> 16}.{i >> 8 & 255}.{i & 255}") == 200
            assert ask(conn, "9.9.9.9") == 429  # it is still known
        assert resident_kb(server.proc.pid) - before < 8192  # 20,000 of them, and what a sanitizer keeps
