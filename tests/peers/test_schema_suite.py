# The required cases of the public JSON Schema test suite, from the package that carries it.
import pathlib
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ROOT / "build/debug/peers/schema_suite"
PACKAGE = "jsonschema==4.23.0"
# The meta-schema is not shipped, so nothing can refer to it; `format` is asserted, as the standard allows.
BY_CHOICE = {"validate definition against metaschema", "remote ref, containing refs itself",
             "schema that uses custom metaschema with with no validation vocabulary"}
FORMATS = ("date-time", "date", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "regex")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                    "--no-binary=:all:", PACKAGE, "-d", folder], check=True, timeout=300)
    archive, = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.glob("*/json"))


def run(suite, files):
    done = subprocess.run([RUN, suite / "remotes", *files], capture_output=True, text=True, timeout=300, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith("not ok ")]
    return failed, done.stdout.splitlines()[-1]


def test_required_cases(suite):
    files = [file for file in sorted(suite.glob("tests/draft2020-12/*.json")) if file.name != "format.json"]
    failed, counted = run(suite, files)
    print(counted)
    assert int(counted.split()[0]) >= 1107, counted  # all of the pinned version but what is by choice
    assert not [line for line in failed if not any(f": {name}: " in line for name in BY_CHOICE)], counted


@pytest.mark.parametrize("name", FORMATS)
def test_formats(suite, name):
    failed, counted = run(suite, [suite / f"tests/draft2020-12/optional/format/{name}.json"])
    assert not failed, counted
