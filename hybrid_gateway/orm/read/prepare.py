"""Queries whose SQL is compiled once, and whose rows are Structs: :func:`prepare`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

from hybrid_gateway.orm.query_cache.prepared import Prepared
from hybrid_gateway.orm.query_cache.row_readers import QuerysetRows
from hybrid_gateway.orm.read.fetch import fetch
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.read.rows import rows_reader
from hybrid_gateway.orm.read.selection import check_model, select

__all__ = ["prepare"]

S = TypeVar("S", bound=msgspec.Struct)


@overload
def prepare(struct: type[S], build: Callable[..., Any], *, static_managers: bool = False) -> Prepared[S]: ...


@overload
def prepare(struct: Callable[..., Any], *, static_managers: bool = False) -> Prepared[Any]: ...


def prepare(struct: Any, build: Callable[..., Any] | None = None, *, static_managers: bool = False) -> Prepared[Any]:
    """A query compiled once: ``prepare(ProductOut, lambda category: Product.objects.filter(category=category))``.

    ``build`` takes parameters by name and returns a queryset; they go to ``filter()``, ``exclude()`` and slices. What
    else it computes is computed once, when it is prepared: a setting, the date (refused: pass it, or ``Now()``).
    Without a Struct, rows are what the queryset has: instances, ``values()`` or ``values_list()``.

    A manager with a ``get_queryset`` of its own is refused as well, unless ``static_managers`` says that it gives the
    same to everybody.

    Raises :class:`~hybrid_gateway.ConfigurationError` for what cannot be proven to be the same query for all values.
    """
    if build is None:
        return Prepared(QuerysetRows(), struct, static_managers=static_managers)
    read_plan_of(struct)
    return Prepared(_StructRows(struct), build, static_managers=static_managers)


class _StructRows:
    """How a prepared query reads Structs."""

    def __init__(self, struct: Any) -> None:
        self._struct = struct

    def select(self, queryset: Any, where: str) -> Any:
        plan = read_plan_of(self._struct)
        check_model(plan, queryset.model)
        return select(plan, queryset)

    def fetch(self, queryset: Any) -> list[Any]:
        return fetch(self._struct, queryset)

    def reader(self, compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
        return rows_reader(read_plan_of(self._struct), compiler)
