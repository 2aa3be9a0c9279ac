"""What a column takes: values of clients as the driver wants them, refused where no database or only this one has none.

How this works: Django's validators say what a model wants; they do not say what a database cannot hold (a text with a
null character, a moment outside of the calendar, a number that is none), which is an error of the driver then, and a
500. A function per kind of column, found when a class is first written, says it before.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.db import models
from django.utils import timezone

from hybrid_gateway.orm.columns import ranges
from hybrid_gateway.orm.columns.column_types import is_own, real_field, stored_type

__all__ = ["taker"]

Take = Callable[[Any, Any], Any]
"""A value and a connection → what is assigned. Raises ``ValueError`` or ``ValidationError``, whose words are sent."""


def taker(field: Any) -> Take:
    """What is done to a value for ``field`` before the model sees it. It never sees ``None``."""
    field = real_field(field)
    take = _TAKERS.get(field.get_internal_type())
    if isinstance(field, models.FilePathField):
        return _path(field)
    if is_own(field):
        return _own(take or _text)
    if take is not None:
        return take
    if ranges.is_range_field(field):
        return ranges.writer(field, taker(field.base_field))
    if field.get_internal_type() == "ArrayField":
        return _array(field)
    return _valued if stored_type(field) in _SCALARS else _member


_SCALARS = (int, bool, float, datetime.date, datetime.timedelta, uuid.UUID)


def _member(value: Any, connection: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _valued(value: Any, connection: Any) -> Any:
    """Of a column whose values are no texts, and which may be sent as one."""
    value = _member(value, connection)
    if value == "":  # DJANGO: to validators of a column with blank=True it is missing, to its SQL it is no number
        raise ValueError("A value is expected")
    return value


def _own(take: Take) -> Take:
    """For a project's own field, which knows its own classes and those of JSON, but no Structs."""

    def taken(value: Any, connection: Any) -> Any:
        value = take(value, connection)
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return msgspec.to_builtins(value) if any(isinstance(entry, msgspec.Struct) for entry in entries) else value

    return taken


def _text(value: Any, connection: Any) -> Any:
    value = _member(value, connection)
    if isinstance(value, str):
        _check_text(value)
    return value


def _check_text(text: str) -> None:
    # PostgreSQL raises for these. DJANGO: forms refuse them (ProhibitNullCharactersValidator), models do not.
    if "\x00" in text:
        raise ValueError("Null characters are not allowed")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("The text is no Unicode") from None


def _path(field: Any) -> Take:
    def taken(value: Any, connection: Any) -> Any:
        value = _text(value, connection)
        folder: Any = field.path() if callable(field.path) else field.path
        # SECURITY: DJANGO leaves it to forms that it is in the folder, and not anywhere else on the machine.
        if value and folder and not _is_below(os.fspath(folder), value):
            raise ValueError("The path leads out of its folder")
        return value

    return taken


def _is_below(folder: str, path: str) -> bool:
    folder = os.path.normpath(folder)
    return os.path.normpath(path).startswith(folder if folder.endswith(os.sep) else f"{folder}{os.sep}")


def _float(value: Any, connection: Any) -> Any:
    value = _member(value, connection)
    if isinstance(value, float) and not math.isfinite(value):  # which JSON could not show, and SQLite stores as NULL
        raise ValueError("The number must be finite")
    return value


def _decimal(value: Any, connection: Any) -> Any:
    value = _valued(value, connection)
    if type(value) is float:  # DJANGO: to_python() has as many digits as the column, 1.2000000, and refuses them then
        value = decimal.Decimal(repr(value))
    if isinstance(value, decimal.Decimal) and not value.is_finite():
        raise ValueError("The number must be finite")
    return value


def _moment(value: Any, connection: Any) -> Any:
    if not isinstance(value, datetime.datetime):
        return value
    try:
        if not settings.USE_TZ:
            zone = timezone.get_default_timezone()
            return value if value.tzinfo is None else timezone.make_naive(value, zone)
        if value.tzinfo is None:  # DJANGO: DateTimeField.get_prep_value, with a warning
            value = timezone.make_aware(value, timezone.get_default_timezone())
        value.astimezone(datetime.UTC).astimezone(connection.timezone)
    except (OverflowError, ValueError):
        raise ValueError("The moment is outside of the calendar") from None
    return value


def _time(value: Any, connection: Any) -> Any:
    if isinstance(value, datetime.time) and value.tzinfo is not None:
        raise ValueError("A time of day without an offset is expected")
    return value


_LONGEST = datetime.timedelta(microseconds=2**63 - 1)


def _duration(value: Any, connection: Any) -> Any:
    native = connection.features.has_native_duration_field
    if isinstance(value, datetime.timedelta) and not native and abs(value) > _LONGEST:  # a number of microseconds
        raise ValueError("The duration is out of range")
    return value


def _json(value: Any, connection: Any) -> Any:
    value = msgspec.to_builtins(value)
    for entry in _leaves(value):
        if isinstance(entry, float) and not math.isfinite(entry):
            raise ValueError("Numbers must be finite")
        if isinstance(entry, str) and connection.vendor == "postgresql":  # which has no text for them
            _check_text(entry)
    return value


def _leaves(value: Any) -> Iterator[Any]:
    """Everything in a value of JSON that is neither array nor object; the names of members as well."""
    pending = [value]
    while pending:
        entry = pending.pop()
        if isinstance(entry, dict):
            pending += entry.keys()
            pending += entry.values()
        elif isinstance(entry, (list, tuple)):
            pending += entry
        else:
            yield entry


def _texts(value: Any, connection: Any) -> Any:
    value = msgspec.to_builtins(value)
    for entry in _leaves(value):
        _text(entry, connection)
    return value


def _array(field: Any) -> Take:
    take, to_python = taker(field.base_field), field.base_field.to_python  # which ArrayField does not call

    def each(values: Any, connection: Any) -> Any:
        if not isinstance(values, (list, tuple, set, frozenset)):
            return values
        return [None if value is None else to_python(take(value, connection)) for value in values]

    return each


_TAKERS: Mapping[str, Take] = {
    "CharField": _text,
    "TextField": _text,
    "SlugField": _text,
    "FileField": _text,
    "GenericIPAddressField": _text,
    "DecimalField": _decimal,
    "FloatField": _float,
    "DateTimeField": _moment,
    "TimeField": _time,
    "DurationField": _duration,
    "JSONField": _json,
    "HStoreField": _texts,
}
"""By the internal type of the column; what is not listed takes whatever its model's validators do."""
