"""msgspec's first complaint, and how it becomes the list of all of them with exact places."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Union

import msgspec

from hybrid_gateway.binding.custom import DecodeHook, decode_known, is_pydantic, pydantic_errors
from hybrid_gateway.binding.signature import strip_annotated

__all__ = ["Error", "collect_errors", "missing", "one_error"]

Error = dict[str, Any]
Location = tuple[str | int, ...]

_PLACE = re.compile(r" - at `(key in )?\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `(.+)`$")


def missing(location: Location) -> Error:
    """The error of a required value that is not there."""
    return {"loc": list(location), "msg": "Field required", "type": "missing"}


def one_error(error: Exception, location: Location) -> Error:
    """msgspec's message as one error; the place msgspec names is appended to ``location``."""
    message = str(error)
    place = _PLACE.search(message)
    if place is not None:
        message = message[: place.start()]
        location = (*location, *(_step(step) for step in _STEP.finditer(place[2])))
    absent = _MISSING.match(message)
    if absent is not None:
        return missing((*location, absent[1]))
    kind = "type_error" if message.startswith("Expected") and ", got " in message else "value_error"
    return {"loc": list(location), "msg": message, "type": kind}


def _step(match: re.Match[str]) -> str | int:
    return match[1] if match[1] is not None else int(match[2]) if match[2] is not None else "..."


def collect_errors(
    value: Any, kind: Any, location: Location, *, strict: bool = True, hook: DecodeHook = decode_known
) -> list[Error]:
    """Every error of ``value`` (decoded JSON) against ``kind``; empty when it converts."""
    try:
        msgspec.convert(value, kind, strict=strict, dec_hook=hook)
    except msgspec.ValidationError as error:
        inner = _inner_errors(value, strip_annotated(kind), location, strict, hook)
        return inner or [one_error(error, location)]
    except RecursionError:
        return [{"loc": list(location), "msg": "Nested too deeply", "type": "value_error"}]
    return []


def _inner_errors(value: Any, kind: Any, location: Location, strict: bool, hook: DecodeHook) -> list[Error]:
    """The errors inside the parts of ``value``; empty when the parts are fine and the whole is at fault."""
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not types.NoneType]
        if len(members) != 1:
            return []
        return _inner_errors(value, strip_annotated(members[0]), location, strict, hook)
    if is_pydantic(kind):
        return pydantic_errors(value, kind, location)
    if isinstance(value, Mapping):
        if origin in (dict, Mapping):
            _, item = typing.get_args(kind)
            return _join(
                collect_errors(entry, item, (*location, key), strict=strict, hook=hook) for key, entry in value.items()
            )
        return _field_errors(value, kind, location, strict, hook)
    if isinstance(value, list):
        items = typing.get_args(kind)
        if origin is not None and items and (len(items) == 1 or items[-1] is Ellipsis):
            return _join(
                collect_errors(e, items[0], (*location, i), strict=strict, hook=hook) for i, e in enumerate(value)
            )
    return []


def _field_errors(
    value: Mapping[str, Any], kind: Any, location: Location, strict: bool, hook: DecodeHook
) -> list[Error]:
    try:
        fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
        hints = _hints(kind)
    except (AttributeError, TypeError, NameError):
        return []
    errors = []
    for field in fields:
        if field.encode_name in value:
            entry = value[field.encode_name]
            place = (*location, field.encode_name)
            errors += collect_errors(entry, hints[field.name], place, strict=strict, hook=hook)
        elif field.required:
            errors.append(missing((*location, field.encode_name)))
    return errors


def _hints(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.name: field.type for field in msgspec.structs.fields(kind)}
    return typing.get_type_hints(typing.get_origin(kind) or kind, include_extras=True)


def _join(lists: Any) -> list[Error]:
    return [error for errors in lists for error in errors]


Reader = Callable[[Any, list[Error]], Any]
