"""The room: what is said goes to a channel, and everybody who follows it has it at once.

A browser cannot set the headers of a websocket, so the page asks for a ticket and opens the socket with that. When the
connection is lost it comes back with `since`, and misses nothing that the channel still has.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from django.contrib.auth.models import User
from msgspec import Meta, Struct

from hybrid_gateway import FileResponse, get, post, stream
from hybrid_gateway.auth import IsAuthenticated, TokenAuthentication, WebSocketTicketAuthentication
from hybrid_gateway.channels import Channel

PAGE = Path(__file__).parent / "room.html"

RoomName = Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")]


class Say(Struct, forbid_unknown_fields=True):
    """A line as a client sends it."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]


class Said(Struct):
    """A line as everybody sees it."""

    text: str
    by: str
    at: datetime


class Present(Struct):
    """The names of those who are there."""

    users: list[str]


room = Channel("room:{name}", Said, history=50, history_ttl=24 * 3600, presence=True)


@get("/live")
async def page() -> FileResponse:
    """The page of the room."""
    return FileResponse(PAGE, media_type="text/html")


@stream(
    "/live/rooms/{name}",
    channel=room,
    authentication=[WebSocketTicketAuthentication(), TokenAuthentication()],
    guards=[IsAuthenticated],
    message_throttle=["5/second"],
)
async def follow_room(name: RoomName) -> None:
    """Follow a room: its lines, and who comes and goes. Whoever may log in may follow."""


@post("/live/rooms/{name}", raises=[400])  # a path with control characters
async def say(name: RoomName, data: Say, user: User) -> Said:
    """Say something in a room."""
    said = Said(text=data.text, by=user.username, at=datetime.now(UTC))
    await room.apublish(said, name=name)
    return said


@get("/live/rooms/{name}/present", raises=[400])
async def present(name: RoomName, user: User) -> Present:
    """Tell who is in a room, oneself included."""
    keys = await room.apresent(name=name)
    found = User.objects.filter(pk__in=keys).order_by("username").values_list("username", flat=True)
    return Present(users=[username async for username in found])


routes = [page, follow_room, say, present]
