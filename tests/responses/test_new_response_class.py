"""A new class of responses is sent, rendered, closed and documented by what it says itself; nothing else is touched."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import pytest

from hybrid_gateway import JSONResponse, Response, StreamingResponse, get, post
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.responses import response_info
from hybrid_gateway.responses.gateway_response import GatewayResponse

T = TypeVar("T")


class CSVResponse(GatewayResponse):
    """Rows as comma-separated values."""

    media_type = "text/csv"
    documented_type = str

    def render(self, content: Sequence[Sequence[object]]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(content)
        return text.getvalue().encode()


class LateResponse(GatewayResponse):
    """A body that is made of what a component holds, as long as that is open."""

    media_type = "text/plain"
    is_rendered_late = True

    def __init__(self, parts: list[str]) -> None:
        super().__init__(b"")
        self.parts = parts

    async def render_late(self, ctx: Any) -> None:
        self.body = " ".join(self.parts).encode()
        self.headers["content-length"] = str(len(self.body))
        self.is_rendered = True


class Line(msgspec.Struct):
    number: int


class LineStream(StreamingResponse):
    """One JSON value in each line."""

    media_type = "application/jsonl"
    documented_type = Line

    async def send_stream(self, send: Any) -> None:
        lines = self.chunks
        self.chunks = _encoded(lines)
        try:
            await super().send_stream(send)
        finally:
            await lines.aclose()  # type: ignore[attr-defined]


async def _encoded(lines: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield msgspec.json.encode(line) + b"\n"


def responses_of(route: Any) -> dict[str, Any]:
    gateway = Gateway([route])
    document = build_document(gateway.endpoints, gateway.openapi)
    (operations,) = document["paths"].values()
    (operation,) = operations.values()
    return {status: found.get("content") for status, found in operation["responses"].items()}


def test_it_is_sent_with_the_status_and_the_headers_of_its_route(serve):
    @post("/rows", response_headers={"X-From": "route"})
    async def rows() -> CSVResponse:
        return CSVResponse([["a", 1], ["b,c", 2]])

    answer = serve(rows).post("/rows")
    assert (answer.status_code, answer.headers["X-From"]) == (201, "route")
    assert (answer.headers["Content-Type"], answer.text) == ("text/csv; charset=utf-8", 'a,1\r\n"b,c",2\r\n')
    assert responses_of(rows) == {"201": {"text/csv": {"schema": {"type": "string"}}}}


class Lines(StreamingResponse, Generic[T]):
    media_type = "application/x-ndjson"


class Table(JSONResponse[T], Generic[T]):
    media_type = "application/vnd.table+json"
    documented_type = str


class Untyped(Response[T], Generic[T]):
    """What is in it says how it is sent."""


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Lines[Line], {"application/x-ndjson": {"schema": {"$ref": "#/components/schemas/Line"}}}),
        (Lines[bytes], {"application/x-ndjson": {}}),
        (Lines, {"application/x-ndjson": {}}),
        (Table[Line], {"application/vnd.table+json": {"schema": {"type": "string"}}}),
        (Untyped[Line], {"application/json": {"schema": {"$ref": "#/components/schemas/Line"}}}),
        (Untyped[str], {"text/plain": {"schema": {"type": "string"}}}),
        (Response[bytes], {"application/octet-stream": {}}),
        (Response[str], {"text/plain": {"schema": {"type": "string"}}}),
        (JSONResponse[Line], {"application/json": {"schema": {"$ref": "#/components/schemas/Line"}}}),
    ],
)
def test_type_arguments_do_not_change_the_media_type_of_a_class(annotation, expected):
    def handler() -> Any: ...

    handler.__annotations__["return"] = annotation
    assert responses_of(get("/lines")(handler)) == {"200": expected}


def test_it_is_rendered_while_components_are_open(serve):
    def provide() -> Iterator[list[str]]:
        parts = ["still", "open"]
        yield parts
        parts[:] = ["closed"]

    @get("/late", components=[provide])
    async def late(parts: list[str]) -> LateResponse:
        return LateResponse(parts)

    assert serve(late).get("/late").text == "still open"
    assert responses_of(late) == {"200": {"text/plain": {}}}


@pytest.mark.parametrize("kind", ["async", "blocking"])
@pytest.mark.parametrize("ending", ["read", "HEAD", "replaced"])
def test_a_stream_is_sent_and_closed_whatever_becomes_of_it(serve, kind, ending):
    happened: list[str] = []

    class Content:
        """What must be closed, were it never begun."""

        def __init__(self) -> None:
            self._numbers = iter(range(2))

        def __iter__(self) -> Content:
            return self

        def __next__(self) -> Line:
            return Line(next(self._numbers))

        def close(self) -> None:
            happened.append("closed")

    class AsyncContent(Content):
        __iter__ = None  # type: ignore[assignment]

        def __aiter__(self) -> AsyncContent:
            return self

        async def __anext__(self) -> Line:
            try:
                return next(self)
            except StopIteration:
                raise StopAsyncIteration from None

        async def aclose(self) -> None:
            happened.append("closed")

    def replace() -> Response[str] | None:
        return Response("another") if ending == "replaced" else None

    @get("/lines", after_request=replace)
    async def lines() -> LineStream:
        return LineStream(Content() if kind == "blocking" else AsyncContent())

    client = serve(lines)
    if ending == "HEAD":
        assert client.head("/lines").headers["Content-Type"] == "application/jsonl"
    else:
        text = client.get("/lines").text
        assert text == ("another" if ending == "replaced" else '{"number":0}\n{"number":1}\n')
    assert "closed" in happened
    reference = {"schema": {"$ref": "#/components/schemas/Line"}}
    assert responses_of(lines) == {"200": {"application/jsonl": reference}}


def test_a_row_of_a_table_makes_it_the_stream_of_what_is_yielded(serve, monkeypatch):
    class Row(Line): ...

    monkeypatch.setattr(response_info, "STREAM_CLASSES", {**response_info.STREAM_CLASSES, Row: LineStream})

    @get("/lines")
    async def lines() -> AsyncIterator[Row]:
        yield Row(7)

    answer = serve(lines).get("/lines")
    assert (answer.headers["Content-Type"], answer.text) == ("application/jsonl", '{"number":7}\n')
    assert responses_of(lines)["200"] == {"application/jsonl": {"schema": {"$ref": "#/components/schemas/Line"}}}
