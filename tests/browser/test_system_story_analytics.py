# The chart publisher: an upload becomes a chart, and a page of another site may show it, but nothing else.
import contextlib
import http.server
import threading

import pytest

from conftest import clean_page
from page import Browser
from system import complaint_of, is_one_origin, running

CSV = "month,visitors\nMarch,120\nApril,180\nMay,260\nJune,310\nJuly,290\n"
ARTICLE = """<!doctype html><title>An article</title><iframe src="FRAME" style="width:600px;height:400px"></iframe>
<link rel="icon" href="data:,"><script>
addEventListener("message", (e) => { window.told = e.data; window.from = e.origin; });
</script>"""


@pytest.fixture(name="system", scope="module")
def fixture_system(tmp_path_factory):
    with running("story_analytics", tmp_path_factory.mktemp("story_analytics"), "/api/ready") as system:
        yield system


@pytest.fixture(name="browser")
def fixture_browser(driver, system):
    yield from clean_page(driver, system.origin)


@contextlib.contextmanager
def article(frame: str):
    """A page of another origin that shows `frame`; gives its address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = ARTICLE.replace("FRAME", frame).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(name="chart", scope="module")
def fixture_chart(system, driver, tmp_path_factory):
    """The path of a chart made by hand, with everything on the way checked."""
    file = tmp_path_factory.mktemp("csv") / "visitors.csv"
    file.write_text(CSV)
    pages = clean_page(driver, system.origin)
    browser = next(pages)
    browser.open("/sources")
    browser.wait("document.querySelector('#file')")
    browser.driver.find_element("css selector", "#file").send_keys(str(file))
    browser.click("#upload")
    browser.wait("location.pathname === '/editor/new/source' && document.querySelector('#preview svg')")
    title = browser.driver.find_element("css selector", "#title")
    title.clear()
    title.send_keys("Visitors of the garden")
    browser.screens("system-story-analytics-editor")
    browser.click("#save")
    browser.wait("location.pathname.startsWith('/chart/') && document.querySelectorAll('#chart rect').length === 5")
    path = browser.path()
    assert next(pages, None) is None  # nobody complained
    return path


def test_a_chart_is_found_again(system, browser, chart):
    is_one_origin(system, browser, chart, "document.querySelector('#chart h2')?.textContent.startsWith('Visitors')")
    browser.open("/library")
    browser.wait("document.querySelectorAll('#charts a').length === 1")
    browser.click("#charts a")
    browser.wait(f"location.pathname === '{chart}'")
    browser.screens("system-story-analytics")


def test_the_embed_page_is_another_page(system, browser, chart):
    browser.open("/embed" + chart)
    browser.wait("document.title === 'Visitors of the garden'")
    assert browser.count("header") == 0
    is_one_origin(system, browser, "/embed" + chart, "document.querySelectorAll('rect').length === 5")


def test_another_site_may_show_the_chart(driver, system, chart):
    with article(f"{system.origin}/embed{chart}") as url:
        browser = Browser(driver, url)
        browser.problems()
        browser.open("/")
        browser.wait("window.told?.height > 100")
        assert browser.js("return [told.type, from]") == ["sa-resize", system.origin]
        found = browser.problems()
        assert all(problem.startswith(f"other origin: {system.origin}/") for problem in found), found


def test_another_site_may_show_nothing_else(driver, system, chart):
    for path in ("/", chart):
        with article(system.origin + path) as url:
            complaint_of(Elsewhere(url), driver, "/", "console: .*frame-ancestors 'none'")


class Elsewhere:
    """A place that is not behind dais."""

    def __init__(self, origin: str):
        self.origin = origin


@pytest.mark.parametrize("path, old, new, complaint", [
    ("/embed/chart/x", '  pages: { "/embed/*": embed.html }\n', "", "the library was shown"),
    ("/library", "/api/, /health,", "/health,", "SyntaxError"),  # the page, not JSON
    ("/library", "default-src 'self'; img", "default-src 'none'; img", "Content Security Policy"),
])
def test_without_its_rows_it_breaks(system, driver, path, old, new, complaint):
    with system.changed(old, new):
        if complaint == "the library was shown":
            browser = Browser(driver, system.origin)
            browser.open(path)
            browser.wait("document.querySelector('header') && document.querySelector('#charts')")
        else:
            complaint_of(system, driver, path, complaint)
