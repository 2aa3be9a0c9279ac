"""The queries that a request makes, over every connection and on every thread that works for it; with ``DEBUG``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from hybrid_gateway._compat.django_connection_internals import opened_connections

MAX_QUERIES = 1000  # that are kept of a request; more are counted


class Query(NamedTuple):
    """One statement, as the database got it."""

    sql: str
    parameters: object
    seconds: float
    alias: str
    thread: str


class QueryLog:
    """The queries of a request: how many, the time they took, and the first thousand themselves."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.made: list[Query] = []

    def add(self, query: Query) -> None:
        """Note one that has run."""
        self.count += 1
        self.seconds += query.seconds
        if self.count <= MAX_QUERIES:
            self.made.append(query)


current_queries: ContextVar[QueryLog | None] = ContextVar("hybrid_gateway_queries", default=None)


def log_queries() -> QueryLog:
    """Begin a log of what is asked from here on, by whoever works for this request."""
    connection_created.connect(_watch, dispatch_uid="hybrid_gateway.telemetry")
    for connection in opened_connections():
        _watch(connection)
    log = QueryLog()
    current_queries.set(log)
    return log


def _note(execute: Callable[..., object], sql: str, parameters: object, many: bool, context: Any) -> object:
    log = current_queries.get()
    start = time.perf_counter()
    try:
        return execute(sql, parameters, many, context)
    finally:
        if log is not None:
            seconds, alias = time.perf_counter() - start, context["connection"].alias
            log.add(Query(str(sql), parameters, seconds, alias, threading.current_thread().name))


def _watch(connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    if _note not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note)
