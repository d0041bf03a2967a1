# The unit tests of accounts on a Postgres: links, races and keys are there what they are on SQLite.
import os
import subprocess

import pytest
from conftest import DAIS_BIN
from postgres import Postgres, why_not

ROOT = DAIS_BIN.parents[2]
PROGRAMS = DAIS_BIN.parent / "tests"
ENV = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}


@pytest.fixture(scope="module", name="url")
def _url():
    if why_not():
        pytest.skip(why_not())
    with Postgres() as postgres:
        yield postgres.url


@pytest.mark.parametrize("name", ["accounts/test_entering", "accounts/test_links", "accounts/test_own",
                                  "accounts/test_operators", "accounts/test_streams",
                                  "docs/test_purge_owner"])
def test_on_postgres(url, name):
    made = subprocess.run(["make", "-s", (PROGRAMS / name).relative_to(ROOT)], cwd=ROOT, env=ENV, capture_output=True,
                          text=True, check=False, timeout=600)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([PROGRAMS / name], env={**ENV, "DAIS_TEST_DATABASE": url}, capture_output=True, text=True,
                          check=False, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "[  PASSED  ]" in done.stdout + done.stderr
