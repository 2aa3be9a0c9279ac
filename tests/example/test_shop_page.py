"""The shop of the example, in a real browser: htmx swaps in rows, a basket counts, and the history has whole pages."""

from __future__ import annotations

from collections.abc import Iterator
from json import loads
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")
pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.sites.browser import start_chromium
from tests.sites.example_site import serve_example


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_example(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with start_chromium(tmp_path / "profile", height=900) as driver:
        yield driver


def names(browser: Chrome) -> list[str]:
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#rows tr td:first-child")]


def wait_until(browser: Chrome, is_so, what: str) -> None:
    wait = WebDriverWait(browser, 15, ignored_exceptions=[StaleElementReferenceException])  # seconds
    wait.until(lambda page: is_so(), what)


def test_htmx_swaps_in_what_the_search_finds_and_the_basket_is_kept(browser: Chrome, site: str) -> None:
    browser.get(f"{site}/shop")
    browser.execute_script("window.isTheFirstPage = true")
    browser.execute_script("document.body.addEventListener('basketChanged', e => window.counted = e.detail.count)")
    assert len(names(browser)) == 10

    browser.find_element(By.NAME, "search").send_keys("teapot")
    wait_until(browser, lambda: set(names(browser)[:1]) == {"Amber Teapot"}, "teapots alone")
    assert browser.current_url == f"{site}/shop?search=teapot"

    browser.find_element(By.CSS_SELECTOR, "#rows button").click()
    basket = browser.find_element(By.ID, "basket")
    wait_until(browser, lambda: "Amber Teapot is in the basket." in basket.text, "the message")
    assert basket.text.startswith("Basket: 1") and browser.execute_script("return window.counted") == 1
    assert browser.execute_script("return window.isTheFirstPage") is True  # nothing was loaded as a whole

    browser.refresh()  # the same URL, and now a whole page
    assert browser.find_element(By.TAG_NAME, "h1").text == "Shop"
    assert names(browser)[0] == "Amber Teapot"
    assert browser.find_element(By.ID, "basket").text == "Basket: 1"  # the message was shown

    browser.back()
    wait_until(browser, lambda: names(browser)[:2] == ["Amber Bench", "Amber Hose"], "the page before")
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1

    events = [loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {urlsplit(url).netloc for url in sent if url.startswith("http")} == {urlsplit(site).netloc}
