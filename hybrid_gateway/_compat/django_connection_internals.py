"""Undocumented names of Django's database connections and caches: what it does with them around a request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from django.conf import settings
from django.core.cache import BaseCache, caches
from django.core.cache import close_caches as close_caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

Connections: TypeAlias = Sequence[BaseDatabaseWrapper]


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
