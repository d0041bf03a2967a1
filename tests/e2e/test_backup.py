# Backups of a serving app are of one moment, come back whole or not at all, and are believed as far as they are right.
import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import postgres
from accounts_api import PASSWORD, ask, joined
from backups import (
    fixture_filled_site, fixture_site, changed, consistent, env_of_database, filled, flip, Load, NAME,
    needs_postgres, now, on_both, one_job, pages, raised, Site, state)
from conftest import REPORT, wait_for
from documents import call
from stores import env_of, in_folder, object_store, stand_in


# ---- the drill -------------------------------------------------------------------------------------
def lose(site, database):
    """Everything but the backups and the secret, as a new machine has it."""
    shutil.copytree(site.place, site.data.parent / "copies", dirs_exist_ok=True)
    secret = (site.data / "secret").read_bytes()
    shutil.rmtree(site.data)
    site.data.mkdir(mode=0o700)
    (site.data / "secret").write_bytes(secret)
    (site.data / "secret").chmod(0o600)
    return None if database == "sqlite" else site.env.pop("DATABASE_URL")


@on_both
def test_the_drill(database, tmp_path):
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path, env_of_database(database, stack))
        with site.serve() as server:
            ann = joined(server)
            assert ask(server, "GET", "/api/auth/me", token=ann.token).status == 200
            load = Load(server).start()
            wait_for(lambda: load.count() >= 10 or load.error, "some writes", 180)
            before = dict(load.done)
            told = site.backup("create")
            after = dict(load.done)
            wait_for(lambda: load.count() >= sum(after.values()) + 3 or load.error, "further writes", 180)
            load.stop()
            jobs = len(pages(server, "/api/jobs?type=meet"))
        assert re.search(rf"^desk: {NAME.pattern}: \d+ rows \(.*packed\), \d+ contents? of files", told, re.M), told
        lose(site, database)
        if database == "postgres":
            site.env.update(env_of_database(database, stack))  # another one
        told = site.restore("--from", tmp_path / "copies")
        assert "desk: restored" in told and "what was there before" not in told, told
        assert "all as stored" in site.run("verify")
        with site.serve() as server:
            found = state(server)
            counts = consistent(found)
            for writer, count in counts.items():  # of the moment when it was made
                assert before.get(writer, 0) <= count <= after.get(writer, 0) + 1
            first = next(iter(found["left"].values()))
            again = call(server, "POST", "/api/left", {"key": first["key"], "n": 0}, user=None)
            assert again.status == 409, again.body
            search = f"/api/left?search={first['key']}"
            wait_for(lambda: call(server, "GET", search, user=None).status == 200, "the index of words", 60)
            assert [one["key"] for one in wait_for(lambda: pages(server, search), "its word")] == [first["key"]]
            changed = [ident for ident, one in found["left"].items() if one["version"] > 1]
            assert changed
            for ident in changed[:3]:
                history = call(server, "GET", f"/api/left/{ident}/versions", user=None).json()["items"]
                assert [one["version"] for one in history] == list(range(found["left"][ident]["version"], 0, -1))
            assert 0 < len(pages(server, "/api/jobs?type=meet")) <= jobs
            assert ask(server, "GET", "/api/auth/me", token=ann.token).status == 401
            assert ask(server, "POST", "/api/auth/login", {"email": ann.email, "password": PASSWORD}).status == 200
            assert call(server, "PUT", "/api/files/box/new", b"new", user=None).status == 201  # the store takes more


def rows_of(site, made):
    return [json.loads(line) for line in gzip.decompress(site.rows(made).read_bytes()).splitlines()]


def state_in(site, made):
    """What state() would say of it, from the rows themselves."""
    found, table = {"left": {}, "right": {}, "shots": {}, "files": {}}, None
    for row in rows_of(site, made):
        if isinstance(row, dict):
            table, columns = row.get("table"), row.get("columns")
            continue
        cells = dict(zip(columns, row))
        if table == "dais_files":
            found["files"][cells["path"]] = cells["hash"]
        elif table in ("c_left", "c_right", "c_shots"):
            found[table[2:]][cells["id"]] = json.loads(cells["body"])
    return found


@on_both
def test_each_one_is_of_one_moment(database, tmp_path):
    """Tables that take a while to be read, and many writers at them meanwhile."""
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path, env_of_database(database, stack))
        with site.serve() as server:
            lines = "".join(json.dumps({"key": f"x-{n}", "n": 0, "pad": "y" * 3000}) + "\n" for n in range(1500))
            for name in ("left", "right"):
                done = call(server, "POST", f"/api/{name}/import", lines.encode(), user=None, deadline=300,
                            Content_Type="application/jsonl")
                assert done.status == 200, done.body
            load, seen = Load(server, 6).start(), []
            for _ in range(8):
                count = load.count()
                wait_for(lambda: load.count() > count + 3 or load.error, "further writes", 180)
                seen.append(sum(consistent(state_in(site, site.made())).values()))
            load.stop()
        assert seen == sorted(seen) and seen[-1] > seen[0]


@on_both
def test_what_is_restored_is_what_was(database, tmp_path):
    """All of it, to the byte, while nobody writes; a second restore over the first changes nothing."""
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path, env_of_database(database, stack))
        before = filled(site)
        made = site.made()
        assert (made["lost"], made["copied"]) == (0, made["contents"]) and made["contents"] > 0
        assert site.made()["copied"] == 0
        with site.serve() as server:
            load = Load(server, 1, "x").start()
            wait_for(lambda: load.count() >= 2 or load.error, "further writes", 180)
            load.stop()
            assert call(server, "DELETE", f"/api/left/{next(iter(before['left']))}", user=None).status == 204
            assert call(server, "DELETE", f"/api/files/box/{next(iter(before['files']))}", user=None).status == 204
            later = state(server)
        told = site.restore("--app", "desk", "--at", made["name"])
        assert now(site) == before
        present = re.search(r"what was there before is the backup (\S+)", told)[1]
        site.restore("--at", present)
        assert now(site) == later
        site.restore("--at", made["name"], "--no-backup")
        site.restore("--at", made["name"], "--no-backup")
        assert now(site) == before
        assert len(site.all("--app", "desk")) == 4


@needs_postgres
def test_from_one_database_to_the_other_and_back(tmp_path, site):
    before = filled(site)
    made = site.made()
    with postgres.Postgres() as db:
        there = Site(tmp_path / "there", {"DATABASE_URL": db.url})
        told = there.restore("--from", site.place, "--at", made["name"])
        assert "another secret" in there.restore("--from", site.place, before=["sh", "-c", '"$@" 2>&1', "-"]), told
        assert now(there) == before
        back = Site(tmp_path / "back")
        back.restore("--from", there.place, "--at", there.made()["name"])
        assert now(back) == before


@stand_in("two buckets")
def test_from_the_disk_to_an_object_store_and_back(tmp_path, site):
    before = filled(site)
    made = site.made()
    with object_store(tmp_path) as s3:
        there = Site(tmp_path / "there", env_of(s3))
        there.restore("--from", site.place, "--at", made["name"])
        assert now(there) == before and s3.objects
        entry = there.made()
        assert entry["lost"] == 0 and entry["copied"] == made["contents"]
        for key in [key for key in s3.objects if key.startswith("desk/")]:
            del s3.objects[key]
        shutil.rmtree(there.data / "apps")
        there.restore("--no-backup", "--at", entry["name"])
        assert now(there) == before
    back = Site(tmp_path / "back")
    back.restore("--from", there.place, "--at", entry["name"])
    assert now(back) == before


def test_operators_are_backed_up_beside_the_apps(site):
    site.run("user", "add", "op@example.com", "--operator", "--generate")
    told = json.loads(site.backup("create", "--json"))
    assert told["ok"] and [one["app"] for one in told["made"]] == ["_host"]  # the app has stored nothing yet
    site.run("user", "remove", "op@example.com", "--operator", "--yes", code=3)  # the last one stays
    site.run("user", "add", "other@example.com", "--operator", "--generate")
    site.restore()
    assert "other@" not in site.run("user", "list", "--operator")
    assert "op@example.com" in site.run("user", "list", "--operator")


def test_the_latest_is_none_that_a_restore_made(filled_site):
    """Whoever restores twice does not get the disaster back."""
    site = filled_site
    made = site.made()
    raised(site)
    assert f"--at {made['name']}" not in site.restore("--app", "desk")
    newest, oldest = site.all("--app", "desk")
    assert oldest["name"] == made["name"] and newest["of_restore"] and not oldest["of_restore"], (newest, oldest)
    told = site.backup("list")
    assert re.search(rf"^desk +{newest['name']} .* complete, made by a restore$", told, re.M), told
    out, _ = told_json(site, "restore", "--yes", "--app", "desk")
    assert out["restored"][0]["name"] == made["name"] and out["restored"][0]["present"], out
    assert now(site) == site.state
    site.restore("--app", "desk", "--at", newest["name"])
    assert "later-0" in str(now(site))


# ---- damage ----------------------------------------------------------------------------------------
def test_a_flipped_byte_in_the_rows_is_found_and_refused(filled_site):
    site = filled_site
    made = site.made()
    later = raised(site)
    whole = site.rows(made).read_bytes()
    for at in sorted({0, 9, len(whole) // 3, len(whole) // 2, len(whole) - 5, len(whole) - 1}):
        site.rows(made).write_bytes(whole)
        flip(site.rows(made), at)
        assert "damaged" in site.backup("verify", "--app", "desk", code=10)
        site.restore("--app", "desk", "--no-backup", code=10)
        site.restore("--app", "desk", "--no-backup", "--despite-damage", code=10)
    for cut in (whole[:-1], whole[:len(whole) // 2], whole + b"x", whole + gzip.compress(b"more"), b""):
        site.rows(made).write_bytes(cut)
        site.backup("verify", "--app", "desk", code=10)
        site.restore("--app", "desk", "--no-backup", code=10)
    site.rows(made).unlink()
    site.backup("verify", "--app", "desk", code=10)
    site.restore("--app", "desk", "--no-backup", code=10)
    assert now(site) == later
    site.rows(made).write_bytes(whole)
    site.restore("--app", "desk")
    assert now(site) == site.state


def test_a_flipped_byte_in_a_content_is_found_and_refused(filled_site):
    site = filled_site
    made = site.made()
    later = raised(site)
    one = site.contents()[0]
    whole = one.read_bytes()
    flip(one)
    told = site.backup("verify", "--app", "desk", code=10)
    assert one.name in told and "damaged" in told, told
    told = json.loads(site.backup("verify", "--app", "desk", "--json", code=10))
    assert not told["ok"] and told["verified"][0]["damaged"] == 1 and told["verified"][0]["why"], told
    assert "--despite-damage" in site.restore("--app", "desk", "--no-backup", code=10)
    set_aside(one).unlink()
    assert one.name in site.backup("verify", "--app", "desk", code=10)
    site.restore("--app", "desk", "--no-backup", code=10)
    assert now(site) == later
    one.write_bytes(whole)
    assert "all as written" in site.backup("verify", "--app", "desk")
    site.restore("--app", "desk", "--at", made["name"])
    assert now(site) == site.state


def set_aside(path):
    return path.with_name(path.name + ".damaged")


def test_a_damaged_content_is_mended_as_verify_says(filled_site):
    """A backup does not copy what it finds: a content that is damaged is set aside for the next one."""
    site = filled_site
    made = site.made()
    one = site.contents()[0]
    flip(one)
    told = site.backup("verify", "--app", "desk", code=10)
    assert "`dais backup create` copies what is told above again" in told, told
    assert set_aside(one).exists() and not one.exists()
    assert site.made()["copied"] == 1
    assert one.exists() and not set_aside(one).exists()
    for name in ("latest", made["name"]):
        assert "all as written" in site.backup("verify", "--app", "desk", "--at", name)


def test_a_damaged_content_stays_where_nobody_may_write(filled_site):
    site = filled_site
    site.made()
    one = site.contents()[0]
    flip(one)
    with open(site.folder / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = site.backup("verify", "--app", "desk", code=10)
    assert f"from {site.folder}/contents, then `dais backup create` copies it again" in told, told
    assert one.exists() and not set_aside(one).exists()


@in_folder("a content is taken away")
def test_what_is_damaged_can_be_left_behind(filled_site):
    site = filled_site
    site.made()
    one = site.contents()[0]
    flip(one)
    shutil.rmtree(site.data / "apps")
    told = site.restore("--app", "desk", "--despite-damage")
    assert "without 1 content" in told
    with site.serve() as server:
        files = {item["path"]: call(server, "GET", f"/api/files/box/{item['path']}", user=None)
                 for item in pages(server, "/api/files/box")}
    assert files.keys() == site.state["files"].keys()
    for path, answer in files.items():
        if site.state["files"][path] == one.name:
            assert answer.status == 500, answer
        else:
            assert hashlib.sha256(answer.body).hexdigest() == site.state["files"][path]


@in_folder("a content is taken away")
def test_what_the_store_lost_is_told_and_the_rest_is_kept(filled_site):
    site = filled_site
    lost = sorted((site.data / "apps/desk/files/blobs").glob("*/*"))[0]
    lost.unlink()
    told = site.backup("create", "--app", "desk", code=10)
    assert lost.name[:64] in told and "not in it: 1 content" in told, told
    assert site.all("--app", "desk")[0]["lost"] == 1
    assert "all as written" in site.backup("verify", "--app", "desk")
    site.restore("--app", "desk")
    assert now_but_lost(site).items() < site.state["files"].items()


def now_but_lost(site):
    with site.serve() as server:
        answers = {one["path"]: call(server, "GET", f"/api/files/box/{one['path']}", user=None)
                   for one in pages(server, "/api/files/box")}
    assert sorted(answer.status for answer in answers.values())[-1] == 500
    return {path: hashlib.sha256(answer.body).hexdigest() for path, answer in answers.items() if answer.status == 200}


# ---- kills -----------------------------------------------------------------------------------------
def kill_after(site, seconds, *words):
    """True: it was still at work."""
    command, env = site.command("backup", *words)
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as proc:
        try:
            proc.wait(seconds)
        except subprocess.TimeoutExpired:
            proc.send_signal(signal.SIGKILL)
        told = proc.stdout.read().decode()
        proc.wait(120)
    assert not REPORT.search(told), told
    assert proc.returncode in (0, -signal.SIGKILL), told
    return proc.returncode != 0


def seconds_of(site, *words):
    began = time.monotonic()
    site.backup(*words)
    return time.monotonic() - began


def test_a_kill_while_one_is_made_leaves_no_half_of_one(filled_site):
    site = filled_site
    long = seconds_of(site, "create", "--app", "desk")
    rng, killed = random.Random(7), 0
    for i in range(8):
        shutil.rmtree(site.folder / "contents", ignore_errors=True)
        before = len(site.all("--app", "desk"))
        was_killed = kill_after(site, long * rng.uniform(0.3, 1), "create", "--app", "desk")
        killed, long = killed + was_killed, long if was_killed else 0.7 * long  # it is quicker by now
        assert all(one["state"] == "complete" for one in site.all("--app", "desk")), i
        assert len(site.all("--app", "desk")) in (before, before + 1)
    assert killed
    site.made()
    assert "all as written" in site.backup("verify", "--app", "desk")
    names = {one["name"] for one in site.all("--app", "desk")}
    left = {path.name for path in site.folder.iterdir()} - {"lock", "contents"}
    assert left == {name + end for name in names for end in (".json", ".jsonl.gz")}


@on_both
def test_a_kill_while_one_is_restored_leaves_what_was_or_what_is_to_be(database, tmp_path):
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path, env_of_database(database, stack))
        then = filled(site)
        name = site.made()["name"]
        later = raised(site)
        words = ("restore", "--yes", "--app", "desk", "--no-backup", "--at")
        long = seconds_of(site, *words, name)
        assert now(site) == then
        present = site.restore("--app", "desk", "--at", name)  # so that there is one more of `then`
        assert "restored" in present
        raised(site)
        other, rng, killed = site.made()["name"], random.Random(11), 0
        here = now(site)
        for i in range(6):
            wanted, other_state = (name, then) if i % 2 else (other, here)
            before = now(site)
            was_killed = kill_after(site, long * rng.uniform(0.2, 1), *words, wanted)
            killed, long = killed + was_killed, long if was_killed else 0.7 * long  # it is quicker by now
            assert now(site) in ((before, other_state) if was_killed else (other_state,)), i
        assert killed and later
        site.restore("--app", "desk", "--at", name)
        assert now(site) == then
        if database == "sqlite":
            assert sorted(path.name for path in (site.data / "apps/desk").glob("app.db*")) == ["app.db"]


@in_folder("files of the database")
def test_what_a_killed_restore_left_goes_when_the_server_starts(filled_site):
    site = filled_site
    left = [site.data / f"apps/desk/app.db.restored{end}" for end in ("", "-wal", "-shm")]
    for path in (*left, site.data / "host.db.restored"):
        path.write_bytes(b"half")
    assert now(site) == site.state
    assert not list(site.data.rglob("*.restored*"))


# ---- who else is at it, and where there is no room -------------------------------------------------
def test_a_folder_that_somebody_else_writes_to(site):
    with site.serve() as server:
        assert call(server, "POST", "/api/left", {"key": "a-0", "n": 0}, user=None).status == 201
        site.made()
        with open(site.folder / "lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert "Another backup is being made" in site.backup("create", "--app", "desk", code=4)
            assert len(site.all("--app", "desk")) == 1  # reading goes on
            made = call(server, "POST", "/api/jobs/save", {}, user=None).json()

            def again():  # it waits for another time, or that is over by now
                one = one_job(server, made["id"])
                return one["attempt"] >= 1 and one["state"] in ("queued", "failed") and one
            told = wait_for(again, "another time")
            assert "Another backup is being made" in json.dumps(told), told
        assert len(site.all("--app", "desk")) == 1


def test_an_app_that_cannot_be_backed_up_keeps_no_other_from_it(site):
    """The operators' come last, and nothing but the command makes them."""
    site.run("user", "add", "op@example.com", "--operator", "--generate")
    with site.serve() as server:
        assert call(server, "POST", "/api/left", {"key": "a-0", "n": 0}, user=None).status == 201
    site.made()
    with open(site.folder / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = site.backup("create", code=4)
        assert "desk: Another backup is being made" in told and re.search(rf"^_host: {NAME.pattern}", told, re.M), told
        out, why = told_json(site, "create", code=4)
        assert not out["ok"] and [one["app"] for one in out["made"]] == ["_host"] and "Another backup" in why
        (site.place / "_host/lock").unlink()
        (site.place / "_host/lock").mkdir()
        told = site.backup("create", code=11)  # not 4, which says that one is being made
        assert "desk: Another backup is being made" in told and "_host: " in told, told


def told_json(site, *words, code=0):
    command, env = site.command("backup", *words, "--json")
    done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=600, check=False)
    assert done.returncode == code, done
    return json.loads(done.stdout), done.stderr


def test_a_job_is_told_by_its_input_nothing(filled_site, tmp_path):
    with filled_site.serve() as server:
        made = call(server, "POST", "/api/jobs/save", {"to": str(tmp_path / "elsewhere")}, user=None).json()
        wait_for(lambda: one_job(server, made["id"])["state"] == "succeeded", "its end")
    assert len(filled_site.all()) == 1 and not (tmp_path / "elsewhere").exists()


def test_a_server_is_in_the_way_of_a_restore(filled_site):
    site = filled_site
    site.made()
    with site.serve() as server:
        told = site.restore(code=4)
        assert "another dais serves" in told and "stop it" in told
        assert state(server) == site.state
    assert site.backup("restore", code=1).count("--yes") == 1  # nobody is there to ask


@contextlib.contextmanager
def small_disk(size):
    folder = tempfile.mkdtemp(prefix="dais-small-")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True,
                          check=False)
    try:
        if done.returncode:
            pytest.skip("optional: nobody may mount a small disk here")
        yield folder
    finally:
        subprocess.run(["umount", folder], capture_output=True, check=False)
        os.rmdir(folder)


def test_a_full_disk_is_told_and_leaves_nothing(filled_site):
    with small_disk("8m") as disk:
        told = filled_site.backup("create", "--to", disk, "--app", "desk", code=11)
        assert "disk" in told or "room" in told, told
        assert filled_site.all("--from", disk, "--app", "desk") == []
    with small_disk("300m") as disk:
        site = Site(filled_site.app.parent / "small", data=filled_site.data)
        site.backup("create", "--to", disk, "--app", "desk")
        filler = os.path.join(disk, "filler")
        with open(filler, "wb") as file:
            file.write(b"x" * (250 << 20))
        with site.serve() as server:
            assert call(server, "PUT", "/api/files/box/more", b"more" * 10000, user=None).status == 201
        site.backup("create", "--to", disk, "--app", "desk", code=11)
        assert len(site.all("--from", disk, "--app", "desk")) == 1
        os.unlink(filler)
        site.backup("create", "--to", disk, "--app", "desk")
        assert "all as written" in site.backup("verify", "--from", disk, "--app", "desk")


# ---- folders of others -----------------------------------------------------------------------------
HUGE = 10 ** 30
ENTRIES = [{"rows": HUGE}, {"rows": -1}, {"contents": 2 ** 64}, {"rows_bytes": 1.5},
           {"rows_sha256": "../../etc/passwd"}, {"rows_sha256": 7}, {"steps": "documents"},
           {"steps": ["x"] * 100000}, {"app": "../up"}, {"app": None},
           {"made_at": "never"}, {"format": 0}, {"format": "1"}, {"secret_mark": "no"}, {"lost": 999999},
           {"made_by": "x" * 10 ** 6}, {"database": "oracle"}]


def test_entries_that_are_wrong_are_told_as_that(filled_site):
    site = filled_site
    made = site.made()
    whole = site.entry(made).read_text()
    for members in ENTRIES:
        changed(site, made, **members)
        one, = site.all("--app", "desk")
        assert one["state"] == "damaged" and one["why"], (members, one)
        site.restore("--app", "desk", "--no-backup", code=10)
        site.entry(made).write_text(whole)
    for text in ("", "{", "[]", "null", "[" * 100000, '"' + "x" * (1 << 22) + '"', "\0\0", '{"format":1}'):
        site.entry(made).write_text(text)
        assert site.all("--app", "desk")[0]["state"] == "damaged"
        site.backup("verify", "--app", "desk", code=10)
    site.entry(made).write_text(whole.replace(json.loads(whole)["steps"][0], "another"))
    assert "changed after it was written" in site.backup("list", "--app", "desk")
    changed(site, made, format=2)
    assert "newer dais" in site.backup("list", "--app", "desk")
    site.entry(made).write_text(whole)
    changed(site, made, steps=[*json.loads(whole)["steps"], "of tomorrow"])
    assert "newer dais" in site.restore("--app", "desk", "--no-backup", code=1)
    assert now(site) == site.state


def test_links_and_odd_files_are_not_followed(filled_site, tmp_path):
    site = filled_site
    made = site.made()
    aside = tmp_path / "aside"
    aside.mkdir()
    one = site.contents()[0]
    for path in (one, site.rows(made), site.entry(made)):
        where = set_aside(path) if path == one else path  # by then
        away = aside / path.name
        path.rename(away)
        path.symlink_to(away)
        if path == site.entry(made):
            assert site.all("--app", "desk")[0]["state"] == "damaged"
        site.backup("verify", "--app", "desk", code=10)
        site.restore("--app", "desk", "--no-backup", code=10)
        where.unlink()
        os.mkfifo(path)
        site.backup("verify", "--app", "desk", code=10)
        where.unlink()
        path.mkdir()
        site.backup("verify", "--app", "desk", code=10)
        where.rmdir()
        away.rename(path)
    (site.folder / "contents").rename(aside / "contents")
    (site.folder / "contents").symlink_to(aside / "contents")
    assert site.backup("verify", "--app", "desk", code=1)
    (site.folder / "contents").unlink()
    (aside / "contents").rename(site.folder / "contents")
    for odd in ("..json", "20260101T000000Z-aaaa.json/..", "x.json", "20260101T000000Z-AAAA.json"):
        with contextlib.suppress(OSError):
            (site.folder / odd).write_text(site.entry(made).read_text())
    assert [one["name"] for one in site.all("--app", "desk")] == [made["name"]]
    for name in ("../desk/" + made["name"], "..", "/etc/passwd", made["name"] + "/", "", "latest/.."):
        site.restore("--app", "desk", f"--at={name}", code=1)
    assert now(site) == site.state


def with_rows(site, made, rows, fixes_counts=True):
    """Rows of somebody who knows how to make everything else fit."""
    if fixes_counts:
        tables = total = 0
        count = 0
        for row in rows:
            if isinstance(row, list):
                count += 1
            elif "end" in row:
                row["rows"], tables, total, count = count, tables + 1, total + count, 0
        rows[-1] = {"tables": tables, "rows": total}
    packed = gzip.compress("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode())
    site.rows(made).write_bytes(packed)
    changed(site, made, rows_bytes=len(packed), rows_sha256=hashlib.sha256(packed).hexdigest(),
            rows=rows[-1].get("rows", 0), tables=rows[-1].get("tables", 0))


def evil_rows(rows):
    """Name of the trick, rows."""
    def table(name, columns=("name",), kinds="t", cells=("x",)):
        return [{"table": name, "columns": list(columns), "kinds": kinds}, list(cells), {"end": name, "rows": 1}]
    body, last = rows[:-1], rows[-1:]
    yield "sql in a table's name", body + table('c_x"; DROP TABLE dais_users; --') + last
    yield "a table that is none of ours", body + table("c_../x") + last
    yield "a table of sqlite", body + table("sqlite_master") + last
    yield "the steps themselves", body + table("dais_migrations", ("version", "name"), "it", (99, "x")) + last
    yield "sql in a column's name", body + table("dais_meta", ("name) VALUES ('x'); --",)) + last
    yield "a column that is not there", body + table("dais_meta", ("name", "nothing"), "tt", ("x", "y")) + last
    yield "the same column twice", body + table("c_left", ("id", "id"), "tt", ("x", "y")) + last
    yield "too few cells", body[:1] + [["x"]] + body[1:] + last
    yield "deep", body + [json.loads("[" * 500 + "]" * 500)] + last
    sessions = table("dais_sessions", ("id", "token"), "tb", ("x", {"b": "AAAA"}))
    yield "a session", body + sessions + last
    keys = [dict(row) if isinstance(row, dict) else list(row) for row in body]
    assert keys[0]["table"] == "dais_blobs" and isinstance(keys[1], list)
    keys[1][0] = "../" * 21 + "a"
    yield "a hash that is a path", keys + last


def test_rows_that_somebody_made_up_change_nothing(filled_site):
    site = filled_site
    made = site.made()
    for name, rows in evil_rows(rows_of(site, made)):
        with_rows(site, made, rows)
        command, env = site.command("backup", "restore", "--yes", "--app", "desk", "--no-backup")
        done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=300, check=False)
        assert done.returncode in (1, 10) and not REPORT.search(done.stderr), (name, done)
        assert len(done.stderr.splitlines()) <= 3, (name, done.stderr)
    assert now(site) == site.state


def test_what_packs_to_nothing_fills_no_memory(filled_site):
    """A bomb: a gigabyte of blanks in one line, and of lines."""
    site = filled_site
    made = site.made()
    for text in (b" " * (1 << 20), b"[]\n" * (1 << 18)):
        packed = gzip.compress(text) * 600
        site.rows(made).write_bytes(packed)
        changed(site, made, rows_bytes=len(packed), rows_sha256=hashlib.sha256(packed).hexdigest())
        site.backup("verify", "--app", "desk", code=10)
        site.restore("--app", "desk", "--no-backup", code=10)
    assert now(site) == site.state
