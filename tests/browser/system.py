# What the browser tests of the four example systems share: one that runs, and what holds for each of them.
import contextlib
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

from conftest import DAIS, ROOT, start, stop
from page import Browser

sys.path.append(str(ROOT / "tests" / "systems"))
import systems  # pylint: disable=wrong-import-position


class System:
    """One of tests/systems behind a dais of its own."""

    def __init__(self, name: str, folder: pathlib.Path, ready: str):
        self.app = systems.copy_system(name, folder)
        self.data = folder / "dais"
        self.process, url = start(self.app, self.data)
        self.origin = url.rstrip("/")
        self._wait_ready(ready)

    def _wait_ready(self, path: str, seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while self.status(path)[0] != 200:
            assert time.monotonic() < until, f"{self.app.name} is not ready"
            time.sleep(0.05)

    def status(self, path: str) -> tuple[int, str]:
        """Status and media type of an answer, without the browser."""
        request = urllib.request.Request(self.origin + path, headers={"Accept": "text/html,*/*"})
        with contextlib.ExitStack() as stack:
            try:
                answer = stack.enter_context(urllib.request.urlopen(request, timeout=35))
            except urllib.error.HTTPError as e:
                answer = stack.enter_context(e)
            return answer.status, answer.headers.get_content_type()

    def reload(self) -> None:
        subprocess.run([DAIS, "reload", str(self.app), "--data", str(self.data)], check=True,
                       capture_output=True, timeout=60)

    def kill_backend(self) -> None:
        systems.kill_backend(self.process.pid)

    def changed(self, old: str, new: str):
        return systems.changed(self.app, old, new, self.reload)


@contextlib.contextmanager
def running(name: str, folder: pathlib.Path, ready: str):
    system = System(name, folder, ready)
    try:
        yield system
    finally:
        stop(system.process)


def is_one_origin(system: System, browser: Browser, deep: str, drawn: str) -> None:
    """A deep link and its reload draw the page, and what is missing below /assets/ is missing."""
    browser.open(deep)
    browser.wait(drawn)
    browser.driver.refresh()
    browser.wait(drawn)
    assert system.status(deep) == (200, "text/html")
    for missing in ("/assets/x.js", "/assets/index-Aa0bB1cC.css"):
        assert system.status(missing)[0] == 404


def complaint_of(system: System, driver, path: str, complaint: str) -> None:
    """The page complains as it should when a row of the manifest is missing; a test of the tests."""
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.get("about:blank")
    browser = Browser(driver, system.origin)
    browser.problems()
    browser.open(path)
    heard, until = [], time.monotonic() + 60
    while not any(re.search(complaint, problem, re.I) for problem in heard):
        assert time.monotonic() < until, f"nobody complained of {complaint}, but {heard}"
        time.sleep(0.02)
        heard += browser.problems()
    driver.get("about:blank")
    browser.problems()
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
