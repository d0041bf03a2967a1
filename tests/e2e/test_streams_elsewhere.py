# Open streams end when another process ends their session or key, or time does; others' streams go on.
import contextlib
import dataclasses
import json
import subprocess
import time

import pytest

import postgres
from accounts_api import ask, joined, logged_in
from backend import backend
from conftest import DAIS_BIN, Conn, clean_env, wait_for
from serving import serving, write_app
from test_who import MANIFEST, behind
from ws import TEXT, opened

pytestmark = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
SOON = 20  # seconds: a look each, and what a slow machine needs


@dataclasses.dataclass
class Pair:
    """Two servers of one app on one Postgres, and a third process that only has commands."""
    here: object
    there: object
    db: object
    app: object
    folder: object

    def sql(self, text):
        return self.db.query("SET search_path TO app; " + text)

    def command(self, *words):
        done = subprocess.run([DAIS_BIN, *words, "--data", self.folder / "third"], cwd=self.app,
                              env=clean_env(self.app, {"DATABASE_URL": self.db.url}), capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def a_pair(folder):
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(backend(behind)).url
        app = write_app(folder / "app", {"web/index.html": "hello"}, MANIFEST % url)
        db = stack.enter_context(postgres.Postgres())
        here, there = (stack.enter_context(serving(app, "--data", folder / name, env={"DATABASE_URL": db.url}))
                       for name in ("here", "there"))
        yield Pair(here, there, db, app, folder)


@pytest.fixture(name="pair", scope="module")
def fixture_pair(tmp_path_factory):
    with a_pair(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


class Streams:
    """Events and a WebSocket of who has this token, both begun."""

    def __init__(self, server, token, stack):
        self.conn = stack.enter_context(Conn(server))
        self.conn.request("/b/in/events", headers={"Authorization": f"Bearer {token}"})
        while b"data: 1" not in self.conn.left:
            assert self.conn._more(time.monotonic() + 30)  # pylint: disable=protected-access
        self.socket = stack.enter_context(opened(server, "/ws", [("Authorization", f"Bearer {token}")]))

    def end(self, within):
        until = time.monotonic() + within
        while self.conn._more(until):  # pylint: disable=protected-access
            pass
        assert b"\r\n0\r\n" not in self.conn.left  # cut, not ended
        self.socket.sock.settimeout(within)
        assert self.socket.closed() == (1008, "the session has ended")

    def are_open(self):
        self.socket.send(TEXT, b"still")
        assert self.socket.read() == (TEXT, b"still", True)
        self.conn.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.conn.sock.recv(1)
        self.conn.sock.setblocking(True)


def key(pair, token):
    made = ask(pair.there, "POST", "/api/keys", {"name": "k", "scopes": ["read", "write"]}, token=token)
    assert made.status == 201, made.body
    return made.json()["key"], made.json()["id"]


def fine(answer):
    assert answer.status in (200, 202, 204), answer


def log_out(pair, ann):
    fine(ask(pair.there, "POST", "/api/auth/logout", token=ann.token))


def everywhere(pair, ann):
    fine(ask(pair.there, "DELETE", "/api/auth/sessions", token=logged_in(pair.there, ann)))


def new_password(pair, ann):
    fine(ask(pair.there, "POST", "/api/auth/password", {"current": ann.password, "password": "another long one"},
             token=logged_in(pair.there, ann)))


def leave(pair, ann):
    fine(ask(pair.there, "DELETE", "/api/auth/me", {"password": ann.password}, token=logged_in(pair.there, ann)))


def disable(pair, ann):
    pair.command("user", "disable", ann.email)


def run_out(pair, ann):
    pair.sql(f"UPDATE dais_sessions SET expires = {int(time.time() * 1000) + 700} WHERE user_id = '{ann.id}'")


@pytest.mark.parametrize("way", [log_out, everywhere, new_password, leave, disable, run_out],
                         ids=lambda way: way.__name__)
def test_streams_end_with_a_session_that_ends_elsewhere(pair, way):
    ann, bob = joined(pair.here, "ann"), joined(pair.here, "bob")
    with contextlib.ExitStack() as stack:
        streams, others = Streams(pair.here, ann.token, stack), Streams(pair.here, bob.token, stack)
        way(pair, ann)
        streams.end(SOON)
        others.are_open()


def test_a_new_password_elsewhere_leaves_the_session_that_set_it(pair):
    ann = joined(pair.here, "ann")
    own = logged_in(pair.there, ann)
    with contextlib.ExitStack() as stack:
        streams, kept = Streams(pair.here, ann.token, stack), Streams(pair.here, own, stack)
        fine(ask(pair.there, "POST", "/api/auth/password", {"current": ann.password, "password": "another long one"},
                 token=own))
        streams.end(SOON)
        kept.are_open()


@pytest.mark.parametrize("way", ["removed", "run out", "disabled"])
def test_streams_end_with_a_key_that_ends_elsewhere(pair, way):
    ann = joined(pair.here, "ann")
    (token, name), (other, _) = key(pair, ann.token), key(pair, joined(pair.here, "bob").token)
    with contextlib.ExitStack() as stack:
        streams, others = Streams(pair.here, token, stack), Streams(pair.here, other, stack)
        session = Streams(pair.here, ann.token, stack)
        if way == "removed":
            fine(ask(pair.there, "DELETE", f"/api/keys/{name}", token=ann.token))
        elif way == "run out":
            pair.sql(f"UPDATE dais_keys SET expires = {int(time.time() * 1000) + 700} WHERE id = '{name}'")
        else:
            disable(pair, ann)
        streams.end(SOON)
        others.are_open()
        if way == "disabled":
            session.end(SOON)
        else:
            session.are_open()


def test_a_refresh_elsewhere_ends_no_stream(pair):
    """Nor when the time is over that the session had when the stream began."""
    ann, bob = joined(pair.here, "ann"), joined(pair.here, "bob")
    pair.sql(f"UPDATE dais_sessions SET expires = {int(time.time() * 1000) + 8000}"
             f" WHERE user_id IN ('{ann.id}', '{bob.id}')")
    with contextlib.ExitStack() as stack:
        kept, streams = Streams(pair.here, ann.token, stack), Streams(pair.here, bob.token, stack)
        fine(ask(pair.there, "POST", "/api/auth/refresh", token=ann.token))
        streams.end(8 + SOON)
        kept.are_open()


def looks(pair):
    """How often the rows of sessions and keys were looked at, as far as Postgres has counted by now."""
    return int(pair.db.query("SELECT coalesce(sum(seq_scan + idx_scan), 0) FROM pg_stat_user_tables"
                             " WHERE relname IN ('dais_sessions', 'dais_keys')")[0][0])


def is_calm(pair):
    before, until = looks(pair), time.monotonic() + 2.5  # two looks, and the count of the first
    while time.monotonic() < until:
        if looks(pair) != before:
            return False
        time.sleep(0.1)
    return True


def test_nothing_is_read_where_nobody_streams(tmp_path):
    with a_pair(tmp_path) as pair:
        ann = joined(pair.here, "ann")
        fine(ask(pair.here, "GET", "/api/auth/me", token=ann.token))
        wait_for(lambda: is_calm(pair), "nothing to be read", 90)
        with contextlib.ExitStack() as stack:
            Streams(pair.here, ann.token, stack)
            before = looks(pair)
            wait_for(lambda: looks(pair) > before + 4, "looks at the session", 60)
        wait_for(lambda: is_calm(pair), "nothing to be read any more", 90)


def test_a_database_that_is_away_ends_only_what_time_does(tmp_path):
    with a_pair(tmp_path) as pair, contextlib.ExitStack() as stack:
        ann, bob = joined(pair.here, "ann"), joined(pair.here, "bob")
        pair.sql(f"UPDATE dais_sessions SET expires = {int(time.time() * 1000) + 10000} WHERE user_id = '{bob.id}'")
        streams, short = Streams(pair.here, ann.token, stack), Streams(pair.here, bob.token, stack)
        pair.db.stop()
        short.end(10 + 2 * SOON)
        streams.are_open()
        pair.db.start()
        streams.are_open()
        pair.sql(f"DELETE FROM dais_sessions WHERE user_id = '{ann.id}'")
        streams.end(2 * SOON)
        said = [json.loads(line)["msg"] for line in pair.here.stderr.splitlines() if line.startswith("{")]
        assert said.count("open streams go on unseen: their sessions cannot be looked at") == 1
