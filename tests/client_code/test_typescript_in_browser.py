"""The client in TypeScript in a real browser, against the example project, with connections that are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")


from hybrid_gateway.client_code.typescript_client import typescript_client
from tests.client_code.conftest import Documents, compile_all
from tests.sites.browser import start_chromium
from tests.sites.cut_proxy import cut_proxy

# Modules are given to the page as text: the server serves none of them.
RUN = """
const [fetching, client, driven, name, done] = arguments;
const moduleOf = (text) => URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
(async () => {
  const inner = moduleOf(client.replaceAll('"openapi-fetch"', JSON.stringify(moduleOf(fetching))));
  const module = await import(moduleOf(driven.replaceAll('"./example/client.js"', JSON.stringify(inner))));
  return await module[name]();
})().then(done, (error) => done({error: String(error && error.stack || error)}));
"""

Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def run(site: str, example: Documents, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a function of ``driven/browser.ts`` in a page of the example project."""
    typescript_client(*example, folder).write(folder / "example")
    compile_all(folder)
    texts = [
        (folder / "node_modules/openapi-fetch/dist/index.mjs").read_text(),
        (folder / "built/example/client.js").read_text(),
        (folder / "built/browser.js").read_text(),
    ]
    with (
        cut_proxy(urlsplit(site).port or 0) as proxy,
        start_chromium(tmp_path_factory.mktemp("profile"), height=600) as page,
    ):
        page.set_script_timeout(40)

        def run_(name: str) -> dict[str, Any]:
            page.get(f"{proxy.url}/hello")
            answer = page.execute_async_script(RUN, *texts, name)
            assert "error" not in answer, answer["error"]
            return answer

        yield run_


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
