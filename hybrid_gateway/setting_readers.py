"""Readers of settings: each checks a value of ``HYBRID_GATEWAY``, and imports what it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from django.utils.module_loading import import_string

from hybrid_gateway.exceptions import SettingsError

SettingReader = Callable[[str, object], Any]
"""``read(key, value)``: the value to use; raises :class:`SettingsError`, which names the key."""


def expected(key: str, what: str, value: object) -> SettingsError:
    """Return the error for a value that is not ``what`` the setting must be."""
    return SettingsError(f"HYBRID_GATEWAY[{key!r}] must be {what}, not {value!r}.", id="S002")


def typed(kind: Any, what: str) -> SettingReader:
    """Return a reader of values that msgspec converts to ``kind``; ``what`` says in words what that is."""

    def read(key: str, value: object) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise expected(key, what, value) from None

    return read


boolean = typed(bool, "True or False")


def positive(what: str) -> SettingReader:
    """Return a reader of whole numbers from 1."""

    def read(key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise expected(key, what, value)
        return value

    return read


def seconds(key: str, value: object) -> float:
    """Read a positive, finite number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise expected(key, "a number of seconds, more than 0", value)
    return value


def anything(key: str, value: object) -> object:
    """Read a value that is checked where it is used."""
    return value


def import_object(key: str, entry: object) -> object:
    """Import a dotted path; return any other object as it is."""
    if not isinstance(entry, str):
        return entry
    try:
        return import_string(entry)
    except ImportError as error:
        raise SettingsError(
            f"HYBRID_GATEWAY[{key!r}] names {entry!r}, which cannot be imported: {error}", id="S003"
        ) from error


def import_each(key: str, value: object) -> tuple[object, ...]:
    """Read a list of objects or dotted paths."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise expected(key, "a list of objects or dotted paths", value)
    return tuple(import_object(key, entry) for entry in value)


def import_one_or_several(key: str, value: object) -> object:
    """Read an object or a dotted path, or a list of them."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return import_each(key, value) if several else import_object(key, value)


def import_mapping(key: str, value: object) -> dict[object, object]:
    """Read a dict whose keys and values are objects or dotted paths."""
    if not isinstance(value, Mapping):
        raise expected(key, "a dict of exception classes or status codes to handlers", value)
    return {import_object(key, error): import_object(key, handler) for error, handler in value.items()}


def import_names(key: str, value: object) -> dict[str, object]:
    """Read a dict of names and what they mean: objects or dotted paths."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise expected(key, "a dict of names and objects, or their dotted paths", value)
    return {name: import_object(key, entry) for name, entry in value.items()}
