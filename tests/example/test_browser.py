"""The example project, seen by a real browser: the admin from login to deletion, and the documentation page."""

from __future__ import annotations

from collections.abc import Iterator
from json import loads
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")
pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")

from PIL import Image
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.sites.browser import start_chromium
from tests.sites.example_site import serve_example


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example project under uvicorn."""
    with serve_example(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with start_chromium(tmp_path / "profile", height=900) as driver:
        yield driver


def wait_for(browser: Chrome, selector: str, text: str) -> None:
    """Wait until an element has the text; after a click that is on the next page."""
    gone = [NoSuchElementException, StaleElementReferenceException]
    wait = WebDriverWait(browser, 10, ignored_exceptions=gone)  # seconds
    wait.until(lambda page: text in page.find_element(By.CSS_SELECTOR, selector).text, f"{text!r} in {selector}")


def sign_in(browser: Chrome, site: str) -> None:
    browser.get(f"{site}/admin/")
    browser.find_element(By.NAME, "username").send_keys("admin")
    browser.find_element(By.NAME, "password").send_keys("admin-password")
    browser.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    wait_for(browser, "#content", "Site administration")


def hosts_asked(browser: Chrome) -> set[str]:
    """Every host the page made the browser send a request to."""
    events = [loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return {urlsplit(url).netloc for url in sent if url.startswith(("http:", "https:", "ws:", "wss:"))}


def test_the_admin_has_its_styles_and_scripts(browser: Chrome, site: str) -> None:
    sign_in(browser, site)
    header = browser.find_element(By.ID, "header")
    assert header.value_of_css_property("display") == "flex"
    assert header.value_of_css_property("background-color") not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    browser.get(f"{site}/admin/catalog/product/")
    assert browser.execute_script("return typeof django.jQuery") == "function"
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in complaints if "favicon.ico" not in message] == []


def test_a_product_is_uploaded_seen_and_deleted(browser: Chrome, site: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "samovar.png")
    sign_in(browser, site)

    browser.get(f"{site}/admin/catalog/product/add/")
    browser.find_element(By.NAME, "name").send_keys("Browsed Samovar")
    Select(browser.find_element(By.NAME, "category")).select_by_value("kitchen")
    Select(browser.find_element(By.NAME, "size")).select_by_value("large")
    browser.find_element(By.NAME, "price").send_keys("79.90")
    browser.find_element(By.NAME, "image").send_keys(str(tmp_path / "samovar.png"))
    browser.find_element(By.NAME, "_save").click()
    wait_for(browser, ".messagelist .success", "was added successfully")

    page = browser.find_element(By.LINK_TEXT, "Browsed Samovar").get_attribute("href")
    browser.get(page)
    browser.get(browser.find_element(By.CSS_SELECTOR, ".file-upload a").get_attribute("href"))
    assert browser.execute_script("return document.images[0].naturalWidth") == 40

    browser.get(page)
    browser.find_element(By.CSS_SELECTOR, "a.deletelink").click()
    wait_for(browser, "#content", "Are you sure")
    browser.find_element(By.CSS_SELECTOR, "form [type=submit][value^=Yes]").click()
    wait_for(browser, ".messagelist .success", "was deleted successfully")
    assert not browser.find_elements(By.LINK_TEXT, "Browsed Samovar")


def test_the_documentation_page_asks_no_other_host(browser: Chrome, site: str) -> None:
    browser.get(f"{site}/docs")
    wait_for(browser, "body", "/products")
    sleep(0.5)  # whatever else the page loads by itself
    assert hosts_asked(browser) == {urlsplit(site).netloc}


def test_the_old_page_has_its_style_and_its_second_page(browser: Chrome, site: str) -> None:
    browser.get(f"{site}/catalog/")
    assert browser.find_element(By.TAG_NAME, "table").value_of_css_property("border-collapse") == "collapse"
    browser.find_element(By.LINK_TEXT, "Next").click()
    wait_for(browser, "nav", "Page 2 of 10")
