"""asgiref's thread-sensitive work, the async ORM above all, on the thread of the request it belongs to.

How this works: ``sync_to_async`` looks for an executor in four places: the thread that waits in ``async_to_sync``, the
``ThreadSensitiveContext`` of the task, the event loop, and a thread for all the rest. One executor, ``_executor``, is
registered for the loops of servers and for one context; it sends each piece of work to the thread of the request that
the context variable ``_current`` names. See ``_compat/asgiref_internals.py`` for what of asgiref this rests on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Executor, Future
from contextvars import ContextVar, copy_context
from functools import partial
from typing import ParamSpec, Protocol, TypeVar, cast

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.urls import clear_script_prefix, set_urlconf
from django.utils import timezone, translation

from hybrid_gateway._compat.asgiref_internals import (
    context_executors,
    default_executor,
    executor_of_thread,
    is_thread_waiting,
    loop_executors,
    thread_sensitive_context,
)
from hybrid_gateway.concurrency.caller_threads import AsgirefThread, UnsharedThread
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.concurrency.thread_stream import ThreadStream
from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.request.request_thread import RequestThread

P = ParamSpec("P")
T = TypeVar("T")


class HasThread(Protocol):
    """A request, as far as this file is concerned."""

    @property
    def thread(self) -> RequestThread: ...


class ThreadHolder:
    """A thread for work that belongs to no request."""

    __slots__ = ("thread",)

    def __init__(self, thread: RequestThread) -> None:
        self.thread = thread


_current: ContextVar[HasThread | None] = ContextVar("hybrid_gateway_request", default=None)


class _CurrentThread(Executor):
    """The executor that sends thread-sensitive work to the thread of the current request."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        request = _current.get()
        if request is None:  # a task that belongs to no request keeps the thread that asgiref has for it
            return default_executor.submit(fn, *args, **kwargs)
        function = partial(fn, **kwargs) if kwargs else fn
        thread = request.thread
        if isinstance(thread, PooledThread) and running_loop() is not None:
            # PERF: run_in_executor() takes a future of its loop as it is. Another one, of concurrent.futures, costs
            # more than the way to the thread and back, and wakes the loop up once more.
            return cast("Future[T]", thread.run(function, *args).future)
        return thread.submit(function, *args)


_executor = _CurrentThread()
# One context for the whole process, entered by setting two context variables.
_context = ThreadSensitiveContext()
context_executors[_context] = _executor


class LoopRegistry:
    """The loops of servers whose thread-sensitive work goes to the thread of the request it belongs to.

    PERF: asgiref finds the executor above by the loop, once per loop, instead of by a context per request.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, request: HasThread) -> None:
        """Send thread-sensitive work of this task and its children to the thread of ``request`` from here on."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.adopt(loop)
        _current.set(request)

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let asgiref find the executor by ``loop``."""
        self._loop = loop
        for other in list(loop_executors):
            if other.is_closed():
                del loop_executors[other]
        loop_executors.setdefault(loop, _executor)  # a loop that async_to_sync has started keeps its own


enter_request: Callable[[HasThread], object] = _current.set
"""``LoopRegistry.begin()`` on a loop that is known to be adopted. PERF: the variable's own method."""


current_request: Callable[[], HasThread | None] = _current.get
"""The request that the current context belongs to, if it is one's. PERF: the variable's own method."""


def on_request_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Call ``function`` where ``sync_to_async`` would, the thread of the request above all; for ``await``.

    PERF: by our own way to that thread, a fifth of asgiref's 100,000 instructions.
    """
    request = _current.get()
    context = thread_sensitive_context.get(None)
    if (
        request is None
        or (context is not None and context is not _context)
        or is_thread_waiting()  # for this very task
    ):
        return sync_to_async(function)(*args, **kwargs)
    return request.thread.run(partial(function, **kwargs) if kwargs else function, *args)


def separate_thread() -> RequestThread:
    """Return another thread than that of the current request, for work beside it; in a test, the test's own."""
    request = _current.get()
    return AsgirefThread() if request is None else request.thread.beside()


async def run_in_fresh_context(coroutine: Coroutine[object, None, None]) -> None:
    """Await ``coroutine`` in a copy of the current context that has forgotten the request it belonged to."""
    context = copy_context()
    context.run(_forget_request)
    exit_ = await asyncio.get_running_loop().create_task(_catch_exit(coroutine), context=context)
    if exit_ is not None:
        raise exit_


async def _catch_exit(coroutine: Coroutine[object, None, None]) -> BaseException | None:
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
    """A context in which the async ORM and every ``sync_to_async`` of this task run on ``thread``.

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
        loop = running_loop() if loop_executors else None
        waiting = None if loop is None else loop_executors.get(loop)
        self._hidden: Executor | None = waiting if getattr(executor_of_thread, "current", None) is waiting else None
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
    """The thread of a request that may be waiting for this task, in sync code that called ``async_to_sync``.

    As long as it waits there, it does this task's work meanwhile; afterwards work goes to the request's thread as ever.
    """

    __slots__ = ("_thread", "_waiting")

    def __init__(self, thread: RequestThread) -> None:
        self._thread = thread
        self._waiting: Executor | None = getattr(executor_of_thread, "current", None)

    def use_for_task(self) -> ReentrantThread:
        """Send the thread-sensitive work of this task here, until the task ends."""
        _current.set(ThreadHolder(self))
        thread_sensitive_context.set(_context)
        executor_of_thread.current = None
        return self

    def run(self, function: Callable[..., T], /, *args: object) -> Awaitable[T]:
        return sync_to_async(function, thread_sensitive=True)(*args)

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        if self._waiting is not None:
            try:
                return self._waiting.submit(function, *args)
            except RuntimeError:  # it has gone on
                self._waiting = None
        return self._thread.submit(function, *args)

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        if isinstance(self._thread, PooledThread) and not self._thread.exclusive:
            return self._thread.stream(chunks, close)
        self.hold_long()
        return ThreadStream(self, chunks, close)  # on the one thread there is

    def beside(self) -> RequestThread:
        return self._thread.beside()

    def hold_long(self) -> None:
        self._thread.hold_long()
