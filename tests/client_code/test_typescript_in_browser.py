"""Clients in TypeScript: what compiles, and what they do in a real browser, with connections that are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")

from selenium.webdriver import Chrome

from hybrid_gateway.client_code.typescript_client import typescript_client
from tests.client_code import lively
from tests.client_code.conftest import Documents, compile_all, documents_of
from tests.openapi.clients import zoo
from tests.sites.browser import start_chromium
from tests.sites.cut_proxy import cut_proxy

# Modules are given to the page as text: the server serves none of them.
RUN = """
const [fetching, client, driven, name, done] = arguments;
const moduleOf = (text) => URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
(async () => {
  const inner = moduleOf(client.replaceAll('"openapi-fetch"', JSON.stringify(moduleOf(fetching))));
  const module = await import(moduleOf(driven.replaceAll(/"[.][/]\\w+[/]client[.]js"/g, JSON.stringify(inner))));
  return await module[name]();
})().then(done, (error) => done({error: String(error && error.stack || error)}));
"""

Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def built(example: Documents, folder: Path) -> Path:
    """The folder with the clients of three APIs, compiled with ``types.ts``."""
    for name, documents in {
        "example": example,
        "lively": documents_of(lively.routes),
        "zoo": documents_of(zoo.routes),
    }.items():
        typescript_client(*documents, folder).write(folder / name)
    compile_all(folder)
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with start_chromium(tmp_path_factory.mktemp("profile"), height=600) as page:
        page.set_script_timeout(40)
        yield page


def runner(page: Chrome, built: Path, client: str, driven: str, url: str) -> Run:
    """Run a function of a module in a page of the site."""
    files = ("node_modules/openapi-fetch/dist/index.mjs", f"built/{client}/client.js", f"built/{driven}.js")
    texts = [(built / file).read_text() for file in files]

    def run(name: str) -> dict[str, Any]:
        page.get(url)
        answer = page.execute_async_script(RUN, *texts, name)
        assert "error" not in answer, answer["error"]
        return answer

    return run


@pytest.fixture
def run(page: Chrome, built: Path, site: str) -> Iterator[Run]:
    """Functions of ``browser.ts``, whose connections go through a proxy that cuts them."""
    with cut_proxy(urlsplit(site).port or 0) as proxy:
        yield runner(page, built, "example", "browser", f"{proxy.url}/hello")


@pytest.fixture
def lively_run(page: Chrome, built: Path, lively_site: str) -> Run:
    return runner(page, built, "lively", "lively_page", f"{lively_site}/whole/page")


# --- the example project ---------------------------------------------------------------------------------------------


def test_calls_are_typed_and_errors_are_problems(run: Run) -> None:
    assert run("calls") == {
        "refused": 401,
        "username": "admin",
        "price": "9.50",
        "image": True,
        "faults": [422, 1, 1],
        "removed": 204,
        "gone": "Not Found",
        "aborted": "AbortError",
    }


def test_a_room_is_followed_over_a_lost_connection(run: Run) -> None:
    answer = run("room")
    assert answer["lines"] == ["demo: before", "demo: now", "demo: meanwhile", "after"]
    assert answer["states"] == ["connecting", "open", "waiting", "connecting", "open", "closed"]
    assert (answer["joined"], answer["later"]) == (True, "closed")


def test_events_go_on_behind_the_last_one(run: Run) -> None:
    answer = run("events")
    first = answer["ids"][0]
    assert answer["ids"] == list(range(first, first + 12))
    assert answer["refused"] == ["Expected `float` <= 60.0"]


def test_what_is_refused_for_good_is_thrown(run: Run) -> None:
    assert run("refusals") == {"ticket": 401, "ended": "ConnectionEnded", "over": True}


# --- what the example has no use for ---------------------------------------------------------------------------------


def test_bodies_need_not_be_json(lively_run: Run) -> None:
    assert lively_run("bodies") == {
        "uploaded": {
            "title": "Two",
            "tags": ["a", "b"],
            "shape": {"type": "circle", "radius": 1.5},
            "sizes": [3, 3, 3],
        },
        "raw": {"size": 5, "type": "application/octet-stream"},
        "whole": "a/b c/ü",
        "bytes": [0, 255],
        "untold": True,
        "statuses": [202, 201, 403],
        "bare": True,
        "guarded": "passed",
    }


def test_messages_are_text_json_bytes_or_packed(lively_run: Run) -> None:
    answer = lively_run("talk")
    assert answer.pop("heard") == [
        {"text": "TEA", "room": "a b"},
        "plain text",
        [409, []],
        [422, ["message", "text"]],
    ]
    assert "needs what writes and reads it" in answer.pop("missing")
    assert answer == {
        "closed": "closed",
        "text": "x/y: 5",
        "binary": [3, 2, 1],
        "words": [{"text": "two", "room": ""}, {"text": "words", "room": ""}],
        "anything": "7",
        "steps": [{"done": 1}, {"done": 2}],
    }


def test_close_codes_say_whether_to_come_back(lively_run: Run) -> None:
    final = {code: f"ConnectionEnded: closed with {code}" for code in (1008, 4401, 4403, 4404, 4422)}
    waiting = dict.fromkeys((1001, 1011, 1012, 4408, 4429, 4503, 4599), "waiting")
    answer = {int(code): end for code, end in lively_run("closes").items()}
    assert answer == {1000: "over", **final, **waiting}


def test_a_connection_is_opened_again(lively_run: Run) -> None:
    answer = lively_run("comesBack")
    assert answer == {"states": ["connecting", "open", "waiting", "connecting", "open"], "last": "closed"}


def test_a_channel_gives_what_it_has_and_what_came_since(lively_run: Run) -> None:
    assert lively_run("channel") == {
        "all": ["one", "two", "three"],
        "seen": [["message", {"text": "four", "room": ""}], ["message", {"text": "five", "room": ""}]],
        "after": ["five"],
        "foreign": [{"missed": None, "recovered": False}, "one"],
    }


def test_events_have_their_types_and_are_asked_for_again(lively_run: Run) -> None:
    lively.busy_times.clear()
    answer = lively_run("events")
    assert answer["untyped"] == [
        {"event": "message", "data": "two\nlines", "id": "1"},
        {"event": "named", "data": "ä 😀", "id": "1"},
    ]
    assert answer["progress"] == [{"done": 0}, {"done": 1}, "finished"]
    assert answer["busy"] == [[2, "2"], [4, "4"]]
    assert lively.busy_times == ["", "", "2", "2"]
    refused = ("connecting", "waiting")
    assert answer["states"] == [*refused, "connecting", "open", "waiting", *refused, "connecting", "open", "closed"]
