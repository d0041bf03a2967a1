# What `dais new` makes: the guest books as people see them, empty, filled, wrong and cut off.
import pathlib
import socket
import subprocess
import time
import urllib.request
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.action_chains import ActionChains

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
                                  capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                pytest.skip(f"optional: npm cannot install express here: {done.stderr[-200:]}")
        self.process, self.url = start(self.folder, tmp_path / "data")

    def stop(self) -> None:
        """At once: after its doors are shut, a second signal cuts the page's open connection."""
        if self.process:
            self.process.terminate()
            address = urlsplit(self.url)
            deadline = time.monotonic() + 60
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
    with urllib.request.urlopen(request, timeout=30) as answer:
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


# ---- notes ---------------------------------------------------------------------------------------
ESCAPE, CONTROL, ENTER = "\ue00c", "\ue009", "\ue007"


@pytest.fixture
def notes(driver, tmp_path):
    """The page of the template notes, its server's process in `.process`."""
    process, url = start(new(tmp_path / "shopping-list", "notes"), tmp_path / "data")
    try:
        for page in clean_page(driver, url):
            page.process = process
            page.open("/")
            page.wait("document.querySelectorAll('#notes [data-id]').length === 1")
            yield page
    finally:
        stop(process)


def save_by_keys(page) -> None:
    ActionChains(page.driver).key_down(CONTROL).send_keys(ENTER).key_up(CONTROL).perform()


def write_note(page, title: str, text: str) -> None:
    page.click("#new")
    page.wait("document.querySelector('#editor').open")
    type_into(page, "title", title)
    type_into(page, "text", text)
    save_by_keys(page)
    page.wait("!document.querySelector('#editor').open")


def titles(page) -> list:
    return page.js("return [...document.querySelectorAll('#notes strong')].map((e) => e.textContent)")


def search_notes(page, words: str, count: int) -> None:
    page.keys(*(["/"] if page.focused() != "q" else []))
    page.js("document.querySelector('#q').value = ''")
    type_into(page, "q", words)
    page.wait(f"document.querySelectorAll('#notes [data-id]').length === {count}")


def test_notes_are_written_found_and_kept(notes):
    assert notes.text("h1") == "Shopping List" and titles(notes) == ["Welcome"]
    write_note(notes, "Milk", "Two litres <b>or</b> three")
    write_note(notes, "A-very-long-title-" + "without-a-space-" * 6, "Straße " * 60)
    notes.driver.refresh()
    notes.wait("document.querySelectorAll('#notes [data-id]').length === 3")
    assert titles(notes)[1:] == ["Milk", "Welcome"] and "<b>or</b>" in notes.text("#notes")
    notes.screens("new-notes")
    search_notes(notes, "lit", 1)
    assert titles(notes) == ["Milk"] and notes.text("#found") == "1 found"
    notes.js("document.querySelector('#q').select()")
    search_notes(notes, "zebra", 0)
    notes.wait("!document.querySelector('#none').hidden")
    notes.screens("new-notes-none")
    notes.keys(ESCAPE)
    notes.wait("document.querySelectorAll('#notes [data-id]').length === 3")


def test_a_note_is_changed_by_keyboard_alone(notes):
    notes.keys("n")
    notes.wait("document.querySelector('#editor').open && document.activeElement.id === 'title'")
    save_by_keys(notes)
    assert notes.text("#title-problem") and notes.focused()
    notes.screens("new-notes-wrong")
    notes.keys("Bread")
    assert notes.text("#title-problem") == ""
    save_by_keys(notes)
    notes.wait("!document.querySelector('#editor').open && document.activeElement.innerText.startsWith('Bread')")
    notes.keys(ENTER)
    notes.wait("document.querySelector('#editor').open && document.activeElement.id === 'text'")
    notes.keys("Rye")
    notes.driver.refresh()
    notes.wait("document.querySelectorAll('#notes [data-id]').length === 2")
    notes.click("#notes [data-id]")
    notes.wait("document.querySelector('#text').value === 'Rye'")  # the draft outlived the page
    notes.screens("new-notes-edit")
    notes.keys(ESCAPE)
    notes.wait("!document.querySelector('#editor').open")
    assert "Rye" not in notes.text("#notes")


def test_a_note_is_deleted_and_comes_back(notes):
    notes.click("#notes [data-id]")
    notes.click("#delete")
    notes.wait("!document.querySelector('#empty').hidden && !document.querySelector('#toast').hidden")
    notes.screens("new-notes-empty")
    notes.click("#undo")
    notes.wait("document.querySelectorAll('#notes [data-id]').length === 1")
    assert titles(notes) == ["Welcome"] and notes.count("#toast") == 0


def test_a_note_that_changed_meanwhile_is_not_overwritten_unseen(notes):
    notes.click("#notes [data-id]")
    path = notes.js("return 'api/notes/' + document.querySelector('#notes [data-id]').dataset.id")
    request = urllib.request.Request(f"{notes.origin}/{path}", b'{"text": "by another"}', {
        "Content-Type": "application/json"}, method="PATCH")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    notes.expected.add(f"{notes.origin}/{path}")
    notes.js("document.querySelector('#text').value = 'mine'")
    notes.click("#save")
    notes.wait("document.querySelector('#form-problem').textContent.includes('by another')")
    notes.screens("new-notes-changed")
    notes.click("#save")
    notes.wait("!document.querySelector('#editor').open")
    assert "mine" in notes.text("#notes")


def test_the_notes_page_says_when_the_server_is_gone(notes):
    notes.click("#new")
    stop(notes.process)
    type_into(notes, "title", "Kept")
    notes.click("#save")
    notes.wait("!document.querySelector('#form-problem').hidden")
    assert "still here" in notes.text("#form-problem")
    notes.keys(ESCAPE)
    notes.js("document.querySelector('#again').click()")
    notes.wait("!document.querySelector('#broken').hidden")
    notes.screens("new-notes-gone")
    notes.problems()  # all of them are the server's absence
