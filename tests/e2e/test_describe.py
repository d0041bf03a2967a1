# `dais openapi`, `dais types` and `dais schema` of an app with rich schemas, read by the tools they are for.
import json
import re
import shutil
import subprocess

import jsonschema
import pytest

from conftest import ROOT

DESK = ROOT / "tests" / "fixtures" / "describe" / "desk"
CHART = {"id": "a" * 15, "version": 1, "owner": None, "created": "2026-01-01T00:00:00.000Z",
         "updated": "2026-01-01T00:00:00.000Z", "title": "T", "status": "draft"}


@pytest.fixture
def desk(tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(DESK, tmp_path / "desk")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a verb prints about the fixture, by its words."""
    import os
    binary = os.environ.get("DAIS_BIN", str(ROOT / "build/debug/dais"))

    def run(*args):
        done = subprocess.run([binary, *args, DESK], capture_output=True, timeout=60, cwd=ROOT)
        assert done.returncode == 0 and not done.stderr, done.stderr.decode()
        return done.stdout.decode()
    return run


@pytest.fixture(scope="module")
def openapi(told):
    return json.loads(told("openapi"))


def follow(document, reference):
    assert reference.startswith("#/"), reference
    value = document
    for step in reference[2:].split("/"):
        value = value[step.replace("~1", "/").replace("~0", "~")]
    return value


def walk(value):
    yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(below)


def validator(openapi, name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": openapi["components"]}
    return jsonschema.Draft202012Validator(schema)


# ---- OpenAPI ------------------------------------------------------------------------------------
def test_every_reference_leads_somewhere(openapi):
    references = [v["$ref"] for v in walk(openapi) if isinstance(v, dict) and isinstance(v.get("$ref"), str)]
    assert len(references) > 300
    for reference in references:
        follow(openapi, reference)


def test_it_has_the_form_of_openapi(openapi):
    assert openapi["openapi"] == "3.1.0" and openapi["servers"] == [{"url": "/"}]
    assert openapi["info"] == {"title": "Desk */ \"of\" charts", "version": openapi["info"]["version"],
                               "description": "Charts, and what they are made of."}
    names = []
    for path, item in openapi["paths"].items():
        assert path.startswith("/api/")
        shared = [follow(openapi, p["$ref"]) for p in item.get("parameters", [])]
        assert {p["name"] for p in shared} == set(re.findall(r"{(\w+)}", path))
        assert all(p["in"] == "path" and p["required"] for p in shared)
        for method, call in item.items():
            if method == "parameters":
                continue
            assert method in ("get", "post", "put", "patch", "delete"), method
            names.append(call["operationId"])
            own = [follow(openapi, p["$ref"]) if "$ref" in p else p for p in call.get("parameters", [])]
            assert len({(p["in"], p["name"]) for p in own}) == len(own)
            assert all(p["in"] in ("query", "header") and "schema" in p for p in own)
            for status, answer in call["responses"].items():
                answer = follow(openapi, answer["$ref"]) if "$ref" in answer else answer
                assert re.fullmatch(r"[2345]\d\d", status) and answer["description"]
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"]
            assert {"429", "503"} <= set(call["responses"]), call["operationId"]
    assert len(set(names)) == len(names)


def test_every_component_is_a_schema(openapi):
    for name, schema in openapi["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)
        assert not {"$id", "$anchor", "$dynamicRef", "$defs"} & {k for v in walk(schema) if isinstance(v, dict)
                                                                 for k in v}


@pytest.mark.parametrize("name, change, fits", [
    ("Chart", {}, True),
    ("Chart", {"id": None}, False),
    ("Chart", {"status": "gone"}, False),
    ("Chart", {"chapters": [{"key": "a", "parts": [{"key": "b", "of": {}}]}]}, False),
    ("Chart", {"chapters": [{"key": "a", "parts": [{"key": "b"}]}]}, True),
    ("Chart", {"author": {"name": "x", "friends": [{"name": 1}]}}, False),
    ("Chart", {"settings": {"width": 3}}, True),
    ("Chart", {"shape": {"type": "circle", "r": 1}}, True),
    ("Chart", {"shape": {"type": "circle", "a": 1}}, False),
    ("ChartInput", {}, False),  # a hidden field is required when it is written
    ("ChartInput", {"internal_note": "x"}, True),
    ("Problems", {"kind": "a", "a": 1, "b": 2, "seen": True}, True),
    ("Problems", {"kind": "b", "a": 1, "seen": True}, False),
])
def test_documents_fit_their_components(openapi, name, change, fits):
    assert validator(openapi, name).is_valid(CHART | change) is fits


def test_problems_have_every_code_of_the_table(openapi):
    table = set(re.findall(r'X\(ERR_\w+, [45]\d\d, "(\w+)"', (ROOT / "src/base/err.h").read_text()))
    assert set(openapi["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == table
    late = openapi["components"]["responses"]["E429"]["headers"]
    assert set(late) == {"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}


def test_again_it_is_the_same_and_a_field_more_is_a_line_more(run_dais, desk):
    before = run_dais("openapi", desk).stdout
    assert run_dais("openapi", desk).stdout == before
    path = desk / "schemas" / "source.json"
    path.write_text(path.read_text().replace('"note"', '"new": {}, "note"'))
    after = run_dais("openapi", desk).stdout
    changed = set(after.splitlines()) - set(before.splitlines())
    assert len(changed) == 2, changed  # the field, and the version of the API
    assert json.loads(after)["info"]["version"] != json.loads(before)["info"]["version"]


# ---- TypeScript ---------------------------------------------------------------------------------
GOOD_TS = """
import type { Chart, ChartInput, Collections, Page, Patch, Problem, Node, TreeContent, OddName } from "./api";
async function get<C extends keyof Collections>(c: C, id: string): Promise<Collections[C]["document"]> {
  return (await fetch(`/api/${c}/${id}`)).json();
}
async function list<C extends keyof Collections>(c: C): Promise<Page<Collections[C]["document"]>> {
  return (await fetch(`/api/${c}`)).json();
}
const put = (input: ChartInput) => input;
export async function main() {
  const chart = await get("charts", "x");
  const title: string = chart.title, folder: string | null | undefined = chart.folder;
  const chapters: string[] = (chart.chapters ?? []).flatMap((c) => c.parts ?? []).map((c) => c.key);
  if (chart.shape?.type === "circle") { const r: number = chart.shape.r; console.log(r); }
  const size: [number, number] | undefined = chart.size;
  const page = await list("odd_names");
  const odd: OddName = page.items[0], klass: string = odd.class, n: number = odd["a-b"];
  put({ title, status: "it's \\"quoted\\"", internal_note: "", settings: { secret: "", width: 1 } });
  put({ ...chart, internal_note: "again" , settings: { secret: "" }});
  const patch: Patch<ChartInput> = { subtitle: null };
  const tree: TreeContent = { root: ["a", null, ["b"]], child: { root: null }, loop: { extra: 1 } };
  const node: Node = [null];
  const code = (p: Problem) => p.code === "stale" || p.errors?.map((e) => e.pointer);
  const events = (await list("events")).items[0], at: string = events.created;
  return [folder, chapters, size, klass, n, patch, tree, node, code, at];
}
"""


def tsc(folder, program):
    (folder / "main.ts").write_text(program)
    return subprocess.run(["/usr/bin/tsc", "--strict", "--noEmit", "--target", "es2020", "--lib", "es2020,dom",
                           "main.ts"],
                          cwd=folder, capture_output=True, timeout=60, text=True, check=False)


def test_typescript_takes_the_types(told, tmp_path):
    (tmp_path / "api.ts").write_text(told("types", "--ts"))
    done = tsc(tmp_path, GOOD_TS)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("line", [
    "const c = {} as Chart; c.internal_note;",
    "const c = {} as Chart; const t: number = c.title;",
    "const c = {} as Chart; c.version = 3;",
    "const s: Chart['status'] = 'gone';",
    "const i: ChartInput = { title: 'x', status: 'draft' };",
    "const n: Node = 3;",
    "const k: keyof Collections = 'nope';",
    "const s: Chart['size'] = [1];",
    "import { hacked } from './api'; hacked;",
])
def test_typescript_refuses_what_does_not_fit(told, tmp_path, line):
    (tmp_path / "api.ts").write_text(told("types", "--ts"))
    done = tsc(tmp_path, f"import type {{ Chart, ChartInput, Node, Collections }} from './api';\n{line}\n"
                         "export type All = [Chart, ChartInput, Node, Collections];\n")
    assert done.returncode != 0 and "main.ts(2," in done.stdout and "api.ts" not in done.stdout, done.stdout


# ---- Python -------------------------------------------------------------------------------------
GOOD_PY = """
from typing import get_type_hints
import api

chart: api.Chart = {
    "id": "a", "version": 1, "owner": None, "created": "", "updated": "", "title": "t", "status": "draft",
    "chapters": [{"key": "k", "parts": [{"key": "l"}]}], "shape": {"type": "circle", "r": 1},
}
tree: api.TreeContent = {"root": ["a", None, ["b"]], "child": {"root": None}}
odd: api.OddNameInput = {"class": "x", "a-b": 1, "quo\\"te\\\\": "", "constructor": "*/"}
page: api.ChartPage = {"items": [chart], "next": None}
name: api.CollectionName = "odd_names"
note: str = page["items"][0]["title"] + odd["class"]
kind: api.ProblemsInput = {"kind": "a", "seen": True, "a": 1, "b": 1.0}
for value in list(vars(api).values()):
    if isinstance(value, type) and value.__module__ == "api":
        get_type_hints(value, include_extras=True)
"""


def mypy(folder, program):
    (folder / "main.py").write_text(program)
    return subprocess.run(["/usr/bin/mypy", "--strict", "--cache-dir", str(folder / "cache"), "main.py", "api.py"],
                          cwd=folder, capture_output=True, timeout=300, text=True, check=False)


def test_python_takes_the_types(told, tmp_path):
    (tmp_path / "api.py").write_text(told("types", "--py"))
    done = mypy(tmp_path, GOOD_PY)
    assert done.returncode == 0, done.stdout
    done = subprocess.run(["/usr/bin/python3", "-B", "main.py"], cwd=tmp_path, capture_output=True, timeout=60,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_refuses_what_does_not_fit(told, tmp_path):
    (tmp_path / "api.py").write_text(told("types", "--py"))
    lines = ["from api import *", "import api",
             "a: api.Circle = {'type': 'square', 'r': 1}", "b: api.Circle = {'type': 'circle'}",
             "c: api.Node = 3", "d: api.CollectionName = 'nope'", "e: api.SourceInput = {'url': 1}",
             "def f(c: api.Chart) -> str: return c['internal_note']",
             "g: api.OddNameInput = {'class': 'x', 'a-b': 'y'}"]
    done = mypy(tmp_path, "\n".join(lines) + "\n")
    wrong = {int(n) for n in re.findall(r"^main\.py:(\d+): error", done.stdout, re.M)}
    assert wrong == set(range(3, 10)) and "api.py" not in done.stdout, done.stdout


def test_python_modules_run_nothing_of_the_apps(told):
    code = told("types", "--py")
    names = {line.split("(")[0].split(":")[0].split(" ")[-1 if line.startswith("class") else 0]
             for line in code.splitlines() if line and line[0] not in " #})"}
    assert names - {"from"} == {n for n in names if re.fullmatch(r"[A-Z]\w*", n)}


# ---- one collection ---------------------------------------------------------------------------------
def test_the_schema_of_a_collection_stands_alone(told):
    schema = json.loads(told("schema", "charts"))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    assert checker.is_valid(CHART) and not checker.is_valid(CHART | {"chapters": [{}]})
    assert "internal_note" not in schema["properties"]
    assert "secret" not in schema["properties"]["settings"]["properties"]


def test_the_schema_of_host_yaml(run_dais):
    schema = json.loads(run_dais("schema", "host").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid({"apps": ["a"]})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"apps": ["a"], "appz": 1})


# ---- the verbs ----------------------------------------------------------------------------------------
def test_out_writes_the_file(run_dais, tmp_path):
    done = run_dais("types", "--ts", DESK, "-o", tmp_path / "api.ts")
    assert done.returncode == 0 and not done.stdout
    assert (tmp_path / "api.ts").read_text() == run_dais("types", "--ts", DESK).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["api.ts"]
    done = run_dais("openapi", DESK, "-o", tmp_path / "no" / "where.json")
    assert done.returncode == 11 and "where.json" in done.stderr


@pytest.mark.parametrize("args, sentence", [
    (["types", DESK], "say which language: --ts or --py"),
    (["types", "--ts", "--py", DESK], "say which language"),
    (["schema", "chart", DESK], "has no collection `chart`; did you mean `charts`?"),
    (["openapi", ROOT / "apps"], "is a host of several apps; name the folder of one"),
    (["openapi", "nope"], "there is no such file"),
])
def test_wrong_usage(run_dais, args, sentence):
    done = run_dais(*args)
    assert done.returncode == 1 and sentence in done.stderr, done.stderr
    assert not done.stdout


@pytest.mark.parametrize("verb", [["check"], ["openapi"], ["types", "--ts"], ["types", "--py"], ["schema", "charts"]])
def test_mistakes_of_schemas_have_a_place_in_the_manifest(run_dais, desk, verb):
    chart = desk / "schemas" / "chart.json"
    chart.write_text(chart.read_text().replace('"#/$defs/chapter"', '"#/$defs/capter"', 1))
    closed = desk / "schemas" / "closed.json"
    schema = json.loads(closed.read_text())
    del schema["patternProperties"], schema["properties"]["token"]
    schema["properties"]["version"] = {}
    closed.write_text(json.dumps(schema))
    done = run_dais(*verb, desk)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert re.search(r'dais\.yaml:8:13: the schema is wrong: .*"#/\$defs/capter" leads to nothing', said), said
    assert re.search(r"dais\.yaml:19:21: schemas/closed\.json declares the field `version`", said), said
    assert re.search(r"dais\.yaml:19:65: `hidden` names the field `token`", said), said


def test_a_collection_nobody_may_use_is_a_warning(run_dais, desk):
    path = desk / "dais.yaml"
    path.write_text(path.read_text() + "  shut: { versions: 2 }\n")
    done = run_dais("check", desk)
    assert done.returncode == 0
    assert "dais.yaml:21:3: warning: nobody can read or write `shut`; write `owner: true`" in done.stdout
    assert "nobody can read" not in run_dais("check", DESK).stdout


def test_no_schema_is_read_from_outside_of_the_app(run_dais, desk):
    (desk.parent / "secret.json").write_text('{"type": "object"}')
    path = desk / "schemas" / "source.json"
    path.write_text('{"$ref": "../../secret.json"}')  # as a URL this stays inside: there is no such file
    done = run_dais("check", desk)
    assert done.returncode == 1 and "dais.yaml:6:22: the schema is wrong" in done.stdout, done.stdout
