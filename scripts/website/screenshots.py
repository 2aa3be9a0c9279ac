"""Take the pictures of the site: the example project's admin and the page of its API, by day and by night.

python -m website.screenshots     write them into docs/images; needs chromium and chromedriver
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from website.repository import DOCS, ROOT

IMAGES = DOCS / "images"
PROJECT = ROOT / "example_project"
PAGES = {"admin": ("/admin/catalog/product/", ("light", "dark")), "api": ("/docs", ("light",))}
SIZE = (960, 640)
COLORS = 64  # of the palette: flat pages need few, and a picture stays below 60 kB
PATIENCE = 60  # seconds for the server to start


@contextmanager
def example_project(folder: Path) -> Iterator[str]:
    """Serve the example project with rows of its own, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{folder / 'pictures.sqlite3'}", "PYTHONPATH": str(ROOT)}
    manage = [sys.executable, str(PROJECT / "manage.py")]
    for command in (["migrate", "--verbosity", "0"], ["seed"]):
        subprocess.run([*manage, *command], env=environment, check=True)
    server = subprocess.Popen([*manage, "runserver", address, "--noreload"], env=environment)
    try:
        wait_for(f"http://{address}/hello")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str) -> None:
    """Return once an address answers; raise :class:`TimeoutError` if it does not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except urllib.error.URLError:
            time.sleep(0.2)
    raise TimeoutError(f"{address} does not answer after {PATIENCE} s.")


def open_browser(folder: Path) -> Any:
    """Return a chromium without a window."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(argument)
    return Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))


def log_in(browser: Any, site: str) -> None:
    """Log in to the admin."""
    browser.get(f"{site}/admin/login/?next=/admin/")
    browser.find_element("name", "username").send_keys("admin")
    browser.find_element("name", "password").send_keys("admin-password")
    browser.find_element("css selector", "[type=submit]").click()


def take(browser: Any, address: str, scheme: str) -> bytes:
    """Return a page as it looks under a colour scheme: a PNG of few colours."""
    width, height = SIZE
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)
    time.sleep(1)  # for scripts and styles to come to rest
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    written = io.BytesIO()
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def main() -> None:
    """Take every picture."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, example_project(Path(name)) as site:
        browser = open_browser(Path(name))
        try:
            log_in(browser, site)
            for page, (path, schemes) in PAGES.items():
                for scheme in schemes:
                    (IMAGES / f"{page}-{scheme}.png").write_bytes(take(browser, f"{site}{path}", scheme))
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
