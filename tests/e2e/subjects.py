# Everybody who may ask a real server: sessions by bearer and cookie, a role, an operator, keys, and those that ended.
"""
people = everybody(place)       signs them up at a server that is running; place has .server, .app, .data, .env
people.ways["ann"]              what a request of hers carries: (headers, Host)
people.ids["ann"]               her id; people.emails["ann"] the address that she proved
expire(place)                   while no server runs: the sessions that are to end by time have
"""
import contextlib
import json
import re
import sqlite3
import subprocess
from urllib.parse import urlencode

from accounts_api import PASSWORD, ask, cookie_of, joined, letter, link, logged_in
from conftest import DAIS_BIN, clean_env, wait_for

HOST = "desk.example"  # not this machine's name: who asks there is never `local`
OPERATOR = re.compile(r"/_/sign-in\?operator=(dln_[\w-]+)")
KEYS = {  # keys of ann, and their scopes
    "reader": ["read"], "writer": ["write"], "both": ["read", "write"], "read one": ["read:mine"],
    "write one": ["write:mine"], "both of one": ["read:mine", "write:mine"],
    "another's": ["read:pub", "write:pub"], "neither": ["jobs", "files"], "admin": ["admin"],
    "narrow": ["read:mine", "write:mine", "read:expr", "write:field", "read:pub"], "removed": ["read", "write"],
}


class People:
    def __init__(self):
        self.ways = {None: ([], HOST), "stranger": ([], HOST), "local": ([], "localhost")}
        self.ids, self.emails = {"local": "local"}, {}

    def bearer(self, name, token, user=None):
        self.ways[name] = ([("Authorization", f"Bearer {token}")], HOST)
        if user:
            self.ids[name] = user

    def cookie(self, name, cookie, user=None):
        self.ways[name] = ([("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")], HOST)
        if user:
            self.ids[name] = user


def run(place, *words):
    done = subprocess.run([DAIS_BIN, *words, "--data", place.data], cwd=place.app, text=True, timeout=120,
                          env=clean_env(place.app, place.env), capture_output=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


def add_ann_and_bob(place, people):
    """Bob says that ann's address is his; he cannot prove it."""
    server = place.server
    ann = joined(server, "ann")
    proof = link(letter(server, ann.email), "verify")
    assert ask(server, "POST", "/api/auth/verify", {"token": proof}, token=ann.token).status == 200
    answer = ask(server, "POST", "/api/auth/signup", {"email": ann.email, "password": "bob's own one", "name": "bob"})
    assert answer.status == 201, answer
    people.bearer("ann", ann.token, ann.id)
    people.cookie("bob", cookie_of(answer), answer.json()["user"]["id"])
    people.emails["ann"] = ann.email
    assert people.ids["ann"] != people.ids["bob"]
    return ann


def add_operator(place, people):
    """By the link that the console shows as long as there is none."""
    found = wait_for(lambda: OPERATOR.search(place.server.stdout), "the operator's link")
    body = {"do": "operator", "token": found[1], "email": "op@example.com", "new_password": PASSWORD, "name": "Op"}
    answer = ask(place.server, "POST", "/_/sign-in", urlencode(body).encode(), cookie="none=1",
                 Content_Type="application/x-www-form-urlencoded")
    assert answer.status == 303, answer
    people.cookie("op", cookie_of(answer))
    me = ask(place.server, "GET", "/api/auth/me", cookie=cookie_of(answer)).json()
    assert me["operator"] is True, me
    people.ids["op"], people.emails["op"] = me["id"], "op@example.com"


def add_ended(place, people, ann):
    """Signed out; over, once expire() was called; an account that was shut."""
    server = place.server
    ended, late, disabled = logged_in(server, ann), logged_in(server, ann), joined(server, "dis")
    assert ask(server, "POST", "/api/auth/logout", token=ended).status == 204
    people.bearer("ended", ended)
    people.bearer("late bearer", late)
    people.cookie("late", people.ways["bob"][0][0][1].split("=")[0] + "=" + late)
    run(place, "user", "disable", disabled.id)
    people.bearer("disabled", disabled.token)
    found = [session["id"] for session in ask(server, "GET", "/api/auth/sessions", token=late).json()["items"]
             if session["current"]]
    place.late_session, = found


def add_keys(place, people, ann):
    def key(scopes, **who):
        answer = ask(place.server, "POST", "/api/keys", {"name": "robot", "scopes": scopes}, **who)
        assert answer.status == 201, answer
        return answer.json()
    for name, scopes in KEYS.items():
        made = key(scopes, token=ann.token)
        people.bearer(name, made["key"], ann.id)
    assert ask(place.server, "DELETE", f"/api/keys/{made['id']}", token=ann.token).status == 204  # the last: "removed"
    assert ask(place.server, "POST", "/api/keys", {"name": "x", "scopes": []}, token=ann.token).status == 422
    robot = json.loads(run(place, "key", "add", "robot", "--scopes", "read,write", "--roles", "editor", "--json"))
    people.bearer("robot", robot["token"], robot["key"]["id"])


def everybody(place):
    people = People()
    ann = add_ann_and_bob(place, people)
    ed = joined(place.server, "ed")
    run(place, "user", "roles", ed.id, "--roles", "editor")
    people.bearer("ed", ed.token, ed.id)
    add_operator(place, people)
    add_ended(place, people, ann)
    add_keys(place, people, ann)
    return people


def expire(place):
    sql = f"UPDATE dais_sessions SET expires = 5 WHERE id = '{place.late_session}'"
    if place.postgres:
        place.postgres.query("SET search_path TO app; " + sql)
        return
    with contextlib.closing(sqlite3.connect(place.data / "apps" / "app" / "app.db")) as db, db:
        assert db.execute(sql).rowcount == 1
