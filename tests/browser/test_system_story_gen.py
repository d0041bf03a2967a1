# The story studio: a bundle that believes in 127.0.0.1:8000, a deep link, stories that outlive their server.
import pytest

from conftest import clean_page
from system import complaint_of, is_one_origin, running

REWRITE = '    - { files: "*.js", from: "http://127.0.0.1:8000", to: "" }\n'
CHAPTER = "The lantern burns. The lantern falls! Who carries the lantern now? Nobody carries anything."


@pytest.fixture(name="system", scope="module")
def fixture_system(tmp_path_factory):
    with running("story_gen", tmp_path_factory.mktemp("story_gen"), "/healthz") as system:
        yield system


@pytest.fixture(name="browser")
def fixture_browser(driver, system):
    yield from clean_page(driver, system.origin)


def fill(browser, selector: str, text: str) -> None:
    field = browser.driver.find_element("css selector", selector)
    field.clear()
    field.send_keys(text)


def test_a_story_is_written_analysed_and_kept(system, browser):
    browser.open("/")
    browser.wait("document.querySelector('#caps')?.textContent.includes('analysis')")
    browser.screens("system-story-gen-in")
    fill(browser, "#email", "ada@example.com")
    fill(browser, "#password", "lovelace1")
    browser.click("#register")
    browser.wait("location.pathname === '/studio' && document.querySelector('#create')")
    assert browser.text("#who") == "ada@example.com"
    fill(browser, "#title", "The lantern")
    browser.click("#create")
    browser.wait("document.querySelector('#analyse')")
    fill(browser, "#premise", "Somebody must carry the light.")
    fill(browser, "#source", CHAPTER)
    browser.click("#analyse")
    browser.wait("document.querySelector('#note').textContent === 'Analysed.'")
    run = browser.text("#run")
    assert len(run) == 32 and browser.text("#sentences") == "4"
    browser.screens("system-story-gen-studio")
    browser.click("#analyse")
    browser.wait("document.querySelector('#note').textContent === 'Analysed.'")
    assert browser.text("#run") == run
    is_one_origin(system, browser, browser.path(), f"document.querySelector('#run')?.textContent === '{run}'")
    system.kill_backend()
    browser.driver.refresh()
    browser.wait(f"document.querySelector('#run')?.textContent === '{run}'")
    browser.click("header a")
    browser.wait("document.querySelectorAll('#stories li').length === 1")
    assert browser.js("return performance.getEntriesByType('resource').every((e) => e.name.startsWith(origin))")


@pytest.mark.parametrize("old, new, complaint", [
    ("  rewrite:\n" + REWRITE, "", r"other origin: http://127\.0\.0\.1:8000/api/v1"),
    ("/api/, /healthz,", "/healthz,", r"status 404: .*/api/v1|console: .*SyntaxError"),
    ("  fallback: index.html\n", "", r"status 404: .*/studio/x"),
])
def test_without_its_rows_it_breaks(system, driver, old, new, complaint):
    with system.changed(old, new):
        complaint_of(system, driver, "/studio/x", complaint)
