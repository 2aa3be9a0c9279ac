"""Return annotation → the successful answers of an operation, by the rules of ``responses/encoders.py``."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal, Union

from django.db.models import QuerySet
from django.http import HttpResponseBase
from starlette.responses import RedirectResponse
from starlette.responses import Response as StarletteResponse

from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.openapi.schema_writers import Schema
from hybrid_gateway.responses.encoders import is_event_stream
from hybrid_gateway.type_info import strip_annotated

__all__ = ["success_responses"]

_STREAMS = (collections.abc.Iterator, collections.abc.AsyncIterable)
_BYTES: dict[str, Any] = {"application/octet-stream": {}}
_EMPTY = (204, 205, 304)  # SPEC: RFC 9110: these never carry content


def success_responses(
    returns: Any, method: str, options: Mapping[str, Any], schema: Callable[[Any], Schema]
) -> dict[str, dict[str, Any]]:
    """Response objects by status: of the value, and of its absence where the annotation has ``| None``."""
    kinds = _members(_without_status(returns))
    nothing = types.NoneType in kinds
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    own = [kind for kind in kinds if _is_subclass(kind, (StarletteResponse, HttpResponseBase))]
    values = [kind for kind in kinds if kind not in own]

    statuses: dict[int, dict[str, Any]] = {}
    if own:
        statuses[_response_status(own[0], method, options)] = _response_content(own[0], schema)
    if nothing or (returns is NO_DEFAULT and method == "DELETE"):
        statuses[options.get("status_code") or _empty_status(method)] = {}
    if values and values != [NO_DEFAULT]:
        statuses[options.get("status_code") or _status(method)] = _content(values, schema)
    if not statuses:
        statuses[options.get("status_code") or _status(method)] = {}
    return {str(status): _response(status, content, options) for status, content in sorted(statuses.items())}


def _response(status: int, content: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": options.get("response_description") or _phrase(status)}
    if content and status not in _EMPTY:
        response["content"] = content
    return response


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Success"


def _status(method: str) -> int:
    return 201 if method == "POST" else 200


def _empty_status(method: str) -> int:
    return 201 if method == "POST" else 204


def _content(kinds: list[Any], schema: Callable[[Any], Schema]) -> dict[str, Any]:
    """Media types of the values: text, bytes and streams by name, all the others are one JSON schema."""
    content: dict[str, Any] = {}
    texts, rest = [], []
    for kind in kinds:
        plain = strip_annotated(kind)
        if plain in (Any, object):
            content |= {"application/json": {"schema": {}}, "text/plain": {"schema": {"type": "string"}}, **_BYTES}
        elif is_event_stream(plain):
            content["text/event-stream"] = {"schema": {"type": "string"}}
        elif _is_subclass(plain, (bytes, bytearray, memoryview, *_STREAMS)) and not _is_subclass(plain, (QuerySet,)):
            content |= _BYTES
        else:
            text, other = _by_text(kind, plain)
            texts += text
            rest += other
    if texts:
        content["text/plain"] = {"schema": schema(Union[tuple(texts)])}  # noqa: UP007 (built at run time)
    if rest:
        content["application/json"] = {"schema": schema(Union[tuple(rest)])}  # noqa: UP007
    return content


def _by_text(kind: Any, plain: Any) -> tuple[list[Any], list[Any]]:
    """A type that is text, and one that is not; a ``Literal`` may be partly this and partly that."""
    if typing.get_origin(plain) is not Literal:
        return ([kind], []) if _is_subclass(plain, (str,)) else ([], [kind])
    values = typing.get_args(plain)
    texts = tuple(value for value in values if isinstance(value, str))
    others = tuple(value for value in values if not isinstance(value, str))
    return [Literal[texts]] if texts else [], [Literal[others]] if others else []


def _response_status(kind: Any, method: str, options: Mapping[str, Any]) -> int:
    """That of the route; a redirect, and other classes of Django's, have a status of their own."""
    default = 307 if _is_subclass(kind, (RedirectResponse,)) else 200
    if _is_subclass(kind, (HttpResponseBase,)):
        default = kind.status_code
    given: int | None = options.get("status_code")
    if default == 200:
        return given or _status(method)
    return given if given is not None and given // 100 == default // 100 else default


def _response_content(kind: Any, schema: Callable[[Any], Schema]) -> dict[str, Any]:
    if arguments := typing.get_args(kind):  # Response[T]
        return _content([arguments[0]], schema)
    media_type = getattr(kind, "media_type", None)
    return {media_type: {}} if isinstance(media_type, str) else {}


# --- annotations ---------------------------------------------------------------------------------------------------


def _without_status(returns: Any) -> Any:
    """``T`` for ``tuple[T, int]``."""
    arguments = typing.get_args(returns)
    is_pair = typing.get_origin(returns) is tuple and len(arguments) == 2 and arguments[1] is int
    return arguments[0] if is_pair else returns


def _members(returns: Any) -> list[Any]:
    if typing.get_origin(returns) in (Union, types.UnionType):
        return list(typing.get_args(returns))
    return [types.NoneType if returns is None else returns]


def _is_subclass(kind: Any, classes: tuple[type, ...]) -> bool:
    kind = typing.get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, classes)
