# The paper theatre: /assets is the bundle's and the backend's, and a bundle that computes its backend's port.
import pytest

from conftest import clean_page
from system import complaint_of, is_one_origin, running

REWRITE = "  rewrite:\n    - { files: \"*.js\", from: '\"8000\"', to: location.port }\n"


@pytest.fixture(name="system", scope="module")
def fixture_system(tmp_path_factory):
    with running("papeterie", tmp_path_factory.mktemp("papeterie"), "/api/health") as system:
        yield system


@pytest.fixture(name="browser")
def fixture_browser(driver, system):
    yield from clean_page(driver, system.origin)


def cut(browser, name: str) -> None:
    browser.driver.find_element("css selector", "#name").send_keys(name)
    browser.click("#cut")
    browser.wait(f"document.querySelector('#stage img[alt={name}]')?.naturalWidth === 260")


def press(browser, sprite: str, button: str, said: str) -> None:
    browser.js("document.querySelector('#note').textContent = ''")
    browser.click(f"#sprite-{sprite} .{button}")
    browser.wait(f"document.querySelector('#note').textContent === '{said}'")


def test_boats_are_cut_moved_shared_and_deleted(system, browser):
    browser.open("/")
    browser.wait("document.querySelector('#cut')")
    cut(browser, "ferry")
    cut(browser, "tug")
    assert browser.js("return document.querySelector('#stage img').style.left") == "40px"  # its config is {}
    me = browser.text("#sprites td + td")
    press(browser, f"{me}-tug", "move", "Moved.")
    browser.wait("document.querySelector('#stage img[alt=tug]').style.left === '240px'")
    press(browser, f"{me}-ferry", "move", "Moved.")
    press(browser, f"{me}-ferry", "share", "Shared.")
    browser.wait("document.querySelectorAll('#stage img').length === 3")
    browser.screens("system-papeterie")
    press(browser, f"{me}-ferry", "delete", "Deleted.")
    assert browser.count("#sprite-community-ferry") == 1 and browser.count(f"#sprite-{me}-ferry") == 0
    is_one_origin(system, browser, "/theatre/harbour",
                  "[...document.querySelectorAll('#stage img')].filter((i) => i.naturalWidth === 260).length === 2")


@pytest.mark.parametrize("path, old, new, complaint", [
    ("/", REWRITE, "", r"other origin: http://127\.0\.0\.1:8000/api/sprites"),
    ("/theatre/x", "  fallback: index.html\n", "", r"status 404: .*/theatre/x"),
    ("/", "  routes: [ /api/, /docs, /openapi.json ]\n  static_first: [ /assets/ ]\n",
     "  routes: [ /api/, /docs, /openapi.json, /assets/ ]\n", r"status 404: .*/assets/index-"),
])
def test_without_its_rows_it_breaks(system, driver, path, old, new, complaint):
    with system.changed(old, new):
        complaint_of(system, driver, path, complaint)
