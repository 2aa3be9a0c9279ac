"""Values that a client filters by: which can be compared with, and which of them a failed query is due to.

How this works: most of what cannot be compared is rejected by Django, as the lookup is made or compiled. What only the
database knows (a broken pattern, a number that its driver has no room for) is found by asking it. The rest is here:
what Django would let pass on one database, and the database reject on another.
"""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.db import DatabaseError, DataError, OperationalError, connections, models, transaction
from django.db.models.functions import Cast
from django.db.models.lookups import Exact, IExact, In, IsNull, PatternLookup, Range, Regex
from django.db.models.sql import Query

from hybrid_gateway._compat.django_connection_internals import in_atomic_block
from hybrid_gateway._compat.django_query_internals import AnyLookup
from hybrid_gateway.binding.text_converters import COMMA_SEPARATED, is_scalar
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import annotation_for, column_type_of
from hybrid_gateway.orm.columns.field_facts import ModelField, PathStep, choices_of, value_field
from hybrid_gateway.orm.query_cache.placeholders import lookups_of
from hybrid_gateway.orm.query_cache.query_parameters import ParameterReference
from hybrid_gateway.type_info import bare

ValueCheck = Callable[[Any, str], str | None]
"""A value and a database → what is wrong with it, if anything."""

VALUE_ERRORS = (
    DatabaseError,
    ValidationError,
    ValueError,
    TypeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    re.error,
)
"""What making, compiling and running a query raises for values that it cannot be asked with."""

_LISTS = (list, tuple, set, frozenset)
_COMPARING = ("exact", "in", "gt", "gte", "lt", "lte")
_NO_PATTERN = "Not a regular expression"


def lookup_check(query: Query, kind: object, where: str) -> ValueCheck | None:
    """Return the check of values that the one lookup of ``query`` which has a parameter compares with."""
    lookup = _lookup_of(query)
    _check_kind(lookup, kind, where)
    _check_cast(getattr(lookup, "rhs", None), where)
    if isinstance(lookup, Regex):
        return lambda value, using: _pattern(type(lookup), str(value), using)
    if isinstance(lookup, Range):
        return lambda value, using: None if len(value) == 2 else "Expected two values"
    if lookup is None or lookup.lookup_name not in _COMPARING:
        return None
    field: PathStep | None = getattr(lookup.lhs, "output_field", None)
    if field is None:
        return None
    field = value_field(field)
    check = column_type_of(field).check_lookup
    return None if check is None else _each(check, field)


def compared_type(query: Query, where: str) -> object:
    """Return the type of the values that the one lookup of ``query`` which has a parameter compares with.

    Several are separated by commas. Raises :class:`ConfigurationError` where text cannot say them.
    """
    lookup = _lookup_of(query)
    if isinstance(lookup, IsNull):
        return bool
    if isinstance(lookup, (PatternLookup, IExact, Regex)):
        return str
    field: PathStep | None = getattr(getattr(lookup, "lhs", None), "output_field", None)
    kind: Any = object if field is None else bare(annotation_for(value_field(field)))
    if field is not None and isinstance(lookup, (Exact, In)) and (choices := choices_of(value_field(field))):
        kind = Literal[tuple(choices)]
    if not is_scalar(kind):
        raise ConfigurationError(
            f"{where} compares with what no type of text tells: write a Struct, filters=...", id="L004"
        )
    return Annotated[list[kind], COMMA_SEPARATED] if isinstance(lookup, (In, Range)) else kind


def _lookup_of(query: Query) -> AnyLookup | None:
    return next((found for found in lookups_of(query) if _has_parameter(found.rhs)), None)


def _has_parameter(rhs: object) -> bool:
    """Return whether a lookup is given the parameter. DJANGO: that of ranges for a number puts a cast around it."""
    inner = rhs.get_source_expressions() if isinstance(rhs, models.Func) else [rhs]
    return any(isinstance(entry, ParameterReference) for entry in inner)


def _check_kind(lookup: object, kind: object, where: str) -> None:
    """Raise :class:`ConfigurationError` where no value of a type can be right."""
    is_list = (typing.get_origin(kind) or kind) in _LISTS
    is_text = typing.get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, (str, enum.Enum)))
    if isinstance(lookup, IsNull) and kind is not bool:
        raise ConfigurationError(f"{where} asks whether a column is null, so its type is bool.", id="L004")
    if isinstance(lookup, (In, Range)) and not is_list:
        raise ConfigurationError(f"{where} compares with several values, so its type is list[...].", id="L004")
    if isinstance(lookup, Regex) and not is_text:
        raise ConfigurationError(f"{where} is a regular expression, so its type is str.", id="L004")


def _check_cast(rhs: object, where: str) -> None:
    """Raise :class:`ConfigurationError` for a cast that no database understands."""
    # DJANGO: 5.2 casts to numeric(None, None) where a decimal has no digits, as those of a DecimalRangeField have none.
    if isinstance(rhs, Cast) and "None" in (rhs.output_field.cast_db_type(connections["default"]) or ""):
        raise ConfigurationError(
            f"{where} compares a range of decimals with a single one, which this version of Django cannot write. "
            "Compare with a Range[Decimal], or use Django 6.1.",
            id="L004",
        )


def _each(check: Callable[[ModelField, object], str | None], field: ModelField) -> ValueCheck:
    def check_all(value: object, using: str) -> str | None:
        entries = value if isinstance(value, _LISTS) else [value]
        return next((message for entry in entries if (message := check(field, entry)) is not None), None)

    return check_all


def _pattern(kind: type[Regex], value: str, using: str) -> str | None:
    """Return what is wrong with a regular expression: they are the database's, which alone can tell."""
    connection = connections[using]
    if connection.vendor == "sqlite":  # where they are Python's
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError):
            return _NO_PATTERN
        return None
    query = Query(None)
    sql, parameters = kind(models.Value("", models.TextField()), value).as_sql(query.get_compiler(using), connection)
    try:
        with transaction.atomic(using) if in_atomic_block(connection) else nullcontext(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {sql}", parameters)
    except DataError:
        return _NO_PATTERN
    return None


def client_message(error: Exception) -> str:
    """Return what a client is told; a database's own words may tell of tables."""
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    return "Not a value that this can be compared with"


def can_retry_in_parts(error: Exception, rows: models.QuerySet[models.Model]) -> bool:
    """Return whether the query of a part of the filters can say more of an error of all of them."""
    if not isinstance(error, DatabaseError):
        return True
    connection = connections[rows.db]
    if isinstance(error, OperationalError) and connection.vendor != "sqlite":  # a server away, a query too long
        return False
    try:
        rows.exists()
    except DatabaseError:  # it answers nothing at all, or the transaction is broken
        return False
    return True
