"""Answers of several statuses, each of a type of its own: ``return 404, {"detail": "no such group"}``.

How this works: what a handler returns is converted to the type of its status, from dicts, rows and other objects alike,
so that a number is one of the right kind, what the type has not is left out, and defaults stand in for what is missing.
``manage.py gateway migrate-from ninja`` writes these around functions whose returns do not tell what they are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Manager, QuerySet
from django.http import JsonResponse

from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES
from hybrid_gateway.responses.response_classes import JSONResponse, Response
from hybrid_gateway.type_info import is_pydantic_model
from hybrid_gateway.types import Handler

__all__ = ["by_status", "made"]

H = TypeVar("H", bound=Handler)
S = TypeVar("S")


def by_status(types: Mapping[int, object], *, status: int = 200) -> Callable[[H], H]:
    """Send what a handler returns as the type of its status: ``@by_status({200: list[GroupOut], 404: Message})``.

    The handler returns a value, which is sent with ``status``, or a pair of a status and a value. ``None`` for a type
    sends no body, ``Any`` whatever JSON there is. Responses are sent as they are. Raises ``LookupError`` for a status
    without a type, and ``msgspec.ValidationError`` for a value that does not fit it: both are answered by 500.
    """

    def decorate(handler: H) -> H:
        @functools.wraps(handler)
        def wrapper(*args: object, **kwargs: object) -> object:
            return _answer(handler(*args, **kwargs), types, status)

        @functools.wraps(handler)
        async def async_wrapper(*args: object, **kwargs: object) -> object:
            return _answer(await handler(*args, **kwargs), types, status)

        return cast("H", async_wrapper if inspect.iscoroutinefunction(handler) else wrapper)

    return decorate


def made(kind: type[S], /, **values: object) -> S:
    """Return a Struct of these values: those that it has not are passed over, numbers become those of its fields."""
    return msgspec.convert(values, kind, strict=False, from_attributes=True)


def _answer(result: object, types: Mapping[int, object], usual: int) -> object:
    if isinstance(result, RESPONSE_CLASSES):
        return result
    status, value = result if isinstance(result, tuple) and len(result) == 2 else (usual, result)
    if status not in types:
        raise LookupError(f"No type is given for status {status}, but for {', '.join(map(str, types))}.")
    kind = types[status]
    if kind is None:
        return Response(None, status)
    if kind is Any:
        return JsonResponse(value, _Encoder, safe=False, status=status)
    rows = list(value.all()) if isinstance(value, QuerySet | Manager) else value
    converted = msgspec.convert(rows, kind, strict=False, from_attributes=True)
    is_usual = status == usual and isinstance(converted, list | msgspec.Struct)
    return converted if is_usual else JSONResponse(converted, status)


class _Encoder(DjangoJSONEncoder):
    """Django's, and pydantic's models."""

    def default(self, o: Any) -> Any:
        return o.model_dump() if is_pydantic_model(type(o)) else super().default(o)
