# The sign-in page in front of an app that knows nothing of it: every view, by mouse and by keyboard, with mails.
import email
import email.policy
import pathlib
import re
import time

import pytest

from conftest import clean_page, serving

PASSWORD = "correct horse battery"
TAB, ENTER = "\ue004", "\ue007"
PROGRAM = """# Says what dais told it of who asks.
import html, http.server, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        who = html.escape(urllib.parse.unquote(self.headers.get("X-Who") or "nobody"))
        body = f'''<!doctype html><html lang="en"><title>Desk</title><link rel=icon href="data:,">
        <h1>{who}</h1><a href="/_/sign-in?next={self.path}">Sign in</a>
        <form method="post" action="/_/sign-in"><input type="hidden" name="do" value="sign-out">
        <button>Out</button></form>'''
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = """app: desk
title: Night Desk
auth: { signup: open, methods: [ password, magic_link ] }
limits: { login: 1000/min, signup: 1000/min, reset: 1000/min, read: 1000/s, write: 1000/s }
backend:
  run: exec python3 -S server.py
  routes: [ / ]
  identity: { header: X-Who, value: "{user.name}" }
"""


class Desk:
    """The app, its address, and the letters that it wrote."""

    def __init__(self, url: str, data: pathlib.Path):
        self.url, self.data = url, data

    def link(self, to: str, kind: str, seconds: float = 60) -> str:
        """The path of the newest link of that kind in a letter to that address."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for file in sorted(self.data.rglob("mail/*.eml"), reverse=True):
                letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                text = letter.get_body(("plain",)).get_content()
                found = re.search(rf"/_/sign-in\?{kind}=\S+", text)
                if letter["to"] == to and found:
                    return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no {kind} for {to} in {[str(file) for file in self.data.rglob('*.eml')]}")


@pytest.fixture(name="desk", scope="module")
def fixture_desk(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("desk"), tmp_path_factory.mktemp("data")
    (folder / "server.py").write_text(PROGRAM)
    (folder / "dais.yaml").write_text(MANIFEST)
    with serving(folder, data) as url:
        yield Desk(url, data)


@pytest.fixture(name="page")
def fixture_page(driver, desk):
    driver.delete_all_cookies()
    for page in clean_page(driver, desk.url):
        page.open("/start")
        page.wait("document.querySelector('h1')")
        driver.delete_all_cookies()
        yield page


def type_in(page, **fields):
    for name, text in fields.items():
        field = page.driver.find_element("name", name)
        field.clear()
        field.send_keys(text)


def send(page):
    page.click("form .main")


def sign_up(page, address, name="Ann Archer", then="/start"):
    page.open(f"/_/sign-in?do=sign-up&next={then}")
    type_in(page, email=address, new_password=PASSWORD, name=name)
    send(page)
    page.wait(f"location.pathname === '{then}'")


def sign_in(page, address, password=PASSWORD):
    page.open("/_/sign-in?next=/start")
    type_in(page, email=address, password=password)
    send(page)


def at(page, heading):
    page.wait(f"document.querySelector('h1')?.innerText === {heading!r}")


def test_up_out_and_in_before_an_unmodified_app(page):
    page.open("/desk/7")
    page.wait("document.querySelector('h1').innerText === 'nobody'")
    page.click("a")
    page.click("nav li:last-child a")
    type_in(page, email="ann@example.org", new_password=PASSWORD, name="Ann")
    send(page)
    page.wait("location.pathname === '/desk/7'")
    assert page.text("h1") == "Ann"
    page.click("form button")
    at(page, "You are signed out")
    page.screens("sign-in-signed-out")
    sign_in(page, "ann@example.org")
    page.wait("location.pathname === '/start'")
    assert page.text("h1") == "Ann"
    page.open("/_/sign-in?do=sign-out")
    page.screens("sign-in-sign-out")
    send(page)
    at(page, "You are signed out")


def test_a_link_confirms_the_address(page, desk):
    sign_up(page, "vera@example.org", "Vera")
    page.open("/_/sign-in")
    assert "Not confirmed yet" in page.text(".who")
    page.open(desk.link("vera@example.org", "verify"))
    page.screens("sign-in-verify")
    send(page)
    at(page, "Your account")
    assert "Not confirmed yet" not in page.text(".who")
    page.screens("sign-in-verified")
    page.open("/start")
    assert page.text("h1") == "Vera"


def test_a_forgotten_password(page, desk):
    sign_up(page, "fay@example.org")
    page.driver.delete_all_cookies()
    page.open("/_/sign-in?next=/desk/9")
    page.click("nav li:first-child a")
    page.screens("sign-in-forgot")
    type_in(page, email="fay@example.org")
    send(page)
    at(page, "Look into your mail")
    page.screens("sign-in-sent")
    link = desk.link("fay@example.org", "reset")
    page.open(link)
    page.screens("sign-in-reset")
    type_in(page, new_password="another good password")
    send(page)
    page.wait("location.pathname === '/desk/9'")
    page.expected.add(page.origin + "/_/sign-in")
    page.open(link)
    type_in(page, new_password="another good password")
    send(page)
    at(page, "This link does not work any more")
    page.screens("sign-in-bad-link")
    page.driver.delete_all_cookies()
    sign_in(page, "fay@example.org", "another good password")
    page.wait("location.pathname === '/start'")


def test_a_link_instead_of_a_password(page, desk):
    sign_up(page, "mia@example.org")
    page.driver.delete_all_cookies()
    page.open("/_/sign-in?do=link&next=/desk/3")
    page.screens("sign-in-link")
    type_in(page, email="mia@example.org")
    send(page)
    at(page, "Look into your mail")
    link = desk.link("mia@example.org", "magic")
    page.open(link)  # as scanners of mails do
    page.open(link)
    page.screens("sign-in-magic")
    send(page)
    page.wait("location.pathname === '/desk/3'")
    # Whoever signed up may have been somebody else: the first proof of the address keeps no name of theirs.
    assert page.text("h1") == "nobody"
    page.open("/_/sign-in")
    assert "mia@example.org" in page.text("main")


def test_ones_own_account(page):
    sign_up(page, "ona@example.org", "Ona Orchard")
    page.open("/_/sign-in?next=/desk/1")
    page.screens("sign-in-account")
    page.open("/_/sign-in?do=sessions")
    page.wait("!/^\\d{4}-/.test(document.querySelector('time').innerText)")
    page.screens("sign-in-sessions")
    page.open("/_/sign-in?do=password")
    page.screens("sign-in-password")
    type_in(page, password=PASSWORD, new_password="a new and long one")
    send(page)
    at(page, "Your account")
    assert page.count(".notice") == 1
    page.open("/_/sign-in?do=delete")
    page.screens("sign-in-delete")
    type_in(page, password="a new and long one")
    page.click("form .danger")
    at(page, "Your account is deleted")
    page.screens("sign-in-deleted")
    page.open("/start")
    assert page.text("h1") == "nobody"


def test_by_keyboard_alone(page):
    sign_up(page, "kim@example.org", "Kim")
    page.driver.delete_all_cookies()
    page.open("/_/sign-in?next=/start")
    page.wait("document.activeElement.name === 'email'")
    page.keys("kim@example.org", TAB, PASSWORD, TAB)
    assert page.focused() == "Show password"
    page.keys(" ")
    assert page.js("return document.querySelector('#password').type") == "text"
    page.keys(TAB)
    assert page.focused() == "Sign in"
    assert page.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keys(ENTER)
    page.wait("location.pathname === '/start'")
    assert page.text("h1") == "Kim"


def test_what_is_wrong_is_said_where_it_is(page):
    page.open("/_/sign-in?do=sign-up")
    page.screens("sign-in-sign-up")
    type_in(page, email="kim")
    assert page.text("#email-wrong") == ""
    page.keys(TAB)
    assert "name@example.org" in page.text("#email-wrong")
    page.keys("short", TAB)
    assert "8 characters" in page.text("#new_password-wrong")
    page.screens("sign-in-sign-up-wrong")
    type_in(page, new_password="long enough now")
    assert page.text("#new_password-wrong") == ""
    send(page)
    assert page.js("return document.activeElement.name") == "email" and page.text("h1") == "Create your account"
    page.expected.add(page.origin + "/_/sign-in")
    sign_in(page, "nobody@example.org", "not the password")
    page.wait("document.querySelector('#password-wrong').innerText")
    assert page.js("return document.querySelector('#email').value") == "nobody@example.org"
    page.screens("sign-in-wrong")


def test_a_form_is_sent_once(page):
    page.open("/_/sign-in")
    page.screens("sign-in")
    type_in(page, email="a@example.org", password="whatever it is")
    sent = page.js("""let sent = 0;
        const form = document.forms[0];
        form.addEventListener("submit", (e) => { if (!e.defaultPrevented) sent++; e.preventDefault(); });
        for (let i = 0; i < 3; i++) form.requestSubmit(form.querySelector("button[type=submit]"));
        return [sent, form.querySelector("button[type=submit]").getAttribute("aria-disabled")]""")
    assert sent == [1, "true"]


@pytest.mark.parametrize("query", ["", "?do=sign-up", "?do=forgot", "?do=link", "?operator=dln_x", "?reset=dln_x",
                                   "?verify=dln_x", "?magic=dln_x"])
def test_without_scripts_and_on_a_small_phone(page, query):
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.size(360)
        page.open("/_/sign-in" + query)
        assert page.overflow() == [] and page.count(".reveal") == 0 and page.count("form .main") == 1
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        page.size("desk")


def test_pages_of_errors(page):
    page.open("/_/sign-in?operator=dln_x")
    page.screens("sign-in-operator")
    page.open("/_/sign-in?verify=dln_x")
    page.screens("sign-in-verify-password")
    page.open_missing("/_/sign-in?do=nonsense")
    page.screens("sign-in-unknown")
