# Live reload: what `dais serve --dev` makes an open page do when files, the manifest or the server change.
import contextlib
import http.server
import pathlib
import random
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from conftest import clean_page, start, stop

PAGE = """<!doctype html><html lang="en"><head><title>Demo</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css"></head><body><h1>{}</h1><script src="app.js"></script></body>
</html>"""
OLD = "window.isOld === true"
NEW = "window.isOld === undefined"


def free_port() -> int:
    """Below those that the system hands out: nobody is given it while the server is away."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, max(first, 20000))
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


def write(file: pathlib.Path, text: str) -> None:
    """All of it at once, as editors save: nobody reads half a file."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


class Site:
    """An app folder, the dais that serves it, and what a person does to both."""

    def __init__(self, folder: pathlib.Path, data: pathlib.Path, *flags: str):
        self.folder, self.data, self.flags = folder, data, flags
        self.web = folder / "web"
        self.process, self.url = start(folder, data, *flags, port=free_port())

    def say(self, text: str) -> None:
        write(self.web / "index.html", PAGE.format(text))

    def manifest(self, text: str) -> None:
        write(self.folder / "dais.yaml", text)
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        assert stop(self.process) == 0

    def start_again(self) -> None:
        port = int(self.url.rstrip("/").rsplit(":", 1)[1])
        self.process, _ = start(self.folder, self.data, *self.flags, port=port)


def make_app(folder: pathlib.Path, text: str) -> pathlib.Path:
    (folder / "web").mkdir(parents=True)
    write(folder / "dais.yaml", f"app: {folder.name}\nweb: {{ root: web }}\n")
    write(folder / "web" / "index.html", PAGE.format(text))
    write(folder / "web" / "style.css", "h1 { color: rgb(1, 1, 1) }")
    write(folder / "web" / "app.js", "document.body.dataset.version = '1'")
    return folder


@pytest.fixture
def site(tmp_path):
    site = Site(make_app(tmp_path / "demo", "one"), tmp_path / "data", "--dev")
    yield site
    if site.process.poll() is None:
        site.stop()


@pytest.fixture
def page(driver, site):
    for browser in clean_page(driver, site.url):
        open_listening(browser)
        yield browser
        driver.get("about:blank")  # before the server goes, which the page would try to reach


def listening(browser, mount: str = "") -> None:
    """Waits until the page hears of changes; marks it, so that a reload shows."""
    browser.wait_answered(f"{mount}/_/dev/events?")
    browser.js("window.isOld = true")


def open_listening(browser, path: str = "/", mount: str = "") -> None:
    browser.open(path)
    listening(browser, mount)


def shows(text: str) -> str:
    return f"document.querySelector('h1')?.innerText === {text!r}"


def test_a_changed_page_reloads(site, page):
    assert page.text("h1") == "one"
    site.say("two")
    page.wait(f"{NEW} && {shows('two')}")


def test_every_change_reloads_again(site, page):
    for text in ("two", "three", "four"):
        page.answered.clear()
        site.say(text)
        page.wait(f"{NEW} && {shows(text)}")
        listening(page)


def test_a_changed_script_reloads(site, page):
    page.wait("document.body.dataset.version === '1'")
    write(site.web / "app.js", "document.body.dataset.version = '2'")
    page.wait(f"{NEW} && document.body.dataset.version === '2'")


def test_a_changed_style_is_exchanged_without_a_reload(site, page):
    color = "getComputedStyle(document.querySelector('h1')).color"
    assert page.js(f"return {color}") == "rgb(1, 1, 1)"
    for n in (2, 3):
        write(site.web / "style.css", f"h1 {{ color: rgb({n}, {n}, {n}) }}")
        page.wait(f"{color} === 'rgb({n}, {n}, {n})'")
        page.wait("document.querySelectorAll('link[rel=stylesheet]').length === 1")
    assert page.js(f"return {OLD}")


def test_a_page_that_was_gone_comes_back(site, page):
    page.expected.add(site.url)
    (site.web / "index.html").unlink()  # as a build does before it writes
    page.wait(f"{NEW} && document.querySelector('.status')?.innerText === '404'")
    page.js("window.isOld = true")
    site.say("two")
    page.wait(f"{NEW} && {shows('two')}")


def test_a_folder_that_was_gone_comes_back(site, page):
    page.expected.add(site.url)
    away = site.folder / "away"
    site.web.rename(away)
    page.wait(f"{NEW} && document.querySelector('.status')?.innerText === '404'")
    write(away / "index.html", PAGE.format("two"))
    away.rename(site.web)
    page.wait(f"{NEW} && {shows('two')}")


def test_a_server_that_comes_back_reloads_the_page(site, page):
    page.expected.add(f"{page.origin}/_/dev/events?seen=0")  # which it asks for until somebody answers
    site.stop()
    site.say("two")
    page.wait(f"{OLD} && {shows('one')}")
    site.start_again()
    page.wait(f"{NEW} && {shows('two')}")


class Ending(http.server.BaseHTTPRequestHandler):
    """As a server that is about to end: the first stream breaks off, and those asked for then are empty."""

    def do_GET(self) -> None:
        is_stream = self.path.startswith("/_/dev/events")
        self.server.streams += is_stream
        first = b"retry: 50\n\nevent: hello\ndata: 1\n\n" if self.server.streams == 1 else b""
        script = self.server.script if self.path.endswith(".js") else PAGE.format("one").replace(
            "app.js", "/_/dev/reload.js").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if is_stream else
                         "text/javascript" if self.path.endswith(".js") else "text/html")
        self.end_headers()
        self.wfile.write(first if is_stream else script)

    def log_message(self, *_) -> None:
        pass


def test_a_server_that_is_about_to_end_reloads_nothing(driver, site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ending) as ending:
        with urllib.request.urlopen(f"{site.url}_/dev/reload.js", timeout=30) as answer:
            ending.script, ending.streams = answer.read(), 0
        threading.Thread(target=ending.serve_forever, daemon=True).start()
        for browser in clean_page(driver, f"http://127.0.0.1:{ending.server_port}"):
            browser.open("/")
            browser.js("window.isOld = true")
            seen = ending.streams
            until = time.monotonic() + 60
            while ending.streams < seen + 3:
                assert time.monotonic() < until, "it does not ask again"
                time.sleep(0.02)
            assert browser.js(f"return {OLD}")
            driver.get("about:blank")
        ending.shutdown()


def test_a_broken_manifest_keeps_the_page_until_it_is_repaired(site, page):
    other = site.folder / "other"
    other.mkdir()
    write(other / "index.html", PAGE.format("other"))
    for file in ("style.css", "app.js"):
        write(other / file, (site.web / file).read_text(encoding="utf-8"))
    site.manifest("app: demo\nwebb: { root: other }\n")
    site.say("two")  # still served, still watched
    page.wait(f"{NEW} && {shows('two')}")
    page.js("window.isOld = true")
    site.manifest("app: demo\nweb: { root: other }\n")
    page.wait(f"{NEW} && {shows('other')}")


def test_a_strict_policy_lets_the_script_in(site, page):
    site.manifest("app: demo\nweb: { root: web, headers: { \"/*\": { csp: default } } }\n")
    page.wait(NEW)
    open_listening(page)
    page.wait("document.querySelector('script[src*=\"/_/dev/\"]')")
    site.say("two")
    page.wait(f"{NEW} && {shows('two')}")


def test_two_apps_hear_of_their_own_files_only(driver, tmp_path):
    left, right = (make_app(tmp_path / name, "one") for name in ("left", "right"))
    write(tmp_path / "host.yaml", "apps: [left, right]\n")
    site = Site(tmp_path, tmp_path / "data", "--dev")
    try:
        for browser in clean_page(driver, site.url):
            open_listening(browser, "/left/", "/left")
            write(right / "web" / "index.html", PAGE.format("two"))
            browser.wait("""(async () => (await fetch('/right/')).text())()""")
            write(left / "web" / "style.css", "h1 { color: rgb(2, 2, 2) }")
            browser.wait("getComputedStyle(document.querySelector('h1')).color === 'rgb(2, 2, 2)'")
            assert browser.js(f"return {OLD}")
            write(left / "web" / "index.html", PAGE.format("two"))
            browser.wait(f"{NEW} && {shows('two')}")
            driver.get("about:blank")
    finally:
        site.stop()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_without_dev_there_is_nothing_of_it(driver, tmp_path):
    site = Site(make_app(tmp_path / "demo", "one"), tmp_path / "data")
    try:
        for browser in clean_page(driver, site.url):
            browser.open("/")
            assert browser.text("h1") == "one"
            assert browser.js("return [...document.scripts].map((s) => s.getAttribute('src'))") \
                == ["app.js"]
            for path in ("", "events", "reload.js"):
                assert status_of(f"{site.url}_/dev/{path}") == 404
            browser.open_missing("/nothing")
            assert browser.count("script") == 0
    finally:
        site.stop()
