# `dais new`: every template runs at once, every model runs its application's checkout as it is.
import base64
import json
import os
import re
import subprocess

import pytest

from conftest import Conn, wait_for

SYSTEM = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # Debian's own Python and Node
LATER = re.compile(r".*is checked but not served yet by this version$")
TEMPLATES = ("static", "notes", "fastapi", "express")
MODELS = ("story-gen", "langhero", "story-analytics", "papeterie")


def setup_of(folder):
    yaml = pytest.importorskip("yaml", reason="python3-yaml is missing: make deps-test")
    return yaml.safe_load((folder / "dais.yaml").read_text())["backend"]["setup"]


def run_setup(folder, timeout=120):
    return subprocess.run(["/bin/sh", "-c", setup_of(folder)], cwd=folder, timeout=timeout, check=False,
                          env={**SYSTEM, "HOME": str(folder.parent)}, capture_output=True, text=True)


def post(server, path, value):
    return server.fetch(path, method="POST", headers={"Content-Type": "application/json"},
                        body=json.dumps(value).encode())


# ---- templates -----------------------------------------------------------------------------------
def test_templates_are_listed(run_dais):
    lines = run_dais("new", "--template", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_passes_the_check(template, run_dais, tmp_path):
    done = run_dais("new", "my-book", "--template", template)
    assert done.returncode == 0 and done.stdout.endswith("\nNext:\n  dais serve my-book\n"), done
    made = sorted(str(file.relative_to(tmp_path)) for file in (tmp_path / "my-book").rglob("*")
                  if file.is_file())
    assert sorted(re.findall(r"^  (my-book/.*)$", done.stdout, re.M)) == made
    for file in made:
        assert "{{" not in (tmp_path / file).read_text().replace("={{", ""), file
    check = run_dais("check", "my-book")
    assert [line for line in (check.stdout + check.stderr).splitlines() if not LATER.match(line)] == \
        ["ok my-book"]


@pytest.fixture
def fastapi(run_dais, tmp_path):
    done = subprocess.run(["/usr/bin/python3", "-c", "import fastapi, uvicorn, websockets"],
                          capture_output=True, check=False)
    assert done.returncode == 0, "make deps-test installs Debian's FastAPI"
    run_dais("new", "book", "--template", "fastapi")
    return tmp_path / "book"


@pytest.fixture
def express(run_dais, tmp_path):
    run_dais("new", "book", "--template", "express")
    folder = tmp_path / "book"
    done = run_setup(folder)
    if done.returncode != 0:
        pytest.skip(f"optional: npm cannot install express here: {done.stderr[-200:]}")
    return folder


@pytest.fixture(params=["fastapi", "express"])
def book(request):
    return request.getfixturevalue(request.param)


def test_fastapi_needs_nothing_but_the_systems_packages(fastapi):
    done = run_setup(fastapi, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not (fastapi / ".venv").exists()


def test_entries_are_kept(book, dais):
    with_path = {"env": SYSTEM}
    server = dais(book, **with_path)
    assert server.fetch("/health").json() == {"status": "ok"}
    assert server.fetch("/api/entries").json() == {"items": [], "next": None}
    first = post(server, "/api/entries", {"name": " Ada ", "text": "Ü <b>\n"})
    assert first.status == 201 and first.json() == {
        "id": 1, "name": "Ada", "text": "Ü <b>", "created": first.json()["created"]}
    for number in (2, 3):
        assert post(server, "/api/entries", {"name": "N", "text": str(number)}).status == 201
    for wrong in ({"name": "", "text": "x"}, {"name": "x"}, {"name": "x" * 61, "text": "x"},
                  {"name": "x", "text": "x" * 501}):
        assert post(server, "/api/entries", wrong).status == 422, wrong
    page = server.fetch("/api/entries?limit=2").json()
    assert [item["id"] for item in page["items"]] == [3, 2] and page["next"] == 2
    page = server.fetch("/api/entries?limit=2&before=2").json()
    assert [item["id"] for item in page["items"]] == [1] and page["next"] is None
    assert post(server, "/api/entries", {"name": "x", "text": "y" * 70000}).status == 413
    assert server.fetch("/api/nothing").status == 404
    server.stop()
    again = dais(book, **with_path)
    assert len(again.fetch("/api/entries").json()["items"]) == 3


def test_only_the_page_is_public(book, dais):
    server = dais(book, env=SYSTEM)
    page = server.fetch("/")
    assert page.status == 200 and "<h1>Book</h1>" in page.body.decode()
    assert "default-src 'self'" in page.get("content-security-policy")
    for path in ("/main.py", "/server.js", "/dais.yaml", "/storage/guest-book.db", "/storage/entries.jsonl",
                 "/../main.py", "/api/..%2fmain.py"):
        assert server.fetch(path).status in (400, 404), path


def upgrade(server, origin):
    conn = Conn(server)
    conn.request("/api/live", "GET", {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(), "Origin": origin})
    return conn


def until(conn, wanted, what):
    def found():
        if wanted not in conn.left:
            conn.left += conn.sock.recv(1 << 16)
        return wanted in conn.left
    wait_for(found, what)


def test_fastapi_tells_others_over_a_websocket(fastapi, dais):
    server = dais(fastapi, env=SYSTEM)
    with upgrade(server, "http://localhost") as conn:
        until(conn, b"101 Switching Protocols", "the upgrade")
        until(conn, b'"online"', "the first message")
        post(server, "/api/entries", {"name": "Ada", "text": "to all"})
        until(conn, b"to all", "the entry")
    with upgrade(server, "https://elsewhere.example") as conn:
        until(conn, b"HTTP/1.1 403 ", "a refusal of another site's page")


def test_express_tells_others_with_events(express, dais):
    server = dais(express, env=SYSTEM)
    with Conn(server) as conn:
        conn.request("/api/live", "GET", {"Accept": "text/event-stream"})
        until(conn, b'data: {"online":1}\n\n', "the first event")
        post(server, "/api/entries", {"name": "Ada", "text": "to all"})
        until(conn, b'"text":"to all"', "the entry")


# ---- models --------------------------------------------------------------------------------------
def test_models_are_listed(run_dais):
    for args in (["--model"], ["--model", "--app-dir", "x"]):
        done = run_dais("new", *args)
        assert [line.split()[0] for line in done.stdout.splitlines()] == list(MODELS), done
    done = run_dais("new", "--model", "lang-hero")
    assert done.returncode == 1 and "did you mean `langhero`?" in done.stderr


SIGNS = {
    "story-gen": "pyproject.toml src/story_gen/api/app.py src/story_gen/cli/api.py web/package.json",
    "langhero": "backend/main.py backend/requirements.txt backend/scenarios.json frontend/package.json",
    "story-analytics": "api/main.py requirements.txt engine/x app/package.json app/embed.html",
    "papeterie": "pyproject.toml src/server/main.py assets/prompts/x src/web/package.json",
}


@pytest.fixture
def checkout(tmp_path):
    """checkout("langhero") -> a folder with files of the right names, all of them empty."""
    def make(model, files=None):
        folder = tmp_path / f"{model}-checkout"
        for path, text in {**dict.fromkeys(SIGNS[model].split(), ""), **(files or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return folder
    return make


@pytest.mark.parametrize("model", MODELS)
def test_a_model_writes_one_file_and_only_into_a_checkout(model, run_dais, checkout, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run_dais("new", "--model", model, "--app-dir", "empty")
    assert done.returncode == 1 and "does not look like a checkout" in done.stderr
    assert not list((tmp_path / "empty").iterdir())
    folder = checkout(model)
    before = set(folder.rglob("*"))
    done = run_dais("new", "--model", model, "--app-dir", folder)
    assert done.returncode == 0 and f"dais serve {folder}" in done.stdout
    assert set(folder.rglob("*")) - before == {folder / "dais.yaml"}
    written = (folder / "dais.yaml").read_text()
    again = run_dais("new", folder, "--model", model)
    assert again.returncode == 1 and "left as it is" in again.stderr
    assert (folder / "dais.yaml").read_text() == written
    check = run_dais("check", folder, env={"JWT_SECRET": "x"})
    rest = [line for line in (check.stdout + check.stderr).splitlines() if not LATER.match(line)]
    assert rest[-1] == f"ok {model}" and check.returncode == 0, rest
    expected = re.compile("does not exist yet; `dais build` makes it|packages .* not installed here|"
                          "paths of `persist` are not in backups yet")
    assert all(expected.search(line) for line in rest[:-1]), rest


def test_a_model_goes_here_when_no_folder_is_named(run_dais, checkout):
    folder = checkout("langhero")
    assert run_dais("new", "--model", "langhero", cwd=folder).returncode == 0
    assert (folder / "dais.yaml").exists()


@pytest.mark.parametrize("args, sentence", [
    (["--model", "langhero", "--template", "static", "x"], "do not go together"),
    (["--model", "langhero", "--app-dir", "a", "b"], "`b` is one too many"),
    (["--app-dir", "a", "b"], "--app-dir goes with --model"),
    (["--model", "langhero", "--app-dir", "nowhere"], "cannot be used as a folder"),
])
def test_wrong_usage(args, sentence, run_dais, tmp_path):
    done = run_dais("new", *args)
    assert done.returncode == 1 and sentence in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


# ---- models at work: the real manifest, a stand-in for the application ------------------------------
STAND_IN = '''#!/usr/bin/python3
# Stands in for an application: tells how each request arrived.
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({"path": self.path, "method": self.command, "cwd": os.getcwd(),
                           "env": dict(os.environ), "argv": sys.argv[1:],
                           "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_DELETE = answer
    def log_message(self, *args):
        pass

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''
INDEX = "<!doctype html><title>the page</title>"
# As their bundlers write them: a constant, a template, and a return without a space.
BUNDLES = {
    "story-gen": ('const d="http://127.0.0.1:8000",h=d;fetch(`${h}/api/v1`);', 'const d="",h=d;fetch(`${h}/api/v1`);'),
    "langhero": ('const p="http://localhost:8000";function m(){if(x)return"http://localhost:8000"}'
                 'fetch(`http://localhost:8000${e}`);',
                 'const p=(location.origin);function m(){if(x)return(location.origin)}fetch(`${e}`);'),
    "story-analytics": ('fetch("/api/auth/status");', 'fetch("/api/auth/status");'),
    "papeterie": ('const f="8000",c=`${i}//${l}:${f}`;fetch(`http://localhost:8000${e}`);',
                  'const f=(location.port),c=`${i}//${l}:${f}`;fetch(`${e}`);'),
}
ROOTS = {"story-gen": "web/dist", "langhero": "frontend/build", "story-analytics": "app/dist",
         "papeterie": "src/web/dist"}


def without_setup(text):
    """The manifest as it is, but for what would install packages."""
    text = re.sub(r"^  setup:.*\n(    .*\n)*", "", text, flags=re.M)
    return re.sub(r"^  packages:.*\n", "", text, flags=re.M)


@pytest.fixture
def running(checkout, run_dais, dais):
    """running("langhero") -> a server for a checkout whose program is the stand-in."""
    def start(model):
        root = ROOTS[model]
        folder = checkout(model, {
            f"{root}/index.html": INDEX, f"{root}/embed.html": "<title>the embed</title>",
            f"{root}/assets/index-Ab12Cd34.js": BUNDLES[model][0],
            ".venv/bin/uvicorn": STAND_IN, ".venv/bin/python": STAND_IN})
        for name in ("uvicorn", "python"):
            os.chmod(folder / ".venv/bin" / name, 0o755)
        assert run_dais("new", "--model", model, "--app-dir", folder).returncode == 0
        manifest = folder / "dais.yaml"
        manifest.write_text(without_setup(manifest.read_text()))
        server = dais(folder, "--data", folder.parent / "data", env={**SYSTEM, "JWT_SECRET": "x"})
        server.folder = folder
        return server
    return start


@pytest.mark.parametrize("model", MODELS)
def test_a_models_page(model, running):
    server = running(model)
    for path in ("/", "/a/deep/link"):
        page = server.fetch(path)
        assert page.status == 200 and page.body.decode() == INDEX, path
        assert "default-src 'self'" in page.get("content-security-policy")
    bundle = server.fetch("/assets/index-Ab12Cd34.js")
    assert bundle.body.decode() == BUNDLES[model][1]
    assert "immutable" in bundle.get("cache-control")
    for path in ("/.venv/bin/uvicorn", "/dais.yaml", "/pyproject.toml"):
        assert server.fetch(path).status == 404


@pytest.mark.parametrize("model, paths, not_paths", [
    ("story-gen", ["/api/v1", "/docs", "/openapi.json"], ["/apiary"]),
    ("langhero", ["/api/meta", "/narrative/options?scenario_id=1", "/examples/a.mp3",
                  "/images/generated/a.png", "/stream/mock"], ["/share/x", "/play/12"]),
    ("story-analytics", ["/api/v2/charts/", "/health", "/api/settings"], ["/editor/new"]),
    ("papeterie", ["/api/health"], ["/library"]),
])
def test_a_models_routes_arrive_as_they_are(model, paths, not_paths, running):
    server = running(model)
    for path in paths:
        arrived = server.fetch(path, headers={"X-Forwarded-For": "203.0.113.9"}).json()
        assert arrived["path"] == path and arrived["headers"]["x-forwarded-for"] == "127.0.0.1"
        assert arrived["headers"]["host"] == "localhost"
    assert arrived["cwd"] == str(server.folder)
    assert "DAIS_DATA" not in arrived["env"]
    for path in not_paths:
        assert server.fetch(path).body.decode() == INDEX


def test_langhero_finds_its_server_and_may_use_the_microphone(running):
    server = running("langhero")
    script = server.fetch("/_app/env.js")
    assert script.body.startswith(b"export const env={") and b'"PUBLIC_BACKEND_URL":""' in script.body
    assert "microphone=(self)" in server.fetch("/").get("permissions-policy")


def test_story_analytics_can_be_embedded_and_nothing_else(running):
    server = running("story-analytics")
    embed = server.fetch("/embed/chart/0a0ff1743c2f")
    assert "the embed" in embed.body.decode()
    assert "frame-ancestors" not in embed.get("content-security-policy")
    assert "frame-ancestors 'self'" in server.fetch("/").get("content-security-policy")
    env = server.fetch("/health").json()["env"]
    assert env["AUTH_ENABLED"] == "true" and os.path.isabs(env["STORAGE_LOCAL_DIR"])
    assert server.fetch("/api/auth/magic-link", method="POST").status in (401, 403)


def test_papeteries_users_are_those_of_dais(running):
    server = running("papeterie")
    forged = server.fetch("/api/health", headers={"Authorization": "Bearer ../../x"}).json()
    assert forged["headers"].get("authorization", "") != "Bearer ../../x"
    assert server.fetch("/api/auth/login", method="POST").status in (401, 403)
    assert server.fetch("/assets/users/somebody-else/sprites/a/a.png").status in (401, 403)
    assert server.fetch("/assets/sounds/a.mp3").json()["path"] == "/assets/sounds/a.mp3"
