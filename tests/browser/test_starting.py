# The page while an app's backend starts: readable everywhere, and gone when the app is there.
import pytest

from conftest import clean_page, serving

PROGRAM = """# Answers with a page once the file `go` is there.
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>here</title><link rel=icon href='data:,'><h1>The app</h1>")
while not os.path.exists("go"):
    time.sleep(0.01)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def slow_app(tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "server.py").write_text(PROGRAM)
    (folder / "dais.yaml").write_text("app: slow\nbackend: { run: exec python3 -S server.py, routes: [ / ] }\n")
    return folder


def test_a_page_waits_for_the_app(slow_app, tmp_path, driver):
    with serving(slow_app, tmp_path / "data") as url:
        for browser in clean_page(driver, url):
            browser.open_missing("/some/page?a=b")
            browser.wait("document.querySelector('h1')?.innerText === 'The app is starting'")  # it loads itself anew
            browser.js("window.stop()")  # for the screens
            browser.screens("starting")
            browser.open_missing("/some/page?a=b")
            (slow_app / "go").touch()
            browser.wait("document.title === 'here'")
            assert browser.path() == "/some/page?a=b" and browser.text("h1") == "The app"
