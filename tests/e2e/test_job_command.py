# `dais job`: what it prints, how it ends, with a server and without one, and what it makes of bad input.
import contextlib
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from accounts_api import AUTH, NO_LIMITS, joined
from conftest import DAIS_BIN, DEADLINE, REPORT, clean_env, wait_for
from jobs_api import FILES, make_programs, public_folder, steps
from serving import serving, write_app

MANIFEST = """
web: { root: web }
jobs:
  steps: { run: workers/steps, input: schemas/steps.json, timeout: 1m, retries: 0, concurrency: 0 }
  again: { run: workers/steps, retries: { max: 1, backoff: 2s..3s }, timeout: 1m }
  free: { run: workers/steps, timeout: 1m, retries: 0, concurrency: 0 }
  brief: { run: workers/steps, timeout: 1m, retries: 0, limits: { output: 64KB } }
"""
HELLO = {"web/index.html": "hello"}
QUICK = json.dumps(steps(["say", {"progress": 0.5, "message": "half"}], ["log", "first"], ["log", "second"]))
BAD = "\x1b[2J\x1b]0;title\x07\x9b31m"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Desk:
    """An app folder and what `dais job` says about it."""

    def __init__(self, folder, manifest=MANIFEST, name="app"):
        self.folder, self.data = folder, folder / "data"
        self.app = write_app(folder / name, {**HELLO, **FILES}, manifest, "desk")
        make_programs(self.app)

    def start(self, verb, *words, env=None, **options):
        command = [DAIS_BIN, "job", verb, *words, "--data", self.data]
        return subprocess.Popen([str(word) for word in command], cwd=self.app, text=True,
                                env=clean_env(self.folder, env),
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                   **options})

    def job(self, verb, *words, given=None, env=None):
        options = {} if given is None else {"stdin": subprocess.PIPE}
        with self.start(verb, *words, env=env, **options) as process:
            out, err = process.communicate(given, timeout=DEADLINE)
        assert not REPORT.search(err), err
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def fine(self, verb, *words, **options):
        done = self.job(verb, *words, **options)
        assert done.returncode == 0, done
        return done

    def queued(self, kind="steps", given=QUICK, *more):
        done = self.fine("run", kind, "--input", given, "--detach", *more)
        match = re.fullmatch(r"queued ([0-9a-z]{15,64})\n", done.stdout)
        assert match, done
        return match[1]

    def seen(self, ident):
        return json.loads(self.fine("show", ident, "--json").stdout)["job"]

    def is_in(self, ident, *states):
        return wait_for(lambda: (found := self.seen(ident))["state"] in states and found, f"one of {states}")


@pytest.fixture(name="desk", scope="module")
def fixture_desk():
    with public_folder() as folder:
        desk = Desk(folder)
        with serving(desk.app, "--data", desk.data) as server:
            desk.server = server
            yield desk


@pytest.fixture(name="alone")
def fixture_alone():
    with public_folder() as folder:
        yield Desk(folder)


# ---- a run, from its beginning to its end ------------------------------------------------------
def test_a_run_is_followed_to_its_end(desk):
    done = desk.fine("run", "steps", "--input", QUICK)
    match = re.fullmatch(r"job       (\w+)\nstate     succeeded after [\d.]+ m?s\nresult    (\{.*\})\n", done.stdout)
    assert match, done
    assert json.loads(match[2])["id"] == match[1]
    assert "first" not in done.stdout + done.stderr and "\033" not in done.stdout + done.stderr
    assert desk.seen(match[1])["owner"] == "local"


def test_progress_is_told_in_lines_of_which_none_is_twice(desk):
    ups = [["say", {"progress": n / 40, "message": f"at {n}"}] for n in range(1, 41)]
    done = desk.fine("run", "steps", "--input", json.dumps(steps(*ups)))
    lines = [line for line in done.stderr.splitlines() if line.startswith("running")]
    assert len(lines) <= 12 and len(set(lines)) == len(lines), lines


def test_a_log_is_told_as_it_comes(desk):
    done = desk.fine("run", "steps", "--input", QUICK, "--log")
    assert done.stdout.startswith("first\nsecond\njob "), done
    ident = re.search(r"^job +(\w+)$", done.stdout, re.M)[1]
    assert desk.fine("show", ident, "--log").stdout == "first\nsecond\n"
    assert desk.fine("watch", ident, "--log").stdout == done.stdout
    with_json = desk.fine("watch", ident, "--log", "--json")
    assert json.loads(with_json.stdout)["job"]["state"] == "succeeded" and "first\nsecond" in with_json.stderr


def test_json_is_one_value(desk):
    found = json.loads(desk.fine("run", "steps", "--input", QUICK, "--json").stdout)
    assert set(found) == {"job"} and found["job"]["state"] == "succeeded"
    assert set(json.loads(desk.fine("run", "steps", "--input", QUICK, "--json", "-d").stdout)) == {"job"}
    page = json.loads(desk.fine("list", "--json", "--limit", "1").stdout)["page"]
    assert len(page["items"]) == 1 and page["next"]


def test_one_that_fails_says_what_to_do(desk):
    done = desk.job("run", "steps", "--input", json.dumps(steps(["log", "no such planet"], ["exit", 3])))
    assert done.returncode == 11
    assert re.search(r"state     failed after .*\nerror     exit_code: Its program ended with exit code 3", done.stdout)
    ident = re.search(r"^job +(\w+)$", done.stdout, re.M)[1]
    assert f"`dais job show {ident} --log`" in done.stderr and f"`dais job retry {ident}`" in done.stderr
    as_json = desk.job("run", "steps", "--input", json.dumps(steps(["exit", 3])), "--json")
    assert as_json.returncode == 11 and json.loads(as_json.stdout)["job"]["error"]["code"] == "exit_code"
    assert desk.job("watch", ident).returncode == 11


def test_a_limit_is_told_as_the_manifest_has_it(desk):
    done = desk.job("run", "brief", "--input", json.dumps(steps(["flood", 2000])))
    assert done.returncode == 11 and "over_output: It printed more than it may (64KB)." in done.stdout, done


def test_another_attempt_is_waited_for(desk):
    done = desk.job("run", "again", "--input", json.dumps(steps(["exit", 75])))
    assert done.returncode == 11 and re.search(r"^queued, attempt 2( in \d s)?", done.stderr, re.M), done
    assert "error     try_again" in done.stdout


def test_interrupting_leaves_it_running(desk):
    gate = desk.folder / "gate"
    order = json.dumps(steps(["say", {"progress": 0.5}], ["wait", str(gate)]))
    with desk.start("run", "steps", "--input", order) as run:
        line = next(line for line in run.stderr if re.match("running +50 %", line))
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=DEADLINE)
    assert run.returncode == 130 and out == "", (line, out, err)
    ident = re.search(r"dais job watch (\w+) ", err)[1]
    assert f"dais job cancel {ident} " in err and "goes on" in err
    assert desk.seen(ident)["state"] == "running"
    assert re.search(r"^state     running for .*, 50 %$", desk.fine("show", ident).stdout, re.M)
    assert re.search(rf"^{ident}  steps +running, 50 %", desk.fine("list").stdout, re.M)
    gate.touch()
    assert desk.fine("watch", ident).stdout.startswith(f"job       {ident}\nstate     succeeded")


def test_a_cancelled_one_ends_whoever_follows(desk):
    gate = desk.folder / "never"
    with desk.start("run", "free", "--input", json.dumps(steps(["wait", str(gate)]))) as run:
        next(line for line in run.stderr if line.startswith("running"))
        ident = json.loads(desk.fine("list", "--state", "running", "--type", "free",
                                     "--json").stdout)["page"]["items"][0]["id"]
        assert desk.fine("cancel", ident).stdout.startswith(f"cancelled {ident}")
        out, err = run.communicate(timeout=DEADLINE)
    assert run.returncode == 11 and "cancelled" in out and f"`dais job retry {ident}`" in err
    assert desk.fine("cancel", ident).stdout == f"cancelled {ident}\n"
    gate.touch()
    assert desk.fine("retry", ident).stdout == f"queued {ident}\n"
    assert desk.is_in(ident, "succeeded")
    late = desk.job("cancel", ident)
    assert late.returncode == 1 and late.stdout == "" and "it was over already and has succeeded" in late.stderr
    assert desk.job("cancel", ident, "--json").returncode == 1
    again = desk.job("retry", ident)
    assert again.returncode == 1 and "succeeded" in again.stderr


def test_several_are_cancelled_and_retried_at_once(desk):
    gate = desk.folder / "several"
    idents = [desk.queued("free", json.dumps(steps(["wait", str(gate)]))) for _ in range(3)]
    done = desk.job("cancel", ",".join([idents[0], "aaaaaaaaaaaaaaaaaaaa", idents[1]]))
    assert done.returncode == 1 and "aaaaaaaaaaaaaaaaaaaa" in done.stderr
    for ident in idents[:2]:
        assert ident in done.stdout and desk.is_in(ident, "cancelled")
    assert desk.seen(idents[2])["state"] in ("queued", "running")
    gate.touch()
    assert desk.fine("retry", ",".join(idents[:2])).stdout == "".join(f"queued {ident}\n" for ident in idents[:2])
    for ident in idents:
        desk.is_in(ident, "succeeded")


# ---- what it is given --------------------------------------------------------------------------
def test_input_comes_from_a_file_and_from_standard_input(desk):
    (desk.app / "in.json").write_text(QUICK)
    assert desk.seen(desk.queued("steps", "@in.json"))["input"] == json.loads(QUICK)
    done = desk.fine("run", "steps", "--input", "-", "-d", "--json", given=QUICK)
    assert json.loads(done.stdout)["job"]["input"] == json.loads(QUICK)
    assert desk.seen(json.loads(desk.fine("run", "free", "-d", "--json").stdout)["job"]["id"])["input"] is None


def test_delay_and_priority(desk):
    ident = desk.queued("steps", QUICK, "--delay", "10m", "--priority", "-7")
    shown = desk.fine("show", ident).stdout
    assert re.search(r"^state     queued, begins in (9 min \d+ s|10 min 0 s)$", shown, re.M), shown
    assert re.search(r"^priority  -7$", shown, re.M) and re.search(r"^due ", shown, re.M)
    assert re.search(rf"^{ident} .*  in (9|10) min", desk.fine("list", "--state", "queued").stdout, re.M)
    assert desk.fine("cancel", ident).stdout == f"cancelled {ident}\n"


@pytest.mark.parametrize("words,says", [
    (["run", "stesp"], "there is no job `stesp` in dais.yaml; did you mean `steps`?"),
    (["list", "--type", "stesp"], "did you mean `steps`?"),
    (["list", "--state", "ready"], "queued, running, succeeded, failed or cancelled"),
    (["list", "--limit", "0"], "--limit is at least 1"),
    (["list", "--limit", "-1"], "--limit is at least 1"),
    (["list", "--after", "nonsense"], "take `next` of the page before"),
    (["list", "--limit", "many"], "--limit is a whole number"),
    (["list", "--limit", "1001"], "at most 1000"),
    (["list", "--app", "other"], "no app `other` with jobs"),
    (["run", "free", "--input", "{"], "in --input: line 1, column 2"),
    (["run", "free", "--input", "@nowhere"], "nowhere cannot be read: No such file"),
    (["run", "free", "--input", "@."], "cannot be read"),
    (["run", "free", "--delay", "soon"], "--delay is a time, such as 90s"),
    (["run", "free", "--delay", "900d"], "at most a year"),
    (["run", "free", "--priority", "high"], "--priority is a whole number"),
    (["run", "free", "--priority", "101"], "-100 to 100"),
    (["run", "free", "--user", "ann@example.com"], "no accounts"),
    (["run"], "a TYPE is missing"),
    (["show"], "an ID is missing"),
    (["show", ""], "an ID is missing"),
    (["run", ""], "a TYPE is missing"),
    (["show", "aaaaaaaaaaaaaaaaaaaa"], "There is no job aaaaaaaaaaaaaaaaaaaa"),
    (["show", "a b"], "There is no job"),
    (["watch", "aaaaaaaaaaaaaaaaaaaa"], "There is no job"),
    (["show", "aaaaaaaaaaaaaaaaaaaa", "--log"], "There is no job"),
    (["cancel", "aaaaaaaaaaaaaaaaaaaa"], "There is no job"),
    (["retry", "aaaaaaaaaaaaaaaaaaaa"], "There is no job"),
    (["remove", "aaaaaaaaaaaaaaaaaaaa"], "`remove` is not known; choose list, show"),
])
def test_what_is_wrong_is_said(desk, words, says):
    done = desk.job(*words)
    assert done.returncode == 1 and done.stdout == "" and says in done.stderr, done


def test_all_that_the_schema_refuses_is_said(desk):
    done = desk.job("run", "steps", "--input", '{"steps": [[], 1], "more": 1}')
    assert done.returncode == 1 and done.stdout == ""
    places = [re.match(r"  (/\S+) \S", line)[1] for line in done.stderr.splitlines()[:-1]]
    assert places == ["/steps/0", "/steps/1", "/more"]
    assert "nothing is queued" in done.stderr
    none = desk.job("run", "steps")
    assert "  the input must be" in none.stderr and "needs an input, and --input is missing" in none.stderr


def test_too_large_an_input_is_refused(desk):
    (desk.app / "large.json").write_text(json.dumps("x" * (1 << 20)))
    done = desk.job("run", "free", "--input", "@large.json")
    assert done.returncode == 1 and "1 MB" in done.stderr


# ---- what others made --------------------------------------------------------------------------
def test_nothing_steers_the_terminal(desk):
    bad = BAD + " tab\there"
    order = steps(["log", bad], ["say", {"progress": 0.1, "message": bad}], ["say", {"result": {bad: bad}}])
    done = desk.fine("run", "free", "--input", json.dumps(order), "--log")
    ident = re.search(r"^job +(\w+)$", done.stdout, re.M)[1]
    shown = [done, *(desk.fine(*words) for words in (("list",), ("show", ident), ("show", ident, "--log")))]
    for text in [part for one in shown for part in (one.stdout, one.stderr)]:
        assert not STEERS.search(text), text
    assert "tab\there" in done.stdout


@pytest.mark.parametrize("words", [["show", BAD], ["run", BAD], [BAD], ["list", "--limit", BAD], ["list", "--" + BAD],
                                   ["list", "--type", BAD], ["run", "free", "--input", "@" + BAD]])
def test_no_word_of_ones_own_steers_the_terminal(desk, words):
    done = desk.job(*words)
    assert done.returncode == 1 and done.stderr and not STEERS.search(done.stdout + done.stderr), done


def test_no_command_that_is_unknown_steers_the_terminal(run_dais):
    done = run_dais(BAD)
    assert done.returncode == 1 and done.stderr and not STEERS.search(done.stderr), done


def test_a_long_result_is_whole_in_a_file_and_short_on_a_terminal(desk):
    order = json.dumps(steps(["say", {"result": {"text": "x" * 100000}}]))
    ident = desk.queued("free", order)
    desk.is_in(ident, "succeeded")
    desk.queued("free", order)
    found = re.search(r"^input +(\{.*\})$", desk.fine("show", ident).stdout, re.M)[1]
    assert json.loads(found) == json.loads(order)
    shown = on_terminal(desk, "show", ident)
    assert len(shown) < 6000 and "--json shows all)" in shown, shown[-500:]


def on_terminal(desk, *words, on_text=lambda text: None):
    main, end = pty.openpty()
    with desk.start(*words, stdout=end, stderr=end) as process:
        os.close(end)
        text = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
            on_text(text)
        process.wait(DEADLINE)
    os.close(main)
    return text.decode()


def test_on_a_terminal_there_is_one_line_that_changes(desk):
    gate = desk.folder / "terminal"  # so that it is not over before there was something to see
    order = steps(*[["say", {"progress": n / 4, "message": f"at {n}"}] for n in range(1, 5)], ["wait", str(gate)],
                  ["log", "said"])
    text = on_terminal(desk, "run", "free", "--input", json.dumps(order), "--log",
                       on_text=lambda text: b"at 4" in text and gate.touch())
    assert re.search(r"\r\033\[K", text) and re.search(r"(^|\n|\033\[K)said\r\n", text), text
    assert "\033[32msucceeded\033[0m after" in text
    assert "\033[32m" not in on_terminal_without_color(desk)


def on_terminal_without_color(desk):
    main, end = pty.openpty()
    with desk.start("list", stdout=end, stderr=end, env={"NO_COLOR": "1"}) as process:
        os.close(end)
        process.wait(DEADLINE)
        text = os.read(main, 65536).decode()
    os.close(main)
    return text


# ---- without a server, with another ------------------------------------------------------------
def test_without_a_server_it_waits_for_one(alone):
    assert alone.fine("list").stdout == "there are none\n"
    ident = alone.queued()
    assert "no server runs here" in alone.fine("run", "free", "-d").stderr
    assert alone.seen(ident)["state"] == "queued"
    for done in (alone.job("watch", ident), alone.job("run", "steps", "--input", QUICK)):
        assert done.returncode == 6 and "it begins with `dais serve`" in done.stderr and done.stdout == "", done
    as_json = alone.job("run", "steps", "--input", QUICK, "--json")
    assert as_json.returncode == 6 and json.loads(as_json.stdout)["job"]["state"] == "queued"
    other = alone.queued("steps", QUICK)
    assert alone.fine("cancel", other).stdout == f"cancelled {other}\n"
    refused = alone.job("run", "steps", "--input", '{"more": 1}')
    assert refused.returncode == 1 and "/more" in refused.stderr
    with serving(alone.app, "--data", alone.data):
        assert alone.fine("watch", ident).returncode == 0
        assert alone.seen(other)["state"] == "cancelled"
    done = alone.fine("watch", ident)
    assert done.stdout.startswith(f"job       {ident}\nstate     succeeded")


def test_a_list_is_as_long_as_was_asked_for(alone):
    old = [alone.queued("steps", QUICK) for _ in range(3)]
    copied(alone, "free", 25000)
    assert re.findall(r"^\w{20}", alone.fine("list", "--type", "steps").stdout, re.M) == old[::-1]
    first = json.loads(alone.fine("list", "--type", "steps", "--limit", "2", "--json").stdout)["page"]
    assert [item["id"] for item in first["items"]] == old[:0:-1]
    rest = alone.fine("list", "--type", "steps", "--limit", "2", "--after", first["next"], "--json").stdout
    page = json.loads(rest)["page"]
    assert [item["id"] for item in page["items"]] == old[:1] and page["next"] is None
    assert f"--after {old[1]} shows them" in alone.fine("list", "--type", "steps", "--limit", "2").stdout
    many = json.loads(alone.fine("list", "--limit", "1000", "--json").stdout)["page"]
    assert len(many["items"]) == 1000 and many["next"]


def copied(desk, kind, n):
    """So many newer jobs of another type, without a server that would add them one by one."""
    ident = desk.queued(kind)
    with contextlib.closing(sqlite3.connect(next(desk.data.rglob("app.db")))) as db, db:
        names = [row[1] for row in db.execute("PRAGMA table_info(dais_jobs)")]
        given = ", ".join("'vv' || printf('%018d', i)" if name == "id" else name for name in names)
        db.execute(f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) INSERT INTO dais_jobs"
                   f" ({', '.join(names)}) SELECT {given} FROM dais_jobs, c WHERE id = ?", (n, ident))


def test_a_lock_of_another_is_told(alone):
    alone.queued()
    with serving(alone.app, "--data", alone.data) as server:
        (alone.data / "dais.sock").unlink(missing_ok=True)
        control = [path for path in alone.data.rglob("*") if path.is_socket()]
        for path in control:
            path.unlink()
        done = alone.job("list")
        assert done.returncode == 4 and "another dais serves the data folder" in done.stderr, (done, server.story())


def test_who_follows_waits_for_a_server_that_restarts(alone):
    gate = alone.folder / "gate"
    order = json.dumps(steps(["say", {"progress": 0.5}], ["wait", str(gate)]))
    with serving(alone.app, "--data", alone.data):
        follower = alone.start("run", "free", "--input", order)
        first = next(line for line in follower.stderr if line.startswith("running"))
    away = next(line for line in follower.stderr if "away" in line)
    time.sleep(0.5)  # some looks at nobody: none of them may hold the lock (fewer are no fault)
    with serving(alone.app, "--data", alone.data):
        gate.touch()
        with follower:
            out, err = follower.communicate(timeout=DEADLINE)
        assert follower.returncode == 0 and "state     succeeded" in out, (first, away, out, err)


@pytest.mark.parametrize("rule,says", [
    ("anyone", "did you mean `public`?"), ("pubilc", "did you mean `public`?"),
    ("signedin", "did you mean `signed_in`?"),
    ("xyzzy", "it is public, signed_in, owner")])
@pytest.mark.parametrize("part", ["jobs: { free: { run: workers/steps, rules: { run: %s } } }",
                                  "files: { free: { rules: { read: %s } } }"])
def test_a_wrong_rule_is_found_before_serving(alone, run_dais, rule, part, says):
    folder = write_app(alone.folder / "wrong", {**HELLO, **FILES}, "web: { root: web }\n" + part % rule, "wrong")
    make_programs(folder)
    done = run_dais("check", folder)
    assert done.returncode == 1 and f"`{rule}` is no rule" in done.stdout and says in done.stdout, done


def test_several_apps_are_told_apart():
    with public_folder() as folder:
        first, second = (Desk(folder, MANIFEST, name) for name in ("one", "two"))
        for desk, name in ((first, "one"), (second, "two")):
            (desk.app / "dais.yaml").write_text((desk.app / "dais.yaml").read_text().replace("desk", name, 1))
        with serving(first.app, second.app, "--data", folder / "data"):
            done = first.job("list")
            assert done.returncode == 1 and "--app NAME" in done.stderr, done
            done = first.fine("run", "free", "--input", QUICK, "--app", "two", "--json")
            ident = json.loads(done.stdout)["job"]["id"]
            assert ident in first.fine("list", "--app", "two").stdout
            assert ident not in first.fine("list", "--app", "one").stdout
            assert first.job("show", ident, "--app", "one").returncode == 1


def test_whose_it_is():
    with public_folder() as folder:
        desk = Desk(folder, MANIFEST + AUTH + NO_LIMITS)
        with serving(desk.app, "--data", desk.data) as server:
            ann = joined(server)
            assert desk.seen(desk.queued("free"))["owner"] is None
            assert re.search(r"^owner     the app itself$", desk.fine("show", desk.queued("free")).stdout, re.M)
            for name in (ann.email, ann.id):
                assert desk.seen(desk.queued("free", QUICK, "--user", name))["owner"] == ann.id
            done = desk.job("run", "free", "--user", "nobody@example.com")
            assert done.returncode == 1 and "nobody has the address" in done.stderr


def test_help_names_all_of_it(run_dais):
    text = run_dais("help", "job").stdout
    for word in ("list", "show", "watch", "run", "retry", "cancel", "--input", "--detach", "--log", "130", "11"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100
