# The examples of docs/API.md: each is run as it stands there, on both databases, and gets the status it says.
import contextlib
import os
import pathlib
import re
import subprocess

import pytest

import postgres
from documents import DATABASES
from jobs_api import make_programs, public_folder
from serving import serving, write_app

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "API.md").read_text(encoding="utf-8")
# Debian 12's curl has --json; the status of each goes where the test finds it, whatever -o says.
CURL = 'curl() { command curl -sS --max-time 120 -w "\\n%{stderr}\\nSTATUS %{http_code}\\n" "$@"; }\n'


def section(title):
    return re.search(rf"^## {title}\n(.*?)^## ", PAGE, re.M | re.S)[1]


ACCOUNTS, FILES, JOBS = section("Accounts"), section("Files"), section("Jobs")  # each of an app of its own
DOCUMENTS = PAGE.replace(ACCOUNTS, "").replace(FILES, "").replace(JOBS, "")


def manifest(part, word):
    return next(block for block in re.findall(r"^```yaml\n(.*?)^```", part, re.M | re.S) if word in block)


def blocks(part, kind="sh"):
    return re.findall(rf"^```{kind}\n(.*?)^```", part, re.M | re.S)


def app_files(part):
    """The worker and its schema stand on the page too."""
    files = {"web/index.html": "hello"}
    if part is JOBS:
        files["workers/count"], = blocks(part, "bash")
        files["schemas/count.json"], = blocks(part, "json")
    return files


@pytest.mark.parametrize("part,word,least", [(DOCUMENTS, "collections:", 30), (ACCOUNTS, "auth:", 20),
                                             (FILES, "files:", 10), (JOBS, "jobs:", 12)],
                         ids=["documents", "accounts", "files", "jobs"])
@pytest.mark.parametrize("database", DATABASES)
def test_every_example_gets_the_status_it_says(database, part, word, least, tmp_path):
    script = "".join(blocks(part))
    wanted = re.findall(r"  # (\d{3})\b", script)
    assert len(wanted) > least and len(wanted) == len(re.findall(r"^curl ", script, re.M)), "a status behind each"
    with contextlib.ExitStack() as stack:
        app = stack.enter_context(public_folder()) / "app"
        app.mkdir()
        for path, text in app_files(part).items():  # before the server looks whether they are programs
            (app / path).parent.mkdir(exist_ok=True)
            (app / path).write_text(text)
        make_programs(app)
        write_app(app, {}, "web: { root: web }\n" + manifest(part, word))
        env = {}
        if database == "postgres":
            env["DATABASE_URL"] = stack.enter_context(postgres.Postgres()).url
        server = stack.enter_context(serving(app, "--data", tmp_path / "data", env=env))
        done = subprocess.run(["/bin/bash", "-c", CURL + script], cwd=tmp_path, capture_output=True, timeout=600,
                              check=False, text=True, env={
                                  "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                                  "URL": server.url.rstrip("/")})
    assert re.findall(r"^STATUS (\d+)$", done.stderr, re.M) == wanted, (done.stdout, done.stderr)
    assert not re.search(r"^(curl|bash|/bin/bash): ", done.stderr, re.M), done.stderr
    if part is DOCUMENTS:
        lines = (tmp_path / "books.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 3 and '"failed":0' in done.stdout
    elif part is ACCOUNTS:
        assert '"text":"mine"' in (tmp_path / "account.jsonl").read_text(encoding="utf-8")
    elif part is JOBS:
        events = (tmp_path / "events.txt").read_text(encoding="utf-8")
        assert '"result":{"counted":3}' in events and "id: " in events and "event: log" in events
