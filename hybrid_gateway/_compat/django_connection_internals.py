"""Undocumented names of Django's database connections and caches: what it does with them around a request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings
from django.core.cache import BaseCache, caches, close_caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = [
    "abandon_transaction",
    "close_caches",
    "close_stale_connections",
    "create_cache",
    "has_failed_to_connect",
    "in_atomic_block",
    "in_transaction",
    "keep_connections_open",
    "opened_connections",
    "renew_connections",
    "reset_new_connection",
]

Connections = Sequence[BaseDatabaseWrapper]


def opened_connections() -> Connections:
    """Return the connections that the current thread has made use of so far."""
    return connections.all(initialized_only=True)


def renew_connections(opened: Iterable[BaseDatabaseWrapper]) -> None:
    """Do what Django does on ``request_started``: forget logged queries, close stale connections."""
    # DJANGO: django/db/__init__.py, the receivers of request_started (5.2 and 6.1)
    for connection in opened:
        if settings.DEBUG:
            connection.queries_log.clear()
        if connection.closed_in_transaction:  # nobody had left its atomic block
            abandon_transaction(connection)
        connection.close_if_unusable_or_obsolete()


def close_stale_connections(opened: Iterable[BaseDatabaseWrapper]) -> None:
    """Do what Django does on ``request_finished``: close connections by age and health."""
    for connection in opened:
        connection.close_if_unusable_or_obsolete()


@contextmanager
def keep_connections_open() -> Iterator[None]:
    """Let ``request_finished`` close no connection of this thread that has autocommit switched off."""
    # DJANGO: close_old_connections drops whatever has autocommit switched off, and an open transaction with it
    # (db/backends/base/base.py). What is found on the connection itself comes before its class's method.
    method = "close_if_unusable_or_obsolete"
    kept = [(vars(connection), vars(connection).copy()) for connection in opened_connections()]
    for attributes, _ in kept:
        attributes[method] = lambda: None
    try:
        yield
    finally:
        for attributes, before in kept:
            del attributes[method]
            if method in before:
                attributes[method] = before[method]


def in_atomic_block(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether ``connection`` is inside ``atomic``."""
    return connection.in_atomic_block


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether ``connection`` is inside ``atomic``, or has autocommit switched off."""
    switched_off = not connection.autocommit and connection.settings_dict["AUTOCOMMIT"]
    return connection.in_atomic_block or (connection.connection is not None and switched_off)


def abandon_transaction(connection: BaseDatabaseWrapper) -> None:
    """Close ``connection``, whose transaction nobody will end any more; the server rolls it back."""
    try:
        connection.close()
    finally:
        # DJANGO: inside atomic, close() leaves these to the end of the block, which here never comes; connect() sets
        # the rest anew (db/backends/base/base.py).
        connection.in_atomic_block = False
        connection.connection = None


def reset_new_connection(alias: str, connection: object) -> None:
    """Let Django configure a PostgreSQL connection of psycopg's pool as if it were new."""
    # DJANGO: db/backends/postgresql/base.py gives the same function to the pool, for connections that are new.
    connections[alias]._configure_connection(connection)  # type: ignore[attr-defined]


_CONNECT = inspect.unwrap(BaseDatabaseWrapper.connect).__code__


def has_failed_to_connect(error: BaseException) -> bool:
    """Tell whether ``error`` left ``BaseDatabaseWrapper.connect``: the database cannot be reached just now."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code is _CONNECT:
            return True
        frame = frame.tb_next
    return False


create_cache: Callable[[str], BaseCache] = caches.create_connection
"""``create_cache(alias)``: make a cache of ``CACHES`` anew, that belongs to no context."""


INTERNALS = """
[Django 5.2-6.1]
opened_connections: django.db.connections.all(initialized_only=)
    Loud: TypeError in each unit of work. Without it, every unit opens connections to all databases.
renew_connections: BaseDatabaseWrapper.queries_log, .closed_in_transaction, .close_if_unusable_or_obsolete
    Loud: AttributeError in each unit that uses a database. Stale connections would be used again.
close_stale_connections: BaseDatabaseWrapper.close_if_unusable_or_obsolete
    Loud: as for renew_connections.
keep_connections_open: close_if_unusable_or_obsolete, called by close_old_connections on the instance
    Silent: a Django response that a typed route returns ends the transaction of a component when it is closed.
in_atomic_block: BaseDatabaseWrapper.in_atomic_block
    Loud: AttributeError in reads with prepared queries.
in_transaction: BaseDatabaseWrapper.in_atomic_block, .autocommit, .connection
    Loud: AttributeError in each unit. Work of others would run inside a request's open transaction.
abandon_transaction: BaseDatabaseWrapper.in_atomic_block, .connection (set)
    Silent: a thread's connection stays unusable after a request that ended inside atomic.
reset_new_connection: django.db.backends.postgresql DatabaseWrapper._configure_connection
    Loud: the pool logs an AttributeError and drops the connection. SET TIME ZONE and SET ROLE would be missing.
has_failed_to_connect: BaseDatabaseWrapper.connect (a Python function, below async_unsafe)
    Silent: a database that cannot be reached is a 500 in place of a 503 with Retry-After.
create_cache: django.core.cache.caches.create_connection
    Loud: AttributeError. A connection to the cache would be opened for each request.
close_caches: django.core.cache.close_caches
    Loud: import error. Connections to caches would leak.
"""
