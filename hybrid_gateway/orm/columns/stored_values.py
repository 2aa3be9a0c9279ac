"""What the database gives back for a value that is written to a column, as far as Python can tell.

How this works: an instance that was saved has what was assigned to it, which is not always what the next query gives: a
decimal without its digits, a datetime with an offset, the text of a default where the column is a number, whatever a
project's own field makes of it. A function per kind of column says what a value becomes, or :data:`UNTOLD`.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from hybrid_gateway.orm.columns.column_types import is_own, real_field, stored_type

__all__ = ["SCALARS", "SETTLERS", "UNTOLD", "Settle", "settler", "shower", "untold"]

UNTOLD: Any = object()
"""Only the database knows."""

Settle = Callable[[Any, Any], Any]
"""A value that is not ``None`` and a connection → what the database gives back."""


def settler(field: Any) -> Settle | None:
    """What the database makes of values of ``field``; ``None`` for the name of a file, which is no value."""
    field = real_field(field)
    if isinstance(field, models.FileField):
        return None
    if _is_changed_on_the_way(field):
        return untold
    internal = field.get_internal_type()
    if internal in SETTLERS:
        return SETTLERS[internal](field)
    stored = stored_type(field)
    return _exactly(stored, field) if stored in SCALARS else untold


SCALARS = (int, bool, str, uuid.UUID, datetime.date, datetime.timedelta, bytes)
_WAYS = (
    "get_prep_value",
    "get_db_prep_value",
    "get_db_prep_save",
    "pre_save",
    "db_type",
    "get_placeholder",
    "to_python",
)


def _is_changed_on_the_way(field: Any) -> bool:
    """Whether code that is not Django's has its hand in what is stored, or in what is read."""
    ways = [getattr(type(field), name, None) for name in _WAYS]
    return is_own(field) or any(way is not None and not way.__module__.startswith("django.") for way in ways)


def untold(value: Any, connection: Any) -> Any:
    return UNTOLD


def _converted(field: Any, value: Any) -> Any:
    """A value as the field understands it."""
    if hasattr(value, "resolve_expression"):
        return UNTOLD
    try:
        return field.to_python(value)
    except (ValidationError, TypeError, ValueError, OverflowError):
        return UNTOLD


def _exactly(stored: Any, field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        if type(value) is stored:
            return value
        value = _converted(field, value)
        if value is UNTOLD or type(value) is stored:
            return value
        if isinstance(value, str) and stored is str:  # members of an enum, texts that are marked as safe
            return str.__str__(value)
        if isinstance(value, (bytearray, memoryview)) and stored is bytes:
            return bytes(value)
        return int(value) if isinstance(value, int) and stored is int else UNTOLD

    return settled


def _decimal(field: Any) -> Settle:
    places = field.decimal_places

    def settled(value: Any, connection: Any) -> Any:
        if type(value) is not decimal.Decimal:
            value = _converted(field, value)
        if type(value) is not decimal.Decimal or not value.is_finite() or places is None:
            return UNTOLD
        try:
            rounded = value.quantize(decimal.Decimal(1).scaleb(-places), context=_WIDE)
        except decimal.InvalidOperation:
            return UNTOLD
        digits = len(rounded.as_tuple().digits)
        negative_zero = not rounded and rounded.is_signed()
        inexact = digits > 15 and connection.vendor == "sqlite"  # where it is a float
        return UNTOLD if rounded != value or negative_zero or inexact else rounded

    return settled


_WIDE = decimal.Context(prec=1000)


def _float(field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        value = value if type(value) is float else _converted(field, value)
        known = type(value) is float and math.isfinite(value) and (value or math.copysign(1, value) > 0)
        return value if known else UNTOLD

    return settled


def _moment(field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        if type(value) is not datetime.datetime:
            value = _converted(field, value)
            if type(value) is not datetime.datetime:
                return UNTOLD
        if not settings.USE_TZ:
            return value if value.tzinfo is None else UNTOLD
        try:
            if value.tzinfo is None:  # DJANGO: DateTimeField.get_prep_value
                value = timezone.make_aware(value, timezone.get_default_timezone())
            return value.astimezone(connection.timezone)
        except (OverflowError, ValueError):
            return UNTOLD

    return settled


def _time(field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        value = value if type(value) is datetime.time else _converted(field, value)
        return value if type(value) is datetime.time and value.tzinfo is None else UNTOLD

    return settled


def _address(field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        value = _converted(field, value)
        if value == "":
            return None  # DJANGO: DatabaseOperations.adapt_ipaddressfield_value
        return value if type(value) is str and ":" not in value else UNTOLD

    return settled


def _json(field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        return value if field.decoder is None and _is_exact_json(value) else UNTOLD

    return settled


def _is_exact_json(value: Any) -> bool:
    """Whether it comes back as it is. PostgreSQL has numbers of its own, whose zeros and exponents may be others."""
    pending = [value]
    while pending:
        entry = pending.pop()
        kind = type(entry)
        if kind is dict:
            if any(type(key) is not str for key in entry):
                return False
            pending += entry.values()
        elif kind is list:
            pending += entry
        elif kind is float:
            if not math.isfinite(entry) or "e" in repr(entry) or (not entry and math.copysign(1, entry) < 0):
                return False
        elif entry is not None and kind not in (str, int, bool):
            return False
    return True


def _array(field: Any) -> Settle:
    item = settler(field.base_field) or untold

    def settled(values: Any, connection: Any) -> Any:
        if type(values) not in (list, tuple):
            return UNTOLD
        found = [None if value is None else item(value, connection) for value in values]
        return UNTOLD if any(value is UNTOLD for value in found) else found

    return settled


def _texts(field: Any) -> Settle:
    def settled(value: Any, connection: Any) -> Any:
        exact = type(value) is dict and all(
            type(key) is str and (entry is None or type(entry) is str) for key, entry in value.items()
        )
        return value if exact else UNTOLD

    return settled


SETTLERS: dict[str, Callable[[Any], Settle]] = {
    "DecimalField": _decimal,
    "FloatField": _float,
    "DateTimeField": _moment,
    "TimeField": _time,
    "GenericIPAddressField": _address,
    "JSONField": _json,
    "ArrayField": _array,
    "HStoreField": _texts,
}


def shower(field: Any) -> Settle | None:
    """What makes of the value of any instance, saved or not, what its row gives, as far as that can be told."""
    told = settler(field)
    if told is None:
        return None

    def show(value: Any, connection: Any) -> Any:
        known = told(value, connection)
        if known is UNTOLD and not is_own(field):
            known = _converted(field, value)
        return value if known is UNTOLD else known

    field = real_field(field)
    return show
