"""The threads of the process, and the one thread a request may use.

How this works: a :class:`ThreadPool` owns ``size`` long-lived threads. Whatever runs on one of them runs as a *unit of
work*: Django's rules for connections are applied in that very thread before and after it, so connections are opened
once per thread, health-checked, and closed when ``CONN_MAX_AGE`` says so, never inside ``atomic``.

A request talks to a :class:`RequestThread`. There are four kinds, one per place a request can come from:

* :class:`PooledThread`: a server's event loop; work goes to the pool, to the same thread as before when it is free.
* :class:`CallingThread`: a synchronous caller (a WSGI worker, a test) waits and lends its own thread.
* :class:`AmbientThread`: an ``async def`` test; work goes wherever asgiref's thread-sensitive work goes.
* :class:`InlineThread`: there is no event loop at all; work simply runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.cache import close_caches
from django.db import close_old_connections, connections, reset_queries

T = TypeVar("T")

__all__ = [
    "AmbientThread",
    "CallingThread",
    "InlineThread",
    "LoopThread",
    "PooledThread",
    "RequestThread",
    "ThreadPool",
    "iterate_in_thread",
    "thread_sensitive",
]


class RequestThread(Protocol):
    """Where the blocking work of one request runs: at most one thread at a time."""

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        """Run ``function(*args)`` as a unit of work, in a copy of the caller's context; await its result."""

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Run ``function(*args)`` as a unit of work; for :class:`concurrent.futures.Executor` users."""

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        """Iterate a blocking iterable off the loop, on one thread from first to last; ``close()`` runs there too."""

    def release(self) -> None:
        """End of the request: whatever it left open on its thread is rolled back and closed."""


# --- units of work -------------------------------------------------------------------------------------------------


def open_unit() -> None:
    """What Django does on ``request_started``: forget logged queries, drop stale connections."""
    # DJANGO: django/db/__init__.py, the receivers of request_started (5.2 and 6.1)
    if settings.DEBUG:
        reset_queries()
    close_old_connections()


def close_unit() -> None:
    """What Django does on ``request_finished``: close connections by age and health, hand caches back."""
    # DJANGO: django/db/__init__.py and django/core/cache/__init__.py, the receivers of request_finished
    close_old_connections()
    close_caches()


def in_transaction() -> bool:
    """Whether a connection of the current thread was left inside ``atomic`` or with autocommit off."""
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))


def abandon_transactions() -> None:
    """Close the connections of the current thread that a request left inside a transaction (the server rolls back)."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            connection.close()
            connection.in_atomic_block = False
            connection.savepoint_ids.clear()
            connection.atomic_blocks.clear()
            connection.needs_rollback = False
            connection.connection = None


# --- the pool ------------------------------------------------------------------------------------------------------


class _Job:
    """One unit of work on its way to a thread, and the way its result takes back."""

    __slots__ = ("args", "context", "function", "loop", "on_done", "owner")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context,
        on_done: Callable[[Any, BaseException | None], None],
        owner: PooledThread | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.function = function
        self.args = args
        self.context = context
        self.on_done = on_done
        self.owner = owner
        self.loop = loop


class _Worker:
    """One thread of the pool: its next job and the lock it sleeps on."""

    __slots__ = ("idle", "job", "wake")

    def __init__(self) -> None:
        self.wake = threading.Semaphore(0)
        self.job: _Job | None = None
        self.idle = False


class ThreadPool:
    """At most ``size`` long-lived daemon threads that run units of work; started one by one, when first needed."""

    def __init__(self, size: int = 8, *, name: str = "gateway") -> None:
        self.size = size
        self.name = name
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []  # last in, first out: the warmest thread and its connections go first
        self._waiting: deque[_Job] = deque()
        self._closed = False
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<ThreadPool {self.name!r}: {len(self._workers)} of {self.size} threads>"

    def _submit(self, job: _Job) -> None:
        owner = job.owner
        with self._lock:
            if self._pid != os.getpid():
                self._forget_threads_of_parent()
            if owner is not None and owner.holds and owner.worker is not None:
                worker = owner.worker
            elif self._idle:
                worker = self._take_idle(owner.worker if owner is not None else None)
            elif len(self._workers) < self.size:
                worker = self._start()
            else:
                self._waiting.append(job)
                return
            worker.job = job
        worker.wake.release()

    def _take_idle(self, preferred: _Worker | None) -> _Worker:
        if preferred is not None and preferred.idle:
            self._idle.remove(preferred)
            worker = preferred
        else:
            worker = self._idle.pop()
        worker.idle = False
        return worker

    def _start(self) -> _Worker:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        worker = _Worker()
        self._workers.append(worker)
        name = f"{self.name}-{len(self._workers)}"
        threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        return worker

    def _forget_threads_of_parent(self) -> None:
        # A pre-fork server (gunicorn --preload) copies the pool, but not its threads.
        self._workers.clear()
        self._idle.clear()
        self._waiting.clear()
        self._pid = os.getpid()

    def _work(self, worker: _Worker) -> None:
        while True:
            worker.wake.acquire()
            job, worker.job = worker.job, None
            while job is not None:
                result, error = self._run(job, worker)
                done, job = job, self._next(worker, job.owner)
                # Only now, so that the request finds this thread idle (or its own) when it comes back for more.
                done.on_done(result, error)
                del done, result, error
            if self._closed:
                connections.close_all()
                return

    def _next(self, worker: _Worker, owner: PooledThread | None) -> _Job | None:
        """The next job for ``worker``, unless the request it just served holds it; else it turns idle."""
        with self._lock:
            if owner is not None and owner.holds:
                return None
            if self._waiting:
                return self._waiting.popleft()
            worker.idle = True
            self._idle.append(worker)
            return None

    def _run(self, job: _Job, worker: _Worker) -> tuple[Any, BaseException | None]:
        owner = job.owner
        if owner is not None:
            owner.worker = worker
        if job.loop is not None:
            _lend_loop(job.loop)
        try:
            if owner is None or not owner.holds:
                open_unit()
            try:
                return job.context.run(job.function, *job.args), None
            finally:
                self._settle(owner)
        except BaseException as error:
            return None, error

    def _settle(self, owner: PooledThread | None) -> None:
        unfinished = in_transaction()
        if owner is not None:
            owner.holds = (unfinished or owner.exclusive) and not owner.released
            if owner.holds:
                return
        if unfinished:
            abandon_transactions()
        close_unit()

    def close(self) -> None:
        """Let every thread finish what it does, close its connections and end. New work is refused."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake.release()


def _lend_loop(loop: asyncio.AbstractEventLoop) -> None:
    # asgiref's async_to_sync looks here for the loop that its caller came from; without it every call would start a
    # loop of its own, and clients bound to the server's loop would break.
    local = SyncToAsync.threadlocal
    if getattr(local, "main_event_loop", None) is not loop:
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()


# --- the thread of a request ---------------------------------------------------------------------------------------


class PooledThread:
    """A request's thread, borrowed from a pool for one unit of work at a time.

    Between two units the thread serves others, and the same one is taken again when it is free, so a request that
    waits for the network holds nothing. A request that leaves a transaction open keeps its thread to itself, and so
    does an ``exclusive`` one, a stream: its cursor lives on one connection from the first row to the last.
    """

    __slots__ = ("_pool", "_streams", "exclusive", "holds", "released", "worker")

    def __init__(self, pool: ThreadPool, streams: ThreadPool, *, exclusive: bool = False) -> None:
        self._pool = pool
        self._streams = streams
        self.exclusive = exclusive
        self.worker: _Worker | None = None
        self.holds = False
        self.released = False

    def run(self, function: Callable[..., T], /, *args: Any) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def on_done(result: Any, error: BaseException | None) -> None:
            try:
                loop.call_soon_threadsafe(_deliver, future, result, error)
            except RuntimeError:  # the loop has closed: nobody waits any more
                pass

        self._pool._submit(_Job(function, args, contextvars.copy_context(), on_done, self, loop))
        return future

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: Future[T] = Future()

        def on_done(result: Any, error: BaseException | None) -> None:
            if future.cancelled():  # in the queue: its client has gone
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def run() -> T | None:
            return function(*args) if future.set_running_or_notify_cancel() else None

        self._pool._submit(_Job(run, (), contextvars.copy_context(), on_done, self, _running_loop()))
        return future

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        return iterate_in_thread(PooledThread(self._streams, self._streams, exclusive=True), chunks, close)

    def release(self) -> None:
        self.released = True
        if self.holds:
            self.submit(_nothing)  # the unit after which the thread is settled and free


def _nothing() -> None:
    """A unit of work that does nothing."""


def _deliver(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError("a handler or provider raised StopIteration"))
    else:
        future.set_exception(error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class InlineThread:
    """No loop, no hop: blocking work runs where it is asked for. What a WSGI worker thread uses for a sync plan."""

    __slots__ = ()

    async def run(self, function: Callable[..., T], /, *args: Any) -> T:
        return function(*args)

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)
        return future

    async def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        try:
            for chunk in chunks:
                yield chunk
        finally:
            if close is not None:
                close()

    def release(self) -> None:
        return None


class CallingThread:
    """The thread of a synchronous caller that waits for a coroutine on another thread's loop and runs its sync work.

    With it the rows of a ``TestCase`` are visible to every handler, and a WSGI worker keeps its own connections.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def complete(self, coroutine: Coroutine[Any, Any, T], loop: LoopThread) -> T:
        """Run ``coroutine`` on ``loop`` and serve its blocking work here until it is done."""
        task = loop.start(coroutine)
        task.add_done_callback(lambda _: self._work.put(None))
        while (work := self._work.get()) is not None:
            work()
        return task.result()

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        context = contextvars.copy_context()
        return asyncio.wrap_future(self.submit(context.run, function, *args))

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: Future[T] = Future()
        loop = _running_loop()

        def work() -> None:
            lender = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
            if loop is not None:
                _lend_loop(loop)
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                SyncToAsync.threadlocal.main_event_loop = lender

        self._work.put(work)
        return future

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        return iterate_in_thread(self, chunks, close)

    def release(self) -> None:
        return None


class AmbientThread:
    """asgiref's choice of thread: inside ``async def`` methods of ``TestCase`` that is the test's own thread."""

    __slots__ = ()

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        return sync_to_async(function, thread_sensitive=True)(*args)

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        raise RuntimeError("thread-sensitive calls already reach this thread by themselves")

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        return iterate_in_thread(self, chunks, close)

    def release(self) -> None:
        return None


# --- streams -------------------------------------------------------------------------------------------------------

_END: Any = object()


async def iterate_in_thread(
    thread: RequestThread, chunks: Iterable[T], close: Callable[[], object] | None = None
) -> AsyncIterator[T]:
    """Yield the items of a blocking iterable, each fetched on ``thread``; the iterator is closed there at the end."""
    iterator: Iterator[T] = iter(chunks)
    fetching: asyncio.Future[T] | None = None

    def close_iterator() -> None:
        try:
            if hasattr(iterator, "close"):
                iterator.close()
        finally:
            if close is not None:
                close()

    async def finish() -> None:
        try:
            if fetching is not None and not fetching.done():
                await asyncio.wait((fetching,))  # an iterator that runs can neither be stopped nor closed
            await thread.run(close_iterator)
        finally:
            thread.release()

    try:
        while True:
            fetching = asyncio.ensure_future(thread.run(next, iterator, _END))
            if (chunk := await asyncio.shield(fetching)) is _END:
                break
            yield chunk
    finally:
        # In a task of its own: whoever stops the stream may be cancelled, the clean-up is not.
        await asyncio.shield(asyncio.ensure_future(finish()))


# --- asgiref's thread-sensitive work -------------------------------------------------------------------------------

_current: contextvars.ContextVar[RequestThread] = contextvars.ContextVar("hybrid_gateway_request_thread")


class _RequestThreadExecutor(Executor):
    """Sends what asgiref calls thread-sensitive (the async ORM above all) to the thread of the current request."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if kwargs:
            return _current.get().submit(lambda: fn(*args, **kwargs))
        return _current.get().submit(fn, *args)


_executor = _RequestThreadExecutor()
# PERF: one context for the whole process, entered per request by setting two context variables (0.2 µs); a
# ThreadSensitiveContext per request costs 2 µs in weak references.
_context = ThreadSensitiveContext(executor=_executor)
SyncToAsync.context_to_thread_executor[_context] = _executor


class thread_sensitive:  # noqa: N801  (a context manager reads as a word)
    """While entered, the async ORM and every ``sync_to_async`` of this task run on ``thread``."""

    __slots__ = ("_context_token", "_thread", "_thread_token")

    def __init__(self, thread: RequestThread) -> None:
        self._thread = thread

    def __enter__(self) -> None:
        self._thread_token = _current.set(self._thread)
        self._context_token = SyncToAsync.thread_sensitive_context.set(_context)

    def __exit__(self, *exc_info: object) -> None:
        SyncToAsync.thread_sensitive_context.reset(self._context_token)
        _current.reset(self._thread_token)


# --- a loop that outlives requests ---------------------------------------------------------------------------------


class LoopThread:
    """An event loop on a daemon thread of its own, started when first used; where async handlers run under WSGI."""

    def __init__(self, *, name: str = "gateway-loop") -> None:
        self.name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True).start()
            return self._loop

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``coroutine`` on the loop, in a copy of the caller's context."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and wait for it."""
        return self.start(coroutine).result()

    def close(self) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
