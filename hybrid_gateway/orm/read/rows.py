"""Structs of rows, and of the rows of their lists: one more query for each list of all rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import connections
from django.db.models.constants import LOOKUP_SEP

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.query_cache.prepared import Prepared
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.read.read_plan import ReadPlan, RelatedList
from hybrid_gateway.orm.read.selection import check_model, execute, select, selected_paths, unselected_paths

__all__ = ["fetch_with", "fill", "reading_of", "rows_reader"]

Index = defaultdict[Any, list[list[Any]]]


def rows_reader(plan: ReadPlan, compiler: Any) -> Callable[[list[Any]], list[Any]]:
    """What makes Structs of the rows of a compiler's query, on its connection."""
    make, using = reading_of(plan, compiler), compiler.connection.alias
    if plan.many:
        return lambda rows: fill(plan, make, rows, using)
    return lambda rows: [make(row) for row in rows]


def fill(plan: ReadPlan, make: Callable[..., Any], rows: Sequence[Any], using: str) -> list[Any]:
    """Structs of rows, and one more query for each of their lists."""
    indexes: list[Index] = [defaultdict(list) for _ in plan.many]
    found = [make(row, *indexes) for row in rows]
    for many, index in zip(plan.many, indexes, strict=True):
        if index:
            _fill(many, index, using)
    return found


def _fill(many: RelatedList, index: Index, using: str) -> None:
    """Add the rows on the other side to the lists of their owners."""
    keys = list(index)
    limit = connections[using].features.max_query_params or len(keys)
    for start in range(0, len(keys), limit):
        for key, item in _linked(many, keys[start : start + limit], using):
            for found in index[key]:
                found.append(item)


def _linked(many: RelatedList, keys: list[Any], using: str) -> Iterator[tuple[Any, Any]]:
    """Each row on the other side of ``keys``, with its key."""
    if many.struct is not None:
        for struct, (key,) in _linked_structs(many, keys, using):
            yield key if many.own is None else many.own(key), struct
        return
    queryset = many.rows(using).filter(**{f"{many.link}{LOOKUP_SEP}in": keys})
    paths, make = many.value or (("pk",), None)
    for key, *values in _values(queryset.values_list(many.link, *paths).query, using):
        key = key if many.own is None else many.own(key)
        yield key, values[0] if make is None else make(*values)


def _values(query: Any, using: str) -> Iterator[Sequence[Any]]:
    """The rows of a query with what Django makes of their values."""
    rows, compiler = execute(query, using)
    if rows and compiler.has_extra_select:  # for an order: it stands behind the values. DJANGO: cursor_iter
        rows = [row[: compiler.col_count] for row in rows]
    yield from compiler.results_iter([rows]) if rows else ()


def fetch_with(struct: Any, queryset: Any, paths: Sequence[str]) -> list[tuple[Any, tuple[Any, ...]]]:
    """The rows as Structs, each with the values of more columns."""
    plan = read_plan_of(struct)
    check_model(plan, queryset.model)
    more = unselected_paths(plan, paths)
    rows, compiler = execute(select(plan, queryset, more=more), queryset.db)
    return with_values(plan, compiler, paths)(rows) if rows else []


def with_values(
    plan: ReadPlan, compiler: Any, paths: Sequence[str]
) -> Callable[[list[Any]], list[tuple[Any, tuple[Any, ...]]]]:
    """What makes Structs of rows, each with the values of ``paths``, which are selected behind the Struct's own."""
    selected = [*selected_paths(plan), *unselected_paths(plan, paths)]
    places = [selected.index(path) for path in paths]
    converters = compiler.get_converters([compiler.select[place][0] for place in places])
    make = rows_reader(plan, compiler)

    def read(rows: list[Any]) -> list[tuple[Any, tuple[Any, ...]]]:
        values: Any = [[row[place] for place in places] for row in rows]
        if converters:
            values = compiler.apply_converters(values, converters)
        return [(made, tuple(entry)) for made, entry in zip(make(rows), values, strict=True)]

    return read


def reading_of(plan: ReadPlan, compiler: Any) -> Callable[..., Any]:
    """What makes a Struct of a row of this compiler's query: made once per connection, unless annotations matter."""
    connection = compiler.connection
    if plan.named or plan.expressions:
        return plan.row_factory(_converters(compiler, plan.width), connection)
    known: dict[Any, Any] = connection.__dict__.setdefault("_hybrid_gateway_readings", {})
    make: Callable[..., Any] | None = known.get(plan)
    if make is None:
        make = known[plan] = plan.row_factory(_converters(compiler, plan.width), connection)
    return make


def _converters(compiler: Any, width: int) -> Any:
    return compiler.get_converters([column for column, *_ in compiler.select[:width]])


# --- lists of Structs ----------------------------------------------------------------------------------------------


def _linked_structs(many: RelatedList, keys: list[Any], using: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """Each Struct on the other side of ``keys``, with its key."""
    if many.extra is None:  # a generic relation has a content type, whose number is the database's
        if using not in many.prepared:
            many.prepared[using] = _prepare(many, using)
        prepared = many.prepared[using]
        if prepared is not None:
            return prepared.fetch(keys=keys)
    return fetch_with(many.struct, _owned(many, keys, using), [many.link])


def _owned(many: RelatedList, keys: Any, using: str) -> Any:
    return many.rows(using).filter(**{f"{many.link}{LOOKUP_SEP}in": keys})


def _prepare(many: RelatedList, using: str) -> Prepared[Any] | None:
    try:
        return Prepared(_LinkedRows(many), lambda keys: _owned(many, keys, using))
    except ConfigurationError:  # a default manager may do what cannot be prepared
        return None


class _LinkedRows:
    """How a prepared query reads the rows of a list: each comes with the key of its owner."""

    def __init__(self, many: RelatedList) -> None:
        self._struct = many.struct
        self._link = many.link

    def select(self, queryset: Any, where: str) -> Any:
        plan = read_plan_of(self._struct)
        return select(plan, queryset, more=[] if self._link in plan.paths else [self._link])

    def fetch(self, queryset: Any) -> list[Any]:
        return fetch_with(self._struct, queryset, [self._link])

    def reader(self, compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
        return with_values(read_plan_of(self._struct), compiler, [self._link])
