"""Channels: consumers, and groups of its memory layer, with room for what would be dropped at its default of 100."""

from __future__ import annotations

from typing import Any

from django.core.asgi import get_asgi_application

http = get_asgi_application()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = "room-1"


async def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "Hello, World!"})


urlpatterns = [path("hello", hello)]


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


class Room(AsyncWebsocketConsumer):
    groups = (GROUP,)

    async def room_event(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


class Publish(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(GROUP, {"type": "room.event", "text": text_data})


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [path("echo", Echo.as_asgi()), path("rooms/1", Room.as_asgi()), path("publish", Publish.as_asgi())]
        ),
    }
)
