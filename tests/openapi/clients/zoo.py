"""What the example project has no use for, and generators stumble over."""

from __future__ import annotations

import datetime
import decimal
import enum
from collections.abc import AsyncIterator
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pydantic

from hybrid_gateway import (
    Body,
    Cookie,
    File,
    Form,
    Header,
    Path,
    Query,
    Route,
    UploadFile,
    WebSocket,
    get,
    listener,
    patch,
    post,
    put,
    stream,
    websocket,
)
from hybrid_gateway.auth import APIKeyAuthentication, Authentication, AuthenticationScheme

__all__ = ["routes"]

T = TypeVar("T")


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 5


class Point(NamedTuple):
    x: int
    y: int


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: set[str] = set()


class Mini(msgspec.Struct):
    id: int


class Full(msgspec.Struct):
    id: int
    label: str | None = None


class Row(msgspec.Struct):
    """A row."""

    pair: tuple[int, str]
    triple: tuple[int, int, str]
    one: tuple[int]
    point: Point
    price: decimal.Decimal
    level: Level | None
    only: Literal["x"]
    pick: Literal["a", "b"] | None = None
    size: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    by_level: dict[Level, decimal.Decimal] = {}
    parent: Row | None = None
    since: datetime.timedelta | None = None
    raw: bytes = b""
    pet: Cat | Dog | None = None


class Envelope(msgspec.Struct, Generic[T]):
    data: T
    more: list[T] = []


shop_row = pydantic.create_model("Row", __module__="shop", value=(int, ...))
Table = pydantic.create_model("Table", __module__="shop", rows=(list[shop_row], ...))  # type: ignore[valid-type]
stock_row = pydantic.create_model("Row", __module__="stock", name=(str, ...))
Shelf = pydantic.create_model("Shelf", __module__="stock", rows=(list[stock_row], ...))  # type: ignore[valid-type]


class Renamed(pydantic.BaseModel):
    twice: int = pydantic.Field(validation_alias="in", serialization_alias="out")


class Filter(msgspec.Struct):
    word: str = "tea"
    levels: list[Level] = []


class Sheet(msgspec.Struct):
    title: str
    pages: int = 1


class Homemade(AuthenticationScheme):
    def authenticate(self, key: Annotated[str | None, Header(alias="X-Home")] = None) -> Authentication | None: ...


@get("/rows")
def list_rows(filters: Annotated[Filter, Query()]) -> list[Row]: ...


@post("/rows")
def listRows(data: Row) -> Row: ...


@put("/rows/{number:int}")
def list_rows_(number: Annotated[int, Path(ge=1)], data: list[Row], session: Annotated[str, Cookie()] = "") -> None: ...


@get("/either")
def either() -> Full | Mini: ...


@get("/envelopes")
def envelopes() -> Envelope[list[Full | Mini]]: ...


@patch("/table")
def table(data: Table) -> Shelf: ...


@put("/renamed")
def renamed(data: Renamed) -> Renamed: ...


@post("/sheets")
def sheets(sheet: Annotated[Sheet, Form()]) -> Literal["done", 7]: ...


@post("/files")
def files(file: Annotated[UploadFile, File(content_types=["image/*"])], more: list[UploadFile] = []) -> Any: ...  # noqa: B006


@put("/raw")
def raw(data: Annotated[bytes, Body()]) -> str: ...


@post("/optional")
def optional(data: Row | None = None) -> Row | None: ...


@get("/mine", authentication=[Homemade(), APIKeyAuthentication(cookie="key")])
def mine(authentication: Authentication) -> bytes: ...


@get("/old/{rest:path}", deprecated=True, tags=["old"])
def old(rest: str, x_trace: Annotated[str | None, Header()] = None) -> dict[str, Point | None]: ...


@listener("/either/{rest:path}", tags=["live"], authentication=[Homemade(), APIKeyAuthentication(query="key")])
async def speak(
    data: Cat | Dog | str | None, rest: str, x_trace: Annotated[str | None, Header()] = None
) -> Row | str | None:
    """Speak to an animal.

    It answers.
    """


@stream("/rows/live", mode="msgpack", deprecated=True)
async def live_rows(size: Annotated[int, Query(ge=1, le=5)] = 3) -> AsyncIterator[list[Full | Mini] | None]:
    yield []


@websocket(["/free", "/free/again"])
async def free(socket: WebSocket, authentication: Annotated[str, Cookie()] = "") -> None: ...


routes: list[Any] = [
    *(list_rows, listRows, list_rows_, either, envelopes, table, renamed, sheets, files, raw, optional, mine, old),
    Route("/any", lambda: None, name="any"),
    *(speak, live_rows, free),
]
