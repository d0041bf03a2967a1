# tools/run-tests and tools/test: whatever goes wrong with a test program is counted as failed.
import contextlib
import importlib.machinery
import importlib.util
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    """run("shell code", ...) -> (process, counts) of tools/run-tests over these as programs."""
    def start(*codes, timeout=20):
        programs = []
        for number, code in enumerate(codes):
            program = tmp_path / f"program{number}"
            program.write_text(f"#!/bin/sh\n{code}\n")
            program.chmod(0o755)
            programs.append(str(program))
        done = subprocess.run([ROOT / "tools/run-tests", "x", "--timeout", str(timeout), *programs],
                              cwd=tmp_path, text=True, capture_output=True, check=False)
        return done, (tmp_path / "build/test-results/x.txt").read_text().split()
    return start


@pytest.mark.parametrize("code, counts, said", [
    ("echo 1..2; echo ok 1 - a; echo ok 2 - b", ["2", "0", "0"], "2 passed"),
    ("echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1", ["1", "1", "0"], "not ok: b"),
    ("echo 1..3; echo ok 1 - a; kill -SEGV $$", ["1", "2", "0"], "after 1 of 3"),
    ("echo 1..1; echo ok 1 - a; exit 23", ["1", "1", "0"], "exited with 23"),
    ("echo hello", ["0", "1", "0"], "no test plan"),
    ("echo 1..2; echo ok 1 - a; echo ok 2 - b '# SKIP'", ["1", "0", "1"], "skipped: b"),
])
def test_outcomes(run, code, counts, said):
    done, counted = run(code)
    assert counted == counts
    assert said in done.stdout
    assert done.returncode == (1 if counts[1] != "0" else 0)
    if counts[1] != "0":
        assert "again: " in done.stdout


def test_a_program_that_hangs_is_ended_and_counted(run):
    done, counted = run("echo 1..2; echo ok 1 - a; sleep 60", timeout=3)
    assert counted == ["1", "1", "0"] and "still running after" in done.stdout


def test_nothing_to_run_is_a_failure(run):
    done, counted = run()
    assert done.returncode == 1 and counted == ["0", "0", "0"]


# ---- tools/test, as a module -----------------------------------------------------------------
@pytest.fixture
def suite(tmp_path):
    loader = importlib.machinery.SourceFileLoader("suite", str(ROOT / "tools/test"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("suite", loader))
    loader.exec_module(module)
    module.RESULTS = tmp_path
    module.ROOT = tmp_path
    return module


JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no">boom</failure></testcase>
<testcase classname="a" name="broken"><error message="no">bang</error></testcase>
<testcase classname="a" name="later"><skipped message="no database here"/></testcase>
<testcase classname="a" name="maybe"><skipped message="optional: no IPv6 here"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize("is_strict, counts", [(False, (1, 2, 2)), (True, (1, 3, 1))])
def test_junit_is_counted_and_strict_turns_skips_into_failures(suite, tmp_path, is_strict, counts):
    suite.IS_STRICT = is_strict
    command = ["sh", "-c", f"cat > x.xml <<'E'\n{JUNIT}\nE\nexit 1"]
    step = suite.Step("x", command, suite.count_junit).run()
    assert (step.passed, step.failed, step.skipped) == counts


def test_a_step_that_fails_without_counting_counts_as_one_failure(suite):
    step = suite.Step("x", ["sh", "-c", "echo why; exit 3"], suite.count_junit).run()
    assert step.failed == 1 and any("why" in line for line in step.lines)


def test_a_step_that_hangs_fails(suite):
    step = suite.Step("x", ["sleep", "30"], suite.count_one, timeout=0.3).run()
    assert (step.passed, step.failed) == (0, 1)


def test_a_step_that_hangs_leaves_no_child_behind(suite, tmp_path):
    suite.Step("x", ["sh", "-c", f"sleep 30 & echo $! >{tmp_path}/pid; wait"], suite.count_one, timeout=3).run()
    assert is_gone((tmp_path / "pid").read_text())


def is_gone(pid, seconds=30):
    until = time.monotonic() + seconds
    stat = pathlib.Path("/proc", pid.strip(), "stat")
    with contextlib.suppress(OSError):  # it is gone while it is read
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
    return True


def test_processor_time_is_that_of_the_children_too(suite, capsys):
    code = "import time\nwhile time.process_time() < 0.5: pass"
    step = suite.Step("x", ["sh", "-c", f"python3 -c '{code}'; true"], suite.count_one).run()
    assert 0.5 <= step.cpu < 5
    assert f"processor {step.cpu:.1f} s" in capsys.readouterr().out


def test_what_runs_behind_is_nicer(suite, tmp_path):
    step = suite.Step("x", ["sh", "-c", f"nice >{tmp_path}/nice; exit 3"], suite.count_one, is_background=True).run()
    assert step.failed == 1 and (tmp_path / "nice").read_text() == "19\n"


def test_a_signal_ends_every_step(tmp_path):
    code = f"""
import importlib.machinery, importlib.util, pathlib, signal, sys
loader = importlib.machinery.SourceFileLoader("suite", {str(ROOT / "tools/test")!r})
suite = importlib.util.module_from_spec(importlib.util.spec_from_loader("suite", loader))
loader.exec_module(suite)
suite.RESULTS = suite.ROOT = pathlib.Path({str(tmp_path)!r})
suite.catch_signals()
with suite.concurrent.futures.ThreadPoolExecutor(1) as pool:
    command = ["sh", "-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 30"]
    done = [pool.submit(suite.Step("x", command, suite.count_one, is_background=True).run) for _ in range(2)]
    done[1].result()
"""
    suite_process = subprocess.Popen(["/usr/bin/python3", "-c", code])
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.01)
    suite_process.terminate()
    assert suite_process.wait(60) == 128 + signal.SIGTERM
    assert is_gone((tmp_path / "pid").read_text())


def test_the_last_line_counts_everything(suite, capsys):
    good = suite.Step("x", ["true"], suite.count_one).run()
    assert suite.finish([good]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"
    assert suite.finish([good, suite.Step("y", ["false"], suite.count_one).run()]) == 1
    assert suite.finish([]) == 1  # nothing ran
