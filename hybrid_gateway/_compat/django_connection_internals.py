"""Undocumented names of Django's database connections and caches: what it does with them around a request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TypeAlias

from django.conf import settings
from django.core.cache import BaseCache, caches
from django.core.cache import close_caches as _close_caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

Connections: TypeAlias = Sequence[BaseDatabaseWrapper]


def opened_connections() -> Connections:
    """Return the connections that the current thread has made use of so far."""
    return connections.all(initialized_only=True)


def own_connections() -> Mapping[str, object]:
    """Return where the current thread, on which no event loop runs, has its connections; it is the same as it lives."""
    known: Any = connections
    own: Mapping[str, object] = vars(known._connections._storage)
    return own


def connections_in(own: Mapping[str, object]) -> Connections:
    """Return what :func:`opened_connections` would on that thread. PERF: that takes twenty times as long."""
    return [entry for entry in own.values() if isinstance(entry, BaseDatabaseWrapper)]  # asgiref has one of its own


def renew_connections(opened: Iterable[BaseDatabaseWrapper]) -> None:
    """Do what Django does on ``request_started``: forget logged queries, close stale connections."""
    # DJANGO: django/db/__init__.py, the receivers of request_started (5.2 and 6.1)
    for connection in opened:
        if connection.queries_log and settings.DEBUG:
            connection.queries_log.clear()
        if connection.closed_in_transaction:  # nobody had left its atomic block
            abandon_transaction(connection)
        _close_if_stale(connection)


def close_stale_connections(opened: Iterable[BaseDatabaseWrapper]) -> None:
    """Do what Django does on ``request_finished``: close connections by age and health."""
    for connection in opened:
        _close_if_stale(connection)


_CLOSE_IF_STALE = "close_if_unusable_or_obsolete"


class _OwnRules(dict[type, bool]):
    """By class of connection, whether it has an own idea of what is stale."""

    def __missing__(self, kind: type[BaseDatabaseWrapper]) -> bool:
        names = (_CLOSE_IF_STALE, "get_autocommit", "ensure_connection")
        self[kind] = any(getattr(kind, name) is not getattr(BaseDatabaseWrapper, name) for name in names)
        return self[kind]


_has_own_rules = _OwnRules()


def _close_if_stale(connection: Any) -> None:
    # PERF: close_if_unusable_or_obsolete(), where that would do nothing but this; it takes five times as long.
    # DJANGO: db/backends/base/base.py (5.2 and 6.1)
    if _CLOSE_IF_STALE in vars(connection) or _has_own_rules[type(connection)]:
        connection.close_if_unusable_or_obsolete()
    elif connection.connection is not None:
        end = connection.close_at
        is_changed = connection.errors_occurred or connection.autocommit is not connection.settings_dict["AUTOCOMMIT"]
        if is_changed or (end is not None and monotonic() >= end):
            connection.close_if_unusable_or_obsolete()
        else:
            connection.health_check_done = False


@contextmanager
def keep_connections_open() -> Iterator[None]:
    """Let ``request_finished`` close no connection of this thread that has autocommit switched off."""
    # DJANGO: close_old_connections drops whatever has autocommit switched off, and an open transaction with it
    # (db/backends/base/base.py). What is found on the connection itself comes before its class's method.
    method = _CLOSE_IF_STALE
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
        # DJANGO: what is in memory is left open by that, and its transaction with it (db/backends/sqlite3/base.py).
        BaseDatabaseWrapper.close(connection)
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


class _CacheClasses:
    """The classes of the project's caches, found once for all settings."""

    def __init__(self) -> None:
        self.settings: object = None
        self.classes: list[object] = []

    def are_closable(self) -> bool:
        """Return whether one of them does anything when it is closed; of Django's own, those for memcached do."""
        known: Any = caches
        if self.settings is not known.settings:
            self.classes = []
            for options in known.settings.values():
                kind = None
                with suppress(ImportError):  # who uses it learns of it
                    kind = import_string(options["BACKEND"])
                self.classes.append(kind)
            self.settings = known.settings
        return any(getattr(kind, "close", None) is not BaseCache.close for kind in self.classes)


_cache_classes = _CacheClasses()


def close_caches() -> None:
    """Do what Django does on ``request_finished``: close the caches that this context has used."""
    if _cache_classes.are_closable():  # PERF: to find those that were used takes 18,000 instructions for one
        _close_caches()


def connection_parameters(alias: str) -> dict[str, Any]:
    """Return what Django connects to the database ``alias`` with, of PostgreSQL, for a connection of our own."""
    # The method, not the settings: packages for passwords that change have their own.
    connection: Any = connections[alias]
    parameters: dict[str, Any] = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):  # Django's types, and its rules for poolers
        parameters.pop(name, None)
    return parameters
