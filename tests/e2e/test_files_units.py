# The unit tests of files on a Postgres: rows, quotas, lists and sweeping are there what they are on SQLite.
import os
import subprocess

import pytest
from conftest import DAIS_BIN
from postgres import Postgres, why_not
from stores import no_store

ROOT = DAIS_BIN.parents[2]
PROGRAMS = DAIS_BIN.parent / "tests/files"
ENV = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}


@pytest.fixture(scope="module", name="url")
def _url():
    if why_not():
        pytest.skip(why_not())
    with Postgres() as postgres:  # whose collation is a language's, not that of bytes
        postgres.query("CREATE DATABASE icu TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'")
        yield postgres.url_at(postgres.port, database="icu")


@no_store("rows on Postgres")
@pytest.mark.parametrize("name", ["test_rows", "test_tend", "test_model", "test_tell"])
def test_on_postgres(url, name):
    made = subprocess.run(["make", "-s", (PROGRAMS / name).relative_to(ROOT)], cwd=ROOT, env=ENV, capture_output=True,
                          text=True, check=False, timeout=600)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([PROGRAMS / name], env={**ENV, "DAIS_TEST_DATABASE": url}, capture_output=True, text=True,
                          check=False, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "[  PASSED  ]" in done.stdout + done.stderr
