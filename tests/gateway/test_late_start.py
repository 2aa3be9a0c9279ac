"""Start-up where no lifespan reaches the gateway: with the first request, once, and its end with the event loop."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from hybrid_gateway import Component, Gateway, get
from tests.dispatch.test_dispatch import scope_of

ROOT = Path(__file__).parents[2]
WARNING = "No lifespan reaches the gateway"


class Store(Component):
    lifetime = "app"

    async def resolve(self) -> AsyncIterator[list[str]]:
        EVENTS.append("open")
        yield EVENTS
        EVENTS.append("close")


EVENTS: list[str] = []


@pytest.fixture(autouse=True)
def nothing_has_happened():
    EVENTS.clear()


@get("/")
async def index(store: list[str]) -> list[str]:
    return list(store)


async def ask(application: Any, path: str = "/") -> int:
    """One request as a server makes it; its status."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope_of(path), receive, send)
    status: int = sent[0]["status"]
    return status


def make_gateway(**options: Any) -> Gateway:
    return Gateway([index], components=[Store()], **options)


def test_what_would_have_started_starts_with_the_first_request_and_says_so(caplog):
    async def started() -> None:
        EVENTS.append("started")

    def stopped() -> None:
        EVENTS.append("stopped")

    async def run() -> None:
        gateway = make_gateway(on_startup=[started], on_shutdown=[stopped])
        assert EVENTS == []
        assert [await ask(gateway) for _ in range(3)] == [200, 200, 200]
        assert EVENTS == ["open", "started"]

    with caplog.at_level(logging.WARNING, "hybrid_gateway"):
        asyncio.run(run())
    assert EVENTS == ["open", "started", "stopped", "close"]
    assert len([record for record in caplog.records if WARNING in record.message]) == 1


def test_requests_that_come_meanwhile_wait(caplog):
    async def slow() -> None:
        EVENTS.append("begin")
        await asyncio.sleep(0.01)
        EVENTS.append("end")

    async def run() -> list[int]:
        gateway = make_gateway(on_startup=[slow])
        return await asyncio.gather(*(ask(gateway) for _ in range(5)))

    assert asyncio.run(run()) == [200] * 5
    assert EVENTS == ["open", "begin", "end", "close"]


def test_a_failure_is_the_first_requests_and_the_next_one_tries_again():
    async def fail_once() -> None:
        EVENTS.append("try")
        if EVENTS.count("try") == 1:
            raise RuntimeError("not yet")

    async def run() -> None:
        gateway = Gateway([index], components=[Store()], on_startup=[fail_once])
        with pytest.raises(RuntimeError, match="not yet"):
            await ask(gateway)
        assert await ask(gateway) == 200

    asyncio.run(run())
    assert EVENTS.count("try") == 2


def test_a_start_that_is_left_by_its_request_goes_on():
    release = asyncio.Event()

    async def run() -> None:
        gateway = make_gateway(on_startup=[release.wait])
        first = asyncio.ensure_future(ask(gateway))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        assert await ask(gateway) == 200

    asyncio.run(run())


def test_task_groups_of_a_lifespan_are_left_in_the_task_that_entered_them():
    async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(asyncio.Event().wait())
            yield
            waiting.cancel()
            EVENTS.append("left")

    async def run() -> None:
        assert await ask(Gateway([index], components=[Store()], lifespan=[lifespan])) == 200

    asyncio.run(run())
    assert EVENTS == ["open", "left", "close"]


def test_a_gateway_with_nothing_to_start_says_nothing(caplog):
    @get("/")
    async def plain() -> str:
        return "plain"

    assert asyncio.run(ask(Gateway([plain]))) == 200
    assert WARNING not in caplog.text


def test_a_server_with_lifespan_starts_it_before(caplog):
    async def run() -> None:
        gateway = make_gateway()
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        answered: list[str] = []

        async def receive() -> Any:
            message = next(messages)
            if message["type"] == "lifespan.shutdown":
                assert await ask(gateway) == 200
            return message

        async def send(message: Any) -> None:
            answered.append(message["type"])

        await gateway({"type": "lifespan"}, receive, send)
        assert answered == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(run())
    assert EVENTS == ["open", "close"]
    assert WARNING not in caplog.text


# --- under a server

SITE = """
    import asyncio, sys
    import django
    from django.conf import settings
    settings.configure(
        SECRET_KEY="late", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["hybrid_gateway"], ROOT_URLCONF="late_site"
    )
    django.setup()
    from hybrid_gateway import Gateway, get

    urlpatterns = []

    def say(word):
        print(word, file=sys.stderr, flush=True)

    @get("/slow")
    async def slow() -> str:
        say("asked")
        await asyncio.sleep(0.3)
        say("answered")
        return "slow"

    gateway = Gateway([slow], on_startup=[lambda: say("up")], on_shutdown=[lambda: say("down")])

    async def wrapped(scope, receive, send):
        if scope["type"] != "http":
            raise ValueError("no application for that")
        await gateway(scope, receive, send)
"""
SERVERS = {
    "a wrapper": "'late_site:wrapped'",
    "lifespan off": "'late_site:gateway', lifespan='off'",
    "the lane": "'late_site:gateway', lifespan='off', http=LaneProtocol",
}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS.keys())
def test_a_server_that_is_stopped_shuts_down_what_the_first_request_has_started(tmp_path, command):
    pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")
    (tmp_path / "late_site.py").write_text(textwrap.dedent(SITE))
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    paths = [str(ROOT), str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    lane = "from hybrid_gateway.drivers.lane.protocol import LaneProtocol; " * ("LaneProtocol" in command)
    arguments = [
        sys.executable,
        "-c",
        f"{lane}import uvicorn; uvicorn.run({command}, port={port}, log_level='warning')",
    ]
    with subprocess.Popen(arguments, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            with closing(ask_slowly(port)) as connection:
                said = list(iter(process.stderr.readline, "asked\n"))  # by then it is being answered
                process.terminate()
                assert connection.getresponse().read() == b"slow"
            said += process.stderr.readlines()
        finally:
            process.kill()
    assert [line for line in said if line in ("up\n", "answered\n", "down\n")] == ["up\n", "answered\n", "down\n"]


def ask_slowly(port: int) -> http.client.HTTPConnection:
    """A connection on which /slow is asked for, once the server listens."""
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/slow")
            return connection
        except ConnectionRefusedError:
            sleep(0.1)
    raise TimeoutError("The server does not listen.")
