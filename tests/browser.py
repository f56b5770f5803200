"""Debian's Chromium, headless, with its console and its requests; for tests of pages in a real browser."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path

import pytest

LEFT, RIGHT, ENTER, TAB, ESCAPE = "\ue012", "\ue014", "\ue007", "\ue004", "\ue00c"
"""Keys, by WebDriver's code points."""

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """A running Chromium; ``open`` a page, then look at what it shows, logged and asked for."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.unhandled_prompt_behavior = "ignore"
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_page_load_timeout(60)

    def open(self, page: Path, width: int = 1280, scheme: str = "light", media: str = "") -> None:
        """Load a page from disk in a window of ``width`` pixels, in the light or the dark, on screen or on paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(page.as_uri())

    def js(self, code: str, *arguments: object) -> object:
        """What a script returns."""
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> list:
        """The elements of a CSS selector."""
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """The visible text of the first element of a selector."""
        return self.find(selector)[0].text

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def until(self, code: str) -> None:
        """Wait until a script returns something true. Raises TimeoutException if it never does."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(code))

    @property
    def console(self) -> list[str]:
        """What was written to the console since the page was opened, or since it was read last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for since the page was opened, or since they were read last."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    @property
    def dialog(self) -> str | None:
        """The text of an open alert."""
        from selenium.common.exceptions import NoAlertPresentException

        try:
            return self.driver.switch_to.alert.text
        except NoAlertPresentException:
            return None

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        width, height = self.js("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(shot["data"]))


def missing() -> str | None:
    """Why there is no browser here, or None if there is one."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed (extra: test)"
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacking)} (Debian: chromium, chromium-driver)" if lacking else None


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A Chromium for all tests of a session. Without one tests skip; with ABE_RERANK_REQUIRE_BROWSER=1 they fail."""
    reason = missing()
    if reason and os.environ.get("ABE_RERANK_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    running = Browser(tmp_path_factory.mktemp("chromium"))
    yield running
    running.driver.quit()
