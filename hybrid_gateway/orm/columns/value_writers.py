"""Values of clients → values as the driver wants them; raises ``ValueError`` for what a database cannot hold.

How this works: Django's validators say what a model wants; they do not say what a database cannot hold (a text with a
null character, a datetime outside of the calendar, a number that is none), which is an error of the driver then, and a
500. A function per kind of column says it before. None of them ever sees ``None``.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from hybrid_gateway.orm.columns.field_facts import ModelField

Writer = Callable[[object, BaseDatabaseWrapper], object]
"""A value and a connection → what is assigned. Raises ``ValueError`` or ``ValidationError``, whose words are sent."""

_MAX_DURATION = datetime.timedelta(microseconds=2**63 - 1)


def write_choice(value: object, connection: BaseDatabaseWrapper) -> object:
    return value.value if isinstance(value, enum.Enum) else value


def write_not_empty(value: object, connection: BaseDatabaseWrapper) -> object:
    """Take a value of a column whose values are no texts, and which may be sent as one."""
    value = write_choice(value, connection)
    if value == "":  # DJANGO: to validators of a column with blank=True it is missing, to its SQL it is no number
        raise ValueError("A value is expected")
    return value


def write_unknown(write: Writer) -> Writer:
    """Return ``write`` for a project's own field, which knows its own classes and those of JSON, but no Structs."""

    def write_builtins(value: object, connection: BaseDatabaseWrapper) -> object:
        value = write(value, connection)
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return msgspec.to_builtins(value) if any(isinstance(entry, msgspec.Struct) for entry in entries) else value

    return write_builtins


def write_text(value: object, connection: BaseDatabaseWrapper) -> object:
    value = write_choice(value, connection)
    if isinstance(value, str):
        _check_text(value)
    return value


def _check_text(text: str) -> None:
    # PostgreSQL raises for these. DJANGO: forms reject them (ProhibitNullCharactersValidator), models do not.
    if "\x00" in text:
        raise ValueError("Null characters are not allowed")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("The text is no Unicode") from None


def write_path(field: ModelField) -> Writer:
    assert isinstance(field, models.FilePathField)

    def write(value: object, connection: BaseDatabaseWrapper) -> object:
        value = write_text(value, connection)
        folder: Any = field.path() if callable(field.path) else field.path
        # SECURITY: DJANGO leaves it to forms that it is in the folder, and not anywhere else on the machine.
        if isinstance(value, str) and value and folder:
            parent = os.path.normpath(folder)
            if not os.path.normpath(value).startswith(parent if parent.endswith(os.sep) else f"{parent}{os.sep}"):
                raise ValueError("The path leads out of its folder")
        return value

    return write


def write_float(value: object, connection: BaseDatabaseWrapper) -> object:
    value = write_choice(value, connection)
    if isinstance(value, float) and not math.isfinite(value):  # which JSON could not show, and SQLite stores as NULL
        raise ValueError("The number must be finite")
    return value


def write_decimal(value: object, connection: BaseDatabaseWrapper) -> object:
    value = write_not_empty(value, connection)
    if type(value) is float:  # DJANGO: to_python() has as many digits as the column, 1.2000000, and rejects them then
        value = decimal.Decimal(repr(value))
    if isinstance(value, decimal.Decimal) and not value.is_finite():
        raise ValueError("The number must be finite")
    return value


def write_datetime(value: object, connection: BaseDatabaseWrapper) -> object:
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


def write_time(value: object, connection: BaseDatabaseWrapper) -> object:
    if isinstance(value, datetime.time) and value.tzinfo is not None:
        raise ValueError("A time of day without an offset is expected")
    return value


def write_duration(value: object, connection: BaseDatabaseWrapper) -> object:
    is_number = not connection.features.has_native_duration_field  # of microseconds
    if isinstance(value, datetime.timedelta) and is_number and abs(value) > _MAX_DURATION:
        raise ValueError("The duration is out of range")
    return value


def write_json(value: object, connection: BaseDatabaseWrapper) -> object:
    value = msgspec.to_builtins(value)
    for entry in _leaves(value):
        if isinstance(entry, float) and not math.isfinite(entry):
            raise ValueError("Numbers must be finite")
        if isinstance(entry, str) and connection.vendor == "postgresql":  # which has no text for them
            _check_text(entry)
    return value


def _leaves(value: object) -> Iterator[object]:
    """Yield everything in a value of JSON that is neither array nor object, and the names of members."""
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


def write_texts(value: object, connection: BaseDatabaseWrapper) -> object:
    value = msgspec.to_builtins(value)
    for entry in _leaves(value):
        write_text(entry, connection)
    return value


def write_array(item: ModelField, write_item: Writer) -> Writer:
    """Return the writer of lists of values of the field ``item``."""

    def write(values: object, connection: BaseDatabaseWrapper) -> object:
        if not isinstance(values, (list, tuple, set, frozenset)):
            return values
        # DJANGO: ArrayField does not call to_python() of its items.
        return [None if value is None else item.to_python(write_item(value, connection)) for value in values]

    return write
