# What a hostile user of the edge found with nothing but the documents: each test is one promise that was broken.
import json
import pathlib

import pytest

from conftest import ROOT, wait_for
from serving import exchange, serving, write_app

BACKEND = "backend:\n  run: exec python3 s.py $PORT\n  routes: [ /api/, /h ]\n"


def check(run_dais, folder):
    """What `dais check` says, and how it ended."""
    done = run_dais("check", folder)
    return done.stdout + done.stderr, done.returncode


# ---- manifests that look right ---------------------------------------------------------------------
@pytest.mark.parametrize("line, says", [
    ('  access: { "/api/*": nobody }', "5:13: `/api/*` is compared as it is written"),
    ('  static_first: [ "/h/*" ]', "5:19: `/h/*` is compared as it is written"),
    ('  strip: [ "/api/*" ]', "5:12: `/api/*` is compared as it is written"),
    ('  bounds: { "/api/*": { max_body: 1KB } }', "`/api/` stands for all below it already"),
    ('limits: { "POST /api/*": 2/min }', "5:11: `/api/*` is compared as it is written"),
    ('  access: { /api/./x: nobody }', "requests never hold `/./`"),
    ('  access: { /web/: operator }', "5:13: `/web/` guards nothing"),
    ('  access: { /apis: operator }', "5:13: `/apis` guards nothing"),
    ('  persist: [ dais.yaml ]', "5:14: `dais.yaml` is read by dais"),
    ('  persist: [ web ]', "5:14: `web` holds the site's own files"),
    ('  env: { PORT: "80" }', "5:10: `PORT` is chosen by dais"),
])
def test_what_would_do_something_else_is_refused(line, says, tmp_path, run_dais):
    said, code = check(run_dais, write_app(tmp_path / "a", manifest=BACKEND + line + "\n"))
    assert says in said and code == 1, said


@pytest.mark.parametrize("line, says", [
    ('  access: { /api/a%20b/: nobody }', "`/api/a%20b/` matches only what is typed as %2520"),
    ('  bounds: { /nope/: { max_body: 1GB } }', "5:13: warning: `/nope/` bounds nothing"),
    ('  persist: [ web/up ]', "`web/up` lies in `web.root`"),
])
def test_what_does_nothing_is_told(line, says, tmp_path, run_dais):
    said, code = check(run_dais, write_app(tmp_path / "a", manifest=BACKEND + line + "\n"))
    assert says in said and code == 0, said


@pytest.mark.parametrize("rule", ["/", "/api", "/API/x", "/h/{user.id}/", "/api/deep/er"])
def test_rules_for_paths_of_the_backend_pass(rule, tmp_path, run_dais):
    rows = f'  access: {{ "{rule}": signed_in }}\n  bounds: {{ /api: {{ timeout: 5s }} }}\n'
    said, code = check(run_dais, write_app(tmp_path / "a", manifest=BACKEND + rows))
    assert said == "ok a\n" and code == 0, said


@pytest.mark.parametrize("url, says", [
    ("https://127.0.0.1:9", "dais speaks plain HTTP to backends, so `url` starts with http://"),
    ("http://example.com:9", "`example.com` is a name, and dais asks no name server"),
    ("http://127.1:9", "`127.1` is a name"),
    ("http://127.0.0.1:9/x", "`url` ends with the port; remove `/x`"),
    ("http://127.0.0.1:9?x", "`url` ends with the port; remove `?x`"),
])
def test_check_knows_what_serve_refuses_of_an_address(url, says, tmp_path, run_dais):
    manifest = f'backend:\n  url: "{url}"\n  routes: [ /api/ ]\n'
    said, code = check(run_dais, write_app(tmp_path / "a", manifest=manifest))
    assert f"dais.yaml:3:8: {says}" in said and code == 1, said


def test_a_value_that_is_wrong_is_not_called_missing_too(tmp_path, run_dais):
    manifest = 'backend:\n  url: "http://me@127.0.0.1:9"\n  routes: [ /api/ ]\n'
    said, code = check(run_dais, write_app(tmp_path / "a", manifest=manifest))
    assert said.endswith("such as http://127.0.0.1:9000\n1 error\n") and code == 1, said


@pytest.mark.parametrize("line, says", [
    ("  health: { path: /h, every: 1ms }", "`every` is `1ms`; it must be at least 1s"),
    ("  health: { path: /h, every: 2w }", "`every` is `2w`; it must be at most 1d"),
    ("  timeout: 0", "`timeout` is `0`; it must be at least 100ms"),
    ("  cache: 100000GB", "`cache` is `100000GB`; it must be at most 1TB"),
    ("  cache: much", "`cache` is `much`; it must be a size, such as"),
])
def test_an_amount_out_of_range_is_told_its_range(line, says, tmp_path, run_dais):
    said, code = check(run_dais, write_app(tmp_path / "a", manifest=BACKEND + line + "\n"))
    assert says in said and code == 1, said


def test_the_templates_start_programs_by_exec():
    """As the recipe tells everybody to."""
    for path in pathlib.Path(ROOT, "src/cli/templates").glob("*/dais.yaml"):
        text = path.read_text()
        assert "  run:" not in text or " exec " in text.partition("  run:")[2], path


PROGRAM = """
import http.server, os
print("Traceback:\\n  File \\"x\\", line 1\\n    raise it", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("Cache-Control", "public, max-age=9" if self.path == "/api/all" else "private, max-age=9")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


# ---- serving -----------------------------------------------------------------------------------------
def test_a_request_that_is_none_is_logged_with_its_sender(tmp_path):
    with serving(write_app(tmp_path / "a")) as server:
        exchange(server, [b"nonsense\r\n\r\n"])
        line = wait_for(lambda: [x for x in server.stderr.splitlines() if '"status":400' in x], "a line")[0]
        assert json.loads(line)["client"] == "127.0.0.1"


def test_what_a_backend_prints_keeps_its_indent_and_copies_for_all_hold_no_cookie(tmp_path):
    files = {"web/index.html": "", "s.py": PROGRAM}
    with serving(write_app(tmp_path / "a", files, BACKEND + "  instances: 2\n  sticky: cookie\n")) as server:
        assert server.fetch("/api/all").get("set-cookie") is None
        assert server.fetch("/api/mine").get("set-cookie").startswith("dais_instance_a=")
        assert server.says('"said":"    raise it"')
