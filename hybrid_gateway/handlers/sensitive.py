"""asgiref's thread-sensitive work, the async ORM above all, on the thread of the request it belongs to."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from hybrid_gateway.handlers.callers import AmbientThread
from hybrid_gateway.handlers.threads import PooledThread, RequestThread, ThreadPool
from hybrid_gateway.handlers.units import running_loop

__all__ = ["RequestThreads", "thread_sensitive"]

T = TypeVar("T")

_current: contextvars.ContextVar[Any] = contextvars.ContextVar("hybrid_gateway_request_thread")


class _CurrentThread(Executor):
    """Sends what asgiref calls thread-sensitive (the async ORM above all) to the thread of the current request."""

    def current(self) -> RequestThread:
        """The thread of the current request."""
        thread: RequestThread = _current.get()
        return thread

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self.current().submit(partial(fn, **kwargs) if kwargs else fn, *args)


class RequestThreads(_CurrentThread):
    """A request's thread on a server's loop: it stands for the :class:`PooledThread` that it borrows when first used.

    PERF: a request that never blocks pays nothing for its thread; making and entering one costs 1.2 µs. asgiref finds
    this object by the loop, once :meth:`adopt` has been called on it, instead of by a context entered per request.
    """

    def __init__(self, pool: ThreadPool, streams: ThreadPool) -> None:
        self._pool = pool
        self._streams = streams
        self._loop: asyncio.AbstractEventLoop | None = None

    def adopt(self) -> None:
        """From now on, thread-sensitive work of the running loop goes to the requests' threads."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self._loop = loop
        executors: dict[Any, Any] = AsyncToSync.loop_thread_executors
        for other in [other for other in executors if other.is_closed()]:
            del executors[other]
        executors.setdefault(loop, self)  # a loop that async_to_sync has started keeps to the thread that waits for it

    def current(self) -> RequestThread:
        """The thread of the current request; borrowed now, if this is the first use of it."""
        thread: RequestThread | None = _current.get(None)
        if thread is None:
            thread = PooledThread(self._pool, self._streams)
            _current.set(thread)
        return thread

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        return self.current().run(function, *args)

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        return self.current().stream(chunks, close)

    def release(self) -> None:
        thread = _current.get(None)
        if thread is not None:
            thread.release()
            _current.set(None)


_executor = _CurrentThread()
# One context for the whole process, entered by setting two context variables.
_context = ThreadSensitiveContext(executor=_executor)
SyncToAsync.context_to_thread_executor[_context] = _executor


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
        self._thread_token = _current.set(self._thread)
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
