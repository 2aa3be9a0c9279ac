"""The page of the documents in a real browser: websockets are shown beside HTTP, and tried from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")
pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")
pytest.importorskip("websockets", reason="needs websockets, which the extra `server` brings")

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hybrid_gateway import Gateway, get, listener
from hybrid_gateway.auth import APIKeyAuthentication, IsAuthenticated
from hybrid_gateway.conf import OpenAPISettings
from tests.sites.browser import start_chromium
from tests.sites.threaded_server import serve_in_thread


class Ask(msgspec.Struct, tag="ask"):
    """A question."""

    text: str


class Say(msgspec.Struct, tag="say"):
    text: str


class Said(msgspec.Struct):
    room: str
    text: str
    page: int


@get("/rooms")
async def rooms() -> list[str]:
    return []


@listener("/rooms/{room}/live", tags=["rooms"])
async def live(data: Ask | Say, room: str, page: int = 1) -> Said:
    """Talk in a room."""
    return Said(room, data.text, page)


@listener("/closed", authentication=[APIKeyAuthentication(query="key")], guards=[IsAuthenticated])
async def closed(data: str) -> str:
    return data


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Its URL under uvicorn."""
    with serve_in_thread(Gateway([rooms, live, closed], openapi=OpenAPISettings(enabled=True))) as url:
        yield url


@pytest.fixture
def page(site: str, tmp_path: Path) -> Iterator[Chrome]:
    with start_chromium(tmp_path / "profile", height=1200) as driver:
        driver.get(f"{site}/docs")
        yield driver


def wait_for(page: Chrome, selector: str, text: str) -> None:
    wait = WebDriverWait(page, 10)  # seconds
    wait.until(
        lambda _: any(text in element.text for element in page.find_elements(By.CSS_SELECTOR, selector)),
        f"{text!r} in {selector}",
    )


def opened(page: Chrome, path: str):
    """Open the details of a path."""
    wait_for(page, ".operation .path", path)
    [details] = [
        found
        for found in page.find_elements(By.CSS_SELECTOR, ".operation")
        if found.find_element(By.CSS_SELECTOR, ".path").text == path
    ]
    details.find_element(By.TAG_NAME, "summary").click()
    return details


def test_a_websocket_is_shown_and_talked_to(page: Chrome) -> None:
    details = opened(page, "/rooms/{room}/live")
    assert page.find_element(By.ID, "asyncapi").is_displayed()
    for shown in ("Talk in a room.", "CLIENTS SEND", "Ask", "A question.", "CLIENTS GET", "Said", "ErrorFrame", "404"):
        assert shown in details.text
    details.find_element(By.NAME, "path:room").send_keys("a b")
    details.find_element(By.NAME, "query:page").send_keys("2")
    button, send = details.find_elements(By.TAG_NAME, "button")
    button.click()
    wait_for(page, "pre.answer", "open")
    send.click()
    wait_for(page, "pre.answer", '← {"room":"a b","text":"string","page":2}')
    area = details.find_element(By.TAG_NAME, "textarea")
    area.clear()
    area.send_keys("nonsense")
    send.click()
    wait_for(page, "pre.answer", '← {"type":"error","title":"Bad Request","status":400')
    button.click()
    wait_for(page, "pre.answer", "closed with 1000")
    assert not [entry for entry in page.get_log("browser") if "Content Security Policy" in entry["message"]]


def test_a_refused_handshake_is_told(page: Chrome) -> None:
    details = opened(page, "/closed")
    assert "APIKeyAuthentication" in details.text
    details.find_element(By.NAME, "query:key").send_keys("wrong")
    details.find_elements(By.TAG_NAME, "button")[0].click()
    wait_for(page, "pre.answer", "not accepted")


def test_the_filter_finds_websockets(page: Chrome) -> None:
    wait_for(page, ".operation .path", "/closed")
    page.find_element(By.ID, "filter").send_keys("websocket")
    shown = [one.text for one in page.find_elements(By.CSS_SELECTOR, ".operation .path") if one.is_displayed()]
    assert sorted(shown) == ["/closed", "/rooms/{room}/live"]
