"""A real browser for pages: Chromium without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


@contextmanager
def start_chromium(profile: Path, height: int) -> Iterator[Chrome]:
    """Start Chromium with a fresh profile; it talks to nobody by itself. Skips the test where there is none."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs a browser: install Debian's chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for flag in [
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        f"window-size=1200,{height}",
        f"user-data-dir={profile}",
    ]:
        options.add_argument(f"--{flag}")
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
