# Sealed folders: made ready once by `dais build --release`, then served by somebody else, read-only.
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import DAIS_BIN, Server, clean_env, wait_for
from serving import serving, write_app
from test_prepare import PROGRAM, RUN, about, lines

NOBODY = 65532
SETUP = "echo making && mkdir -p state && echo made > made.txt && echo seed > uploads/seed.txt"
KEEP = ', persist: [ uploads, state/app.db, "new/deep" ]'
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="optional: needs root for a mount namespace")


@pytest.fixture(name="open_tmp")
def fixture_open_tmp():
    """A folder that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="dais-sealed-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def app(folder, backend=KEEP, setup=SETUP, files=None, top=""):
    given = f", setup: {json.dumps(setup)}" if setup else ""
    manifest = f"run: {json.dumps(RUN)}, routes: [ /api/ ]{given}{backend}"
    write_app(folder, {"web/index.html": "<h1>home</h1>", "server.py": PROGRAM, "uploads/a/b.txt": "b",
                       "requirements.txt": "one\n", **(files or {})},
              f"web: {{ root: web }}\n{top}\nbackend: {{ {manifest} }}\n")
    return folder


def build(run_dais, folder, data, *args, **options):
    done = run_dais("build", "--release", folder, "--data", data, *args, **options)
    assert done.returncode == 0, done
    return done


def edit(folder, old, new):
    text = (folder / "dais.yaml").read_text()
    assert old in text
    (folder / "dais.yaml").write_text(text.replace(old, new))


def kept(folder, data, path):
    return data / "apps" / folder.name / "persist" / path


def tree(folder):
    """Everything that tells a changed folder from an unchanged one."""
    found = {}
    for path in sorted(folder.rglob("*"), key=str):
        stat = path.lstat()
        found[str(path.relative_to(folder))] = (
            stat.st_mode, stat.st_mtime_ns, os.readlink(path) if path.is_symlink() else stat.st_size)
    return found


def write(server, name, text):
    answer = server.fetch("/api/write", method="POST", body=text.encode(), headers={"X-File": name}, deadline=30)
    assert answer.status == 200, (answer, server.story())


def refused(folder, data, *sentences, cwd):
    """It does not start, and says why; `dais check` says the same."""
    env = clean_env(cwd, {"DAIS_DATA": data, "DAIS_LISTEN": "127.0.0.1:0"})
    for verb in ("serve", "check"):
        done = subprocess.run([DAIS_BIN, verb, folder], env=env, cwd=cwd, timeout=60, text=True, capture_output=True,
                              check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and all(sentence in said for sentence in sentences), (verb, done)


# ---- served by somebody else, from a read-only folder ----------------------------------------------
@contextlib.contextmanager
def serving_read_only(folder, data, *before, ready=True):
    """As a container would: the folder is read-only for all, the server's user is nobody's."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, folder, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
               "--clear-groups", *before, DAIS_BIN, "serve", folder, "--listen", "127.0.0.1:0"]
    env = clean_env("/nonexistent", {"DAIS_LOG": "json", "DAIS_DATA": data})
    server = Server(command, env, "/")
    try:
        yield server.wait_ready() if ready else server
    finally:
        server.stop()


@pytest.fixture(name="sealed")
def fixture_sealed(open_tmp, run_dais):
    """A sealed app, and an empty data folder of somebody else's."""
    folder = app(open_tmp / "app")
    data = open_tmp / "data"
    build(run_dais, folder, data)
    assert not data.exists(), "it is a folder of another day"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    return folder, data


@as_root
def test_a_read_only_folder_is_served_by_somebody_else(sealed):
    folder, data = sealed
    before = tree(folder)
    with serving_read_only(folder, data) as server:
        assert about(server)["env"]["PWD"] == str(folder)
        assert server.fetch("/").body == b"<h1>home</h1>"
        with pytest.raises(OSError):
            pathlib.Path(f"/proc/{server.proc.pid}/root{folder}/x").write_text("x")
        for name in ("uploads/mine.txt", "state/app.db", "new/deep/x.txt"):
            write(server, name, "mine")
        assert "setup begins" not in server.stderr
    assert kept(folder, data, "uploads/a/b.txt").read_text() == "b"
    assert kept(folder, data, "uploads/seed.txt").read_text() == "seed\n", "what the setup made is shipped"
    assert kept(folder, data, "uploads/mine.txt").stat().st_uid == NOBODY
    assert tree(folder) == before
    with serving_read_only(folder, data) as server:
        about(server)
        write(server, "uploads/mine.txt", "!")
        write(server, "state/app.db", "!")
    assert kept(folder, data, "uploads/mine.txt").read_text() == "mine!"
    assert kept(folder, data, "state/app.db").read_text() == "mine!"
    assert tree(folder) == before


@as_root
@pytest.mark.parametrize("reached", ["begun", "some", "most", "all"])
def test_a_first_copy_that_is_killed_is_done_again(sealed, reached):
    folder, data = sealed
    pages = {f"d{i}/{j}.txt": f"{i} {j} " * 50 for i in range(20) for j in range(10)}
    shipped = folder / ".dais/shipped/uploads"
    for name, text in pages.items():
        (shipped / name).parent.mkdir(exist_ok=True)
        (shipped / name).write_text(text)
    (shipped / "d0").chmod(0o555)
    place, part = kept(folder, data, "uploads"), kept(folder, data, "uploads.dais-partial")
    copied = {"begun": part.exists, "some": lambda: len(list(part.rglob("*.txt"))) > 5,
              "most": lambda: len(list(part.rglob("*.txt"))) > 150, "all": place.exists}
    with serving_read_only(folder, data) as server:
        wait_for(lambda: place.exists() or copied[reached](), reached, 60)
        server.kill()
    if place.exists():
        assert not part.exists() and len(list(place.rglob("*.txt"))) >= len(pages), "all of it or nothing"
    with serving_read_only(folder, data) as server:
        about(server)
        write(server, "uploads/mine.txt", "mine")
    assert not part.exists()
    assert {name: (place / name).read_text() for name in pages} == pages


@as_root
def test_what_cannot_be_read_keeps_the_backend_from_starting(sealed):
    folder, data = sealed
    (folder / ".dais/shipped/uploads/a/b.txt").chmod(0o600)
    with serving_read_only(folder, data) as server:
        assert server.fetch("/api/x", deadline=30).status == 503
        told = next(line for line in lines(server) if line.get("path") == "uploads" and line["level"] == "error")
        assert "b.txt" in told["why"] and "Permission denied" in told["why"]
        assert server.fetch("/").status == 200
    assert not kept(folder, data, "uploads").exists()
    (folder / ".dais/shipped/uploads/a/b.txt").chmod(0o644)
    with serving_read_only(folder, data) as server:
        about(server)


# ---- the same for one that could be written ----------------------------------------------------------
def test_a_writable_sealed_folder_is_left_alone_too(tmp_path, run_dais):
    folder, data = app(tmp_path / "app"), tmp_path / "elsewhere"
    done = build(run_dais, folder, data)
    assert "making" in done.stdout and "kept, with what is shipped there: uploads" in done.stdout
    assert (folder / "made.txt").read_text() == "made\n"
    assert os.readlink(folder / "uploads") == str(kept(folder, data, "uploads"))
    record = json.loads((folder / ".dais/release.json").read_text())
    assert record == {"format": 1, "finished": True, "app": "app", "data": str(data),
                      "persist": ["uploads", "state/app.db", "new/deep"]}
    before = tree(folder)
    done = run_dais("check", folder, env={"DAIS_DATA": data})
    assert done.returncode == 0 and done.stdout == "ok app\n", done
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)
        write(server, "uploads/x", "x")
        assert run_dais("reload", folder, env={"DAIS_DATA": data}).returncode == 0
    assert tree(folder) == before
    assert kept(folder, data, "uploads/x").read_text() == "x"
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)
    assert tree(folder) == before


def test_data_within_the_app_folder_moves_along(tmp_path, run_dais):
    folder = app(tmp_path / "one/app")
    done = run_dais("build", "--release", folder)
    assert done.returncode == 0, done
    assert os.readlink(folder / "state/app.db") == "../data/apps/app/persist/state/app.db"
    moved = shutil.move(tmp_path / "one", tmp_path / "two") / "app"
    with serving(moved) as server:
        about(server)
        write(server, "state/app.db", "x")
    assert kept(moved, moved / "data", "state/app.db").read_text() == "x"


def test_what_is_kept_wins_over_what_a_new_release_ships(tmp_path, run_dais):
    data = tmp_path / "data"
    for release, text in (("r1", "old"), ("r2", "new")):
        folder = app(tmp_path / release / "app", files={"uploads/a/b.txt": text, "state/app.db": text,
                                                        "state/app.db-wal": text + " wal"})
        build(run_dais, folder, data)
        assert not (folder / "state/app.db-wal").exists()
        with serving(folder, env={"DAIS_DATA": data}) as server:
            about(server)
            assert kept(folder, data, "uploads/a/b.txt").read_text() == "old"
            assert kept(folder, data, "state/app.db").read_text() == "old"
            assert kept(folder, data, "state/app.db-wal").read_text() == "old wal"


def test_a_journal_that_was_left_is_not_played_into_what_is_shipped(tmp_path, run_dais):
    files = {"state/app.db": "db", "state/app.db-wal": "wal"}
    folder, data = app(tmp_path / "app", files=files), tmp_path / "data"
    build(run_dais, folder, data)
    wal = kept(folder, data, "state/app.db-wal")
    for is_ours in (True, False):  # as an interrupted copy leaves it, and of another database
        wal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / ".dais/shipped/state/app.db-wal", wal)
        if not is_ours:
            wal.write_text("of another")
        with serving(folder, env={"DAIS_DATA": data}) as server:
            if is_ours:
                about(server)
                kept(folder, data, "state/app.db").unlink()
                continue
            assert server.fetch("/api/x", deadline=30).status == 503
            told = next(line for line in lines(server) if line.get("path") == "state/app.db" and "why" in line)
            assert f"{wal} is there without" in told["why"]
    assert not kept(folder, data, "state/app.db").exists() and wal.read_text() == "of another"


def test_a_missing_folder_of_a_persisted_file_is_made_again(tmp_path, run_dais):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    build(run_dais, folder, data)
    for _ in range(2):
        with serving(folder, env={"DAIS_DATA": data}) as server:
            about(server)
            write(server, "state/app.db", "x")
            write(server, "new/deep/y", "y")
        shutil.rmtree(kept(folder, data, "state"))
        shutil.rmtree(kept(folder, data, "new"))


# ---- building again ----------------------------------------------------------------------------------
def test_building_twice_and_with_another_manifest(tmp_path, run_dais):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    build(run_dais, folder, data)
    before = {name: it[2] for name, it in tree(folder).items()}
    build(run_dais, folder, data)
    assert {name: it[2] for name, it in tree(folder).items()} == before
    edit(folder, "uploads, state/app.db", "state")
    refused(folder, data, "`backend.persist` has changed since this release was built", cwd=tmp_path)
    build(run_dais, folder, data)
    assert (folder / "uploads/a/b.txt").read_text() == "b" and not (folder / "uploads").is_symlink()
    assert (folder / "state").is_symlink()
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)
        write(server, "state/x", "x")


def test_a_build_that_is_killed_is_done_again(tmp_path, run_dais):
    """At any time: the next one finds everything, and nothing unfinished is served."""
    folder, data = app(tmp_path / "app", files={"state/app.db": "db", "state/app.db-wal": "wal"}), tmp_path / "data"
    command = [DAIS_BIN, "build", "--release", folder, "--data", data]
    for i in range(25):
        killed = subprocess.Popen(command, env=clean_env(tmp_path), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            killed.wait(i * 0.01)
        killed.kill()
        killed.wait()
        found = [(folder / name / "uploads/a/b.txt").exists() for name in ("", ".dais/shipped")]
        assert sum(found) == 1, "it is at one of the two places"
    build(run_dais, folder, data)
    shipped = folder / ".dais/shipped"
    assert sorted(str(path.relative_to(shipped)) for path in shipped.rglob("*") if path.is_file()) == [
        "state/app.db", "state/app.db-wal", "uploads/a/b.txt", "uploads/seed.txt"]
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)


@pytest.mark.parametrize("change, sentence", [
    (("seed.txt", "other.txt"), "`backend.setup`, or a file it depends on, has changed"),
    (("app: app", "app: other"), "this release was built for an app named `app`"),
])
def test_another_manifest_is_refused(tmp_path, run_dais, change, sentence):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    build(run_dais, folder, data)
    edit(folder, *change)
    refused(folder, data, sentence, "build it again with `dais build --release`", cwd=tmp_path)


def test_what_changed_in_the_folder_is_refused(tmp_path, run_dais):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    build(run_dais, folder, data)
    (folder / "requirements.txt").write_text("two\n")
    refused(folder, data, "or a file it depends on, has changed", cwd=tmp_path)
    (folder / "requirements.txt").write_text("one\n")
    (folder / "uploads").unlink()
    (folder / "uploads").mkdir()
    refused(folder, data, f"{folder}/uploads is not the link any more", cwd=tmp_path)
    done = run_dais("build", "--release", folder, "--data", data)
    assert done.returncode == 1 and "remove the one that is out of date" in done.stderr, done
    (folder / "uploads").rmdir()
    build(run_dais, folder, data)
    (folder / ".dais/release.json").write_text("{}")
    refused(folder, data, "cannot be understood by this dais", cwd=tmp_path)


def test_another_data_folder_is_refused_with_both_paths(tmp_path, run_dais):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    build(run_dais, folder, data)
    other = tmp_path / "other"
    refused(folder, other, f"built for the data folder {data}, and this is {other}", cwd=tmp_path)
    build(run_dais, folder, other)
    with serving(folder, env={"DAIS_DATA": other}) as server:
        about(server)


@pytest.mark.parametrize("inside", [False, True])
def test_a_data_folder_that_is_a_link_by_now(tmp_path, run_dais, inside):
    """/data of the image is /mnt/disk on the machine, say."""
    folder = app(tmp_path / "app", files={"state/app.db": "db"})
    data, disk = folder / "data" if inside else tmp_path / "data", tmp_path / "disk"
    build(run_dais, folder, data)
    disk.mkdir()
    data.symlink_to(disk)
    for named in (data, disk):
        with serving(folder, env={"DAIS_DATA": named}) as server:
            about(server)
            write(server, "state/app.db", "!")
    assert kept(folder, disk, "state/app.db").read_text() == "db!!"


def test_a_present_folder_that_was_removed_hangs_nothing(tmp_path):
    folder, gone = app(tmp_path / "app"), tmp_path / "gone"
    for verb in (["check"], ["serve", "--listen", "127.0.0.1:0"], ["build", "--release", "--data", "relative"]):
        gone.mkdir()
        done = subprocess.run(["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', gone, DAIS_BIN, *verb, folder],
                              env=clean_env(tmp_path, {"DAIS_DATA": "relative"}), capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == 0 if verb == ["check"] else "folder" in done.stderr, done


def test_what_goes_with_a_file_comes_back_when_moving_it_was_interrupted(tmp_path, run_dais):
    """-wal is moved first; a setup that found the database without it would see old data."""
    files = {"state/app.db": "db", "state/app.db-wal": "wal"}
    folder = app(tmp_path / "app", files=files, setup="cat state/app.db-wal")
    data = tmp_path / "data"
    build(run_dais, folder, data)
    (folder / "state/app.db").unlink()
    (folder / ".dais/shipped/state/app.db").rename(folder / "state/app.db")
    assert "\nwal\n" in build(run_dais, folder, data).stdout + "\n"
    shipped = folder / ".dais/shipped/state"
    assert {path.name: path.read_text() for path in shipped.iterdir()} == {"app.db": "db", "app.db-wal": "wal"}


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/outside", "", "uploads/", "a\0b"])
def test_a_record_that_leads_elsewhere_is_not_followed(tmp_path, run_dais, path):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    build(run_dais, folder, data)
    record = folder / ".dais/release.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "persist": [path]}))
    (folder / ".dais/outside").write_text("theirs")
    before = tree(tmp_path)
    done = run_dais("build", "--release", folder, "--data", data)
    assert done.returncode == 1 and "cannot be understood by this dais" in done.stderr, done
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", [".dais", ".dais/shipped"])
def test_what_is_shipped_stays_in_the_release(tmp_path, run_dais, name):
    """Behind a link it would not come along when the folder is copied."""
    folder, elsewhere = app(tmp_path / "app"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(elsewhere)
    done = run_dais("build", "--release", folder, "--data", tmp_path / "data")
    assert done.returncode == 1 and f"{folder / name} is a link; remove it" in done.stderr, done
    assert not list(elsewhere.iterdir()) and (folder / "uploads/a/b.txt").exists()


def test_the_folder_of_a_seal_cannot_be_kept(tmp_path, run_dais):
    folder = app(tmp_path / "app")
    for path in (".dais", ".dais/shipped"):
        app(folder, f", persist: [ {path} ]")
        done = run_dais("build", "--release", folder)
        assert done.returncode == 1 and f"`{path}` is read by dais" in done.stderr, done


@as_root
def test_in_the_layers_of_an_image(tmp_path):
    """A folder of a layer below cannot be renamed there: it is copied, and back when it is built again."""
    folder = app(tmp_path / "app", files={"uploads/a/b.txt": "b", "state/app.db": "db", "state/app.db-wal": "wal"})
    script = """set -e; cd "$1"; mkdir top; mount -t tmpfs none top; mkdir top/up top/work top/app
        mount -t overlay none -o "redirect_dir=off,lowerdir=$2,upperdir=top/up,workdir=top/work" top/app
        ! python3 -c 'import os; os.rename("top/app/web", "top/app/x")' 2>/dev/null
        cd top/app; "$3" build --release . --data /data-of-sealed; mkdir -p "$1/out"; cp -a . "$1/out/"
        cd ../..; umount top/app top; rmdir top"""
    lower = folder
    for layer in ("one", "two"):
        (tmp_path / layer).mkdir()
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", tmp_path / layer, lower, DAIS_BIN],
                              env=clean_env(tmp_path), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        lower = tmp_path / layer / "out"
        shipped = lower / ".dais/shipped"
        assert (shipped / "uploads/a/b.txt").read_text() == "b" and (shipped / "state/app.db-wal").read_text() == "wal"
        assert os.readlink(lower / "state/app.db") == "/data-of-sealed/apps/app/persist/state/app.db"
        assert not list(lower.rglob("*.dais-partial"))
        assert sorted(path.name for path in (lower / "state").iterdir()) == ["app.db"]


# ---- what goes wrong while it is built ---------------------------------------------------------------
def test_a_setup_that_fails_leaves_nothing_to_be_served(tmp_path, run_dais):
    folder, data = app(tmp_path / "app", setup="echo on its way; echo $KEY; exit 3",
                       top='secrets: [ "KEY?" ]'), tmp_path / "data"
    done = run_dais("build", "--release", folder, "--data", data, env={"KEY": "hunter2secret", "OTHER": "x"})
    assert done.returncode == 5 and "its setup failed (exit code 3)" in done.stderr, done
    assert "on its way" in done.stdout and "***" in done.stdout and "hunter2" not in done.stdout + done.stderr
    refused(folder, data, "this release was not finished", cwd=tmp_path)
    edit(folder, "exit 3", "env > seen.txt")
    build(run_dais, folder, data, env={"OTHER": "x"})
    assert "OTHER" not in (folder / "seen.txt").read_text()
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)


def test_sources_that_were_served_before(tmp_path, run_dais):
    """Links to the data folder of who wrote it come along into the image; the data does not."""
    sources = app(tmp_path / "sources/app", setup="mkdir -p uploads && touch uploads/seed.txt")
    with serving(sources) as server:
        about(server)
        write(server, "uploads/mine.txt", "private")
    folder = tmp_path / "app"
    shutil.copytree(sources, folder, symlinks=True)
    done = run_dais("build", "--release", folder, "--data", tmp_path / "data")
    assert done.returncode == 1 and "`uploads` is a link to somewhere else, where it is kept in another" in done.stderr
    shutil.rmtree(folder / "data")
    build(run_dais, folder, tmp_path / "data")
    with serving(folder, env={"DAIS_DATA": tmp_path / "data"}) as server:
        about(server)
        write(server, "uploads/x", "x")
    assert not kept(folder, tmp_path / "data", "uploads/mine.txt").exists()
    assert kept(folder, tmp_path / "data", "uploads/seed.txt").exists()
    edit(folder, "uploads, state", "web2, uploads, state")
    (folder / "web2").symlink_to("web")
    done = run_dais("build", "--release", folder, "--data", tmp_path / "data")
    assert done.returncode == 1 and "`web2` is a link to somewhere else; remove it" in done.stderr, done


def test_missing_packages_are_told(tmp_path, run_dais):
    folder = app(tmp_path / "app", ", packages: [ there-is-no-such-package ]")
    done = run_dais("build", "--release", folder)
    assert done.returncode == 5 and "apt-get install -y there-is-no-such-package" in done.stderr, done
    assert not (folder / ".dais").exists() and not (folder / "made.txt").exists()


def test_the_web_side_is_built_first_or_was(tmp_path, run_dais):
    folder = app(tmp_path / "app", setup="cat web/index.html", backend="")
    edit(folder, "{ root: web }", '{ root: web, build: "echo fresh > web/index.html" }')
    assert "home" in build(run_dais, folder, tmp_path / "data", "--no-web").stdout
    assert "\nfresh\n" in build(run_dais, folder, tmp_path / "data").stdout
    for args in (["--no-web"], ["--data", "x"]):
        done = run_dais("build", folder, *args)
        assert done.returncode == 1 and "only mean something with --release" in done.stderr


def test_a_setup_that_edits_its_own_list_is_fine(tmp_path, run_dais):
    folder = app(tmp_path / "app", setup="echo more >> requirements.txt; touch package.json", backend="")
    data = tmp_path / "data"
    build(run_dais, folder, data)
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)
    assert (folder / "requirements.txt").read_text() == "one\nmore\n"


def test_several_apps_of_a_host_are_made_ready(tmp_path, run_dais):
    for name in ("one", "two"):
        app(tmp_path / "host" / name)
    write_app(tmp_path / "host/three")
    (tmp_path / "host/host.yaml").write_text("apps: [one, two, three]\n")
    done = build(run_dais, tmp_path / "host", tmp_path / "data")
    assert "three has no backend that dais runs: nothing to prepare" in done.stdout
    with serving(tmp_path / "host", env={"DAIS_DATA": tmp_path / "data"}) as server:
        for name in ("one", "two"):
            assert about(server, f"/{name}/api/x")["env"]["PWD"] == str(tmp_path / "host" / name)
            assert kept(tmp_path / "host" / name, tmp_path / "data", "uploads/a/b.txt").read_text() == "b"


def test_nothing_of_a_seal_is_served(tmp_path, run_dais):
    folder, data = app(tmp_path / "app"), tmp_path / "data"
    edit(folder, "root: web", 'root: "."')
    build(run_dais, folder, data)
    with serving(folder, env={"DAIS_DATA": data}) as server:
        about(server)
        for path in ("/.dais/release.json", "/.dais/shipped/uploads/a/b.txt"):
            assert server.fetch(path).status == 404
