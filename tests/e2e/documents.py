# Apps with collections behind the test server, on SQLite and on Postgres, and short words to talk to them.
"""
@pytest.fixture(name="db", scope="module", params=DATABASES)      a module whose cases run on both
def fixture_db(request, tmp_path_factory):
    with store(request.param, tmp_path_factory.mktemp("x"), MANIFEST, FILES) as server:
        yield server

call(server, "PUT", "/api/notes/ID", {...}, user="ann", If_Match='"v1"')    an Answer
"""
import contextlib
import json

import pytest

import postgres
from conftest import DAIS_BIN, DEADLINE
from serving import serving, write_app

TEST_BIN = DAIS_BIN.parent / "dais-identity"  # the real server; X-Test-User says who asks
DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.skipif(
    postgres.why_not() is not None, reason=str(postgres.why_not())))]


@contextlib.contextmanager
def store(database, folder, manifest, files=None, env=None):
    """A server whose documents are in that database; `server.restart()` is the caller's to do."""
    app = write_app(folder / "app", {"web/index.html": "hello", **(files or {})},
                    "web: { root: web }\n" + manifest)
    with contextlib.ExitStack() as stack:
        env = dict(env or {})
        if database == "postgres":
            env["DATABASE_URL"] = stack.enter_context(postgres.Postgres()).url
        yield stack.enter_context(serving(app, "--data", folder / "data", program=TEST_BIN, env=env))


def call(server, method, path, body=None, user="ann", *, deadline=DEADLINE, **headers):
    """`body`: bytes go as they are, anything else as JSON."""
    pairs = [(name.replace("_", "-"), str(value)) for name, value in headers.items()]
    if user:
        pairs.append(("X-Test-User", user))
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    return server.fetch(path, method=method, headers=pairs, body=body, deadline=deadline)


def made(server, path, body, user="ann", **headers):
    """A new document, as the answer shows it."""
    answer = call(server, "POST", path, body, user, **headers)
    assert answer.status == 201, answer
    return answer.json()


def problem(answer, status, code=None):
    """The errors of a problem as (pointer, code)."""
    assert answer.status == status, (answer.status, answer.body)
    found = answer.json()
    assert found["status"] == status and found["detail"], found
    assert code in (None, found["code"]), found
    return [(item["pointer"], item["code"]) for item in found.get("errors", [])]
