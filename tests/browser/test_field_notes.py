# Field Notes: plain pages, a mount, redirects, an own error page and a search.
import pytest

TAB, ESCAPE = "\ue004", "\ue00c"


def test_first_page(browser):
    browser.open("/field-notes/")
    assert browser.count(".leaves li") == 12
    assert browser.js("return document.querySelector('.leaves use').getBBox().height") > 50
    browser.screens("field-notes")


@pytest.mark.parametrize("folder", ["trees", "docs"])
def test_folders_serve_their_index(browser, folder):
    browser.open(f"/field-notes/{folder}")
    assert browser.path() == f"/field-notes/{folder}/"
    assert browser.text("[aria-current=page]") != ""
    browser.screens(f"field-notes-{folder}")


def test_the_mounted_tokens_are_used(browser):
    browser.open("/field-notes/docs/")
    assert browser.js("return getComputedStyle(document.body).getPropertyValue('--space-4')") == "16px"


def test_redirects(browser):
    browser.open("/field-notes/glossary")
    assert browser.path() == "/field-notes/docs/"
    browser.open("/field-notes/guide/")
    assert browser.path() == "/field-notes/docs/"


def test_a_leaf_leads_to_its_tree(browser):
    browser.open("/field-notes/")
    browser.click(".leaves a[href$='#ginkgo']")
    browser.wait("location.pathname === '/field-notes/trees/' && location.hash === '#ginkgo'")
    browser.wait("document.querySelector('#ginkgo').getBoundingClientRect().top < innerHeight")


def test_search_by_keyboard(browser):
    browser.open("/field-notes/")
    browser.keys("/", "opposite")
    browser.wait("document.querySelector('output').value === '3 of 12 trees'")
    assert browser.path() == "/field-notes/?q=opposite"
    browser.driver.refresh()
    browser.wait("document.querySelector('output').value === '3 of 12 trees'")
    browser.keys("/", ESCAPE)
    browser.wait("document.querySelector('output').value === '12 trees'")


def test_search_without_hits(browser):
    browser.open("/field-notes/?q=cactus")
    assert browser.count(".leaves li") == 0
    assert "No leaf matches" in browser.text(".none")
    browser.screens("field-notes-empty")
    browser.click(".none button")
    assert browser.count(".leaves li") == 12


def test_kinds_of_leaf(browser):
    browser.open("/field-notes/?kind=compound")
    assert browser.count(".leaves li") == 2
    browser.js("document.querySelector('[name=kind]:checked').focus()")
    browser.keys("\ue012")  # left: from compound to smooth
    browser.wait("document.querySelector('output').value === '1 of 12 trees'")


def test_skip_link_comes_first(browser):
    browser.open("/field-notes/")
    browser.keys(TAB)
    assert browser.focused() == "Skip to the page"


@pytest.mark.parametrize("path", ["/field-notes/nothing", "/field-notes/trees/deep/down.html"])
def test_own_error_page(browser, path):
    browser.open_missing(path)
    assert browser.text("h1") == "No such leaf"
    if path.endswith("nothing"):
        browser.screens("field-notes-404")
    browser.click("#home")
    browser.wait("location.pathname === '/field-notes/'")


def test_the_same_files_work_alone_at_the_root(lone_browser):
    browser = lone_browser
    browser.open("/")
    assert browser.count(".leaves li") == 12
    browser.click("nav a[href='docs/']")
    browser.wait("location.pathname === '/docs/'")
    assert browser.js("return getComputedStyle(document.body).getPropertyValue('--space-4')") == "16px"
    browser.open_missing("/deep/nothing")
    browser.click("#home")
    browser.wait("location.pathname === '/'")
