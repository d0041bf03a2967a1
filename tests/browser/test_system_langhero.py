# The language game: turns over a WebSocket, media, a made env module, an inline script under a strict policy.
import pytest

from conftest import clean_page
from system import complaint_of, is_one_origin, running

SPOKEN = 30_000  # five chunks of 6,000 bytes


@pytest.fixture(name="system", scope="module")
def fixture_system(tmp_path_factory):
    with running("langhero", tmp_path_factory.mktemp("langhero"), "/api/meta") as system:
        yield system


@pytest.fixture(name="browser")
def fixture_browser(driver, system):
    yield from clean_page(driver, system.origin)


def test_a_scene_is_spoken(system, browser):
    browser.open("/")
    browser.wait("document.querySelector('#panel')?.naturalWidth === 640")  # JPEG bytes named .png
    browser.wait("document.querySelector('#clip').readyState >= 2")
    browser.screens("system-langhero")
    browser.click("#start")
    browser.wait("location.pathname === '/play/1' && document.querySelector('#speak')")
    browser.click("#speak")
    browser.wait("document.querySelector('#hud').textContent === 'Score 10'")
    assert browser.text("#heard") == "Well said."
    assert browser.js("return document.querySelector('#hud').dataset.bytes") == str(SPOKEN)
    browser.click("#note")
    browser.wait("document.querySelector('#kept')?.readyState >= 2")
    assert len(list((system.app / "voice_notes").iterdir())) == 1
    browser.screens("system-langhero-play")
    is_one_origin(system, browser, "/play/1", "document.querySelector('#speak') && "
                  "document.querySelector('#clip').readyState >= 2")


def test_a_text_becomes_scenes_that_are_shared_and_taken_back(browser):
    browser.open("/import")
    browser.wait("document.querySelector('#text')")
    browser.driver.find_element("css selector", "#text").send_keys("Good evening. A cup of coffee!")
    browser.click("#import")
    browser.wait("document.querySelector('#note').textContent === '2 scenes'")
    browser.open("/menu")
    browser.wait("document.querySelector('#publish')")
    browser.click("#publish")
    browser.wait("document.querySelector('#shared a')")
    browser.click("#shared a")
    browser.wait("document.querySelector('#unpublish')")
    browser.driver.refresh()
    browser.wait("document.querySelector('#lines')?.children.length === 2")
    assert browser.text("#title") == "Good evening"
    browser.click("#unpublish")
    browser.wait("location.pathname === '/menu' && document.querySelector('#publish')")


def test_only_the_microphone_is_allowed(browser):
    browser.open("/")
    browser.wait("document.querySelector('#start')")
    allowed = browser.js("return ['microphone', 'camera'].map((f) => document.featurePolicy.allowsFeature(f))")
    assert allowed == [True, False]


def test_no_other_script_runs(browser):
    """The policy names the one inline script; another one is refused, which the console tells."""
    browser.open("/")
    browser.wait("document.querySelector('#start')")
    browser.js("""const s = document.createElement('script'); s.textContent = 'window.isBroken = true';
                  document.body.append(s)""")
    assert browser.js("return window.isBroken ?? false") is False
    complaints = browser.problems()
    assert len(complaints) == 1 and "Content Security Policy" in complaints[0]


@pytest.mark.parametrize("old, new, complaint", [
    ('    - { files: "*.js", from: "http://localhost:8000", to: "" }', "    []",
     "localhost:8000/api/.* Content Security Policy"),
    ("  env: { path: /_app/env.js, values: { PUBLIC_BACKEND_URL: $PUBLIC_URL } }\n", "", r"status 404: .*/env\.js"),
    ("script-src 'self' {scripts}", "script-src 'self'", "inline script.* Content Security Policy"),
    (" /examples/,", "", r"status 404: .*/examples/welcome\.wav"),
    (" /images/generated/,", "", r"status 404: .*/tea-house\.png"),
])
def test_without_its_rows_it_breaks(system, driver, old, new, complaint):
    with system.changed(old, new):
        complaint_of(system, driver, "/play/1", complaint)
