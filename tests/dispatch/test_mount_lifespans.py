"""Mounted ASGI applications have their lifespan inside that of the gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route as StarletteRoute

from hybrid_gateway import ConfigurationError, Gateway, Mount, get
from hybrid_gateway.test import TestClient
from tests.dispatch.test_dispatch import scope_of


async def show(request: Request) -> JSONResponse:
    request.state.seen = True
    return JSONResponse([getattr(request.state, "name", None), "seen" in request.scope["state"]])


def starlette(name: str, log: list[str]) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        log.append(f"{name} starts")
        yield {"name": name}
        log.append(f"{name} ends")

    return Starlette(routes=[StarletteRoute("/x", show)], lifespan=lifespan)


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_it_lies_inside_the_lifespan_of_the_gateway_and_each_has_a_state_of_its_own(protocol: Any) -> None:
    log: list[str] = []
    gateway = Gateway(
        [Mount("/a", starlette("a", log)), Mount("/b", starlette("b", log))],
        on_startup=[lambda: log.append("gateway starts")],
        on_shutdown=[lambda: log.append("gateway ends")],
    )
    with TestClient(gateway, protocol=protocol) as client:
        for _ in range(2):  # what a request adds to it is gone with the request
            assert client.get("/a/x").json() == ["a", True]
        assert client.get("/b/x").json() == ["b", True]
        gateway.register(plain)  # and the table is replaced
        assert client.get("/a/x").json() == ["a", True]
        assert log == ["gateway starts", "a starts", "b starts"]
    assert log[3:] == ["gateway ends", "b ends", "a ends"]


@get("/plain")
async def plain() -> str:
    return "plain"


def test_it_starts_with_the_first_request_where_no_server_tells_of_one(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    gateway = Gateway([plain, Mount("/a", starlette("a", log)), Mount("/also", starlette("also", log))])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        await gateway(scope_of("/a/x"), receive, send)
        assert log == ["a starts", "also starts"]

    asyncio.run(ask())
    assert sent[1]["body"] == b'["a",true]'
    assert log == ["a starts", "also starts", "also ends", "a ends"]
    assert "No lifespan reaches the gateway" in caplog.text


def test_one_application_at_two_paths_has_one() -> None:
    log: list[str] = []
    app = starlette("a", log)
    with TestClient(Gateway([Mount("/a", app), Mount("/b", app)])) as client:
        assert client.get("/a/x").json() == client.get("/b/x").json() == ["a", True]
    assert log == ["a starts", "a ends"]


async def returns(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await answer(scope, receive, send)


async def asserts(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await answer(scope, receive, send)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Takes any scope for a request."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def leaves(scope: Any, receive: Any, send: Any) -> None:
    """Has no shutdown."""
    if scope["type"] == "http":
        await answer(scope, receive, send)
    else:
        await receive()
        await send({"type": "lifespan.startup.complete"})


@pytest.mark.parametrize("app", [returns, asserts, answer, leaves])
def test_an_application_without_one_goes_without(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(Gateway([Mount("/a", app)])) as client:
        assert client.get("/a/").text == "here"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_django_itself_goes_without() -> None:
    with TestClient(Gateway([Mount("/a", get_asgi_application())])):
        pass


async def says_failed(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def broken(app: Starlette) -> Any:
    raise LookupError("no database")


@pytest.mark.parametrize("app", [says_failed, Starlette(lifespan=broken)])
def test_a_start_up_that_fails_is_told_and_ends_what_has_started(app: Any) -> None:
    log: list[str] = []
    gateway = Gateway([Mount("/first", starlette("first", log)), Mount("/broken", app)])
    with pytest.raises(ConfigurationError, match=r"(?s)start-up of <Mount /broken.*no database"), TestClient(gateway):
        pass
    assert log == ["first starts", "first ends"]
    assert gateway.dispatcher.mount_states == {}


def ending(error: str) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if error == "raises":
            raise LookupError("at the end")
        if error == "hangs":
            await asyncio.Event().wait()
        await send({"type": "lifespan.shutdown.failed", "message": "at the end"})

    return app


@pytest.mark.parametrize(
    ("error", "told"), [("raises", "at the end"), ("says", "at the end"), ("hangs", "has not ended within 0.1 seconds")]
)
def test_a_shutdown_that_fails_is_logged_and_ends_nothing_else(
    error: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    mounts = [Mount("/first", starlette("first", log)), Mount("/last", ending(error))]
    with TestClient(Gateway(mounts, graceful_timeout=0.1)):
        pass
    assert log == ["first starts", "first ends"]
    assert told in caplog.text


def test_a_gateway_in_a_gateway_has_its_own() -> None:
    log: list[str] = []
    inner = Gateway([plain], on_startup=[lambda: log.append("starts")], on_shutdown=[lambda: log.append("ends")])
    with TestClient(Gateway([Mount("/in", inner)])) as client:
        assert client.get("/in/plain").text == "plain"
        assert log == ["starts"]
    assert log == ["starts", "ends"]
