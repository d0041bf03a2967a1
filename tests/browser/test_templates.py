# What `dais new` makes: the guest books as people see them, empty, filled, wrong and cut off.
import pathlib
import socket
import subprocess
import time
import urllib.request
from urllib.parse import urlsplit

import pytest

from conftest import DAIS, clean_page, start, stop

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's own Python and Node, whatever else is installed


def new(folder: pathlib.Path, template: str) -> pathlib.Path:
    subprocess.run([DAIS, "new", str(folder), "--template", template], check=True, capture_output=True)
    return folder


def can_fastapi() -> bool:
    done = subprocess.run(["/usr/bin/python3", "-c", "import fastapi, uvicorn, websockets"],
                          capture_output=True, check=False)
    return done.returncode == 0


class Book:
    """A guest book that is served; it can be stopped in the middle of a test."""

    def __init__(self, tmp_path: pathlib.Path, template: str):
        if template == "fastapi" and not can_fastapi():
            pytest.fail("python3-fastapi, python3-uvicorn, python3-websockets are missing: make deps-test")
        self.folder = new(tmp_path / "summer-party", template)
        if template == "express":
            done = subprocess.run("npm install --no-audit --no-fund --silent", shell=True, cwd=self.folder,
                                  capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != 0:
                pytest.skip(f"optional: npm cannot install express here: {done.stderr[-200:]}")
        self.process, self.url = start(self.folder, tmp_path / "data")

    def stop(self) -> None:
        """At once: after its doors are shut, a second signal cuts the page's open connection."""
        if self.process:
            self.process.terminate()
            address = urlsplit(self.url)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    socket.create_connection((address.hostname, address.port), timeout=1).close()
                except OSError:
                    break
            stop(self.process)
        self.process = None


@pytest.fixture(params=["fastapi", "express"])
def book(request, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    book = Book(tmp_path, request.param)
    book.template = request.param
    yield book
    book.stop()


@pytest.fixture
def page(driver, book):
    yield from clean_page(driver, book.url)


def test_the_static_page(driver, tmp_path):
    process, url = start(new(tmp_path / "summer-party", "static"), tmp_path / "data")
    try:
        for page in clean_page(driver, url):
            page.open("/")
            assert page.text("h1") == "Summer Party"
            page.screens("new-static")
            page.open_missing("/nowhere.html")
            assert page.text("h1") == "There is nothing here"
            page.screens("new-static-404")
    finally:
        stop(process)


def type_into(page, field: str, text: str) -> None:
    page.driver.find_element("id", field).send_keys(text)


def sign(page, name: str, text: str) -> None:
    page.js("document.getElementById('name').value = ''; document.getElementById('text').value = ''")
    type_into(page, "name", name)
    type_into(page, "text", text)
    page.click("form button")


def test_a_guest_book(page, book):
    page.open("/")
    page.wait("!document.querySelector('#empty').hidden && !document.querySelector('.skeleton')")
    page.wait("document.querySelector('#live').textContent === 'Live'")
    assert page.text("h1") == "Summer Party"
    page.screens(f"new-{book.template}-empty")

    page.click("#first")
    page.click("form button")
    assert page.text("#name-problem") and page.text("#text-problem")
    page.screens(f"new-{book.template}-wrong")

    sign(page, "Ada", "What a lovely evening.\nThank you for the <b>lanterns</b>!")
    page.wait("document.querySelectorAll('#entries li').length === 1")
    assert "<b>lanterns</b>" in page.text("#entries li")
    sign(page, "Grace-with-a-very-long-name-that-goes-on-and-on-without-a-space", "See you " + "soon" * 60)
    page.wait("document.querySelectorAll('#entries li').length === 2")
    assert page.count("#empty") == 0 and page.js("return document.querySelector('#text').value") == ""
    page.screens(f"new-{book.template}")


def test_others_see_a_new_entry_at_once_and_drafts_survive(page, book):
    page.open("/")
    page.wait("document.querySelector('#live').dataset.state === 'on'")
    body = b'{"name": "Linus", "text": "From another window"}'
    request = urllib.request.Request(book.url + "api/entries", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 201
    page.wait("document.querySelector('#entries strong')?.textContent === 'Linus'")
    type_into(page, "text", "Half a thou")
    page.driver.refresh()
    page.wait("document.querySelector('#text').value === 'Half a thou'")


def test_the_page_says_when_the_server_is_gone(page, book):
    page.open("/")
    page.wait("document.querySelector('#live').dataset.state === 'on'")
    book.stop()
    page.wait("document.querySelector('#live').dataset.state === 'retry'")
    sign(page, "Ada", "Is anybody there?")
    page.wait("!document.querySelector('#form-problem').hidden")
    assert "still here" in page.text("#form-problem")
    assert page.js("return document.querySelector('#text').value") == "Is anybody there?"
    page.js("document.querySelector('#again').click()")
    page.wait("!document.querySelector('#broken').hidden")
    assert page.count(".note") == 1
    page.screens(f"new-{book.template}-gone")
    page.problems()  # all of them are the server's absence
