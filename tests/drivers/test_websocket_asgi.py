"""Websockets on the lane for applications that speak ASGI: the same messages and bytes as by uvicorn's own protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools, which the extra `server` brings.")
pytest.importorskip(
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    reason="Older versions of uvicorn have nothing to compare with.",
)

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hybrid_gateway import Gateway
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.drivers.sockets import websocket_asgi
from hybrid_gateway.websockets.wire import WIRE
from tests.drivers.test_lane import serving
from tests.drivers.test_websocket_socket import run
from tests.drivers.websocket_client import Client, close, frame, handshake

TEXT, BINARY, PING = 1, 2, 9
ACCEPT = {"type": "websocket.accept"}

Note = Callable[[object], None]
App = Callable[[Any, Any, Any, Note], Awaitable[None]]


async def echo(scope: Any, receive: Any, send: Any, note: Note) -> None:
    note(await receive())
    await send(ACCEPT)
    while True:
        message = await receive()
        note(message)
        if message["type"] == "websocket.disconnect":
            return
        await send({**message, "type": "websocket.send"})


async def describe(scope: Any, receive: Any, send: Any, note: Note) -> None:
    scope["extensions"].pop(WIRE, None)
    scope["headers"] = sorted(header for header in scope["headers"] if header[0] != b"host")
    note({**scope, "client": scope["client"][0], "server": scope["server"][0], "asgi": dict(scope["asgi"])})
    await receive()
    await send({**ACCEPT, "subprotocol": "b", "headers": [(b"X-One", b"1"), (b"x-two", b"2")]})
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
    note(await receive())
    for message in ({"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}):
        try:
            await send(message)
        except Exception as error:
            note((type(error).__name__, str(error)))


async def refuse(scope: Any, receive: Any, send: Any, note: Note) -> None:
    note(await receive())
    await send({"type": "websocket.close", "code": 1008})
    note(await receive())


async def respond(scope: Any, receive: Any, send: Any, note: Note) -> None:
    note(await receive())
    headers = [(b"content-type", b"application/problem+json"), (b"x-more", b"1")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"body"})
    note(await receive())


async def fail(scope: Any, receive: Any, send: Any, note: Note) -> None:
    raise ValueError("a bug")


async def leave(scope: Any, receive: Any, send: Any, note: Note) -> None:
    note(await receive())


async def speak_too_soon(scope: Any, receive: Any, send: Any, note: Note) -> None:
    try:
        await send({"type": "websocket.send", "text": "x"})
    except RuntimeError as error:
        note(str(error))
        raise


async def speak_nonsense(scope: Any, receive: Any, send: Any, note: Note) -> None:
    await receive()
    await send(ACCEPT)
    for message in ({"type": "websocket.accept"}, {"type": "nonsense"}):
        try:
            await send(message)
        except RuntimeError as error:
            note(str(error))
    await send({"type": "websocket.close", "code": 1000, "reason": None})


async def send_late(scope: Any, receive: Any, send: Any, note: Note) -> None:
    await receive()
    await send(ACCEPT)
    note(await receive())
    try:
        await send({"type": "websocket.send", "text": "x"})
    except OSError:
        note("gone")


LAST_OF_TWO, LAST_OF_THREE = (0x81, b"ab"), (0x81, b"")  # replies, after which the client closes

CONVERSATIONS: list[tuple[str, App, bytes]] = [
    ("text and binary", echo, frame(TEXT, b"a") + frame(BINARY, b"b" * 70_000) + frame(TEXT)),
    ("fragments and pings", echo, frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(0, b"b")),
    ("a close without a code", echo, close(None)),
    ("a fault", echo, frame(TEXT, b"x", reserved=1)),
    ("no UTF-8", echo, frame(TEXT, b"\xff")),
    ("too big", echo, frame(BINARY, b"x", length=1 << 40)),
    ("scope, subprotocol, headers and a close", describe, close(4000)),
    ("a refusal", refuse, b""),
    ("a response", respond, b""),
    ("an exception", fail, b""),
    ("no answer", leave, b""),
    ("a message too soon", speak_too_soon, b""),
    ("messages that are none", speak_nonsense, close(1000)),
    ("a message after the end", send_late, close(1000)),
]


class Talk:
    """One conversation: what the application has noted, and what the client has read."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.notes: list[object] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send, self.notes.append)

    async def hold(self, port: int, data: bytes) -> tuple[Any, ...]:
        client = await Client.connect(port)
        client.write(handshake("/a%20b/%C3%A9?c=d%20e", "Sec-WebSocket-Protocol: a, b", "Cookie: x=y"))
        status, headers = await client.read_head()
        headers.pop("date", None)
        frames: list[tuple[int, bytes]] = []
        if status == 101:
            client.write(data)
            try:
                while True:
                    first, content = await client.read_frame()
                    frames.append((first, content[:2] if first == 0x88 else content))
                    if frames[-1] in (LAST_OF_TWO, LAST_OF_THREE):
                        client.write(close(4001, b"bye"))
            except asyncio.IncompleteReadError:
                pass
            body = b""
        else:
            body = await client.read_end()
        client.leave()
        await asyncio.sleep(0.1)
        return status, headers, frames, body, self.notes


def without_reason(notes: list[Any]) -> list[Any]:
    """The same, but for the words of a close that the server has thought of."""
    return [
        {**note, "reason": None} if isinstance(note, dict) and note.get("code") in (1002, 1007, 1009) else note
        for note in notes
    ]


@pytest.mark.parametrize(("app", "data"), [row[1:] for row in CONVERSATIONS], ids=[row[0] for row in CONVERSATIONS])
def test_a_conversation_is_the_same_as_by_uvicorns_own_protocol(app, data):
    async def main() -> None:
        options: dict[str, Any] = {
            "lifespan": "off",
            "ws": "websockets-sansio",
            "ws_per_message_deflate": False,
            "server_header": False,
        }
        theirs, ours = Talk(app), Talk(app)
        async with serving(theirs, HttpToolsProtocol, **options) as (_, port):
            status, headers, frames, body, notes = await theirs.hold(port, data)
        gateway = Gateway([])
        gateway._attend = ours
        async with serving(gateway, LaneProtocol, **options) as (_, port):
            found = await ours.hold(port, data)
        # They say how they refuse, and close in a reply to a close, in words and headers of their own.
        ignored = {"content-type", "content-length", "connection", "upgrade"} if status in (403, 500) else set()
        assert found[0] == status
        assert {name: value for name, value in found[1].items() if name not in ignored} == {
            name: value for name, value in headers.items() if name not in ignored
        }
        assert found[2] == frames
        assert status in (403, 500) or found[3] == body
        assert without_reason(found[4]) == without_reason(notes)

    asyncio.run(asyncio.wait_for(main(), 30))


async def serve_asgi(app: Any, test: Callable[[int, Any], Awaitable[None]], **options: Any) -> None:
    gateway = Gateway([])
    gateway._attend = app
    async with serving(gateway, LaneProtocol, lifespan="off", **options) as (server, port):
        await test(port, server)


def test_an_application_that_leaves_it_open_is_closed_with_a_code():
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(ACCEPT)
            if scope["path"] == "/bug":
                raise ValueError

        async def test(port: int, server: Any) -> None:
            for path, code in (("/", 1000), ("/bug", 1011)):
                client = await Client.open(port, path)
                assert await client.read_close() == code
                client.leave()

        await serve_asgi(app, test)

    run(main)


def test_an_application_that_does_not_receive_lets_its_client_wait():
    async def main() -> None:
        gate = asyncio.Event()
        sizes: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await gate.wait()
            while (message := await receive())["type"] != "websocket.disconnect":
                sizes.append(len(message["bytes"]))

        async def test(port: int, server: Any) -> None:
            client = await Client.open(port)
            client.write(frame(BINARY, b"x" * 50_000) * 1000)
            done = asyncio.ensure_future(client.writer.drain())
            await asyncio.sleep(0.5)
            assert not done.done()  # the kernel's buffers are full
            gate.set()
            await done
            client.write(close())
            assert await client.read_close() == 1000
            assert sizes == [50_000] * 1000
            client.leave()

        await serve_asgi(app, test)

    run(main)


def test_an_application_waits_for_a_client_that_does_not_read():
    async def main() -> None:
        sent: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            for number in range(1000):
                await send({"type": "websocket.send", "bytes": b"x" * 50_000})
                sent.append(number)
            await send({"type": "websocket.close"})

        async def test(port: int, server: Any) -> None:
            client = await Client.open(port)
            await asyncio.sleep(0.5)
            assert len(sent) < 900
            for _ in range(1000):
                assert await client.read_frame() == (0x82, b"x" * 50_000)
            assert await client.read_close() == 1000
            client.leave()

        await serve_asgi(app, test)

    run(main)


def test_clients_are_pinged_as_the_server_says_and_end_where_they_do_not_answer():
    async def main() -> None:
        ends: asyncio.Queue[Any] = asyncio.Queue()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await ends.put(await receive())

        async def test(port: int, server: Any) -> None:
            client = await Client.open(port)
            for _ in range(3):
                first, data = await client.read_frame()
                assert first == 0x89
                client.write(frame(10, data))
            assert (await client.read_frame())[0] == 0x89
            assert await client.read_close() == 1011
            client.write(close(1011))
            message = await asyncio.wait_for(ends.get(), 10)
            assert (message["type"], message["code"]) == ("websocket.disconnect", 1011)
            client.leave()

        await serve_asgi(app, test, ws_ping_interval=0.1, ws_ping_timeout=0.3)

    run(main)


def test_they_end_with_the_server(monkeypatch):
    monkeypatch.setattr(websocket_asgi, "SHUTDOWN_JITTER", 0.2)

    async def main() -> None:
        codes: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            codes.append((await receive())["code"])

        async def test(port: int, server: Any) -> None:
            clients = [await Client.open(port) for _ in range(5)]
            server.should_exit = True
            for client in clients:
                assert await client.read_close() == 1012
                client.write(close(1012))
                assert await client.read_end() == b""
                client.leave()
            assert codes == [1012] * 5

        await serve_asgi(app, test)

    run(main)


def test_messages_are_compressed_where_the_server_and_the_client_like_that():
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await send({"type": "websocket.send", "text": "a" * 1000})
            await send({"type": "websocket.close"})

        async def test(port: int, server: Any) -> None:
            for more, first in ((["Sec-WebSocket-Extensions: permessage-deflate"], 0xC1), ([], 0x81)):
                client = await Client.open(port, "/", *more)
                found, data = await client.read_frame()
                assert found == first and (len(data) < 50) == (first == 0xC1)
                client.leave()

        await serve_asgi(app, test, ws_per_message_deflate=True)

    run(main)
