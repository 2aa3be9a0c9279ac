"""Digits and bounds of a decimal column, as JSON Schema says them."""

from __future__ import annotations

import decimal

import msgspec
from django.core import validators
from django.db import models

from hybrid_gateway.orm.columns.model_fields import ModelField, own_validators

__all__ = ["decimal_constraints"]


def decimal_constraints(field: ModelField, kind: object) -> msgspec.Meta | None:
    """Return what the document says of a column; nothing of it is checked before the model's validators do."""
    if kind is not decimal.Decimal or not isinstance(field, models.DecimalField):
        return None
    keywords = _keywords(field)
    # Answers are text, which only the pattern is about.
    return msgspec.Meta(
        extra_json_schema=keywords, extra={"received": [name for name in keywords if name != "pattern"]}
    )


def _keywords(field: models.DecimalField[object, object]) -> dict[str, object]:
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


_DECIMAL_BOUNDS: dict[type, str] = {
    validators.MinValueValidator: "minimum",
    validators.MaxValueValidator: "maximum",
}
