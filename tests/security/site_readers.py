"""Routes that read what clients send: bodies of every kind, forms, numbers, parameters. The site serves them, too."""

import decimal
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec

from hybrid_gateway import Body, Cookie, File, Form, Header, Query, Request, UploadFile, get, http, post, put


class Named(msgspec.Struct):
    name: str = ""


class Prices(msgspec.Struct):
    least: decimal.Decimal | None = None
    among: list[decimal.Decimal] = []


# --- bodies


@post("/json")
async def read_json(data: dict[str, Any]) -> int:
    return len(data)


@post("/typed")
def read_typed(data: Named) -> int:
    return len(data.name)


@post("/packed", media_types=["application/json", "application/msgpack"])
async def read_packed(data: Annotated[list[int], Body()]) -> int:
    return len(data)


@post("/raw")
async def read_raw(data: Annotated[bytes, Body()]) -> int:
    return len(data)


@post("/raw-def")
def read_raw_in_a_thread(data: Annotated[bytes, Body()]) -> int:
    return len(data)


@post("/stream")
async def read_stream(data: AsyncIterator[bytes]) -> int:
    return sum([len(chunk) async for chunk in data])


@post("/request")
async def read_request(request: Request) -> int:
    return len(await request.body())


@post("/form")
async def read_form(name: Annotated[str, Form()] = "") -> int:
    return len(name)


@put("/middleware", django_middleware=["django.middleware.http.ConditionalGetMiddleware"])
async def read_below_django(data: Annotated[bytes, Body()]) -> int:
    return len(data)


READERS = [
    read_json, read_typed, read_packed, read_raw, read_raw_in_a_thread, read_stream, read_request, read_form,
]  # fmt: skip


# --- forms with files


@post("/")
async def read_parts(name: Annotated[str, Form()] = "", files: Annotated[list[UploadFile], File()] = ()) -> list[str]:
    return [name[:10], *(file.filename for file in files)]


@post("/checked")
def read_checked(
    files: Annotated[list[UploadFile], File(max_size=100, content_types=["image/png"])],
) -> list[int]:
    return [file.size for file in files]


# --- numbers


@get("/whole/{number:int}")
async def whole(number: int) -> int:
    return number


@get("/untyped/{number}")
def untyped(number: int) -> int:
    return number


@get("/decimal/{number:decimal}")
async def fraction(number: decimal.Decimal) -> str:
    return str(number)


@get("/query")
async def query(
    number: int = 0,
    ratio: float = 0,
    price: decimal.Decimal | None = None,
    prices: Annotated[list[decimal.Decimal], Query()] = [],  # noqa: B006
    x_price: Annotated[decimal.Decimal | None, Header()] = None,
) -> str:
    return str(price)


@get("/struct")
async def struct(prices: Annotated[Prices, Query()]) -> str:
    return str(prices.least)


@post("/form")
async def form(price: Annotated[decimal.Decimal, Form()], prices: Annotated[Prices, Form()]) -> str:
    return str(price)


NUMBERS = [whole, untyped, fraction, query, struct, form]


# --- parameters


@get("/pairs")
async def pairs(params: http.QueryParams, a: str = "", b: str = "") -> list[list[str]]:
    return [list(pair) for pair in params.multi_items()]


@post("/pairs")
async def form_pairs(a: Annotated[str, Form()] = "", b: Annotated[str, Form()] = "") -> list[str]:
    return [a, b]


@get("/numbers")
def numbers(number: Annotated[list[int], Query()] = []) -> int:  # noqa: B006
    return len(number)


@get("/one")
async def one(number: int = 0) -> int:
    return number


@get("/cookie")
async def cookie(a: Annotated[str, Cookie()] = "") -> str:
    return a


PARAMETERS = [pairs, form_pairs, numbers, one, cookie]
