# Apps with jobs behind the test server: a worker that does what its input says, and streams of events.
"""
with jobs(database, MANIFEST) as server:       on SQLite or Postgres, in a folder that workers may read
steps(["say", {...}], ["wait", gate])          an input for the worker `workers/steps`
queued(server, TYPE, input)                    the job, as the answer shows it
ended(server, id)                              the job once it is over
Stream(server, path)                           events as they come: .next(), .until("state"), .rest()
best(bar, measure)                             a bar in time, met by one of several tries
"""
import contextlib
import json
import pathlib
import shutil
import tempfile
import time

from conftest import DEADLINE, Conn, wait_for
from documents import call, store

# Each step is a list: say VALUE, log TEXT, wait PATH (until it is there), call METHOD PATH BODY, keep PATH
# (of its token), exit CODE, flood N.
WORKER = """#!/usr/bin/python3
# Does what its input says, step by step; what it called is its result.
import json, os, sys, time, urllib.error, urllib.request
answers = []
def call(method, path, body=None):
    request = urllib.request.Request(os.environ["DAIS_API"] + path, method=method, headers={
        "Authorization": "Bearer " + os.environ["DAIS_TOKEN"], "Content-Type": "application/json"},
        data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answers.append([answer.status, answer.read().decode()])
    except urllib.error.HTTPError as answer:
        answers.append([answer.code, answer.read().decode()])
for name, *rest in json.load(sys.stdin)["steps"]:
    if name == "say":
        print(json.dumps(rest[0]), flush=True)
    elif name == "log":
        print(rest[0], file=sys.stderr, flush=True)
    elif name == "flood":
        for i in range(rest[0]):
            print(f"line {i} " + "x" * 80, file=sys.stderr)
        sys.stderr.flush()
    elif name == "wait":
        while not os.path.exists(rest[0]):
            time.sleep(0.005)
    elif name == "call":
        call(*rest)
    elif name == "keep":  # its token, which no log and no result shows
        with open(rest[0] + ".new", "w") as file:
            file.write(os.environ["DAIS_TOKEN"])
        os.rename(rest[0] + ".new", rest[0])
    elif name == "exit":
        sys.exit(rest[0])
print(json.dumps({"result": {"answers": answers, "id": os.environ["DAIS_JOB_ID"]}}))
"""
SCHEMA = {"type": "object", "required": ["steps"], "additionalProperties": False,
          "properties": {"steps": {"type": "array", "items": {"type": "array", "minItems": 1}}}}
FILES = {"workers/steps": WORKER, "schemas/steps.json": json.dumps(SCHEMA)}


@contextlib.contextmanager
def public_folder():
    """Workers of a server that runs as root are somebody else: pytest's own folders are closed to them."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dais-jobs-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_programs(folder):
    for program in folder.glob("workers/*"):
        program.chmod(0o755)


@contextlib.contextmanager
def jobs(database, manifest, files=None, env=None):
    with public_folder() as folder:
        given = {**FILES, **(files or {})}
        for path, text in given.items():  # before the server looks whether they are programs
            file = folder / "app" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        make_programs(folder / "app")
        with store(database, folder, manifest, given, env) as server:
            server.folder = folder
            server.open_folder = folder / "open"  # where workers may write
            server.open_folder.mkdir()
            server.open_folder.chmod(0o777)
            yield server


def steps(*each):
    return {"steps": [list(step) for step in each]}


def queued(server, kind, order, user="ann", query="", **headers):
    answer = call(server, "POST", f"/api/jobs/{kind}{query}", order, user, **headers)
    assert answer.status == 202, answer
    return answer.json()


def job(server, ident, user="ann"):
    answer = call(server, "GET", f"/api/jobs/{ident}", user=user)
    assert answer.status == 200, answer
    return answer.json()


def ended(server, ident, user="ann", deadline=DEADLINE):
    over = ("succeeded", "failed", "cancelled")
    return wait_for(lambda: (found := job(server, ident, user))["state"] in over and found, "the end", deadline)


def running(server, ident, user="ann"):
    return wait_for(lambda: (found := job(server, ident, user))["state"] == "running" and found, "the start")


def away_from_midnight():
    """Days are UTC's: what a test counts by the day must not be of two."""
    wait_for(lambda: time.time() % 86400 < 86400 - 60, "the next day", 70)


def best(bar, measure, tries=6):
    """Below it at least once: others use this machine, too."""
    took = []
    while not took or took[-1] >= bar:
        assert len(took) < tries, took
        took.append(measure())


class Event:
    def __init__(self, text):
        fields = [line.partition(":") for line in text.split("\n")]
        values = {}
        for name, _, value in fields:
            values.setdefault(name, []).append(value.removeprefix(" "))
        self.id = values.get("id", [None])[-1]
        self.kind = values.get("event", [None])[-1]
        self.data = json.loads("\n".join(values["data"])) if "data" in values else None
        self.is_comment = "" in values and self.data is None

    def __repr__(self):
        return f"<{self.kind} {self.id} {str(self.data)[:200]}>"


class Stream:
    """An event stream over a connection of its own. Comments and `retry` are not events."""

    def __init__(self, server, path, user="ann", deadline=DEADLINE, headers=()):
        self.conn, self.text, self.is_over = Conn(server, deadline), b"", False
        who = [("X-Test-User", user)] if user else []
        self.conn.request(path, headers=[*who, *headers])
        self.head = self.conn.read("HEAD")
        self.deadline = deadline

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def _chunk(self):
        until = time.monotonic() + self.deadline
        size = int(self.conn._line(until, "a chunk's size"), 16)  # pylint: disable=protected-access
        if size:
            self.text += self.conn._exactly(size, until, "a chunk")  # pylint: disable=protected-access
        self.conn._exactly(2, until, "a chunk's end")  # pylint: disable=protected-access
        self.is_over = size == 0

    def next(self):
        """The next event; None when the stream is over."""
        while True:
            while b"\n\n" not in self.text:
                if self.is_over:
                    assert not self.text, self.text
                    return None
                self._chunk()
            frame, self.text = self.text.split(b"\n\n", 1)
            event = Event(frame.decode())
            if event.kind:
                return event

    def until(self, kind, like=lambda event: True):
        """Events up to the first of that kind, that one included."""
        found = []
        while (event := self.next()) is not None:
            found.append(event)
            if event.kind == kind and like(event):
                return found
        raise AssertionError(f"no {kind} among {found}")

    def rest(self):
        found = []
        while (event := self.next()) is not None:
            found.append(event)
        return found
