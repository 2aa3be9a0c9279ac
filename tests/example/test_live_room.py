"""The live room of the example, in a real browser: two people who talk, one who comes back, who is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")
pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")

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
def browsers(tmp_path: Path) -> Iterator[tuple[Chrome, Chrome]]:
    with start_chromium(tmp_path / "one", height=900) as one, start_chromium(tmp_path / "other", height=900) as other:
        yield one, other


def text_of(browser: Chrome, name: str) -> str:
    return browser.find_element(By.ID, name).text


def wait_for(browser: Chrome, name: str, text: str) -> None:
    wait = WebDriverWait(browser, 15)  # seconds
    wait.until(lambda page: text in text_of(page, name), f"{text!r} in #{name}, which has {text_of(browser, name)!r}")


def come_in(browser: Chrome, site: str, user: str) -> None:
    browser.get(f"{site}/live?room=browsers")
    browser.find_element(By.NAME, "username").send_keys(user)
    browser.find_element(By.NAME, "password").send_keys(f"{user}-password")
    browser.find_element(By.CSS_SELECTOR, "#login button").click()
    wait_for(browser, "state", "connected")


def say(browser: Chrome, text: str) -> None:
    browser.find_element(By.NAME, "text").send_keys(text)
    browser.find_element(By.CSS_SELECTOR, "#say button").click()


def test_two_people_talk_and_see_each_other(browsers: tuple[Chrome, Chrome], site: str) -> None:
    one, other = browsers
    come_in(one, site, "admin")
    wait_for(one, "present", "admin")
    come_in(other, site, "demo")
    wait_for(one, "present", "admin, demo")
    say(one, "Good evening")
    say(other, "Good morning")
    for browser in browsers:
        wait_for(browser, "lines", "admin: Good evening")
        wait_for(browser, "lines", "demo: Good morning")
    other.get("about:blank")
    WebDriverWait(one, 15).until(lambda page: text_of(page, "present") == "admin")


def test_a_lost_connection_is_resumed_where_it_was(browsers: tuple[Chrome, Chrome], site: str) -> None:
    one, other = browsers
    come_in(one, site, "admin")
    come_in(other, site, "demo")
    say(one, "Before")
    wait_for(other, "lines", "Before")
    other.execute_script("wait = 3000; socket.close()")  # milliseconds, until it comes back by itself
    wait_for(other, "state", "disconnected")
    say(one, "Meanwhile")
    wait_for(one, "lines", "Meanwhile")
    wait_for(other, "lines", "Meanwhile")
    assert text_of(other, "lines").count("Before") == 1
    assert "missed" not in text_of(other, "lines")
