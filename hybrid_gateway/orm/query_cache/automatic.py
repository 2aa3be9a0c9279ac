"""Ordinary querysets whose SQL was compiled before: ``fetch()`` prepares by itself what is simple enough to be told.

How this works: a query of one table, with plain conditions on its columns, an order by name and a slice, is nothing but
the list of those. Two queries with the same list have the same SQL but for their values, so it is compiled for the
first, compared with what Django makes of it (see :mod:`~.variants`), and kept for the connection. Whatever else a query
has makes it another kind, which is compiled each time: what is allowed is listed here, not what is forbidden.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models.expressions import Col
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from hybrid_gateway.orm.query_cache.placeholders import FIRST_NUMBER, PlaceholderLookup
from hybrid_gateway.orm.query_cache.sql_variants import Limits, Variant, Variants, compile_variant, is_proven

__all__ = ["find_variant"]

_KEPT = "_hybrid_gateway_automatic"  # the attribute of a connection
_MOST = 512  # kinds of queries per connection; the one not used for longest goes

# DJANGO: what a Query (db/models/sql/query.py) has of its own; everything else is the class's. Those with a value must
# have that one, the others are in the key below, or come to nothing where there is one table and no annotation.
_FREE = frozenset(
    (
        *("model", "alias_refcount", "alias_map", "table_map", "used_aliases", "where", "filter_is_sticky"),
        *("_lookup_joins", "order_by", "high_mark", "low_mark", "select", "base_table", "standard_ordering"),
        "default_ordering",
    )
)
_FIXED: dict[str, Any] = {
    "alias_cols": True,
    "external_aliases": {},
    "annotations": {},
    "extra": {},
    "_filtered_relations": {},
    "_annotation_select_cache": None,
    "extra_order_by": (),
    "select_related": False,
    "deferred_loading": (frozenset(), True),
    "values_select": (),
    "selected": None,
    "default_cols": False,
}


def find_variant(
    shape: Any, query: Any, connection: Any, read: Any
) -> tuple[Variant, Limits | None, list[Sequence[Any]]] | None:
    """SQL for ``query``, which selects the columns of ``shape`` and nothing else; ``None`` where it is not simple."""
    lookups: list[Any] = []
    key = _key(query, lookups)
    if key is None:
        return None
    kept: OrderedDict[Any, Any] | None = connection.__dict__.get(_KEPT)
    if kept is None:
        kept = connection.__dict__[_KEPT] = OrderedDict()
    variants = kept.get((shape, key))
    if variants is None:
        if len(kept) >= _MOST:
            kept.popitem(last=False)
        variants = kept[shape, key] = Variants()
    else:
        kept.move_to_end((shape, key))
    limits = (query.low_mark, query.high_mark) if query.is_sliced else None
    try:
        variant, found = variants.find(
            lookups,
            lambda: compile_variant(_template(query), len(lookups), connection, lookups, read),
            lambda variant, found: is_proven(variant, found, limits, query.get_compiler(connection=connection)),
        )
    except Exception:  # as in Prepared: the ordinary way has the rows, or the right words
        return None
    return variant, limits, found


def _key(query: Any, lookups: list[Any]) -> Any:
    """What tells the SQL of a simple query from that of another; its lookups are added to ``lookups``."""
    if type(query) is not Query or len(query.alias_map) > 1:
        return None
    for name, value in query.__dict__.items():
        if name not in _FREE and (name not in _FIXED or _FIXED[name] != value):
            return None
    order = tuple(query.order_by)  # others put lists there
    for entry in order:
        if type(entry) is not str or entry == "?":
            return None
    where = _where(query.where, query.base_table, lookups)
    if where is None:
        return None
    ordering = (order, query.standard_ordering, query.default_ordering)
    return where, ordering, query.low_mark > 0, query.high_mark is None


def _where(node: Any, table: str, lookups: list[Any]) -> Any:
    key: list[Any] = [node.connector, node.negated]
    for child in node.children:
        if isinstance(child, Lookup):
            left = child.lhs
            if type(left) is not Col or left.alias != table or hasattr(child.rhs, "resolve_expression"):
                return None
            if hasattr(child.rhs, "as_sql") or child.bilateral_transforms:
                return None
            key.append((type(child), left.target, left.output_field))
            lookups.append(child)
        elif type(child) is WhereNode:
            inner = _where(child, table, lookups)
            if inner is None:
                return None
            key.append(inner)
        else:
            return None
    return tuple(key)


class _Position(PlaceholderLookup):
    """The hole of a lookup that is found by its number among those of the query of the day."""

    number: int

    def real(self, values: Any) -> Any:
        return values[self.number]


_classes: dict[type, type] = {}


def _template(query: Any) -> Any:
    """The query with holes for its lookups, and limits that no table reaches."""
    template = query.clone()
    template.where = _holed(query.where, iter(range(1_000_000)))
    if query.low_mark:
        template.low_mark = FIRST_NUMBER
    if query.high_mark is not None:
        template.high_mark = FIRST_NUMBER + FIRST_NUMBER
    return template


def _holed(node: Any, numbers: Iterator[int]) -> Any:
    made = node.clone()
    made.children = []
    for child in node.children:
        if isinstance(child, Lookup):
            hole: Any = copy.copy(child)
            kind = type(child)
            if kind not in _classes:
                _classes[kind] = type(f"Kept{kind.__name__}", (_Position, kind), {})
            hole.__class__ = _classes[kind]
            hole.number = next(numbers)
            made.children.append(hole)
        else:
            made.children.append(_holed(child, numbers))
    return made
