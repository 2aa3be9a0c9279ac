"""Undocumented names of Django's models, fields and querysets; those of compilers are in ``django_query_internals``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import django
from django.db import DatabaseError
from django.db.models import Field, Model, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.fields.related import ForeignObjectRel

Q = TypeVar("Q", bound=QuerySet[Model])
OrderTerm: TypeAlias = str | Combinable


def order_terms(queryset: QuerySet[Model]) -> tuple[OrderTerm, ...]:
    """Return what a queryset is ordered by, that of ``Meta.ordering`` included, which orders no groups."""
    # DJANGO: SQLCompiler._order_by_pairs (db/models/sql/compiler.py)
    query = queryset.query
    if query.extra_order_by:
        return tuple(query.extra_order_by)
    if query.order_by or not query.default_ordering or query.group_by is not None:
        return tuple(query.order_by)
    return tuple(query.get_meta().ordering or ())


def append_order(queryset: Q, given: Sequence[OrderTerm], more: Sequence[OrderTerm]) -> Q:
    """Return ``queryset``, which may be sliced, ordered by ``given``, its own order so far, and by ``more``."""
    ordered = queryset.all()
    if ordered.query.extra_order_by:
        ordered.query.extra_order_by = (*given, *more)
    else:
        ordered.query.clear_ordering(force=True, clear_default=False)
        ordered.query.add_ordering(*given, *more)
    return ordered


def is_reversed(queryset: QuerySet[Model]) -> bool:
    """Return whether ``reverse()`` has turned its order round."""
    return not queryset.query.standard_ordering


def unreversed(queryset: Q) -> Q:
    """Make ``order_by()`` of a queryset count alone: without ``extra(order_by=...)`` and ``reverse()``."""
    queryset.query.extra_order_by = ()
    queryset.query.standard_ordering = True
    return queryset


def unsliced(queryset: Q) -> Q:
    """Return the rows around a slice, and those that ``distinct(column)`` has dropped."""
    whole = queryset.all()
    whole.query.clear_limits()
    if whole.query.distinct_fields:
        whole.query.distinct, whole.query.distinct_fields = False, ()
    return whole


def chosen_database(queryset: QuerySet[Model]) -> str | None:
    """Return the alias that ``using()`` named; ``None`` where routers decide."""
    alias: str | None = vars(queryset)["_db"]
    return alias


@contextmanager
def returned_from_insert(instance: Model, fields: Sequence[Field[Any, Any]]) -> Iterator[Mapping[str, object]]:
    """Have the INSERT of ``instance`` return ``fields`` as well: their values as set, by attribute."""
    insert, returned = instance._do_insert, {}  # type: ignore[attr-defined]

    def insert_and_return(manager: Any, using: str, columns: Any, asked: Any, raw: bool) -> list[tuple[object, ...]]:
        more = [field for field in fields if field in columns and field not in asked]
        rows = insert(manager, using, columns, [*asked, *more], raw)
        for field, value in zip(more, rows[0][len(asked) :] if rows else (), strict=False):
            setattr(instance, field.attname, value)
            returned[field.attname] = instance.__dict__[field.attname]
        return [row[: len(asked)] for row in rows]

    vars(instance)["_do_insert"] = insert_and_return  # DJANGO: Model._save_table (db/models/base.py)
    try:
        yield returned
    finally:
        del vars(instance)["_do_insert"]


generated_fields_are_returned = django.VERSION >= (6, 0)
"""Whether saving an instance gives it the new values of its generated columns."""


def unique_checks(instance: Model) -> Sequence[tuple[type[Model], Sequence[str]]]:
    """Return what has to be unique, of a model and its parents: fields, ``unique_together``, constraints."""
    checked: Any = instance
    found: Sequence[tuple[type[Model], Sequence[str]]]
    found, _ = checked._get_unique_checks(include_meta_constraints=True)
    return found


def forget_related(instance: Model, relation: ForeignObjectRel) -> None:
    """Forget the row on the other side of a one-to-one relation, so that it is asked for again."""
    if relation.is_cached(instance):
        relation.delete_cached_value(instance)


def is_vanished_row(error: DatabaseError) -> bool:
    """Return whether ``save(update_fields=...)`` has found no row to change."""
    return "did not affect any rows" in str(error)  # DJANGO: Model._save_table; 6.0 has Model.NotUpdated as well


def is_unknown_value(error: Exception) -> bool:
    """Return whether a driver has been given a value of a class that it does not know."""
    return any(words in str(error) for words in ("Error binding parameter", "cannot adapt type"))


def is_too_many_parameters(error: Exception) -> bool:
    """Return whether a query had more values than its database takes: SQLite's limit, or psycopg's."""
    return any(words in str(error) for words in ("too many SQL variables", "number of parameters must be"))
