"""What clients stumble over, beside tests/openapi/clients/zoo.py: names, and all that stays connected."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec

from hybrid_gateway import (
    Body,
    EventSourceResponse,
    File,
    Form,
    Header,
    Include,
    Query,
    Request,
    ServerSentEvent,
    UploadFile,
    WebSocket,
    delete,
    get,
    listener,
    post,
    put,
    stream,
    websocket,
)
from hybrid_gateway.auth import CSRFProtect
from hybrid_gateway.channels import Channel, ChannelEvents
from hybrid_gateway.exceptions import Conflict, HTTPException

__all__ = ["routes"]


class Function(msgspec.Struct):
    """A class of a name that JavaScript has, with fields whose names are words of both languages."""

    constructor: str
    class_: Annotated[str, msgspec.Meta(description="*/ is no end of a comment")] = msgspec.field(name="class")
    from_: int = msgspec.field(name="from", default=1)
    dashed: int = msgspec.field(name="with-dash", default=2)
    dotted: int = msgspec.field(name="a.b c", default=3)
    type: Literal["function"] = "function"
    default: None = None


class Record(msgspec.Struct):
    """A class that TypeScript has."""

    key: str
    self: Function | None = None


class Tree(msgspec.Struct):
    """A type within itself."""

    name: str
    children: list[Tree] = []
    by_name: dict[str, Tree | None] = {}
    parent: Tree | None = None


class Colour(enum.Enum):
    RED = "red"
    NONE = ""
    ODD = 'q"uo`te${x}'


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float
    inside: Circle | Square | None = None


class Ask(msgspec.Struct, tag="ask"):
    text: str


class Say(msgspec.Struct, tag="say"):
    text: str


class Said(msgspec.Struct):
    text: str
    room: str = ""


class Progress(msgspec.Struct):
    done: int


class Upload(msgspec.Struct):
    title: str
    tags: list[str] = []
    shape: Circle | None = None


news = Channel("news:{topic}", Said, history=10)


@get("/functions/{of}/{default}", name="function")
def get_function(of: int, default: str) -> Function: ...


@get("/names", name="delete")
def names(colour: Colour = Colour.RED, of: Annotated[list[Colour], Query(alias="in")] = []) -> dict[str, Record]: ...  # noqa: B006


@post("/trees", raises=[Conflict])
def plant(data: Tree) -> Tree | None:
    return data if data.children else None


@post("/shapes")
def shape(data: Circle | Square) -> list[Circle | Square]:
    return [data]


@delete("/trees/{name}", deprecated=True)
def fell(name: str) -> None: ...


@put("/trees/{name}")
def replace(name: str, data: Tree) -> tuple[Tree, int]:
    return data, 202


@get("/whole/{rest:path}")
def whole(rest: str) -> str:
    return rest


@get("/bytes")
def some_bytes() -> bytes:
    return b"\x00\xff"


@post("/uploads")
async def upload(
    upload: Annotated[Upload, Form()],
    file: Annotated[UploadFile, File()],
    more: list[UploadFile] = [],  # noqa: B006
) -> dict[str, Any]:
    sizes = [len(await one.read()) for one in (file, *more)]
    return {"title": upload.title, "tags": upload.tags, "shape": upload.shape, "sizes": sizes}


@put("/raw")
async def raw(request: Request, data: Annotated[bytes, Body()]) -> dict[str, Any]:
    return {"size": len(data), "type": request.headers.get("content-type")}


@post("/guarded", guards=[CSRFProtect])
def guarded() -> str:
    return "passed"


# --- what stays connected --------------------------------------------------------------------------------------------


@listener("/chat/{room}")
async def chat(data: Ask | Say, room: str, loud: bool = False) -> Said | str:
    if isinstance(data, Ask):
        raise Conflict("Nobody answers.")
    return Said(data.text.upper() if loud else data.text, room) if data.text != "plain" else "plain text"


@listener("/text/{rest:path}")
async def text(data: str, rest: str) -> str:
    return f"{rest}: {data}"


@listener("/binary")
async def binary(data: bytes) -> bytes:
    return data[::-1]


@listener("/words")
async def words(data: Say | None) -> list[Said] | None:
    return None if data is None else [Said(word) for word in data.text.split()]


@stream("/packed", mode="msgpack")
async def packed() -> AsyncIterator[Progress]:
    yield Progress(1)
    yield Progress(2)


@websocket("/closes/{code:int}", receives=Say, sends=Said)
async def closes(socket: WebSocket, code: int) -> None:
    await socket.accept()
    await socket.send(Said("here"))
    await socket.close(code, f"closed with {code}")


@websocket("/anything")
async def anything(socket: WebSocket) -> None:
    async for message in socket.iter(str | bytes):
        await socket.send(message)


@stream("/news/{topic}", channel=news)
async def follow(topic: str) -> None:
    """Follow a topic."""


@post("/news/{topic}")
async def publish(topic: str, data: Said) -> str | None:
    return await news.apublish(data, topic=topic)


@get("/news/{topic}/events")
async def news_events(topic: str, request: Request) -> ChannelEvents[Said]:
    return news.events(request, topic=topic)


@get("/untyped")
async def untyped() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(data="two\nlines", id="1", retry=10)
    yield ServerSentEvent(comment="nothing")
    yield ServerSentEvent(data="\u00e4 \U0001f600", event="named")


@get("/progress")
async def progress(steps: int = 2) -> EventSourceResponse[Progress | str]:
    return EventSourceResponse([*map(Progress, range(steps)), "finished"])


@get("/busy")
async def busy(last_event_id: Annotated[str, Header()] = "") -> EventSourceResponse[Progress]:
    """Refuse every other time."""
    busy_times.append(last_event_id)
    if len(busy_times) % 2:
        raise HTTPException(503, "Come back.", headers={"Retry-After": "0"})
    number = len(busy_times)
    return EventSourceResponse([ServerSentEvent(data=Progress(number), id=str(number), retry=1)])


busy_times: list[str] = []

routes: list[Any] = [
    *(get_function, names, plant, shape, fell, replace, whole, some_bytes, upload, raw, guarded),
    *(chat, text, binary, words, packed, closes, anything, follow, publish, news_events, untyped, progress, busy),
    Include("/auth", "hybrid_gateway.sessions.routes"),
]
