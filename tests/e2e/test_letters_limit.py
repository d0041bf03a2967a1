# How many letters sign-ups can have sent to one address, and that its owner gets in all the same.
import contextlib

import pytest

import postgres
from accounts_api import AUTH, NO_LIMITS, ask, address, desk, joined, letter, letters, link
from conftest import wait_for
from documents import DATABASES
from serving import serving, write_app

AN_HOUR = 5


@pytest.fixture(name="db", params=DATABASES, scope="module")
def fixture_db(request, tmp_path_factory):
    with desk(request.param, tmp_path_factory.mktemp("desk"), "collections: { notes: { owner: true } }\n") as server:
        yield server


def sign_up(server, who, password):
    answer = ask(server, "POST", "/api/auth/signup", {"email": who, "password": password})
    assert answer.status == 201, answer.body
    return answer.json()


def arrived(server):
    """Letters leave in their order: what was posted before this is there."""
    letter(server, joined(server, "last").email)


def flooded(server, who, n=8):
    found = [sign_up(server, who if i % 2 else who.upper(), f"a stranger's no. {i}") for i in range(n)]
    arrived(server)
    return found


def test_beyond_five_an_hour_nothing_is_sent_and_the_answer_is_the_same(db):
    victim = address("victim")
    found = flooded(db, victim)
    assert len({tuple(sorted(one)) for one in found}) == 1
    assert {one["user"]["email_verified"] for one in found} == {False}
    assert len(letters(db, victim)) == AN_HOUR
    other = address("other")  # has its own
    flooded(db, other, 2)
    assert len(letters(db, other)) == 2


def test_letters_to_a_known_address_count_too(db):
    victim = joined(db, "known")
    proof = link(letter(db, victim.email), "verify")
    assert ask(db, "POST", "/api/auth/verify", {"token": proof}, token=victim.token).status == 200
    flooded(db, victim.email)
    found = letters(db, victim.email)
    assert len(found) == AN_HOUR and "already" in found[-1].as_string()


def test_the_owner_gets_in_all_the_same(db):
    victim = address("victim")
    mine = flooded(db, victim)[-1]  # gets no letter at first
    for n, call, kind in ((6, "reset", "reset"), (7, "magic-link", "magic")):
        assert ask(db, "POST", f"/api/auth/{call}", {"email": victim}).status == 202
        link(letter(db, victim, n), kind)
    assert ask(db, "POST", "/api/auth/verify", {}, token=mine["token"]).status == 202
    proof = link(letter(db, victim, 8), "verify")
    assert ask(db, "POST", "/api/auth/verify", {"token": proof}, token=mine["token"]).status == 200


def test_many_accounts_that_ask_again_are_one_address(db):
    victim = address("victim")
    for one in flooded(db, victim, 4):
        for _ in range(3):
            assert ask(db, "POST", "/api/auth/verify", {}, token=one["token"]).status == 202
    arrived(db)
    assert len(letters(db, victim)) == 4 + AN_HOUR


def test_a_reset_ends_what_a_stranger_put_there(db):
    victim = address("victim")
    stranger = ask(db, "POST", "/api/auth/signup",
                   {"email": victim, "password": "a stranger's own", "name": "Call 555-0100"}).json()
    note = ask(db, "POST", "/api/notes", {"a": 1}, token=stranger["token"]).json()["id"]
    key = ask(db, "POST", "/api/keys", {"name": "back door", "scopes": ["read", "admin"]}, token=stranger["token"])
    assert key.status == 201, key.body
    sent = link(letter(db, victim), "verify")
    assert ask(db, "POST", "/api/auth/reset", {"email": victim}).status == 202
    proof = link(letter(db, victim, 2), "reset")
    answer = ask(db, "POST", "/api/auth/reset", {"token": proof, "password": "the owner's own"})
    assert answer.status == 200, answer.body
    user, token = answer.json()["user"], answer.json()["token"]
    assert (user["id"], user["name"], user["email_verified"]) == (stranger["user"]["id"], "", True)
    for dead in (stranger["token"], key.json()["key"]):
        assert ask(db, "GET", "/api/auth/me", token=dead).status == 401
        assert ask(db, "POST", "/api/auth/refresh", token=dead).status in (401, 403)
    assert ask(db, "POST", "/api/auth/verify", {"token": sent, "password": "a stranger's own"}).status == 400
    login = {"email": victim, "password": "a stranger's own"}
    assert ask(db, "POST", "/api/auth/login", login).status == 401
    assert ask(db, "GET", "/api/keys", token=token).json()["items"] == []
    assert len(ask(db, "GET", "/api/auth/sessions", token=token).json()["items"]) == 1
    assert ask(db, "GET", f"/api/notes/{note}", token=token).json()["a"] == 1  # documents stay


@pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
def test_replicas_count_together(tmp_path):
    app = write_app(tmp_path / "desk", {"web/index.html": "hello"}, "web: { root: web }\n" + AUTH + NO_LIMITS)
    victim = address("victim")
    with postgres.Postgres() as database, contextlib.ExitStack() as stack:
        env = {"DATABASE_URL": database.url, "DAIS_SECRET": "b7Qe0vXz3mK9tR1wYc5uJ8hLp2nD6sGa4fT"}
        servers = [stack.enter_context(serving(app, "--data", tmp_path / f"data{i}", env=env)) for i in range(2)]
        for i in range(12):
            sign_up(servers[i % 2], victim, f"a stranger's no. {i}")
        last = address("last")
        sign_up(servers[0], last, "a good long one")

        def found(to):
            return sum(f"To: {to}" in file.read_text() for file in tmp_path.glob("data?/mail/*.eml"))
        wait_for(lambda: found(last), "the last letter")
        wait_for(lambda: database.query("SELECT count(*) FROM desk.dais_mail") == [["0"]], "those of both are sent")
        assert found(victim) == AN_HOUR
