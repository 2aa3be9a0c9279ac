"""How the rows of a prepared query are selected and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
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

__all__ = ["QUERYSET_ROWS", "RowReader", "RowSource"]

RowReader = Callable[[list[Row]], list[Any]]
"""Makes of the rows of one compiled query what its caller gets: Structs, instances, dicts, values."""


class RowSource(msgspec.Struct, frozen=True, eq=False):
    """How the rows of a prepared query are selected and read."""

    select: Callable[[QuerySet[Model]], Query]  # raises ConfigurationError for what cannot be prepared
    fetch: Callable[[QuerySet[Model]], list[Any]]  # in the ordinary way
    reader: Callable[[SQLCompiler, QuerySet[Model]], RowReader]


def _select(queryset: QuerySet[Model]) -> Query:
    kind = row_kind(queryset)
    if kind not in (INSTANCES, DICTS, TUPLES, SINGLES):
        raise ConfigurationError(f"Rows of {kind.__name__} cannot be prepared.")
    return queryset.query.chain()


def _reader(compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
    kind, width = row_kind(queryset), len(compiler.select)
    converters = converters_of(compiler, range(width))

    def read_tuples(rows: list[Row]) -> list[tuple[object, ...]]:
        return [tuple(row[:width]) for row in convert_rows(compiler, rows, converters)]

    if kind is DICTS:
        names = names_of_values(compiler)
        return lambda rows: [dict(zip(names, row, strict=False)) for row in read_tuples(rows)]
    if kind is SINGLES:
        return lambda rows: [row[0] for row in read_tuples(rows)]
    if kind is TUPLES:
        return read_tuples
    instances = InstanceReader.of(compiler)
    if instances is None or has_known_relations(queryset):
        raise ConfigurationError("Instances with annotations cannot be prepared; use values() or a ModelStruct.")
    return lambda rows: [instances.read(row) for row in read_tuples(rows)]


QUERYSET_ROWS = RowSource(_select, list, _reader)
"""Rows that are no Structs: what their queryset makes of them."""
