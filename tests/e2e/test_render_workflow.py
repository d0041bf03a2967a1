# The workflows for GitHub, read strictly, and each of their shell steps run in a clean clone of an app.
# What is not proved: `dais deploy` is of a later version; a stand-in notes what it was called with.
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

from conftest import DAIS_BIN, ROOT

yaml = pytest.importorskip("yaml", reason="python3-yaml is missing: make deps-test")

KINDS = ("droplet", "aws", "gcp", "azure")
TARGETS = """deploy:
  prod: { kind: ssh, host: root@203.0.113.9 }
  big: { kind: aws, region: eu-west-1 }
  small: { kind: droplet }
  g: { kind: gcp }
  a-z: { kind: azure }
  p: { kind: pythonanywhere }
  demo: { kind: pages }
  here: { kind: local }
secrets: [ TOKEN, "MAYBE?", "MANY_*" ]
"""
WORKFLOW_KEYS = {"name", "on", "permissions", "concurrency", "defaults", "jobs"}
JOB_KEYS = {"runs-on", "steps", "needs", "if", "permissions", "environment", "concurrency"}
STEP_KEYS = {"name", "id", "uses", "with", "run", "env", "if"}
SCOPES = {"contents": {"read", "write"}, "id-token": {"write"}, "pages": {"write"}}
OIDC = ("aws-actions/configure-aws-credentials", "google-github-actions/auth", "azure/login", "actions/deploy-pages")
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}", re.S)
CONTEXT = re.compile(r"(vars|secrets)\.[A-Z][A-Z0-9_]*|github\.(token|event_name|ref|repository)"
                     r"|github\.event\.pull_request\.head\.repo\.full_name|steps\.\w+\.outputs\.\w+")
LITERAL = "${{ '${{' }}"


# ---- reading strictly ------------------------------------------------------------------------------
class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, which PyYAML takes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key twice in {keys}"
        return super().construct_mapping(node, deep)


def strings(value):
    """Every text below a value."""
    if isinstance(value, str):
        yield value
    for part in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()):
        yield from strings(part)


def check_expressions(text):
    rest = text.replace(LITERAL, "")
    for found in EXPRESSION.findall(rest):
        assert CONTEXT.fullmatch(found), found
    assert "${{" not in EXPRESSION.sub("", rest), text


def check_condition(text):
    """What `if:` says: comparisons of known contexts, joined by &&."""
    for part in text.split(" && "):
        left, operator, right = re.fullmatch(r"(\S+) (==|!=) (.+)", part).groups()
        assert CONTEXT.fullmatch(left) and operator
        assert CONTEXT.fullmatch(right) or re.fullmatch(r"'[^']*'", right), right


def check_step(step, text):
    assert set(step) <= STEP_KEYS and ("run" in step) != ("uses" in step), step
    if "uses" in step:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        assert re.search(re.escape(step["uses"]) + r" # v\d+\.\d+\.\d+$", text, re.M), "its version for people"
    else:
        assert "${{" not in step["run"].replace(LITERAL, ""), "a value belongs into env, not into a script"
        if not re.match(r"Build for |Prepare the backend", step.get("name", "")):  # commands of the manifest
            shell = subprocess.run(["shellcheck", "--shell=bash", "-"], input=step["run"], text=True,
                                   capture_output=True, check=False)
            assert shell.returncode == 0, shell.stdout
    for name, value in (step.get("env") or {}).items():
        assert re.fullmatch(r"[A-Za-z_]\w*", name) and isinstance(value, str), (name, value)
    if "if" in step:
        check_condition(step["if"])


def check_job(job, jobs, text):
    assert set(job) <= JOB_KEYS and job["runs-on"] == "ubuntu-24.04", job
    needs = job.get("needs", [])
    assert all(name in jobs for name in ([needs] if isinstance(needs, str) else needs))
    for scope, access in job.get("permissions", {}).items():
        assert access in SCOPES[scope]
    uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert ("id-token" in job.get("permissions", {})) == any(name in OIDC for name in uses)
    for step in job["steps"]:
        check_step(step, text)
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}
    ids = [step["id"] for step in job["steps"] if "id" in step]
    for used in re.findall(r"steps\.(\w+)\.", json.dumps(job)):
        assert used in ids
    if "if" in job:
        check_condition(job["if"])


def check_workflow(file):
    """The workflow, when nothing is wrong with it."""
    text = file.read_text()
    flow = yaml.load(text, Loader)  # noqa: S506, a SafeLoader
    flow["on"] = flow.pop(True)  # YAML 1.1 reads `on` so; GitHub does not
    assert set(flow) <= WORKFLOW_KEYS and flow["permissions"] == {"contents": "read"}
    assert flow["on"]["push"] == {"branches": ["main"]}
    assert flow["defaults"]["run"]["shell"] == "bash"  # which is also `-o pipefail`
    for value in strings(flow):
        check_expressions(value)
    for name, job in flow["jobs"].items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", name)
        check_job(job, flow["jobs"], text)
    return flow


@pytest.fixture(name="render")
def fixture_render(run_dais):
    def run(folder, *words):
        done = run_dais("render", words[0], folder, *words[1:])
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


# ---- what it says ----------------------------------------------------------------------------------
def folders():
    for place in ("models", "apps", "tests/systems", "tests/fixtures/manifest"):
        yield from (path.parent for path in sorted((ROOT / place).glob("*/dais.yaml")))


@pytest.mark.parametrize("source", folders(), ids=lambda path: path.name)
def test_every_app_has_a_workflow(render, tmp_path, source):
    out = tmp_path / "out"
    for kind in KINDS:
        render(source, kind, "-o", out)
        flow = check_workflow(out / ".github/workflows/deploy.yml")
        ends = targets(source)
        assert set(flow["jobs"]) == {"test", *(f"{verb}{end}" for verb in ("plan", "deploy") for end in ends)}
    before = (out / ".github/workflows/deploy.yml").read_bytes()
    render(source, "droplet", "-o", out)
    assert (out / ".github/workflows/deploy.yml").read_bytes() == before, "kinds share the file"


def targets(source):
    deploy = yaml.safe_load((source / "dais.yaml").read_text()).get("deploy", {})
    names = [f"-{name}" for name, target in deploy.items() if target["kind"] not in ("pages", "local")]
    return names or [""]


def test_each_target_is_planned_and_deployed_one_at_a_time(make_app, render):
    app = make_app("shop", {"web/index.html": "hi"}, TARGETS)
    render(app, "prod")
    jobs = check_workflow(app / ".github/workflows/deploy.yml")["jobs"]
    names = ("prod", "big", "small", "g", "a-z", "p")
    assert set(jobs) == {"test", *(f"plan-{name}" for name in names), *(f"deploy-{name}" for name in names)}
    for name in names:
        plan, deploy = jobs[f"plan-{name}"], jobs[f"deploy-{name}"]
        assert plan["needs"] == deploy["needs"] == "test"
        assert "pull_request" in plan["if"] and "github.repository" in plan["if"] and "concurrency" not in plan
        assert deploy["if"] == "github.event_name != 'pull_request' && github.ref == 'refs/heads/main'"
        assert deploy["concurrency"] == {"group": f"deploy-shop-{name}", "cancel-in-progress": False}
        assert deploy["environment"] == name and deploy["steps"][-1]["run"] == f"dais deploy {name} --yes"
        assert f"dais deploy {name} --plan" in plan["steps"][-1]["run"]
        environment = deploy["steps"][-1]["env"]
        assert environment["TOKEN"] == "${{ secrets.TOKEN }}" and environment["MAYBE"] == "${{ secrets.MAYBE }}"
    text = json.dumps(jobs["deploy-big"])
    assert "vars.AWS_ROLE_ARN" in text and '"eu-west-1"' in text and "secrets.AWS" not in text
    assert jobs["test"]["steps"][-1]["run"].startswith("dais render p --check\n")
    assert jobs["test"]["steps"][-1]["run"].endswith("\ndais render prod --check || dais render big --check || "
                                                     "dais render small --check || dais render g --check || "
                                                     "dais render a-z --check\n")
    assert "MANY_* means go into env" in (app / ".github/workflows/deploy.yml").read_text()


ODD = ["no", "1e3", "it's \"so\" $HOME `x` ${{ secrets.T }} \\ # : - é\u2028\x85", "::", "two\nlines", "*/ <b>&</b>"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_arrive_unharmed(make_app, render, odd):
    quoted = json.dumps(odd)
    title = json.dumps(odd.replace("\x85", ""))  # a title is a line without control characters
    app = make_app("shop", {"web/index.html": "hi"}, f"title: {title}\nweb: {{ build: {quoted} }}\n"
                   f"backend: {{ setup: {quoted}, run: {quoted}, routes: [ /api/ ] }}\n"
                   f"deploy: {{ x: {{ kind: aws, region: {quoted} }}, no: {{ kind: ssh, host: h.example }} }}\n")
    render(app, "gcp")  # of all kinds the least particular about regions
    jobs = check_workflow(app / ".github/workflows/deploy.yml")["jobs"]
    step, = [step for step in jobs["test"]["steps"] if step.get("name") == "Prepare the backend"]
    assert step["run"].replace(LITERAL, "${{") == odd
    step, = [step for step in jobs["deploy-x"]["steps"] if step.get("name") == "Sign in to Amazon"]
    assert step["with"]["aws-region"].replace(LITERAL, "${{") == odd
    assert jobs["deploy-no"]["environment"] == "no"


def test_an_app_below_the_top_of_its_repository(make_app, render, tmp_path):
    app = make_app("apps/two words: $x", {"web/index.html": "hi"}, "app: shop\nweb: { root: web }\n" + TARGETS)
    git(tmp_path / "apps", "init", "-q")
    said = render(app, "prod")
    assert "GitHub reads workflows at the top of a repository" in said
    flow = check_workflow(app / ".github/workflows/deploy.yml")
    assert flow["defaults"]["run"]["working-directory"] == "two words: $x"
    render(app, "demo")
    flow = check_workflow(app / ".github/workflows/pages.yml")
    assert flow["jobs"]["build"]["steps"][-1]["with"]["path"] == "two words: $x/ops/pages"
    git(app, "init", "-q")
    assert "GitHub reads" not in render(app, "prod")
    assert "working-directory" not in (app / ".github/workflows/deploy.yml").read_text()


# ---- running it --------------------------------------------------------------------------------------
def git(folder, *args):
    return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=folder, check=True,
                          capture_output=True, text=True).stdout


STAND_IN = """#!/bin/sh
if [ "$1" = deploy ]; then echo "$* TOKEN=$TOKEN" >> "$DEPLOYED"; echo "the plan"; exit "${DEPLOY_CODE:-0}"; fi
exec '{dais}' "$@"
"""
MANIFEST = """title: Shop
web: { root: dist, build: npm run build }
backend:
  setup: printf '%s' "set up" > setup.txt; command -v python3 > /dev/null
  packages: [ ffmpeg, libgl1 ]
  run: exec python3 server.py
  routes: [ /api/ ]
secrets: [ TOKEN ]
deploy:
  prod: { kind: ssh, host: root@203.0.113.9 }
  demo: { kind: pages, base: /shop/, env: { VITE_X: "it's \\"x\\"" } }
"""
FILES = {
    "package.json": json.dumps({"name": "shop", "scripts": {
        "build": "mkdir -p dist && printf '%s' \"<script src='${DAIS_BASE}a.js'></script>$VITE_X\" > dist/index.html"
                 " && echo 1 > dist/a.js", "test": "echo tested by npm > npm.txt"}}),
    "pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\n[tool.pytest.ini_options]\n",
    "test_shop.py": "import pathlib\ndef test_it(): pathlib.Path('pytest.txt').write_text('tested')\n",
    "server.py": "", ".gitignore": "dist/\n*.txt\n__pycache__/\n.pytest_cache/\ndata/\n",
}


class Runner:
    """Runs the shell steps of a job as GitHub's runner does: one after the other, in one clone."""

    def __init__(self, folder, tmp_path, variables, secrets=()):
        self.folder, self.variables, self.secrets = folder, dict(variables), dict(secrets)
        self.temp, self.home = tmp_path / "runner", tmp_path / "home"
        for name in (self.temp, self.home, tmp_path / "bin"):
            name.mkdir(exist_ok=True)
        self.files = {name: self.temp / name for name in ("GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in self.files.values():
            file.write_text("")
        sudo = tmp_path / "bin/sudo"
        sudo.write_text(f'#!/bin/sh\necho "$*" >> {self.temp}/sudo.txt\n')
        sudo.chmod(0o755)
        self.path = f"{tmp_path}/bin:/usr/local/bin:/usr/bin:/bin"
        self.deployed = self.temp / "deployed"

    def value(self, text):
        def one(found):
            name = found[1]
            if name == "'${{'":
                return "${{"
            context, _, key = name.partition(".")
            return {"vars": self.variables, "secrets": self.secrets}[context].get(key, "")
        return EXPRESSION.sub(one, text)

    def step(self, step):
        added = ":".join(reversed(self.files["GITHUB_PATH"].read_text().split()))
        environment = {"PATH": f"{added}:{self.path}".lstrip(":"), "HOME": str(self.home), "LANG": "C.UTF-8",
                       "RUNNER_TEMP": str(self.temp), "DEPLOYED": str(self.deployed), "CI": "true",
                       **{name: str(file) for name, file in self.files.items()}, **self.more,
                       **{name: self.value(value) for name, value in (step.get("env") or {}).items()}}
        script = self.temp / "step.sh"
        script.write_text(self.value(step["run"]))
        return subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], cwd=self.folder, text=True,
                              env=environment, capture_output=True, check=False, timeout=300, stdin=subprocess.DEVNULL)

    def job(self, job, more=(), fails_at=None):
        self.more = dict(more)
        for step in job["steps"]:
            if "run" not in step or ("if" in step and not self.holds(step["if"])):
                continue
            done = self.step(step)
            if step["name"] == fails_at:
                assert done.returncode != 0, done.stdout
                return done
            assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
        assert fails_at is None, "it was not met"
        return done

    def holds(self, condition):
        name = re.fullmatch(r"vars\.(\w+) != ''", condition)[1]
        return bool(self.variables.get(name))


@pytest.fixture(name="program")
def fixture_program(tmp_path):
    """Where CI gets dais from, with the stand-in for `deploy`."""
    file = tmp_path / "dais-stand-in"
    file.write_text(STAND_IN.replace("{dais}", str(DAIS_BIN)))
    return {"DAIS_URL": f"file://{file}", "DAIS_SHA256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "DEPLOY_KNOWN_HOSTS": "203.0.113.9 ssh-ed25519 AAAA"}


@pytest.fixture(name="clone")
def fixture_clone(make_app, render, tmp_path):
    """A clean clone of an app whose files are rendered and committed."""
    app = make_app("shop", FILES, MANIFEST)
    (app / "dist").mkdir()
    (app / "dist/index.html").write_text("hi")
    render(app, "prod")
    render(app, "demo")
    git(app, "init", "-q", "-b", "main")
    git(app, "add", ".")
    git(app, "commit", "-qm", "All of it")
    git(tmp_path, "clone", "-q", app, "clone")
    assert not (tmp_path / "clone/dist").exists() and not (tmp_path / "clone/ops/pages").exists()
    return tmp_path / "clone"


def test_every_step_of_the_deployment_runs(clone, tmp_path, program):
    jobs = check_workflow(clone / ".github/workflows/deploy.yml")["jobs"]
    runner = Runner(clone, tmp_path, program, {"TOKEN": "t0k'e $n", "DEPLOY_SSH_KEY": "-----KEY\nline-----"})
    runner.job(jobs["test"])
    assert (clone / "setup.txt").read_text() == "set up" and (clone / "npm.txt").exists()
    assert (clone / "pytest.txt").exists() and (clone / "dist/index.html").exists()
    assert (runner.temp / "sudo.txt").read_text() == \
        "apt-get update\napt-get install --yes --no-install-recommends ffmpeg libgl1\n"
    runner.job(jobs["plan-prod"], {"DEPLOY_CODE": "2"})  # 2: the plan has changes
    assert runner.files["GITHUB_STEP_SUMMARY"].read_text() == "    the plan\n"
    runner.job(jobs["plan-prod"], {"DEPLOY_CODE": "6"}, fails_at="Show what would change")
    runner.job(jobs["deploy-prod"])
    runner.job(jobs["deploy-prod"], {"DEPLOY_CODE": "7"}, fails_at="Deploy")
    call = "TOKEN=t0k'e $n\n"
    assert runner.deployed.read_text() == f"deploy prod --plan {call}" * 2 + f"deploy prod --yes {call}" * 2
    assert (runner.home / ".ssh/id_ed25519").read_text() == "-----KEY\nline-----\n"
    assert (runner.home / ".ssh/id_ed25519").stat().st_mode & 0o777 == 0o600
    assert "203.0.113.9" in (runner.home / ".ssh/known_hosts").read_text()
    assert git(clone, "status", "--short") == ""


def test_rendered_files_must_be_current(clone, tmp_path, program, run_dais):
    jobs = check_workflow(clone / ".github/workflows/deploy.yml")["jobs"]
    manifest = clone / "dais.yaml"
    manifest.write_text(manifest.read_text().replace("title: Shop", "title: Other"))
    done = Runner(clone, tmp_path, program).job(jobs["test"], fails_at="Check that the rendered files are current")
    assert "deploy.yml" in done.stdout
    manifest.write_text(manifest.read_text().replace("title: Other", "title: Other\nnonsense: 1"))
    Runner(clone, tmp_path, program).job(
        {"steps": [step for step in jobs["test"]["steps"] if step.get("name") in ("Get dais", "Check the manifest")]},
        fails_at="Check the manifest")


def test_targets_that_share_files_are_current_when_one_of_them_is(make_app, render, tmp_path):
    app = make_app("shop", {"web/index.html": "hi"}, """title: Shop
deploy:
  prod: { kind: ssh, domain: a.example }
  staging: { kind: droplet, domain: b.example }
  p: { kind: pythonanywhere }
""")
    for name in ("p", "prod", "staging"):
        render(app, name)
    jobs = check_workflow(app / ".github/workflows/deploy.yml")["jobs"]
    step, = (step for step in jobs["test"]["steps"] if step.get("name") == "Check that the rendered files are current")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/dais").symlink_to(DAIS_BIN)

    def check():
        return subprocess.run(["bash", "-e", "-c", step["run"]], cwd=app, capture_output=True, check=False,
                              env={"PATH": f"{tmp_path / 'tools'}:/usr/bin:/bin"}).returncode
    assert check() == 0
    (app / "ops/pythonanywhere/run.sh").unlink()
    assert check() != 0  # it has a folder of its own
    render(app, "p")
    (app / "dais.yaml").write_text((app / "dais.yaml").read_text().replace("title: Shop", "title: Other"))
    render(app, "p")
    assert check() != 0


def test_every_step_of_the_pages_runs(clone, tmp_path, program):
    jobs = check_workflow(clone / ".github/workflows/pages.yml")["jobs"]
    runner = Runner(clone, tmp_path, program)
    runner.job(jobs["build"])
    assert (clone / "ops/pages/index.html").read_text() == "<script src='/shop/a.js'></script>it's \"x\""
    assert (clone / "ops/pages/.nojekyll").exists() and (clone / "pytest.txt").exists()
    assert git(clone, "status", "--short") == ""
    manifest = clone / "dais.yaml"
    manifest.write_text(manifest.read_text().replace("base: /shop/", "base: /other/"))
    runner.job(jobs["build"], fails_at="Check that the rendered files are current")


@pytest.mark.parametrize("change, says", [
    ({"DAIS_URL": ""}, "::error::Set the repository variables DAIS_URL"),
    ({"DAIS_SHA256": ""}, "::error::Set the repository variables DAIS_URL"),
    ({"DAIS_SHA256": "0" * 64}, "did NOT match"),
    ({"DAIS_URL": "file:///nowhere"}, "nowhere"),
])
def test_dais_comes_whole_or_not_at_all(clone, tmp_path, program, change, says):
    job = check_workflow(clone / ".github/workflows/deploy.yml")["jobs"]["test"]
    runner = Runner(clone, tmp_path, {**program, **change})
    done = runner.job(job, fails_at="Get dais")
    assert says in done.stdout + done.stderr and runner.files["GITHUB_PATH"].read_text() == ""


def test_the_program_itself_comes_over_http(clone, tmp_path, program):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(DAIS_BIN.parent))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/{DAIS_BIN.name}"
            digest = hashlib.sha256(DAIS_BIN.read_bytes()).hexdigest()
            runner = Runner(clone, tmp_path, {**program, "DAIS_URL": url, "DAIS_SHA256": digest})
            jobs = check_workflow(clone / ".github/workflows/deploy.yml")["jobs"]
            runner.job(jobs["test"])
        finally:
            server.shutdown()
    assert os.access(runner.temp / "bin/dais", os.X_OK)


def test_without_targets_a_variable_names_one(make_app, render, tmp_path, program):
    app = make_app("shop", {"web/index.html": "hi"}, "web: { root: web }\n")
    render(app, "droplet")
    jobs = check_workflow(app / ".github/workflows/deploy.yml")["jobs"]
    runner = Runner(app, tmp_path, {**program, "DEPLOY_KNOWN_HOSTS": ""})
    done = runner.job(jobs["deploy"], fails_at="Deploy")
    assert "Set the repository variable DAIS_TARGET" in done.stderr
    runner.variables["DAIS_TARGET"] = "prod"
    runner.job(jobs["plan"])
    runner.job(jobs["deploy"])
    assert runner.deployed.read_text() == "deploy prod --plan TOKEN=\ndeploy prod --yes TOKEN=\n"
    assert shutil.which("bash") and pathlib.Path(runner.temp).exists()
