# The unit tests of triggers on a Postgres: what follows what is there what it is on SQLite.
import os
import subprocess

import pytest
from conftest import DAIS_BIN
from postgres import Postgres, why_not

ROOT = DAIS_BIN.parents[2]
PROGRAM = DAIS_BIN.parent / "tests/jobs/test_trigger"
ENV = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}


def test_on_postgres():
    if why_not():
        pytest.skip(why_not())
    made = subprocess.run(["make", "-s", PROGRAM.relative_to(ROOT)], cwd=ROOT, env=ENV, capture_output=True, text=True,
                          check=False, timeout=600)
    assert made.returncode == 0, made.stderr
    with Postgres() as postgres:  # whose collation is a language's, not that of bytes
        postgres.query("CREATE DATABASE icu TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'")
        url = postgres.url_at(postgres.port, database="icu")
        done = subprocess.run([PROGRAM], env={**ENV, "DAIS_TEST_DATABASE": url}, capture_output=True, text=True,
                              check=False, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "[  PASSED  ]" in done.stdout + done.stderr
