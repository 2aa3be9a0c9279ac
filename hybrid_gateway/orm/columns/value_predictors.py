"""Values of instances → values that the next query gives, as far as Python can tell.

How this works: an instance that was saved has what was assigned to it, which is not always what the next query gives: a
decimal without its digits, a datetime with an offset, the text of a default where the column is a number, whatever a
project's own field makes of it. A function per kind of column says what a value becomes, or :data:`UNKNOWN`.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from hybrid_gateway.orm.columns.field_facts import ModelField

UNKNOWN: Final = object()
"""Only the database knows."""

Predictor = Callable[[object, BaseDatabaseWrapper], object]
"""A value that is not ``None`` and a connection → what the database gives back."""

_WIDE = decimal.Context(prec=1000)


def predict_nothing(value: object, connection: BaseDatabaseWrapper) -> object:
    """Leave it to the database."""
    return UNKNOWN


def to_python(field: ModelField, value: object) -> object:
    """Return a value as the field understands it, or :data:`UNKNOWN`."""
    if hasattr(value, "resolve_expression"):
        return UNKNOWN
    try:
        return field.to_python(value)
    except (ValidationError, TypeError, ValueError, OverflowError):
        return UNKNOWN


def predict_exactly(stored: type, field: ModelField) -> Predictor:
    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        if type(value) is stored:
            return value
        value = to_python(field, value)
        if value is UNKNOWN or type(value) is stored:
            return value
        if isinstance(value, str) and stored is str:  # members of an enum, texts that are marked as safe
            return str.__str__(value)
        if isinstance(value, (bytearray, memoryview)) and stored is bytes:
            return bytes(value)
        return int(value) if isinstance(value, int) and stored is int else UNKNOWN

    return predict


def predict_decimal(field: ModelField) -> Predictor:
    places: int | None = getattr(field, "decimal_places")  # noqa: B009 (of decimals alone)
    step = decimal.Decimal(1).scaleb(-(places or 0))

    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        if type(value) is not decimal.Decimal:
            value = to_python(field, value)
        if type(value) is not decimal.Decimal or not value.is_finite() or places is None:
            return UNKNOWN
        try:
            rounded = value.quantize(step, context=_WIDE)
        except decimal.InvalidOperation:
            return UNKNOWN
        digits = rounded.adjusted() + places + 1
        negative_zero = not rounded and rounded.is_signed()
        inexact = digits > 15 and connection.vendor == "sqlite"  # where it is a float
        return UNKNOWN if rounded != value or negative_zero or inexact else rounded

    return predict


def predict_float(field: ModelField) -> Predictor:
    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        value = value if type(value) is float else to_python(field, value)
        known = type(value) is float and math.isfinite(value) and (value or math.copysign(1, value) > 0)
        return value if known else UNKNOWN

    return predict


def predict_datetime(field: ModelField) -> Predictor:
    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        if type(value) is not datetime.datetime:
            value = to_python(field, value)
            if type(value) is not datetime.datetime:
                return UNKNOWN
        if not settings.USE_TZ:
            return value if value.tzinfo is None else UNKNOWN
        try:
            if value.tzinfo is None:  # DJANGO: DateTimeField.get_prep_value
                value = timezone.make_aware(value, timezone.get_default_timezone())
            return value.astimezone(connection.timezone)
        except (OverflowError, ValueError):
            return UNKNOWN

    return predict


def predict_time(field: ModelField) -> Predictor:
    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        value = value if type(value) is datetime.time else to_python(field, value)
        return value if type(value) is datetime.time and value.tzinfo is None else UNKNOWN

    return predict


def predict_ip_address(field: ModelField) -> Predictor:
    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        value = to_python(field, value)
        if value == "":
            return None  # DJANGO: DatabaseOperations.adapt_ipaddressfield_value
        return value if type(value) is str and ":" not in value else UNKNOWN

    return predict


def predict_json(field: ModelField) -> Predictor:
    has_decoder = getattr(field, "decoder", None) is not None

    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        return value if not has_decoder and _is_exact_json(value) else UNKNOWN

    return predict


def _is_exact_json(value: object) -> bool:
    # PostgreSQL has numbers of its own, whose zeros and exponents may be others.
    pending = [value]
    while pending:
        entry = pending.pop()
        if type(entry) is dict:
            if any(type(key) is not str for key in entry):
                return False
            pending += entry.values()
        elif type(entry) is list:
            pending += entry
        elif type(entry) is float:
            if not math.isfinite(entry) or "e" in repr(entry) or (not entry and math.copysign(1, entry) < 0):
                return False
        elif entry is not None and type(entry) not in (str, int, bool):
            return False
    return True


def predict_array(item: Predictor) -> Predictor:
    """Return the predictor of lists whose items ``item`` predicts."""

    def predict(values: object, connection: BaseDatabaseWrapper) -> object:
        if not isinstance(values, (list, tuple)) or type(values) not in (list, tuple):
            return UNKNOWN
        found = [None if value is None else item(value, connection) for value in values]
        return UNKNOWN if any(value is UNKNOWN for value in found) else found

    return predict


def predict_texts(field: ModelField) -> Predictor:
    def predict(value: object, connection: BaseDatabaseWrapper) -> object:
        exact = type(value) is dict and all(
            type(key) is str and (entry is None or type(entry) is str) for key, entry in value.items()
        )
        return value if exact else UNKNOWN

    return predict
