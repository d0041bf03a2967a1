# What `dais openapi` and `dais types --py` print, read by a validator of OpenAPI 3.1 and by pyright.
import json
import pathlib
import subprocess
import sys

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
APPS = sorted(path.parent for path in ROOT.glob("tests/fixtures/*/*/dais.yaml"))


def told(*args):
    return subprocess.run([ROOT / "build/debug/dais", *args], check=True, timeout=60, capture_output=True,
                          text=True).stdout


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_the_validator_finds_nothing(app):
    validate(json.loads(told("openapi", app)), cls=OpenAPIV31SpecValidator)


def test_the_validator_finds_what_is_wrong():
    spec = json.loads(told("openapi", APPS[0]))
    spec["paths"]["/api/{oh}"] = {"get": {"responses": {"200": {}}}}
    with pytest.raises(Exception):
        validate(spec, cls=OpenAPIV31SpecValidator)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_pyright_takes_the_types(app, tmp_path):
    (tmp_path / "api.py").write_text(told("types", "--py", app), "utf-8")
    done = subprocess.run([sys.executable, "-m", "pyright", tmp_path / "api.py"], capture_output=True, timeout=300,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout
