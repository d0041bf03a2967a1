# Fixtures of the browser tests: the built apps, one dais that serves them, one Chromium.
import contextlib
import os
import pathlib
import queue
import re
import subprocess
import threading

import pytest

from page import Browser, start_driver

ROOT = pathlib.Path(__file__).parents[2]
APPS = ROOT / "apps"
DAIS = os.environ.get("DAIS_BIN") or str(ROOT / "build" / "release" / "dais")


def newest(*places: pathlib.Path) -> float:
    files = [file for place in places for file in [place, *place.rglob("*")] if file.is_file()]
    return max(file.stat().st_mtime for file in files)


@pytest.fixture(scope="session")
def built_apps() -> pathlib.Path:
    """The apps, with the star chart built for the place it is served at."""
    app = APPS / "star-chart"
    index = app / "dist" / "index.html"
    sources = [app / "src", app / "public", app / "index.html", app / "vite.config.ts",
               app / "package-lock.json", ROOT / "web-kit"]
    fresh = index.exists() and "/star-chart/assets/" in index.read_text(encoding="utf-8") \
        and index.stat().st_mtime >= newest(*sources)
    if not fresh:
        subprocess.run("npm ci && npm run build", shell=True, cwd=app, check=True, timeout=300,
                       env={**os.environ, "DAIS_BASE": "/star-chart/"})
    return APPS


def first_url(process: subprocess.Popen, seconds: float) -> str:
    """The first address that the server prints; its whole output in the complaint if there is none."""
    lines: queue.Queue = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    printed = []
    while True:
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            line = None
        if line is None:
            pytest.fail(f"{DAIS} printed no address:\n{''.join(printed)}")
        printed.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        if found:
            return found.group()


def start(folder: pathlib.Path, data: pathlib.Path, *flags: str, port: int = 0):
    """A dais that serves the folder, and its address."""
    process = subprocess.Popen(
        [DAIS, "serve", str(folder), "--listen", f"127.0.0.1:{port}", "--data", str(data), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return process, first_url(process, seconds=60)
    except BaseException:
        stop(process)
        raise


def stop(process: subprocess.Popen) -> int:
    """Its exit code; an open page does not hold it up."""
    process.terminate()
    try:
        return process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextlib.contextmanager
def serving(folder: pathlib.Path, data: pathlib.Path):
    """The address of a dais that serves the folder on a free port, until the block ends."""
    process, url = start(folder, data)
    try:
        yield url
    finally:
        stop(process)


@pytest.fixture(scope="session")
def origin(built_apps, tmp_path_factory) -> str:
    """Both apps on one host."""
    with serving(built_apps, tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def lone_origin(tmp_path) -> str:
    """Field Notes alone, mounted at /."""
    with serving(APPS / "field-notes", tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    driver = start_driver(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


def clean_page(driver, origin: str):
    """A page without a past; the test fails if it complained, lacked something or called elsewhere."""
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    browser = Browser(driver, origin)
    yield browser
    assert browser.problems() == []
    driver.execute_cdp_cmd("Storage.clearDataForOrigin",
                           {"origin": browser.origin, "storageTypes": "local_storage"})


@pytest.fixture
def browser(driver, origin) -> Browser:
    yield from clean_page(driver, origin)


@pytest.fixture
def lone_browser(driver, lone_origin) -> Browser:
    yield from clean_page(driver, lone_origin)
