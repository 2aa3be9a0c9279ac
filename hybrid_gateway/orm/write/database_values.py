"""Give an instance that was saved the values that its row has: predicted where that is possible, else asked for.

How this works: what :mod:`~hybrid_gateway.orm.columns.value_predictors` cannot tell is returned by the INSERT, or read
back in one query.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import django
import msgspec
from django.db import connections, models

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import EXACT_TYPES, column_type_of, predictor, stored_type
from hybrid_gateway.orm.columns.model_fields import value_field
from hybrid_gateway.orm.columns.value_predictors import UNKNOWN, Predictor, predict_nothing
from hybrid_gateway.orm.read.prepare import prepare

__all__ = ["insert_row", "refresh_written"]


# --- a write -------------------------------------------------------------------------------------------------------


def insert_row(instance: Any, using: str, save: Callable[[], None]) -> None:
    """Call ``save``, which makes a row of ``instance``, and give that what the row has.

    What the database alone can tell the INSERT returns, or else a query.
    """
    connection, columns = connections[using], _columns(type(instance))
    predict_nothing = _untold_of(instance, columns, connection)
    returned: dict[str, Any] = {}
    if predict_nothing and connection.features.can_return_columns_from_insert:
        _return(instance, [column.field for column in predict_nothing], returned)
    try:
        save()
    finally:
        if predict_nothing:
            instance.__dict__.pop("_do_insert", None)
    _settle(instance, using, columns, connection, returned)


def refresh_written(instance: Any, using: str, names: Collection[str]) -> None:
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
    told: Predictor | None
    exact: Any  # the type whose values the database gives back as they are


def _columns(model: Any) -> list[_Column]:
    known: list[_Column] | None = model.__dict__.get(_KEPT)
    if known is None:
        known = [_column(field) for field in model._meta.concrete_fields if predictor(field) is not None]
        setattr(model, _KEPT, known)
    return known


_KEPT = "_hybrid_gateway_settled"


def _column(field: Any) -> _Column:
    told, stored = predictor(field), stored_type(value_field(field))
    is_exact = (
        told is not predict_nothing and stored in EXACT_TYPES and column_type_of(value_field(field)).predict is None
    )
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
        if column.told is predict_nothing or (value is not None and column.told(value, connection) is UNKNOWN):  # type: ignore[misc]
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
        if type(value) is column.exact or (value is None and column.told is not predict_nothing):
            continue
        if value is _Nothing:
            if column.field.generated:
                asked.append(name)
        elif not column.field.generated and not (name in returned and value is returned[name]):
            known = column.told(value, connection)  # type: ignore[misc]
            if known is UNKNOWN:
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
    def ask(key: Any) -> Any:
        return models.QuerySet(model, using=using).filter(pk=key).values_list(*names)

    try:
        prepared = prepare(ask)  # PERF: the SQL alone costs Django four times what SQLite takes to answer
    except ConfigurationError:  # a field of a project's own may do what cannot be prepared
        return ask
    return lambda key: prepared.fetch(key=key)
