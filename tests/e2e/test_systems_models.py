# The manifests that `dais new --model` writes run the four examples, which are laid out like what they were made for.
import re
import subprocess

import pytest

from conftest import DAIS_BIN, clean_env
from running import running, systems

PAGES = {"story_gen": "/studio/x", "langhero": "/play/1", "story_analytics": "/chart/x", "papeterie": "/theatre/x"}
API = {"story_gen": "/api/v1", "langhero": "/api/scenarios", "story_analytics": "/api/v2/dashboards/",
       "papeterie": "/api/health"}
BUNDLES = {"story_gen": ("/assets/index-Dq7xV2mK.js", b"http://127.0.0.1:8000"),
           "langhero": ("/_app/immutable/chunks/D3kPz7wM.js", b"http://localhost:8000"),
           "story_analytics": ("/assets/main-Cx8sQ4nV.js", b"http://127.0.0.1:8000"),
           "papeterie": ("/assets/index-Ct9mH3bX.js", b'"8000"')}
# What a checkout has besides what the examples have; `dais new --model` looks for it.
CHECKOUT = {"story_gen": ["pyproject.toml", "web/package.json"],
            "papeterie": ["pyproject.toml", "src/web/package.json"],
            "langhero": ["backend/requirements.txt", "backend/scenarios.json", "frontend/package.json"],
            "story_analytics": ["requirements.txt", "engine/x", "app/package.json", "app/embed.html"]}


def without(text, key):
    """The manifest without a key of the backend, which may go over several lines."""
    return re.sub(rf"^  {key}:.*\n(?:(?:   +.*)?\n)*", "", text, flags=re.M)


def with_model(app):
    """The model's manifest; what its setup would make are the distribution's programs."""
    (app / "dais.yaml").unlink()
    (app / "assets/prompts").mkdir(parents=True, exist_ok=True)
    for path in CHECKOUT[app.name]:
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).touch()
    subprocess.run([DAIS_BIN, "new", "--model", app.name.replace("_", "-"), "--app-dir", app], check=True,
                   env=clean_env(app), capture_output=True, timeout=60)
    file = app / "dais.yaml"
    file.write_text(without(without(file.read_text(), "setup"), "packages"))
    (app / ".env").write_text("JWT_SECRET=not-a-secret\n")
    for name, command in (("python", ""), ("uvicorn", "-m uvicorn ")):
        program = app / ".venv/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\nPYTHONPATH=src exec /usr/bin/python3 {command}"$@"\n')
        program.chmod(0o755)


@pytest.mark.parametrize("name", PAGES)
def test_the_model_runs_its_example(tmp_path, name):
    with running(tmp_path, name, with_model) as server:
        assert len(systems.backend_pids(server.proc.pid)) == 1
        assert server.fetch(API[name], deadline=35).get("content-type") == "application/json"
        for path in ("/", PAGES[name]):
            assert server.fetch(path).get("content-type") == "text/html; charset=utf-8"
        bundle, literal = BUNDLES[name]
        found = server.fetch(bundle)
        assert found.status == 200 and literal not in found.body
        assert server.fetch("/assets/x.js").status == 404
        if name == "story_analytics":
            assert b"embed-Gh3uE6aR.js" in server.fetch("/embed/chart/x").body
