"""In which order rows come: always one that leaves no ties, so that every row has one place in it.

How this works: the key of a row ends every order, unless columns that are unique together are in it already. Where a
queryset cannot be narrowed or ordered any more (a slice, a union, ``distinct("column")``), :func:`rearrangeable` gives
one of the same rows that can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.db import connections
from django.db.models import CompositePrimaryKey, F, OrderBy

from hybrid_gateway.orm.querysets.lookup_paths import crosses_to_many

__all__ = ["count_rows", "is_total_order", "key_names", "term_name", "rearrangeable", "order_terms", "with_total_order"]


@lru_cache(maxsize=1024)
def key_names(model: Any) -> tuple[str, ...]:
    """The columns that name a row: ``pk``, or those of a composite key."""
    key: Any = model._meta.pk
    if not isinstance(key, CompositePrimaryKey):
        return ("pk",)
    parts: Any = key.fields
    return tuple(field.attname for field in parts)


def order_terms(queryset: Any) -> tuple[Any, ...]:
    """What a queryset is ordered by. DJANGO: SQLCompiler._order_by_pairs; ``Meta.ordering`` orders no groups."""
    query = queryset.query
    if query.extra_order_by:
        return tuple(query.extra_order_by)
    if query.order_by or not query.default_ordering or query.group_by is not None:
        return tuple(query.order_by)
    return tuple(query.get_meta().ordering)


def with_total_order(queryset: Any) -> Any:
    """The queryset in an order that leaves no ties."""
    query, model = queryset.query, queryset.model
    given = order_terms(queryset) or tuple(_column(model, name) for name in query.distinct_fields)
    names = tuple(map(term_name, given))
    if "?" in names or is_total_order(model, names):
        return queryset
    if not (query.is_sliced or query.extra_order_by):
        return queryset.order_by(*given, *key_names(model))
    ordered = queryset._chain()  # a slice cannot be ordered, but this is the order that it was taken in
    if query.extra_order_by:
        ordered.query.extra_order_by = (*given, *key_names(model))
    else:
        ordered.query.clear_ordering(force=True, clear_default=False)
        ordered.query.add_ordering(*given, *key_names(model))
    return ordered


def rearrangeable(queryset: Any) -> Any:
    """The same rows, as a queryset that can be narrowed and ordered: of a slice, a union, or ``distinct("column")``."""
    query = queryset.query
    if not (query.is_sliced or query.combinator or query.distinct_fields):
        return queryset
    if query.combinator:
        free = queryset.model._base_manager.using(queryset.db).order_by(*order_terms(queryset))
    else:
        free = queryset._chain()
        free.query.clear_limits()
        free.query.distinct, free.query.distinct_fields = False, ()
    return free.filter(pk__in=_keys(with_total_order(queryset)))


def _keys(queryset: Any) -> Any:
    """The keys of its rows: a query, or a list where the database has no place for one."""
    names, query = key_names(queryset.model), queryset.query
    if query.combinator and query.is_sliced:  # whose order needs columns beside the key
        return [row.pk for row in queryset]
    keys = queryset.values_list(*names) if len(names) > 1 else queryset.values_list(*names, flat=True)
    # DJANGO: on SQLite, a query of pairs inside `pk__in` loses its slice (5.2 and 6.1).
    features = connections[queryset.db].features
    if len(names) > 1 or (query.is_sliced and not features.allow_sliced_subqueries_with_in):
        return list(keys)
    if query.combinator and not query.is_sliced:
        return keys.order_by()
    return keys


def count_rows(queryset: Any) -> int:
    """How many rows a list has."""
    query = queryset.query
    if query.combinator and query.is_sliced:  # DJANGO: with an order, it cannot be counted (5.2 and 6.1)
        whole = queryset._chain()
        whole.query.clear_limits()
        found: int = whole.order_by().count()
        end: int = found if query.high_mark is None else min(found, query.high_mark)
        start: int = query.low_mark
        return max(0, end - start)
    if not query.is_sliced:
        names = tuple(map(term_name, order_terms(queryset)))
        many = () if query.combinator else _through_many(queryset.model, names)
        if many:  # an order that repeats rows is a part of the list
            queryset = queryset.values(*key_names(queryset.model), *many)
        queryset = queryset.order_by()
    counted: int = queryset.count()
    return counted


@lru_cache(maxsize=1024)
def _through_many(model: Any, names: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None and crosses_to_many(model, name))


def term_name(term: Any) -> str | None:
    """The column of a term of an order, without its direction; ``None`` for an expression."""
    if isinstance(term, OrderBy):
        term = term.expression
    if isinstance(term, F):
        return str(getattr(term, "name"))  # noqa: B009 (unknown to the stubs)
    return term.lstrip("-+") if isinstance(term, str) else None


@lru_cache(maxsize=4096)
def is_total_order(model: Any, names: Sequence[str | None]) -> bool:
    """Whether no two rows tie in these columns, because some of them are unique together and never null."""
    there = {_attname(model, name) for name in names if name is not None}
    return any(group <= there for group in _unique_groups(model))


def _unique_groups(model: Any) -> Iterator[set[str]]:
    meta = model._meta
    yield set(key_names(model))
    yield {meta.pk.attname}
    fields = {field.name: field for field in meta.concrete_fields if not field.generated}
    together = [(name,) for name, field in fields.items() if field.unique]
    together += [tuple(names) for names in meta.unique_together]
    together += [tuple(constraint.fields) for constraint in meta.total_unique_constraints]
    for names in together:
        group = [fields[name] for name in names if name in fields]
        if group and len(group) == len(names) and not any(field.null for field in group):
            yield {field.attname for field in group}


def _attname(model: Any, name: str) -> str:
    """The column that rows are ordered by for ``name``; the name itself where that is none of the model's own."""
    field: Any = model._meta._forward_fields_map.get(name)
    if field is None or not field.is_relation or name != field.name or not field.related_model._meta.ordering:
        return _column(model, name)
    return name


def _column(model: Any, name: str) -> str:
    field = model._meta._forward_fields_map.get(name)
    return name if field is None or not field.concrete else str(field.attname)
