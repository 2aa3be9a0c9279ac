"""Which columns a query selects for a ModelStruct, and the rows that it comes to."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import EmptyResultSet
from django.db import DataError, connections
from django.db.models import Model, QuerySet
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_query_internals import select_columns, select_paths
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.postgresql_dates import ask_again
from hybrid_gateway.orm.query_cache.sql_variants import Row
from hybrid_gateway.orm.querysets.ordering import key_names
from hybrid_gateway.orm.read.read_plan import ReadPlan

__all__ = ["check_model", "execute", "select"]


def check_model(plan: ReadPlan, model: type[Model]) -> None:
    """Raise :class:`ConfigurationError` where a queryset is of another model."""
    if not issubclass(model, plan.model) and model._meta.concrete_model is not plan.model._meta.concrete_model:
        raise ConfigurationError(f"{plan.struct.__qualname__} is of {plan.model.__name__}, not of {model.__name__}.")


def select(plan: ReadPlan, queryset: QuerySet[Model], *, more: Sequence[str] = ()) -> Query:
    """Return the query of ``queryset`` that selects the columns of ``plan``, and ``more`` paths behind them."""
    if plan.expressions:
        queryset = queryset.annotate(**plan.expressions)
    query = queryset.query.chain()
    if missing := plan.named and [name for name in plan.named if name not in query.annotations]:
        raise ConfigurationError(
            f"{plan.struct.__qualname__} reads {', '.join(missing)}, which the queryset must annotate()."
        )
    local = None if more else plan.local_columns
    plain = query.group_by is None and query.combinator is None
    if local is not None and plain and not (query.distinct or query.annotations or query.extra):
        # PERF: what select_paths() comes to, without looking up every field (some 30 µs for 8 of them).
        select_columns(query, local)
        return query
    paths = [*plan.selected, *more]
    if (query.distinct and not query.distinct_fields) or query.combinator:
        # Rows are what is distinct, or what is in both, not what a Struct shows of them.
        paths += [name for name in key_names(queryset.model) if name not in paths]
    select_paths(query, paths)
    return query


def execute(query: Query, using: str) -> tuple[list[Row], SQLCompiler]:
    """Return the rows of a query as the driver gives them, and the compiler that knows how to read them."""
    compiler = query.get_compiler(using)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return [], compiler
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        try:
            return cursor.fetchall(), compiler
        except DataError:
            return ask_again(cursor, sql, parameters), compiler
