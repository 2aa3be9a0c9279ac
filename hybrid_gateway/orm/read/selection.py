"""Which columns a query selects for a ModelStruct, and the rows that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import DataError, connections

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.postgresql_dates import ask_again
from hybrid_gateway.orm.querysets.ordering import key_names
from hybrid_gateway.orm.read.read_plan import ReadPlan

__all__ = ["check_model", "execute", "select", "selected_paths", "unselected_paths"]


def check_model(plan: ReadPlan, model: Any) -> None:
    """Raise :class:`ConfigurationError` where a queryset is of another model."""
    if not issubclass(model, plan.model) and model._meta.concrete_model is not plan.model._meta.concrete_model:
        raise ConfigurationError(f"{plan.struct.__qualname__} is of {plan.model.__name__}, not of {model.__name__}.")


def select(plan: ReadPlan, queryset: Any, *, more: Sequence[str] = ()) -> Any:
    """The query of ``queryset`` that selects the columns of ``plan``, and ``more`` paths behind them."""
    if plan.expressions:
        queryset = queryset.annotate(**plan.expressions)
    query = queryset.query.chain()
    missing = [name for name in plan.named if name not in query.annotations]
    if missing:
        raise ConfigurationError(
            f"{plan.struct.__qualname__} reads {', '.join(missing)}, which the queryset must annotate()."
        )
    local = plan.local_columns
    plain = local is not None and not more and query.group_by is None and query.combinator is None
    if plain and not (query.distinct or query.annotations or query.extra):
        # PERF: what set_values() below comes to, without looking up every field (some 30 µs for 8 of them).
        query.select_related = False
        query.clear_deferred_loading()
        query.clear_select_fields()
        query.get_initial_alias()
        query.set_select(local)
        return query
    paths = [*selected_paths(plan), *more]
    if (query.distinct and not query.distinct_fields) or query.combinator:
        # Rows are what is distinct, or what is in both, not what a Struct shows of them.
        paths += [name for name in key_names(queryset.model) if name not in paths]
    query.set_values(paths)
    return query


def selected_paths(plan: ReadPlan) -> list[str]:
    return [*plan.paths, *plan.named, *plan.expressions]


def unselected_paths(plan: ReadPlan, paths: Sequence[str]) -> list[str]:
    there = selected_paths(plan)
    return [path for path in paths if path not in there]


def execute(query: Any, using: str) -> tuple[list[Any], Any]:
    """The rows of a query as the driver gives them, and the compiler that knows how to read them."""
    compiler = query.get_compiler(using)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return [], None
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        try:
            return cursor.fetchall(), compiler
        except DataError:
            return ask_again(cursor, sql, parameters), compiler
