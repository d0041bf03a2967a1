# The examples of docs/API.md: each is run as it stands there, on both databases, and gets the status it says.
import contextlib
import os
import pathlib
import re
import subprocess

import pytest

import postgres
from documents import DATABASES
from serving import serving, write_app

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "API.md").read_text(encoding="utf-8")
# Debian 12's curl has --json; the status of each goes where the test finds it, whatever -o says.
CURL = 'curl() { command curl -sS --max-time 20 -w "\\n%{stderr}\\nSTATUS %{http_code}\\n" "$@"; }\n'


def section(title):
    return re.search(rf"^## {title}\n(.*?)^## ", PAGE, re.M | re.S)[1]


ACCOUNTS, FILES = section("Accounts"), section("Files")  # each of an app of its own
DOCUMENTS = PAGE.replace(ACCOUNTS, "").replace(FILES, "")


def manifest(part, word):
    return next(block for block in re.findall(r"^```yaml\n(.*?)^```", part, re.M | re.S) if word in block)


def blocks(part):
    return re.findall(r"^```sh\n(.*?)^```", part, re.M | re.S)


@pytest.mark.parametrize("part,word,least", [(DOCUMENTS, "collections:", 30), (ACCOUNTS, "auth:", 20),
                                             (FILES, "files:", 10)], ids=["documents", "accounts", "files"])
@pytest.mark.parametrize("database", DATABASES)
def test_every_example_gets_the_status_it_says(database, part, word, least, tmp_path):
    script = "".join(blocks(part))
    wanted = re.findall(r"  # (\d{3})\b", script)
    assert len(wanted) > least and len(wanted) == len(re.findall(r"^curl ", script, re.M)), "a status behind each"
    app = write_app(tmp_path / "app", {"web/index.html": "hello"}, "web: { root: web }\n" + manifest(part, word))
    with contextlib.ExitStack() as stack:
        env = {}
        if database == "postgres":
            env["DATABASE_URL"] = stack.enter_context(postgres.Postgres()).url
        server = stack.enter_context(serving(app, "--data", tmp_path / "data", env=env))
        done = subprocess.run(["/bin/bash", "-c", CURL + script], cwd=tmp_path, capture_output=True, timeout=120,
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
