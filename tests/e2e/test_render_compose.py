# What `dais render` writes for Compose: read by Compose itself, and its .env files by whoever reads them.
"""Compose 1.29.2 is Debian's docker-compose: its CLI reads some files, its library the rest, since that also says what
starts with which profile. podman-compose is the second opinion, where it is installed."""
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from conftest import ROOT, clean_env, fetch

CLOUDS = ["droplet", "aws", "gcp", "azure"]
APPS = sorted(str(path.parent.relative_to(ROOT)) for pattern in
              ("models/*", "apps/*", "tests/systems/*", "tests/fixtures/manifest/*")
              for path in ROOT.glob(pattern + "/dais.yaml"))
BUNDLED = {"postgres", "s3", "s3-bucket"}
NET = {"DOMAIN": "x.example.com", "ACME_EMAIL": "me@example.com"}
ODD = ["", "it's", 'say "hi"', "it's \"both\"", "$HOME", "$$", "${HOME}", "${HOME:-x}", "a: b", "no", "Yes", "null",
       "~", "1e3", "0x1f", "012", "1_000", "12:30:45", "::", "2026-01-01", " lead", "trail ", "tab\there", "two\nlines",
       "\n", "#not", "a #b", "back\\slash", "two\\\\", "trail\\", "ünï ✓", "\u2028", "\u0085", "\ufeff", "\x7f",
       "{{x}}", "<%x%>", "%d", "`id`", "*", "&a", "!x", "[1]", "{a}", "- a", "? q", "|", ">", "@", "=", "<<"]

# Compose 1.29.2 as a library: [folder, file, profiles] lines in, what would start and the config out.
READER = r"""
import json, sys
from compose.config import config
from compose.config.environment import Environment
from compose.project import Project

class Client:
    api_version = "1.41"
    def __getattr__(self, name):
        return lambda *args, **more: []

for line in sys.stdin:
    folder, file, profiles = json.loads(line)
    read = config.load(config.find(folder, [file], Environment.from_env_file(folder)))
    project = Project.from_config("x", read, Client(), None, enabled_profiles=profiles)
    starts = [service.name for service in project.get_services(include_deps=True)]
    print(json.dumps([starts, {service["name"]: service for service in read.services},
                      sorted(read.volumes)], default=str))
"""

needs_compose = pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")


# ---- helpers -----------------------------------------------------------------------------------
@pytest.fixture
def render(run_dais, tmp_path):
    def run(kind, app, out=None, code=0):
        out = out or tmp_path / "out"
        done = run_dais("render", kind, app, "-o", out)
        assert done.returncode == code, done.stdout + done.stderr
        return out if code == 0 else done
    return run


@pytest.fixture
def app_of(make_app):
    """An app whose manifest is this object."""
    def make(manifest, name="demo"):
        manifest = {"app": name, "web": {"root": "web"}, **manifest}
        return make_app(name, {"web/index.html": "hi"}, "# by a test\napp: " + json.dumps(name) + "\n" + "".join(
            f"{key}: {json.dumps(value)}\n" for key, value in manifest.items() if key != "app"))
    return make


def small_env(**more):
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **more}


def read_compose(jobs):
    """[(folder, file, profiles)] -> [(what starts, services, volumes)]"""
    lines = "".join(json.dumps([str(folder), file, list(profiles)]) + "\n" for folder, file, profiles in jobs)
    done = subprocess.run(["/usr/bin/python3", "-c", READER], input=lines, env=small_env(), text=True, timeout=300,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines_of(example):
    """(name, value as written, is commented, section) of each variable of an example."""
    section, rows = "", []
    for line in example.read_text().split("\n"):
        if line.startswith("# ---- "):
            section = line[7:]
        found = re.fullmatch(r"(#?)([A-Za-z_][A-Za-z0-9_]*)=(.*)", line)
        if found:
            rows.append((found[2], found[3], bool(found[1]), section))
        assert found or not line or line.startswith("#"), f"neither a remark nor a variable: {line!r}"
    return rows


def fill_in(example, stores="", **values):
    """The example as .env, with the commented lines of one block of stores (bundled, elsewhere), or of all ("*")."""
    of_block = {"bundled": "on this machine", "managed": "elsewhere"}.get(stores, "\0")
    rows = [(name, value) for name, value, off, section in lines_of(example)
            if not off or (of_block in section and "S3_IMAGE S3_COMMAND".find(name) < 0)
            or (stores == "*" and value and "Stores" not in section)]
    assert len({name for name, _ in rows}) == len(rows), "a variable is there twice"
    text = "".join(f"{name}={values.get(name, value)}\n" for name, value in rows)
    (example.parent / ".env").write_text(text)
    return text


def names_read(file):
    """Names that a Compose file asks .env or the shell for."""
    text = re.sub(r"^\s*#.*", "", file.read_text(), flags=re.M).replace("$$", "")
    names = set(re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)", text))
    for service in yaml.safe_load(file.read_text())["services"].values():
        names |= {name for name, value in (service.get("environment") or {}).items() if value is None}
    return names


# ---- what starts -------------------------------------------------------------------------------
@needs_compose
@pytest.mark.parametrize("app", APPS)
def test_what_starts_with_each_profile(app, render, tmp_path):
    jobs = []
    for kind in CLOUDS:
        ops = render(kind, ROOT / app, tmp_path / kind) / "ops"
        fill_in(ops / f".env.{kind}.example", **NET)
        jobs += [(ops, f"docker-compose.{kind}.yml", profiles) for profiles in
                 ([], ["bundled"], ["managed"], ["managed", "gateway"], ["bundled", "backup"])]
    for job, (starts, services, volumes) in zip(jobs, read_compose(jobs)):
        ops, file, profiles = job
        alone = {"app", "caddy"} | ({"stores"} if "stores" in services else set())
        wanted = set(alone)
        wanted |= BUNDLED if "bundled" in profiles else set()
        wanted |= {"blob"} if "gateway" in profiles and "azure" in file else set()
        wanted |= {"backup"} if "backup" in profiles and keeps_something(ROOT / app) else set()
        assert set(starts) == wanted, (file, profiles)
        check_services(yaml.safe_load((ops / file).read_text())["services"], volumes)
        env = services["app"]["environment"]
        assert env["PUBLIC_URL"] == "https://x.example.com" and env["DAIS_TRUSTED_PROXIES"] == "private"
        assert services["caddy"]["environment"] == {**NET, "DAIS_UPSTREAM": "app:8000"}


def keeps_something(app):
    return bool({"collections", "files", "jobs", "auth"} & set(yaml.safe_load((app / "dais.yaml").read_text())))


def check_services(written, volumes):
    """What must be so whatever is in .env."""
    for name, service in written.items():
        is_task = name in {"stores", "s3-bucket", "backup"}
        assert service["restart"] == ("no" if is_task else "unless-stopped"), name
        assert is_task or service["healthcheck"]["test"], name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "caddy" or "ports" not in service, f"{name} is open to the net"
    app, caddy = written["app"], written["caddy"]
    assert app["volumes"] == ["data:/data"] and written["s3"]["volumes"] == ["s3_data:/data"]
    assert written["postgres"]["volumes"] == ["pg_data:/var/lib/postgresql/data"]
    assert {"caddy_data:/data", "caddy_config:/config", "./Caddyfile:/etc/caddy/Caddyfile:ro"} == set(caddy["volumes"])
    assert volumes == sorted(["data", "pg_data", "s3_data", "caddy_data", "caddy_config"])
    assert app["read_only"] and app["cap_drop"] == ["ALL"] and app["tmpfs"] == ["/tmp"]
    assert app["healthcheck"]["test"][1:] == ["/usr/local/bin/dais", "health", "--path", "/_/healthz"]  # as the image's
    assert caddy["depends_on"] == {"app": {"condition": "service_healthy"}}
    assert written["s3-bucket"]["depends_on"] == {"s3": {"condition": "service_healthy"}}
    if "stores" in written:
        assert app["depends_on"] == {"stores": {"condition": "service_completed_successfully"}}


@needs_compose
@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("stores", ["bundled", "managed"])
def test_the_blocks_of_stores(kind, stores, app_of, render):
    """With a block uncommented and its secrets filled in, app and servers know the same."""
    app = app_of({"collections": {"notes": {"owner": True}}, "files": {"up": {}}, "auth": {}})
    ops = render(kind, app) / "ops"
    example = ops / f".env.{kind}.example"
    text = fill_in(example, stores, **NET, POSTGRES_PASSWORD="pw", S3_ACCESS_KEY_ID="id", S3_SECRET_ACCESS_KEY="key")
    profiles = re.search("^COMPOSE_PROFILES=(.*)$", text, re.M)[1].split(",")
    assert profiles == [stores] + (["gateway"] if (kind, stores) == ("azure", "managed") else [])
    (starts, services, _), = read_compose([(ops, f"docker-compose.{kind}.yml", profiles)])
    assert (BUNDLED <= set(starts)) == (stores == "bundled") and "stores" in starts
    env = services["app"]["environment"]
    region = {"droplet": "nyc3", "aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}[kind]
    assert env["STORAGE_BACKEND"] == "s3" and env["S3_BUCKET"] == "demo-data" and env["S3_SECRET_ACCESS_KEY"] == "key"
    assert env["DATABASE_URL"].startswith("postgres://")
    assert {**services["stores"]["environment"], **env} == env
    if stores == "bundled":
        assert env["DATABASE_URL"] == "postgres://demo:PASSWORD@postgres:5432/demo"
        assert env["S3_ENDPOINT_URL"] == "http://s3:7070" and env["S3_FORCE_PATH_STYLE"] == "true"
        assert services["postgres"]["environment"] == {"POSTGRES_DB": "demo", "POSTGRES_USER": "demo",
                                                       "POSTGRES_PASSWORD": "pw"}
        server = services["s3"]["environment"]
        assert server["ROOT_ACCESS_KEY"] == server["MINIO_ROOT_USER"] == "id"
        assert server["ROOT_SECRET_KEY"] == server["MINIO_ROOT_PASSWORD"] == "key"
        assert server["VGW_REGION"] == env["S3_REGION"] == region
    else:
        assert "sslmode=require" in env["DATABASE_URL"]
        assert env["S3_REGION"] == ("auto" if kind == "gcp" else region)
        assert env["S3_ENDPOINT_URL"] == {"droplet": "https://nyc3.digitaloceanspaces.com", "aws": None,
                                          "gcp": "https://storage.googleapis.com", "azure": "http://blob:7070"}[kind]


@needs_compose
def test_minio_is_two_variables(render):
    ops = render("droplet", ROOT / "models/langhero") / "ops"
    text = fill_in(ops / ".env.droplet.example", "bundled", **NET)
    (ops / ".env").write_text(text + "S3_IMAGE=me/minio:1\nS3_COMMAND='server /data --address :7070'\n")
    (_, services, _), = read_compose([(ops, "docker-compose.droplet.yml", ["bundled"])])
    assert services["s3"]["image"] == "me/minio:1"
    assert shlex.split(services["s3"]["command"]) == ["server", "/data", "--address", ":7070"]


def test_no_password_has_a_default(render, tmp_path):
    for app in APPS:
        for kind in CLOUDS:
            out = render(kind, ROOT / app, tmp_path / app.replace("/", "-") / kind)
            text = (out / f"ops/docker-compose.{kind}.yml").read_text()
            assert not re.search(r"\$\{[A-Z0-9_]*(PASSWORD|SECRET|KEY)[A-Z0-9_]*:?-", text)
            for name, value, off, _ in lines_of(out / f"ops/.env.{kind}.example"):
                assert off or not value or not re.search("PASSWORD|SECRET|KEY|TOKEN|_URL", name), (name, value)
        out = render("local", ROOT / app, tmp_path / app.replace("/", "-") / "local")
        assert all(off or not value or name == "ENV_FILE" for name, value, off, _ in lines_of(out / ".env.example"))


# ---- variables ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["local"] + CLOUDS)
def test_a_file_and_its_example_have_the_same_variables(kind, render, tmp_path):
    for app in APPS:
        out = render(kind, ROOT / app, tmp_path / app.replace("/", "-"))
        file = out / ("docker-compose.yml" if kind == "local" else f"ops/docker-compose.{kind}.yml")
        example = out / (".env.example" if kind == "local" else f"ops/.env.{kind}.example")
        manifest = yaml.safe_load((ROOT / app / "dais.yaml").read_text())
        patterns = tuple(s[:-1] for s in manifest.get("secrets", []) if s.endswith("*"))
        named = {name for name, *_ in lines_of(example)}
        named -= {prefix + "NAME" for prefix in patterns}
        named -= {"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"}  # Compose's own
        if kind == "local":
            named -= {"DAIS_LISTEN", "DAIS_DATA", "AWS_PROFILE"}  # for `dais serve` outside of the image
        assert names_read(file) == named, app
        for prefix in patterns:
            assert f"#{prefix}NAME=" in example.read_text()


def test_every_setting_and_secret_is_in_the_example(render, run_dais, tmp_path):
    out = render("local", ROOT / "models/langhero")
    named = {name for name, *_ in lines_of(out / ".env.example")}
    settings = set(re.findall(r"^([A-Z][A-Z0-9_]+)$", run_dais("help", "env", cwd=tmp_path).stdout, re.M))
    assert len(settings) > 20 and settings <= named
    assert {"GOOGLE_API_KEY", "ADMIN_API_KEY", "PUBLIC_APPWRITE_ENDPOINT"} <= named


def by_python(file):
    code = "import dotenv, json, sys; print(json.dumps(dotenv.dotenv_values(sys.argv[1])))"
    done = subprocess.run(["/usr/bin/python3", "-c", code, file], env=small_env(), text=True, capture_output=True,
                          check=True)
    return json.loads(done.stdout)


def by_shell(file):
    done = subprocess.run(["bash", "-c", 'set -ae; . "$1"; env -0', "-", file], env={"PATH": os.environ["PATH"]},
                          capture_output=True, check=True)
    return dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)


def by_dais(text, names, app_of, dais):
    """dais's own reader, asked by a script that the page reads; a page only gets what is called PUBLIC_."""
    app = app_of({"web": {"root": "web", "env": {"path": "/env.js", "values": {
        name: "$PUBLIC_" + name for name in names}}}}, "asked")
    (app / ".env").write_text(re.sub("^(?=[A-Z])", "PUBLIC_", text, flags=re.M))
    body = fetch(dais(app), "/env.js").body.decode()
    return json.loads(body[body.index("{"):body.rindex("}") + 1])


@pytest.mark.parametrize("kind", ["local"] + CLOUDS)
@pytest.mark.parametrize("stores", ["*", "bundled", "managed"])
def test_readers_of_env_files_agree(kind, stores, app_of, render, dais):
    app = app_of({"secrets": ["NEEDED", "MAY?", "SOME_*"], "deploy": {
        "there": {"kind": kind, "domain": "x.example.com", "admin_email": "o'brien@example.com"}}})
    out = render("there", app)
    example = out / (".env.example" if kind == "local" else f"ops/.env.{kind}.example")
    text = fill_in(example, stores, NEEDED="'a $b \"c\" # d'")
    file = str(example.parent / ".env")
    python = by_python(file)
    shell = by_shell(file)
    assert python["NEEDED"] == 'a $b "c" # d'
    assert kind == "local" or python["ACME_EMAIL"] == "o'brien@example.com"
    assert {name: shell[name] for name in python} == python
    assert by_dais(text, python, app_of, dais) == python


@needs_compose
def test_a_copied_env_is_right_for_the_laptop_and_for_compose(app_of, render, run_dais):
    app = app_of({"secrets": ["TEAM_*"]})
    out = render("local", app, app)
    (app / ".env").write_text((app / ".env.example").read_text())
    assert run_dais("check", app).returncode == 0
    with open(app / ".env", "a") as env:
        env.write("TEAM_A=1\nDAIS_LISTEN=127.0.0.1:9999\nDAIS_DATA=elsewhere\nPORT=9998\n")
    assert run_dais("check", app).returncode == 0
    (_, services, _), = read_compose([(out, "docker-compose.yml", [])])
    env = services["app"]["environment"]
    assert (env["TEAM_A"], env["DAIS_LISTEN"], env["DAIS_DATA"], env["PORT"]) == ("1", "0.0.0.0:8000", "/data", "8000")
    assert "9998" in str(services["app"]["ports"]) and "127.0.0.1" in str(services["app"]["ports"])


@needs_compose
@pytest.mark.parametrize("app", ["models/langhero", "models/story-gen", "apps/star-chart"])
def test_local_runs_without_env(app, render):
    out = render("local", ROOT / app)
    (starts, services, volumes), = read_compose([(out, "docker-compose.yml", [])])
    assert starts == ["app"] and volumes == ["data"]
    service = services["app"]
    assert "127.0.0.1" in str(service["ports"]) and "8000" in str(service["ports"])
    assert service["read_only"] and service["tmpfs"] == ["/tmp"] and service["cap_drop"] == ["ALL"]
    assert service["build"]["dockerfile"] == "docker/app.Dockerfile"
    assert {name: value for name, value in service["environment"].items() if value is not None
            and name not in ("DAIS_LISTEN", "DAIS_DATA", "PORT", "ENV_FILE")} == {}


# ---- odd values --------------------------------------------------------------------------------
@needs_compose
@pytest.mark.parametrize("kind", ["local", "droplet"])
def test_odd_values_arrive_unharmed(kind, app_of, render):
    # A machine's unit cannot hold control characters, and fills nothing in: those are errors, not damage.
    values = {f"ODD_{i}": value for i, value in enumerate(ODD) if kind == "local" or value != "\x7f"}
    values |= {"NO": "a", "y": "b", "DAIS_LOG": "warn", "S3_REGION": "here, or $there", "S3_BUCKET": "from .env"}
    written = {name: value.replace("$", "$$") for name, value in values.items()}
    if kind == "local":
        written |= {"S3_BUCKET": "${ON}", "REDIS_URL": "$REDIS_URL"}
    app = app_of({"title": 'No: "1e3" $x \u2028 #', "description": "a\n- b: ${c}", "secrets": ["ON", "NULL?"],
                  "backend": {"run": "exec true --port $PORT", "routes": ["/api/"],
                              "env": {f"B_{i}": value.replace("$", "$$") for i, value in enumerate(ODD)}},
                  "deploy": {"there": {"kind": kind, "env": written}}})
    out = render("there", app)
    folder, file = (out, "docker-compose.yml") if kind == "local" else (out / "ops", f"docker-compose.{kind}.yml")
    example = folder / (".env.example" if kind == "local" else f".env.{kind}.example")
    text = fill_in(example, **NET, ON="'from .env'")
    (folder / ".env").write_text(text + "REDIS_URL=redis://x\n")
    (_, services, _), = read_compose([(folder, file, [])])
    env = services["app"]["environment"]
    assert {name: env[name] for name in values} == values
    assert env["ON"] == "from .env" and env["NULL"] is None
    assert kind != "local" or env["REDIS_URL"] == "redis://x"
    shown = yaml.safe_load(compose_cli(folder, file))["services"]["app"]["environment"]
    safe = {name: value.replace("$", "$$") for name, value in values.items()
            if value != "\u0085"}  # which Compose 1 writes in a way that it reads as a space
    assert {name: shown[name] for name in safe} == safe


def compose_cli(folder, file):
    done = subprocess.run(["docker-compose", "-f", file, "config"], cwd=folder, env=small_env(), text=True, timeout=300,
                          capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


@needs_compose
@pytest.mark.parametrize("kind", CLOUDS)
def test_the_cli_reads_it_without_a_warning(kind, render):
    ops = render(kind, ROOT / "models/langhero") / "ops"
    fill_in(ops / f".env.{kind}.example", **NET)
    assert "x.example.com" in compose_cli(ops, f"docker-compose.{kind}.yml")


@pytest.mark.skipif(not shutil.which("podman-compose"), reason="podman-compose is not installed")
@pytest.mark.parametrize("kind", ["local"] + CLOUDS)
def test_podman_compose_reads_it(kind, app_of, render):
    app = app_of({"collections": {"notes": {"owner": True}},
                  "deploy": {"there": {"kind": kind, "env": {"A": "$$x 'y'"}}}})
    out = render("there", app)
    folder, file = (out, "docker-compose.yml") if kind == "local" else (out / "ops", f"docker-compose.{kind}.yml")
    if kind != "local":
        fill_in(folder / f".env.{kind}.example", **NET)
    (folder / "bin").mkdir()
    (folder / "bin/podman").write_text("#!/bin/sh\n# stands in for podman: nothing runs\necho podman version 4.3.1\n")
    (folder / "bin/podman").chmod(0o755)
    env = small_env(PATH=f"{folder}/bin:{os.environ['PATH']}")
    done = subprocess.run(["podman-compose", "--dry-run", "-f", file, "up", "-d", "--no-build"], cwd=folder, env=env,
                          text=True, timeout=300, capture_output=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said, said
    started = re.findall(r"^podman run --name=\S+?_([\w-]+)_1 .* -e A=\$x 'y' .*:/data .* demo:latest$", said, re.M)
    assert started[-1:] == ["app"]


def test_a_region_that_no_url_can_hold_is_an_error(app_of, render):
    app = app_of({"deploy": {"there": {"kind": "aws", "region": "us east\n1"}}})
    done = render("there", app, code=1)
    assert "region" in done.stderr


# ---- what the tasks do -------------------------------------------------------------------------
def script(ops, kind, service):
    text = yaml.safe_load((ops / f"docker-compose.{kind}.yml").read_text())["services"][service]["command"][0]
    return text.replace("$$", "$")


@pytest.fixture
def fake_s3():
    """Answers with the codes it is given, and keeps what it was asked."""
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            server.asked.append((self.command, self.path, dict(self.headers)))
            self.send_response(server.codes.pop(0) if len(server.codes) > 1 else server.codes[0])
            self.send_header("Content-Length", "0")
            self.end_headers()
        do_PUT = do_HEAD = answer

        def log_message(self, *_):
            pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.codes = [], [200]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def native_ops(app_of, render):
    return render("droplet", app_of({"collections": {"notes": {"owner": True}}})) / "ops"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("answer,code", [(200, 0), (409, 0), (403, 1)])
def test_the_bucket_is_made(answer, code, native_ops, fake_s3):
    fake_s3.codes = [answer]
    text = script(native_ops, "droplet", "s3-bucket").replace("s3:7070", "127.0.0.1:%d" % fake_s3.server_port)
    env = small_env(S3_BUCKET="demo-data", S3_REGION="nyc3", S3_ACCESS_KEY_ID="id", S3_SECRET_ACCESS_KEY="key")
    done = subprocess.run(["sh", "-c", text], env=env, text=True, timeout=300, capture_output=True, check=False)
    assert done.returncode == code and f"bucket demo-data: {answer}" in done.stdout
    (method, path, headers), = fake_s3.asked
    assert (method, path) == ("PUT", "/demo-data")
    assert re.match(r"AWS4-HMAC-SHA256 Credential=id/\d{8}/nyc3/s3/aws4_request", headers["Authorization"])
    done = subprocess.run(["sh", "-c", text], env=small_env(), text=True, timeout=300, capture_output=True, check=False)
    assert done.returncode != 0 and "set it in .env" in done.stderr


def wait_for_stores(ops, tmp_path, **env):
    """Runs the task with nc and sleep that only take notes."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "nc").write_text('#!/bin/sh\n# notes what it was asked\necho "$*" >> "$NOTES"\n')
    (folder / "sleep").write_text("#!/bin/sh\n# takes no time\n")
    for tool in folder.iterdir():
        tool.chmod(0o755)
    notes = tmp_path / "notes"
    notes.write_text("")
    done = subprocess.run(["sh", "-c", script(ops, "droplet", "stores")], text=True, timeout=300, capture_output=True,
                          env=small_env(PATH=f"{folder}:{os.environ['PATH']}", NOTES=str(notes), **env), check=False)
    return done, notes.read_text().splitlines()


@pytest.mark.parametrize("url,asked", [
    ("", []), ("sqlite:///x.db", []), ("postgres:///db?host=/run/postgresql", []),
    ("postgres://u:p@postgres:5432/db", ["-z -w 3 postgres 5432"]),
    ("postgresql://u:p@db.example.com/db?sslmode=require", ["-z -w 3 db.example.com 5432"]),
    ("postgres://u:p%40x@h:25060/db", ["-z -w 3 h 25060"])])
def test_the_app_waits_for_its_database(url, asked, native_ops, tmp_path):
    done, notes = wait_for_stores(native_ops, tmp_path, DATABASE_URL=url)
    assert done.returncode == 0 and notes == asked, done.stderr


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_app_waits_for_its_bucket(native_ops, tmp_path, fake_s3):
    fake_s3.codes = [503, 404, 404, 403]
    env = {"S3_ENDPOINT_URL": f"http://127.0.0.1:{fake_s3.server_port}", "S3_BUCKET": "b"}
    done, _ = wait_for_stores(native_ops, tmp_path, **env)
    assert done.returncode == 0 and len(fake_s3.asked) == 4 and fake_s3.asked[0][:2] == ("HEAD", "/b")
    with socket.socket() as free:  # bound, and nobody listens
        free.bind(("127.0.0.1", 0))
        env["S3_ENDPOINT_URL"] = f"http://127.0.0.1:{free.getsockname()[1]}"
        done, _ = wait_for_stores(native_ops, tmp_path, **env)
    assert done.returncode == 1 and "no answer after two minutes: has_bucket" in done.stdout


def test_an_app_that_reads_a_database_is_told_to_choose(app_of, render):
    backend = {"run": "exec true --port $PORT", "routes": ["/api/"], "env": {"DB": "$DATABASE_URL"}}
    ops = render("aws", app_of({"backend": backend})) / "ops"
    assert "The app reads DATABASE_URL" in (ops / ".env.aws.example").read_text()
    assert "stores" in yaml.safe_load((ops / "docker-compose.aws.yml").read_text())["services"]


def test_an_app_without_stores_waits_for_nothing(render):
    for app in ("models/story-gen", "apps/field-notes"):
        ops = render("droplet", ROOT / app) / "ops"
        assert "stores" not in yaml.safe_load((ops / "docker-compose.droplet.yml").read_text())["services"]
        assert "Nothing of it reads DATABASE_URL" in (ops / ".env.droplet.example").read_text()
        shutil.rmtree(ops)


def test_backups_that_are_off_have_no_service(app_of, render):
    ops = render("droplet", app_of({"backups": {"schedule": "off"}, "collections": {"notes": {}}})) / "ops"
    assert "backup" not in (ops / "docker-compose.droplet.yml").read_text().replace("backups", "")


def test_the_schedule_of_backups_is_in_the_remark(app_of, render):
    notes = {"collections": {"notes": {}}}
    text = (render("droplet", app_of(notes)) / "ops/docker-compose.droplet.yml").read_text()
    assert "#   0 3 * * * root cd /srv/demo/ops && docker compose run --rm -T backup" in text
    backups = {"backups": {"schedule": "15 4 * * 1-5", "to": "/mnt/x"}}
    text = (render("droplet", app_of({**notes, **backups}, "other")) / "ops/docker-compose.droplet.yml").read_text()
    assert "makes one itself at `15 4 * * 1-5` (UTC)" in text and "into `/mnt/x`" in text and "cron" not in text
