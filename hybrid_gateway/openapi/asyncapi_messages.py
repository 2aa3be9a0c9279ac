"""Messages of a websocket for the AsyncAPI document: one for each type that a frame may hold."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union

import msgspec

from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.headers import JSON, MESSAGEPACK
from hybrid_gateway.openapi.document import ProblemError
from hybrid_gateway.openapi.schema import Schemas, plain_name
from hybrid_gateway.openapi.schema_types import JSONObject, Schema, Use
from hybrid_gateway.type_info import resolve_new_types, strip_annotated
from hybrid_gateway.websockets.codec import takes_frames

TEXT, BINARY = "text/plain", "application/octet-stream"
_BYTES: Schema = {"type": "string", "format": "binary"}
_NAMES: dict[object, str] = {str: "Text", bytes: "Bytes", types.NoneType: "Null"}


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
    """Return the types that a message may have, one by one."""
    resolved = resolve_new_types(kind)
    plain = strip_annotated(resolved)
    if typing.get_origin(plain) in (Union, types.UnionType):
        return tuple(member for part in typing.get_args(plain) for member in members_of(part))
    return (types.NoneType if resolved is None else resolved,)


def frame_type_of(kind: object) -> str | None:
    """Return the media type of values that are frames as they are, where they are sent; ``None`` for all others."""
    plain = strip_annotated(kind)
    if typing.get_origin(plain) is Literal:
        return TEXT if all(isinstance(value, str) for value in typing.get_args(plain)) else None
    if not isinstance(plain, type):
        return None
    return TEXT if issubclass(plain, str) else BINARY if issubclass(plain, (bytes, bytearray, memoryview)) else None


class MessageWriter:
    """Writes message objects of one endpoint."""

    def __init__(self, schemas: Schemas, endpoint: Endpoint) -> None:
        self._schemas = schemas
        self._endpoint = endpoint
        self._media_type = JSON if endpoint.route.layers.mode == "json" else MESSAGEPACK

    def received(self) -> Iterator[JSONObject]:
        """Yield what clients may send."""
        kind = self._endpoint.receives
        for member in self._members(kind):
            is_frame = takes_frames(resolve_new_types(kind))
            yield self._message(member, Use.RECEIVED, frame_type_of(member) if is_frame else None)

    def sent(self) -> Iterator[JSONObject]:
        """Yield what they get, but for errors, which all get."""
        channel = self._endpoint.route.options.get("channel")
        if channel is None:
            for member in self._members(self._endpoint.returns):
                # of a listener, it is the word for no answer
                if member is not types.NoneType or self._endpoint.route.websocket != "listener":
                    yield self._message(member, Use.SENT, frame_type_of(member))
            return
        for message in (self._message(member, Use.SENT) for member in self._members(channel.kind)):
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

    def _members(self, kind: object) -> tuple[object, ...]:
        return (NO_DEFAULT,) if kind is NO_DEFAULT else members_of(kind)

    def _message(self, kind: object, use: Use, frame_type: str | None = None) -> JSONObject:
        """Return the message of one type, encoded by the mode of the route unless it is a frame as it is."""
        media_type = frame_type or self._media_type
        if kind is NO_DEFAULT:
            return {"name": "Message", "summary": "Any message.", "contentType": media_type, "payload": {}}
        plain = strip_annotated(kind)
        if frame_type == BINARY or (plain is bytes and use is Use.RECEIVED and media_type == MESSAGEPACK):
            return {"name": "Bytes", "contentType": media_type, "payload": _BYTES}
        schema = self._schemas.schema(kind, use)
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
        else:
            name = _NAMES.get(plain) or plain_name(getattr(plain, "__name__", "") or "Message").capitalize()
        message: JSONObject = {"name": name, "contentType": media_type, "payload": schema}
        words = inspect.getdoc(plain) if isinstance(plain, type) and vars(plain).get("__doc__") else None
        return {**message, "summary": words.partition("\n")[0]} if words and "$ref" in schema else message


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
