"""Units of work: what runs on a thread between two visits to Django's rules for connections, and its way back."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

from django.conf import settings
from django.core.cache import close_caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway._compat.asgiref_internals import restore_context, thread_state

__all__ = [
    "Connections",
    "FutureWorkItem",
    "WorkItem",
    "abandon_transaction",
    "run_in_context",
    "close_unit",
    "in_transaction",
    "set_main_event_loop",
    "open_unit",
    "opened_connections",
    "running_loop",
]

T = TypeVar("T")

# --- connections ---------------------------------------------------------------------------------------------------

Connections: TypeAlias = Sequence[BaseDatabaseWrapper]


def opened_connections() -> Connections:
    """The connections that the current thread has made use of so far."""
    found: Connections = connections.all(initialized_only=True)
    return found


def open_unit(opened: Connections | None = None) -> None:
    """What Django does on ``request_started``: forget logged queries, drop stale connections."""
    # DJANGO: django/db/__init__.py, the receivers of request_started (5.2 and 6.1)
    for connection in opened_connections() if opened is None else opened:
        if settings.DEBUG:
            connection.queries_log.clear()
        if connection.closed_in_transaction:  # by close_unit, since nobody had left its atomic block
            abandon_transaction(connection)
        connection.close_if_unusable_or_obsolete()


def close_unit(opened: Connections | None = None) -> None:
    """What Django does on ``request_finished``: close connections by age and health, hand caches back.

    What packages keep on a connection for one request is undone: whoever comes next must not find it.
    """
    # DJANGO: django/db/__init__.py and django/core/cache/__init__.py, the receivers of request_finished
    for connection in opened_connections() if opened is None else opened:
        connection.close_if_unusable_or_obsolete()
        reset = _resets[type(connection)]
        if reset is not None:
            reset(connection)
    close_caches()


class _Resets(dict[type, "Callable[[Any], object] | None"]):
    """By class of connection, what undoes the choice that a request made for it. PERF: found once per class."""

    def __missing__(self, kind: type) -> Callable[[Any], object] | None:
        # SECURITY: django-tenants and django-tenant-schemas keep the schema of the tenant there.
        reset = self[kind] = next((getattr(kind, name) for name in _RESETTERS if hasattr(kind, name)), None)
        return reset


_RESETTERS = ("set_schema_to_public",)
_resets = _Resets()


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether ``connection`` is inside ``atomic``, or has autocommit switched off."""
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


class WorkItem(Generic[T]):
    """One unit of work on its way to a thread, awaited by the task that asked for it.

    It runs in a copy of the task's context, and what it changes there (a language, a context variable) the task sees
    once it has awaited it, as with ``sync_to_async``.
    """

    __slots__ = ("args", "context", "function", "future", "loop")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.context = contextvars.copy_context()
        self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        self.future: Any = self.loop.create_future()

    def __await__(self) -> Generator[Any, Any, T]:
        future, context = self.future, self.context
        del self  # an error's traceback knows the frames below it; one that knew the future would be a cycle
        try:
            result: T = yield from future
            return result
        finally:
            if not future.cancelled():
                restore_context(context)
            del future

    def is_wanted(self) -> bool:
        """Asked by the thread, right before it begins."""
        return not self.future.cancelled()

    def perform(self) -> tuple[Any, BaseException | None]:
        """Call the function; give back its result, or what it raised."""
        set_main_event_loop(self.loop)
        context, function, args = self.context, self.function, self.args
        del self  # as in __await__
        try:
            return context.run(run_in_context, context, function, args), None
        except BaseException as error:
            return None, error

    def deliver(self, result: Any, error: BaseException | None) -> None:
        """Wake up whoever waits."""
        assert self.loop is not None
        with suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle_future, self.future, result, error)


class FutureWorkItem(WorkItem[T]):
    """The same for :meth:`RequestThread.submit`: its result is a :class:`concurrent.futures.Future`."""

    __slots__ = ()

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.context = contextvars.copy_context()
        self.loop = running_loop()
        self.future = Future()

    def is_wanted(self) -> bool:
        wanted: bool = self.future.set_running_or_notify_cancel()
        return wanted

    def deliver(self, result: Any, error: BaseException | None) -> None:
        _settle_future(self.future, result, error)

    def wait(self) -> T:
        """Wait on the thread that asked for it, which then sees what was changed in the context."""
        future, context = self.future, self.context
        del self  # as in Unit.__await__
        try:
            result: T = future.result()
            return result
        finally:
            restore_context(context)
            del future


def run_in_context(context: contextvars.Context, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    # Django keeps language, time zone and script prefix in asgiref's Local, whose values belong to one thread.
    restore_context(context)
    return function(*args)


def _settle_future(future: Any, result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # no future takes it, and a coroutine could not raise it
        wrapped = RuntimeError("a handler or provider raised StopIteration")
        wrapped.__cause__ = error
        future.set_exception(wrapped)
    else:
        future.set_exception(error)


def running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def set_main_event_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    # asgiref's async_to_sync looks here for the loop that its caller came from; without it every call would start a
    # loop of its own, and clients bound to the server's loop would break.
    local = thread_state
    if getattr(local, "main_event_loop", None) is not loop:
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()
