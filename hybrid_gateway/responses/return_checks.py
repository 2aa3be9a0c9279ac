"""Checks of return annotations at start-up: of values that could not be sent, or not as they are meant."""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Container, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.utils.functional import Promise

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES
from hybrid_gateway.responses.response_info import (
    BYTES,
    STREAM_CLASSES,
    VALUE_MEDIA_TYPES,
    is_class,
    read_response_info,
    union_members,
)
from hybrid_gateway.type_hints import classes_in, has_fields
from hybrid_gateway.type_info import is_pydantic_model, strip_annotated

__all__ = ["check_return_annotation"]

_STREAMS = (
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.Generator,
    collections.abc.AsyncGenerator,
)
_ITERABLES = (collections.abc.Iterable, collections.abc.AsyncIterable)

_ENCODED: tuple[type, ...] = (
    str, bytes, bytearray, memoryview, int, float, types.NoneType, enum.Enum, decimal.Decimal, uuid.UUID,
    datetime.date, datetime.time, datetime.timedelta, list, tuple, set, frozenset, Mapping,
    PurePath, Promise, SecretString, SecretBytes, msgspec.Raw, msgspec.UnsetType, QuerySet, *RESPONSE_CLASSES,
)  # fmt: skip


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
            if origin in _STREAMS or (yields and origin in _ITERABLES):
                _check_stream(typing.get_args(member))
            elif yields and info.is_json:
                raise _Unsendable("the handler yields. Annotate what it is, Iterator[str] or AsyncIterator[bytes].")
            elif not is_class(member, RESPONSE_CLASSES):
                for cls, exact in classes_in(info.value):
                    _check_class(cls, exact, encoders)
    except _Unsendable as error:
        shown = returns.__name__ if isinstance(returns, type) else str(returns).replace("typing.", "")
        raise ConfigurationError(f"The answer is annotated {shown}: {error}") from None


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
        if typing.get_origin(item) is not None:
            raise _Unsendable("a stream is made of str or bytes, and of ServerSentEvent. Return a list.")


def _check_class(cls: type, annotation: object, encoders: Container[type]) -> None:
    if issubclass(cls, (Model, Manager)) or (issubclass(cls, QuerySet) and len(typing.get_args(annotation)) == 1):
        raise _Unsendable(
            f"{cls.__name__} holds all columns, secrets among them. Make a ModelStruct of those that clients may "
            "see, and write it as the annotation, or response=ProductOut, or response=list[ProductOut]."
        )
    if issubclass(cls, _ENCODED) or _is_abstract(cls) or has_fields(cls) or is_pydantic_model(cls):
        return
    if not any(parent in encoders for parent in cls.__mro__):
        raise _Unsendable(
            f"nobody knows how {cls.__name__} is sent. Give a function, type_encoders={{{cls.__name__}: ...}}, "
            "on the route or a layer, or annotate a Struct."
        )


def _is_abstract(cls: type) -> bool:
    """Return whether values are of some class below it, of which nothing is known."""
    return cls is object or inspect.isabstract(cls) or typing.Protocol in cls.__bases__ or cls.__module__ == "typing"
