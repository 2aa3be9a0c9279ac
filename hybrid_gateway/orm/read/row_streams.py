"""Lists that are too long for memory: a JSON array or lines of JSON, row by row from a cursor of the server."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import EmptyResultSet
from django.db import connections

from hybrid_gateway.orm.columns.postgresql import widen
from hybrid_gateway.orm.querysets.queryset_source import Source, as_queryset
from hybrid_gateway.orm.read.fetch import fill_lists, row_factory
from hybrid_gateway.orm.read.read_plan import read_plan_of
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.negotiation import choose_media_type
from hybrid_gateway.responses.streaming_response import StreamingResponse

__all__ = ["JSON_LINES", "chunks", "stream"]

S = TypeVar("S", bound=msgspec.Struct)
Encode = Callable[[object, bytearray, int], None]

JSON_LINES = "application/x-ndjson"
_CHUNK_SIZE = 2000  # rows; DJANGO: QuerySet.iterator


def stream(
    struct: type[msgspec.Struct], source: Source, accept: str = "", *, hook: Callable[[Any], Any] = enc_hook
) -> StreamingResponse:
    """Return the rows as they come, as an array or, where the client accepts those, as lines; ``hook`` is msgspec's."""
    kind = choose_media_type(accept, ("application/json", JSON_LINES)) if accept else "application/json"
    encode = msgspec.json.Encoder(enc_hook=hook).encode_into
    content = _lines if kind == JSON_LINES else _array
    response = StreamingResponse(content(chunks(struct, source), encode), media_type=kind or "application/json")
    response.headers["Vary"] = "Accept"
    return response


def _lines(found: Generator[list[S]], encode: Encode) -> Iterator[bytes]:
    with closing(found):
        for items in found:
            buffer = bytearray()
            for item in items:
                encode(item, buffer, -1)
                buffer += b"\n"
            yield bytes(buffer)


def _array(found: Generator[list[S]], encode: Encode) -> Iterator[bytes]:
    start = b"["
    with closing(found):
        for items in found:
            buffer = bytearray()
            for item in items:
                buffer += start
                encode(item, buffer, -1)
                start = b","
            yield bytes(buffer)
    yield b"[]" if start == b"[" else b"]"


def chunks(struct: type[S], source: Source) -> Generator[list[S]]:
    """Yield the rows as Structs, 2,000 at a time, from a server-side cursor where the database has those.

    DJANGO: ``DISABLE_SERVER_SIDE_CURSORS`` (for poolers that share connections by transaction) is heeded.
    """
    queryset = as_queryset(source)
    plan, using = read_plan_of(struct), queryset.db
    connection = connections[using]
    compiler = plan.select(queryset).get_compiler(using)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return
    named = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS") is not True
    with connection.chunked_cursor() if named else connection.cursor() as cursor:
        widen(cursor)  # at once: what a server-side cursor has given it does not give again
        cursor.execute(sql, parameters)
        make = row_factory(plan, compiler)
        while rows := cursor.fetchmany(_CHUNK_SIZE):
            yield fill_lists(plan, make, rows, using) if plan.many else [make(row) for row in rows]
