"""Queries whose SQL is compiled once, and whose rows are Structs or what the queryset has."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar, overload

import msgspec

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.query_cache.prepared import Prepared
from hybrid_gateway.orm.query_cache.row_readers import QUERYSET_ROWS, RowSource
from hybrid_gateway.orm.query_cache.statements import Build
from hybrid_gateway.orm.read.fetch import fetch
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.read.rows import rows_reader

__all__ = ["prepare"]

S = TypeVar("S", bound=msgspec.Struct)


@overload
def prepare(struct: type[S], build: Build, *, static_managers: bool = False) -> Prepared[S]: ...


@overload
def prepare(struct: Build, *, static_managers: bool = False) -> Prepared[Any]: ...


def prepare(
    struct: type[msgspec.Struct] | Build, build: Build | None = None, *, static_managers: bool = False
) -> Prepared[Any]:
    """Compile a query once: ``prepare(ProductOut, lambda category: Product.objects.filter(category=category))``.

    ``build`` takes parameters by name and returns a queryset; they go to ``filter()``, ``exclude()`` and slices. What
    else it computes is computed once, when it is prepared: a setting, the date (rejected: pass it, or ``Now()``).
    Without a Struct, rows are what the queryset has: instances, ``values()`` or ``values_list()``.

    A manager with a ``get_queryset`` of its own is rejected as well, unless ``static_managers`` says that it gives the
    same to everybody.

    Raises :class:`~hybrid_gateway.ConfigurationError` for what cannot be proven to be the same query for all values.
    """
    if isinstance(struct, type):
        if build is None:
            raise ConfigurationError("prepare() needs a function that returns a queryset.")
        plan = read_plan_of(struct)
        rows = RowSource(plan.select, partial(fetch, struct), lambda compiler, _: rows_reader(plan, compiler))
        return Prepared(rows, build, static_managers=static_managers)
    return Prepared(QUERYSET_ROWS, struct, static_managers=static_managers)
