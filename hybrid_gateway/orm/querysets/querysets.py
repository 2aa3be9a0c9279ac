"""Querysets as handlers give them, and in which order their rows come: always one that leaves no ties.

How this works: the key of a row ends every order, unless columns that are unique together are in it already. Where a
queryset cannot be narrowed or ordered any more (a slice, a union, ``distinct("column")``), :func:`rearrangeable` gives
one of the same rows that can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard, TypeVar

from django.core.exceptions import MultipleObjectsReturned
from django.db import connections
from django.db.models import F, Field, Manager, Model, OrderBy, QuerySet
from django.db.models.expressions import Combinable

from hybrid_gateway._compat.django_orm_internals import append_order, order_terms, unsliced
from hybrid_gateway._compat.django_query_internals import limits_of, unread_instances
from hybrid_gateway.exceptions import NotFound
from hybrid_gateway.orm.columns.field_facts import key_columns
from hybrid_gateway.orm.querysets.lookup_paths import crosses_to_many, find_field

__all__ = [
    "OrderTerm",
    "Rows",
    "Source",
    "as_queryset",
    "count_rows",
    "is_queryable",
    "is_total_order",
    "key_names",
    "order_terms",
    "rearrangeable",
    "term_name",
    "the_one",
    "with_total_order",
]

T = TypeVar("T")

Source: TypeAlias = "QuerySet[Any] | Manager[Any] | type[Model]"
"""What rows are read from."""
Rows: TypeAlias = "QuerySet[Model]"
OrderTerm: TypeAlias = str | Combinable
"""What ``order_by`` takes."""


def as_queryset(source: Source) -> QuerySet[Model]:
    """Return a queryset of instances; of a manager or a model, all rows. Raises ``TypeError`` for other values."""
    if isinstance(source, type) and issubclass(source, Model):
        source = source._default_manager
    if isinstance(source, Manager):
        source = source.all()
    if not isinstance(source, QuerySet):
        raise TypeError(f"A QuerySet, a manager or a model is read, not {source!r}.")
    queryset = unread_instances(source)  # a slice of one with rows would be a list
    if queryset is None:
        raise TypeError("values() and values_list() have chosen columns already; leave that to the Struct.")
    return queryset


def is_queryable(value: object) -> TypeGuard[Source]:
    """Return whether it is a queryset, a manager or a model."""
    return isinstance(value, (QuerySet, Manager)) or (isinstance(value, type) and issubclass(value, Model))


def the_one(found: Sequence[T], model: type[Model]) -> T:
    """Return the only item of ``found``; raises for none and for several as ``QuerySet.get`` does, none being 404."""
    if not found:
        raise NotFound
    if len(found) > 1:
        several: type[MultipleObjectsReturned] = getattr(model, "MultipleObjectsReturned")  # noqa: B009 (of each model)
        raise several(f"There is more than one {model._meta.object_name}.")
    return found[0]


@lru_cache(maxsize=1024)
def key_names(model: type[Model]) -> tuple[str, ...]:
    """Return the columns that name a row: ``pk``, or those of a composite key."""
    columns = key_columns(model)
    return ("pk",) if len(columns) == 1 else tuple(field.attname for field in columns)


def with_total_order(queryset: Rows) -> Rows:
    """Return the queryset in an order that leaves no ties."""
    query, model = queryset.query, queryset.model
    given = order_terms(queryset) or tuple(_column(model, name) for name in query.distinct_fields)
    names = tuple(map(term_name, given))
    if "?" in names or is_total_order(model, names):
        return queryset
    if query.is_sliced or query.extra_order_by:  # a slice cannot be ordered, but this is the order it was taken in
        return append_order(queryset, given, key_names(model))
    return queryset.order_by(*given, *key_names(model))


def rearrangeable(queryset: Rows) -> Rows:
    """Return the same rows, as a queryset that can be narrowed and ordered.

    One that cannot is a slice, a union, or ``distinct("column")``.
    """
    query = queryset.query
    if not (query.is_sliced or query.combinator or query.distinct_fields):
        return queryset
    if query.combinator:
        free = queryset.model._base_manager.using(queryset.db).order_by(*order_terms(queryset))
    else:
        free = unsliced(queryset)
    return free.filter(pk__in=_keys(with_total_order(queryset)))


def _keys(queryset: Rows) -> object:
    """Return the keys of its rows: a query, or a list where the database has no place for one."""
    names, query = key_names(queryset.model), queryset.query
    if query.combinator and query.is_sliced:  # whose order needs columns beside the key
        return [row.pk for row in queryset]
    keys = queryset.values_list(*names) if len(names) > 1 else queryset.values_list(*names, flat=True)
    # DJANGO: on SQLite, a query of pairs inside `pk__in` loses its slice (5.2 and 6.1).
    features = connections[queryset.db].features
    if len(names) > 1 or (query.is_sliced and not features.allow_sliced_subqueries_with_in):
        return list(keys)
    return keys.order_by() if query.combinator and not query.is_sliced else keys


def count_rows(queryset: Rows) -> int:
    """Return how many rows a list has."""
    query = queryset.query
    if query.combinator and query.is_sliced:  # DJANGO: with an order, it cannot be counted (5.2 and 6.1)
        found = unsliced(queryset).order_by().count()
        start, end = limits_of(query)
        return max(0, (found if end is None else min(found, end)) - start)
    if query.is_sliced:
        return queryset.count()
    names = tuple(map(term_name, order_terms(queryset)))
    many = () if query.combinator else _through_many(queryset.model, names)
    if many:  # an order that repeats rows is a part of the list
        return queryset.values(*key_names(queryset.model), *many).order_by().count()
    return queryset.order_by().count()


@lru_cache(maxsize=1024)
def _through_many(model: type[Model], names: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None and crosses_to_many(model, name))


def term_name(term: object) -> str | None:
    """Return the column of a term of an order, without its direction; ``None`` for an expression."""
    if isinstance(term, OrderBy):
        term = term.expression
    if isinstance(term, F):
        return str(getattr(term, "name"))  # noqa: B009 (unknown to the stubs)
    return term.lstrip("-+") if isinstance(term, str) else None


@lru_cache(maxsize=4096)
def is_total_order(model: type[Model], names: Sequence[str | None]) -> bool:
    """Return whether no two rows tie in these columns, as some of them are unique together and never null."""
    there = {_attname(model, name) for name in names if name is not None}
    return any(group <= there for group in _unique_groups(model))


def _unique_groups(model: type[Model]) -> Iterator[set[str]]:
    meta = model._meta
    yield set(key_names(model))
    yield {meta.pk.attname}
    fields = {field.name: field for field in meta.concrete_fields if not field.generated}
    together: list[tuple[str, ...]] = [(name,) for name, field in fields.items() if field.unique]
    together += [tuple(names) for names in meta.unique_together]
    together += [tuple(constraint.fields) for constraint in meta.total_unique_constraints]
    for names in together:
        group = [fields[name] for name in names if name in fields]
        if group and len(group) == len(names) and not any(field.null for field in group):
            yield {field.attname for field in group}


def _attname(model: type[Model], name: str) -> str:
    """Return the column that rows are ordered by for ``name``; the name itself where that is none of the model's."""
    field = find_field(model, name)
    related = field.related_model if isinstance(field, Field) and name == field.name else None
    return name if related is not None and related._meta.ordering else _column(model, name)


def _column(model: type[Model], name: str) -> str:
    field = find_field(model, name)
    return field.attname if isinstance(field, Field) and field.concrete else name
