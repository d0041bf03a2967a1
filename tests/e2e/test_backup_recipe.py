# docs/recipes/back-up-and-restore.md: its commands are run as they stand, in their order.
import pathlib
import re
import subprocess

import pytest

import postgres
from conftest import DAIS_BIN, REPORT, clean_env
from documents import call, made
from serving import serving, write_app
from stores import in_folder

RECIPE = pathlib.Path(__file__).parents[2] / "docs/recipes/back-up-and-restore.md"
MANIFEST = """web: { root: web }
auth: { local: none }
collections: { notes: { rules: { read: public, create: public } } }
files: { box: { rules: { read: public, create: public } } }
"""


def blocks():
    text = RECIPE.read_text()
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", text, re.M | re.S)
    return ["".join(line.removeprefix(indent) for line in block.splitlines(True)) for indent, block in found]


@in_folder("the recipe's files are in the data folder")
@pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
def test_every_command(tmp_path):
    app = write_app(tmp_path / "notes", None, MANIFEST)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dais").symlink_to(DAIS_BIN)

    def run(block, **env):
        env = clean_env(tmp_path, env)
        env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
        done = subprocess.run(["sh", "-eu", "-c", block], cwd=tmp_path, env=env, text=True, capture_output=True,
                              timeout=120, check=False)
        assert done.returncode == 0 and not REPORT.search(done.stderr), (block, done.stdout, done.stderr)
        return done.stdout

    def notes(server):
        return [note["title"] for note in call(server, "GET", "/api/notes", user=None).json()["items"]]

    beside, copied, looked, drill, moved = blocks()
    with serving(app) as server:
        made(server, "/api/notes", {"title": "kept"}, None)
        assert call(server, "PUT", "/api/files/box/a.txt", b"a file", user=None).status == 201
        told = run(beside)
        assert re.search(r"^notes: \S{21}: \d+ rows", told, re.M) and "all as written" in told, told
        run(copied)
        assert '"dais_blobs"' in run(looked)
        made(server, "/api/notes", {"title": "too late"}, None)
    told = run(drill)
    assert "notes: restored" in told and "all as stored" in told, told
    with serving(app) as server:
        assert notes(server) == ["kept"]
        assert call(server, "GET", "/api/files/box/a.txt", user=None).body == b"a file"
        made(server, "/api/notes", {"title": "and more"}, None)
    with postgres.Postgres() as db:
        assert "notes: restored" in run(moved, NEW_DATABASE=db.url)
        with serving(app, env={"DATABASE_URL": db.url}) as server:
            assert sorted(notes(server)) == ["and more", "kept"]
            assert call(server, "GET", "/api/files/box/a.txt", user=None).body == b"a file"
