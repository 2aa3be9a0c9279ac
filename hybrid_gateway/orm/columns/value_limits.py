"""Limits of values: what no database could compare a column with, and what JSON Schema says of a decimal."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping

import msgspec
from django.core import validators
from django.core.exceptions import ValidationError
from django.db import models

from hybrid_gateway.orm.columns.field_facts import ModelField, own_validators

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


def address_violation(field: ModelField, value: object) -> str | None:
    try:
        field.run_validators(str(value))
    except ValidationError:
        return "Not an address"
    return None


def time_violation(field: ModelField, value: object) -> str | None:
    has_zone = isinstance(value, datetime.time) and value.tzinfo is not None
    return "A time of day without a zone is expected" if has_zone else None


# --- of decimals, in JSON Schema -----------------------------------------------------------------------------------


def decimal_constraints(field: ModelField, kind: object) -> msgspec.Meta | None:
    """Return what the document says of a column; nothing of it is checked before the model's validators do."""
    if kind is not decimal.Decimal or not isinstance(field, models.DecimalField):
        return None
    keywords = _decimal_keywords(field)
    received = [name for name in keywords if name != "pattern"]  # answers are text, which only the pattern is about
    return msgspec.Meta(extra_json_schema=keywords, extra={"received": received})


def _decimal_keywords(field: models.DecimalField[object, object]) -> dict[str, object]:
    bounds: dict[str, float] = {}
    for validator in own_validators(field):
        limit = getattr(validator, "limit_value", None)
        if isinstance(limit, (int, float, decimal.Decimal)) and type(validator) in _DECIMAL_BOUNDS:
            bounds[_DECIMAL_BOUNDS[type(validator)]] = int(limit) if limit == int(limit) else float(limit)
    if field.max_digits is None or field.decimal_places is None:
        return {**bounds}
    whole, places = field.max_digits - field.decimal_places, field.decimal_places
    part = rf"\.[0-9]{{1,{places}}}"
    number = rf"0*[0-9]{{1,{whole}}}(\.[0-9]{{0,{places}}})?|{part}" if places else rf"0*[0-9]{{1,{whole}}}\.?"
    number = number if whole else f"0*{part}"
    sign = "[+]?" if bounds.get("minimum", -1) >= 0 else "[+-]?"
    limits = {"exclusiveMinimum": -(10**whole)} if "minimum" not in bounds else {}
    limits |= {"exclusiveMaximum": 10**whole} if "maximum" not in bounds else {}
    step = float(f"1e-{places}") if places else 1
    return {"pattern": f"^{sign}({number})$", **limits, **bounds, "multipleOf": step}


_DECIMAL_BOUNDS: dict[type, str] = {validators.MinValueValidator: "minimum", validators.MaxValueValidator: "maximum"}
