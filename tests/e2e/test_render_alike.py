# What holds wherever an app is rendered to: who is asked for health, values of a target, what an image can have.
import configparser
import json
import subprocess

import pytest
import yaml

from rendering import render

CONTAINERS = ["local", "droplet", "aws", "gcp", "azure"]


def app_of(folder, **keys):
    (folder / "web").mkdir(parents=True)
    (folder / "dais.yaml").write_text(json.dumps({"app": "desk", **keys}), encoding="utf-8")
    return folder


# ---- health: an app may answer /healthz itself, and to nobody -------------------------------------------
@pytest.mark.parametrize("kind", ["droplet", "aws", "gcp", "azure"])
def test_nobody_asks_the_app_for_the_health_of_dais(kind, tmp_path):
    app = app_of(tmp_path / "app", backend={"run": "exec ./s", "routes": ["/healthz"],
                                            "access": {"/healthz": "operator"}})
    render(kind, app, tmp_path / "out")
    compose = yaml.safe_load((tmp_path / f"out/ops/docker-compose.{kind}.yml").read_text())
    assert compose["services"]["app"]["healthcheck"]["test"][-2:] == ["--path", "/_/healthz"]
    for file in (tmp_path / "out/ops").glob("cloudformation.*.json"):
        assert '"/healthz"' not in file.read_text(), file


# ---- what an image can have ----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("keys,said", [
    ({"web": {"mounts": {"/kit/": "../kit"}}}, "`../kit` lies outside the app's folder"),
    ({"web": {"mounts": {"/kit/": "/usr/share"}}}, "`/usr/share` lies outside the app's folder"),
    ({"web": {"root": "docker/site"}}, "`docker/site` is not in the image"),
    ({"web": {"root": "docker/site", "build": "make"}}, "`docker/site` is not in the image"),
    ({"web": {"mounts": {"/kit/": "x/../node_modules/kit"}}}, "node_modules/kit` is not in the image"),
    ({"web": {"root": "./ops/site"}}, "`./ops/site` is not in the image"),
    ({"backend": {"url": "http://127.0.0.1:9000", "routes": ["/api/"]}}, "http://127.0.0.1:9000"),
    ({"backend": {"url": "http://[::1]:9000", "routes": ["/api/"]}}, "http://[::1]:9000"),
    ({"backend": {"url": "http://localhost:9000", "routes": ["/api/"]}}, "http://localhost:9000"),
])
def test_what_an_image_lacks_is_said_with_its_place(kind, keys, said, tmp_path):
    app = app_of(tmp_path / "app", **keys)
    for folder in ("../kit", "docker/site", "x", "node_modules/kit", "ops/site"):
        (app / folder).mkdir(parents=True, exist_ok=True)
    done = render(kind, app, tmp_path / "out")
    told = [line for line in done.stderr.splitlines() if said in line]
    assert len(told) == 1 and "dais.yaml:1:" in told[0] and "warning: " in told[0], done.stderr


@pytest.mark.parametrize("keys", [
    {"web": {"root": "dist/docker", "mounts": {"/a/": "datasets", "/b/": "x/../opsis", "/c/": "x/data", "/d/": "."}}},
    {"web": {"root": "data/site", "build": "make"}},
    {"backend": {"url": "http://10.0.0.7:9000", "routes": ["/api/"]}},
])
def test_what_an_image_has_is_no_reason_to_warn(keys, tmp_path):
    app = app_of(tmp_path / "app", **keys)
    for folder in ("dist/docker", "datasets", "x/data", "opsis", "data/site"):
        (app / folder).mkdir(parents=True)
    assert "warning" not in render("local", app, tmp_path / "out").stderr


# ---- where dais listens --------------------------------------------------------------------------------
@pytest.mark.parametrize("env,at", [({}, "127.0.0.1:8000"), ({"PORT": "8080"}, "127.0.0.1:8080"),
                                    ({"DAIS_LISTEN": "0.0.0.0:9000"}, "127.0.0.1:9000")])
def test_proxies_ask_where_the_socket_listens(env, at, tmp_path):
    app = app_of(tmp_path / "app", deploy={"there": {"kind": "droplet", "env": env}})
    render("there", app, tmp_path / "out")
    ops = tmp_path / "out/ops"
    assert f"    server {at};" in (ops / "nginx.conf").read_text()
    assert f"{{$DAIS_UPSTREAM:{at}}}" in (ops / "Caddyfile").read_text()
    unit = configparser.RawConfigParser(strict=False)
    unit.read(ops / "app.socket")
    assert unit["Socket"]["ListenStream"].rpartition(":")[2] == at.rpartition(":")[2]


# ---- secrets stay where they are filled in -------------------------------------------------------------
@pytest.mark.parametrize("kind,files", [
    ("droplet", ["ops/.env"]), ("aws", ["ops/.env"]), ("gcp", ["ops/.env"]),
    ("azure", ["ops/.env", "ops/containerapp.parameters.json"]), ("pythonanywhere", ["ops/pythonanywhere/.env"])])
def test_files_with_secrets_are_never_committed(kind, files, tmp_path):
    app = app_of(tmp_path / "app")
    render(kind, app)
    for file in files:
        (app / file).write_text("KEY=hidden\n")
    def git(*words):
        return subprocess.run(["git", *words], cwd=app, text=True, capture_output=True, check=True).stdout
    git("init", "-q")
    git("add", ".")
    added = git("ls-files").splitlines()
    assert not set(files) & set(added)
    examples = [name for name in added if ".env" in name]
    assert any(name.endswith(".example") for name in examples), added
    if kind == "azure":
        assert "ops/containerapp.parameters.example.json" in added


def test_an_update_takes_no_env_file_with_it(tmp_path):
    app = app_of(tmp_path / "app")
    render("droplet", app)
    secret = [app / name for name in (".env", ".env.production", "ops/.env", "web/.env.local")]
    for file in secret:
        file.write_text("KEY=hidden\n")
    command, = [line for line in (app / "ops/README.md").read_text().splitlines() if line.startswith("tar --exclude")]
    packed = subprocess.run(command.partition(" | ssh")[0] + " | tar -tz", shell=True, cwd=app, text=True,
                            capture_output=True, check=True).stdout.splitlines()
    assert "./dais.yaml" in packed
    assert not [name for name in packed if name.rpartition("/")[2].startswith(".env")], packed


# ---- commands that are printed -------------------------------------------------------------------------
def test_workflows_are_copied_as_it_says(tmp_path):
    app = app_of(tmp_path / "repo/some apps/desk")
    subprocess.run(["git", "init", "-q", tmp_path / "repo"], check=True)
    said = render("droplet", app).stdout.splitlines()
    at = next(i for i, line in enumerate(said) if line.startswith("GitHub reads workflows"))
    commands = [line for line in said[at:] if line.startswith("  ")]
    subprocess.run("\n".join(["set -e", *commands]), shell=True, cwd=tmp_path / "repo", check=True)
    assert (tmp_path / "repo/.github/workflows/desk-deploy.yml").read_bytes() == \
        (app / ".github/workflows/deploy.yml").read_bytes()
