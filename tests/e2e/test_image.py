# An example system in the image that `dais render local` describes: read-only, as nobody, and its data survives.
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

import podman
from conftest import ROOT, fetch, process_table, wait_for
from running import systems

RELEASE = ROOT / "build/release/dais"
IMAGE, NAME = "localhost/dais-test-image", "dais-test-image"
# Of a developer's folder; none of it may get into the image.
UNWANTED = {".env": "KEY=secret\n", "sub/.env": "KEY=secret\n", ".git/config": "[core]\n", "data/host.log": "x\n",
            "web/dist/stale.js": "old\n", "web/source/node_modules/x/index.js": "x\n", "ops/notes.txt": "x\n"}
PACKAGES = "python3-fastapi python3-uvicorn python3-venv"
USER = "65532"
ALONE = ["--network=none"]  # a network of its own needs iptables, and these need none
LOGIN = {"email": "ada@example.org", "password": "lovelace1"}

WHY_NOT = podman.why_not() or (None if RELEASE.exists() else "needs build/release/dais: make release")
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")


def change(file, *pairs):
    text = file.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def make_context(folder):
    """story_gen with a build of its page, packages, and a .venv that is made by its setup."""
    app = systems.copy_system("story_gen", folder).rename(folder / "app")
    (app / "web/dist").rename(app / "web/source")
    change(app / "web/source/index.html", ("</html>", "<!-- built in the image --></html>"))
    change(app / "dais.yaml", ("  root: web/dist\n", "  root: web/dist\n  build: cp -r web/source web/dist\n"),
           ("exec /usr/bin/python3", "exec .venv/bin/python"),
           ("  persist: [ work/local ]", f"  persist: [ work/local ]\n  packages: [ {PACKAGES.replace(' ', ', ')} ]\n"
            "  setup: python3 -m venv --system-site-packages --without-pip .venv && python3 -m compileall -q src"))
    (app / "work/local").mkdir(parents=True)
    (app / "work/local/welcome.txt").write_text("shipped\n")
    for name, text in {**UNWANTED, "web/dist/index.html": "an old build"}.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    subprocess.run([RELEASE, "render", "local", app], check=True, capture_output=True, timeout=120)
    shutil.copy(RELEASE, app / "docker/dais")
    return app


@pytest.fixture(name="pod", scope="module")
def fixture_pod():
    """podman with the image built."""
    with tempfile.TemporaryDirectory(prefix="dais-image-", ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        (folder / "context").mkdir()
        (folder / "podman").mkdir()
        pod = podman.Podman(folder / "podman")
        try:
            pod("import", podman.base(), podman.BASE)
            app = make_context(folder / "context")
            pod.build(app / "docker/app.Dockerfile", app, IMAGE)
            pod.app = app
            yield pod
        finally:
            pod.close()


@contextlib.contextmanager
def running(pod, name=NAME, volume=f"{NAME}-data"):
    pod.volumes.append(volume)
    pod.start(name, IMAGE, "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp", f"--volume={volume}:/data",
              f"--user={USER}", "--cap-drop=all", "--security-opt=no-new-privileges")
    try:
        yield
    finally:
        pod.code("rm", "--force", "--time=10", name)


def is_up(pod, path="/healthz"):
    with contextlib.suppress(OSError, AssertionError):
        return fetch(("127.0.0.1", pod.port(NAME)), path, deadline=5).status == 200
    return False


def send(pod, path, value, **headers):
    pairs = [("Content-Type", "application/json"), *headers.items()]
    return fetch(("127.0.0.1", pod.port(NAME)), "/api/v1/" + path, "POST", pairs, json.dumps(value).encode(), 60)


def test_it_runs_read_only_as_nobody_and_keeps_its_data(pod):
    with running(pod):
        wait_for(lambda: is_up(pod), f"its start\n{pod.logs(NAME)}", 120)
        page = fetch(("127.0.0.1", pod.port(NAME)), "/")
        assert page.status == 200 and b"built in the image" in page.body
        assert send(pod, "auth/register", LOGIN).status == 201
        assert pod("exec", NAME, "id", "-un").strip() == "app" and pod("exec", NAME, "id", "-u").strip() == USER
        assert pod("exec", NAME, "cat", "/app/work/local/welcome.txt") == "shipped\n"
        shipped = "/data/apps/story-gen/persist/work/local/welcome.txt"
        assert pod("exec", NAME, "stat", "-c", "%u", shipped).strip() == USER
        for path in ("/x", "/app/x", "/app/work/x", "/usr/local/bin/x"):
            assert pod.code("exec", NAME, "touch", path) == 1, path
        assert pod.code("exec", NAME, "touch", "/tmp/x", "/app/work/local/x") == 0
        pod("restart", NAME)
        wait_for(lambda: is_up(pod), "its second start", 120)
        assert send(pod, "auth/login", LOGIN).status == 200
        pod("kill", NAME)
        pod("start", NAME)
        wait_for(lambda: is_up(pod), "its start after kill -9", 120)
        assert send(pod, "auth/login", LOGIN).status == 200
    with running(pod):  # another container, the same volume
        wait_for(lambda: is_up(pod), "its third start", 120)
        assert send(pod, "auth/login", LOGIN).status == 200


def test_health_is_what_the_binary_says(pod):
    with running(pod, volume=f"{NAME}-health"):
        wait_for(lambda: is_up(pod), "its start", 120)
        wait_for(lambda: pod.code("healthcheck", "run", NAME) == 0, "a check in time", 60)  # it has 5 s
        assert "200" in pod("exec", NAME, "dais", "health", "--path", "/readyz")
        assert pod("inspect", "--format", "{{.State.Health.Status}}", NAME).strip() == "healthy"
        first = int(pod("inspect", "--format", "{{.State.Pid}}", NAME))
        served, = [pid for pid, (parent, _) in process_table().items() if parent == first]
        os.kill(served, signal.SIGSTOP)
        try:
            assert pod.code("healthcheck", "run", NAME) == 1
        finally:
            os.kill(served, signal.SIGCONT)
        wait_for(lambda: pod.code("healthcheck", "run", NAME) == 0, "a check in time", 60)


def test_the_first_process_reaps_and_stops(pod):
    with running(pod, volume=f"{NAME}-reap"):
        wait_for(lambda: is_up(pod), "its start", 120)
        for _ in range(5):
            pod("exec", NAME, "sh", "-c", "(sleep 0.1 &)")
        states = ["exec", NAME, "sh", "-c", "cat /proc/[0-9]*/stat | cut -d' ' -f3"]
        wait_for(lambda: "Z" not in pod(*states), "reaping", 60)
        pod("stop", "--time=60", NAME)
        assert pod("inspect", "--format", "{{.State.ExitCode}}", NAME).strip() == "0"


def test_another_data_folder_is_refused(pod):
    pod.containers.append(NAME)
    code = pod.code("run", "--name", NAME, *podman.LIMITS, *ALONE, "--read-only", "--env=DAIS_DATA=/elsewhere", IMAGE)
    said = pod.logs(NAME)
    pod.code("rm", "--force", NAME)
    assert code == 1 and "built for the data folder /data, and this is /elsewhere" in said, said


def test_nothing_of_the_build_is_in_it(pod):
    folders = ["/app", "/var/lib/apt/lists"]
    listed = pod("run", "--rm", *podman.LIMITS, *ALONE, "--entrypoint=find", IMAGE, *folders, "-type", "f")
    assert "/app/.dais/release.json" in listed and "/app/web/dist/index.html" in listed
    assert "/var/lib/apt/lists/" not in listed and "/app/docker/" not in listed
    for name in UNWANTED:
        assert f"/app/{name}\n" not in listed, name


def test_the_image_of_ci_runs_the_checks(pod):
    pod.build(pod.app / "docker/ci.Dockerfile", pod.app, "localhost/dais-test-ci")
    said = pod("run", "--rm", *podman.LIMITS, *ALONE, "localhost/dais-test-ci")
    assert "no problems" in said or "ok" in said.lower(), said
    manifest = pod.app / "dais.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text + "webb: {}\n", encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match="unknown key `webb`"):
            pod.build(pod.app / "docker/ci.Dockerfile", pod.app, "localhost/dais-test-ci")
    finally:
        manifest.write_text(text, encoding="utf-8")
