"""The site is built without a warning, and a browser finds its way in it without asking any other host."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sphinx")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from website.built_site import foreign_assets
from website.repository import DOCS, ROOT

from hybrid_gateway.problems.catalogue import catalogue
from tests.sites.browser import start_chromium

DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-j",
        "2",
        "-b",
        "dirhtml",
        "-d",
        out / "trees",
        DOCS,
        out / "html",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    built = subprocess.run(build, env=environment, capture_output=True, text=True, timeout=900)
    assert built.returncode == 0, built.stderr[-3000:]
    return out / "html"


class Files(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    with start_chromium(tmp_path_factory.mktemp("browser") / "profile", height=800) as driver:
        yield driver


def resize(browser: Any, size: tuple[int, int], scheme: str = "light") -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_nothing_is_asked_of_other_hosts(site):
    assert list(foreign_assets(site)) == []


def test_each_page_is_there(site):
    for page in [
        "404.html",
        "llms.txt",
        "llms-full.txt",
        "sitemap.xml",
        "models/index.md",
        "reference/hybrid_gateway/index.html",
    ]:
        assert (site / page).stat().st_size > 500, page
    for problem in catalogue():
        assert f"{problem} " in (site / "problems" / problem / "index.html").read_text(encoding="utf-8")
    assert "https://hybrid-gateway.github.io/hybrid_gateway/problems/E001/" in (site / "sitemap.xml").read_text()


@pytest.mark.parametrize("word", ["CONN_MAX_AGE", "reverse_url", "W030"])
def test_search_finds(browser, address, word):
    resize(browser, DESKTOP)
    browser.get(address)
    field = browser.find_element(By.CSS_SELECTOR, "input[name=q]")
    field.send_keys(word, Keys.ENTER)
    WebDriverWait(browser, 30).until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#search-results li a"))
    found = browser.find_elements(By.CSS_SELECTOR, "#search-results li a")
    assert found
    assert complaints(browser) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_landing_is_one_screen(browser, address, size, scheme):
    resize(browser, size, scheme)
    browser.get(address)
    assert browser.execute_script("return document.querySelector('.ways').getBoundingClientRect().bottom") < size[1]
    shown = [image for image in browser.find_elements(By.CSS_SELECTOR, ".picture img") if image.is_displayed()]
    assert [scheme in image.get_attribute("src") for image in shown] == [True]
    assert complaints(browser) == []


@pytest.mark.parametrize(
    "page", ["", "models/", "performance/", "settings/", "reference/hybrid_gateway.orm/", "problems/"]
)
def test_a_phone_scrolls_no_page_sideways(browser, address, page):
    resize(browser, PHONE)
    browser.get(address + page)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in asked if not name.startswith(address)] == []


def test_links_are_reached_by_keyboard(browser, address):
    resize(browser, DESKTOP)
    browser.get(f"{address}models/")
    reached = set()
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(browser.switch_to.active_element.tag_name)
    assert {"a", "input"} <= reached
