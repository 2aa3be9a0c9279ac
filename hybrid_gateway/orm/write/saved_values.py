"""Give an instance that was saved the values that its row has: predicted where that is possible, else asked for.

How this works: what :mod:`~hybrid_gateway.orm.columns.value_predictors` cannot tell is returned by the INSERT, or read
back in one query.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet

from hybrid_gateway._compat.django_orm_internals import generated_fields_are_returned, returned_from_insert
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import EXACT_TYPES, column_type_of, predictor, stored_type
from hybrid_gateway.orm.columns.field_facts import ModelField, value_field
from hybrid_gateway.orm.columns.value_predictors import UNKNOWN, Predictor, predict_nothing
from hybrid_gateway.orm.read.fetch import prepare

_MAX_QUERIES = 64  # of a model: partial updates may write any of its columns


def insert_row(instance: Model, using: str, save: Callable[[], None]) -> None:
    """Call ``save``, which makes a row of ``instance``, and give that what the row has.

    What the database alone can tell the INSERT returns, or else a query.
    """
    connection, columns = connections[using], _facts(type(instance)).columns
    unpredictable, predicted = _predict(instance, columns, connection)
    returned: Mapping[str, object] = {}
    if unpredictable and connection.features.can_return_columns_from_insert:
        with returned_from_insert(instance, unpredictable) as returned:
            save()
    else:
        save()
    _set_stored(instance, using, columns, connection, returned, predicted)


def refresh_written(instance: Model, using: str, names: Collection[str]) -> None:
    """Give an instance, whose columns ``names`` have been saved, what its row has in those and what depends on them."""
    columns = [column for column in _facts(type(instance)).columns if column.is_generated or column.field_name in names]
    if not generated_fields_are_returned:
        for column in columns:
            if column.is_generated:
                vars(instance).pop(column.attname, None)
    _set_stored(instance, using, columns, connections[using], {}, {})


def saved_names(model: type[Model], written: Iterable[str]) -> list[str]:
    """Return the fields to be saved after the attributes ``written`` were set: theirs, and those of ``auto_now``."""
    facts = _facts(model)
    return sorted(facts.stamps.union(facts.names.get(name, name) for name in written))


class _Column(msgspec.Struct, frozen=True, eq=False):
    attname: str
    field_name: str
    field: ModelField
    predict: Predictor
    exact_type: type  # whose values the database gives back as they are
    is_generated: bool


class _ModelFacts(msgspec.Struct, frozen=True, eq=False):
    columns: Sequence[_Column]  # but those of files
    names: Mapping[str, str]  # of fields, by attribute
    stamps: frozenset[str]  # fields that a save sets itself
    queries: dict[tuple[tuple[str, ...], str], RowQuery] = {}  # that read columns back, by database


RowQuery = Callable[[object], Iterable[tuple[object, ...]]]
"""A key → the columns of its row."""


@lru_cache(maxsize=1024)
def _facts(model: type[Model]) -> _ModelFacts:
    fields = model._meta.concrete_fields
    stamps = frozenset(field.name for field in fields if getattr(field, "auto_now", False))
    names = {field.attname: field.name for field in fields}
    return _ModelFacts([column for field in fields for column in _columns(field)], names, stamps)


def _columns(field: ModelField) -> Iterable[_Column]:
    predict, source = predictor(field), value_field(field)
    if predict is not None:
        stored = stored_type(source)
        is_exact = predict is not predict_nothing and stored in EXACT_TYPES and column_type_of(source).predict is None
        exact_type = stored if stored is not None and is_exact else _Absent
        yield _Column(field.attname, field.name, field, predict, exact_type, field.generated)


class _Absent:
    """Stands for no value, and is the type of none."""


Predicted = dict[str, tuple[object, object]]
"""Values of an instance, by attribute, and what the database makes of them."""


def _predict(
    instance: Model, columns: Sequence[_Column], connection: BaseDatabaseWrapper
) -> tuple[Sequence[ModelField], Predicted]:
    """Return the columns whose values nobody can predict, and what the database makes of the others."""
    values, unpredictable, predicted = vars(instance), [], Predicted()
    for column in columns:
        value = values.get(column.attname, _Absent)
        if type(value) is column.exact_type or value is _Absent or column.is_generated:
            continue
        if column.predict is predict_nothing:
            unpredictable.append(column.field)
        elif value is not None:
            predicted[column.attname] = value, column.predict(value, connection)
            if predicted[column.attname][1] is UNKNOWN:
                unpredictable.append(column.field)
    return unpredictable, predicted


def _set_stored(
    instance: Model,
    using: str,
    columns: Sequence[_Column],
    connection: BaseDatabaseWrapper,
    returned: Mapping[str, object],
    predicted: Predicted,
) -> None:
    values, asked = vars(instance), []
    for column in columns:
        name = column.attname
        value = values.get(name, _Absent)
        if type(value) is column.exact_type or (value is None and column.predict is not predict_nothing):
            continue
        if value is _Absent:
            if column.is_generated:
                asked.append(name)
        elif not column.is_generated and not (name in returned and value is returned[name]):
            written, stored = predicted.get(name, (_Absent, UNKNOWN))
            if written is not value:  # as pre_save() has set it
                stored = column.predict(value, connection)
            if stored is UNKNOWN:
                asked.append(name)
            else:
                values[name] = stored
    if asked:
        for row in _row_query(type(instance), tuple(asked), using)(instance.pk):
            for name, value in zip(asked, row, strict=True):
                setattr(instance, name, value)


def _row_query(model: type[Model], names: tuple[str, ...], using: str) -> RowQuery:
    """Return the query for the columns ``names`` of the row with a key."""
    known = _facts(model).queries
    query = known.get((names, using))
    if query is not None:
        return query

    def ask(key: object) -> QuerySet[Model, tuple[object, ...]]:
        return QuerySet(model, using=using).filter(pk=key).values_list(*names)

    try:
        prepared = prepare(ask)  # PERF: the SQL alone costs Django four times what SQLite takes to answer
        query = lambda key: prepared.fetch(key=key)  # noqa: E731
    except ConfigurationError:  # a field of a project's own may do what cannot be prepared
        query = ask
    if len(known) < _MAX_QUERIES:
        known[names, using] = query
    return query
