"""What becomes of the rows of a prepared query that are no Structs: tuples, dicts, single values, instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from django.db.models import Model, QuerySet
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_query_internals import (
    DICTS,
    INSTANCES,
    SINGLES,
    TUPLES,
    InstanceReader,
    convert_rows,
    converters_of,
    has_known_relations,
    names_of_values,
    row_kind,
)
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.query_cache.sql_variants import Row

__all__ = ["QuerysetRows", "RowReader", "RowSource"]

RowReader = Callable[[list[Row]], list[Any]]
"""Makes of the rows of one compiled query what its caller gets: Structs, instances, dicts, values."""


class RowSource(Protocol):
    """How the rows of a prepared query are selected and read."""

    def select(self, queryset: QuerySet[Model], title: str) -> Query:
        """Return the query that selects what is read; raises ConfigurationError where it cannot be prepared."""

    def fetch(self, queryset: QuerySet[Model]) -> list[Any]:
        """Return the rows of a queryset in the ordinary way."""

    def reader(self, compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
        """Return what reads the rows of a compiled query."""


class QuerysetRows:
    """Rows that are no Structs: what their queryset makes of them."""

    def select(self, queryset: QuerySet[Model], title: str) -> Query:
        kind = row_kind(queryset)
        if kind not in _READERS:
            raise ConfigurationError(f"{title}: rows of {kind.__name__} cannot be prepared.")
        return queryset.query.chain()

    def fetch(self, queryset: QuerySet[Model]) -> list[Any]:
        return list(queryset)

    def reader(self, compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
        return _READERS[row_kind(queryset)](compiler, queryset)


def _tuples(compiler: SQLCompiler, queryset: QuerySet[Model]) -> Callable[[list[Row]], list[tuple[object, ...]]]:
    width = len(compiler.select)
    converters = converters_of(compiler, range(width))
    return lambda rows: [tuple(row[:width]) for row in convert_rows(compiler, rows, converters)]


def _dicts(compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
    names, read = names_of_values(compiler), _tuples(compiler, queryset)
    return lambda rows: [dict(zip(names, row, strict=False)) for row in read(rows)]


def _singles(compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
    read = _tuples(compiler, queryset)
    return lambda rows: [row[0] for row in read(rows)]


def _instances(compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
    reader = InstanceReader.of(compiler)
    if reader is None or has_known_relations(queryset):
        raise ConfigurationError("Instances with annotations cannot be prepared; use values() or a ModelStruct.")
    read = _tuples(compiler, queryset)
    return lambda rows: [reader.read(row) for row in read(rows)]


_READERS: dict[type, Callable[[SQLCompiler, QuerySet[Model]], RowReader]] = {
    INSTANCES: _instances,
    DICTS: _dicts,
    TUPLES: _tuples,
    SINGLES: _singles,
}
