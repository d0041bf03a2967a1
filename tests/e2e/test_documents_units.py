# The unit tests of documents on a Postgres whose collation is a language's: they find what they find with SQLite.
"""Above all test_same_lists: random filters and sorts over random documents, by the evaluator and by the database."""
import os
import subprocess

import pytest
from conftest import DAIS_BIN
from postgres import Postgres

ROOT = DAIS_BIN.parents[2]
PROGRAMS = DAIS_BIN.parent / "tests/docs"
SIZE = {"DAIS_TEST_DOCS": "2000", "DAIS_TEST_ROUNDS": "400"}


@pytest.fixture(scope="module", name="url")
def _url():
    with Postgres() as postgres:
        postgres.query("CREATE DATABASE icu TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'")
        yield postgres.url_at(postgres.port, database="icu")


NAMES = ["test_same_lists", "test_lists", "test_search", "test_keeping", "test_change", "test_tell"]


@pytest.mark.parametrize("name", NAMES)
def test_on_postgres(url, name):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    made = subprocess.run(["make", "-s", (PROGRAMS / name).relative_to(ROOT)], cwd=ROOT, env=env, capture_output=True,
                          text=True, check=False, timeout=600)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([PROGRAMS / name], env={**os.environ, "DAIS_TEST_DATABASE": url, **SIZE}, capture_output=True,
                          text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "[  PASSED  ]" in done.stdout + done.stderr
