"""Ordinary querysets whose SQL was compiled before: ``fetch()`` prepares by itself what is simple enough to be told.

How this works: a query of one table, with plain conditions on its columns, an order by name and a slice, is nothing but
the list of those. Two queries with the same list have the same SQL but for their values, so it is compiled for the
first, compared with what Django makes of it (see :mod:`~.sql_variants`), and stored with the connection. Whatever else
a query has makes it another kind, which is compiled each time: what is allowed is listed, not what is forbidden.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import count
from operator import itemgetter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_query_internals import (
    AnyLookup,
    Limits,
    copy_with_conditions,
    limits_of,
    set_limits,
    simple_query_key,
    slice_of,
)
from hybrid_gateway.orm.query_cache.placeholders import PlaceholderLookup
from hybrid_gateway.orm.query_cache.query_parameters import FIRST_SLICE_MARK
from hybrid_gateway.orm.query_cache.sql_variants import (
    CACHE,
    ConnectionCache,
    Row,
    Variant,
    Variants,
    add_cache,
    compile_variant,
    is_proven,
)

__all__ = ["find_variant"]

logger = logging.getLogger("hybrid_gateway.orm")

_MAX_QUERIES = 512  # kinds of queries per connection; the one not used for longest goes


def find_variant(
    plan: object,
    query: Query,
    connection: BaseDatabaseWrapper,
    reader: Callable[[SQLCompiler], Callable[[list[Row]], Any]],
) -> tuple[Variant, Limits | None, list[Sequence[object]]] | None:
    """Return SQL for ``query``, which selects the columns of ``plan`` and nothing else; ``None`` if not simple."""
    lookups: list[AnyLookup] = []
    kind = simple_query_key(query, lookups)
    if kind is None:
        return None
    cache: ConnectionCache = getattr(connection, CACHE, None) or add_cache(connection)
    key, known = (plan, kind), cache.simple_queries
    variants = known.get(key)
    if variants is None:
        if len(known) >= _MAX_QUERIES:
            known.popitem(last=False)
        variants = known[key] = Variants()
    else:
        known.move_to_end(key)
    limits = slice_of(query)
    try:
        variant, found = variants.find(
            lookups,
            lambda: compile_variant(_template(query), len(lookups), connection, lookups, reader),
            lambda variant, found: is_proven(variant, found, limits, query.get_compiler(connection=connection)),
        )
    except Exception as error:  # as in Prepared: the ordinary way returns the rows, or raises the right error
        if not variants.is_fallback_logged:
            variants.is_fallback_logged = True
            name = getattr(query.model, "__name__", None)
            logger.debug("A query of %s is compiled anew for some values: %r", name, error)
        return None
    return variant, limits, found


def _template(query: Query) -> Query:
    """Return the query with placeholders for its lookups, and with marks for its limits."""
    numbers = count()
    template = copy_with_conditions(query, lambda lookup: _NumberedLookup(lookup, next(numbers)))
    low, high = limits_of(query)
    set_limits(template, (FIRST_SLICE_MARK if low else 0, None if high is None else 2 * FIRST_SLICE_MARK))
    return template


class _NumberedLookup(PlaceholderLookup):
    """A lookup that is found by its number among those of the query of the day."""

    def __init__(self, lookup: AnyLookup, number: int) -> None:
        super().__init__(lookup.lhs, lookup.rhs)
        self.lookup_of = itemgetter(number)
