# The benchmark of jobs works: each of its figures is there, for a queue of a few.
import os
import subprocess

import pytest

from conftest import DAIS_BIN, ROOT

CLIENTS = {"docs_load": "docs/load.c", "login_paced": "login/paced.c", "jobs_clock": "jobs/clock.c"}
PARTS = {"enqueue": "p99 < 5 ms", "rate": ">= 100/s", "start": "p99 < 20 ms", "events": "p99 < 50 ms"}


@pytest.fixture(name="programs", scope="module")
def fixture_programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    for name, source in CLIENTS.items():
        subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-o", folder / name,
                        ROOT / "tests/bench" / source], check=True, timeout=60)
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_it_measures(programs, part):
    done = subprocess.run(
        ["python3", "-B", ROOT / "tests/bench/jobs/bench.py", "--quick", "--only", part, "--on", "sqlite",
         "--dais", DAIS_BIN, "--programs", programs], capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": os.environ["PATH"]}, cwd=programs)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if PARTS[part] in line)
    assert line.endswith(("PASS", "BELOW")), line
