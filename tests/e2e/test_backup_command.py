# Backups: which stay, the job that makes them, what the manifest says, and the words of the command.
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from backups import (
    fixture_filled_site, fixture_site, changed, env_of_database, filled, flip, MANIFEST, NAME, needs_postgres, now,
    on_both, one_job, raised, sealed, Site, state)
from conftest import DAIS_BIN, REPORT, wait_for
from documents import call
from stores import in_folder


# ---- which stay ------------------------------------------------------------------------------------
def aged(site, made, days):
    """The same backup, as of so many days before."""
    entry = json.loads(site.entry(made).read_text())
    at = time.gmtime(time.time() - days * 86400)
    name = time.strftime("%Y%m%dT%H%M%SZ-aged", at)
    entry["made_at"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", at)
    shutil.copy(site.rows(made), site.folder / (name + ".jsonl.gz"))
    (site.folder / (name + ".json")).write_text(sealed(entry))
    return name


def test_those_that_no_day_week_or_month_needs_go(tmp_path):
    keep = "backups: { schedule: 'off', keep: { daily: 3, weekly: 0, monthly: 0 } }\n"
    site = Site(tmp_path, manifest=MANIFEST + keep)
    filled(site)
    wait_for(lambda: time.time() % 86400 < 86400 - 300, "another day: one that ends meanwhile is one more", 600)
    made = site.made()
    old = [aged(site, made, days) for days in (2, 3, 4, 5, 40)]
    orphan = site.folder / "contents/00" / ("00" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"nobody needs it")
    assert len(site.all("--app", "desk")) == 6
    site.made()
    assert len(site.all("--app", "desk")) == 7 and orphan.exists()
    told = site.made("--prune")
    names = {one["name"] for one in site.all("--app", "desk")}
    assert told["dropped"] == 3 and made["name"] in names and not orphan.exists()
    assert names & set(old) == set(old[:2])
    assert "all as written" in site.backup("verify", "--app", "desk", "--at", old[0])
    assert "young enough" in site.backup("create", "--app", "desk", "--unless", "1h")
    assert len(site.all("--app", "desk")) == len(names)


def test_one_of_the_future_keeps_none_from_being_made(filled_site):
    """A clock that was wrong for a while: what it made is young for ever."""
    site = filled_site
    made = site.made()
    aged(site, made, -400)
    site.entry(made).unlink()
    site.backup("create", "--app", "desk", "--unless", "1h")
    assert len(site.all("--app", "desk")) == 2
    assert "young enough" in site.backup("create", "--app", "desk", "--unless", "1h")
    assert len(site.all("--app", "desk")) == 2


# ---- the job ---------------------------------------------------------------------------------------
@on_both
def test_the_job_tells_how_far_it_is_and_what_it_made(database, tmp_path):
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path, env_of_database(database, stack))
        filled(site)
        with site.serve() as server:
            made = call(server, "POST", "/api/jobs/save", {}, user=None)
            assert made.status == 202, made.body
            ident = made.json()["id"]
            done = wait_for(lambda: (one := one_job(server, ident))["state"] == "succeeded" and one, "its end")
            before = state(server)
        result = done["result"]
        one = site.all("--app", "desk")[0]
        assert set(result) == {"name", "rows", "contents", "bytes", "lost", "dropped"}
        assert (result["name"], result["rows"], result["contents"]) == (one["name"], one["rows"], one["contents"])
        assert result["lost"] == 0 and result["bytes"] == one["bytes"] and done["progress"] == 1
        assert "contents" in done["message"], done
        site.restore("--app", "desk", "--no-backup")
        assert now(site) == before


SCHEDULED = "backups: { schedule: '0 3 1 1 *' }\n"


def test_the_schedule_makes_one(tmp_path):
    """An app without jobs of its own; a time that was missed while nobody served counts as one."""
    manifest = f"web: {{ root: web }}\ncollections: {{ left: {{ rules: {{ create: public }} }} }}\n{SCHEDULED}"
    site = Site(tmp_path, manifest=manifest)
    database = site.data / "apps/desk/app.db"
    with site.serve() as server:
        assert call(server, "POST", "/api/left", {"key": "a-0"}, user=None).status == 201

        def rows():
            with contextlib.closing(sqlite3.connect(database)) as db:
                return db.execute("SELECT type FROM dais_job_schedules").fetchall()
        wait_for(lambda: rows() == [("backups",)], "the schedule in the database")
    assert site.all() == []
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE dais_job_schedules SET due = due - 400 * 86400000")
    with site.serve():
        made = wait_for(site.all, "a backup", 120)
    assert [one["app"] for one in made] == ["desk"] and made[0]["rows"] > 0


def test_one_that_the_schedule_could_not_make_is_seen(tmp_path):
    """In the log and among the events, not only in the list of jobs."""
    site = Site(tmp_path, manifest=MANIFEST)
    filled(site)
    site.folder.mkdir(parents=True)
    (site.folder / "lock").mkdir()
    with site.serve() as server:
        made = call(server, "POST", "/api/jobs/save", {}, user=None).json()
        wait_for(lambda: one_job(server, made["id"])["state"] == "failed", "its failure")
        server.says("a job failed for good")
        told = wait_for(lambda: "job.failed" in (text := site.run("events")) and text, "the event")
    assert "save" in told and made["id"] in told, told


# ---- the manifest and the command ------------------------------------------------------------------
KEPT = "collections: { a: {} }\n"


@pytest.mark.parametrize("manifest,line,words", [
    (KEPT + "backups: { to: 's3://bucket/prefix' }", 3, "error: backups go into a folder"),
    (KEPT + "backups: { to: ~/backups }", 3, "error: `~` is not replaced here; write the whole path"),
    (KEPT + "backups: { to: $HOME/backups }", 3, "error: `$` is not replaced here; write the whole path"),
    (KEPT + "backups: {}\njobs: { backups: { use: prune.run } }", 4, "error: the job `backups` is the one"),
    (KEPT + "jobs: { nightly: { use: backup.run, with: { to: x } } }", 3, "error: `with` has `to`"),
    ("backups: {}", 2, "warning: there is nothing to back up yet"),
    (KEPT + "backups: {}\nbackend: { run: exec x $PORT, routes: [ /b/ ], persist: [ store ] }", 4,
     "warning: paths of `persist` are not in backups yet"),
])
def test_what_is_wrong_in_a_manifest(manifest, line, words, run_dais, make_app):
    folder = make_app("desk", {"web/index.html": "x", "store/x": "x"}, "app: desk\n" + manifest + "\n")
    done = run_dais("check", folder)
    told = done.stdout + done.stderr
    assert done.returncode == ("error" in words), told
    assert re.search(rf"dais\.yaml:{line}:\d+: {re.escape(words)}", told) or \
        re.search(rf"dais\.yaml:{line}:\d+: {re.escape(words.removeprefix('error: '))}", told), told


@pytest.mark.parametrize("manifest,jobs", [
    (KEPT + "backups: {}", ["backups"]),
    (KEPT + "backups: { schedule: 'off' }", []),
    (KEPT, []),
    ("backups: {}", []),
    (KEPT + "backups: {}\njobs: { mine: { use: backup.run } }", ["mine"]),
    (KEPT + "backups: {}\njobs: { backups: { use: backup.run, schedule: '1 1 * * *' } }", ["backups"]),
    ("auth: {}\nbackups: {}", ["backups"]),
])
def test_which_job_a_manifest_has(manifest, jobs, run_dais, make_app):
    folder = make_app("desk", {"web/index.html": "x"}, "app: desk\n" + manifest + "\n")
    done = run_dais("openapi", folder)
    assert done.returncode == 0, done.stderr
    paths = json.loads(done.stdout)["paths"]
    assert [path.rsplit("/")[-1] for path in paths if re.match("/api/jobs/[a-z]+$", path)] == jobs


def test_places(tmp_path):
    """`data/…` is the data folder, another path the app's folder, an absolute one itself."""
    for to, where in (("data/elsewhere", tmp_path / "data/elsewhere"), ("data", tmp_path / "data"),
                      ("kept", tmp_path / "desk/kept"), (f"{tmp_path}/far/away", tmp_path / "far/away")):
        site = Site(tmp_path, manifest=MANIFEST + f"backups: {{ to: {to} }}\n")
        with site.serve() as server:
            call(server, "POST", "/api/left", {"key": f"{len(to)}-0"}, user=None)
        site.made()
        assert (where / "desk/lock").exists() and (where / "desk").stat().st_mode & 0o077 == 0
    assert "later version" in site.backup("create", "--to", "s3://x/y", code=1)


def test_a_place_that_everybody_can_read_is_refused(tmp_path):
    for to in ("web/backups", "data/../desk/web", "data/../desk/x/../web/y", "link/b"):
        site = Site(tmp_path, manifest=MANIFEST + f"backups: {{ to: {to} }}\n")
        if not (site.app / "link").is_symlink():
            (site.app / "link").symlink_to("web")
        assert "which everybody can read; name another one in `backups.to`" in site.backup("create", code=1), to
        told = site.checked()
        assert re.search(r"dais\.yaml:\d+:\d+: .*everybody can read; name another one in `backups.to`", told), told


def test_nor_is_one_of_a_flag(filled_site):
    site = filled_site
    (site.app / "link").symlink_to("web")
    site.made()
    (site.app / "web/old").mkdir()
    shutil.copytree(site.folder, site.app / "web/old/desk")
    for place in (site.app / "web/b", site.app / "web", site.app / "link/b", f"{site.app}/none/../web/b"):
        assert "which everybody can read" in site.backup("create", "--to", place, code=1)
    old = site.app / "web/old"
    assert "which everybody can read" in site.restore("--from", old, code=1)
    assert len(site.all("--from", old)) == 1
    site.restore("--from", old, "--no-backup")
    assert now(site) == site.state


def test_a_data_folder_that_is_not_there_is_a_mistake(site):
    told = site.backup("create", code=1)
    assert f"there is no data folder {site.data}" in told and "DAIS_DATA" in told, told
    assert not site.data.exists()
    site.data.mkdir(mode=0o700)
    assert "desk: nothing is stored yet" in site.backup("create")


@in_folder("whose the files are")
@pytest.mark.skipif(os.geteuid() != 0, reason="optional: only root gives away what it makes")
def test_what_root_makes_is_of_the_owner_of_the_data_folder(filled_site, tmp_path):
    site = filled_site

    def owners():
        paths = [site.data, *site.data.rglob("*")]
        return {path.lstat().st_uid for path in paths if not path.is_socket() and path != aside}
    aside = site.data / "link"
    (site.data / "secret").unlink()  # nobody but its owner may have it
    for path in (site.data, *site.data.rglob("*")):
        os.chown(path, 4242, 4243, follow_symlinks=False)
    aside.symlink_to(tmp_path / "desk/dais.yaml")
    os.link(tmp_path / "desk/web/index.html", site.data / "hard")
    site.made()
    assert (site.folder / "contents").stat().st_uid == site.place.stat().st_uid == 4242
    assert site.place.stat().st_gid == 4243
    (site.data / "hard").unlink()
    assert owners() == {4242}
    shutil.copytree(site.place, tmp_path / "copies")
    shutil.rmtree(site.data / "apps")
    site.restore("--from", tmp_path / "copies")
    assert owners() == {4242} and (tmp_path / "copies/desk/lock").stat().st_uid == 0
    assert (tmp_path / "desk/dais.yaml").stat().st_uid == 0 == (tmp_path / "desk/web/index.html").stat().st_uid
    shutil.rmtree(site.data)
    site.data = tmp_path / "theirs/data"
    site.data.parent.mkdir()
    os.chown(site.data.parent, 4242, 4243)
    site.restore("--from", tmp_path / "copies")
    assert owners() == {4242}


def test_what_is_of_another_app_is_brought_back_only_when_that_is_meant(filled_site, tmp_path):
    site = filled_site
    made = site.made()
    other = Site(tmp_path / "other", name="copy")
    with other.serve() as server:
        assert call(server, "POST", "/api/left", {"key": "own-0", "n": 1}, user=None).status == 201
        before = state(server)
    moved = tmp_path / "moved"
    shutil.copytree(site.folder, moved / "copy")
    for words in (("--from", moved), ("--from", moved, "--app", "copy")):
        told = other.restore(*words, code=1)
        assert "is of the app `desk`; `--app copy --from-app desk`" in told, told
    assert "--from-app needs --app" in other.restore("--from", moved, "--from-app", "desk", code=1)
    assert "is of the app `desk`" in other.restore("--from", moved, "--app", "copy", "--from-app", "desc", code=1)
    assert now(other) == before
    for place in (moved, site.place):
        told = other.restore("--from", place, "--app", "copy", "--from-app", "desk")
        assert f"copy: restored {made['name']}" in told, told
        assert now(other) == site.state
    own, *_ = json.loads(other.backup("list", "--json", "--from", site.place))["backups"]
    assert own["app"] == "copy" and own["of_restore"], own
    assert [one["name"] for one in site.all("--app", "desk")] == [made["name"]]
    site.run("user", "add", "op@example.com", "--operator", "--generate")
    site.backup("create", "--app", "_host")
    assert "are no app's" in site.restore("--app", "desk", "--from-app", "_host", code=1)
    assert "are no app's" in site.restore("--app", "_host", "--from-app", "desk", code=1)
    assert now(site) == site.state


def test_of_one_that_cannot_be_read_the_one_before_it_is_named(filled_site):
    site = filled_site
    first = site.made()["name"]
    wait_for(lambda: time.strftime("%Y%m%dT%H%M%S", time.gmtime()) > first[:15], "the next second: that is in a name")
    second = site.made()
    whole = site.entry(second).read_text()
    site.entry(second).write_text("{")
    assert f"`--at {first}`" in site.restore("--app", "desk", "--at", second["name"], code=10)
    site.entry(second).write_text(whole)
    flip(site.rows(second))
    assert f"`--at {first}`" in site.restore("--app", "desk", "--no-backup", "--at", second["name"], code=10)
    site.restore("--app", "desk", "--at", first)


@needs_postgres
def test_without_the_database_nobody_is_told_to_go_on(tmp_path):
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path, env_of_database("postgres", stack))
        filled(site)
        site.made()
        told = site.restore("--app", "desk", code=11, env={"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"})
    assert "nothing was changed" in told and "--no-backup" not in told, told


def stopped(site, is_at_work, *words):
    """What it says when it is stopped at work; None: it had ended."""
    command, env = site.command("backup", *words)
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as proc:
        while proc.poll() is None and not is_at_work():
            time.sleep(0.0005)
        proc.send_signal(signal.SIGINT)
        told = proc.communicate(timeout=120)[1]
    assert not REPORT.search(told) and proc.returncode in (0, -signal.SIGINT), told
    return told.strip() if proc.returncode else None


def test_who_stops_it_is_told_what_that_leaves(filled_site):
    site = filled_site
    name = site.made()["name"]
    before = raised(site)
    restored = site.data / "apps/desk/app.db.restored"
    words = ("restore", "--yes", "--app", "desk", "--no-backup")
    for _ in range(20):
        restored.unlink(missing_ok=True)
        told = stopped(site, restored.exists, *words)
        if told and "what is told of is restored" not in told:  # else it was through already
            break
        before = raised(site)
    assert told == "dais backup: stopped; nothing was changed"
    assert now(site) == before
    for _ in range(20):
        count = len(list(site.folder.glob("*.gz")))
        told = stopped(site, lambda n=count: len(list(site.folder.glob("*.gz"))) > n, "create", "--app", "desk")
        if told:
            break
    assert told == "dais backup: stopped; what was not told of yet was not made"
    assert name in {one["name"] for one in site.all("--app", "desk")}
    assert all(one["state"] == "complete" for one in site.all("--app", "desk"))


def test_words_and_flags(filled_site):
    site = filled_site
    assert "`dais backup create` makes one" in site.backup("list")
    assert "no backup" in site.backup("verify", code=1).lower()
    assert "no backup" in site.restore(code=1).lower()
    site.made()
    assert f"Next: `dais serve {site.app}`" in site.restore("--app", "desk", "--no-backup")
    table = site.backup("list")
    assert re.search(r"^APP +NAME +MADE +ROWS +FILES +SIZE +LOST +STATE$", table, re.M), table
    assert re.search(rf"^desk +{NAME.pattern} +\S+ \S+ UTC +\d+ +\d+ +\S+ [KMG]?B +0 +complete$", table, re.M), table
    for words, told in ((("make",), "choose create, list"), (("create", "--at", "x"), "--at is not for `create`"),
                        (("list", "--yes"), "--yes is not for"), (("create", "--app", "dest"), "did you mean `desk`"),
                        (("create", "--app", "foo"), "no app `foo` is backed up here; there is: desk, _host"),
                        (("create", "--unless", "soon"), "--unless is an age"), (("restore", "--at", "x"), "x")):
        assert told in site.backup(*words, code=1)
    helped = subprocess.run([DAIS_BIN, "help", "backup"], capture_output=True, text=True, check=True).stdout
    assert "restore" in helped and "--prune" in helped
