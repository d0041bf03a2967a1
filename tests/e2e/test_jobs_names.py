# Programs of jobs reach an app that has only names of its own; strangers do not reach it the same way.
import json

import pytest
from conftest import wait_for
from documents import TEST_BIN
from jobs_api import FILES, make_programs, public_folder, steps
from serving import serving, write_app

MANIFEST = """web: { root: web }
jobs:
  steps:
    run: workers/steps
    input: schemas/steps.json
    rules: { run: public, read: public }
"""
INSIDE = {"Host": "inside.example"}


@pytest.fixture(name="server", scope="module")
def fixture_server():
    """`inside` is kept from strangers by whoever stands before it, by its name."""
    with public_folder() as folder:
        write_app(folder / "open", {"web/index.html": "open"}, "web: { root: web }\n")
        write_app(folder / "inside", {"web/index.html": "inside", **FILES}, MANIFEST)
        make_programs(folder / "inside")
        (folder / "host.yaml").write_text(
            "apps: [open, inside]\nhosts: { open: open.example, inside: inside.example }\n")
        (folder / "gate").mkdir()
        (folder / "gate").chmod(0o777)
        with serving(folder, "--data", folder / "data", program=TEST_BIN) as server:
            server.folder = folder
            yield server


def run(server, *each):
    headers = [*INSIDE.items(), ("Content-Type", "application/json")]
    answer = server.fetch("/api/jobs/steps", method="POST", headers=headers, body=json.dumps(steps(*each)).encode())
    assert answer.status == 202, answer
    return answer.json()["id"]


def state(server, ident):
    return server.fetch(f"/api/jobs/{ident}", headers=list(INSIDE.items())).json()


def test_its_program_finds_it(server):
    ident = run(server, ("call", "GET", "/jobs"))
    it = wait_for(lambda: (found := state(server, ident))["state"] == "succeeded" and found, "the end")
    status, text = it["result"]["answers"][0]
    assert (status, ident in text) == (200, True)


@pytest.mark.parametrize("token", ["djt_", "djt_" + "x" * 43, "djt_x", None])
def test_nobody_else_finds_it_so(server, token):
    who = [("Host", "open.example"), ("Authorization", f"Bearer {token}")] if token else [("Host", "open.example")]
    answer = server.fetch("/_/apps/inside/", headers=who)
    assert (answer.status, b"inside" in answer.body) == (404, False)


def test_a_token_finds_it_while_its_job_runs(server):
    kept, gate = server.folder / "gate/token", server.folder / "gate/go"
    ident = run(server, ("keep", str(kept)), ("wait", str(gate)))
    wait_for(kept.exists, "the token")
    who = [("Host", "open.example"), ("Authorization", f"Bearer {kept.read_text()}")]
    assert server.fetch("/_/apps/inside/api/jobs", headers=who).status == 200
    assert server.fetch("/_/apps/open/", headers=who).status == 404
    gate.touch()
    wait_for(lambda: state(server, ident)["state"] == "succeeded", "the end")
    assert server.fetch("/_/apps/inside/api/jobs", headers=who).status == 404
