"""Return annotations, judged at start-up: what could only fail, or be sent in a way that nobody means, is an error."""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Container, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Union

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.http import HttpResponseBase
from django.utils.functional import Promise
from starlette.responses import Response as StarletteResponse

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.responses.encoders import is_json_type
from hybrid_gateway.responses.server_sent_events import ServerSentEvent
from hybrid_gateway.type_hints import classes_in, has_fields
from hybrid_gateway.type_info import is_pydantic_model

__all__ = ["check_return_annotation"]

_STREAMS = (
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.Generator,
    collections.abc.AsyncGenerator,
)
_ITERABLES = (collections.abc.Iterable, collections.abc.AsyncIterable)
_CHUNKS = (str, bytes, bytearray, memoryview, ServerSentEvent)
_RESPONSES = (StarletteResponse, HttpResponseBase)
_ENCODED: tuple[type, ...] = (
    str, bytes, bytearray, memoryview, int, float, types.NoneType, enum.Enum, decimal.Decimal, uuid.UUID,
    datetime.date, datetime.time, datetime.timedelta, list, tuple, set, frozenset, Mapping,
    PurePath, Promise, SecretString, SecretBytes, msgspec.Raw, msgspec.UnsetType, QuerySet, *_RESPONSES,
)  # fmt: skip


def check_return_annotation(returns: Any, handler: Any, encoders: Container[Any] = ()) -> None:
    """Raise :class:`ConfigurationError` for an annotation whose values cannot be sent; ``encoders`` know classes."""
    _Judge(returns, encoders).whole(
        returns, inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
    )


class _Judge:
    def __init__(self, returns: Any, encoders: Container[Any]) -> None:
        self._returns = returns
        self._encoders = encoders

    def _refuse(self, words: str) -> ConfigurationError:
        shown = self._returns.__name__ if inspect.isclass(self._returns) else str(self._returns).replace("typing.", "")
        return ConfigurationError(f"The answer is annotated {shown}: {words}")

    def whole(self, kind: Any, yields: bool) -> None:
        """What a handler returns."""
        if kind is inspect.Parameter.empty or kind is Any:
            return
        members = _members(kind)
        for member in members:
            member = _bare(member)
            origin, arguments = typing.get_origin(member) or member, typing.get_args(member)
            if len(members) > 1 and origin is tuple and len(arguments) == 2 and arguments[1] is int:
                raise self._refuse(
                    "a status goes with the value always, or never. Annotate tuple[T, int] alone and return both each "
                    "time, or return Response(content, status)."
                )
            if origin in _STREAMS or (yields and origin in _ITERABLES):
                self._stream(arguments)
            elif yields and is_json_type(member):
                raise self._refuse("the handler yields. Annotate what it is, Iterator[str] or AsyncIterator[bytes].")
            elif not (inspect.isclass(origin) and issubclass(origin, _RESPONSES)):
                value = arguments[0] if origin is tuple and arguments[1:] == (int,) else member
                for cls, exact in classes_in(value):
                    self._class(cls, exact)

    def _stream(self, arguments: tuple[Any, ...]) -> None:
        for item in _members(arguments[0]) if arguments else ():
            if inspect.isclass(item) and not issubclass(item, _CHUNKS) and item not in (object, Any):
                raise self._refuse(
                    f"a stream is made of str or bytes, and of ServerSentEvent, not of {item.__name__}. Annotate "
                    f"list[{item.__name__}] and return a list, or yield ServerSentEvent(data=...)."
                )
            if typing.get_origin(item) is not None:
                raise self._refuse("a stream is made of str or bytes, and of ServerSentEvent. Return a list.")

    def _class(self, cls: Any, kind: Any) -> None:
        if issubclass(cls, (Model, Manager)) or (issubclass(cls, QuerySet) and len(typing.get_args(kind)) == 1):
            raise self._refuse(
                f"{cls.__name__} holds all columns, secrets among them. Make a ModelStruct of those that clients may "
                "see, and write it as the annotation, or response=ProductOut, or response=list[ProductOut]."
            )
        if issubclass(cls, _ENCODED) or _is_abstract(cls) or has_fields(cls) or is_pydantic_model(cls):
            return
        if not any(parent in self._encoders for parent in cls.__mro__):
            raise self._refuse(
                f"nobody knows how {cls.__name__} is sent. Give a function, type_encoders={{{cls.__name__}: ...}}, "
                "on the route or a layer, or annotate a Struct."
            )


def _members(kind: Any) -> list[Any]:
    kind = _bare(kind)
    return list(typing.get_args(kind)) if typing.get_origin(kind) in (Union, types.UnionType) else [kind]


def _bare(kind: Any) -> Any:
    while typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    return types.NoneType if kind is None else kind


def _is_abstract(cls: Any) -> bool:
    """Whether values are of some class below it, of which nothing is known."""
    return cls is object or inspect.isabstract(cls) or getattr(cls, "_is_protocol", False) or cls.__module__ == "typing"
