# dais render gcp and azure: the Knative service, the ARM template, and the script against a gcloud that takes notes.
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from conftest import DAIS_BIN, ROOT, clean_env

APPS = sorted(path.parent for pattern in ("models/*/dais.yaml", "apps/*/dais.yaml", "tests/systems/*/dais.yaml",
                                          "tests/fixtures/manifest/*/dais.yaml") for path in ROOT.glob(pattern))
ODD = ["it's", 'say "hi"', "$HOME ${HOME} $$", "back\\slash", "`id`", "$(id)", "a: b # c", "no", "1e3", "::", "déjà ☃",
       "[x]", "[[x]]", "[parameters('image')]", "{y}", "*", "~", "@IMAGE@ # gcp.sh", "two\nlines", "%s|&", "-n", "null",
       "x" * 300]
MODELS = pytest.mark.parametrize("app", APPS, ids=lambda path: f"{path.parent.name}-{path.name}")


def render(kind, app, out):
    done = subprocess.run([DAIS_BIN, "render", kind, app, "-o", out], env=clean_env(out.parent), capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "ops"


def service_of(word, app, out):
    return yaml.safe_load((render(word, app, out) / "cloudrun.service.yaml").read_text(encoding="utf-8"))


def template_of(word, app, out):
    return json.loads((render(word, app, out) / "containerapp.json").read_text(encoding="utf-8"))


def write_app(folder, **keys):
    (folder / "web").mkdir(parents=True)
    (folder / "web/index.html").write_text("<p>x\n", encoding="utf-8")
    (folder / "dais.yaml").write_text(json.dumps({"app": "odd", "web": {"root": "web"}} | keys, ensure_ascii=False),
                                      encoding="utf-8")
    return folder


def odd_app(tmp_path, value, slug="odd", **keys):
    target = {"kind": "gcp", "env": {"ODD": value.replace("$", "$$"), "DAIS_LOG": "debug", "PORT": "1"}}
    return write_app(tmp_path / "app", app=slug, title=value, auth={"signup": "open"},
                     secrets=["NEEDED", "MAYBE?", "FAMILY_*"], files={"photos": {"max": "1MB"}},
                     deploy={"there": target, "other": target | {"kind": "azure"}}, **keys)


# ---- Cloud Run --------------------------------------------------------------------------------------
def check_service(service):
    """What the documentation of Cloud Run says of these fields."""
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    name = service["metadata"]["name"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?", name)
    assert set(service["metadata"]) == {"name", "labels", "annotations"} and set(service["spec"]) == {"template"}
    template = service["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in (annotations | service["metadata"]["annotations"]).values())
    assert annotations["run.googleapis.com/execution-environment"] == "gen2"
    least, most = (int(annotations[f"autoscaling.knative.dev/{key}Scale"]) for key in ("min", "max"))
    assert least <= most
    spec = template["spec"]
    assert set(spec) == {"serviceAccountName", "containerConcurrency", "timeoutSeconds", "containers"}
    assert 1 <= spec["timeoutSeconds"] <= 3600 and 1 <= spec["containerConcurrency"] <= 1000
    container, = spec["containers"]
    assert set(container) == {"image", "ports", "resources", "startupProbe", "livenessProbe", "env"}
    assert container["ports"] == [{"name": "http1", "containerPort": 8000}]
    limits = container["resources"]["limits"]
    memory, cpu = int(limits["memory"].removesuffix("Mi")), int(limits["cpu"])
    assert memory >= 512 and cpu in (1, 2, 4, 8) and memory <= {1: 4096, 2: 8192, 4: 16384, 8: 32768}[cpu]
    for probe in (container["startupProbe"], container["livenessProbe"]):
        assert probe["httpGet"]["port"] == 8000 and probe["httpGet"]["path"] in ("/healthz", "/_/healthz")
        assert probe["timeoutSeconds"] <= probe["periodSeconds"] <= 240
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names)) and not {"PORT", "K_SERVICE"} & set(names)
    for one in container["env"]:
        assert isinstance(one.get("value", ""), str)
        if "valueFrom" in one:
            ref = one["valueFrom"]["secretKeyRef"]
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,255}", ref["name"]) and ref["key"] == "latest"
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}, annotations, most


@MODELS
def test_the_service(app, tmp_path):
    ops = render("gcp", app, tmp_path / "out")
    text = (ops / "cloudrun.service.yaml").read_text(encoding="utf-8")
    env, annotations, most = check_service(yaml.safe_load(text))
    manifest = yaml.safe_load((app / "dais.yaml").read_text(encoding="utf-8"))
    backend = manifest.get("backend", {})
    keeps = any(map(manifest.get, ("collections", "files", "jobs", "publish", "auth"))) or backend.get("persist")
    assert ("Cloud Run has no disk" in text) == bool(keeps)
    if keeps:
        assert most == 1
    throttled = annotations.get("run.googleapis.com/cpu-throttling") != "false"
    assert throttled == (not backend.get("run") and not manifest.get("jobs"))
    for secret in manifest.get("secrets", []):
        assert (secret in env) == (secret[-1] not in "?*")
    subprocess.run(["shellcheck", ops / "gcp.sh"], check=True, timeout=300)
    assert os.access(ops / "gcp.sh", os.X_OK)


def test_the_service_of_an_app_with_accounts(tmp_path):
    ops = render("gcp", ROOT / "models/papeterie", tmp_path / "out")
    env, annotations, _ = check_service(yaml.safe_load((ops / "cloudrun.service.yaml").read_text(encoding="utf-8")))
    assert annotations["run.googleapis.com/cloudsql-instances"] == "@PROJECT_ID@:@REGION@:papeterie"
    assert "may have 32 MiB here; the app itself would take 50." in (ops / "cloudrun.service.yaml").read_text("utf-8")
    assert env["DATABASE_URL"]["secretKeyRef"]["name"] == "papeterie-DATABASE_URL"
    assert (env["S3_ENDPOINT_URL"], env["S3_REGION"]) == ("https://storage.googleapis.com", "auto")
    assert annotations["run.googleapis.com/sessionAffinity"] == "true"


@pytest.mark.parametrize("value", ODD)
def test_odd_values_arrive(value, tmp_path):
    app = odd_app(tmp_path, value)
    env, _, _ = check_service(service_of("there", app, tmp_path / "gcp"))
    assert env["ODD"] == value and env["DAIS_LOG"] == "debug"
    template = template_of("other", app, tmp_path / "azure")
    check_template(template)
    found = {one["name"]: one["value"] for one in template["variables"]["env"]}
    assert literal(found["ODD"]) == value and "PORT" not in found
    assert literal(template["metadata"]["app"]) == value


@pytest.mark.parametrize("slug", ["a", "a-", "a--b", "x" * 40,
                         "a-very-long-name-with-a-hyphen-at-the-end-"[:40], "n-" * 20])
def test_odd_slugs_become_names(slug, tmp_path):
    app = odd_app(tmp_path, "t", slug)
    service = service_of("gcp", app, tmp_path / "gcp")
    check_service(service)
    name = service["metadata"]["name"]
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) and 2 <= len(name) <= 22
    check_template(template_of("azure", app, tmp_path / "azure"))


# ---- gcp.sh against a gcloud that takes notes -----------------------------------------------------------
FAKE = r'''#!/usr/bin/env python3
# A gcloud that remembers what exists: notes its arguments, answers what the script asks.
import json, os, pathlib, sys
there = pathlib.Path(os.environ["FAKE_STATE"])
args = sys.argv[1:]
name = pathlib.Path(sys.argv[0]).name
data = sys.stdin.read() if "--data-file" in args else None
replaced = pathlib.Path(args[3]).read_text() if args[:3] == ["run", "services", "replace"] else None
with open(there / "notes", "a") as notes:
    notes.write(json.dumps([name, args, data, replaced]) + "\n")
if os.environ.get("FAKE_FAIL") and os.environ["FAKE_FAIL"] in " ".join([name, *args]):
    print("ERROR: not today", file=sys.stderr)
    sys.exit(3)
def key(verb):
    at = args.index(verb)
    is_version = "--secret" in args and verb == "describe" and "versions" in args
    rest = [args[args.index("--secret") + 1] if is_version else args[at + 1]]
    return "-".join(args[:at] + rest).replace("/", "_").replace("versions-", "").split("@")[0]
things = there / "things"
things.mkdir(exist_ok=True)
if "describe" in args and "projects" in args:
    print("123456")
elif args[:4] == ["artifacts", "docker", "images", "describe"]:
    print("sha256:" + "ab" * 32)
elif "describe" in args and args[:2] == ["run", "services"]:
    print("https://x.run.app")
elif "describe" in args:
    here = things / key("describe")
    if "versions" in args:
        here = pathlib.Path(f"{here}.version")
    sys.exit(0 if here.exists() else 1)
elif args[:2] == ["secrets", "list"]:
    for one in sorted(things.glob("secrets-*")):
        if not one.name.endswith(".version"):
            print("projects/1/secrets/" + one.name.removeprefix("secrets-"))
elif "create" in args and "hmac" in args:
    print("GOOG1ID\tsecret/key+=")
elif "create" in args:
    here = things / key("create")
    if here.exists():
        sys.exit("ALREADY_EXISTS")
    here.touch()
elif args[:3] == ["secrets", "versions", "add"]:
    (things / f"secrets-{args[3]}.version").touch()
'''


DIGEST = "sha256:" + "ab" * 32


class Cloud:
    """The script with a gcloud and a docker that only take notes."""

    def __init__(self, tmp_path, app, word="there"):
        self.ops, self.state = render(word, app, tmp_path / "out"), tmp_path / "state"
        self.state.mkdir()
        (self.ops.parent / "docker/dais").touch()
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("gcloud", "docker"):
            (tools / name).write_text(FAKE, encoding="utf-8")
            (tools / name).chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        self.env = clean_env(tmp_path, {"FAKE_STATE": self.state, "PROJECT_ID": "proj-1", "PATH": path})

    def run(self, *args, stdin="", code=0, **env):
        (self.state / "notes").write_text("", encoding="utf-8")
        done = subprocess.run([self.ops / "gcp.sh", *args], input=stdin, env=self.env | env, capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        self.out, self.err = done.stdout, done.stderr
        return [json.loads(line) for line in (self.state / "notes").read_text(encoding="utf-8").splitlines()]


def changes(notes):
    return [args for _, args, _, _ in notes if not {"describe", "list"} & set(args)]


@pytest.mark.parametrize("title", ["it's \"odd\" $HOME `id` $(id)", "plain", "-n"])
def test_the_script_makes_everything_once(title, tmp_path):
    cloud = Cloud(tmp_path, odd_app(tmp_path, title))
    made = changes(cloud.run("setup"))
    account, = (args for args in made if args[:3] == ["iam", "service-accounts", "create"])
    assert account[account.index("--display-name") + 1] == title
    for start in (["sql", "instances", "create", "odd"], ["storage", "buckets", "create", "gs://proj-1-odd"],
                  ["artifacts", "repositories", "create", "odd"], ["sql", "users", "create", "app"],
                  ["storage", "hmac", "create", "odd-service@proj-1.iam.gserviceaccount.com"]):
        assert [args[:len(start)] for args in made].count(start) == 1, start
    assert "still to be stored" in cloud.err and "NEEDED" in cloud.err and "MAYBE" not in cloud.err
    assert not any("delete" in word for args in made for word in args)
    again = changes(cloud.run("setup"))
    assert not [args for args in again if "create" in args or "add" in args], again


def test_the_secrets_are_what_they_were(tmp_path):
    cloud = Cloud(tmp_path, odd_app(tmp_path, "t"))
    stored = {args[3]: data for _, args, data, _ in cloud.run("setup") if args[:3] == ["secrets", "versions", "add"]}
    assert set(stored) == {"odd-DATABASE_URL", "odd-S3_ACCESS_KEY_ID", "odd-S3_SECRET_ACCESS_KEY", "odd-DAIS_SECRET"}
    assert (stored["odd-S3_ACCESS_KEY_ID"], stored["odd-S3_SECRET_ACCESS_KEY"]) == ("GOOG1ID", "secret/key+=")
    database = r"postgresql://app:[\w-]{43}@/app\?host=/cloudsql/proj-1:us-central1:odd"
    assert re.fullmatch(database, stored["odd-DATABASE_URL"])
    assert re.fullmatch(r"[\w-]{43}", stored["odd-DAIS_SECRET"])
    value = "it's $HOME `x` \"q\"\nline two\n"
    notes = cloud.run("secret", "FAMILY_NAME", stdin=value)
    assert [data for _, args, data, _ in notes if args[:3] == ["secrets", "versions", "add"]] == [value]


def test_files_of_a_backend_are_not_lost_by_mistake(tmp_path):
    """Those that dais keeps are in the bucket; a program's own are in memory."""
    backend = {"run": "exec python3 app.py", "routes": ["/own/"], "persist": ["state"]}
    cloud = Cloud(tmp_path, odd_app(tmp_path, "t", backend=backend))
    cloud.run("setup")
    cloud.run("secret", "NEEDED", stdin="x")
    cloud.run("deploy", code=1)
    assert "--data-may-vanish" in cloud.err
    cloud.run("deploy", "--data-may-vanish", TAG="v1")


def test_the_service_is_filled_in(tmp_path):
    value = "@IMAGE@ @PROJECT_ID@ keep"
    cloud = Cloud(tmp_path, odd_app(tmp_path, value))
    cloud.run("setup")
    for name in ("NEEDED", "FAMILY_NAME", "OTHER"):
        cloud.run("secret", name, stdin="x")
    notes = cloud.run("deploy", REGION="europe-west1", TAG="v1")
    text, = (replaced for _, _, _, replaced in notes if replaced)
    service = yaml.safe_load(text)
    env, annotations, _ = check_service(service)
    container, = service["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"europe-west1-docker.pkg.dev/proj-1/odd/odd@{DIGEST}"
    assert annotations["run.googleapis.com/cloudsql-instances"] == "proj-1:europe-west1:odd"
    assert env["ODD"] == value and env["PUBLIC_URL"] == "https://odd-123456.europe-west1.run.app"
    assert env["S3_BUCKET"] == "proj-1-odd"
    assert "FAMILY_NAME" in env and "MAYBE" not in env and "OTHER" not in env and "NEEDED" in env
    assert not re.sub(re.escape(value), "", re.sub("#.*", "", text)).count("@PROJECT_ID@")
    assert "https://x.run.app" in cloud.out


def test_a_plan_runs_nothing(tmp_path):
    cloud = Cloud(tmp_path, odd_app(tmp_path, "it's $(id)"))
    assert cloud.run("--plan", "all") == []
    assert not cloud.err
    lines = cloud.out.splitlines()
    assert all(line.split()[0] in ("gcloud", "docker") for line in lines)
    assert any(line.startswith("gcloud run services replace") for line in lines)
    for line in lines:  # each can be typed as it is
        subprocess.run(["sh", "-c", line], env=cloud.env, check=True,
                       input="", text=True, capture_output=True, timeout=300)
    notes = [json.loads(line) for line in (cloud.state / "notes").read_text(encoding="utf-8").splitlines()]
    account, = (args for _, args, _, _ in notes if args[:3] == ["iam", "service-accounts", "create"])
    assert account[account.index("--display-name") + 1] == "it's $(id)"


def test_documents_in_cloud_sql_do_not_vanish(tmp_path):
    app = write_app(tmp_path / "app", app="odd", collections={"notes": {}}, deploy={"there": {"kind": "gcp"}})
    cloud = Cloud(tmp_path, app)
    cloud.run("setup")
    cloud.run("deploy")
    assert "may-vanish" not in cloud.ops.joinpath("gcp.sh").read_text()
    assert "libpq5" in (cloud.ops.parent / "docker/app.Dockerfile").read_text()


@pytest.mark.parametrize("step, fail", [
    ("setup", "services enable"), ("setup", "instances create"), ("setup", "hmac create"), ("setup", "versions add"),
    ("setup", "users create"), ("push", "docker push"), ("deploy", "projects describe"),
    ("deploy", "images describe"), ("deploy", "secrets list"),
    ("deploy", "services replace")])
def test_a_failing_command_stops_it(step, fail, tmp_path):
    cloud = Cloud(tmp_path, odd_app(tmp_path, "t"))
    notes = cloud.run(step, code=1, FAKE_FAIL=fail)
    assert "gcp.sh: " in cloud.err
    assert fail in " ".join([notes[-1][0], *notes[-1][1]])
    assert "postgresql" not in cloud.err and not list(pathlib.Path("/tmp").glob("tmp.gcp-sh-*"))


def test_an_image_without_dais_is_not_built(tmp_path):
    cloud = Cloud(tmp_path, odd_app(tmp_path, "t"))
    (cloud.ops.parent / "docker/dais").unlink()
    assert cloud.run("push", code=1) == [] and "docker/dais" in cloud.err


@pytest.mark.parametrize("args, env", [
    ((), {}), (("nonsense",), {}), (("setup", "more"), {}), (("secret",), {}), (("secret", "a b"), {}),
    (("setup", "--x"), {}), (("setup",), {"PROJECT_ID": ""}), (("setup",), {"PROJECT_ID": "a|b"}),
    (("setup",), {"REGION": "a|b"})])
def test_wrong_words_are_refused(args, env, tmp_path):
    cloud = Cloud(tmp_path, odd_app(tmp_path, "t"))
    assert cloud.run(*args, code=1, **env) == []
    assert cloud.err


# ---- the ARM template -----------------------------------------------------------------------------------
def literal(value):
    """What Azure makes of a plain string."""
    if value.startswith("[") and value.endswith("]"):
        assert value.startswith("[["), value
        return value[1:]
    return value


FUNCTIONS = set("""parameters variables resourceId reference resourceGroup concat uniqueString not empty if format
json subscriptionResourceId uriComponent filter lambda lambdaVariables map items createObject createArray toLower
replace guid listKeys environment extensionResourceId""".split())


def expressions(value):
    if isinstance(value, dict):
        for key, one in value.items():
            yield from expressions(key)
            yield from expressions(one)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one)
    elif isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[["):
        yield value[1:-1]


def parse(text):
    """An ARM expression as a tree: strings, numbers, or (function, arguments), with what follows a dot left out."""
    tokens = re.findall(r"'(?:[^']|'')*'|\d+|[A-Za-z]\w*|[(),.\[\]]", text)
    assert "".join(tokens) == re.sub(r"\s(?=(?:[^']*'[^']*')*[^']*$)", "", text), text

    def one():
        token = tokens.pop(0)
        if token[0] == "'":
            return token[1:-1].replace("''", "'")
        if token.isdigit():
            return int(token)
        assert tokens and tokens.pop(0) == "(", text
        args = []
        while tokens[0] != ")":
            args.append(one())
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        while tokens and tokens[0] == ".":
            del tokens[:2]
        return token, args
    tree = one()
    assert not tokens, text
    return tree


def calls(tree):
    if isinstance(tree, tuple):
        yield tree
        for arg in tree[1]:
            yield from calls(arg)


def written(arg):
    """A part of a name: as it is, or as the expression that makes it."""
    return arg if isinstance(arg, str) else json.dumps(arg)


def name_parts(name):
    if not name.startswith("["):
        return name.split("/")
    tree = parse(name[1:-1])
    if tree[0] == "format":
        return [written(tree[1][int(part[1]) + 1]) if re.fullmatch(r"\{\d\}", part) else part
                for part in tree[1][0].split("/")]
    return [written(tree)]


def check_resource_ids(template):
    declared = {(one["type"], *name_parts(one["name"])) for one in template["resources"]}
    declared |= {("Microsoft.Network/virtualNetworks/subnets", *name_parts(one["name"]), subnet["name"])
                 for one in template["resources"] if one["type"] == "Microsoft.Network/virtualNetworks"
                 for subnet in one["properties"]["subnets"]}
    for one in template["resources"]:
        needs = {text for text in expressions({key: value for key, value in one.items() if key != "dependsOn"})}
        depends = [parse(text[1:-1]) for text in one.get("dependsOn", [])]
        for text in needs | set(expressions(one.get("dependsOn", []))):
            for function, args in calls(parse(text)):
                if function == "resourceId":
                    assert (args[0], *map(written, args[1:])) in declared, text
                if function in ("reference", "listKeys"):
                    assert args[0] in depends, f"{one['name']} reads what it does not wait for: {text}"
    return declared


def check_parts(template):
    for text in expressions(template):
        for function, args in calls(parse(text)):
            assert function in FUNCTIONS, function
            if function in ("parameters", "variables"):
                assert args[0] in template[function], text


def check_template(template):
    assert template["contentVersion"] == "1.0.0.0"
    assert template["$schema"].startswith("https://schema.management.azure.com/schemas/")
    check_parts(template)
    check_resource_ids(template)
    for one in template["resources"]:
        assert re.fullmatch(r"Microsoft\.\w+(/\w+)+", one["type"])
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", one["apiVersion"])
        assert len(name_parts(one["name"])) == one["type"].count("/")
        if one["type"].count("/") == 1 and "roleAssignments" not in one["type"]:
            assert one["tags"] == "[variables('tags')]" and one["location"] == "[parameters('location')]"
    for name, one in template["parameters"].items():
        assert re.fullmatch(r"[A-Za-z_]\w*", name)
        if one["type"].startswith("secure"):
            assert one.get("defaultValue", "") in ("", {}) and ("minLength" in one) != ("defaultValue" in one)
    for one in template["variables"]["given"]:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", one["name"])
    app = next(one for one in template["resources"] if one["type"] == "Microsoft.App/containerApps")
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,30}[a-z0-9]", app["name"]) and "--" not in app["name"]
    container, = app["properties"]["template"]["containers"]
    cpu = float(re.search(r"'([\d.]+)'", container["resources"]["cpu"])[1])
    assert 0.25 <= cpu <= 4 and float(container["resources"]["memory"].removesuffix("Gi")) == 2 * cpu
    assert app["properties"]["configuration"]["ingress"]["targetPort"] == 8000
    assert {one["type"] for one in container["probes"]} == {"Startup", "Liveness", "Readiness"}
    mounts, volumes = container.get("volumeMounts", []), app["properties"]["template"].get("volumes", [])
    assert {one["volumeName"] for one in mounts} == {one["name"] for one in volumes}
    assert {"url", "registry"} <= set(template["outputs"])
    return app


@MODELS
def test_the_template(app, tmp_path):
    ops = render("azure", app, tmp_path / "out")
    template = json.loads((ops / "containerapp.json").read_text(encoding="utf-8"))
    found = check_template(template)
    example = json.loads((ops / "containerapp.parameters.example.json").read_text(encoding="utf-8"))["parameters"]
    assert set(example) == set(template["parameters"]) - {"location"}
    manifest = yaml.safe_load((app / "dais.yaml").read_text(encoding="utf-8"))
    for secret in manifest.get("secrets", []):
        if secret[-1] != "*":
            assert template["parameters"][secret.rstrip("?")]["type"] == "secureString"
            assert example[secret.rstrip("?")]["value"] == ""
    backend = manifest.get("backend", {})
    keeps = any(map(manifest.get, ("collections", "files", "jobs", "auth"))) or backend.get("persist")
    assert bool(found["properties"]["template"].get("volumes")) == bool(keeps)
    if keeps:
        assert found["properties"]["template"]["scale"] == {"minReplicas": 1, "maxReplicas": 1}
        assert "NFS" in " ".join(template["metadata"]["notes"]) and "Blob" in " ".join(template["metadata"]["notes"])


def test_secrets_that_azure_takes_for_one(tmp_path):
    """Names of parameters and of secrets know no case, and the template has parameters of its own."""
    secrets = ["API_KEY", "api_key?", "Image", "moresecrets?", "A", "A_", "FAMILY_*"]
    app = write_app(tmp_path / "app", secrets=secrets)
    template = template_of("azure", app, tmp_path / "out")
    check_template(template)
    given = [one for one in template["variables"]["given"] if one["variable"] not in ("DATABASE_URL", "DAIS_SECRET")]
    assert [one["variable"] for one in given] == ["API_KEY", "Image", "A", "A_", "api_key", "moresecrets"]
    assert len({one["name"] for one in given}) == len({one["value"].lower() for one in given}) == 6
    parameters = [name.lower() for name in template["parameters"]]
    assert len(parameters) == len(set(parameters)), parameters
    example = json.loads((tmp_path / "out/ops/containerapp.parameters.example.json").read_text(encoding="utf-8"))
    assert set(example["parameters"]) <= set(template["parameters"])


def break_reference(template):
    template["outputs"]["url"]["value"] = "[parameters('missing')]"


def break_dependency(template):
    app = next(one for one in template["resources"] if one["type"] == "Microsoft.App/containerApps")
    app["dependsOn"] = app["dependsOn"][2:]


def break_resource(template):
    template["resources"] = template["resources"][1:]


@pytest.mark.parametrize("fault", [break_reference, break_dependency, break_resource])
def test_the_check_can_fail(fault, tmp_path):
    template = template_of("azure", ROOT / "models/papeterie", tmp_path / "out")
    check_template(copy.deepcopy(template))
    fault(template)
    with pytest.raises(AssertionError):
        check_template(template)


def test_rendering_twice_changes_nothing(tmp_path):
    for kind in ("gcp", "azure"):
        one, two = (render(kind, ROOT / "models/langhero", tmp_path / kind / name) for name in "ab")
        for path in one.rglob("*"):
            if path.is_file():
                assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    shutil.rmtree(tmp_path / "gcp")
