"""asgiref's thread-sensitive work, the async ORM above all, on the thread of the request it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Executor, Future
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, _restore_context
from django.urls import clear_script_prefix, set_urlconf
from django.utils import timezone, translation

from hybrid_gateway.handlers.callers import AmbientThread
from hybrid_gateway.handlers.threads import PooledThread, RequestThread, ThreadPool
from hybrid_gateway.handlers.units import running_loop

__all__ = ["RequestThreads", "thread_sensitive"]

T = TypeVar("T")


class _Request:
    """What every task of one request shares: the thread that it borrowed, if it needed one so far."""

    # PERF: one is made per request; what most never change is a class attribute.
    threads: RequestThreads | None = None
    thread: RequestThread | None = None
    around: Context | None = None  # what the request found in its context, where that was not fresh
    over = False

    def borrow(self) -> RequestThread:
        """The thread of the request."""
        if self.thread is None:
            assert self.threads is not None
            self.thread = self.threads.make()
            if self.over:
                self.thread.release()
        return self.thread


_current: ContextVar[_Request | None] = ContextVar("hybrid_gateway_request", default=None)


class _CurrentThread(Executor):
    """Sends what asgiref calls thread-sensitive (the async ORM above all) to the thread of the current request."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        request = _current.get()
        if request is None:  # a task that belongs to no request keeps the thread that asgiref has for it
            return SyncToAsync.single_thread_executor.submit(fn, *args, **kwargs)
        return request.borrow().submit(partial(fn, **kwargs) if kwargs else fn, *args)


_executor = _CurrentThread()
# One context for the whole process, entered by setting two context variables.
_context = ThreadSensitiveContext(executor=_executor)
SyncToAsync.context_to_thread_executor[_context] = _executor


class RequestThreads:
    """A request's thread on a server's loop: it stands for the :class:`PooledThread` that is borrowed when first used.

    PERF: a request that never blocks pays little for its thread; making and entering one costs 1.2 µs. asgiref finds
    the executor above by the loop, once :meth:`adopt` has been called on it, instead of by a context per request.
    """

    def __init__(self, pool: ThreadPool, streams: ThreadPool) -> None:
        self._pool = pool
        self._streams = streams
        self._loop: asyncio.AbstractEventLoop | None = None

    def adopt(self) -> None:
        """A request begins: until :meth:`release`, thread-sensitive work of this task and its children is its own."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt_loop(loop)
        request = _Request()
        request.threads = self
        if _current.get() is not None:
            # uvicorn starts a pipelined request in the context of the one before it.
            request.around = copy_context()
            _forget_surroundings()
        _current.set(request)

    def _adopt_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        executors: dict[Any, Any] = AsyncToSync.loop_thread_executors
        for other in list(executors):
            if other.is_closed():
                del executors[other]
        executors.setdefault(loop, _executor)  # a loop that async_to_sync has started keeps its own

    def release(self) -> None:
        """The request that :meth:`adopt` began ends."""
        request = _current.get()
        assert request is not None
        request.over = True
        if request.thread is not None:
            request.thread.release()
        if request.around is not None:
            _restore_context(request.around)
            request.around = None

    def make(self) -> PooledThread:
        """A thread for a request that needs one now."""
        return PooledThread(self._pool, self._streams)

    def current(self) -> RequestThread:
        """The thread of the current request."""
        request = _current.get()
        assert request is not None
        return request.borrow()

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        return self.current().run(function, *args)

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        return self.current().submit(function, *args)

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        return self.current().stream(chunks, close)


def _forget_surroundings() -> None:
    translation.deactivate()
    timezone.deactivate()
    clear_script_prefix()
    set_urlconf(None)


class thread_sensitive:  # noqa: N801  (a context manager reads as a word)
    """While entered, the async ORM and every ``sync_to_async`` of this task run on ``thread``.

    An :class:`AmbientThread` is where they run anyway: nothing is changed for it. What a server's requests borrow is
    found without this.
    """

    __slots__ = ("_context_token", "_hidden", "_thread", "_thread_token")

    def __init__(self, thread: RequestThread) -> None:
        self._thread = thread

    def __enter__(self) -> None:
        if isinstance(self._thread, AmbientThread):
            return
        request = _Request()
        request.thread = self._thread
        self._thread_token = _current.set(request)
        self._context_token = SyncToAsync.thread_sensitive_context.set(_context)
        # In a loop that async_to_sync has started, asgiref would prefer the thread that waits for that loop.
        self._hidden = _thread_below_loop() if AsyncToSync.loop_thread_executors else None
        if self._hidden is not None:
            AsyncToSync.executors.current = None

    def __exit__(self, *exc_info: object) -> None:
        if isinstance(self._thread, AmbientThread):
            return
        if self._hidden is not None:
            AsyncToSync.executors.current = self._hidden
        SyncToAsync.thread_sensitive_context.reset(self._context_token)
        _current.reset(self._thread_token)


def _thread_below_loop() -> Any:
    loop = running_loop()
    executor = None if loop is None else AsyncToSync.loop_thread_executors.get(loop)
    return executor if getattr(AsyncToSync.executors, "current", None) is executor else None
