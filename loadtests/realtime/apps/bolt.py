"""django-bolt: an echo. It has no channels of its own, and a handler has its own socket only."""

from __future__ import annotations

from django_bolt import BoltAPI
from django_bolt.websocket import WebSocket
from msgspec import Struct

api = BoltAPI()


class Message(Struct):
    message: str


@api.get("/hello")
async def hello() -> Message:
    return Message("Hello, World!")


@api.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
