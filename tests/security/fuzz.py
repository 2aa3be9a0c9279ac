"""Whatever bytes come, no answer is a 5xx: heads, queries, JSON, MessagePack, forms, over every road.

python -m tests.security.fuzz --seconds 600
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tests.drivers.lane  # noqa: F401  (makes the protocol known)
from hybrid_gateway import (
    CORS,
    Body,
    Cookie,
    FileResponse,
    Form,
    Gateway,
    Header,
    Query,
    Request,
    UploadFile,
    get,
    http,
    post,
    route,
)
from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.telemetry import AccessLog, RequestID
from hybrid_gateway.test import TestClient

# --- an application that reads in every way ------------------------------------------------------------------------


class Part(msgspec.Struct):
    name: str = ""
    price: decimal.Decimal = decimal.Decimal(0)
    day: datetime.date | None = None
    parts: list[Part] = []


class Whole(Part):
    id: uuid.UUID | None = None
    at: datetime.datetime | None = None
    lasts: datetime.timedelta | None = None
    kind: Literal["a", "b"] = "a"
    names: dict[str, int] = {}
    pair: tuple[int, str] = (0, "")
    either: int | str | None = None
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    raw: bytes = b""


class Filters(msgspec.Struct):
    number: int = 0
    price: decimal.Decimal | None = None
    day: datetime.date | None = None
    kinds: list[Literal["a", "b"]] = []
    on: bool = False


@post("/whole", media_types=["application/json", "application/msgpack"])
async def whole(data: Whole) -> Whole:
    return data


@post("/anything", media_types=["application/json", "application/msgpack"])
def anything(data: dict[str, Any]) -> dict[str, Any]:
    return data


@post("/raw")
async def raw(data: Annotated[bytes, Body()]) -> int:
    return len(data)


@post("/stream")
async def stream(data: AsyncIterator[bytes]) -> int:
    return sum([len(chunk) async for chunk in data])


@post("/form")
async def form(
    name: Annotated[str, Form()] = "",
    numbers: Annotated[list[int], Form()] = [],  # noqa: B006
    price: Annotated[decimal.Decimal | None, Form()] = None,
    files: list[UploadFile] = [],  # noqa: B006
) -> list[str]:
    return [name, *(file.filename or "" for file in files)]


@get("/query", etag=True, compression=True, cors=CORS(["https://shop.example"]), event_hooks=[RequestID, AccessLog])
async def query(
    filters: Annotated[Filters, Query()],
    params: http.QueryParams,
    url: http.URL,
    host: http.Host,
    page: int = 1,
    at: datetime.datetime | None = None,
    key: uuid.UUID | None = None,
    ids: Annotated[list[int], Query()] = [],  # noqa: B006
) -> dict[str, Any]:
    return {"page": page, "ids": ids, "url": url, "host": host, "params": params.multi_items()}


@get("/head")
async def head(
    request: Request,
    session: Annotated[str, Cookie()] = "",
    number: Annotated[int, Header()] = 0,
    accept: Annotated[str, Header()] = "",
) -> dict[str, Any]:
    return {"cookies": request.cookies, "url": str(request.url), "accept": accept, "session": session}


@get("/user", authentication=[BasicAuthentication()])
async def user() -> str:
    return "anybody"


@route("/file", methods=["GET", "POST"])
async def file() -> FileResponse:
    return FileResponse(__file__)


@get("/path/{number:int}/{price:decimal}/{at:datetime}/{lasts:timedelta}/{a}-{b}")
async def path(
    number: int, price: decimal.Decimal, at: datetime.datetime, lasts: datetime.timedelta, a: str, b: str
) -> str:
    return a


@get("/rest/{rest:path}")
def rest(rest: str) -> str:
    return rest


ROUTES = [whole, anything, raw, stream, form, query, head, user, file, path, rest]

# --- what is sent --------------------------------------------------------------------------------------------------

LATIN = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
TOKENS = st.sampled_from([
    ";", ",", "=", '"', "\\", '\\"', "q=0.5", "q=-1", "q=nan", "*", "*/*", "text/*", ";;", "bytes=", "0-", "-1", "0-0",
    "W/", 'W/"', "gzip", "br", "identity", "Basic", "Bearer", "Og==", ":", "multipart/form-data", "boundary=",
    "boundary=b", "application/json", "application/msgpack", "charset=x", "=?utf-8?q??", "²", "%", "\t", " ",
])  # fmt: skip
VALUE = st.one_of(st.lists(TOKENS, max_size=12).map("".join), st.text(LATIN, max_size=40))
HEADER_NAMES = st.sampled_from([
    "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Encoding", "Cookie", "If-Modified-Since",
    "If-None-Match", "If-Range", "Number", "Origin", "Range", "Referer", "User-Agent", "X-Forwarded-For",
    "X-Request-ID", "Access-Control-Request-Method",
])  # fmt: skip
HEADERS = st.dictionaries(HEADER_NAMES, VALUE, max_size=4)
ODD = ["9" * 5000, "１", "1e999", "NaN", "-0", "null", "true", "2024-13-01", "P1D", "\x00", "\ud800", "%", "a" * 4001]
TEXT = st.one_of(st.text(max_size=12), st.sampled_from(ODD))
NAMES = st.sampled_from(
    ["number", "price", "day", "kinds", "on", "page", "at", "key", "ids", "name", "numbers", "", "x"]
)
QUERY = st.one_of(
    st.lists(st.tuples(NAMES, TEXT), max_size=6).map(
        lambda pairs: "&".join(f"{name}={escape(text)}" for name, text in pairs)
    ),
    st.lists(
        st.sampled_from(["&", "=", ";", "%", "%zz", "%ff", "+", "page", "page=", "ids=1", "[]", "a"]), max_size=20
    ).map("".join),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.sampled_from(["2024-01-01", "1.5", "NaN", "P1D"]),
)  # fmt: skip
FIELDS = st.sampled_from([*Whole.__struct_fields__, "x", ""])
DOCUMENTS = st.recursive(LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(FIELDS, some, max_size=4))
PIECES = st.sampled_from([
    b"{", b"}", b"[", b"]", b":", b",", b'"', b'"name"', b'"parts"', b"null", b"1e999", b"-", b"\\u", b"\\ud800",
    b"\xff", b"9" * 400, b"\x91", b"\xdf", b"\xc1", b"\xd9", b"\xc7\x05\xff", b"\xd6\xff\x00\x00\x00\x00", b"[" * 3000,
])  # fmt: skip
PACKABLE = LEAVES.filter(lambda leaf: type(leaf) is not int or -(2**63) <= leaf < 2**64)
BODIES = st.one_of(
    DOCUMENTS.map(msgspec.json.encode),
    st.recursive(PACKABLE, st.lists).map(msgspec.msgpack.encode),
    st.lists(PIECES, max_size=12).map(b"".join),
    st.binary(max_size=200),
)
MARKS = st.sampled_from([
    b"--b", b"--b--", b"\r\n", b"\n", b"\r", b"-", b"Content-Disposition: form-data", b'; name="name"', b"; name=",
    b'; name="files"', b'; filename="a"', b"; filename*=x''y", b"Content-Type: image/png", b":", b"x", b"\xff" * 600,
])  # fmt: skip
MULTIPART = st.lists(MARKS, max_size=30).map(b"".join)
TYPES = st.one_of(
    st.sampled_from([
        "application/json", "application/msgpack", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
    ]),
    VALUE.filter(str.strip),
)  # fmt: skip


def escape(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


PATHS = st.one_of(
    st.lists(TEXT.map(escape), max_size=6).map(lambda parts: "/path/" + "/".join(parts)),
    st.tuples(TEXT, TEXT, TEXT, TEXT).map(lambda parts: "/path/" + "/".join(map(escape, parts)) + "/a-b"),
    TEXT.map(lambda text: "/rest/" + escape(text)),
)


def clients() -> list[TestClient]:
    """One per road."""
    gateway = Gateway(ROUTES)
    protocols: Any = ("asgi", "wsgi", "lane")
    return [TestClient(gateway, protocol=protocol, raise_request_exception=False) for protocol in protocols]


CLIENTS = clients()


def ask(verb: str, target: str, **options: Any) -> None:
    """The same over every road; an answer of 5xx is a finding."""
    for client in CLIENTS:
        answer = getattr(client, verb)(target, **options)
        assert answer.status_code < 500, (client, verb, target, options, answer.content)


# --- the fuzzers ---------------------------------------------------------------------------------------------------

FUZZERS: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {}


def fuzzer(*strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Note what a function is to be called with."""

    def note(function: Callable[..., None]) -> Callable[..., None]:
        FUZZERS[function.__name__] = (function, strategies)
        return function

    return note


@fuzzer(st.sampled_from(["/query", "/head", "/user", "/file", "/nowhere"]), HEADERS)
def headers(target: str, sent: dict[str, str]) -> None:
    ask("get", target, headers=sent)


@fuzzer(QUERY, st.sampled_from(["/query", "/head"]))
def queries(sent: str, target: str) -> None:
    ask("get", f"{target}?{sent}")


@fuzzer(PATHS)
def paths(sent: str) -> None:
    ask("get", sent)


@fuzzer(st.sampled_from(["/whole", "/anything"]), BODIES)
def json(target: str, body: bytes) -> None:
    ask("post", target, content=body, content_type="application/json")


@fuzzer(st.sampled_from(["/whole", "/anything"]), BODIES)
def msgpack(target: str, body: bytes) -> None:
    ask("post", target, content=body, content_type="application/msgpack")


@fuzzer(MULTIPART)
def multipart(body: bytes) -> None:
    ask("post", "/form", content=body, content_type="multipart/form-data; boundary=b")


@fuzzer(QUERY.map(lambda text: text.encode("latin-1", "replace")))
def urlencoded(body: bytes) -> None:
    ask("post", "/form", content=body, content_type="application/x-www-form-urlencoded")


@fuzzer(st.sampled_from(["/whole", "/form", "/raw", "/stream"]), BODIES | MULTIPART, TYPES, HEADERS)
def bodies(target: str, body: bytes, content_type: str, sent: dict[str, str]) -> None:
    ask("post", target, content=body, content_type=content_type, headers=sent)


def run(name: str, examples: int) -> None:
    """One fuzzer, so many examples."""
    function, strategies = FUZZERS[name]

    def send(sent: Any) -> None:
        function(*sent)

    budget = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    settings(budget, phases=[Phase.generate, Phase.shrink])(given(st.tuples(*strategies))(send))()


def main() -> None:
    parser = argparse.ArgumentParser(description="Send hostile requests for a while.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", choices=FUZZERS)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    end, rounds = time.monotonic() + arguments.seconds, 0
    while time.monotonic() < end:
        for name in FUZZERS:
            if arguments.only in (None, name) and time.monotonic() < end:
                run(name, 200)
        rounds += 1
    print(f"No answer was a 5xx, in {rounds} rounds of {200 * len(FUZZERS)} requests over {len(CLIENTS)} roads.")


if __name__ == "__main__":
    main()
