# What comes by mail: proving an address, a new password, signing in by a link; and a newcomer's whole story with curl.
import concurrent.futures
import os
import re
import subprocess

import pytest

from accounts_api import PASSWORD, address, ask, desk, joined, letter, letters, link, logged_in, problem, words
from conftest import wait_for
from documents import DATABASES

MANIFEST = "collections: { notes: { owner: true } }\n"


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with desk(request.param, tmp_path_factory.mktemp("mail"), MANIFEST) as server:
        yield server


def verified(db, name="ann"):
    account = joined(db, name)
    token = link(letter(db, account.email), "verify")
    assert ask(db, "POST", "/api/auth/verify", {"token": token}, token=account.token).status == 200
    return account


def asked(db, call, to, n, **more):
    """The token of the n-th letter, after asking for one."""
    assert ask(db, "POST", f"/api/auth/{call}", {"email": to, **more}).status == 202
    return letter(db, to, n)


def test_an_address_is_proved(db):
    ann, bob = joined(db), joined(db, "bob")
    token = link(letter(db, ann.email), "verify")
    problem(ask(db, "POST", "/api/auth/verify", {"token": token}), 401)
    problem(ask(db, "POST", "/api/auth/verify", {"token": token, "password": "not that"}), 401)
    problem(ask(db, "POST", "/api/auth/verify", {"token": token}, token=bob.token), 401)
    done = ask(db, "POST", "/api/auth/verify", {"token": token, "password": PASSWORD})
    assert done.status == 200 and done.json()["email_verified"] is True and done.json()["id"] == ann.id
    assert ask(db, "GET", "/api/auth/me", token=ann.token).json()["email_verified"] is True
    problem(ask(db, "POST", "/api/auth/verify", {"token": token, "password": PASSWORD}), 400, "malformed")
    again = ask(db, "POST", "/api/auth/verify", {}, token=bob.token)
    assert again.status == 202
    assert ask(db, "POST", "/api/auth/verify", {"token": link(letter(db, bob.email, 2), "verify")},
               token=bob.token).json()["email_verified"] is True
    problem(ask(db, "POST", "/api/auth/verify", {}), 401)


def test_a_link_signs_in_once(db):
    ann = verified(db)
    assert ask(db, "POST", "/api/auth/magic-link", {"email": ann.email.upper(), "next": "/notes/?a=1"}).status == 202
    text = letter(db, ann.email, 2)
    assert "next=%2Fnotes%2F%3Fa%3D1" in words(text)
    token = link(text, "magic")
    answer = ask(db, "POST", "/api/auth/magic-link", {"token": token})
    assert answer.status == 200 and answer.json()["user"]["id"] == ann.id
    assert answer.get("set-cookie") and answer.get("cache-control") == "no-store"
    assert ask(db, "GET", "/api/auth/me", token=answer.json()["token"]).status == 200
    problem(ask(db, "POST", "/api/auth/magic-link", {"token": token}), 400, "malformed")


def test_of_ten_who_follow_a_link_one_gets_in(db):
    ann = verified(db)
    token = link(asked(db, "magic-link", ann.email, 2), "magic")
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: ask(db, "POST", "/api/auth/magic-link", {"token": token}).status, range(10)))
    assert sorted(found) == [200] + [400] * 9


def test_links_are_good_for_one_purpose(db):
    """Hostile 7: used twice, for another purpose, after a new password."""
    ann = verified(db)
    magic = link(asked(db, "magic-link", ann.email, 2), "magic")
    reset = link(asked(db, "reset", ann.email, 3), "reset")
    for call, token in (("magic-link", reset), ("verify", reset), ("verify", magic), ("reset", magic)):
        body = {"token": token, "password": "a new password"}
        problem(ask(db, "POST", f"/api/auth/{call}", body, token=ann.token), 400)
    weak = ask(db, "POST", "/api/auth/reset", {"token": reset, "password": "short"})
    assert problem(weak, 422)[0][0] == "/password", "and the link is not used up by that"
    answer = ask(db, "POST", "/api/auth/reset", {"token": reset, "password": "a new password"})
    assert answer.status == 200 and answer.json()["user"]["id"] == ann.id and answer.get("set-cookie")
    problem(ask(db, "GET", "/api/auth/me", token=ann.token), 401)
    assert ask(db, "GET", "/api/auth/me", token=answer.json()["token"]).status == 200
    problem(ask(db, "POST", "/api/auth/reset", {"token": reset, "password": "another password"}), 400)
    problem(ask(db, "POST", "/api/auth/magic-link", {"token": magic}), 400)
    problem(ask(db, "POST", "/api/auth/login", {"email": ann.email, "password": PASSWORD}), 401)
    ann.password = "a new password"
    logged_in(db, ann)


def test_mail_leads_where_the_server_is_said_to_be(db):
    """Hostile 6: never where a request says."""
    ann = verified(db)
    for headers in ({"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        assert ask(db, "POST", "/api/auth/reset", {"email": ann.email}, **headers).status == 202
    assert ask(db, "POST", "/api/auth/reset", {"email": ann.email}, host="evil.example").status == 202
    for n in (2, 3, 4):
        text = letter(db, ann.email, n)
        link(text, "reset")
        assert "evil" not in text.as_string()


def test_who_owns_an_address_is_told_of_a_second_account(db):
    ann = verified(db)
    other = ask(db, "POST", "/api/auth/signup", {"email": ann.email, "password": "of a stranger", "name": "Evil <b>"})
    assert other.status == 201 and other.json()["user"]["email_verified"] is False
    text = words(letter(db, ann.email, 2))
    assert "already" in text and "Evil" not in text and "verify=" not in text
    back = ask(db, "POST", "/api/auth/login", {"email": ann.email, "password": PASSWORD})
    assert back.status == 200 and back.json()["user"]["id"] == ann.id


def test_nobody_gets_mail_who_is_not_here(db):
    ann, nobody = verified(db), address("nobody")
    for call in ("reset", "magic-link"):
        assert ask(db, "POST", f"/api/auth/{call}", {"email": nobody}).status == 202
    asked(db, "reset", ann.email, 2)  # later than those
    assert not letters(db, nobody)


# Each line is a newcomer's; $LINK is what they copy from the console.
BEGIN = """
set -eu
curl() { command curl -sS --fail-with-body --max-time 120 "$@"; }
"""
JOIN = """
curl -c jar $URL/api/auth/signup --json '{"email":"new@example.com","password":"a good long one","name":"New"}'
"""
STORY = """
curl $URL/api/auth/verify --json '{"token":"'${LINK##*=}'","password":"a good long one"}'
TOKEN=$(curl $URL/api/auth/login --json '{"email":"new@example.com","password":"a good long one"}' |
  sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
curl $URL/api/notes -H "Authorization: Bearer $TOKEN" --json '{"text":"mine"}'
curl $URL/api/auth/me/export -H "Authorization: Bearer $TOKEN"
curl -X DELETE $URL/api/auth/me -H "Authorization: Bearer $TOKEN" --json '{"password":"a good long one"}'
! curl $URL/api/auth/login --json '{"email":"new@example.com","password":"a good long one"}'
"""


def shell(db, script, folder, **variables):
    done = subprocess.run(["/bin/bash", "-c", BEGIN + script], cwd=folder, capture_output=True, timeout=300,
                          check=False, text=True, env={
                              "PATH": os.environ["PATH"], "URL": db.url.rstrip("/"), **variables})
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_the_story_of_a_newcomer(db, tmp_path):
    said = shell(db, JOIN, tmp_path)
    assert '"email_verified":false' in said and "dais_desk" in (tmp_path / "jar").read_text()
    printed = re.compile(r"^Mail to new@example\.com:.*\n(http\S+)\n", re.M)
    console = wait_for(lambda: printed.search(db.stdout), "the link is printed")
    said = shell(db, STORY, tmp_path, LINK=console[1])
    assert '"email_verified":true' in said and '"status":401' in said
    assert '"document":{' in said and '"text":"mine"' in said
    assert "dln_" not in db.stderr and "dst_" not in db.stderr, "the log has no tokens"
