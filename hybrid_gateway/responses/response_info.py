"""Facts about a return annotation, found out once: encoders, start-up checks and the OpenAPI document read them here.

How this works: values that are no responses yet are sent by their class, see :data:`VALUE_MEDIA_TYPES`; an iterator
becomes the stream of what it yields, see :data:`STREAM_CLASSES`. What a class of responses says of itself stands in
``gateway_response.py``.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union

import msgspec
from django.db.models import QuerySet
from django.http import HttpResponseBase
from starlette.responses import RedirectResponse as StarletteRedirectResponse

from hybrid_gateway.headers import JSON
from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES
from hybrid_gateway.responses.response_classes import JSONResponse, Response
from hybrid_gateway.responses.server_sent_events import EventSourceResponse, ServerSentEvent
from hybrid_gateway.responses.streaming_response import ByteStream, StreamingResponse
from hybrid_gateway.type_hints import cached_by_type
from hybrid_gateway.type_info import strip_annotated, type_info

__all__ = [
    "BYTES",
    "STREAM_CLASSES",
    "TEXT",
    "VALUE_MEDIA_TYPES",
    "BodyContent",
    "ResponseInfo",
    "default_status",
    "is_class",
    "read_response_info",
    "status_of_value",
    "union_members",
]

TEXT = "text/plain"
BYTES = "application/octet-stream"

VALUE_MEDIA_TYPES: Mapping[str, tuple[type, ...]] = {
    TEXT: (str,),
    BYTES: (bytes, bytearray, memoryview),
}
"""Classes of values that are sent as they are; all others are JSON."""

STREAM_CLASSES: Mapping[type, type[StreamingResponse]] = {ServerSentEvent: EventSourceResponse}
"""Class of the items of an annotated iterator → the stream it is sent as; any other is a :class:`ByteStream`."""

_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.Generator,
    collections.abc.AsyncGenerator,
    collections.abc.Iterable,
    collections.abc.AsyncIterable,
)
_JSON_CONTAINERS = (dict, list, set, frozenset, int, float, bool, Sequence, Mapping)


class BodyContent(msgspec.Struct, frozen=True):
    """A media type that is sent, and the type whose schema is that of the body; ``None`` where it has none."""

    media_type: str
    type: object


class ResponseInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one return annotation."""

    value: object  # ``T`` of ``tuple[T, int]``, else the annotation
    has_status: bool  # it is ``tuple[T, int]``: a value and its status
    may_be_none: bool
    is_json: bool  # each value is sent as JSON, with the status of the route
    is_stream: bool  # it is an iterator
    contents: tuple[BodyContent, ...]  # of values
    returns_response: bool  # or a union of one with values
    response_status: int  # of the class of responses that is returned; 200 is that of the route
    response_contents: tuple[BodyContent, ...]
    response_value: object  # ``T`` of ``Response[T]``, of which the fields are filtered; None for none
    stream_class: type[StreamingResponse]  # for an iterator that is returned

    @property
    def is_none(self) -> bool:
        """True where no body is sent, whatever is returned."""
        return self.value is types.NoneType

    def is_one_of(self, classes: tuple[type, ...]) -> bool:
        """Return whether each value is an instance of one of ``classes``, or None."""
        return is_class(type_info(self.value).inner, classes)


@cached_by_type
def read_response_info(annotation: object) -> ResponseInfo:
    """Read a return annotation, whose aliases are resolved; ``inspect.Parameter.empty`` where there is none."""
    value, arguments = types.NoneType if annotation is None else annotation, typing.get_args(annotation)
    has_status = typing.get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is int
    value = arguments[0] if has_status else value
    members = union_members(value)
    responses = [member for member in members if is_class(member, RESPONSE_CLASSES)]
    absent = (types.NoneType, inspect.Parameter.empty)
    values = [member for member in members if member not in responses and member not in absent]
    filtered = (one for one in responses if is_class(one, (Response, JSONResponse)) and typing.get_args(one))
    info = type_info(value)
    return ResponseInfo(
        value=value,
        has_status=has_status,
        may_be_none=types.NoneType in members,
        is_json=not (has_status or info.is_optional) and (info.is_structure or info.origin in _JSON_CONTAINERS),
        is_stream=_stream_class(value) is not None,
        contents=_value_contents(values),
        returns_response=bool(responses),
        response_status=_own_status(typing.get_origin(responses[0]) or responses[0]) if responses else 200,
        response_contents=_response_contents(responses[0]) if responses else (),
        response_value=next((typing.get_args(member)[0] for member in filtered), None),
        stream_class=next(filter(None, map(_stream_class, values)), ByteStream),
    )


def union_members(annotation: object) -> list[object]:
    """Return the members of a union; of anything else, the one type that it is."""
    inner = strip_annotated(annotation)
    if typing.get_origin(inner) in (Union, types.UnionType):
        return list(typing.get_args(inner))
    return [types.NoneType if annotation is None else annotation]


def is_class(annotation: object, classes: tuple[type, ...]) -> bool:
    """Return whether an annotation is one of ``classes`` or a subclass, perhaps with type arguments."""
    origin = typing.get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, classes)


def status_of_value(value: object) -> int | None:
    """Return the status that a handler has returned, by a response or a value and its status; ``None`` for none."""
    if isinstance(value, RESPONSE_CLASSES):
        status: object = value.status_code
    elif isinstance(value, tuple) and len(value) == 2:
        status = value[1]
    else:
        return None
    return status if isinstance(status, int) else None


def default_status(method: str, given: int | None = None, *, is_empty: bool = False) -> int:
    """Return the status of success: ``given`` by the route, or 201 for POST, 204 for nothing, else 200."""
    if given is not None:
        return given
    if method == "POST":
        return 201
    return 204 if is_empty else 200


# --- bodies --------------------------------------------------------------------------------------------------------


def _value_contents(values: Sequence[object]) -> tuple[BodyContent, ...]:
    """Return the contents of values: text, bytes and streams by their kind, all the others as one JSON schema."""
    found: dict[str, object] = {}
    texts: list[object] = []
    others: list[object] = []
    for annotation in values:
        plain = strip_annotated(annotation)
        stream = _stream_class(plain)
        if plain in (Any, object):
            found |= {JSON: Any, TEXT: str, BYTES: None}
        elif stream is not None:
            found[str(stream.media_type)] = stream.documented_type
        elif is_class(plain, VALUE_MEDIA_TYPES[BYTES]):
            found[BYTES] = None
        elif typing.get_origin(plain) is Literal:  # may be partly text
            choices = typing.get_args(plain)
            for kinds, chosen in (
                (texts, tuple(choice for choice in choices if isinstance(choice, str))),
                (others, tuple(choice for choice in choices if not isinstance(choice, str))),
            ):
                kinds += [Literal[chosen]] if chosen else []
        else:
            (texts if is_class(plain, VALUE_MEDIA_TYPES[TEXT]) else others).append(annotation)
    if texts:
        found[TEXT] = Union[tuple(texts)]  # noqa: UP007 (built at run time)
    if others:
        found[JSON] = Union[tuple(others)]  # noqa: UP007
    return tuple(BodyContent(media_type, kind) for media_type, kind in found.items())


def _stream_class(annotation: object) -> type[StreamingResponse] | None:
    """Return the class that an iterator is sent as; ``None`` for what is no iterator."""
    item = next(iter(typing.get_args(annotation)), None)
    if typing.get_origin(annotation) in _ITERATORS and isinstance(item, type) and item in STREAM_CLASSES:
        return STREAM_CLASSES[item]
    is_stream = is_class(annotation, (Iterator, AsyncIterable)) and not is_class(annotation, (QuerySet,))
    return ByteStream if is_stream else None


def _response_contents(annotation: object) -> tuple[BodyContent, ...]:
    if arguments := typing.get_args(annotation):  # Response[T]
        return _value_contents(arguments[:1])
    media_type = getattr(annotation, "media_type", None)
    if not isinstance(media_type, str):
        return ()
    return (BodyContent(media_type, getattr(annotation, "documented_type", None)),)


def _own_status(cls: object) -> int:
    if is_class(cls, (HttpResponseBase,)):
        return getattr(cls, "status_code", 200)
    return getattr(cls, "documented_status", 307 if is_class(cls, (StarletteRedirectResponse,)) else 200)
