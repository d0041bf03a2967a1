# Policies and CORS as a browser understands them: what is written in a page runs, and nothing else does.
import http.server
import threading

import pytest

from conftest import clean_page, serving

# Each script adds its number; what no browser runs would add 100.
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title><!-- </title><link rel=icon href="data:,">
<style>p { color: rgb(1, 2, 3) }</style>
<!-- <script>ran.push(100)</script> --><!--><script>var ran = [0]</script><!---><script>ran.push(1)</script>
<SCRIPT data-x='>'>ran.push(2)</SCRIPT ><script/>ran.push(3)</script>
<script type="text/javascript; x">ran.push(100)</script>
<script><!-- <script>ran.push(100)</script> -->
ran.push(4)</script><script><!-->
ran.push(5)</script>
<script>ran.push(6) // \u00e9\u20ac </scripts>
</script><textarea><script>ran.push(100)</script></textarea><noscript><script>ran.push(100)</script></noscript>
<script type="importmap">{"imports": {"seven": "/seven.js"}}</script><script type=application/json>{}</script>
</head><body><p id="p">text</p>
<script type=MODULE>import { n } from "seven"; ran.push(n); document.title = "done"</script></body></html>
""".replace("ran.push(2)", "ran.push(2)\r\n;1").replace("ran.push(3)", "ran.push(3)\r;1")

MANIFEST = """app: policy
web:
  root: web
  headers:
    "/*": { csp: default }
    "/strict/*": { csp: "default-src 'none'; script-src 'self' {scripts}; style-src {styles}; img-src data:" }
cors: { origins: [ "http://*.localhost:FRIEND" ] }
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """A page of another origin, at any host name."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>elsewhere</title><link rel=icon href='data:,'>")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


@pytest.fixture(name="friend", scope="module")
def fixture_friend():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(name="site", scope="module")
def fixture_site(tmp_path_factory, friend):
    folder = tmp_path_factory.mktemp("policy")
    (folder / "app" / "web" / "strict").mkdir(parents=True)
    (folder / "app" / "dais.yaml").write_text(MANIFEST.replace("FRIEND", str(friend)))
    for name in ("index.html", "strict/index.html"):
        (folder / "app" / "web" / name).write_bytes(PAGE.encode())
    (folder / "app" / "web" / "seven.js").write_text("export const n = 7\n")
    with serving(folder / "app", folder / "data") as url:
        yield url


@pytest.fixture(name="page")
def fixture_page(driver, site):
    yield from clean_page(driver, site)


@pytest.mark.parametrize("path", ["/", "/strict/"])
def test_what_is_written_in_a_page_runs(page, path):
    page.open(path)
    page.wait("document.title === 'done'")
    assert page.js("return ran") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert page.js("return getComputedStyle(p).color") == "rgb(1, 2, 3)"
    assert page.problems() == []
    page.js("""const s = document.createElement('script'); s.textContent = 'ran.push(9)'; document.body.append(s);
               p.setAttribute('onclick', 'ran.push(9)'); p.click()""")
    assert page.js("return ran.length") == 8
    assert "Content Security Policy" in page.driver.get_log("browser")[0]["message"]


FETCH = """const done = arguments[arguments.length - 1];
fetch(arguments[0], {method: arguments[1], headers: arguments[2]}).then((r) => done(r.status), () => done('refused'))"""


@pytest.mark.parametrize("host, status", [("one.localhost", 200), ("a.b.localhost", 200), ("127.0.0.1", "refused")])
def test_pages_of_friends_may_call(driver, site, friend, host, status):
    driver.get(f"http://{host}:{friend}/")
    assert driver.execute_async_script(FETCH, site + "seven.js", "GET", {}) == status
    assert driver.execute_async_script(FETCH, site + "seven.js", "GET", {"X-Own": "1"}) == status
    assert driver.execute_async_script(FETCH, site + "lost.js", "GET", {}) == (404 if status == 200 else status)
    assert driver.execute_async_script(FETCH, site + "seven.js", "PUT", {}) == (405 if status == 200 else status)
    driver.get("about:blank")
    driver.get_log("browser")
