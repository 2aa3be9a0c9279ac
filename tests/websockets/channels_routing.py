"""Consumers of Channels, as a project has them in its routing module."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.urls import path


class Visits(AsyncJsonWebsocketConsumer):
    """Counts messages in the visitor's session."""

    async def connect(self) -> None:
        await self.accept("visits" if "visits" in self.scope["subprotocols"] else None)
        await self.send_json([self.scope["user"].get_username(), self.scope["path"], self.scope["url_route"]["kwargs"]])

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        session = self.scope["session"]
        session["count"] = await database_sync_to_async(session.get)("count", 0) + 1
        await database_sync_to_async(session.save)()
        await self.send_json({"count": session["count"], "content": content})


class Users(WebsocketConsumer):
    """Runs on a thread."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "close":
            self.close(4002, "enough")
        else:
            self.send(str(get_user_model().objects.count()))


application = AuthMiddlewareStack(
    URLRouter([path("admin/visits/<int:number>/", Visits.as_asgi()), path("admin/users/", Users.as_asgi())])
)
mounted = AuthMiddlewareStack(URLRouter([path("users/", Users.as_asgi())]))
