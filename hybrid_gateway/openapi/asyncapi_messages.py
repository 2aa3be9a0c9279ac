"""Messages of a websocket for the AsyncAPI document: one for each type that a frame may hold."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Union

import msgspec

from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.headers import JSON, MESSAGEPACK
from hybrid_gateway.openapi.document import ProblemError
from hybrid_gateway.openapi.schema import Schemas, plain_name
from hybrid_gateway.openapi.schema_types import JSONObject, Schema, Use
from hybrid_gateway.type_info import resolve_new_types, strip_annotated

_PLAIN: dict[object, tuple[str, Schema]] = {
    str: ("text/plain", {"type": "string"}),
    bytes: ("application/octet-stream", {"type": "string", "format": "binary"}),
}
"""Types whose frames are as they are, with their media types."""


class ErrorFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="error"):
    """An error: problem details, RFC 9457, whose type is always this one."""

    title: str
    status: int
    detail: Any = None  # anything that JSON knows
    errors: Annotated[list[ProblemError], msgspec.Meta(description="Every fault of the message, with a 422.")] = []


class Missed(msgspec.Struct):
    """The messages that a subscriber has not got."""

    missed: Annotated[int | None, msgspec.Meta(description="Their number, where it is known.")]
    recovered: Annotated[bool, msgspec.Meta(description="Whether the history had them after all.")]


class Gap(msgspec.Struct):
    """Messages are missing here."""

    gap: Missed


class Member(msgspec.Struct):
    """A user who is connected to a channel."""

    user: Annotated[str, msgspec.Meta(description="The key of the user.")]


class Joined(msgspec.Struct):
    """A user has come."""

    joined: Member


class Left(msgspec.Struct):
    """A user has gone."""

    left: Member


def members_of(kind: object) -> tuple[object, ...]:
    """Return the types that a message may have, one by one; of ``None`` none is sent."""
    resolved = resolve_new_types(kind)
    plain = strip_annotated(resolved)
    if typing.get_origin(plain) in (Union, types.UnionType):
        return tuple(member for part in typing.get_args(plain) for member in members_of(part))
    return () if resolved in (None, types.NoneType) else (resolved,)


class MessageWriter:
    """Writes message objects of one endpoint."""

    def __init__(self, schemas: Schemas, endpoint: Endpoint) -> None:
        self._schemas = schemas
        self._endpoint = endpoint
        self._media_type = JSON if endpoint.route.layers.mode == "json" else MESSAGEPACK

    def received(self) -> Iterator[JSONObject]:
        """Yield what clients may send."""
        yield from self._all(self._endpoint.receives, Use.RECEIVED)

    def sent(self) -> Iterator[JSONObject]:
        """Yield what they get, but for errors, which all get."""
        channel = self._endpoint.route.options.get("channel")
        if channel is None:
            yield from self._all(self._endpoint.returns, Use.SENT)
            return
        for message in self._all(channel.kind, Use.SENT):
            properties = {"offset": {"type": "string"}, "data": message["payload"]}
            framed = {"type": "object", "properties": properties, "required": list(properties)}
            yield {**message, "contentType": self._media_type, "payload": framed}
        yield self._message(Gap, Use.SENT)
        if channel.presence:
            yield self._message(Joined, Use.SENT)
            yield self._message(Left, Use.SENT)

    def error(self) -> JSONObject:
        """Return the frame of an error."""
        return self._message(ErrorFrame, Use.SENT)

    def _all(self, kind: object, use: Use) -> Iterator[JSONObject]:
        if kind is NO_DEFAULT:
            yield {"name": "Message", "summary": "Any message.", "contentType": self._media_type, "payload": {}}
            return
        for member in members_of(kind):
            yield self._message(member, use)

    def _message(self, kind: object, use: Use) -> JSONObject:
        plain = strip_annotated(kind)
        if isinstance(plain, type) and plain in _PLAIN:
            media_type, schema = _PLAIN[plain]
            return {"name": "Text" if plain is str else "Bytes", "contentType": media_type, "payload": schema}
        schema = self._schemas.schema(kind, use)
        name = schema["$ref"].rpartition("/")[2] if "$ref" in schema else _name_of(plain)
        message: JSONObject = {"name": name, "contentType": self._media_type, "payload": schema}
        words = inspect.getdoc(plain) if isinstance(plain, type) and vars(plain).get("__doc__") else None
        return {**message, "summary": words.partition("\n")[0]} if words and "$ref" in schema else message


def _name_of(kind: object) -> str:
    return plain_name(getattr(kind, "__name__", "") or "Message").capitalize()


# --- schemas ---------------------------------------------------------------------------------------------------------


def as_draft_7(schema: Any) -> Any:
    """Return a schema as AsyncAPI has them. SPEC: AsyncAPI 3.0, schema object: a superset of JSON Schema draft 7."""
    if isinstance(schema, list):
        return [as_draft_7(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    written = {name: as_draft_7(value) for name, value in schema.items()}
    if isinstance(schema.get("discriminator"), dict):  # here the name of a property, whose values are constants
        written["discriminator"] = schema["discriminator"]["propertyName"]
    if isinstance(schema.get("prefixItems"), list):
        rest = written.pop("items", None)
        written["items"] = written.pop("prefixItems")
        if rest is not None:
            written["additionalItems"] = rest
    return written
