# Operators and the commands about accounts: with a server and without one, on both databases; what nobody else may do.
import contextlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess

import pytest

from accounts_api import AUTH, NO_LIMITS, PASSWORD, ask, desk, joined
from conftest import DAIS_BIN, clean_env, fetch, wait_for
from documents import DATABASES
from serving import serving, write_app

COLLECTIONS = "collections: { notes: { rules: { read: signed_in, create: signed_in, write: signed_in } } }\n"
LINK = re.compile(r"/_/sign-in\?operator=(dln_[\w-]+)")
SOMEWHERE_ELSE = {"X-Forwarded-For": "203.0.113.9"}


class Desk:
    """An app with accounts whose server comes and goes; `run` is the command line beside it."""

    def __init__(self, database, folder):
        self.database, self.folder, self.env = database, folder, {}
        self.app, self.data = folder / "desk", folder / "data"

    def run(self, *words, value="", expect=0):
        done = subprocess.run([DAIS_BIN, *map(str, words), "--data", self.data], cwd=self.app,
                              env=clean_env(self.folder, self.env), input=value, text=True, capture_output=True,
                              timeout=120, check=False)
        assert done.returncode == expect, done
        assert value.strip() not in done.stdout + done.stderr or not value, done
        return done.stderr if expect else done.stdout

    def rows(self, *words):
        return json.loads(self.run(*words, "--json"))


@pytest.fixture(name="place", params=DATABASES)
def fixture_place(request, tmp_path):
    with desk(request.param, tmp_path, COLLECTIONS) as server:
        place = Desk(request.param, tmp_path)
        place.server = server
        yield place


@pytest.fixture(name="alone")
def fixture_alone(tmp_path):
    write_app(tmp_path / "desk", {"web/index.html": "hello"}, "web: { root: web }\n" + AUTH + NO_LIMITS + COLLECTIONS)
    return Desk("sqlite", tmp_path)


def login(server, email, password=PASSWORD):
    return ask(server, "POST", "/api/auth/login", {"email": email, "password": password})


# ---- the commands ----------------------------------------------------------------------------------------

def check_a_life(place, signs_in):
    place.run("user", "add", "ann@example.com", "--roles", "editor", "--name", "Ann", value=PASSWORD)
    user = place.rows("user", "list")["users"][0]
    assert (user["email"], user["email_verified"], user["name"], user["roles"], user["state"], user["operator"]) == \
        ("ann@example.com", True, "Ann", ["editor"], "active", False)
    assert signs_in("ann@example.com", PASSWORD)
    said = place.run("user", "password", user["id"], "--generate")
    fresh = re.search(r"shown only now: (\S+)", said)[1]
    assert len(fresh) == 27 and signs_in("ann@example.com", fresh) and not signs_in("ann@example.com", PASSWORD)
    place.run("user", "roles", "ann@example.com", "--roles")
    assert place.rows("user", "show", "ann@example.com")["user"]["roles"] == []
    assert "no role `boss`" in place.run("user", "roles", "ann@example.com", "--roles", "boss", expect=1)
    place.run("user", "disable", "ann@example.com")
    assert place.rows("user", "list")["users"][0]["state"] == "disabled" and not signs_in("ann@example.com", fresh)
    place.run("user", "enable", "ann@example.com")
    assert signs_in("ann@example.com", fresh)
    assert "is an account" in place.run("user", "add", "Ann@Example.com", "--generate", expect=1)
    assert "--yes" in place.run("user", "remove", "ann@example.com", expect=1)
    place.run("user", "remove", "ann@example.com", "--yes")
    assert place.rows("user", "list")["users"] == [] and not signs_in("ann@example.com", fresh)
    assert "nobody has the address" in place.run("user", "show", "ann@example.com", expect=1)


def test_accounts_while_a_server_runs(place):
    check_a_life(place, lambda *who: login(place.server, *who).status == 200)
    assert PASSWORD not in place.server.stderr + place.server.stdout


def test_accounts_without_a_server(alone):
    def signs_in(*who):
        with serving(alone.app, "--data", alone.data) as server:
            return login(server, *who).status == 200
    check_a_life(alone, signs_in)


def test_what_ends_ends_at_once(place):
    ann = joined(place.server, "ann")
    assert ask(place.server, "GET", "/api/auth/me", token=ann.token).status == 200
    place.run("user", "disable", ann.id)
    assert ask(place.server, "GET", "/api/auth/me", token=ann.token).status == 401
    key = place.rows("key", "add", "robot", "--scopes", "read,write:notes", "--roles", "editor")
    assert ask(place.server, "GET", "/api/notes", token=key["token"]).status == 200
    assert key["token"] not in json.dumps(place.rows("key", "list"))
    place.run("key", "remove", key["key"]["id"], "--yes")
    assert ask(place.server, "GET", "/api/notes", token=key["token"]).status == 401


def test_documents_of_local_are_handed_over(tmp_path):
    place = Desk("sqlite", tmp_path)
    notes = "collections: { notes: { owner: true } }\n"
    write_app(place.app, {"web/index.html": "hello"}, "web: { root: web }\n" + notes)
    with serving(place.app, "--data", place.data) as server:
        note = ask(server, "POST", "/api/notes", {"a": 1}).json()["id"]
    write_app(place.app, {"web/index.html": "hello"}, "web: { root: web }\n" + AUTH + notes)
    place.run("user", "add", "ann@example.com", value=PASSWORD)
    assert "--yes" in place.run("user", "adopt", "ann@example.com", expect=1)
    place.run("user", "adopt", "ann@example.com", "--yes")
    with serving(place.app, "--data", place.data) as server:
        place.run("user", "adopt", "ann@example.com", "--yes")
        token = login(server, "ann@example.com").json()["token"]
        assert ask(server, "GET", f"/api/notes/{note}", token=token).json()["a"] == 1
        other = joined(server, "bob").token
        assert ask(server, "GET", f"/api/notes/{note}", token=other).status == 404


@pytest.mark.parametrize("typed, is_done", [("yes\n", True), ("no\n", False), ("y\n", False), ("\n", False),
                                            ("YES\n", False), ("yes please, all of them\n", False), ("\x04", False)])
def test_only_a_typed_yes_removes(alone, typed, is_done):
    alone.run("user", "add", "ann@example.com", value=PASSWORD)
    ours, theirs = os.openpty()
    with subprocess.Popen([DAIS_BIN, "user", "remove", "ann@example.com", "--data", alone.data], cwd=alone.app,
                          env=clean_env(alone.folder), stdin=theirs, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as asking:
        said = b""
        while not said.endswith(b"Type yes to do it: "):
            more = os.read(asking.stderr.fileno(), 1000)
            assert more, said
            said += more
        assert len(alone.rows("user", "list")["users"]) == 1  # not before
        os.write(ours, typed.encode())
        said = asking.stderr.read()
        assert asking.wait(60) == (0 if is_done else 1), said
    os.close(ours)
    os.close(theirs)
    assert is_done or b"nothing was changed" in said
    assert len(alone.rows("user", "list")["users"]) == (0 if is_done else 1)


def test_many_accounts_are_all_listed(place):
    for i in range(3):
        joined(place.server, f"p{i}")
    said = place.run("user", "list").splitlines()
    assert len(said) == 4 and len({line.index("active") for line in said[1:]}) == 1  # aligned
    assert said[0].split() == ["EMAIL", "VERIFIED", "NAME", "ROLES", "STATE", "CREATED", "ID"]


def test_the_longest_life_of_a_key_has_an_end(alone):
    assert alone.rows("key", "add", "robot", "--days", "36500")["key"]["expires"]


def test_only_its_own_word_takes_an_account_away(alone):
    ann = json.loads(alone.run("user", "add", "ann@example.com", "--json", value=PASSWORD))["user"]["id"]
    with serving(alone.app, "--data", alone.data):
        for state in ("Disabled", "", None):
            body = json.dumps({"user": ann} | ({} if state is None else {"state": state}))
            answer = fetch(alone.data / "dais.sock", "/accounts/user.state", "POST", body=body.encode())
            assert answer.status >= 400, state
        assert alone.rows("user", "show", ann)["user"]["state"] == "active"


def test_a_name_does_not_steer_the_terminal(alone):
    name = "A\u009b2Jnn \u00e9"
    assert "control characters" in alone.run("user", "add", "ann@example.com", "--name", name, value=PASSWORD, expect=1)
    alone.run("user", "add", "ann@example.com", "--name", "Ann", value=PASSWORD)
    with contextlib.closing(sqlite3.connect(next(pathlib.Path(alone.data).glob("apps/*/app.db")))) as db, db:
        db.execute("UPDATE dais_users SET name = ?", (name,))  # of a time when they were taken
    for told in (alone.run("user", "list"), alone.run("user", "show", "ann@example.com")):
        assert "A?2Jnn \u00e9" in told and "\u009b" not in told


def test_mistakes_have_sentences(alone):
    assert "no app here has accounts" in Desk.run(_without_accounts(alone), "user", "list", expect=1)
    assert alone.run("user", "add", "a@example.com", value="short7!", expect=1)
    assert "no e-mail address" in alone.run("user", "add", "nobody", "--generate", expect=1)
    assert "no scope `boss`" in alone.run("key", "add", "k", "--scopes", "boss", expect=1)
    assert "operators have none" in alone.run("key", "list", "--operator", expect=1)
    assert "choose add" in alone.run("user", "make", expect=1)
    assert "there is no app `nope`" in alone.run("user", "list", "--app", "nope", expect=1)


def _without_accounts(alone):
    other = Desk("sqlite", alone.folder / "other")
    write_app(other.app, {"web/index.html": "hello"}, "web: { root: web }\n")
    return other


def contents(folder):
    """Of all files below it; a database that is closed meanwhile takes its log along."""
    found = []
    for at, _, names in os.walk(folder):
        for file in (pathlib.Path(at, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                found += [file.read_bytes()] if file.is_file() else []
    assert found
    return found


# ---- the first operator ----------------------------------------------------------------------------------

def test_a_link_for_the_first_operator_is_on_the_console_until_there_is_one(alone):
    links = []
    for _ in range(2):
        with serving(alone.app, "--data", alone.data) as server:
            wait_for(lambda: LINK.search(server.stdout), "the link")
            links += LINK.findall(server.stdout)
            assert "dln_" not in server.stderr
            assert not any(link.encode() in kept for link in links for kept in contents(alone.data))
    assert len(set(links)) == 2
    alone.run("user", "add", "ops@example.com", "--operator", value=PASSWORD)
    with serving(alone.app, "--data", alone.data) as server:
        assert "operator" not in server.stdout
        answer = login(server, "ops@example.com")
        assert answer.status == 200 and answer.json()["token"].startswith("dst_o")
    assert "is the only operator" in alone.run("user", "disable", "ops@example.com", "--operator", expect=3)
    assert "is the only operator" in alone.run("user", "remove", "ops@example.com", "--operator", "--yes", expect=3)


def test_a_reload_that_brings_accounts_shows_the_link(alone):
    write_app(alone.app, {"web/index.html": "hello"}, "web: { root: web }\n")
    with serving(alone.app, "--data", alone.data) as server:
        for tail in (AUTH, AUTH + NO_LIMITS):  # the second brings nothing new
            write_app(alone.app, {"web/index.html": "hello"}, "web: { root: web }\n" + tail)
            assert fetch(alone.data / "dais.sock", "/reload", "POST").status == 200
            wait_for(lambda: LINK.search(server.stdout), "the link")
        assert login(server, "x@example.com").status == 401
        assert len(LINK.findall(server.stdout)) == 1 and "dln_" not in server.stderr


@pytest.mark.parametrize("auth", ["", "auth: { local: none, signup: open }\n"])
def test_no_link_where_nobody_signs_in(tmp_path, auth):
    app = write_app(tmp_path / "app", {"web/index.html": "hello"}, "web: { root: web }\n" + auth)
    with serving(app) as server:
        assert "operator" not in server.stdout and not (app / "data/host.db").exists()


def test_nobody_becomes_an_operator_without_the_link(place):
    tries = [{"operator": True}, {"roles": ["operator"]}, {"roles": ["editor"]}, {"is_operator": True}]
    for i, extra in enumerate(tries):
        answer = ask(place.server, "POST", "/api/auth/signup",
                     {"email": f"mallory{i}@example.com", "password": PASSWORD, **extra})
        if answer.status < 300:
            user = answer.json()["user"]
            assert not user["operator"] and user["roles"] == []
            token = answer.json()["token"]
            assert ask(place.server, "PATCH", "/api/auth/me", extra, token=token).status in (200, 400, 422)
            me = ask(place.server, "GET", "/api/auth/me", token=token).json()
            assert not me.get("operator") and me["roles"] == []
    assert place.rows("user", "list", "--operator")["users"] == []
    for email in ("admin", "admin@example.com", "root@localhost", "operator@example.com"):
        for password in ("admin", "password", "changeme", "dais", "12345678"):
            assert login(place.server, email, password).status in (401, 422)
    for path in ("/accounts/user.add", "/accounts/user.list", "/debug/mem", "/reload"):  # of the socket alone
        assert ask(place.server, "POST", path, {"email": "m@example.com"}).status in (404, 405)


# ---- what only operators see -----------------------------------------------------------------------------

def test_metrics_and_readiness_are_for_this_machine_and_operators(place):
    place.run("user", "add", "ops@example.com", "--operator", value=PASSWORD)
    ops, ann = login(place.server, "ops@example.com").json()["token"], joined(place.server, "ann")
    key = place.rows("key", "add", "robot", "--scopes", "read,write,admin")["token"]
    for path in ("/metrics", "/_/metrics", "/readyz", "/_/readyz"):
        def status(**who):
            return ask(place.server, "GET", path, **SOMEWHERE_ELSE, **who).status  # pylint: disable=cell-var-from-loop
        assert ask(place.server, "GET", path).status == 200  # from here
        assert status() == 403
        assert status(token=ann.token) == 403 and status(cookie=ann.cookie) == 403
        assert status(token=key) == 403
        assert status(token="dst_o" + "x" * 43) == 403 and status(token="nonsense") == 403
        assert status(token=ops) == 200
        assert ask(place.server, "GET", path, host="evil.example").status == 403  # from here, by a name of theirs
        assert ask(place.server, "GET", path, host="evil.example", token=ops).status == 200
    assert ask(place.server, "GET", "/healthz", **SOMEWHERE_ELSE).status == 200
    place.run("user", "add", "other@example.com", "--operator", value=PASSWORD)
    place.run("user", "disable", "ops@example.com", "--operator")
    assert ask(place.server, "GET", "/metrics", token=ops, **SOMEWHERE_ELSE).status == 403
    said = place.server.stderr + place.server.stdout
    assert not any(token in said for token in (ops, ann.token, key, PASSWORD))


WRITES = [("POST", "/api/notes", {"a": 1}), ("PUT", "/api/notes/x1", {"a": 1}), ("PATCH", "/api/notes/{id}", {"a": 2}),
          ("DELETE", "/api/notes/{id}", None), ("PUT", "/api/notes/{id}", {"a": 3}),
          ("POST", "/api/keys", {"name": "k", "scopes": ["write"]}), ("GET", "/api/keys", None),
          ("PATCH", "/api/auth/me", {"name": "x"}), ("DELETE", "/api/auth/me", {"password": PASSWORD}),
          ("POST", "/api/auth/password", {"current": PASSWORD, "password": PASSWORD + "!"}),
          ("DELETE", "/api/auth/sessions", None), ("DELETE", "/api/auth/sessions/x", None),
          ("GET", "/api/auth/me/export", None)]


def test_a_read_only_key_writes_nothing_by_any_way(place):
    ann = joined(place.server, "ann")
    note = ask(place.server, "POST", "/api/notes", {"a": 0}, token=ann.token).json()
    key = place.rows("key", "add", "reader", "--scopes", "read", "--user", ann.id)["token"]
    assert ask(place.server, "GET", "/api/notes", token=key).status == 200
    seen = {}
    for method, path, body in WRITES:
        seen[method, path] = ask(place.server, method, path.replace("{id}", note["id"]), body, token=key).status
    batch = ask(place.server, "POST", "/api/batch", [{"method": "POST", "path": "/notes", "body": {"a": 9}}], token=key)
    assert batch.status in (403, 400, 422) or all(one["status"] == 403 for one in batch.json()), batch
    assert set(seen.values()) == {403}, {what: status for what, status in seen.items() if status != 403}
    assert ask(place.server, "GET", f"/api/notes/{note['id']}", token=ann.token).json()["a"] == 0
    assert login(place.server, ann.email, ann.password).status == 200
