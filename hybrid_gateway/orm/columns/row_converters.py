"""Converters of Django's SQLite backend as the code that makes Structs of rows has them: most values need no call.

How this works: such a converter looks at a value and leaves it as it is, where Django's converter of the driver has
been there before. That look is an expression here, which calls the converter only for what it does not settle.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Col, Expression

from hybrid_gateway._compat.django_query_internals import Converters
from hybrid_gateway.codegen import define

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


def converted(
    cell: str, position: int, converters: Converters, connection: BaseDatabaseWrapper
) -> tuple[str, dict[str, object]]:
    """Return the code of what Django makes of the value in ``cell`` of a row, and what it calls by name.

    ``converters`` are Django's of one query: by position, functions and the expression they want to see.
    """
    functions, expression = converters.get(position, ((), None))
    names: dict[str, object] = {}
    for number, convert in enumerate(functions):
        called = f"db{position}_{number}"
        fast = None if expression is None else decimal_converter(convert, expression, connection)
        names |= {called: fast or convert, f"ex{position}": expression}
        call = f"{called}({cell})" if fast is not None else f"{called}({cell}, ex{position}, connection)"
        look = look_of(convert, connection) if number == 0 else None
        cell = call if look is None else look.format(cell, call)
    return cell, names


def values_reader(
    converters: Converters, width: int, connection: BaseDatabaseWrapper
) -> Callable[[list[Sequence[object]]], Any]:
    """Return what makes of rows the tuples of their first ``width`` values, as Django has them."""
    names: dict[str, object] = {**LOOK_NAMES, "connection": connection}
    cells: list[str] = []
    for position in range(width):
        cell, own = converted(f"row[{position}]", position, converters, connection)
        names |= own
        cells.append(cell)
    source = f"def read(rows):\n    zone = connection.timezone\n    return [({', '.join(cells)},) for row in rows]\n"
    return define("read", source, names, "values of rows")


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
