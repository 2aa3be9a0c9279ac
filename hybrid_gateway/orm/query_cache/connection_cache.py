"""What is stored with a database connection: compiled SQL, and functions that read its rows.

How this works: both hold on to the connection that they were made for, through its compilers. They are an attribute of
it, so that all of them go together when its thread ends; a table elsewhere, even a weak one, would keep every
connection for ever. A connection is of one thread, so nothing here is locked.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway.orm.query_cache.sql_variants import Variants

__all__ = ["CACHE", "ConnectionCache", "add_cache"]

CACHE = "_hybrid_gateway_cache"
"""The attribute of a connection; where it is missing, :func:`add_cache` makes it."""


class ConnectionCache:
    """What is stored with one connection."""

    def __init__(self) -> None:
        self.simple_queries: OrderedDict[object, Variants] = OrderedDict()  # by plan and kind, see simple_queries.py
        # By statement, then by the types of its values.
        self.statements: MutableMapping[object, dict[tuple[type, ...], Variants]] = weakref.WeakKeyDictionary()
        self.row_factories: dict[object, Callable[..., Any]] = {}  # by plan


def add_cache(connection: BaseDatabaseWrapper) -> ConnectionCache:
    """Store an empty cache with ``connection``, and return it."""
    cache = ConnectionCache()
    setattr(connection, CACHE, cache)
    return cache
