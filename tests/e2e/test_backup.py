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
import sqlite3
import subprocess
import tempfile
import time

import pytest

import postgres
from accounts_api import PASSWORD, ask, joined
from backups import MANIFEST, Load, Site, consistent, env_of_database, filled, pages, sealed, state
from conftest import DAIS_BIN, REPORT, wait_for
from documents import DATABASES, call
from stores import env_of, in_folder, object_store, stand_in

on_both = pytest.mark.parametrize("database", DATABASES)
needs_postgres = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-z]{4}")


@pytest.fixture(name="site")
def fixture_site(tmp_path):
    return Site(tmp_path)


@pytest.fixture(name="filled_site")
def fixture_filled_site(site):
    site.state = filled(site)
    return site


def now(site):
    with site.serve() as server:
        return state(server)


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
            wait_for(lambda: load.count() >= 10 or load.error, "some writes", 60)
            before = dict(load.done)
            told = site.backup("create")
            after = dict(load.done)
            wait_for(lambda: load.count() >= sum(after.values()) + 3 or load.error, "further writes", 60)
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
                assert before[writer] <= count <= after[writer] + 1
            first = next(iter(found["left"].values()))
            again = call(server, "POST", "/api/left", {"key": first["key"], "n": 0}, user=None)
            assert again.status == 409, again.body
            assert [one["key"] for one in wait_for(
                lambda: pages(server, f"/api/left?search={first['key']}"), "the index of words")] == [first["key"]]
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
                done = call(server, "POST", f"/api/{name}/import", lines.encode(), user=None, deadline=60,
                            Content_Type="application/jsonl")
                assert done.status == 200, done.body
            load, seen = Load(server, 6).start(), []
            for _ in range(8):
                count = load.count()
                wait_for(lambda: load.count() > count + 3 or load.error, "further writes", 60)
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
            wait_for(lambda: load.count() >= 2 or load.error, "further writes")
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
def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 0x01
    path.chmod(0o600)
    path.write_bytes(data)


def raised(site):
    with site.serve() as server:
        assert call(server, "POST", "/api/left", {"key": "later-0", "n": 1}, user=None).status == 201
        return state(server)


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
        proc.wait(20)
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
        killed += kill_after(site, long * rng.uniform(0.3, 1), "create", "--app", "desk")
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
            killed += was_killed
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
            again = wait_for(lambda: (one := one_job(server, made["id"]))["attempt"] == 1 and one["state"] == "queued"
                             and one, "another time")
            assert "Another backup is being made" in json.dumps(again), again
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
    done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, done
    return json.loads(done.stdout), done.stderr


def test_a_job_is_told_by_its_input_nothing(filled_site, tmp_path):
    with filled_site.serve() as server:
        made = call(server, "POST", "/api/jobs/save", {"to": str(tmp_path / "elsewhere")}, user=None).json()
        wait_for(lambda: one_job(server, made["id"])["state"] == "succeeded", "its end")
    assert len(filled_site.all()) == 1 and not (tmp_path / "elsewhere").exists()


def one_job(server, ident):
    return call(server, "GET", f"/api/jobs/{ident}", user=None).json()


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
def changed(site, made, **members):
    entry = json.loads(site.entry(made).read_text())
    entry.update(members)
    site.entry(made).write_text(sealed(entry))


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
        done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=60, check=False)
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
        made = wait_for(site.all, "a backup", 30)
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
    first, second = site.made()["name"], site.made()
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
        told = proc.communicate(timeout=20)[1]
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
        if told:
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
