# docs/COVERAGE.md is true: every command, key, setting, rendered file and test that it names exists.
import ast
import functools
import re
import subprocess

import pytest
from conftest import DAIS_BIN, ROOT, clean_env
from rendering import FOLDERS, KINDS, command, tree

MANIFEST = """app: demo
web: { root: web, base: /demo/, mounts: { /docs/: docs } }
backend: { run: exec ./run, routes: [ /api/ ], persist: [ store ] }
deploy:
  prod: { kind: ssh, host: root@203.0.113.9, domain: demo.example.com, admin_email: me@example.com }
  vm: { kind: aws, region: us-east-1, compute: vm, domain: demo.example.com, admin_email: me@example.com }
  express: { kind: aws, region: us-east-1, compute: express, admin_email: me@example.com }
  fargate: { kind: aws, region: us-east-1, compute: fargate, domain: demo.example.com, admin_email: me@example.com }
  apprunner: { kind: aws, region: us-east-1, compute: apprunner, admin_email: me@example.com }
  site: { kind: pages, remote: "git@github.com:me/demo.git", base: /demo/, api: "https://demo.example.com" }
cors: { origins: [ "https://me.github.io" ] }
"""


class Row:
    """One promise: its number, and what stands in backticks of its last two columns."""

    def __init__(self, number, promise, keeper, proof):
        self.number, self.promise, self.keeper = number, promise, keeper
        self.names, self.proofs = re.findall("`([^`]+)`", keeper), re.findall("`([^`]+)`", proof)


def rows():
    text = (ROOT / "docs/COVERAGE.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()
             if re.match(r"\| [GLAP]\d", line)]
    assert all(len(row) == 4 for row in cells), [row for row in cells if len(row) != 4]
    return [Row(row[0].strip("| "), *row[1:3], row[3].strip("| ")) for row in cells]


ROWS = rows()
NAMES = sorted({name for row in ROWS for name in row.names})
PROOFS = sorted({name for row in ROWS for name in row.proofs})


def say(*words):
    return subprocess.run([DAIS_BIN, *words], env=clean_env("/nonexistent"), capture_output=True, text=True,
                          check=True).stdout


@functools.cache
def known():
    """(verbs, keys of the manifest, settings)"""
    verbs = set(re.findall(r"^  ([a-z]+) ", say("help"), re.M))
    return verbs, set(re.findall(r"^([a-z]\S*)$", say("help", "manifest"), re.M)), \
        set(re.findall(r"^([A-Z_0-9]+)$", say("help", "env"), re.M))


@pytest.fixture(name="rendered", scope="module")
def rendered_files(tmp_path_factory):
    """Every path that some kind writes for some manifest."""
    folder, names = tmp_path_factory.mktemp("coverage"), set()
    app = folder / "demo"
    for path in ("web/index.html", "docs/index.html", "run"):
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text("x")
    (app / "dais.yaml").write_text(MANIFEST)
    words = [(word, app) for word in re.findall(r"^  (\w+): \{ kind", MANIFEST, re.M)]
    words += [(kind, path) for kind in KINDS for path in (app, *FOLDERS.values()) if "systems" not in path.parts]
    for number, (word, path) in enumerate(words):
        out = folder / str(number)
        subprocess.run(command(word, path, out), env=clean_env(folder), capture_output=True, check=False)
        names |= set(tree(out)) if out.exists() else set()
    return names


def is_file(name):
    return "/" in name or name.startswith(".") or name.endswith((".yml", ".json", ".md"))


def is_known(name, rendered):
    verbs, keys, settings = known()
    if name.startswith("dais "):
        words = name.split()
        return words[1] in verbs and (words[1] != "render" or words[2] in KINDS)
    if is_file(name):
        return name in rendered or (ROOT / name).is_file()
    return name in settings if name.isupper() else name in keys


def test_the_numbers_are_in_order_and_nothing_is_empty():
    for letter in "GLAP":
        numbers = [int(row.number[1:]) for row in ROWS if row.number[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 15, letter
    for row in ROWS:
        assert row.promise and row.proofs, row.number
        assert row.names or row.keeper.startswith("*Context*"), row.number


@pytest.mark.parametrize("name", NAMES)
def test_what_keeps_a_promise_exists(name, rendered):
    assert is_known(name, rendered), f"{name} is unknown"


@pytest.mark.parametrize("proof", PROOFS)
def test_each_proof_exists(proof):
    path, _, name = proof.partition("::")
    path = f"tests/{path}" if "/" in path else f"tests/e2e/{path}"
    assert (ROOT / path).is_file(), f"there is no {path}"
    tests = {node.name for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body
             if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert name in tests, f"{path} has no test {name!r}"


def test_mistakes_are_noticed(rendered):
    for name in ("dais rendr local", "dais render nowhere", "web.rot", "DAIS_NOTHING", "ops/nothing.yml"):
        assert not is_known(name, rendered), name
