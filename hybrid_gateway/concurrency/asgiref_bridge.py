"""asgiref's thread-sensitive work, the async ORM above all, on the thread of the request it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Executor, Future
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.urls import clear_script_prefix, set_urlconf
from django.utils import timezone, translation

from hybrid_gateway._compat.asgiref_internals import (
    context_executors,
    default_executor,
    executor_of_thread,
    loop_executors,
    thread_sensitive_context,
)
from hybrid_gateway.concurrency.request_threads import AsgirefThread, UnsharedThread
from hybrid_gateway.concurrency.thread_streams import ThreadStream
from hybrid_gateway.concurrency.threads import PooledThread, RequestThread
from hybrid_gateway.concurrency.unit_of_work import running_loop

__all__ = [
    "ReentrantThread",
    "ThreadHolder",
    "LoopRegistry",
    "enter_request",
    "in_request",
    "run_in_fresh_context",
    "separate_thread",
    "thread_sensitive",
]

T = TypeVar("T")


class HasThread(Protocol):
    """What has a thread: a request, as far as this file is concerned."""

    @property
    def thread(self) -> RequestThread: ...


class ThreadHolder:
    """A thread for whatever is no request."""

    __slots__ = ("thread",)

    def __init__(self, thread: RequestThread) -> None:
        self.thread = thread


_current: ContextVar[HasThread | None] = ContextVar("hybrid_gateway_request", default=None)


class _CurrentThread(Executor):
    """Sends what asgiref calls thread-sensitive (the async ORM above all) to the thread of the current request."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        request = _current.get()
        if request is None:  # a task that belongs to no request keeps the thread that asgiref has for it
            return default_executor.submit(fn, *args, **kwargs)
        return request.thread.submit(partial(fn, **kwargs) if kwargs else fn, *args)


_executor = _CurrentThread()
# One context for the whole process, entered by setting two context variables.
_context = ThreadSensitiveContext()
context_executors[_context] = _executor


class LoopRegistry:
    """Makes asgiref send thread-sensitive work of a server's loop to the thread of the request it belongs to.

    PERF: it finds the executor above by the loop, once per loop, instead of by a context per request.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, request: HasThread) -> None:
        """From here on, thread-sensitive work of this task and its children goes to the thread of ``request``."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.adopt(loop)
        _current.set(request)

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let asgiref find the executor by ``loop``."""
        self._loop = loop
        executors: dict[Any, Any] = loop_executors
        for other in list(executors):
            if other.is_closed():
                del executors[other]
        executors.setdefault(loop, _executor)  # a loop that async_to_sync has started keeps its own


# Loops.begin() on a loop that is known to be adopted. PERF: the variable's own method.
enter_request: Callable[[HasThread], object] = _current.set


def in_request() -> bool:
    """Whether the current context belongs to a request already."""
    return _current.get() is not None


def separate_thread() -> RequestThread:
    """Another thread than that of the current request, for work beside it; in a test, the test's own."""
    request = _current.get()
    return AsgirefThread() if request is None else request.thread.beside()


async def run_in_fresh_context(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await ``coroutine`` in a copy of the current context that has forgotten the request it belonged to."""
    context = copy_context()
    context.run(_forget_request)
    exit_ = await asyncio.get_running_loop().create_task(_catch_exit(coroutine), context=context)
    if exit_ is not None:
        raise exit_


async def _catch_exit(coroutine: Coroutine[Any, Any, None]) -> BaseException | None:
    try:
        await coroutine
    except (KeyboardInterrupt, SystemExit) as error:  # out of a task they would stop the loop
        return error
    return None


def _forget_request() -> None:
    _current.set(None)
    translation.deactivate()
    timezone.deactivate()
    clear_script_prefix()
    set_urlconf(None)


class thread_sensitive:  # noqa: N801  (a context manager reads as a word)
    """While entered, the async ORM and every ``sync_to_async`` of this task run on ``thread``.

    An :class:`AsgirefThread` is where they run anyway: nothing is changed for it. What a server's requests borrow is
    found without this.
    """

    __slots__ = ("_context_token", "_hidden", "_thread", "_thread_token")

    def __init__(self, thread: RequestThread) -> None:
        self._thread = thread

    def __enter__(self) -> None:
        if isinstance(self._thread, AsgirefThread):
            return
        self._thread_token = _current.set(ThreadHolder(self._thread))
        self._context_token = thread_sensitive_context.set(_context)
        # In a loop that async_to_sync has started, asgiref would prefer the thread that waits for that loop.
        self._hidden = _thread_below_loop() if loop_executors else None
        if self._hidden is not None:
            executor_of_thread.current = None

    def __exit__(self, *exc_info: object) -> None:
        if isinstance(self._thread, AsgirefThread):
            return
        if self._hidden is not None:
            executor_of_thread.current = self._hidden
        thread_sensitive_context.reset(self._context_token)
        _current.reset(self._thread_token)


class ReentrantThread(UnsharedThread):
    """The thread of a request whose own one may be waiting for this task, in sync code that called ``async_to_sync``.

    As long as it waits there it serves; afterwards it is the thread it always was.
    """

    __slots__ = ("_thread", "_waiting")

    def __init__(self, thread: RequestThread) -> None:
        self._thread = thread
        self._waiting: Executor | None = getattr(executor_of_thread, "current", None)

    def enter(self) -> ReentrantThread:
        """Send what this context asks of the ORM here. For a task: it is never taken back."""
        _current.set(ThreadHolder(self))
        thread_sensitive_context.set(_context)
        executor_of_thread.current = None
        return self

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        return sync_to_async(function, thread_sensitive=True)(*args)

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        if self._waiting is not None:
            try:
                return self._waiting.submit(function, *args)
            except RuntimeError:  # it has gone on
                self._waiting = None
        return self._thread.submit(function, *args)

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        if isinstance(self._thread, PooledThread) and not self._thread.exclusive:
            return self._thread.stream(chunks, close)
        self.hold_long()
        return ThreadStream(self, chunks, close)  # on the one thread there is

    def beside(self) -> RequestThread:
        return self._thread.beside()

    def hold_long(self) -> None:
        self._thread.hold_long()


def _thread_below_loop() -> Any:
    loop = running_loop()
    executor = None if loop is None else loop_executors.get(loop)
    return executor if getattr(executor_of_thread, "current", None) is executor else None
