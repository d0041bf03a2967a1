# Star Chart: a single-page app below a path; deep links, search, keyboard, themes.
import pytest

TAB, ENTER, ESCAPE, DOWN, UP = "\ue004", "\ue007", "\ue00c", "\ue015", "\ue013"
READY = "document.querySelector('.stars a, .side .empty')"


def open_chart(browser, path="/"):
    browser.open("/star-chart" + path)
    browser.wait(READY)


def test_first_page(browser):
    open_chart(browser)
    assert browser.count(".stars li") == 71
    assert browser.text(".stars .name") == "Sirius"
    browser.screens("star-chart")


def test_assets_are_hashed_and_below_the_mount(browser):
    open_chart(browser)
    sources = browser.js("return performance.getEntriesByType('resource').map((e) => e.name)")
    assets = [source for source in sources if "/assets/" in source]
    assert assets and all("/star-chart/assets/index-" in asset for asset in assets)


def test_deep_link_survives_a_reload(browser):
    open_chart(browser, "/star/vega")
    assert browser.text("h1") == "Vega"
    browser.driver.refresh()
    browser.wait("document.querySelector('h1')?.innerText === 'Vega'")
    assert browser.js("return document.title") == "Vega · Star Chart"
    browser.screens("star-chart-vega")


def test_longest_name_and_story(browser):
    open_chart(browser, "/star/rigil-kentaurus")
    browser.screens("star-chart-rigil-kentaurus")


def test_links_do_not_reload_and_back_works(browser):
    open_chart(browser)
    browser.js("window.stayed = true")
    browser.click(".stars a[href$='/star/canopus']")
    browser.wait("document.querySelector('h1').innerText === 'Canopus'")
    browser.click("a[rel=next]")
    browser.wait("document.querySelector('h1').innerText === 'Rigil Kentaurus'")
    browser.driver.back()
    browser.driver.back()
    browser.wait("document.querySelector('.sheet') && window.stayed")


def test_a_star_on_the_sheet_opens(browser):
    open_chart(browser)
    browser.js("""const dot = [...document.querySelectorAll('.sheet .star')]
        .find((g) => g.textContent.startsWith('Arcturus'));
        dot.dispatchEvent(new MouseEvent('click', { bubbles: true }))""")
    browser.wait("location.pathname.endsWith('/star/arcturus')")


def test_search_and_order_live_in_the_address(browser):
    open_chart(browser, "/?q=bootes")
    assert browser.count(".stars li") == 1
    open_chart(browser, "/?light=red&sort=distance")
    names = browser.js("return [...document.querySelectorAll('.stars .name')].map((e) => e.innerText)")
    assert names == ["Gacrux", "Mirach", "Betelgeuse", "Antares"]
    browser.screens("star-chart-red")


def test_search_without_hits(browser):
    open_chart(browser, "/?q=pluto")
    assert "No star matches" in browser.text(".side .empty")
    browser.screens("star-chart-empty")
    browser.click(".side .empty button")
    browser.wait("document.querySelectorAll('.stars li').length === 71")
    assert browser.path() == "/star-chart/"


def test_keyboard_from_search_to_star_and_back(browser):
    open_chart(browser)
    browser.keys("/", "dragon")
    browser.wait("document.querySelector('.side .empty')")
    browser.keys(ESCAPE, "draco", DOWN)
    assert browser.focused().startswith("Eltanin")
    browser.keys(DOWN, UP, DOWN, ENTER)
    browser.wait("location.pathname.endsWith('/star/thuban')")
    browser.keys("[")
    browser.wait("location.pathname.endsWith('/star/megrez')")
    browser.keys("]")
    browser.wait("location.pathname.endsWith('/star/thuban')")
    browser.keys(ESCAPE)
    browser.wait("!location.search")
    browser.keys(TAB, ESCAPE)
    browser.wait("location.pathname === '/star-chart/'")


def test_shortcuts_are_listed(browser):
    open_chart(browser)
    browser.keys("?")
    browser.wait("document.querySelector('dialog[open]')")
    assert "Keyboard shortcuts" in browser.text("dialog")
    browser.screens("star-chart-shortcuts")
    browser.keys(ESCAPE)
    browser.wait("!document.querySelector('dialog[open]')")
    browser.keys("?")
    browser.wait("document.querySelector('dialog[open]')")


def test_theme_is_kept(browser):
    open_chart(browser)
    light = browser.js("return getComputedStyle(document.body).backgroundColor")
    browser.keys("t")
    browser.wait("document.documentElement.dataset.theme === 'dark'")
    assert browser.js("return getComputedStyle(document.body).backgroundColor") != light
    browser.driver.refresh()
    browser.wait("document.documentElement.dataset.theme === 'dark'")


def test_unknown_star(browser):
    open_chart(browser, "/star/nibiru")
    assert browser.text("main h1") == "No such star"
    browser.screens("star-chart-unknown")


@pytest.mark.parametrize("path", ["/star-chart/assets/gone.js", "/star-chart/star/photo.png"])
def test_a_missing_file_is_not_the_app(browser, path):
    browser.open_missing(path)
    assert "404" in browser.text(".status")
