"""Units of work: what runs on a thread between two visits to Django's rules for connections, and its way back."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway._compat.asgiref_internals import restore_context, thread_state
from hybrid_gateway._compat.django_connection_internals import (
    close_caches,
    close_stale_connections,
    opened_connections,
    renew_connections,
)

__all__ = [
    "Connections",
    "FutureWorkItem",
    "WorkItem",
    "run_in_context",
    "close_unit",
    "set_main_event_loop",
    "open_unit",
    "running_loop",
]

T = TypeVar("T")

# --- connections ---------------------------------------------------------------------------------------------------

Connections: TypeAlias = Sequence[BaseDatabaseWrapper]


def open_unit(opened: Connections | None = None) -> None:
    """Do what Django does on ``request_started``: forget logged queries, close stale connections."""
    renew_connections(opened_connections() if opened is None else opened)


def close_unit(opened: Connections | None = None) -> None:
    """Do what Django does on ``request_finished``: close connections by age and health, hand caches back.

    What packages keep on a connection for one request is undone: whoever comes next must not find it.
    """
    # DJANGO: django/db/__init__.py and django/core/cache/__init__.py, the receivers of request_finished
    if opened is None:
        opened = opened_connections()
    close_stale_connections(opened)
    for connection in opened:
        reset = _resets[type(connection)]
        if reset is not None:
            reset(connection)
    close_caches()


class _Resets(dict[type, "Callable[[BaseDatabaseWrapper], object] | None"]):
    """By class of connection, what undoes the choice that a request made for it. PERF: found once per class."""

    def __missing__(self, kind: type) -> Callable[[BaseDatabaseWrapper], object] | None:
        # SECURITY: django-tenants and django-tenant-schemas keep the schema of the tenant there.
        reset = self[kind] = getattr(kind, "set_schema_to_public", None)
        return reset


_resets = _Resets()


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
