"""Canaries of ``hybrid_gateway/_compat/uvicorn_websocket_internals.py``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from hybrid_gateway._compat import uvicorn_websocket_internals as internals
from tests.compat import canary
from tests.drivers.test_lane import serving

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"  # a frame of a client

Socket = Callable[[Any, Any], Awaitable[None]]


@canary("client_address", "target_of")
def test_the_access_log_names_client_and_target() -> None:
    scope: Any = {"type": "http", "client": ("192.0.2.1", 80), "path": "/a b", "query_string": b"c=d", "root_path": ""}
    assert internals.client_address(scope) == "192.0.2.1:80"
    assert internals.target_of(scope) == "/a%20b?c=d"


@asynccontextmanager
async def client(app: Socket, **options: Any) -> AsyncIterator[Any]:
    """A client whose handshake is on its way to a server whose websockets ``app(receive, send)`` answers."""

    pytest.importorskip("uvicorn", "0.53", reason="Older versions of uvicorn keep their websockets.")
    pytest.importorskip("uvicorn.protocols.websockets.websockets_sansio_impl")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await app(receive, send)

    async with serving(application, "auto", **{"lifespan": "off", "ws": "websockets-sansio", **options}) as (
        server,
        port,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        yield server, reader, writer
        writer.close()


class Echo(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set_result(None)


@canary("take_connection", "TakenConnection")
def test_a_connection_that_is_taken_is_ours_alone(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[internals.TakenConnection] = []
    told: list[Any] = []

    async def app(receive: Any, send: Any) -> None:
        taken = internals.take_connection(receive, send)
        assert taken is not None
        seen.append(taken)
        echo = Echo(taken.transport)
        taken.transport.set_protocol(echo)
        taken.transport.write(b"ours")
        with pytest.raises(OSError):
            await send({"type": "websocket.accept"})
        told.append((await receive())["type"])
        await echo.over

    async def run() -> None:
        async with client(app) as (server, reader, writer):
            assert await reader.readexactly(4) == b"ours"  # and no answer of uvicorn's
            assert not server.server_state.connections  # until we put our own there
            assert len(server.server_state.tasks) == 1
            writer.write(HELLO)
            assert await reader.readexactly(len(HELLO)) == HELLO
            writer.write_eof()
            assert await reader.read() == b""
            for _ in range(100):
                if not server.server_state.tasks:
                    break
                await asyncio.sleep(0.01)
            assert not server.server_state.tasks
            [taken] = seen
            assert taken.config is server.config
            assert taken.connections is server.server_state.connections
            assert taken.tasks is server.server_state.tasks
            assert b"date" in dict(taken.headers)
            assert not taken.is_blocked

    with caplog.at_level(logging.INFO, "uvicorn.error"):
        asyncio.run(run())
    assert told == ["websocket.connect"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("fails", [False, True])
def test_a_connection_that_is_taken_is_closed_with_the_task(fails: bool, caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn writes nothing, however the application ends: that is ours to do."""

    async def app(receive: Any, send: Any) -> None:
        taken = internals.take_connection(receive, send)
        assert taken is not None
        taken.transport.set_protocol(asyncio.Protocol())
        taken.transport.write(b"ours")
        if fails:
            raise ValueError("no")

    async def run() -> None:
        async with client(app) as (_, reader, _writer):
            assert await reader.read() == b"ours"

    asyncio.run(run())
    assert [record.message for record in caplog.records] == ["Exception in ASGI application\n"] * fails


EARLY = {"early": HELLO, "half a frame": HELLO[:4]}


async def _answer(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000})


@canary("take_connection", "TakenConnection")
@pytest.mark.parametrize(
    "case", ["receive", "send", "answered", "early", "half a frame", "patched", "wsproto", "replaced"]
)
def test_a_connection_is_left_to_the_server(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands before the methods sees the messages, and what the client has sent already is not lost."""
    taken: list[Any] = []

    async def app(receive: Any, send: Any) -> None:
        original_send = send

        async def receive_more() -> Any:
            return await receive()

        async def send_more(message: Any) -> None:
            await original_send(message)

        if case in EARLY:
            await asyncio.sleep(0.1)
        if case == "answered":
            await _answer(receive, send)
        if case == "replaced":
            receive.__self__.send = send_more
            send = receive.__self__.send
        given = {"receive": (receive_more, send), "send": (receive, send_more)}.get(case, (receive, send))
        taken.append(internals.take_connection(*given))
        if case != "answered":
            await _answer(receive, send)

    options: dict[str, Any] = {}
    if case == "wsproto":
        pytest.importorskip("wsproto")
        options["ws"] = "wsproto"
    if case == "patched":
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol as Protocol

        original = Protocol.send

        async def watched(self: Any, message: Any) -> None:
            await original(self, message)

        monkeypatch.setattr(Protocol, "send", watched)

    async def run() -> None:
        async with client(app, **options) as (_, reader, writer):
            await asyncio.sleep(0.05)
            writer.write(EARLY.get(case, b""))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(4) == b"\x88\x02\x0f\xa0"

    asyncio.run(run())
    assert taken == [None]


def test_what_is_no_method_of_uvicorn_is_left_alone() -> None:
    assert internals.take_connection(print, print) is None
    assert internals.take_connection(uvicorn.Config.load, [].append) is None
