# dais render pythonanywhere: the kit is rendered, then run: run.sh with a real socket, wsgi.py under a real uWSGI.
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request

import pytest

from conftest import DAIS_BIN, ROOT, Conn, clean_env, free_port, wait_for

sys.path.append(str(ROOT / "tests" / "systems"))
import systems  # pylint: disable=wrong-import-position

KIT = "ops/pythonanywhere"
APPS = sorted(path.parent for pattern in ("models/*/dais.yaml", "apps/*/dais.yaml", "tests/systems/*/dais.yaml",
                                          "tests/fixtures/manifest/*/dais.yaml") for path in ROOT.glob(pattern))
ODD = ["it's", 'say "hi"', "$HOME ${HOME} $$", "back\\slash", "`id`", "$(id)", "a: b # c", "no", "1e3", "::", "déjà ☃",
       "'''", '"""', "%s {0} <%x%>", "-n", "|", "[x]", "{y}", "*", "~", "two\nlines"]


def render(app, out, *flags, code=0, word="pythonanywhere"):
    done = subprocess.run([DAIS_BIN, "render", word, app, "-o", out, *flags], env=clean_env(out.parent),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return out / KIT if code == 0 else done.stdout + done.stderr


def write_app(folder, text):
    (folder / "web").mkdir(parents=True, exist_ok=True)
    (folder / "web" / "index.html").write_text("<h1>hello</h1>\n", encoding="utf-8")
    (folder / "dais.yaml").write_text(text, encoding="utf-8")
    return folder


# ---- rendering -----------------------------------------------------------------------------------
@pytest.mark.parametrize("app", APPS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_app_renders(app, tmp_path):
    kit = render(app, tmp_path / "out")
    subprocess.run(["shellcheck", kit / "run.sh"], check=True, timeout=300)
    assert os.access(kit / "run.sh", os.X_OK)
    text = (app / "dais.yaml").read_text(encoding="utf-8")
    has_classic = any(f"uvicorn {module}" in text for module in ("main:", "src.server.main:", "api.main:"))
    assert (kit / "wsgi.py").exists() == has_classic
    if has_classic:
        compile((kit / "wsgi.py").read_text(encoding="utf-8"), "wsgi.py", "exec")
    assert ("Why there is no wsgi.py" in (kit / "README.md").read_text(encoding="utf-8")) != has_classic
    before = {path: path.read_bytes() for path in kit.rglob("*") if path.is_file()}
    render(app, tmp_path / "out", "--check")
    assert before == {path: path.read_bytes() for path in kit.rglob("*") if path.is_file()}


def is_plain(value):
    """No reader of .env, and nobody who expands variables, sees anything special in it."""
    return "$" not in value and "\\" not in value and ("'" not in value or '"' not in value)


def namespace_of(kit, home):
    """wsgi.py, imported; nothing of the app is loaded by that."""
    code = "import json, sys, wsgi; print(json.dumps([wsgi.ENV, wsgi.ROUTES, str(wsgi.APP)]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=kit, env=clean_env(home), capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("value", ODD)
def test_odd_values_arrive(value, tmp_path):
    text = json.dumps({"app": "odd", "title": value, "web": {"root": "web"},
                       "backend": {"run": "exec uvicorn m:app", "routes": ["/api/"], "env": {"ODD": value}}},
                      ensure_ascii=False)
    app = write_app(tmp_path / "odd", text)
    kit = render(app, tmp_path / "out")
    env, _, _ = namespace_of(kit, tmp_path)
    assert env == {"ODD": value}
    subprocess.run(["sh", "-n", kit / "run.sh"], check=True, timeout=300)
    assert "on PythonAnywhere\n" in (kit / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", ODD)
def test_odd_values_of_a_target_arrive(value, tmp_path):
    target = {"kind": "pythonanywhere", "domain": "x.example.com", "env": {"THERE": value.replace("$", "$$")}}
    backend = {"run": "uvicorn m:app", "routes": ["/api/"]}
    text = json.dumps({"app": "odd", "web": {"root": "web"}, "backend": backend, "deploy": {"there": target}},
                      ensure_ascii=False)
    app = write_app(tmp_path / "odd", text)
    try:
        kit = render(app, tmp_path / "out", word="there")
    except AssertionError as refused:  # readers of .env differ over it, or the manifest's check knows no such name
        assert re.search(r"cannot be written into this file|is neither a setting of dais", str(refused))
        assert not list(tmp_path.glob("out/**/run.sh")) and not is_plain(value)
        return
    code = "import json, pathlib, wsgi; print(json.dumps(wsgi.read_env(pathlib.Path('.env.example'))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=kit, env=clean_env(tmp_path), capture_output=True,
                          text=True, timeout=300)
    assert json.loads(done.stdout)["THERE"] == value, done.stderr


@pytest.mark.parametrize("run, module, name, parts", [
    ("uvicorn main:app", "main", "app", []),
    ("exec .venv/bin/uvicorn main:app --app-dir backend --port $PORT", "main", "app", ["APP / \"backend\""]),
    ("cd backend && exec python3 -m uvicorn a.b:c.d --host 0.0.0.0", "a.b", "c.d", ["os.chdir(APP / \"backend\")"]),
    ("PYTHONPATH=src:lib exec hypercorn x.y:make --factory", "x.y", "make", ["APP / \"src\"", "return found()"]),
    ("gunicorn -b 127.0.0.1:$PORT -k uvicorn.workers.UvicornWorker m:app", "m", "app", ["import asyncio"]),
    ("export A=1 B='x y'; uv run uvicorn 'm:app'", "m", "app", ['"A": "1"', '"B": "x y"']),
    ("mkdir -p state && D=\"$(realpath state)\" exec uvicorn m:app", "m", "app", ['(APP / "state").mkdir']),
])
def test_the_application_is_found(run, module, name, parts, tmp_path):
    app = write_app(tmp_path / "a", json.dumps({"app": "a", "backend": {"run": run, "routes": ["/"]}}))
    text = (render(app, tmp_path / "out") / "wsgi.py").read_text(encoding="utf-8")
    assert f'import_module("{module}")' in text and f'in "{name}".split' in text
    for part in parts:
        assert part in text, part


def test_a_wsgi_application_needs_no_adapter(tmp_path):
    app = write_app(tmp_path / "a", json.dumps({"app": "a", "backend": {"run": "gunicorn m:app", "routes": ["/"]}}))
    assert "asyncio" not in (render(app, tmp_path / "out") / "wsgi.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("backend, key", [
    ({"url": "http://127.0.0.1:9000", "routes": ["/"]}, "backend.url"),
    ({"run": "uvicorn m:app", "routes": ["/"], "instances": 2}, "backend.instances")])
def test_what_cannot_be_expressed_is_an_error(backend, key, tmp_path):
    app = write_app(tmp_path / "a", json.dumps({"app": "a", "backend": backend}, indent=1))
    said = render(app, tmp_path / "out", code=1)
    assert f"`{key}`" in said and "dais.yaml:" in said
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("run.sh"))


# ---- run.sh ---------------------------------------------------------------------------------------
def pack(app, to, dais=DAIS_BIN):
    with tarfile.open(to, "w:gz") as tar:
        if dais:
            shutil.copyfile(dais, to.parent / "dais")  # not executable, as after an upload
            tar.add(to.parent / "dais", "dais")
            (to.parent / "dais").unlink()
        tar.add(app, "app")


@contextlib.contextmanager
def site(home, tmp_path):
    """The site's command, until the block ends."""
    sock = tmp_path / "domain.sock"
    env = clean_env(tmp_path, {"DOMAIN_SOCKET": sock})
    with open(tmp_path / "log", "ab") as log:
        proc = subprocess.Popen(["/bin/sh", home / "run.sh"], env=env, stdout=log, stderr=log, cwd="/")
    try:
        yield sock, proc
    finally:
        proc.terminate()
        assert proc.wait(60) == 0


def answers(sock, path="/"):
    with socket.socket(socket.AF_UNIX) as first:
        if first.connect_ex(str(sock)):
            return None
    with Conn(sock) as conn:
        return conn.request(path, headers={"Connection": "close"}).read()


def test_run_sh_unpacks_switches_and_keeps(tmp_path):
    app = write_app(tmp_path / "src", "app: notes\nweb: { root: web }\n")
    home = tmp_path / "home" / "notes"
    home.mkdir(parents=True)
    shutil.copy(render(app, tmp_path / "out") / "run.sh", home)
    (home / ".env").write_text("PUBLIC_URL=https://x.example.com\n", encoding="utf-8")
    pack(app, home / "app.tar.gz")
    with site(home, tmp_path) as (sock, _):
        first = wait_for(lambda: answers(sock), "an answer", 60)
        assert (first.status, first.body) == (200, b"<h1>hello</h1>\n")
        wait_for(lambda: stat.S_IMODE(sock.stat().st_mode) == 0o666, "the socket to be opened")
        assert (home / "current/app/.env").read_text(encoding="utf-8").startswith("PUBLIC_URL")
    one = os.readlink(home / "current")

    (app / "web/index.html").write_text("<h1>second</h1>\n", encoding="utf-8")
    pack(app, home / "app.tar.gz")
    with site(home, tmp_path) as (sock, _):
        assert wait_for(lambda: answers(sock), "an answer", 60).body == b"<h1>second</h1>\n"
    two = os.readlink(home / "current")
    assert one != two and {path.name for path in (home / "releases").iterdir()} == {one[9:], two[9:]}

    whole = (home / "app.tar.gz").read_bytes()
    for broken in (whole[:len(whole) // 2], b"no tarball", b""):
        (home / "app.tar.gz").write_bytes(broken)
        with site(home, tmp_path) as (sock, _):
            assert wait_for(lambda: answers(sock), "an answer", 60).body == b"<h1>second</h1>\n"
    (app / "dais.yaml").write_text("app: notes\nwebb: {}\n", encoding="utf-8")
    pack(app, home / "app.tar.gz")
    done = subprocess.run(["/bin/sh", home / "run.sh", "--unpack"], env=clean_env(tmp_path), capture_output=True,
                          text=True, timeout=300, check=True)
    assert "the release before it goes on" in done.stderr and "webb" in done.stderr
    assert os.readlink(home / "current") == two and len(list((home / "releases").iterdir())) == 2


def test_run_sh_checks_a_release_with_the_secrets_it_will_have(tmp_path):
    app = write_app(tmp_path / "src", "app: notes\nsecrets: [ NEEDED ]\n"
                    "backend: { run: exec ./server $PORT, routes: [ /api/ ] }\n")
    home = tmp_path / "home" / "notes"
    home.mkdir(parents=True)
    shutil.copy(render(app, tmp_path / "out") / "run.sh", home)
    pack(app, home / "app.tar.gz")
    command, env = ["/bin/sh", home / "run.sh", "--unpack"], clean_env(tmp_path)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    assert "NEEDED" in done.stderr and not (home / "current").exists()
    (home / ".env").write_text("NEEDED=here\n", encoding="utf-8")
    subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    assert (home / "current/app/dais.yaml").is_file()


def test_run_sh_needs_no_env_and_takes_none_from_the_tarball(tmp_path):
    app = write_app(tmp_path / "src", "app: notes\nweb: { root: web }\nsecrets: [ \"KEY?\" ]\n")
    (app / ".env").write_text("KEY=of-the-laptop\n", encoding="utf-8")
    home = tmp_path / "home" / "notes"
    home.mkdir(parents=True)
    shutil.copy(render(app, tmp_path / "out") / "run.sh", home)
    pack(app, home / "app.tar.gz")
    with site(home, tmp_path) as (sock, _):
        assert wait_for(lambda: answers(sock), "an answer", 60).body == b"<h1>hello</h1>\n"
    assert os.readlink(home / "current/app/.env") == str(home / ".env")


def test_run_sh_without_a_release_says_so(tmp_path):
    app = write_app(tmp_path / "src", "app: notes\nweb: { root: web }\n")
    script = render(app, tmp_path / "out") / "run.sh"
    done = subprocess.run(["/bin/sh", script], env=clean_env(tmp_path, {"DOMAIN_SOCKET": tmp_path / "s"}),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "there is no release yet" in done.stderr
    done = subprocess.run(["/bin/sh", script], env=clean_env(tmp_path), capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "DOMAIN_SOCKET" in done.stderr


def test_mappings_leave_the_backends_paths_alone(tmp_path):
    text = json.dumps({"app": "m", "web": {"root": "web"}, "backend": {
        "run": "uvicorn m:app", "routes": ["/api/"], "static_first": ["/assets/"]}})
    app = write_app(tmp_path / "m", text)
    home = tmp_path / "home"
    for folder in ("assets", "api", "pictures", "two words"):
        (home / "current/app/web" / folder).mkdir(parents=True)
    shutil.copy(render(app, tmp_path / "out") / "run.sh", home)
    done = subprocess.run(["/bin/sh", home / "run.sh", "--mappings"],
                          capture_output=True, text=True, timeout=300, check=True)
    web = home / "current/app/web"
    assert done.stdout.splitlines() == [f"/pictures/  {web}/pictures", f"/two words/  {web}/two words"]


# ---- wsgi.py under uWSGI ---------------------------------------------------------------------------
@contextlib.contextmanager
def uwsgi(tmp_path, app, env_text="", processes=2, path=None):
    """The classic kit of an app: unpacked as it is there, with as many forked workers and no threads."""
    slug = next(line.split()[1] for line in (app / "dais.yaml").read_text(encoding="utf-8").splitlines()
                if line.startswith("app:"))
    home = tmp_path / "home" / slug
    (home / "releases").mkdir(parents=True)
    kit = render(app, tmp_path / "out")
    shutil.copytree(app, home / "releases/1/app")
    (home / "current").symlink_to("releases/1")
    (home / ".env").write_text(env_text, encoding="utf-8")
    port = free_port()
    env = clean_env(tmp_path / "home", {"PYTHONPATH": path})
    with open(tmp_path / "uwsgi.log", "ab") as log:
        proc = subprocess.Popen(["uwsgi-core", "--plugin", "python311", "--http-socket", f"127.0.0.1:{port}",
                                 "--wsgi-file", kit / "wsgi.py", "--master", "--processes", str(processes),
                                 "--need-app", "--die-on-term"], env=env, stdout=log, stderr=log, cwd="/")

    def ask(path, method="GET", body=None, **headers):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers
        except OSError:
            return None
    try:
        wait_for(lambda: ask("/no-such.file") or proc.poll() is not None, "uWSGI's start", 60)
        ask.home, ask.log = home, tmp_path / "uwsgi.log"
        assert proc.poll() is None, ask.log.read_text(encoding="utf-8")
        yield ask
    finally:
        proc.terminate()
        proc.wait(60)


def test_papeterie_has_its_tables(tmp_path):
    app = systems.copy_system("papeterie", tmp_path)
    with uwsgi(tmp_path, app, "DAIS_CLASSIC_ACCESS=open\n") as ask:
        status, body, _ = ask("/api/auth/register", "POST", {"username": "a", "password": "b"})
        assert status == 200, (body, ask.log.read_text(encoding="utf-8"))
        picture = os.urandom(3 << 20)
        assert ask("/api/sprites/upload?name=cat", "POST", picture)[0] == 200
        status, body, headers = ask("/assets/users/default/sprites/cat/cat.png")
        assert (status, body) == (200, picture) and headers["content-length"] == str(len(picture))
        status, body, _ = ask("/assets/index-Ct9mH3bX.js")  # the build's own, below the same path
        assert status == 200 and b'"8000"' not in body and b"location.port" in body
        assert b"<" in ask("/")[1] and ask("/a/deep/link")[1] == ask("/")[1]
        assert ask("/..%2f..%2f.env")[0] == 404 and ask("/.env")[0] == 404
    kept = ask.home / "data/apps/papeterie/persist"
    with contextlib.closing(sqlite3.connect(kept / "papeterie.db")) as db:
        assert db.execute("SELECT username FROM users").fetchall() == [("a",)]
    assert (kept / "assets/users/default/sprites/cat/cat.png").exists()


def test_papeterie_is_closed_without_accounts(tmp_path):
    app = systems.copy_system("papeterie", tmp_path)
    with uwsgi(tmp_path, app) as ask:
        assert ask("/api/health")[0] == 200
        for path in ("/api/sprites", "/api/auth/login", "/api//sprites", "/api/health/../sprites",
                     "/assets/users/me/x.png"):
            assert ask(path, Authorization="Bearer someone")[0] in (403, 404), path
        assert ask("/API/sprites")[1] == ask("/")[1]  # no path of the backend
        assert ask("/api/prompts/x", "POST", {"text": "x"})[0] == 403


def test_story_analytics_runs(tmp_path):
    app = systems.copy_system("story_analytics", tmp_path)
    with uwsgi(tmp_path, app) as ask:
        assert json.loads(ask("/health")[1]) == {"status": "healthy"}
        saved = ask("/api/v2/charts/save", "POST", {"title": "é"})
        assert saved[0] == 201
        assert json.loads(ask("/api/v2/charts/")[1])[0]["title"] == "é"
        assert ask("/api/v2/charts/none")[0] == 404


PROBE = '''# Tells who it is, for the tests of the WSGI file.
import asyncio, os, pathlib
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
LOG = pathlib.Path(os.environ["PROBE_LOG"])
def note(what):
    with open(LOG, "a") as log: log.write(f"{what} {os.getpid()}\\n")
app = FastAPI()
@app.on_event("startup")
async def start():
    await asyncio.sleep(0)
    note("start")
@app.on_event("shutdown")
async def stop():
    note("stop")
@app.get("/api/who")
async def who(seconds: float = 0):
    note("asked")
    import time; time.sleep(seconds)
    return {"pid": os.getpid(), "env": {n: v for n, v in os.environ.items() if n.startswith("P_")}}
@app.get("/api/sync")
def sync():
    return {"pid": os.getpid()}
@app.get("/api/by")
async def by(request: Request):
    return "a2wsgi" if "wsgi_environ" in request.scope else "own"
@app.get("/api/stream")
async def stream():
    async def parts():
        for i in range(200):
            yield b"x" * 10000
            await asyncio.sleep(0)
    return StreamingResponse(parts())
@app.post("/api/echo")
async def echo(request: Request):
    body = await request.body()
    url, who = request.url, request.headers.get("x-user")
    return {"size": len(body), "query": url.query, "who": who, "path": url.path}
@app.get("/api/fault")
async def fault():
    raise ValueError("a fault")
'''


def probe_app(tmp_path):
    backend = {"run": "P_RUN='from run' exec uvicorn src.probe:app", "routes": ["/api/"],
               "env": {"PROBE_LOG": str(tmp_path / "notes"), "P_ODD": "a $P_ENV '\"\\", "P_TWICE": "manifest"},
               "identity": {"header": "X-User", "value": "{user.id}"}}
    text = "app: probe\nsecrets: [ P_ENV?, P_TWICE? ]\nbackend: " + json.dumps(backend) + "\n"
    app = write_app(tmp_path / "probe", text)
    (app / "src").mkdir()
    (app / "src/probe.py").write_text(PROBE, encoding="utf-8")
    return app


def check_probe(ask, tmp_path):
    told = []

    def both():
        """Two workers, kept busy, both come to work; one may need its time to begin."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            told.extend(pool.map(lambda _: json.loads(ask("/api/who?seconds=0.2")[1]), range(12)))
        return len({one["pid"] for one in told}) > 1
    wait_for(both, "work of both workers", 60)
    pids = {one["pid"] for one in told}
    assert len(pids) == 2
    wanted = {"P_RUN": "from run", "P_ENV": "it's = #1", "P_TWICE": "dotenv", "P_ODD": "a it's = #1 '\"\\"}
    assert all(one["env"] == wanted for one in told)
    notes = (tmp_path / "notes").read_text(encoding="utf-8").splitlines()
    for pid in pids:
        assert [line.split()[0] for line in notes if line.endswith(f" {pid}")][:2] == ["start", "asked"]
        assert notes.count(f"start {pid}") == 1
    assert len([line for line in notes if line.startswith("start")]) == 2
    for _ in range(6):
        assert json.loads(ask("/api/sync")[1])["pid"] in pids
        assert ask("/api/stream")[1] == b"x" * 2000000
    body = os.urandom(1 << 20)
    told = json.loads(ask("/api/echo?a=%20b", "POST", body, X_User="mallory")[1])
    assert told == {"size": len(body), "query": "a=%20b", "who": None, "path": "/api/echo"}
    assert ask("/api/fault")[0] in (500, None) and ask("/api/sync")[0] == 200


DOTENV = "# a remark\nexport P_ENV=\"it's = #1\"  # another\nP_TWICE=dotenv\n\n"


A2WSGI = os.environ.get("A2WSGI_PATH")  # a folder with a2wsgi in it: tests/peers/test_a2wsgi.py
ADAPTERS = pytest.mark.parametrize("adapter", ["own"] + (["a2wsgi"] if A2WSGI else []))


@ADAPTERS
def test_the_hook_runs_once_in_each_process(adapter, tmp_path):
    path = A2WSGI if adapter == "a2wsgi" else None
    with uwsgi(tmp_path, probe_app(tmp_path), DOTENV, path=path) as ask:
        assert json.loads(ask("/api/by")[1]) == adapter
        check_probe(ask, tmp_path)
        if adapter == "own":
            wait_for(lambda: "ValueError: a fault" in ask.log.read_text(encoding="utf-8"), "the fault in the log", 60)
    notes = (tmp_path / "notes").read_text(encoding="utf-8").splitlines()
    # The other hook at the end; uWSGI leaves it out in a worker that has only just answered.
    assert adapter == "a2wsgi" or len([line for line in notes if line.startswith("stop")]) in (1, 2)


@ADAPTERS
def test_the_answers_are_the_same_by_either(adapter, tmp_path):
    path = A2WSGI if adapter == "a2wsgi" else None
    with uwsgi(tmp_path, probe_app(tmp_path), DOTENV, processes=1, path=path) as ask:
        got = [ask(*request) for request in (
            ("/api/echo?x=1", "POST", b"y" * 100000), ("/api/echo", "POST", b""), ("/api/none",), ("/api/stream",),
            ("/api/sync", "DELETE"), ("/api/%C3%A9",), ("/api/stream", "HEAD"))]
    assert [status for status, _, _ in got] == [200, 200, 404, 200, 405, 404, 405]
    assert json.loads(got[0][1])["size"] == 100000 and json.loads(got[1][1])["size"] == 0
    assert {name.lower(): value for name, value in got[4][2].items()}["allow"] == "GET"
    assert got[3][1] == b"x" * 2000000


if A2WSGI:
    def test_without_the_hook_the_tables_are_missing_with_a2wsgi(tmp_path):
        """What a recipe with a2wsgi alone does: the fault this kit is there for."""
        app = systems.copy_system("papeterie", tmp_path)
        code = """import io, json
from a2wsgi import ASGIMiddleware
from src.server.main import app
body = json.dumps({"username": "a", "password": "b"}).encode()
environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/auth/register", "SERVER_NAME": "x", "SERVER_PORT": "80",
           "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
           "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http"}
list(ASGIMiddleware(app)(environ, lambda status, *_: print(status)))
"""
        done = subprocess.run(["/usr/bin/python3", "-c", code], cwd=app, capture_output=True, text=True, timeout=300,
                              env=clean_env(tmp_path, {"PYTHONPATH": f"{A2WSGI}:{app}"}))
        assert done.stdout == "500 Internal Server Error\n", done.stdout + done.stderr


@pytest.mark.parametrize("line", ["P ENV=x", "no", "A='x", 'A="\\q"', "A=it's", "1A=x"])
def test_a_wrong_dotenv_is_told_by_line_only(line, tmp_path):
    kit = render(probe_app(tmp_path), tmp_path / "out")
    (tmp_path / ".env").write_text(f"GOOD=1\n{line}\n", encoding="utf-8")
    code = f"import wsgi, pathlib; wsgi.read_env(pathlib.Path({str(tmp_path / '.env')!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=kit, env=clean_env(tmp_path), capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 1 and "line 2 is not NAME=value" in done.stderr.splitlines()[-1]
