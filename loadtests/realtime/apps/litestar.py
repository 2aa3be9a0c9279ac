"""Litestar: its channels plugin with the memory back end, and the route that it makes."""

from __future__ import annotations

from litestar import Litestar, WebSocket, get, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from msgspec import Struct


class Message(Struct):
    message: str


@get("/hello")
async def hello() -> Message:
    return Message("Hello, World!")


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_data():
        await socket.send_text(text)


@websocket("/publish")
async def publish(socket: WebSocket, channels: ChannelsPlugin) -> None:
    await socket.accept()
    async for text in socket.iter_data():
        channels.publish(text, "1")


application = Litestar(
    [hello, echo, publish],
    plugins=[
        ChannelsPlugin(
            MemoryChannelsBackend(), channels=["1"], create_ws_route_handlers=True, ws_handler_base_path="/rooms"
        )
    ],
)
