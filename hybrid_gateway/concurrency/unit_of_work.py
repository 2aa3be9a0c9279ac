"""Units of work: functions that run on a thread between two applications of Django's rules for connections.

How this works: a :class:`WorkItem` takes a function, its arguments and a copy of the asking task's context to a thread.
The thread calls ``open_unit()``, ``perform()``, ``close_unit()``, and then ``deliver()``, which wakes up whoever waits:
a task that awaits an :class:`AwaitableWorkItem`, or the owner of the future of a :class:`FutureWorkItem`. What the
function changed in the context (a language, a context variable) the waiting code sees, as with ``sync_to_async``.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from operator import is_
from typing import Any, Generic, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway._compat.asgiref_internals import bring_locals_here, restore_context, thread_state
from hybrid_gateway._compat.django_connection_internals import (
    Connections,
    abandon_transaction,
    close_caches,
    close_stale_connections,
    in_transaction,
    opened_connections,
    renew_connections,
)

T_co = TypeVar("T_co", covariant=True)


def open_unit(opened: Connections | None = None) -> None:
    """Do what Django does on ``request_started``: forget logged queries, close stale connections."""
    renew_connections(opened_connections() if opened is None else opened)


def close_unit(opened: Connections | None = None) -> None:
    """Do what Django does on ``request_finished``: close connections by age and health, hand caches back.

    Undo what packages keep on a connection for one request: whoever comes next must not find it.
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


def abandon_transactions() -> bool:
    """Roll back what is open on the current thread, and close its connections; return whether anything was."""
    unfinished = [connection for connection in opened_connections() if in_transaction(connection)]
    for connection in unfinished:
        abandon_transaction(connection)
    return bool(unfinished)


class _Resets(dict[type, "Callable[[BaseDatabaseWrapper], object] | None"]):
    """By class of connection, the function that undoes the choice a request made. PERF: found once per class."""

    def __missing__(self, kind: type) -> Callable[[BaseDatabaseWrapper], object] | None:
        # SECURITY: django-tenants and django-tenant-schemas keep the schema of the tenant there.
        reset = self[kind] = getattr(kind, "set_schema_to_public", None)
        return reset


_resets = _Resets()


class WorkItem(Generic[T_co]):
    """One unit of work on its way to a thread. The subclasses say who waits for the result."""

    __slots__ = ("args", "before", "context", "function", "loop")

    function: Callable[..., T_co]
    args: tuple[object, ...]
    context: contextvars.Context
    before: contextvars.Context | None  # what was in the context when the function began
    loop: asyncio.AbstractEventLoop | None

    def is_wanted(self) -> bool:
        """Tell whether somebody still waits. Called once, by the thread, right before it begins."""
        raise NotImplementedError

    def perform(self) -> tuple[object, BaseException | None]:
        """Call the function; return its result, or the exception that it raised."""
        set_main_event_loop(self.loop)
        context, function, args = self.context, self.function, self.args
        # Django keeps language, time zone and script prefix in asgiref's Local, whose values belong to one thread.
        self.before = context.run(bring_locals_here)
        del self  # an error's traceback knows the frames below it; one that knew the future would be a cycle
        try:
            return context.run(function, *args), None
        except BaseException as error:
            return None, error

    def restore_context(self) -> None:
        """Set in the current context what the function has changed in its copy."""
        context, before = self.context, self.before
        # PERF: nothing, as a rule. A variable that was there cannot have gone, so as many variables are the same ones.
        if before is not None and not (
            len(context) == len(before) and all(map(is_, context.values(), before.values()))
        ):
            restore_context(context)

    def deliver(self, result: object, error: BaseException | None) -> None:
        """Wake up whoever waits, from any thread."""
        raise NotImplementedError


class AwaitableWorkItem(WorkItem[T_co]):
    """A unit of work that is awaited by the task that made it."""

    __slots__ = ("future",)

    def __init__(self, function: Callable[..., T_co], args: tuple[object, ...]) -> None:
        self.function = function
        self.args = args
        self.before = None
        self.context = contextvars.copy_context()
        loop = self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = loop.create_future()

    def __await__(self) -> Generator[object, None, T_co]:
        try:
            result: T_co = yield from self.future
            return result
        finally:
            if not self.future.cancelled():
                self.restore_context()
            del self  # as in perform()

    def is_wanted(self) -> bool:
        return not self.future.cancelled()

    def deliver(self, result: object, error: BaseException | None) -> None:
        assert self.loop is not None
        with suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self.loop.call_soon_threadsafe(_resolve, self.future, result, error)


class FutureWorkItem(WorkItem[T_co]):
    """A unit of work whose result is a :class:`concurrent.futures.Future`, made on a thread with or without a loop."""

    __slots__ = ("future",)

    def __init__(self, function: Callable[..., T_co], args: tuple[object, ...]) -> None:
        self.function = function
        self.args = args
        self.before = None
        self.context = contextvars.copy_context()
        self.loop = running_loop()
        self.future: Future[Any] = Future()

    def is_wanted(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def deliver(self, result: object, error: BaseException | None) -> None:
        _resolve(self.future, result, error)

    def wait(self) -> T_co:
        """Wait on the thread that asked for it, which then sees what was changed in the context."""
        try:
            result: T_co = self.future.result()
            return result
        finally:
            self.restore_context()
            del self  # as in perform()


def call_with_locals(function: Callable[[], T_co]) -> T_co:
    """Call ``function`` in the current context, which came from another thread, with what asgiref keeps in it."""
    bring_locals_here()
    return function()


def _resolve(future: asyncio.Future[Any] | Future[Any], result: object, error: BaseException | None) -> None:
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
    """Return the loop that runs on this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def loop_of_thread() -> asyncio.AbstractEventLoop | None:
    """Return the loop that the caller of this thread's unit of work came from, if it runs."""
    loop: asyncio.AbstractEventLoop | None = getattr(thread_state, "main_event_loop", None)
    return loop if loop is not None and loop.is_running() and thread_state.main_event_loop_pid == os.getpid() else None


def set_main_event_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Tell ``async_to_sync`` on this thread which loop its caller came from.

    Without it every call would start a loop of its own, and clients bound to the server's loop would break.
    """
    if getattr(thread_state, "main_event_loop", None) is not loop:
        thread_state.main_event_loop = loop
        thread_state.main_event_loop_pid = os.getpid()
