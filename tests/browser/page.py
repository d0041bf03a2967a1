# A browser as the tests see it: opens pages, takes screens, measures, and remembers every complaint.
import base64
import json
import pathlib
import time
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

SCREENS = pathlib.Path(__file__).parents[2] / "build" / "screens"
MEASURE = pathlib.Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --disable-default-apps --disable-dev-shm-usage --hide-scrollbars --lang=en-GB""".split()
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")


def start_driver(profile: pathlib.Path) -> webdriver.Chrome:
    """A fresh Chromium from the distribution; nothing is downloaded."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


class Browser:
    """One page at a time on one origin; `problems()` is what nobody expected."""

    def __init__(self, driver: webdriver.Chrome, origin: str):
        self.driver = driver
        self.origin = origin.rstrip("/")
        self.expected: set[str] = set()
        self.found: list[str] = []
        self.seen: dict[str, str] = {}
        self.answered: set[str] = set()
        self.size("desk")
        self.scheme("light")

    # ---- where we are -------------------------------------------------------------------------

    def open(self, path: str) -> None:
        self._read_log()
        self.answered.clear()
        self.driver.get(self.origin + path)

    def open_missing(self, path: str) -> None:
        """Opens a page whose 404 is what the test wants to see."""
        self.expected.add(self.origin + path)
        self.open(path)

    def path(self) -> str:
        return self.js("return location.pathname + location.search")

    def size(self, name_or_width) -> None:
        width, height = SIZES.get(name_or_width) or (name_or_width, 800)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def scheme(self, scheme: str) -> None:
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}]})

    # ---- what is on it ------------------------------------------------------------------------

    def js(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        return self.js("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def count(self, selector: str) -> int:
        """How many of them can be seen."""
        return self.js("""return [...document.querySelectorAll(arguments[0])]
            .filter((e) => e.checkVisibility() && e.getClientRects().length).length""", selector)

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """The text or label of what has the focus."""
        return self.js("""const e = document.activeElement;
            return e.getAttribute('aria-label') || e.innerText || e.name || e.tagName""")

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Until the JavaScript expression is true; fails with what it was."""
        deadline = time.monotonic() + seconds
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"never came true at {self.path()}: {condition}"
            time.sleep(0.02)

    def _holds(self, condition: str) -> bool:
        try:
            return self.js(f"return Boolean({condition})")
        except JavascriptException:  # the page went away while it was asked
            return False

    # ---- how it looks -------------------------------------------------------------------------

    def screens(self, name: str) -> None:
        """The page on a desk and on a phone, light and dark, into build/screens/; the text of each
        must be readable and the page no wider than the window."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        for size in SIZES:
            for scheme in SCHEMES:
                self.size(size)
                self.scheme(scheme)
                self.js("document.activeElement.matches('dialog *') || scrollTo(0, 0)")
                assert self.faint_text() == [], f"{name} {size} {scheme}: contrast too low"
                assert self.overflow() == [], f"{name} {size} {scheme}: wider than the window"
                shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
                    "format": "png", "captureBeyondViewport": True, **self._whole_page()})
                file = SCREENS / f"{name}-{SIZES[size][0]}-{scheme}.png"
                file.write_bytes(base64.b64decode(shot["data"]))
        self.size("desk")
        self.scheme("light")

    def _whole_page(self) -> dict:
        width, height = self.js("""const r = document.documentElement;
            return [innerWidth, Math.min(Math.max(r.scrollHeight, innerHeight), 6000)]""")
        return {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}

    def faint_text(self) -> list:
        """Texts with less contrast than 4.5 (3 when large), as [ratio, text]."""
        return self.js(MEASURE + "return faintText()")

    def overflow(self) -> list:
        """Elements that make the page wider than the window."""
        return self.js(MEASURE + "return overflow()")

    # ---- what went wrong ----------------------------------------------------------------------

    def problems(self) -> list[str]:
        """Console errors, failed requests and requests to other origins since the last call."""
        self._read_log()
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE" and not self._is_expected(entry["message"]):
                self.found.append(f"console: {entry['message']}")
        found, self.found = self.found, []
        return found

    def wait_answered(self, path: str, seconds: float = 60) -> None:
        """Until the head of an answer came from an address that starts so, since this page was opened by `open`."""
        deadline = time.monotonic() + seconds
        while not any(url.startswith(self.origin + path) for url in self.answered):
            assert time.monotonic() < deadline, f"nothing came from {path}"
            self._read_log()
            time.sleep(0.02)

    def _read_log(self) -> None:
        for entry in self.driver.get_log("performance"):
            self._read_network(json.loads(entry["message"])["message"])

    def _is_expected(self, message: str) -> bool:
        return any(message.startswith(f"{url} ") for url in self.expected)

    def _read_network(self, message: dict) -> None:
        method, params = message["method"], message["params"]
        if method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            self.seen[params["requestId"]] = url
            parts = urlsplit(url)
            if parts.scheme in ("http", "https", "ws", "wss") and \
                    f"{parts.scheme}://{parts.netloc}" != self.origin:
                self.found.append(f"other origin: {url}")
        elif method == "Network.responseReceived":
            response = params["response"]
            self.answered.add(response["url"])
            if response["status"] >= 400 and response["url"] not in self.expected:
                self.found.append(f"status {response['status']}: {response['url']}")
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            url = self.seen.get(params["requestId"], "?")
            if url not in self.expected:
                self.found.append(f"failed: {url} {params.get('errorText')}")
