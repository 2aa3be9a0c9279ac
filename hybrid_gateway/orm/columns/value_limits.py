"""Values that no database could compare a column with, or only at a price."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Mapping

from django.core.exceptions import ValidationError

from hybrid_gateway.orm.columns.model_fields import ModelField

__all__ = ["address_violation", "limit_violation", "time_violation"]

_MAX_INTEGER = 2**63 - 1  # SQLite raises for a larger number, where Django has no check of its own
_MAX_CHARACTERS = 4000  # characters: SQLite raises for a pattern of 50,000 bytes, in which each may become eight
_MAX_DECIMAL_DIGITS = 1000  # of a decimal: Django makes a whole number of it for some columns, however long that is


def limit_violation(value: object) -> str | None:
    """Return what is wrong with a value that no database could compare with, or only at a price."""
    if isinstance(value, str):
        return _text_violation(value)
    if type(value) is int:
        return "The number is out of range" if not -_MAX_INTEGER - 1 <= value <= _MAX_INTEGER else None
    if isinstance(value, decimal.Decimal):
        fits = value.is_finite() and abs(value.adjusted()) < _MAX_DECIMAL_DIGITS
        return None if fits else "The number is out of range"
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return next((message for message in map(limit_violation, value) if message is not None), None)
    return None


def _text_violation(value: str) -> str | None:
    if len(value) > _MAX_CHARACTERS:
        return f"Expected `str` of length <= {_MAX_CHARACTERS}"
    if "\x00" in value:  # PostgreSQL raises; to SQLite the text ends there
        return "Null characters are not allowed"
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return "Half a surrogate pair is no character"
    return None


# --- of one kind of column: values that one database rejects, and that match nothing on others ---------------------


def address_violation(field: ModelField) -> Callable[[object], str | None]:
    def check(value: object) -> str | None:
        try:
            field.run_validators(str(value))
        except ValidationError:
            return "Not an address"
        return None

    return check


def time_violation(field: ModelField) -> Callable[[object], str | None]:
    def check(value: object) -> str | None:
        has_zone = isinstance(value, datetime.time) and value.tzinfo is not None
        return "A time of day without a zone is expected" if has_zone else None

    return check
