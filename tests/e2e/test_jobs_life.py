# Jobs while the server, its manifest, its apps and its accounts change; what a worker is given, and as whom it runs.
import json
import os
import pathlib
import pwd
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from accounts_api import AUTH, NO_LIMITS, PASSWORD, ask, joined
from conftest import DAIS_BIN, clean_env, fetch, wait_for
from jobs_api import FILES, make_programs, public_folder, steps
from serving import serving, write_app

# What it was started with, and what it can do; then it does as its input says.
LOOK = """#!/usr/bin/python3
# Tells what it was started with, and what it can see.
import hashlib, json, os, re, sys, time
order = json.load(sys.stdin) or {}
def can(what, path):
    try:
        what(path)
        return True
    except OSError as problem:
        return problem.strerror
env = dict(part.split("=", 1) for part in open("/proc/self/environ").read().split("\\0") if part)
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
here = os.stat(".")
print(json.dumps({"progress": 0.5}), flush=True)
while order.get("gate") and not os.path.exists(order["gate"]):
    time.sleep(0.01)
print(json.dumps({"result": {
    "token": [bool(re.fullmatch(r"djt_[\\w-]{43}", env["DAIS_TOKEN"])),
              hashlib.sha256(env["DAIS_TOKEN"].encode()).hexdigest()],
    "env": env, "uid": os.getuid(), "groups": os.getgroups(), "new": status["NoNewPrivs"].strip(),
    "cwd": os.getcwd(), "owner": here.st_uid, "mode": here.st_mode & 0o777, "files": os.listdir("."),
    "args": sys.argv[1:], "lists": {path: can(os.listdir, path) for path in order.get("lists", [])},
    "fds": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4]}}))
"""
WORKERS = {**FILES, "workers/look": LOOK, "web/index.html": "hello"}
LOOKS = """
web: { root: web }
jobs:
  look: { run: workers/look, retries: 0, timeout: 1m, concurrency: 0 }
"""
ALWAYS = {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "DAIS_JOB_ID", "DAIS_API", "DAIS_TOKEN", "PUBLIC_URL"}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can run it as others")


@pytest.fixture(name="folder")
def fixture_folder():
    with public_folder() as folder:
        yield folder


def app_of(folder, manifest=LOOKS, name="desk", files=None):
    app = write_app(folder / name, {**WORKERS, **(files or {})}, manifest, name)
    make_programs(app)
    return app


def has(server, method, path, body=None, status=200, **options):
    answer = ask(server, method, path, body, **options)
    assert answer.status == status, (answer, server.story())
    return answer.json()


def queued(server, kind="look", order=None, mount="", **options):
    return has(server, "POST", f"{mount}/api/jobs/{kind}", order, 202, **options)["id"]


def seen(server, ident, mount="", **options):
    return has(server, "GET", f"{mount}/api/jobs/{ident}", **options)


def is_in(server, ident, *states, mount="", **options):
    return wait_for(lambda: (found := seen(server, ident, mount, **options))["state"] in states and found,
                    f"one of {states}")


def ended(server, ident, mount="", **options):
    return is_in(server, ident, "succeeded", "failed", "cancelled", mount=mount, **options)


def looked(server, order=None, mount="", **options):
    job = ended(server, queued(server, "look", order, mount, **options), mount, **options)
    assert job["state"] == "succeeded", (job, server.story())
    return job["result"]


def reload(server, app, manifest):
    before = len([line for line in server.err if "reloaded" in line])
    (app / "dais.yaml").write_text(f"app: {app.name}\n{manifest}")
    server.proc.send_signal(signal.SIGHUP)
    wait_for(lambda: len([line for line in server.err if "reloaded" in line]) > before, "the reload")


def command(app, *words, code=0):
    done = subprocess.run([DAIS_BIN, *words], cwd=app, env=clean_env(app), text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == code, done
    return done


# ---- what a worker is given --------------------------------------------------------------------
def test_the_environment_is_what_the_contract_says(folder):
    app = app_of(folder, """
web: { root: web }
secrets: [ ONE_KEY, OTHER_KEY, "T_*" ]
jobs:
  look: { run: workers/look, retries: 0 }
  more:
    run: workers/look
    retries: 0
    env: { MODE: fast, FROM: $ONE_KEY, LANG: fi_FI.UTF-8 }
    secrets: [ ONE_KEY, "T_*" ]
""")
    # Too short to be hidden, and with what no id or time has.
    env = {"ONE_KEY": "one!", "OTHER_KEY": "2222", "T_A": "t_a!", "HTTP_PROXY": "http://x.example",
           "DAIS_SECRET": "8f14e45fceea167a5a36dedd4bea2543aa11c0ffee220011", "LD_PRELOAD_X": "x",
           "PUBLIC_URL": "https://desk.example/"}
    with serving(app, "--data", folder / "data", env=env) as server:
        bare = looked(server)
        assert set(bare["env"]) == ALWAYS, bare["env"]
        assert bare["env"]["DAIS_API"] == server.url.rstrip("/") + "/api"
        assert bare["env"]["PUBLIC_URL"] == "https://desk.example"
        assert bare["env"]["HOME"] == bare["env"]["TMPDIR"] == bare["cwd"] and bare["files"] == []
        assert bare["token"][0] and bare["env"]["DAIS_TOKEN"] == "***", "what is hidden is so in results, too"
        assert bare["args"] == [] and bare["fds"] == [0, 1, 2, 3]
        result = ended(server, queued(server, "more"))["result"]
        more = result["env"]
        assert set(more) == ALWAYS | {"MODE", "FROM", "ONE_KEY", "T_A"}
        assert {key: more[key] for key in ("MODE", "FROM", "LANG", "T_A")} == {
            "MODE": "fast", "FROM": "one!", "LANG": "fi_FI.UTF-8", "T_A": "t_a!"}
        assert result["token"][0] and result["token"] != bare["token"]
        assert not pathlib.Path(bare["cwd"]).exists()
        for word in ("djt_", "one!", "t_a!"):
            assert word not in server.stderr and word not in server.stdout


@AS_ROOT
def test_started_by_root_a_worker_is_nobody(folder):
    app = app_of(folder)
    try:
        who = pwd.getpwnam("dais-worker").pw_uid
    except KeyError:
        who = pwd.getpwnam("nobody").pw_uid
    data = folder / "data"
    with serving(app, "--data", data) as server:
        found = looked(server, {"lists": [str(data), str(data / "apps"), "/root", str(pathlib.Path("/"))]})
        assert found["uid"] == who and found["groups"] in ([], [pwd.getpwuid(who).pw_gid]) and found["new"] == "1"
        assert found["owner"] == who and found["mode"] == 0o700
        assert found["lists"][str(data)] == found["lists"][str(data / "apps")] == "Permission denied"
        assert found["lists"]["/"] is True


@AS_ROOT
def test_started_by_somebody_a_worker_is_the_same(folder):
    app, data = app_of(folder), folder / "data"
    data.mkdir()
    for path in (data, *app.rglob("*"), app):
        os.chown(path, 65534, 65534)
    before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with serving(app, "--data", data, before=before) as server:
        found = looked(server)
        assert found["uid"] == 65534 and found["cwd"].startswith(str(data / "apps"))


@AS_ROOT
def test_an_app_that_its_user_cannot_enter_is_told(folder):
    app = app_of(folder / "closed")
    (folder / "closed").chmod(0o700)
    said = command(app, "check").stdout
    warning = r"dais\.yaml:\d+:\d+: warning: .*run as \S+, who cannot enter \S+/closed; chmod o\+x it"
    assert re.search(warning, said), said
    with serving(app, "--data", folder / "data") as server:
        job = ended(server, queued(server))
        assert job["error"] == {"code": "cannot_start",
                                "message": "workers/look cannot be reached by the user that jobs run as."}
        line = next(json.loads(line) for line in server.stderr.splitlines()
                    if "cannot enter" in line and '"folder"' in line)
        assert line["folder"] == str(folder / "closed") and line["next"].startswith("chmod o+x")
        (folder / "closed").chmod(0o711)
        assert looked(server)["uid"]
    (app / "workers/look").chmod(0o700)
    assert "chmod o+rx it" in command(app, "check").stdout


# ---- manifests that change ---------------------------------------------------------------------
def test_a_reload_takes_nothing_from_what_runs(folder):
    gate = folder / "gate"
    app = app_of(folder, LOOKS.replace("timeout: 1m", "timeout: 1m, env: { TURN: one }"))
    with serving(app, "--data", folder / "data") as server:
        first = queued(server, "look", {"gate": str(gate)})
        is_in(server, first, "running")
        reload(server, app, LOOKS.replace("timeout: 1m", "timeout: 1m, env: { TURN: two }")
               + "  extra: { run: workers/look, retries: 0 }\n")
        assert looked(server)["env"]["TURN"] == "two"
        assert ended(server, queued(server, "extra"))["state"] == "succeeded"
        assert seen(server, first)["state"] == "running"
        gate.touch()
        assert ended(server, first)["result"]["env"]["TURN"] == "one"


def test_a_type_that_goes_and_comes_back(folder):
    gate = folder / "gate"
    both = LOOKS + "  extra: { run: workers/look, retries: 0, concurrency: 1 }\n"
    app = app_of(folder, both)
    with serving(app, "--data", folder / "data") as server:
        runs, waits = (queued(server, "extra", {"gate": str(gate)}) for _ in range(2))
        is_in(server, runs, "running")
        reload(server, app, LOOKS)
        ask_for = ask(server, "POST", "/api/jobs/extra", {})
        assert ask_for.status == 404, ask_for
        assert looked(server)["uid"] is not None
        gate.touch()
        wait_for(lambda: "extra" not in command(app, "debug", "jobs", "--data", str(folder / "data")).stdout, "its end")
        reload(server, app, both)
        assert ended(server, runs)["state"] == ended(server, waits)["state"] == "succeeded"


def test_all_jobs_go_and_come_back(folder):
    gate = folder / "gate"
    app = app_of(folder)
    none = "web: { root: web }\ncollections: { notes: {} }\n"
    with serving(app, "--data", folder / "data") as server:
        first = queued(server, "look", {"gate": str(gate)})
        is_in(server, first, "running")
        later = has(server, "POST", "/api/jobs/look?delay=1s", None, 202)["id"]
        reload(server, app, none)
        assert ask(server, "GET", f"/api/jobs/{first}").status == 404
        gate.touch()
        wait_for(lambda: not command(app, "debug", "jobs", "--data", str(folder / "data")).stdout.strip(), "its end")
        reload(server, app, LOOKS)
        assert ended(server, first)["state"] == "succeeded"
        assert ended(server, later)["state"] == "succeeded"


# ---- servers that end --------------------------------------------------------------------------
def test_what_runs_is_taken_up_by_the_next_server(folder):
    gate, app = folder / "gate", app_of(folder)
    with serving(app, "--data", folder / "data") as server:
        idents = [queued(server, "look", {"gate": str(gate)}) for _ in range(3)]
        for ident in idents:
            is_in(server, ident, "running")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 25  # none of them ends by itself, nor is its minute waited for
    gate.touch()
    with serving(app, "--data", folder / "data") as server:
        for ident in idents:
            job = ended(server, ident)
            assert job["state"] == "succeeded" and job["attempt"] == 2, job


def test_a_worker_that_does_not_hear_is_killed_and_a_second_signal_hurries(folder):
    deaf = "#!/bin/sh\ntrap '' TERM\necho '{\"progress\":0.5}'\nwhile :; do sleep 0.1; done\n"
    app = app_of(folder, "web: { root: web }\njobs: { deaf: { run: workers/deaf, timeout: 1m } }\n",
                 files={"workers/deaf": deaf})
    with serving(app, "--data", folder / "data") as server:
        ident = queued(server, "deaf")
        wait_for(lambda: seen(server, ident)["progress"] == 0.5, "its first line")
        server.note_children()
        server.proc.send_signal(signal.SIGTERM)
        server.expect_code = None
        server.stop()
    with serving(app, "--data", folder / "data") as server:
        wait_for(lambda: (job := seen(server, ident))["state"] == "running" and job["attempt"] == 2, "another attempt")
        server.note_children()
        server.proc.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        server.expect_code = None
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 25  # it never ends by itself, nor is its minute waited for


# ---- several apps, and where the API is --------------------------------------------------------
def test_apps_of_one_host_have_their_own_jobs(folder):
    plain = app_of(folder, LOOKS, "plain")
    named = app_of(folder, "hosts: [ named.example ]\n" + LOOKS, "named")
    (folder / "host.yaml").write_text("apps: [ plain, named ]\n")
    gate = folder / "gate"
    with serving(folder, "--data", folder / "data") as server:
        base = server.url.rstrip("/")
        below = looked(server, mount="/plain")
        assert below["env"]["DAIS_API"] == f"{base}/plain/api"
        data = ["--app", "named", "--json", "--data", str(folder / "data")]
        done = command(folder, "job", "run", "look", "--detach", "--input", json.dumps({"gate": str(gate)}), *data)
        ident = json.loads(done.stdout)["job"]["id"]

        def shown():
            return json.loads(command(folder, "job", "show", ident, *data).stdout)["job"]
        wait_for(lambda: shown()["state"] == "running", "its start")
        path = "/_/apps/named/api/jobs"
        for headers in ([], [("Authorization", "Bearer dst_" + "x" * 43)], [("Cookie", "dais_named=dst_x")],
                        [("Sec-Fetch-Site", "same-origin")]):
            assert fetch(server, path, headers=headers).status == 404, headers
        token = [("Authorization", "Bearer djt_" + "x" * 43)]
        assert fetch(server, path, headers=token).status == 404
        assert fetch(server, "/_/apps/none/api/jobs", headers=token).status == 404
        gate.touch()
        wait_for(lambda: shown()["state"] == "succeeded", "its end")
        assert shown()["result"]["env"]["DAIS_API"] == f"{base}/_/apps/named/api"


CALLER = """#!/usr/bin/python3
# Asks the API that it is told of for its own job.
import json, os, urllib.request
at = f"{os.environ['DAIS_API']}/jobs/{os.environ['DAIS_JOB_ID']}"
request = urllib.request.Request(at, headers={"Authorization": "Bearer " + os.environ["DAIS_TOKEN"]})
with urllib.request.urlopen(request, timeout=10) as answer:
    print(json.dumps({"result": json.load(answer)["type"]}))
"""


def test_a_worker_reaches_an_app_with_names_of_its_own(folder):
    jobs = "web: { root: web }\njobs: { caller: { run: workers/caller, retries: 0 } }\n"
    for name, more in (("plain", ""), ("named", "hosts: [ named.example ]\n")):
        app_of(folder, more + jobs, name, {"workers/caller": CALLER})
    (folder / "host.yaml").write_text("apps: [ plain, named ]\n")
    with serving(folder, "--data", folder / "data"):
        for name in ("plain", "named"):
            done = command(folder, "job", "run", "caller", "--app", name, "--json", "--data", str(folder / "data"))
            assert json.loads(done.stdout)["job"]["result"] == "caller"


def test_behind_a_socket_alone_there_is_no_address(folder):
    app = app_of(folder)
    with serving(app, "--data", folder / "data", listen=f"unix:{folder}/web.sock", ready=False) as server:
        wait_for(lambda: "serves desk" in server.stdout, "the start")
        done = command(app, "job", "run", "look", "--json", "--data", str(folder / "data"))
        assert set(json.loads(done.stdout)["job"]["result"]["env"]) == ALWAYS - {"DAIS_API", "PUBLIC_URL"}


# ---- accounts ----------------------------------------------------------------------------------
OWNED = LOOKS.replace("concurrency: 0", "concurrency: { total: 1 }") + AUTH + NO_LIMITS


def test_whoever_leaves_takes_their_jobs_along(folder):
    app, gate = app_of(folder, OWNED), folder / "gate"
    with serving(app, "--data", folder / "data") as server:
        ann, bob = joined(server), joined(server, "bob")
        runs = queued(server, "look", {"gate": str(gate)}, token=ann.token)
        is_in(server, runs, "running", token=ann.token)
        waits = queued(server, "look", {"gate": str(gate)}, token=ann.token)
        other = queued(server, "look", None, token=bob.token)
        lines = ask(server, "GET", "/api/auth/me/export", token=ann.token).body.decode().splitlines()
        found = [json.loads(line)["job"] for line in lines if line.startswith('{"job":')]
        assert [job["id"] for job in found] == [runs, waits] and found[0]["input"] == {"gate": str(gate)}
        assert [job["state"] for job in found] == ["running", "queued"]
        assert "djt_" not in "".join(lines)
        assert ask(server, "DELETE", "/api/auth/me", {"password": PASSWORD}, token=ann.token).status == 202
        assert ended(server, other, token=bob.token)["state"] == "succeeded", "what ran before it was not ended"
        path = next((folder / "data").rglob("app.db"))

        def left():
            db = sqlite3.connect(path, timeout=20)
            try:
                return db.execute("SELECT count(*) FROM dais_jobs WHERE owner = ?", (ann.id,)).fetchone()[0]
            finally:
                db.close()
        wait_for(lambda: left() == 0, "their jobs are gone", 30)


def test_an_export_of_many_jobs_has_each_once(folder):
    app = app_of(folder, OWNED.replace("concurrency: { total: 1 }", "concurrency: 0"))
    with serving(app, "--data", folder / "data") as server:
        ann = joined(server)
        idents = sorted(has(server, "POST", "/api/jobs/look?delay=1h", {"n": n}, 202, token=ann.token)["id"]
                        for n in range(230))
        lines = ask(server, "GET", "/api/auth/me/export", token=ann.token).body.decode().splitlines()
        assert [json.loads(line)["job"]["id"] for line in lines if line.startswith('{"job":')] == idents


def test_jobs_of_this_machine_are_adopted(folder):
    app = app_of(folder)
    with serving(app, "--data", folder / "data") as server:
        ident = queued(server)
        ended(server, ident)
    (app / "dais.yaml").write_text("app: desk\n" + LOOKS + AUTH + NO_LIMITS)
    with serving(app, "--data", folder / "data") as server:
        ann = joined(server)
        assert ask(server, "GET", f"/api/jobs/{ident}", token=ann.token).status == 404
        command(app, "user", "adopt", ann.email, "--yes", "--data", str(folder / "data"))
        assert seen(server, ident, token=ann.token)["owner"] == ann.id


# ---- what is seen of it from outside -----------------------------------------------------------
def test_figures_are_told_and_documented(folder):
    app, gate = app_of(folder), folder / "gate"
    documented = (pathlib.Path(__file__).parents[2] / "docs/API.md").read_text()
    with serving(app, "--data", folder / "data") as server:
        assert re.search(r"^  database +SQLite", server.stdout, re.M), server.stdout
        runs = queued(server, "look", {"gate": str(gate)})
        is_in(server, runs, "running")
        has(server, "POST", "/api/jobs/look?delay=1h", None, 202)

        def read():
            text = server.fetch("/metrics").body.decode()
            return dict(re.findall(r'^(dais_jobs_\w+)\{app="desk",type="look"\} (\d+)$', text, re.M))
        wait_for(lambda: read()["dais_jobs_claimed_total"] == "1", "the count: it comes after the row")
        figures = read()
        assert figures["dais_jobs_running"] == "1" and figures["dais_jobs_queued"] == "1", figures
        assert figures["dais_jobs_claimed_total"] == "1" and figures["dais_jobs_failed_total"] == "0"
        for name in figures:
            assert f"`{name}{{app,type}}`" in documented, name
        assert server.fetch("/readyz").status == 200
        line = wait_for(lambda: (said := command(app, "debug", "jobs", "--data", str(folder / "data")).stdout)
                        and runs in said and said, "the run")
        assert "look" in line and "djt_" not in line
        gate.touch()
        ended(server, runs)


def test_one_that_could_not_be_run_is_among_the_events(folder):
    app = app_of(folder, LOOKS + "  gone: { run: workers/gone, retries: 0 }\n", files={"workers/gone": "#!/bin/sh\n"})
    with serving(app, "--data", folder / "data") as server:
        (app / "workers/gone").unlink()
        idents = [queued(server, "gone") for _ in range(3)]
        for ident in idents:
            assert ended(server, ident)["error"]["code"] == "cannot_start"

        def events():
            (app / "workers/gone").touch(0o755)
            text = command(app, "events", "--anomalies", "--json", "--data", str(folder / "data")).stdout
            return [it for it in re.findall(r'\{[^{}]*"job\.failed"[^{}]*\}', text)]
        found = [json.loads(text) for text in wait_for(events, "the event")]
        assert len(found) == 1 and found[0]["object"] == "gone" and "cannot_start, job " in found[0]["detail"], found
        assert found[0]["anomaly"] is True
        look = queued(server, "look", {"lists": 5})
        assert ended(server, look)["state"] == "failed"
        assert len(events()) == 1


# ---- dais check --------------------------------------------------------------------------------
@pytest.mark.parametrize("job,says", [
    ("run: workers/none", "the job `workers/none` does not exist"),
    ("run: schemas/steps.json", "is not executable; run chmod +x"),
    ("run: workers/look, input: schemas/none.json", "the schema `schemas/none.json` does not exist"),
    ("run: workers/look, input: schemas/bad.json", "bad.json"),
    ("run: workers/look, schedule: '0 0 31 2 *'", "a day that never comes"),
    ("run: workers/look, schedule: often", "schedule"),
    ("run: workers/look, rules: { run: 'owner = (' }", "dais.yaml:4:"),
    ("use: http.cal", "must be one of: http.call"),
    ("use: http.call, with: { ulr: 'http://x.example' }", "did you mean `url`"),
    ("use: http.call, run: workers/look", "both `run`"),
    ("use: prune.run, with: { a: b }", "takes nothing"),
    ("run: workers/look, on: [ nots.created ]", "no collection or bucket `nots`"),
    ("run: workers/look, with: { a: b }", "`with` is what `use` works with"),
    ("run: workers/look, acts_as: root", "acts_as"),
    ("timeout: 1m", "a job needs `run`"),
])
def test_check_says_what_is_wrong(folder, job, says):
    app = app_of(folder, "web: { root: web }\njobs:\n  one: { " + job + " }\n",
                 files={"schemas/bad.json": '{"type": "objekt"}'})
    done = command(app, "check", code=1)
    assert says in done.stdout, done.stdout
    lines = [line for line in done.stdout.splitlines() if re.search(r":\d+:\d+: ", line)]
    assert len(lines) == len(set(lines)) and len(lines) <= 2, lines
    refused = subprocess.run([DAIS_BIN, "serve", app, "--data", folder / "data", "--listen", "127.0.0.1:0"], cwd=app,
                             env=clean_env(folder), capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1 and says in refused.stderr, refused
