"""What the database makes of the values of an instance: told without asking where that is possible, else asked.

How this works: an instance that was saved has what was assigned to it, which is not always what the next query gives: a
decimal without its digits, a moment with an offset, the text of a default where the column is a number, whatever a
project's own field makes of it. A function per kind of column says what a value becomes, or :data:`UNTOLD`. What is
untold is returned by the INSERT, or read back in one query; of instances that nobody has written here it stays.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Callable, Collection
from typing import Any

import django
import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models
from django.utils import timezone

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import is_own, real_field, stored_type

__all__ = ["inserted", "shower", "updated"]

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
        return _untold
    internal = field.get_internal_type()
    if internal in _SETTLERS:
        return _SETTLERS[internal](field)
    stored = stored_type(field)
    return _exactly(stored, field) if stored in _SCALARS else _untold


_SCALARS = (int, bool, str, uuid.UUID, datetime.date, datetime.timedelta, bytes)
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


def _untold(value: Any, connection: Any) -> Any:
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
    item = settler(field.base_field) or _untold

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


_SETTLERS: dict[str, Callable[[Any], Settle]] = {
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


# --- a write -------------------------------------------------------------------------------------------------------


def inserted(instance: Any, using: str, save: Callable[[], None]) -> None:
    """Call ``save``, which makes a row of ``instance``, and give that what the row has.

    What the database alone can tell the INSERT returns, or else a query.
    """
    connection, columns = connections[using], _columns(type(instance))
    untold = _untold_of(instance, columns, connection)
    returned: dict[str, Any] = {}
    if untold and connection.features.can_return_columns_from_insert:
        _return(instance, [column.field for column in untold], returned)
    try:
        save()
    finally:
        if untold:
            instance.__dict__.pop("_do_insert", None)
    _settle(instance, using, columns, connection, returned)


def updated(instance: Any, using: str, names: Collection[str]) -> None:
    """Give an instance, whose columns ``names`` have been saved, what its row has in those and what hangs on them."""
    columns = [column for column in _columns(type(instance)) if column.field.generated or column.field.name in names]
    if not _RETURNS_GENERATED:
        for column in columns:
            if column.field.generated:
                instance.__dict__.pop(column.name, None)
    _settle(instance, using, columns, connections[using], {})


_RETURNS_GENERATED = django.VERSION >= (6, 0)


class _Column(msgspec.Struct, frozen=True, eq=False):
    """One column of a model."""

    name: str
    field: Any
    told: Settle | None
    exact: Any  # the type whose values the database gives back as they are


def _columns(model: Any) -> list[_Column]:
    known: list[_Column] | None = model.__dict__.get(_KEPT)
    if known is None:
        known = [_column(field) for field in model._meta.concrete_fields if settler(field) is not None]
        setattr(model, _KEPT, known)
    return known


_KEPT = "_hybrid_gateway_settled"


def _column(field: Any) -> _Column:
    told, stored = settler(field), stored_type(real_field(field))
    is_exact = told is not _untold and stored in _SCALARS and real_field(field).get_internal_type() not in _SETTLERS
    return _Column(field.attname, field, told, stored if is_exact else _Nothing)


class _Nothing:
    """The type of no value."""


def _untold_of(instance: Any, columns: list[_Column], connection: Any) -> list[_Column]:
    """The columns of which only the database knows what it makes of the values that an instance has."""
    values, found = instance.__dict__, []
    for column in columns:
        value = values.get(column.name, _Nothing)
        if type(value) is column.exact or value is _Nothing or column.field.generated:
            continue
        if column.told is _untold or (value is not None and column.told(value, connection) is UNTOLD):  # type: ignore[misc]
            found.append(column)
    return found


def _return(instance: Any, fields: list[Any], returned: dict[str, Any]) -> None:
    """Have the INSERT of ``instance`` return ``fields`` as well, into ``returned``."""
    insert = instance._do_insert

    def insert_and_ask(manager: Any, using: str, columns: Any, asked: Any, raw: Any) -> Any:
        more = [field for field in fields if field in columns and field not in asked]
        rows = insert(manager, using, columns, [*asked, *more], raw)
        for field, value in zip(more, rows[0][len(asked) :] if rows else (), strict=False):
            setattr(instance, field.attname, value)
            returned[field.attname] = instance.__dict__[field.attname]
        return [row[: len(asked)] for row in rows]

    instance.__dict__["_do_insert"] = insert_and_ask  # DJANGO: Model._save_table (db/models/base.py)


def _settle(instance: Any, using: str, columns: list[_Column], connection: Any, returned: dict[str, Any]) -> None:
    values, asked = instance.__dict__, []
    for column in columns:
        name = column.name
        value = values.get(name, _Nothing)
        if type(value) is column.exact or (value is None and column.told is not _untold):
            continue
        if value is _Nothing:
            if column.field.generated:
                asked.append(name)
        elif not column.field.generated and not (name in returned and value is returned[name]):
            known = column.told(value, connection)  # type: ignore[misc]
            if known is UNTOLD:
                asked.append(name)
            else:
                values[name] = known
    if asked:
        for row in _rows(type(instance), tuple(asked), using, instance.pk):
            for name, value in zip(asked, row, strict=True):
                setattr(instance, name, value)


def _rows(model: Any, names: tuple[str, ...], using: str, key: Any) -> Any:
    """The columns ``names`` of the row with a key."""
    known = model.__dict__.get(_QUERIES)
    if known is None:
        known = {}
        setattr(model, _QUERIES, known)
    query = known.get((names, using))
    if query is None:
        query = _query(model, names, using)
        if len(known) < _MOST_QUERIES:
            known[names, using] = query
    return query(key)


_QUERIES = "_hybrid_gateway_read_back"
_MOST_QUERIES = 64  # of a model: partial updates may write any of its columns


def _query(model: Any, names: tuple[str, ...], using: str) -> Callable[[Any], Any]:
    from hybrid_gateway.orm.query_cache.prepared import prepare

    def ask(key: Any) -> Any:
        return models.QuerySet(model, using=using).filter(pk=key).values_list(*names)

    try:
        prepared = prepare(ask)  # PERF: the SQL alone costs Django four times what SQLite takes to answer
    except ConfigurationError:  # a field of a project's own may do what cannot be prepared
        return ask
    return lambda key: prepared.fetch(key=key)
