# What dais does itself as a job: webhooks that are signed and come once, letters, exports, pruning, and their checks.
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import DAIS_BIN, clean_env, wait_for
from documents import DATABASES, call, made, problem
from jobs_api import away_from_midnight, ended, job, jobs, queued
from serving import write_app

SECRET = "a secret of the receiver and ours"
MANIFEST = """
secrets: [HOOK_SECRET, HOOK_URL]
collections: { orders: { owner: true }, notes: { rules: { read: signed_in, create: signed_in } } }
files:
  exports: { max: 50MB, rules: { read: signed_in } }
  spaces: { scope: user, owner: true }
  small: { max: 1KB, owner: true }
  loops: { owner: true }
jobs:
  hook:
    use: http.call
    rules: { run: signed_in }
    on: [orders.created, orders.updated, orders.deleted]
    retries: { max: 4, backoff: 200ms..400ms }
    with: { url: $HOOK_URL, secret: $HOOK_SECRET, authorization: Bearer of-ours, internal: "true" }
  anywhere: { use: http.call, rules: { run: signed_in }, retries: 0 }
  letter:
    use: mail.send
    rules: { run: signed_in }
    retries: 0
    with: { to: ops@example.com, subject: An order, link: /orders }
  export:
    use: export.run
    rules: { run: signed_in }
    retries: 0
    with: { bucket: exports, path: daily/%Y-%m-%d.jsonl }
  mine:
    use: export.run
    rules: { run: signed_in }
    with: { collection: notes, bucket: spaces, path: notes.jsonl }
  too-large: { use: export.run, rules: { run: signed_in }, with: { collection: notes, bucket: small, path: x } }
  echo:
    use: export.run
    rules: { read: signed_in }
    on: [loops.created, loops.updated]
    with: { collection: orders, bucket: loops, path: x }
  prune: { use: prune.run, rules: { run: signed_in }, retries: 0 }
  meet: { use: nothing, rules: { run: signed_in } }
"""


def verified(headers, body):
    """As docs/MANIFEST.md tells receivers to do it."""
    parts = dict(part.split("=", 1) for part in headers["X-Dais-Signature"].split(","))
    wanted = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, parts["v1"]) and abs(time.time() - int(parts["t"])) < 300


def bound():
    """A port that is nobody else's, at which nobody listens yet."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


class Receiver:
    """Keeps what it is sent; `answers` are the statuses it gives, then 204. `sock`: bound, and its own from now on."""

    def __init__(self, sock=None):
        self.got, self.answers, self.lock = [], [], threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with receiver.lock:
                    receiver.got.append((self.headers, body))
                    status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        sock = sock or bound()
        self.port = sock.getsockname()[1]
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = sock
        self.server.server_activate()
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def events(self):
        with self.lock:
            return [json.loads(body) for _, body in self.got]


@pytest.fixture(name="receiver", scope="module")
def fixture_receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def env_of(port):
    return {"HOOK_SECRET": SECRET, "HOOK_URL": f"http://127.0.0.1:{port}/hook"}


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, receiver):
    with jobs(request.param, MANIFEST, env=env_of(receiver.port)) as server:
        yield server


@pytest.fixture(name="server", scope="module")
def fixture_server(receiver):
    with jobs("sqlite", MANIFEST, env=env_of(receiver.port)) as server:
        yield server


# ---- http.call ---------------------------------------------------------------------------------
def test_each_change_is_told_once_and_signed(db, receiver):
    before = len(receiver.got)
    orders = [made(db, "/api/orders", {"n": n}) for n in range(5)]
    for order in orders[:3]:
        answer = call(db, "PATCH", f"/api/orders/{order['id']}", {"n": 100},
                      Content_Type="application/merge-patch+json")
        assert answer.status == 200, answer
    assert call(db, "DELETE", f"/api/orders/{orders[4]['id']}").status == 204
    wait_for(lambda: len(receiver.got) - before >= 9, "nine deliveries")
    listed = wait_for(lambda: (all_over := call(db, "GET", "/api/jobs?type=hook&limit=50").json()["items"])
                      and len(all_over) == 9 and all(item["state"] == "succeeded" for item in all_over) and all_over,
                      "the ends", 60)
    got = receiver.got[before:]
    assert len(got) == 9
    assert all(verified(headers, body) for headers, body in got)
    assert not any(verified(headers, body + b" ") for headers, body in got)
    assert {headers["X-Dais-Job"] for headers, _ in got} == {item["id"] for item in listed}
    for headers, _ in got:
        assert headers["Idempotency-Key"] == headers["X-Dais-Job"] and headers["X-Dais-Attempt"] == "1"
        assert headers["Authorization"] == "Bearer of-ours" and headers["User-Agent"].startswith("dais/")
        assert headers["Content-Type"] == "application/json"
    told = sorted((event["event"], event["id"]) for event in map(json.loads, (body for _, body in got)))
    assert told == sorted([("orders.created", order["id"]) for order in orders]
                          + [("orders.updated", order["id"]) for order in orders[:3]]
                          + [("orders.deleted", orders[4]["id"])])
    assert all(event["by"] == "ann" for event in receiver.events()[before:])


def test_a_receiver_that_is_busy_gets_it_later(server, receiver):
    receiver.answers = [503, 429]
    before = len(receiver.got)
    over = ended(server, queued(server, "hook", {"hello": 1})["id"])
    assert over["state"] == "succeeded" and over["result"] == {"status": 204} and over["attempt"] == 3, over
    got = receiver.got[before:]
    assert [headers["X-Dais-Attempt"] for headers, _ in got] == ["1", "2", "3"]
    assert len({headers["Idempotency-Key"] for headers, _ in got}) == 1
    assert {body for _, body in got} == {b'{"hello":1}'}


def test_a_receiver_that_is_down_and_then_up():
    taken = bound()
    patient = MANIFEST.replace("max: 4, backoff: 200ms..400ms", "max: 50, backoff: 200ms..400ms")
    with jobs("sqlite", patient, env=env_of(taken.getsockname()[1])) as server:
        order = made(server, "/api/orders", {"n": 1})
        ident = call(server, "GET", "/api/jobs?type=hook").json()["items"][0]["id"]
        wait_for(lambda: (it := job(server, ident))["attempt"] >= 1 and it["state"] == "queued", "a failure")
        receiver = Receiver(taken)
        try:
            assert ended(server, ident)["state"] == "succeeded"
            assert [event["id"] for event in receiver.events()] == [order["id"]]
        finally:
            receiver.close()


def test_a_refusal_is_final(server, receiver):
    receiver.answers = [410]
    over = ended(server, queued(server, "hook", {})["id"])
    assert over["state"] == "failed" and over["attempt"] == 1, over
    assert over["error"]["code"] == "task_failed" and "410" in over["error"]["message"]


def test_an_input_reaches_nothing_of_ours(server, receiver):
    before = len(receiver.got)
    for url in (f"http://127.0.0.1:{receiver.port}/", f"http://localhost:{receiver.port}/", "http://169.254.169.254/",
                f"http://[::1]:{receiver.port}/", f"http://[::ffff:127.0.0.1]:{receiver.port}/"):
        over = ended(server, queued(server, "anywhere", {"url": url, "internal": "true"})["id"])
        assert over["state"] == "failed" and over["attempt"] == 1 and over["error"]["code"] == "task_failed", over
    assert len(receiver.got) == before


# ---- mail.send ---------------------------------------------------------------------------------
def test_a_letter_without_accounts(db):
    word = f"word-{time.monotonic_ns()}"
    order = {"text": f"Somebody ordered {word}.", "to": "other@example.com", "subject": "Free money"}
    over = ended(db, queued(db, "letter", order)["id"])
    assert over["state"] == "succeeded", over
    letters = wait_for(lambda: [text for file in (db.folder / "data/mail").glob("*.eml")
                                if word in (text := file.read_text())], "the letter")
    assert len(letters) == 1 and "To: ops@example.com" in letters[0] and "Subject: An order" in letters[0]
    assert "/orders" in letters[0] and "other@example.com" not in letters[0] and "Free money" not in letters[0]


def test_a_letter_that_says_nothing(server):
    over = ended(server, queued(server, "letter", {})["id"])
    assert over["state"] == "failed" and "`text` is missing" in over["error"]["message"], over


# ---- export.run --------------------------------------------------------------------------------
def files_of_size(folder, size):
    found = []
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # one that just goes
            if file.is_file() and file.stat().st_size == size:
                found.append(file)
    return found


def test_an_export_is_what_the_api_exports(db):
    away_from_midnight()
    lines = b"".join(json.dumps({"n": n, "text": "x" * 2000}).encode() + b"\n" for n in range(1200))
    answer = call(db, "POST", "/api/notes/import", lines, Content_Type="application/jsonl")
    assert answer.status == 200, answer
    over = ended(db, queued(db, "export", {"collection": "notes", "path": "other", "bucket": "spaces"})["id"])
    assert over["state"] == "succeeded" and over["progress"] == 1, over
    path = time.strftime("daily/%Y-%m-%d.jsonl", time.gmtime())
    wanted = call(db, "GET", "/api/notes/export").body
    assert over["result"] == {"path": path, "size": len(wanted), "documents": 1200}
    file = call(db, "GET", f"/api/files/exports/{path}")
    assert file.status == 200 and file.body == wanted
    again = ended(db, queued(db, "export", {"collection": "notes"})["id"])  # the same content, once more
    assert again["state"] == "succeeded", again
    assert call(db, "GET", f"/api/files/exports/{path}").body == wanted
    wait_for(lambda: len(files_of_size(db.folder / "data", len(wanted))) == 1, "the content to be there once")
    over = ended(db, queued(db, "too-large", {})["id"])
    assert over["state"] == "failed" and "at most 1KB." in over["error"]["message"], over
    wait_for(lambda: not [file for folder in (db.folder / "data").rglob("drafts") for file in folder.iterdir()],
             "the drafts to be gone")


def test_an_export_that_leads_to_itself(db):
    assert call(db, "PUT", "/api/files/loops/x", b"begin", Content_Type="text/plain").status == 201
    runs = wait_for(lambda: (found := call(db, "GET", "/api/jobs?type=echo&limit=50").json()["items"])
                    and any(run["state"] == "failed" for run in found) and found, "the end of the loop", 60)
    assert [run["error"]["code"] for run in runs if run["error"]] == ["loop"] and len(runs) == 10, runs


def test_an_export_into_ones_own_space(db):
    over = ended(db, queued(db, "mine", {}, "lea")["id"], "lea")
    assert over["state"] == "succeeded", over
    assert call(db, "GET", "/api/files/spaces/notes.jsonl", user="lea").status == 200
    problem(call(db, "GET", "/api/files/spaces/notes.jsonl", user="max"), 404)


def test_an_export_of_nothing(server):
    empty = ended(server, queued(server, "export", {"collection": "orders"})["id"])
    assert empty["state"] == "succeeded", empty
    over = ended(server, queued(server, "export", {"collection": "nots"})["id"])
    assert over["state"] == "failed" and "no collection `nots`" in over["error"]["message"], over


# ---- the others --------------------------------------------------------------------------------
def test_nothing_is_too_old(db):
    over = ended(db, queued(db, "prune", {})["id"])
    assert over["state"] == "succeeded" and over["result"] == {"jobs": 0, "events": 0, "answers": 0}, over


def prune_three(server):
    """How many the job removed of three that are too old. The server itself looks for such once a minute."""
    old = [queued(server, "meet", {})["id"] for _ in range(3)]
    for ident in old:
        assert ended(server, ident)["result"] is None
    with contextlib.closing(sqlite3.connect(next(server.folder.glob("data/apps/*/app.db")), timeout=30)) as db, db:
        db.executemany("UPDATE dais_jobs SET ended = 1000 WHERE id = ?", [(ident,) for ident in old])
    over = ended(server, queued(server, "prune", {})["id"])
    assert over["state"] == "succeeded" and set(over["result"]) == {"jobs", "events", "answers"}, over
    for ident in old:
        problem(call(server, "GET", f"/api/jobs/{ident}"), 404)
    return over["result"]["jobs"]


def test_what_is_too_old_goes(server):
    removed = [prune_three(server)]
    while removed[-1] != 3:  # the server came first, which it cannot twice within a minute
        assert len(removed) < 3, removed
        removed.append(prune_three(server))


@pytest.mark.parametrize("job_text,words", [
    ("{ use: http.call, with: { ulr: https://example.com/ } }", "did you mean `url`?"),
    ("{ use: http.call, with: { url: example.com } }", "no address that can be called"),
    ("{ use: http.call, with: { secret: x } }", "Write the `url` beside it"),
    ("{ use: mail.send, with: { to: ops } }", "no e-mail address"),
    ("{ use: export.run, with: { collection: ordres } }", "did you mean `orders`?"),
    ("{ use: backup.run, with: { to: x } }", "takes nothing"),
])
def test_check_says_what_is_wrong(tmp_path, job_text, words):
    app = write_app(tmp_path / "app", None, "web: { root: web }\ncollections: { orders: {} }\n"
                                            f"jobs:\n  a: {job_text}\n")
    done = subprocess.run([DAIS_BIN, "check", app], env=clean_env(app), capture_output=True, text=True, check=False)
    assert done.returncode != 0 and words in done.stdout + done.stderr, done
    assert "dais.yaml:" in done.stdout + done.stderr
