"""Websockets on plain uvicorn: whose protocol they have, and that nothing of uvicorn's own is left half done."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

pytest.importorskip("uvicorn", "0.53", reason="Older versions of uvicorn keep their websockets.")
pytest.importorskip("uvicorn.protocols.websockets.websockets_sansio_impl", reason="uvicorn has none of its own here.")

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hybrid_gateway import Gateway, Mount, WebSocket, listener, stream, websocket
from hybrid_gateway.channels import Channel
from hybrid_gateway.drivers.sockets.websocket_socket import UvicornSocket
from hybrid_gateway.exceptions import NotFound
from tests.drivers.test_lane import serving
from tests.drivers.websocket_client import Client, close, frame, handshake

TEXT = 1
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
LONG = "a" * 1000


@listener("/echo")
async def echo(data: str) -> str:
    return data


@listener("/packed", compression=True)
async def packed(data: str) -> str:
    return data


@websocket("/fails")
async def fails(socket: WebSocket, when: str) -> None:
    if when == "after":
        await socket.accept()
    raise ValueError(when)


@websocket("/missing")
async def missing() -> None:
    raise NotFound("No such room.")


@websocket("/asked")
async def asked(socket: WebSocket) -> None:
    await asyncio.sleep(3600)


room = Channel("takeover-room", str)


def passes(app: Any) -> Any:
    async def watch(scope: Any, receive: Any, send: Any) -> None:
        async def send_more(message: Any) -> None:
            await send(message)

        await app(scope, receive, send_more)

    return watch


@listener("/watched", middleware=[passes])
async def watched(data: str) -> str:
    return data


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "mounted"})
    await receive()


ROUTES = [echo, packed, fails, missing, asked, watched, Mount("/live", mounted), stream("/room", channel=room)]


@asynccontextmanager
async def served(http: str = "auto", ws: str = "websockets-sansio", **options: Any) -> AsyncIterator[tuple[Any, int]]:
    async with serving(Gateway(ROUTES, **options), http, lifespan="off", ws=ws) as (server, port):
        yield server, port


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def kinds(server: Any) -> set[type]:
    return {type(connection) for connection in server.server_state.connections}


def server_kind(server: Any) -> type:
    [kind] = kinds(server)
    return kind


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_route_has_a_protocol_of_ours(http: str) -> None:
    async def main() -> None:
        async with served(http) as (server, port):
            client = await Client.open(port, "/echo", OFFER)
            assert kinds(server) == {server_kind(server)} and issubclass(server_kind(server), UvicornSocket)
            assert "sec-websocket-extensions" not in client.headers  # uvicorn would compress whatever the route says
            assert client.headers["server"] == "uvicorn" and "date" in client.headers
            client.write(frame(TEXT, LONG.encode()))
            assert await client.read_frame() == (0x81, LONG.encode())
            client.write(close(4000, b"bye"))
            assert await client.read_end() == b"\x88\x05\x0f\xa0bye"
            client.leave()
            await until(lambda: not server.server_state.connections and not server.server_state.tasks)

    run(main)


def test_a_route_that_wants_compression_has_that_of_the_lane() -> None:
    async def main() -> None:
        async with served() as (_, port):
            client = await Client.open(port, "/packed", OFFER)
            assert "no_context_takeover" in client.headers["sec-websocket-extensions"]
            client.write(frame(TEXT, LONG.encode()))
            first, data = await client.read_frame()
            assert first == 0xC1 and len(data) < 50
            client.leave()

    run(main)


@pytest.mark.parametrize("path", ["/watched", "/live"])
def test_whoever_sees_the_messages_has_uvicorns_own(path: str) -> None:
    async def main() -> None:
        async with served() as (server, port):
            client = await Client.open(port, path, OFFER)
            assert kinds(server) == {WebSocketsSansIOProtocol}
            assert "permessage-deflate" in client.headers["sec-websocket-extensions"]
            client.write(frame(TEXT, b"hello"))
            first, _ = await client.read_frame()
            assert first & 0x0F == TEXT
            client.write(close())
            await client.read_end()
            client.leave()

    run(main)


def test_an_option_of_uvicorn_that_names_another_protocol_is_kept() -> None:
    pytest.importorskip("wsproto", reason="uvicorn's other websockets need it.")

    async def main() -> None:
        async with served(ws="wsproto") as (server, port):
            client = await Client.open(port, "/echo")
            assert server_kind(server).__name__ == "WSProtocol"
            client.write(frame(TEXT, b"hello"))
            assert await client.read_frame() == (0x81, b"hello")
            client.write(close())
            await client.read_end()
            client.leave()

    run(main)


@pytest.mark.parametrize(
    ("path", "status", "errors"), [("/missing", 404, 0), ("/fails?when=before", 500, 1), ("/nowhere", 404, 0)]
)
def test_a_refusal_is_the_answer_of_http(path: str, status: int, errors: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with served() as (server, port):
            client = await Client.connect(port)
            client.write(handshake(path))
            found, headers = await client.read_head()
            assert found == status and headers["content-type"] == "application/problem+json"
            assert msgspec.json.decode(await client.read_end())["status"] == status
            client.leave()
            await until(lambda: not server.server_state.connections and not server.server_state.tasks)

    run(main)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == errors


def test_an_error_ends_with_1011_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with served() as (_, port):
            client = await Client.open(port, "/fails?when=after")
            first, _ = await client.read_frame()
            assert first == 0x81
            assert await client.read_close() == 1011
            client.write(close(1011))
            assert await client.read_end() == b""
            client.leave()

    run(main)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


def test_an_end_of_the_server_refuses_a_handshake_that_nothing_decides_and_closes_what_is_open() -> None:
    async def main() -> None:
        async with serving(Gateway(ROUTES, graceful_timeout=1), "auto", lifespan="off", ws="websockets-sansio") as (
            server,
            port,
        ):
            waiting, opened = await Client.connect(port), await Client.open(port, "/echo")
            waiting.write(handshake("/asked"))
            await until(lambda: len(server.server_state.connections) == 2)
            server.should_exit = True
            assert (await waiting.read_head())[0] == 503
            assert await opened.read_close() == 1012
            opened.write(close(1012))
            assert await opened.read_end() == b""
            waiting.leave()
            opened.leave()

    run(main)


def test_a_message_of_a_channel_is_framed_once_for_all() -> None:
    async def main() -> None:
        async with served() as (server, port):
            clients = [await Client.open(port, "/room") for _ in range(3)]
            await room.apublish("hello")
            frames = [await client.read_frame() for client in clients]
            assert len(set(frames)) == 1
            assert msgspec.json.decode(frames[0][1])["data"] == "hello"
            assert kinds(server) == {server_kind(server)} and issubclass(server_kind(server), UvicornSocket)
            for client in clients:
                client.leave()
            await until(lambda: not server.server_state.connections)

    run(main)


def test_an_idle_socket_keeps_nothing_of_uvicorns_parser() -> None:
    async def main() -> None:
        async with served() as (_, port):
            client = await Client.open(port, "/echo")
            gc.collect()
            server_protocol = sys.modules["websockets.server"].ServerProtocol
            assert not [found for found in gc.get_objects() if type(found) is server_protocol]
            client.leave()

    run(main)
