# What jobs may do for whom: strangers' jobs, cancelling what one may not run, secrets in results.
import json

import pytest

from conftest import wait_for
from documents import DATABASES, call, made, problem
from jobs_api import ended, jobs, queued, steps

MANIFEST = """
secrets: [ HOOK_KEY ]
collections:
  notes: { owner: true }
  wall: { rules: { read: signed_in, create: public } }
jobs:
  leaks: { run: workers/leak, retries: 0, secrets: [ HOOK_KEY ] }
  open: { run: workers/steps, timeout: 1m, retries: 0, rules: { run: public, read: public } }
  closed: { run: workers/steps, timeout: 1m, retries: 0, rules: { run: public } }
  as-app: { run: workers/steps, acts_as: app, timeout: 1m, retries: 0, rules: { run: public, read: public } }
  cached:
    run: workers/steps
    retries: 0
    rules: { run: public, read: public }
    cache: { key: [steps], ttl: 1h }
  follows: { run: workers/told, retries: 0, on: wall.created, rules: { run: nobody, read: public } }
  held: { run: workers/hold, retries: 0, on: notes.created, rules: { run: nobody } }
"""
TOLD = """#!/usr/bin/python3
# Tells what it was told, and what its token may.
import json, os, sys, urllib.error, urllib.request
def call(method, path, body=None):
    request = urllib.request.Request(os.environ["DAIS_API"] + path, method=method, headers={
        "Authorization": "Bearer " + os.environ["DAIS_TOKEN"], "Content-Type": "application/json"},
        data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code
told = json.load(sys.stdin)
if "again" in (told["document"] or {}):
    call("POST", "/wall", {"again": True})
print(json.dumps({"result": {"told": told, "reads": call("GET", "/wall")}}))
"""
HOLD = """#!/usr/bin/python3
# Waits for its end.
import time
time.sleep(60)
"""
LEAK = """#!/usr/bin/python3
# Shows what it should not.
import json, os, sys
print(json.dumps({"result": {"t": os.environ["DAIS_TOKEN"], os.environ["HOOK_KEY"]: [os.environ["HOOK_KEY"] + "!"]}}))
if json.load(sys.stdin) == "fail":
    print("failed with " + os.environ["HOOK_KEY"] + " and " + os.environ["DAIS_TOKEN"], file=sys.stderr)
    sys.exit(1)
"""
PROGRAMS = {"workers/told": TOLD, "workers/hold": HOLD, "workers/leak": LEAK}
KEY = 'a "quoted" key/ü'



@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request):
    with jobs(request.param, MANIFEST, PROGRAMS, {"HOOK_KEY": KEY}) as server:
        yield server


# ---- strangers -----------------------------------------------------------------------------------
def test_a_strangers_job_may_what_a_stranger_may(db):
    note = made(db, "/api/notes", {"text": "ann's"}, "ann")
    order = steps(["call", "GET", "/notes"], ["call", "GET", f"/notes/{note['id']}"],
                  ["call", "PATCH", f"/notes/{note['id']}", {"text": "taken"}], ["call", "POST", "/wall", {"a": 1}],
                  ["call", "GET", "/wall"], ["call", "GET", "/auth/me"])
    found = queued(db, "open", order, None)
    assert found["owner"] is None
    last = ended(db, found["id"], None)
    assert [status for status, _ in last["result"]["answers"]] == [401, 401, 401, 201, 401, 403], last
    assert call(db, "GET", f"/api/notes/{note['id']}", user="ann").json()["text"] == "ann's"


def test_a_job_that_acts_as_the_app_is_the_app_whoever_started_it(db):
    made(db, "/api/notes", {"text": "bea's"}, "bea")
    last = ended(db, queued(db, "as-app", steps(["call", "GET", "/notes?limit=1000"]), None)["id"], None)
    assert "bea's" in last["result"]["answers"][0][1], last


def test_only_a_public_rule_shows_a_strangers_job(db):
    found = queued(db, "closed", steps(["call", "GET", "/notes"]), None)
    assert call(db, "GET", f"/api/jobs/{found['id']}", user=None).status == 404
    assert call(db, "GET", f"/api/jobs/{found['id']}", user="ann").status == 404
    assert call(db, "POST", f"/api/jobs/{found['id']}/cancel", user=None).status in (401, 404)


def test_a_strangers_result_is_not_the_apps(db):
    order = steps(["call", "GET", "/wall"])
    outer = steps(["call", "POST", "/jobs/cached", order])
    of_app = json.loads(ended(db, queued(db, "as-app", outer, None)["id"], None)["result"]["answers"][0][1])
    assert ended(db, of_app["id"], None)["result"]["answers"][0][0] == 200
    strangers = ended(db, queued(db, "cached", order, None)["id"], None)
    assert strangers["cached"] is False and strangers["result"]["answers"][0][0] == 401


def last_of(db, kind, user=None):
    return ended(db, call(db, "GET", f"/api/jobs?type={kind}&limit=1", user=user).json()["items"][0]["id"], user)


def test_what_follows_a_strangers_write_is_a_strangers(db):
    assert call(db, "POST", "/api/wall", {"text": "hi"}, None).status == 201
    last = last_of(db, "follows")
    assert last["owner"] is None and last["result"]["reads"] == 401, last
    assert call(db, "POST", "/api/wall", {"text": "hi"}, "ann").status == 201
    assert last_of(db, "follows", "ann")["result"]["reads"] == 200


def test_jobs_that_strangers_lead_to_are_counted_to_the_loop(db):
    assert call(db, "POST", "/api/wall", {"again": True}, None).status == 201

    def deep():
        items = call(db, "GET", "/api/jobs?type=follows&state=failed", user=None).json()["items"]
        return items and items[0]

    assert wait_for(deep, "the end of them", 90)["error"]["code"] == "loop"


# ---- cancelling ----------------------------------------------------------------------------------
def of(db, kind, user):
    return wait_for(lambda: call(db, "GET", f"/api/jobs?type={kind}&limit=1", user=user).json()["items"], kind)[0]


def test_who_may_not_run_it_does_not_end_it(db):
    made(db, "/api/notes", {"text": "cat's"}, "cat")
    found = of(db, "held", "cat")
    assert found["owner"] == "cat"
    problem(call(db, "POST", f"/api/jobs/{found['id']}/cancel", user="cat"), 403, "forbidden")
    problem(call(db, "POST", f"/api/jobs/{found['id']}/cancel", user="dan"), 404)
    assert call(db, "GET", f"/api/jobs/{found['id']}", user="cat").json()["state"] in ("queued", "running")


# ---- secrets -------------------------------------------------------------------------------------
def test_results_and_errors_show_no_secret(db):
    last = ended(db, queued(db, "leaks", "well")["id"])
    assert last["result"] == {"t": "***", "***": ["***!"]}, last
    last = ended(db, queued(db, "leaks", "fail")["id"])
    assert last["error"]["message"].endswith("failed with *** and ***"), last
