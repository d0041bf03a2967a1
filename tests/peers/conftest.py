# What the peers are given: the CloudFormation templates of every model and app, rendered once.
import json
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
APPS = sorted(path.parent for folder in ("models", "apps") for path in ROOT.glob(f"{folder}/*/dais.yaml"))
FIXTURES = sorted(path.parent for path in ROOT.glob("tests/fixtures/manifest/*/dais.yaml"))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """The templates as files: {app: {compute: path}}."""
    found = {}
    for app in APPS + FIXTURES:
        to = tmp_path_factory.mktemp(app.name)
        subprocess.run([ROOT / "build/debug/dais", "render", "aws", app, "-o", to], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        found[app.name] = {path.name.split(".")[1]: path for path in sorted(to.glob("ops/cloudformation.*.json"))}
    return found


@pytest.fixture
def template(rendered):
    return lambda app, compute: json.loads(rendered[app][compute].read_text("utf-8"))
