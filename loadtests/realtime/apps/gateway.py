"""hybrid_gateway: an echo from the socket itself, rooms as streams of channels."""

from __future__ import annotations

import os

import django

django.setup()

from msgspec import Struct  # noqa: E402

from hybrid_gateway import Gateway, WebSocket, get, listener, stream, websocket  # noqa: E402
from hybrid_gateway.channels import Channel  # noqa: E402


class Event(Struct):
    at: str
    text: str


class Message(Struct):
    message: str


room = Channel("room:{number}", Event)
kept = Channel("kept:{number}", Event, history=1000)


@get("/hello")
async def hello() -> Message:
    return Message("Hello, World!")


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    async for text in socket.iter(str):
        await socket.send_text(text)


@listener("/publish")
async def publish(data: Event) -> None:
    await room.apublish(data, number=1)


@listener("/keep")
async def keep(data: Event) -> None:
    await kept.apublish(data, number=1)


# Below callgrind the clock runs fifty times as fast for the server: pings would be most of what it does.
application = Gateway(
    [hello, echo, publish, keep, stream("/rooms/{number}", channel=room), stream("/kept/{number}", channel=kept)],
    ping_interval=None if os.environ.get("BENCH_COUNTED") else 20,
)
