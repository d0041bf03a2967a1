# Jobs under kill -9 of workers, servers and the database: each ends as it may, none runs twice at once.
"""DAIS_SEED repeats a run of the random tests as far as the machine lets it."""
import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import threading
import time

import pytest

import postgres
from conftest import Broken, Conn, Server, clean_env, descendants, process_table, wait_for
from documents import TEST_BIN, call
from jobs_api import job, make_programs, public_folder, queued
from serving import write_app

NEEDS_POSTGRES = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
LEASE = 30  # seconds; JOB_LEASE_MS
LOST_MAX = 5
SLOW = 60   # for a start or an answer on a machine with all of this going on
USERS = ["ann", "bob", "eve", "kim", "lea"]

# The lock is held by all of its tree for as long as any of it is there, and the kernel lets go of it: who does not get
# it is the second one at the same time.
WORKER = """#!/bin/sh
# Does what its input says, and shows by a lock whether anybody does the same job just now.
read -r input
exec 9>>"@/locks/$DAIS_JOB_ID"
flock -n -E 99 9
case $? in
0) ;;
99) echo "$DAIS_JOB_ID" >>"@/twice" ;;
*) kill -KILL $$ ;; # it was flock that was killed
esac
attempt=${HOME##*-}
echo "$DAIS_JOB_ID $attempt" >>"@/began"
case "$input" in
*slow*) sleep 0.05 ;;
*fail*) exit 3 ;;
*again*) [ "$attempt" -ge 3 ] || exit 75 ;;
*stubborn*) exit 75 ;;
*crash*) kill -SEGV $$ ;;
*orphan*) sleep 300 & ;;
*hang*) exec sleep 300 ;;
*gate*) while ! [ -e "@/gate" ]; do sleep 0.05; done ;;
esac
echo "$DAIS_JOB_ID $attempt" >>"@/ended"
echo '{"result":"done"}'
"""
MANIFEST = """web: { root: web }
collections: { notes: { owner: true } }
jobs:
  nothing: { use: nothing, concurrency: 0, rules: { run: signed_in } }
  followed: { use: nothing, concurrency: 0, on: work.succeeded }
  noted: { use: nothing, concurrency: 0, on: notes.created }
  work:
    run: workers/work
    concurrency: { total: 12, per_user: 6 }
    timeout: 2m
    retries: { max: 50, backoff: 20ms..200ms }
  twice: { run: workers/work, concurrency: 4, timeout: 2m, retries: { max: 1, backoff: 20ms..200ms } }
  plain: { run: workers/work, concurrency: 20, timeout: 10m, retries: 0 }
  long: { run: workers/work, concurrency: 30, timeout: 10m, retries: { max: 50, backoff: 20ms..200ms } }
"""


# ---- servers that are killed and come back -----------------------------------------------------
def kind_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


class Seat:
    """A server of an app with a data folder of its own; whoever sits there, it has the same folder."""

    def __init__(self, stand, name):
        self.stand, self.data, self.server = stand, stand.folder / name, None
        self.lock = threading.Lock()
        self.start()

    def start(self):
        env = clean_env(self.stand.app, {"DAIS_LOG": "json", **self.stand.env})
        command = [TEST_BIN, "serve", self.stand.app, "--data", self.data, "--listen", "127.0.0.1:0"]
        server = Server(command, env, self.stand.app)
        try:
            self.server = server.wait_ready(SLOW)
        except BaseException:
            server.proc.kill()
            server.proc.wait()
            raise

    def kill(self):
        self.server.kill()
        assert not self.running(), self.running()

    def stop(self):
        self.server.stop(deadline=SLOW)

    def running(self):
        """Processes of jobs that this server began, however deep."""
        below = descendants(self.server.proc.pid)
        return [pid for pid, _ in below if kind_of(pid) not in ("dais-runner", "dais-spawner")]

    def runners(self):
        return [pid for pid, _ in descendants(self.server.proc.pid) if kind_of(pid) == "dais-runner"]

    def spawner(self):
        return next((pid for pid, _ in descendants(self.server.proc.pid) if kind_of(pid) == "dais-spawner"), None)

    def scratch(self):
        """What is left of folders of runs."""
        mark = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        of_root = pathlib.Path("/var/lib/dais-jobs", mark, "app")
        places = [place for place in (self.data / "apps/app/jobs", of_root) if place.exists()]
        assert places or not self.server or self.server.proc.poll() is not None
        return [path for place in places for path in place.iterdir()]


class Stand:
    """An app, its database, and seats for servers."""

    def __init__(self, folder, url, names):
        self.folder, self.open = folder, folder / "open"
        self.env = {"DATABASE_URL": url} if url else {}
        files = {"web/index.html": "hello", "workers/work": WORKER.replace("@", str(self.open))}
        self.app = write_app(folder / "app", files, MANIFEST)
        make_programs(self.app)
        (self.open / "locks").mkdir(parents=True)
        for path in (self.open, self.open / "locks"):
            path.chmod(0o777)
        self.seats = []
        try:
            for name in names:
                self.seats.append(Seat(self, name))
        except BaseException:
            self.close()
            raise

    def lines(self, name):
        with contextlib.suppress(FileNotFoundError):
            return (self.open / name).read_text().splitlines()
        return []

    def began(self):
        return collections.Counter(line.split()[0] for line in self.lines("began"))

    def is_exact(self):
        """No job ran twice at once, and no attempt began twice."""
        assert not self.lines("twice"), self.lines("twice")
        several = [line for line, n in collections.Counter(self.lines("began")).items() if n > 1]
        assert not several, several

    def figure(self, name):
        text = self.seats[0].server.fetch("/metrics", deadline=SLOW).body.decode()
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M)
        assert values, text[:2000]
        return sum(map(float, values))

    def close(self):
        """Whatever happened: stopped ones go on, and nothing is left."""
        for seat in self.seats:
            with contextlib.suppress(ProcessLookupError):
                seat.server.proc.send_signal(signal.SIGCONT)
        for seat in self.seats:
            seat.stop()
        left = [path for seat in self.seats for path in seat.scratch()]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        assert not left, left
        assert not self.processes()

    def processes(self):
        """Of any job of this app: they have its folder in their environment or arguments."""
        mark, found = str(self.open).encode(), []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if b"DAIS_JOB_ID=" in (environ := (entry / "environ").read_bytes()) and any(
                        mark in os.readlink(fd).encode() for fd in (entry / "fd").iterdir()):
                    found.append((entry.name, environ))
        return found


@contextlib.contextmanager
def stand(url, *names):
    with public_folder() as folder, contextlib.closing(Stand(folder, url, names)) as made:
        yield made


@contextlib.contextmanager
def on_postgres(*names, **settings):
    with postgres.Postgres(**settings) as db, stand(db.url, *names) as made:
        made.db = db
        yield made


# ---- a plan, and who carries it out ------------------------------------------------------------
@dataclasses.dataclass
class Wish:
    kind: str
    type: str
    may_be: set
    text: object = None
    query: str = ""
    user: str = ""
    after: object = None   # a Wish
    cancels: bool = False
    ident: str = ""


OK, CANCELLED = {"succeeded"}, {"cancelled"}
#          name             share per 1000, type, allowed ends, options
KINDS = [("nothing",        760, "nothing", OK, {}),
         ("delayed",        60,  "nothing", OK, {"query": "?delay={delay}s"}),
         ("patient",        20,  "nothing", OK, {"query": "?priority={priority}"}),
         ("withdrawn",      20,  "nothing", CANCELLED, {"query": "?delay=1h", "cancels": True}),
         ("ok",             30,  "work", OK, {}),
         ("slow",           20,  "work", OK, {}),
         ("again",          8,   "work", OK, {}),
         ("orphan",         4,   "work", OK, {}),
         ("fail",           12,  "work", {"exit_code"}, {}),
         ("slow, perhaps",  10,  "work", {"succeeded", "cancelled"}, {"cancels": True}),
         ("crash",          6,   "twice", {"signal"}, {}),
         ("stubborn",       4,   "twice", {"try_again", "signal"}, {}),
         ("hang",           6,   "long", CANCELLED, {}),
         ("note",           20,  "", OK, {}),
         ("next",           15,  "nothing", OK, {"after": "ok"}),
         ("next work",      3,   "work", OK, {"after": "slow"}),
         ("in vain",        2,   "nothing", {"dependency_failed"}, {"after": "fail"})]


def make_plan(rng, size):
    plan = []
    for kind, share, name, may_be, more in KINDS:
        for _ in range(share * size // 1000):
            options = dict(more, after=None)
            query = options.pop("query", "").format(delay=rng.randrange(1, 6), priority=-rng.randrange(101))
            plan.append(Wish(kind, name, may_be, {"do": kind}, query, **options))
    rng.shuffle(plan)
    for n, wish in enumerate(plan):
        wish.user = USERS[rng.randrange(len(USERS))]
        needs = dict((kind, more.get("after")) for kind, _, _, _, more in KINDS)[wish.kind]
        if needs:
            before = [other for other in plan[:n] if other.kind == needs and not other.cancels]
            if before:
                wish.after = rng.choice(before)
                wish.user = wish.after.user
            else:
                wish.kind, wish.may_be, wish.type = "nothing", OK, "nothing"
    return plan


class Asker(threading.Thread):
    """Asks for its share of the plan, each until it is acknowledged, at whichever server answers."""

    def __init__(self, made, plan, seed):
        super().__init__(daemon=True)
        self.stand, self.plan, self.rng = made, plan, random.Random(seed)
        self.conn = self.error = None

    def run(self):
        try:
            for n, wish in enumerate(self.plan):
                self.ask(wish, f"{self.name}-{n}")
                time.sleep(self.rng.uniform(0, 0.01))  # so that there is something to ask for while servers die
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.error = error
        finally:
            self.hang_up()

    def hang_up(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def post(self, path, user, body, key=None):
        """The first answer that is one; a server that is away or not ready is asked again, or another."""
        until, answer = time.monotonic() + SLOW, None
        pairs = [("X-Test-User", user), ("Content-Type", "application/json")]
        pairs += [("Idempotency-Key", key)] if key else []
        while time.monotonic() < until:
            try:
                if not self.conn:
                    self.conn = Conn(self.rng.choice(self.stand.seats).server, SLOW)
                answer = self.conn.request(path, "POST", pairs, json.dumps(body).encode()).read("POST")
                if answer.status < 500 and not (answer.status == 409 and key):  # 409: the first one is under way
                    return answer
            except (OSError, Broken) as error:
                answer = error
            self.hang_up()
            time.sleep(0.02)
        raise AssertionError(f"POST {path} was not done within {SLOW} s: {answer} {getattr(answer, 'body', None)}")

    def ask(self, wish, key):
        if wish.kind == "note":
            answer = self.post("/api/notes", wish.user, {"text": key}, key)
            assert answer.status == 201, answer
            return
        query = wish.query
        if wish.after:
            wait_for(lambda: wish.after.ident, "what it waits for", SLOW)
            query = f"?after={wish.after.ident}"
        answer = self.post(f"/api/jobs/{wish.type}{query}", wish.user, wish.text, key)
        assert answer.status == 202, (wish, answer, answer.body)
        wish.ident = answer.json()["id"]
        if wish.cancels:
            self.cancel(wish)

    def cancel(self, wish):
        answer = self.post(f"/api/jobs/{wish.ident}/cancel", wish.user, {})
        assert answer.status in (200, 202), (wish, answer, answer.body)


def children(pid):
    return [child for child, (parent, _) in process_table().items() if parent == pid]


class Killer:
    """kill -9 of a worker or a runner every now and then, of a spawner once, of servers and the database as told."""

    WEIGHTS = {"worker": 30, "runner": 8, "spawner": 1, "server": 3, "database": 4}

    def __init__(self, made, rng, workers, servers, databases):
        self.stand, self.rng = made, rng
        self.did = collections.Counter()
        self.left = {"worker": workers, "runner": workers // 4, "spawner": 1, "server": servers, "database": databases}

    def work(self, seconds):
        """On the main thread: a Postgres ends with the thread that started it. Longer where all of it is slow."""
        least = {name: n // 4 for name, n in self.left.items() if name in ("worker", "server", "database")}
        began = time.monotonic()
        while any(self.left.values()) and (time.monotonic() - began < seconds or (
                time.monotonic() - began < 6 * seconds and any(self.did[name] < n for name, n in least.items()))):
            time.sleep(self.rng.uniform(0.02, 0.25))
            what = self.rng.choices(list(self.left), [self.WEIGHTS[name] * bool(n) for name, n in self.left.items()])[0]
            if getattr(self, what)():
                self.left[what] -= 1
                self.did[what] += 1

    def kill(self, pids):
        if not pids:
            return False
        pid = self.rng.choice(pids)
        since = process_table().get(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: process_table().get(pid, (0, 0))[1] != (since or (0, ""))[1], "its end", SLOW)
        return True

    def worker(self):
        return self.kill(self.rng.choice(self.stand.seats).running())

    def runner(self):
        return self.kill(self.rng.choice(self.stand.seats).runners())

    def spawner(self):
        """A runner that dies together with it may leave something behind: docs/decisions/0005. So none does: what
        killed ones have left is gone before, and all that is below it before the next one is killed."""
        pid = self.rng.choice(self.stand.seats).spawner()
        if not pid:
            return False
        wait_for(lambda: all(kind_of(child) == "dais-runner" for child in children(pid)), "no orphans", SLOW)
        below = descendants(pid)
        done = self.kill([pid])
        wait_for(lambda: not below & {(it, since) for it, (_, since) in process_table().items()}, "their end", SLOW)
        return done

    def server(self):
        seat = self.rng.choice(self.stand.seats)
        seat.kill()
        seat.start()
        return True

    def database(self):
        self.stand.db.kill()
        self.stand.db.start()
        return True


def everything(made):
    """All jobs as their owners see them: id -> row."""
    found = {}
    for user in USERS:
        after = ""
        while after is not None:
            path = f"/api/jobs?limit=1000{after and '&after=' + after}"
            page = call(made.seats[0].server, "GET", path, user=user, deadline=SLOW).json()
            found.update((item["id"], item) for item in page["items"])
            after = page["next"]
    return found


def end_of(row):
    return row["error"]["code"] if row["state"] == "failed" else row["state"]


def is_allowed(wish, rows):
    row, end = rows[wish.ident], end_of(rows[wish.ident])
    if end == "lost":  # one that was there whenever a server died
        return row["attempt"] > LOST_MAX
    if wish.after and end_of(rows[wish.after.ident]) != "succeeded":
        return end == "dependency_failed"
    return end in wish.may_be


def account(made, plan):
    """Each job that was acknowledged is there, in an end that its kind allows; and no others but what they led to."""
    rows = everything(made)
    wishes = {wish.ident: wish for wish in plan if wish.ident}
    assert len(wishes) == sum(wish.kind != "note" for wish in plan)
    missing = set(wishes) - set(rows)
    assert not missing, missing
    wrong = [(wish.kind, rows[ident]) for ident, wish in wishes.items() if not is_allowed(wish, rows)]
    assert not wrong, wrong[:5]
    extra = collections.Counter(row["type"] for ident, row in rows.items() if ident not in wishes)
    succeeded = sum(row["type"] == "work" and row["state"] == "succeeded" for row in rows.values())
    assert extra == {"followed": succeeded, "noted": sum(wish.kind == "note" for wish in plan)}
    began = made.began()
    for ident, row in rows.items():
        assert row["ended"] and row["state"] in ("succeeded", "failed", "cancelled"), row
        assert began[ident] <= row["attempt"], (row, began[ident])  # an attempt may be over before its program began
        if row["type"] in ("work", "twice", "long") and row["state"] == "succeeded":
            assert f"{ident} {row['attempt']}" in made.ended, row  # the last attempt is the one that succeeded
    made.is_exact()
    assert made.figure("dais_jobs_running") == 0 and made.figure("dais_jobs_queued") == 0
    return collections.Counter((row["type"], end_of(row)) for row in rows.values())


def is_over(made):
    return (made.figure("dais_jobs_queued") + made.figure("dais_jobs_running") == 0 and
            all(row["ended"] for row in everything(made).values()))


def storm(made, size, workers, servers, databases=0):
    seed = int(os.environ.get("DAIS_SEED", time.time_ns() % 1_000_000))
    print(f"DAIS_SEED={seed}")
    rng, began = random.Random(seed), time.monotonic()
    plan = make_plan(rng, size)
    askers = [Asker(made, plan[n::4], seed + n) for n in range(4)]
    killer = Killer(made, random.Random(seed + 10), workers, servers, databases)
    for asker in askers:
        asker.start()
    killer.work(20)
    for asker in askers:
        asker.join()
        if asker.error:
            raise asker.error
    asked = time.monotonic()
    for wish in plan:
        if wish.kind == "hang":
            askers[0].cancel(wish)
    askers[0].hang_up()
    wait_for(lambda: is_over(made), "the end of all jobs", LEASE + SLOW)
    made.ended = set(made.lines("ended"))
    ends = account(made, plan)
    print(f"{len(plan)} asked for in {asked - began:.0f} s, over after {time.monotonic() - began:.0f} s; {killer.did}")
    print(dict(ends))
    wait_for(lambda: not any(seat.scratch() for seat in made.seats), "what killed servers left to be swept", SLOW)
    assert killer.did["worker"] >= workers // 4 and killer.did["server"] and killer.did["database"] >= databases // 2


@NEEDS_POSTGRES
def test_five_thousand_jobs_on_two_servers_that_are_killed():
    with on_postgres("here", "there") as made:
        storm(made, 5000, workers=60, servers=4)
        at = (said := made.db.log()).find("deadlock detected")  # a second each
        assert at < 0, said[at:at + 2000]


def test_a_thousand_jobs_on_one_server_that_is_killed():
    with stand(None, "data") as made:
        storm(made, 1000, workers=40, servers=5)


@NEEDS_POSTGRES
def test_jobs_while_the_database_is_killed():
    with on_postgres("here", "there") as made:
        storm(made, 1000, workers=20, servers=1, databases=4)


# ---- one thing at a time -----------------------------------------------------------------------
def at_gate(seat):
    return [pid for pid in seat.running() if kind_of(pid) == "work"]


def wait_at_gate(made, seats, each):
    """Jobs that wait for the gate, at least so many at each of these servers: their ids."""
    idents = []
    while any(len(at_gate(seat)) < each for seat in seats):
        assert len(idents) < 30, list(map(at_gate, made.seats))
        seat = min(seats, key=lambda seat: len(at_gate(seat)))
        idents.append(queued(seat.server, "long", {"do": "gate"})["id"])
        wait_for(lambda: idents[-1] in made.began(), "its start", SLOW)
    return idents


def all_succeed(made, idents, seat, deadline=SLOW):
    (made.open / "gate").touch()
    return [wait_for(lambda i=ident: (found := job(seat.server, i))["state"] == "succeeded" and found, "its end",
                     deadline) for ident in idents]


@NEEDS_POSTGRES
def test_jobs_of_a_server_that_died_or_stands_still_go_on_elsewhere():
    """One that stands still (SIGSTOP, a machine that swaps) cannot end its workers: their runners do."""
    with on_postgres("dies", "stands", "goes on") as made:
        dies, stands, goes_on = made.seats
        idents = wait_at_gate(made, [dies, stands], 3)
        theirs = len(at_gate(dies)), len(at_gate(stands))
        assert min(theirs) >= 3
        stands.server.proc.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        dies.kill()
        made.seats.remove(dies)
        for path in dies.scratch():  # of a server that never comes back
            shutil.rmtree(path)
        wait_for(lambda: len(made.began()) == len(idents) and sum(made.began().values()) >= len(idents) + sum(theirs),
                 "the others' jobs to go on", LEASE + SLOW)
        print(f"{theirs} jobs went on after {time.monotonic() - began:.0f} s")
        assert not stands.running() and not made.lines("twice")
        stands.server.proc.send_signal(signal.SIGCONT)
        rows = all_succeed(made, idents, goes_on)
        assert {row["attempt"] for row in rows} <= {1, 2}
        made.is_exact()
        assert len(made.lines("ended")) == len(idents)
        after = queued(stands.server, "work", {"do": "ok"})["id"]  # it is a server as before
        all_succeed(made, [after], stands)


def hold_a_claim(db):
    """Until it is cancelled."""
    with contextlib.suppress(RuntimeError):
        db.query("BEGIN; SET search_path TO app; SELECT pg_advisory_xact_lock(hashtextextended("
                 "'dais lock ' || current_schema() || ' job:nothing', 0)); SELECT pg_sleep(55); COMMIT")


@NEEDS_POSTGRES
def test_a_claim_that_stands_still_holds_nothing_else_up():
    """Of a server that was stopped in the middle of it, or of a machine that is gone: its connection lives on."""
    with on_postgres("data") as made:
        server = made.seats[0].server
        assert all_succeed(made, [queued(server, "nothing", None)["id"]], made.seats[0])  # by now there is a schema
        held = threading.Thread(target=hold_a_claim, args=(made.db,))
        held.start()
        asleep = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        wait_for(lambda: made.db.query("SELECT 1 " + asleep), "the lock", SLOW)
        waits = queued(server, "nothing", None)["id"]
        for _ in range(5):
            assert all_succeed(made, [queued(server, "work", {"do": "ok"})["id"]], made.seats[0], 20)
        assert held.is_alive() and job(server, waits)["state"] == "queued"
        made.db.query("SELECT pg_cancel_backend(pid) " + asleep)
        held.join()
        assert all_succeed(made, [waits], made.seats[0], 20)


def test_a_server_that_stops_returns_what_it_runs():
    """As if it had not begun: neither a try nor a loss, however often."""
    with stand(None, "data") as made:
        seat = made.seats[0]
        idents = [queued(seat.server, "plain", {"do": "gate"})["id"] for _ in range(20)]
        for stops in range(LOST_MAX + 2):
            wait_for(lambda n=stops: sum(made.began().values()) == 20 * (n + 1), "twenty workers", SLOW)
            assert {row["state"] for row in everything(made).values()} == {"running"}
            if stops <= LOST_MAX:
                seat.stop()
                assert not made.processes() and not seat.scratch()
                seat.start()
        rows = all_succeed(made, idents, seat)
        assert {row["attempt"] for row in rows} == {LOST_MAX + 2}
        made.is_exact()
