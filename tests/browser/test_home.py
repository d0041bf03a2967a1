# The host's home page and dais's own error page.
import pytest


def test_home_lists_the_apps(browser):
    browser.open("/")
    assert browser.count("li") == 2
    assert "Field Notes" in browser.text("ul") and "Star Chart" in browser.text("ul")
    browser.screens("home")


@pytest.mark.parametrize("title, path", [("Field Notes", "/field-notes/"),
                                         ("Star Chart", "/star-chart/")])
def test_home_links_lead_to_the_apps(browser, title, path):
    browser.open("/")
    browser.js("""[...document.links].find((a) => a.innerText === arguments[0]).click()""", title)
    browser.wait(f"location.pathname === '{path}' && document.title.startsWith('{title}')")


def test_home_by_keyboard(browser):
    browser.open("/")
    browser.keys("\ue004")  # Tab
    first = browser.js("return document.activeElement.getAttribute('href')")
    assert browser.js("return getComputedStyle(document.activeElement, '::after').outlineStyle") == "solid"
    browser.keys("\ue007")  # Enter
    browser.wait(f"location.pathname === '{first}'")


def test_missing_page_of_the_host(browser):
    browser.open_missing("/there-is-nothing-here")
    assert "404" in browser.text(".status")
    assert browser.text("footer code") != ""
    browser.screens("error-404")
    browser.click(".home a")
    browser.wait("location.pathname === '/'")


def test_missing_app_of_the_host(browser):
    browser.open_missing("/no-such-app/deep/page")
    assert "404" in browser.text(".status")


@pytest.mark.parametrize("path", ["/", "/field-notes/", "/field-notes/trees/", "/field-notes/docs/",
                                  "/star-chart/", "/star-chart/star/rigil-kentaurus",
                                  "/star-chart/?q=nothing"])
def test_no_page_is_wider_than_a_small_phone(browser, path):
    browser.size(360)
    browser.open(path)
    browser.wait("document.querySelector('h1, h2')")
    assert browser.overflow() == []
