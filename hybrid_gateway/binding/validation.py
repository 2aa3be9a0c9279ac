"""msgspec's first complaint, and how it becomes the list of all of them with exact places."""

from __future__ import annotations

import itertools
import re
import types
import typing
from collections.abc import Container, Iterable, Mapping
from typing import Literal, Union

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from hybrid_gateway.binding.decoders import DecodeHook, decode_known, pydantic_errors
from hybrid_gateway.binding.struct_fields import inspect_fields
from hybrid_gateway.exceptions import ErrorEntry, Location, error_entry
from hybrid_gateway.type_hints import field_types
from hybrid_gateway.type_info import is_pydantic_model, strip_annotated, type_info

__all__ = ["ErrorEntry", "Location", "collect_errors", "missing", "one_error", "unknown"]

_PLACE = re.compile(r" - at `(key in )?\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `(.+)`$")


def missing(location: Location) -> ErrorEntry:
    """The error of a required value that is not there."""
    return error_entry(location, "Field required", "missing")


def unknown(source: str, given: Iterable[str], known: Container[str]) -> list[ErrorEntry]:
    """An error for every name that nobody asks for, a hundred at most."""
    names = itertools.islice((name for name in given if name not in known), _MOST)
    return [error_entry((source, name), "Unknown parameter") for name in names]


def one_error(error: Exception, location: Location) -> ErrorEntry:
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
    return error_entry(location, message, kind)


def _step(match: re.Match[str]) -> str | int:
    return match[1] if match[1] is not None else int(match[2]) if match[2] is not None else "..."


# SECURITY: a body of 1 MiB holds hundreds of thousands of faults, and looking for each takes a thousand times as long
# as decoding it. Beyond these bounds msgspec's first complaint, whose place is exact, stands for the rest.
_MOST = 100  # errors
_MOST_PARTS = 2000
_DEEPEST = 8  # every level is converted once more


def collect_errors(
    value: object, kind: object, location: Location, *, hook: DecodeHook = decode_known
) -> list[ErrorEntry]:
    """The errors of ``value`` (decoded JSON) against ``kind``, at most a hundred; empty when it converts."""
    return _Search(hook).errors(value, kind, location)


class _Search:
    """One look for everything that is wrong with a value, with bounds to how long it takes."""

    def __init__(self, hook: DecodeHook) -> None:
        self._hook = hook
        self._parts = 0
        self._found = 0

    def errors(self, value: object, kind: object, location: Location, depth: int = 0) -> list[ErrorEntry]:
        self._parts += 1
        try:
            msgspec.convert(value, kind, dec_hook=self._hook)
        except REFUSALS as error:
            complaint = error
        except RecursionError:
            self._found += 1
            return [error_entry(location, "Nested too deeply")]
        else:
            return []
        inner = self._inner(value, strip_annotated(kind), location, depth + 1) if depth < _DEEPEST else []
        if inner:
            return inner
        if isinstance(complaint, ValidationError):
            found = named_errors(complaint, kind, location)
            self._found += len(found)
            return found
        self._found += 1
        return [one_error(complaint, location)]

    def _inner(self, value: object, kind: object, location: Location, depth: int) -> list[ErrorEntry]:
        """The errors inside the parts of ``value``; empty when the parts are fine and the whole is at fault."""
        origin = typing.get_origin(kind)
        if origin in (Union, types.UnionType):
            members = [member for member in typing.get_args(kind) if member is not types.NoneType]
            if len(members) != 1:
                return []
            return self._inner(value, strip_annotated(members[0]), location, depth)
        if is_pydantic_model(kind):
            return pydantic_errors(value, kind, location)[:_MOST]
        if isinstance(value, Mapping):
            if origin in (dict, Mapping):
                _, item = typing.get_args(kind)
                return self._each(((key, entry, item) for key, entry in value.items()), location, depth)
            return self._fields(value, kind, location, depth)
        if isinstance(value, list):
            items = typing.get_args(kind)
            if origin not in (None, Literal) and items and (len(items) == 1 or items[-1] is Ellipsis):
                return self._each(((i, entry, items[0]) for i, entry in enumerate(value)), location, depth)
        return []

    def _fields(self, value: Mapping[str, object], kind: object, location: Location, depth: int) -> list[ErrorEntry]:
        try:
            fields = inspect_fields(kind)
            hints = field_types(kind)
        except (AttributeError, TypeError, NameError):
            return []
        errors: list[ErrorEntry] = []
        for field in fields:
            name = field.encode_name
            if name in value:
                errors += self._each([(name, value[name], hints[field.name])], location, depth)
            elif field.required:
                self._found += 1
                errors.append(missing((*location, name)))
        return errors

    def _each(
        self, parts: Iterable[tuple[str | int, object, object]], location: Location, depth: int
    ) -> list[ErrorEntry]:
        errors: list[ErrorEntry] = []
        for name, value, kind in parts:
            if self._found >= _MOST or self._parts >= _MOST_PARTS:
                break
            errors += self.errors(value, kind, (*location, name), depth)
        return errors


# --- what a class says of itself, in its __post_init__ ---------------------------------------------------------------

REFUSALS = (msgspec.ValidationError, ValidationError)
"""What a value that does not fit raises: msgspec's own, and what a ``__post_init__`` raises of Django's."""


def named_errors(error: ValidationError, kind: object, location: Location) -> list[ErrorEntry]:
    """The errors of Django's ``ValidationError``: of fields that it names, as clients call them, or of the whole."""
    if not hasattr(error, "error_dict"):
        return [error_entry(location, message) for message in error.messages]
    wire_names = _wire_names(kind)
    return [
        error_entry(location if name == NON_FIELD_ERRORS else (*location, wire_names.get(name, name)), message)
        for name, messages in error.message_dict.items()
        for message in messages
    ]


def _wire_names(kind: object) -> dict[str, str]:
    try:
        return {field.name: field.encode_name for field in inspect_fields(type_info(kind).inner)}
    except (AttributeError, TypeError):
        return {}
