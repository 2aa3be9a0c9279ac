"""Tables at the end of ``client.ts``: what a client has to know while it runs, when types are gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from django.conf import settings

from hybrid_gateway.client_code.typed_documents import (
    BINARY,
    MULTIPART,
    conversations,
    events_of,
    for_websockets,
    operations,
    success_contents,
)
from hybrid_gateway.headers import JSON, MESSAGEPACK
from hybrid_gateway.openapi.schema_types import JSONObject

RULES = {
    "no": "stop",
    "no, unless messages become shorter": "stop",
    "yes": "soon",
    "yes, with `since`": "soon",
    "yes, after a second or two": "restart",
    "yes, after a while": "later",
    "with new": "renew",
}
"""The advice of the table of close codes → what the client does."""


def runtime_tables(openapi: JSONObject, asyncapi: JSONObject) -> str:
    """Return the tables as TypeScript."""
    paths = sorted({*_whole_paths(openapi), *_whole_paths(for_websockets(asyncapi))})
    header = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").title()
    csrf = {"cookie": settings.CSRF_COOKIE_NAME, "header": {"X-Csrftoken": "X-CSRFToken"}.get(header, header)}
    codes = {code: RULES[row["reconnect"]] for code, row in asyncapi["x-close-codes"].items()}
    return "\n".join(
        [
            f"const CSRF = {_literal(csrf)};",
            "/** By method and path: operations whose bodies are not JSON. */",
            f"const OPERATIONS: Record<string, OperationShape> = {_rows(_operation_shapes(openapi))};",
            "/** What the data of events is. */",
            f'const EVENTS: Record<string, "json" | "text" | "mixed"> = {_rows(_event_kinds(openapi))};',
            f"const SOCKETS: Record<string, SocketShape> = {_rows(_socket_shapes(asyncapi))};",
            "/** Path and parameter: parameters with slashes in them. */",
            f"const WHOLE_PATHS: ReadonlySet<string> = new Set<string>({_literal(paths)});",
            f"const CLOSE_CODES: Record<number, Rule> = {_rows(codes.items())};",
            "",
        ]
    )


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rows(rows: Iterable[tuple[str, object]]) -> str:
    written = "".join(f"  {_literal(name)}: {_literal(value)},\n" for name, value in rows)
    return f"{{\n{written}}}" if written else "{}"


def _whole_paths(document: JSONObject) -> Iterator[str]:
    for path, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["schema"].get("format") == "path":
                yield f"{path} {parameter['name']}"


def _operation_shapes(document: JSONObject) -> Iterator[tuple[str, object]]:
    for path, method, operation in operations(document):
        shape = {}
        accepted = operation.get("requestBody", {}).get("content", {JSON: {}})
        if JSON not in accepted:
            shape["body"] = "multipart" if MULTIPART in accepted else "raw"
        contents = [content for content in success_contents(operation) if content]
        if contents and all(set(content) == {BINARY} for content in contents):
            shape["parseAs"] = "blob"
        if shape:
            yield f"{method.upper()} {path}", shape


def _event_kinds(document: JSONObject) -> Iterator[tuple[str, str]]:
    for path, media_type in events_of(document).items():
        schema: JSONObject = media_type.get("x-event-schema", {"type": "string"})
        may_be_text = "anyOf" in schema or not schema
        yield path, "text" if schema.get("type") == "string" else "mixed" if may_be_text else "json"


def _socket_shapes(document: JSONObject) -> Iterator[tuple[str, object]]:
    for channel, sent, received, schemes in conversations(document):
        texts = [message["contentType"] == "text/plain" for message in received[:-1]]
        shape: JSONObject = {
            "channel": "x-channel" in channel,
            "ticket": any((scheme.get("in"), scheme.get("name")) == ("query", "ticket") for scheme in schemes),
            "msgpack": any(message["contentType"] == MESSAGEPACK for message in (*sent, *received)),
        }
        if len(sent) == 1 and (sent[0]["contentType"] == "text/plain" or not sent[0]["payload"]):
            shape["sends"] = "text"
        if any(texts) or any(not message["payload"] for message in received):
            shape["gives"] = "text" if texts and all(texts) else "mixed"
        yield channel["address"], {name: value for name, value in shape.items() if value}
