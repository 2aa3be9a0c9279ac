"""From msgspec's first complaint to the list of all errors, with exact locations."""

from __future__ import annotations

import contextlib
import itertools
import re
import types
import typing
from collections.abc import Container, Iterable, Mapping
from typing import Literal, Union

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from hybrid_gateway.binding.decoders import DecodeHook, decode_known, pydantic_errors
from hybrid_gateway.binding.signature import inspect_fields
from hybrid_gateway.exceptions import ErrorEntry, Location, error_entry
from hybrid_gateway.type_info import field_types, is_pydantic_model, strip_annotated, type_info

__all__ = ["ErrorEntry", "Location", "collect_errors", "missing", "one_error", "unknown"]

_PLACE = re.compile(r" - at `(key in )?\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `(.+)`$")


def missing(location: Location) -> ErrorEntry:
    """Return the error of a required value that is not there."""
    return error_entry(location, "Field required", "missing")


def unknown(source: str, given: Iterable[str], known: Container[str]) -> list[ErrorEntry]:
    """Return an error for every name that is not asked for, a hundred at most."""
    names = itertools.islice((name for name in given if name not in known), MAX_ERRORS)
    return [error_entry((source, name), "Unknown parameter") for name in names]


def one_error(error: Exception, location: Location) -> ErrorEntry:
    """Return msgspec's message as one error; the place msgspec names is appended to ``location``."""
    message = str(error)
    place = _PLACE.search(message)
    if place is not None:
        message = message[: place.start()]
        steps = _STEP.findall(place[2])
        location = (*location, *(name or (int(position) if position else "...") for name, position in steps))
    absent = _MISSING.match(message)
    if absent is not None:
        return missing((*location, absent[1]))
    kind = "type_error" if message.startswith("Expected") and ", got " in message else "value_error"
    return error_entry(location, message, kind)


# SECURITY: a body of 1 MiB holds hundreds of thousands of faults, and looking for each takes a thousand times as long
# as decoding it. Beyond these bounds msgspec's first complaint, whose place is exact, stands for the rest.
MAX_ERRORS = 100  # errors
MAX_PARTS = 2000
MAX_DEPTH = 8  # every level is converted once more


def collect_errors(
    value: object, kind: object, location: Location, *, hook: DecodeHook = decode_known
) -> list[ErrorEntry]:
    """Return the errors of ``value`` (decoded JSON) against ``kind``, at most a hundred; empty when it converts."""
    return _Search(hook).errors(value, kind, location)


class _Search:
    """A search for all errors of a value, with bounds to how long it takes."""

    def __init__(self, hook: DecodeHook) -> None:
        self._hook = hook
        self._parts = 0
        self._found = 0

    def errors(self, value: object, kind: object, location: Location, depth: int = 0) -> list[ErrorEntry]:
        self._parts += 1
        try:
            msgspec.convert(value, kind, dec_hook=self._hook)
        except REFUSALS as error:
            complaint = error.with_traceback(None)  # which knows this frame, and would make a cycle of both
        except RecursionError:
            self._found += 1
            return [error_entry(location, "Nested too deeply")]
        else:
            return []
        inner = self._inner(value, strip_annotated(kind), location, depth + 1) if depth < MAX_DEPTH else []
        if inner:
            return inner
        if isinstance(complaint, ValidationError):
            found = named_errors(complaint, kind, location)
            self._found += len(found)
            return found
        self._found += 1
        return [one_error(complaint, location)]

    def _inner(self, value: object, kind: object, location: Location, depth: int) -> list[ErrorEntry]:
        """Return the errors inside the parts of ``value``; empty when the parts are fine and the whole is at fault."""
        origin = typing.get_origin(kind)
        if origin in (Union, types.UnionType):
            absent = (types.NoneType, msgspec.UnsetType)
            members = [member for member in typing.get_args(kind) if member not in absent]
            if len(members) != 1:
                return []
            return self._inner(value, strip_annotated(members[0]), location, depth)
        if is_pydantic_model(kind):
            return pydantic_errors(value, kind, location)[:MAX_ERRORS]
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
            if self._found >= MAX_ERRORS or self._parts >= MAX_PARTS:
                break
            errors += self.errors(value, kind, (*location, name), depth)
        return errors


# --- what a class says of itself, in its __post_init__ ---------------------------------------------------------------

REFUSALS = (msgspec.ValidationError, ValidationError)
"""What a value that does not fit raises: msgspec's own, and what a ``__post_init__`` raises of Django's."""


def named_errors(error: ValidationError, kind: object, location: Location) -> list[ErrorEntry]:
    """Return the errors of Django's ``ValidationError``, of the whole or of fields, by their names on the wire."""
    if not hasattr(error, "error_dict"):
        return [error_entry(location, message) for message in error.messages]
    wire_names: dict[str, str] = {}
    with contextlib.suppress(AttributeError, TypeError):
        wire_names = {field.name: field.encode_name for field in inspect_fields(type_info(kind).inner)}
    return [
        error_entry(location if name == NON_FIELD_ERRORS else (*location, wire_names.get(name, name)), message)
        for name, messages in error.message_dict.items()
        for message in messages
    ]
