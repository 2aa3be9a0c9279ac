"""Facts about a return annotation, found out once, for encoders and the OpenAPI document; and its check at start-up.

How this works: values that are no responses yet are sent by their class, see :data:`VALUE_MEDIA_TYPES`; an iterator
becomes the stream of what it yields, see :data:`STREAM_CLASSES`. What a class of responses says of itself stands in
``gateway_response.py``.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Container,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import PurePath
from typing import Any, Literal, Union

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.http import HttpResponseBase
from django.utils.functional import Promise
from starlette.responses import RedirectResponse as StarletteRedirectResponse

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import JSON
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES
from hybrid_gateway.responses.response_classes import JSONResponse, Response
from hybrid_gateway.responses.server_sent_events import EventSourceResponse, ServerSentEvent
from hybrid_gateway.responses.streaming_response import ByteStream, StreamingResponse
from hybrid_gateway.type_info import (
    cached_by_type,
    classes_in,
    has_fields,
    is_pydantic_model,
    strip_annotated,
    type_info,
)

TEXT = "text/plain"
BYTES = "application/octet-stream"

VALUE_MEDIA_TYPES: Mapping[str, tuple[type, ...]] = {
    TEXT: (str,),
    BYTES: (bytes, bytearray, memoryview),
}
"""Classes of values that are sent as they are; all others are JSON."""

STREAM_CLASSES: Mapping[type, type[StreamingResponse]] = {ServerSentEvent: EventSourceResponse}
"""Class of the items of an annotated iterator → the stream it is sent as; any other is a :class:`ByteStream`."""

PLAIN_VALUES: tuple[type, ...] = (
    *(str, bytes, bytearray, memoryview, int, float, decimal.Decimal, uuid.UUID, enum.Enum, Promise, types.NoneType),
    *(datetime.date, datetime.time, datetime.timedelta, msgspec.Raw, msgspec.UnsetType),
)
"""Classes of values without fields that msgspec or our ``enc_hook`` writes."""

_SENT = (
    *(*PLAIN_VALUES, list, tuple, set, frozenset, Mapping, PurePath, SecretString, SecretBytes, QuerySet),
    *RESPONSE_CLASSES,
)
_STREAMS = (Iterator, AsyncIterator, Generator, AsyncGenerator)
_ITERABLES = (Iterable, AsyncIterable)
_JSON_CONTAINERS = (dict, list, set, frozenset, int, float, bool, Sequence, Mapping)


Contents = Mapping[str, object]
"""By the media types that are sent: the type whose schema is that of the body; ``None`` where it has none."""


class ResponseInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one return annotation."""

    value: object  # ``T`` of ``tuple[T, int]``, else the annotation
    has_status: bool  # it is ``tuple[T, int]``: a value and its status
    may_be_none: bool
    is_json: bool  # each value is sent as JSON, with the status of the route
    is_stream: bool  # it is an iterator
    contents: Contents  # of values
    returns_response: bool  # or a union of one with values
    response_status: int  # of the class of responses that is returned; 200 is that of the route
    response_contents: Contents
    response_value: object  # ``T`` of ``Response[T]``, of which the fields are filtered; None for none
    stream_class: type[StreamingResponse]  # for an iterator that is returned
    event_data: object  # ``T`` of ``ServerSentEvent[T]`` and ``EventSourceResponse[T]``; None for anything


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
        response_status=_own_status(responses[0]) if responses else 200,
        response_contents=_response_contents(responses[0]) if responses else {},
        response_value=next((typing.get_args(member)[0] for member in filtered), None),
        stream_class=next(filter(None, map(_stream_class, values)), ByteStream),
        event_data=next(filter(None, map(_event_data, members)), None),
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


def _value_contents(values: Sequence[object]) -> Contents:
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
            if chosen := tuple(choice for choice in choices if isinstance(choice, str)):
                texts.append(Literal[chosen])
            if chosen := tuple(choice for choice in choices if not isinstance(choice, str)):
                others.append(Literal[chosen])
        else:
            (texts if is_class(plain, VALUE_MEDIA_TYPES[TEXT]) else others).append(annotation)
    if texts:
        found[TEXT] = Union[tuple(texts)]  # noqa: UP007 (built at run time)
    if others:
        found[JSON] = Union[tuple(others)]  # noqa: UP007
    return found


def _stream_class(annotation: object) -> type[StreamingResponse] | None:
    """Return the class that an iterator is sent as; ``None`` for what is no iterator."""
    argument = next(iter(typing.get_args(annotation)), None)
    item = typing.get_origin(argument) or argument
    if typing.get_origin(annotation) in (*_STREAMS, *_ITERABLES) and isinstance(item, type) and item in STREAM_CLASSES:
        return STREAM_CLASSES[item]
    is_stream = is_class(annotation, (Iterator, AsyncIterable)) and not is_class(annotation, (QuerySet,))
    return ByteStream if is_stream else None


def _event_data(annotation: object) -> object:
    """Return what an annotation says of the data of events; ``None`` where it says nothing."""
    argument = next(iter(typing.get_args(annotation)), None)
    if is_class(annotation, (EventSourceResponse,)):
        return argument
    if _stream_class(strip_annotated(annotation)) is EventSourceResponse:
        return next(iter(typing.get_args(argument)), None)
    return None


def _response_contents(annotation: object) -> Contents:
    """Return the contents that a class of responses documents; ``T`` of ``Response[T]`` is what it does not say."""
    cls, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    media_type = getattr(cls, "media_type", None)
    if arguments and (media_type is None or cls is JSONResponse):
        return _value_contents(arguments[:1])
    if not isinstance(media_type, str):
        return {}
    documented = getattr(cls, "documented_type", None)
    if documented is None and arguments and not is_class(arguments[0], VALUE_MEDIA_TYPES[BYTES]):
        documented = arguments[0]
    return {media_type: documented}


def _own_status(annotation: object) -> int:
    cls = typing.get_origin(annotation) or annotation
    if is_class(cls, (HttpResponseBase,)):
        return getattr(cls, "status_code", 200)
    return getattr(cls, "documented_status", 307 if is_class(cls, (StarletteRedirectResponse,)) else 200)


# --- the check at start-up, of values that could not be sent, or not as they are meant -------------------------------


def check_return_annotation(returns: object, handler: object, encoders: Container[type] = ()) -> None:
    """Raise :class:`ConfigurationError` for an annotation whose values cannot be sent; ``encoders`` know classes."""
    if returns is inspect.Parameter.empty or returns is Any:
        return
    yields = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
    members = list(map(strip_annotated, union_members(returns)))
    try:
        for member in members:
            info = read_response_info(member)
            if len(members) > 1 and info.has_status:
                raise _Unsendable(
                    "a status goes with the value always, or never. Annotate tuple[T, int] alone and return both each "
                    "time, or return Response(content, status)."
                )
            origin = typing.get_origin(member) or member
            for cls, exact in () if info.event_data is None else classes_in(info.event_data):
                _check_class(cls, exact, encoders)
            if origin in _STREAMS or (yields and origin in _ITERABLES):
                _check_stream(typing.get_args(member))
            elif yields and info.is_json:
                raise _Unsendable("the handler yields. Annotate what it is, Iterator[str] or AsyncIterator[bytes].")
            elif not is_class(member, RESPONSE_CLASSES):
                for cls, exact in classes_in(info.value):
                    _check_class(cls, exact, encoders)
    except _Unsendable as error:
        shown = returns.__name__ if isinstance(returns, type) else str(returns).replace("typing.", "")
        raise ConfigurationError(f"The answer is annotated {shown}: {error}", id="X020") from None


class _Unsendable(Exception):
    """An annotation whose values cannot be sent; the message says what to annotate."""


def _check_stream(arguments: Sequence[object]) -> None:
    chunks = (str, *VALUE_MEDIA_TYPES[BYTES], *STREAM_CLASSES)
    for item in union_members(arguments[0]) if arguments else ():
        if isinstance(item, type) and not issubclass(item, chunks) and item not in (object, Any):
            raise _Unsendable(
                f"a stream is made of str or bytes, and of ServerSentEvent, not of {item.__name__}. Annotate "
                f"list[{item.__name__}] and return a list, or yield ServerSentEvent(data=...)."
            )
        if typing.get_origin(item) not in (None, *STREAM_CLASSES):
            raise _Unsendable("a stream is made of str or bytes, and of ServerSentEvent. Return a list.")


def _check_class(cls: type, annotation: object, encoders: Container[type]) -> None:
    if issubclass(cls, (Model, Manager)) or (issubclass(cls, QuerySet) and len(typing.get_args(annotation)) == 1):
        raise _Unsendable(
            f"{cls.__name__} holds all columns, secrets among them. Make a ModelStruct of those that clients may "
            "see, and write it as the annotation, or response=ProductOut, or response=list[ProductOut]."
        )
    if issubclass(cls, _SENT) or _is_abstract(cls) or has_fields(cls) or is_pydantic_model(cls):
        return
    if not any(parent in encoders for parent in cls.__mro__):
        raise _Unsendable(
            f"nobody knows how {cls.__name__} is sent. Give a function, type_encoders={{{cls.__name__}: ...}}, "
            "on the route or a layer, or annotate a Struct."
        )


def _is_abstract(cls: type) -> bool:
    """Return whether values are of some class below it, of which nothing is known."""
    return cls is object or inspect.isabstract(cls) or typing.Protocol in cls.__bases__ or cls.__module__ == "typing"
