"""Converters of Django's SQLite backend as the code that makes Structs of rows has them: most values need no call.

How this works: such a converter looks at a value and leaves it as it is, where Django's converter of the driver has
been there before. That look is an expression here, which calls the converter only for what it does not settle.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, Expression

Convert = Callable[..., Any]

# By Django's name of the converter. PERF: a call costs as much as five of these. ``{0}`` is the value, ``{1}`` a call.
_LOOKS = {
    "convert_booleanfield_value": "({0} if {0} is True or {0} is False or {0} is None else {1})",
    "convert_datefield_value": "({0} if {0} is None or {0}.__class__ is date else {1})",
    "convert_datetimefield_value": (
        "({0} if {0} is None else "
        "{0}.replace(tzinfo=zone) if {0}.__class__ is datetime and {0}.tzinfo is None else {1})"
    ),
    "convert_timefield_value": "({0} if {0} is None or {0}.__class__ is time else {1})",
}

LOOK_NAMES: dict[str, object] = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}
"""What the expressions call by name; ``zone`` is the time zone of the connection."""


def look_of(convert: Convert, connection: BaseDatabaseWrapper) -> str | None:
    """Return the expression that spares calls of a converter; ``None`` for one that sees every value."""
    function = getattr(convert, "__func__", None)
    if connection.vendor != "sqlite" or getattr(function, "__module__", "") != "django.db.backends.sqlite3.operations":
        return None
    return _LOOKS.get(convert.__name__)


_DIGITS = decimal.Context(prec=15)


def decimal_converter(
    convert: Convert, expression: Expression, connection: BaseDatabaseWrapper
) -> Callable[[object], object] | None:
    """Return a converter of SQLite's floats, with one context for all of them; ``None`` for other converters."""
    qualname = "DatabaseOperations.get_decimalfield_converter.<locals>.converter"
    if connection.vendor != "sqlite" or getattr(convert, "__qualname__", "") != qualname or type(expression) is not Col:
        return None
    field: Any = expression.output_field
    if field.decimal_places is None:
        return None
    make, step, context = (
        _DIGITS.create_decimal_from_float,
        decimal.Decimal(1).scaleb(-field.decimal_places),
        field.context,
    )

    def read(value: object) -> object:
        if type(value) is float:
            return make(value).quantize(step, context=context)
        return convert(value, expression, connection)

    return read
