# Events: who did what, and what should not have happened; bounded, for operators only, without a secret in them.
import json
import pathlib
import subprocess
from urllib.parse import quote

import pytest

from conftest import DAIS_BIN, clean_env, wait_for
from documents import DATABASES, TEST_BIN, call, problem, store
from serving import serving, write_app

OP = "op;operator"
PASSWORD = "correct horse battery 4711"
MANIFEST = """
auth: { signup: open }
collections: { notes: { owner: true } }
"""


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with store(request.param, tmp_path_factory.mktemp("events"), MANIFEST) as server:
        yield server


def events(server, query="", user=OP):
    answer = call(server, "GET", f"/_/events?{query}", user=user)
    assert answer.status == 200, (answer.status, answer.body)
    return answer.json()


def some(server, query, least=1):
    """Those events, once there are so many."""
    def look():
        items = events(server, query)["items"]
        return items if len(items) >= least else None
    return wait_for(look, f"{least} events for {query}")


def log_in(server, email, password):
    return call(server, "POST", "/api/auth/login", {"email": email, "password": password}, user=None)


def test_only_operators_see_them(db):
    problem(call(db, "GET", "/_/events", user=None), 401)
    problem(call(db, "GET", "/_/events", user="ann"), 403)
    problem(call(db, "GET", "/_/events", user="ann;role=admin;role=operator"), 403)
    problem(call(db, "GET", "/_/events", user="op;operator;scope=read"), 403)  # a key of an operator
    problem(call(db, "GET", "/_/events", user="bad"), 401)
    assert call(db, "GET", "/_/events", user="op;operator;scope=admin").status == 200
    answer = call(db, "GET", "/_/events", user=OP)
    assert answer.status == 200 and answer.get("Cache-Control") == "no-store"
    assert call(db, "POST", "/_/events", {}, user=OP).status == 405


@pytest.mark.parametrize("query", ["kind=account.none", "limit=0", "limit=1001", "limit=x", "anomalies=1", "foo=1",
                                   "app=other", "kind=%00", "after=x", "after=01K810G06C6FCQ1VCDI7"])
def test_a_question_that_is_wrong_is_said_so(db, query):
    problem(call(db, "GET", f"/_/events?{query}", user=OP), 400)


def test_what_is_asked_is_never_sql(db):
    for text in ("' OR 1=1 --", "%27%3b+DROP+TABLE+dais_events", "~~", "\u00e4", "x" * 3000):
        assert events(db, f"who={quote(text)}")["items"] == []
        assert call(db, "GET", f"/_/events?after={quote(text)}", user=OP).status == 400


def test_failed_sign_ins_are_one_event_with_a_count_and_no_password(db):
    answer = call(db, "POST", "/api/auth/signup", {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"},
                  user=None)
    assert answer.status == 201, answer.body
    token, account = answer.json()["token"], answer.json()["user"]["id"]
    for _ in range(3):
        assert log_in(db, "ann@example.com", "another password 815").status in (401, 429)
    assert log_in(db, "secret-typed-as-address@example.com", "another password 815").status in (401, 429)
    failed = wait_for(lambda: [item for item in events(db, "kind=account.sign_in_failed")["items"]
                               if item["object"] == account], "the failed sign-ins")
    assert len(failed) == 1
    assert failed[0]["anomaly"] and failed[0]["ip"] == "127.0.0.1" and failed[0]["request"] and failed[0]["id"]
    trail = events(db, "kind=account.sign_up")["items"]
    assert [item["who"] for item in trail] == [account] and not trail[0]["anomaly"] and trail[0]["count"] == 1
    whole = json.dumps(events(db, "limit=1000"))
    for secret in (PASSWORD, "another password 815", token, "secret-typed-as-address"):
        assert secret not in whole, secret


def test_pages_and_filters(db):
    items, after = [], ""
    for _ in range(50):
        page = events(db, f"limit=1&after={after}")
        items += page["items"]
        after = page["next"]
        if not after:
            break
    assert len(items) >= 2 and len({item["id"] for item in items}) == len(items)
    assert [item["id"] for item in items] == sorted((item["id"] for item in items), reverse=True)
    assert all(item["anomaly"] for item in events(db, "anomalies=true")["items"])
    who = next(item["who"] for item in items if item["who"])
    assert {item["who"] for item in events(db, f"who={who}")["items"]} == {who}


def test_many_refusals_are_an_anomaly(db):
    for _ in range(19):
        assert call(db, "GET", "/_/events", user="eve").status == 403
    assert not [item for item in events(db, "kind=access.denied_often")["items"] if item["who"] == "eve"]
    for _ in range(12):
        assert call(db, "GET", "/_/events", user="eve").status == 403
    assert some(db, "kind=access.denied_often&who=eve")[0]["count"] >= 1
    assert not events(db, "kind=access.denied_often&who=ann")["items"]
    text = db.fetch("/metrics").body.decode()
    line = next(line for line in text.splitlines() if 'kind="access.denied_often"' in line)
    assert int(line.split()[-1]) >= 10


def test_a_backend_that_ends_is_told(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "x", "run.sh": "exit 3\n"},
                    "web: { root: web }\nbackend: { run: sh run.sh, routes: [ /b/ ] }\n"
                    "collections: { notes: { owner: true } }\n")
    with serving(app, "--data", tmp_path / "data") as server:
        items = wait_for(lambda: server.fetch("/_/events?kind=backend.ended").json()["items"], "the end")
        assert items[0]["object"] == "instance 0" and "3" in items[0]["detail"] and items[0]["who"] == ""


def command(app, data, *args):
    done = subprocess.run([DAIS_BIN, "events", app, "--data", data, *args], capture_output=True, text=True, timeout=60,
                          env=clean_env(app), check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_reads_beside_a_server_and_without_one(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "x"}, "web: { root: web }\n" + MANIFEST)
    data = tmp_path / "data"
    assert command(app, data)[:2] == (0, "")  # nothing was stored yet
    with serving(app, "--data", data, program=TEST_BIN) as server:
        answer = call(server, "POST", "/api/auth/signup", {"email": "a@b.example", "password": PASSWORD}, user=None)
        assert answer.status == 201
        token = answer.json()["token"]
        code, out, _ = command(app, data)
        assert code == 0 and "account.sign_up" in out and "127.0.0.1" in out
        assert log_in(server, "a@b.example", "not the password").status == 401
    # stopping writes what was only in memory
    code, out, _ = command(app, data, "--anomalies", "--json")
    found = json.loads(out)
    assert code == 0 and found["app"] == "app" and found["next"] is None
    assert [item["kind"] for item in found["items"]] == ["account.sign_in_failed"]
    assert command(app, data, "--kind", "account.sign_in_failed")[1].count("\n") == 1
    code, _, err = command(app, data, "--kind", "odd")
    assert code == 1 and "odd" in err
    assert command(app, data, "--limit", "0")[0] == 1
    for file in pathlib.Path(data).rglob("*"):
        if file.is_file():
            assert PASSWORD.encode() not in file.read_bytes() and token.encode() not in file.read_bytes(), file


def test_the_hosts_own_are_not_a_reason_for_its_database(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "x"}, "web: { root: web }\ncollections: { notes: {} }\n")
    with serving(app, "--data", tmp_path / "data", program=TEST_BIN) as server:
        assert server.fetch("/").status == 200
    assert not (tmp_path / "data/host.db").exists()


def test_without_a_database_there_are_none(tmp_path):
    app = write_app(tmp_path / "app", {"web/index.html": "x"})
    with serving(app, "--data", tmp_path / "data") as server:
        assert server.fetch("/_/events").status == 404
        assert server.fetch("/_/events", host="evil.example").status == 401
