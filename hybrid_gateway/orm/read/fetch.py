"""QuerySet → Structs: exactly the columns of a plan are selected, and no model instance is built."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from django.db import connections
from django.db.models.query import RawQuerySet

from hybrid_gateway.orm.query_cache.simple_queries import find_variant
from hybrid_gateway.orm.querysets.queryset_source import Source, as_queryset, the_one
from hybrid_gateway.orm.read.instances import from_model
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.read.rows import execute, rows_reader

__all__ = ["fetch", "get"]

S = TypeVar("S", bound=msgspec.Struct)

_MAX_GET = 21  # DJANGO: models/query.py, MAX_GET_RESULTS


def fetch(struct: type[S], source: Source | RawQuerySet[Any]) -> list[S]:
    """Return the rows of ``source`` as Structs, with their lists."""
    if isinstance(source, RawQuerySet):  # its columns are what somebody wrote
        return [from_model(struct, instance) for instance in source]
    queryset = as_queryset(source)
    plan = read_plan_of(struct)
    query, using = plan.select(queryset), queryset.db
    if query.select and query.select is plan.local_columns:
        connection = connections[using]
        known = find_variant(plan, query, connection, lambda compiler: rows_reader(plan, compiler))
        if known is not None:
            variant, limits, found = known
            structs: list[S] = variant.run(connection, limits, found)
            return structs
    rows, compiler = execute(query, using)
    return rows_reader(plan, compiler)(rows) if rows else []


def get(struct: type[S], source: Source) -> S:
    """Return the one row of ``source``."""
    queryset = as_queryset(source)
    query = queryset.query
    if not query.is_sliced and not query.combinator:
        queryset = (queryset if query.distinct_fields else queryset.order_by())[:_MAX_GET]
    return the_one(fetch(struct, queryset), queryset.model)
