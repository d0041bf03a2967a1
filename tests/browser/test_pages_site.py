# The trees of `dais render pages` in Chromium, served as GitHub Pages does, below a path and at the root, offline.
import http.server
import os
import pathlib
import shutil
import subprocess
import threading
import urllib.parse

import pytest

import page
from conftest import APPS, DAIS, ROOT, start, stop
from page import Browser
from system import systems  # the copies of tests/systems

# No name is found, whatever a page asks for: only this machine's own addresses are there.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class Pages(http.server.SimpleHTTPRequestHandler):
    """A static server with GitHub's rules: folders get their index and slash, what is missing gets 404.html."""
    tree, base, asked = pathlib.Path("."), "/", []

    def do_GET(self):  # pylint: disable=invalid-name
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.asked.append(path)
        if not path.startswith(self.base):
            self.answer(404, b"not this site")
            return
        file = self.tree / path[len(self.base):]
        if file.is_dir() and not path.endswith("/"):
            self.send_response(301)
            self.send_header("Location", urllib.parse.quote(path + "/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        file = file / "index.html" if file.is_dir() else file
        file = file if file.is_file() else file.with_name(file.name + ".html")
        if file.is_file():
            self.answer(200, file.read_bytes(), self.guess_type(file))
        else:
            missing = self.tree / "404.html"
            self.answer(404, missing.read_bytes() if missing.exists() else b"GitHub's own page", "text/html")

    def answer(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Site:
    """A rendered tree behind a server of its own; `asked` is every path that was asked for."""

    def __init__(self, base):
        self.base, self.asked, self.api = base, [], "-"
        self.handler = type("Handler", (Pages,), {"base": base, "asked": self.asked})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def render(self, folder, keys=""):
        """The tree of an app's folder, for this base."""
        manifest = folder / "dais.yaml"
        manifest.write_text(manifest.read_text(encoding="utf-8")
                            + f"deploy: {{ demo: {{ kind: pages, base: {self.base}{keys} }} }}\n", encoding="utf-8")
        done = subprocess.run([DAIS, "render", "demo", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.handler.tree = folder / "ops/pages"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(name="offline", scope="module")
def fixture_offline(tmp_path_factory):
    flags = page.FLAGS
    page.FLAGS = [*flags, OFFLINE]
    try:
        driver = page.start_driver(tmp_path_factory.mktemp("chromium"))
    finally:
        page.FLAGS = flags
    yield driver
    driver.quit()


@pytest.fixture(name="site", params=["/", "/charts/"])
def fixture_site(request):
    site = Site(request.param)
    yield site
    site.stop()


@pytest.fixture(name="browser")
def fixture_browser(offline, site):
    """A page without a past; it must have asked for nothing outside of the base, and complained of nothing."""
    offline.get("about:blank")
    offline.execute_cdp_cmd("Network.clearBrowserCache", {})
    offline.get_log("performance")
    offline.get_log("browser")
    browser = Browser(offline, site.origin)
    yield browser
    assert [problem for problem in browser.problems() if not problem.startswith(site.api)] == []
    assert [path for path in site.asked if not path.startswith(site.base)] == []


def test_field_notes(browser, site, tmp_path):
    shutil.copytree(ROOT / "web-kit", tmp_path / "web-kit")
    site.render(pathlib.Path(shutil.copytree(APPS / "field-notes", tmp_path / "apps/field-notes")))
    browser.open(site.base)
    assert browser.count(".leaves li") == 12
    assert browser.js("return document.querySelector('.leaves use').getBBox().height") > 50
    browser.screens("pages-field-notes" + site.base.rstrip("/").replace("/", "-"))
    browser.click("nav a[href='docs/']")
    browser.wait(f"location.pathname === '{site.base}docs/'")
    assert browser.js("return getComputedStyle(document.body).getPropertyValue('--space-4')") == "16px"
    browser.open(site.base + "glossary")  # a redirect of the manifest, as a page
    browser.wait(f"location.pathname === '{site.base}docs/' && document.querySelector('h1')")
    browser.open_missing(site.base + "deep/down/nothing")
    assert browser.text("h1") == "No such leaf"
    browser.click("#home")
    browser.wait(f"location.pathname === '{site.base}' && document.querySelectorAll('.leaves li').length === 12")


@pytest.fixture(name="charts", scope="module")
def fixture_charts(built_apps, tmp_path_factory):
    """Folders of Star Chart built for each base, by the bundler that knows it."""
    made = {}
    for base in ("/", "/charts/"):
        folder = tmp_path_factory.mktemp("charts")
        shutil.copy(built_apps / "star-chart/dais.yaml", folder)
        subprocess.run(["npx", "vite", "build", "--outDir", folder / "dist", "--emptyOutDir"], check=True, timeout=300,
                       cwd=built_apps / "star-chart", capture_output=True, env={**os.environ, "DAIS_BASE": base})
        made[base] = folder
    return made


def test_star_chart(browser, site, charts, tmp_path):
    site.render(pathlib.Path(shutil.copytree(charts[site.base], tmp_path / "star-chart")))
    browser.open(site.base)
    browser.wait("document.querySelectorAll('.stars li').length === 71")
    browser.screens("pages-star-chart" + site.base.rstrip("/").replace("/", "-"))
    browser.click(".stars a[href$='/star/canopus']")
    browser.wait(f"location.pathname === '{site.base}star/canopus'")
    browser.open_missing(site.base + "star/vega")  # 404.html, which is the app
    browser.wait("document.querySelector('h1')?.innerText === 'Vega'")
    browser.driver.refresh()
    browser.wait("document.querySelector('h1')?.innerText === 'Vega'")
    browser.screens("pages-star-chart-vega" + site.base.rstrip("/").replace("/", "-"))


@pytest.fixture(name="story")
def fixture_story(site, tmp_path):
    """The story studio as a site, and its API at another address, which the manifest lets the site call."""
    app = systems.copy_system("story_gen", tmp_path)
    manifest = app / "dais.yaml"
    text = manifest.read_text(encoding="utf-8").replace("  fallback:", "  mounts: { /studio/: web/dist }\n  fallback:")
    manifest.write_text(text + f"cors: {{ origins: [ '{site.origin}' ] }}\n", encoding="utf-8")
    process, url = start(app, tmp_path / "data")
    site.render(app, f", api: '{url}'")
    site.api = f"other origin: {url}api/v1"  # which is what this site is for
    yield
    stop(process)


@pytest.mark.usefixtures("story")
def test_story_studio_with_its_api_elsewhere(browser, site):
    browser.open(site.base)
    browser.wait("document.querySelector('#caps')?.textContent.includes('analysis')")
    browser.screens("pages-story-studio" + site.base.rstrip("/").replace("/", "-"))
    for field, text in (("#email", "ada@example.com"), ("#password", "lovelace1")):
        browser.driver.find_element("css selector", field).send_keys(text)
    browser.click("#register")
    browser.wait("document.querySelector('#create')")
    assert browser.text("#who") == "ada@example.com"
    browser.open(site.base + "studio/")  # the alias is there with its own status, 200
    browser.wait("document.querySelector('#create')")
    browser.open_missing(site.base + "library/unknown")
    browser.wait("document.querySelector('header img')?.complete")
    browser.driver.execute_cdp_cmd("Storage.clearDataForOrigin",
                                   {"origin": site.origin, "storageTypes": "local_storage"})
    found = browser.problems()
    assert any(problem.startswith(site.api) for problem in found)
    browser.found += found


@pytest.mark.parametrize("site", ["/charts/"], indirect=True)
def test_links_that_are_not_moved_are_seen(offline, site, tmp_path):
    """A test of the tests: the page of a build for `/` asks outside of the base."""
    app = systems.copy_system("story_gen", tmp_path)
    site.render(app)
    shutil.copytree(app / "web/dist", site.handler.tree, dirs_exist_ok=True)
    browser = Browser(offline, site.origin)
    browser.open(site.base)
    assert any("status 404" in problem for problem in browser.problems())
    assert [path for path in site.asked if not path.startswith(site.base)] != []
    offline.get("about:blank")
    browser.problems()
