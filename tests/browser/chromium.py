"""Start Debian's Chromium and talk to it.

What must live here: flags, emulation of a phone and of colour schemes, and what Chromium's console
says. What this file does not know: the chat.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

if TYPE_CHECKING:
    from collections.abc import Iterator

DESKTOP = (1280, 800)
PHONE = (390, 844)

SCRIPT_SECONDS = 120
"""For a script that tells when it is done, however busy the machine is."""

# As root in a container there is no sandbox and no GPU; nothing here needs the network.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--lang=en-GB",
    f"--window-size={DESKTOP[0]},{DESKTOP[1]}",
)

# Runs before every document: what the Content-Security-Policy refused is kept for the test.
RECORD_VIOLATIONS = """
window.cspViolations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.cspViolations.push(`${event.effectiveDirective} ${event.blockedURI}`);
});
"""


@contextmanager
def chromium() -> Iterator[Chrome]:
    """Yield a browser with a profile of its own."""
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={profile}")
        options.binary_location = (
            shutil.which("chromium")
            or shutil.which("chromium-browser")
            or shutil.which("google-chrome")
            or ""
        )
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = Chrome(options, ChromeService(shutil.which("chromedriver")))
        driver.set_script_timeout(SCRIPT_SECONDS)
        try:
            on_new_document(driver, RECORD_VIOLATIONS)
            yield driver
        finally:
            driver.quit()


def on_new_document(driver: Chrome, source: str) -> str:
    """Run JavaScript before every document; return the key for ``forget_script``."""
    answer = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    return str(answer["identifier"])


def forget_script(driver: Chrome, key: str) -> None:
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": key})


def use_screen(driver: Chrome, size: tuple[int, int], *, phone: bool = False) -> None:
    """Give the page a viewport of ``size`` CSS pixels; a phone also has touch and many pixels."""
    width, height = size
    metrics = {
        "width": width,
        "height": height,
        "deviceScaleFactor": 2 if phone else 1,
        "mobile": phone,
    }
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})


def use_media(driver: Chrome, **features: str) -> None:
    """Emulate media features, such as ``prefers_color_scheme="dark"``."""
    emulated = [
        {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": emulated})


def console_errors(driver: Chrome) -> list[str]:
    """Return and forget what the console shows in red."""
    answer = driver.execute("getLog", {"type": "browser"})
    return [str(entry["message"]) for entry in answer["value"] if entry["level"] == "SEVERE"]


def csp_violations(driver: Chrome) -> list[str]:
    """Return what the Content-Security-Policy of this document has refused so far."""
    return [str(violation) for violation in driver.execute_script("return window.cspViolations")]
