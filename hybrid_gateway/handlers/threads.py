"""The threads of the process, and the one thread a request may use.

How this works: a :class:`ThreadPool` owns ``size`` long-lived threads. Whatever runs on one of them runs as a *unit of
work* (``units.py``): Django's rules for connections are applied in that very thread before and after it, so connections
are opened once per thread, health-checked, and closed when ``CONN_MAX_AGE`` says so, never inside ``atomic``.

Waking a thread is what a unit costs most: the thread then fights the event loop for the GIL. So what one turn of the
loop asks for is handed over at its end, to one thread; that one wakes the next if there is more to do, and so on.
Short units are done by few threads one after the other, and a unit that waits holds up none that another could do.

A request talks to a :class:`RequestThread`. There are four kinds, one per place a request can come from:

* :class:`PooledThread`: a server's event loop; work goes to the pool, to the same thread as before when it is free.
* ``CallingThread``: a synchronous caller (a WSGI worker, a test) waits and lends its own thread.
* ``AmbientThread``: an ``async def`` test; work goes wherever asgiref's thread-sensitive work goes.
* ``InlineThread``: there is no event loop at all; work simply runs. These three are in ``callers.py``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol, TypeAlias, TypeVar

from django.db import connections

from hybrid_gateway.handlers.units import (
    Connections,
    SubmittedUnit,
    Unit,
    abandon_transaction,
    arrive,
    close_unit,
    in_transaction,
    open_unit,
    opened_connections,
)

__all__ = ["PooledThread", "RequestThread", "ThreadPool", "ThreadStream"]

T = TypeVar("T")

logger = logging.getLogger("hybrid_gateway")


class RequestThread(Protocol):
    """Where the blocking work of one request runs: at most one thread at a time."""

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        """Run ``function(*args)`` as a unit of work, in the context of the task that awaits its result."""
        ...

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Run ``function(*args)`` as a unit of work; for :class:`concurrent.futures.Executor` users."""
        ...

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        """Iterate a blocking iterable off the loop, on one thread from first to last; ``close()`` runs there too."""
        ...

    def beside(self) -> RequestThread:
        """Another thread, for work beside that of the request; the same one where a test has lent its own."""
        ...

    def release(self) -> None:
        """End of the request: whatever it left open on its thread is rolled back and closed."""


# --- the pool ------------------------------------------------------------------------------------------------------


_Job: TypeAlias = "tuple[PooledThread, Unit[Any]]"
_LOOK: Any = object()  # instead of a job: see what is waiting


class _Worker:
    """One thread of the pool, and what it is to do next: a job, ``_LOOK``, or ``None``, which ends it."""

    __slots__ = ("idle", "jobs", "opened")

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.opened: Connections = ()  # PERF: kept from one unit to the next; asking Django anew takes 2 µs
        self.idle = False


class ThreadPool:
    """At most ``size`` long-lived daemon threads that run units of work; started one by one, when first needed.

    Units of one request never overlap. Those of different requests are taken up in the order in which they came.
    """

    def __init__(self, size: int = 8, *, name: str = "gateway") -> None:
        self.size = size
        self.name = name
        self._closed = False
        self._batches: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._forget_threads()

    def __repr__(self) -> str:
        return f"<ThreadPool {self.name!r}: {len(self._workers)} of {self.size} threads>"

    def _forget_threads(self) -> None:
        self._lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []  # last in, first out: the warmest thread and its connections go first
        self._waiting: deque[_Job] = deque()
        self._waking = False  # whether a thread is on its way to look what is waiting
        self._pid = os.getpid()

    def submit(self, *jobs: _Job) -> None:
        """Do each unit for its request, on the thread that the request holds or on the first that is free."""
        if self._pid != os.getpid():  # a pre-fork server (gunicorn --preload) copies the pool, but not its threads
            self._forget_threads()
        with self._lock:
            for job in jobs:
                self._place(*job)
            self._wake()

    def submit_soon(self, request: PooledThread, unit: Unit[Any]) -> None:
        """The same at the end of this turn of the unit's event loop, with whatever else is asked for there."""
        self._refuse_if_closed()
        loop = unit.loop
        assert loop is not None
        batch = self._batches.get(loop)
        if batch is None:
            batch = self._batches[loop] = []
            loop.call_soon(self._submit_batch, loop)
        batch.append((request, unit))

    def _submit_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs = self._batches.pop(loop)
        try:
            self.submit(*jobs)
        except BaseException as error:  # closed meanwhile, or no thread can be started
            for _, unit in jobs:
                unit.deliver(None, error)
            if not isinstance(error, Exception):
                raise

    def _place(self, request: PooledThread, unit: Unit[Any]) -> None:
        if request.busy:
            if request.queue is None:
                request.queue = deque()
            request.queue.append(unit)
            return
        worker = request.worker
        if not request.holds:
            self._refuse_if_closed()
        request.busy = True
        if worker is not None and (request.holds or worker.idle):
            if worker.idle:
                worker.idle = False
                self._idle.remove(worker)
            worker.jobs.put((request, unit))
        else:
            self._waiting.append((request, unit))

    def _wake(self) -> None:
        """Send a thread to look what is waiting, unless one is on its way; it will wake the next."""
        if not self._waiting or self._waking:
            return
        if self._idle:
            worker = self._idle.pop()
            worker.idle = False
            worker.jobs.put(_LOOK)
        elif len(self._workers) < self.size:
            self._start().jobs.put(_LOOK)
        else:
            return
        self._waking = True

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def let_go(self, request: PooledThread) -> None:
        """From now on ``request`` holds no thread between two units of work."""
        with self._lock:
            request.released = True
            if request.holds:
                self.submit((request, SubmittedUnit(_nothing, ())))  # after which its thread is settled and free

    def _start(self) -> _Worker:
        worker = _Worker()
        name = f"{self.name}-{len(self._workers) + 1}"
        threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        self._workers.append(worker)
        return worker

    def _work(self, worker: _Worker) -> None:
        while (job := worker.jobs.get()) is not None:
            if job is _LOOK:
                job = self._look(worker)
            while job is not None:
                request, unit = job
                result, error = self._perform(worker, request, unit)
                job = self._next(worker, request)
                # Only now, so that the request finds this thread idle (or its own) when it comes back for more.
                unit.deliver(result, error)
                del request, unit, result, error
        connections.close_all()

    def _perform(self, worker: _Worker, request: PooledThread, unit: Unit[Any]) -> tuple[Any, BaseException | None]:
        request.worker = worker
        if not unit.is_wanted():
            return None, None
        try:
            if not request.holds:
                open_unit(worker.opened)
            result, error = unit.perform()
        except BaseException as failure:
            result, error = None, failure
        try:
            self._settle(worker, request, unit)
        except BaseException as failure:
            result, error = None, error or failure
        try:
            return result, error
        finally:
            del unit, error  # as in Unit.__await__

    def _settle(self, worker: _Worker, request: PooledThread, unit: Unit[Any]) -> None:
        """After a unit: either the request holds on to the thread, or the thread is made ready for any other."""
        worker.opened = opened_connections()
        unfinished = [connection for connection in worker.opened if in_transaction(connection)]
        with self._lock:
            request.holds = (bool(unfinished) or request.exclusive) and not request.released
            if request.holds:
                return
        for connection in unfinished:
            abandon_transaction(connection)
        unit.context.run(close_unit, worker.opened)
        if unfinished and unit.function is _nothing:
            logger.warning("A request ended inside a transaction, which was rolled back.")
        elif unfinished:
            raise RuntimeError(
                "Work that outlives its request left a transaction open, which was rolled back. Begin and end it in "
                "one synchronous function."
            )

    def _next(self, worker: _Worker, request: PooledThread) -> _Job | None:
        """The next job of ``worker``; without one it waits for the request that holds it, or turns idle."""
        with self._lock:
            following = (request, request.queue.popleft()) if request.queue else None
            request.busy = following is not None
            if request.holds:
                return following
            if following is not None:
                self._waiting.append(following)
            return self._take(worker)

    def _look(self, worker: _Worker) -> _Job | None:
        """The first job that is waiting, for a thread that was woken."""
        with self._lock:
            self._waking = False
            return self._take(worker)

    def _take(self, worker: _Worker) -> _Job | None:
        if self._waiting:
            job = self._waiting.popleft()
            self._wake()
            return job
        worker.idle = True
        self._idle.append(worker)
        if self._closed:
            self.close()
        return None

    def close(self) -> None:
        """Let every thread finish what it has to do, close its connections and end. New work is refused."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().jobs.put(None)


# --- the thread of a request ---------------------------------------------------------------------------------------


class PooledThread:
    """A request's thread, borrowed from a pool for one unit of work at a time.

    Between two units the thread serves others, and the same one is taken again when it is free, so a request that
    waits for the network holds nothing. A request that leaves a transaction open keeps its thread to itself, and so
    does an ``exclusive`` one, a stream: its cursor lives on one connection from the first row to the last.

    A task that outlives its request may go on using it, one unit at a time; only a transaction cannot stay open
    between two of them any more.
    """

    # The pool's, and changed under its lock. PERF: one is made per request, and most never use it: see Call.
    exclusive = False
    worker: _Worker | None = None
    queue: deque[Unit[Any]] | None = None
    busy = False
    holds = False
    released = False

    def __init__(self, pool: ThreadPool, streams: ThreadPool) -> None:
        self._pool = pool
        self._streams = streams

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        unit = Unit(function, args)
        self._pool.submit_soon(self, unit)
        return unit

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        unit = SubmittedUnit(function, args)
        self._pool.submit((self, unit))
        future: Future[T] = unit.future
        return future

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        thread = PooledThread(self._streams, self._streams)
        thread.exclusive = True
        return ThreadStream(thread, chunks, close)

    def beside(self) -> PooledThread:
        return PooledThread(self._pool, self._streams)

    def release(self) -> None:
        if self.worker is None and not self.busy:  # PERF: most requests never use a thread
            self.released = True
        else:
            self._pool.let_go(self)


def _nothing() -> None:
    """A unit of work that does nothing."""


# --- streams -------------------------------------------------------------------------------------------------------

_END: Any = object()


class ThreadStream(AsyncIterator[T]):
    """The items of a blocking iterable, each fetched on ``thread``, all in one copy of the maker's context.

    At the end, and when it is closed before it, however little of it was used, the iterator is closed and ``close()``
    called on that thread, which is then released.
    """

    def __init__(self, thread: RequestThread, chunks: Iterable[T], close: Callable[[], object] | None = None) -> None:
        self._thread = thread
        self._chunks = chunks
        self._close = close
        self._context = contextvars.copy_context()
        self._iterator: Iterator[T] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def __anext__(self) -> T:
        if self._closed:
            raise StopAsyncIteration
        self._loop = asyncio.get_running_loop()
        try:
            # Shielded: an iterator that runs can neither be stopped nor closed, so the clean-up comes after it.
            chunk: T = await asyncio.shield(self._run(self._fetch))
        except BaseException:
            await self.aclose()
            raise
        if chunk is _END:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Close the iterator, after the item that is being fetched, if any."""
        if not self._closed:
            self._closed = True
            # In a task of its own: whoever stops the stream may be cancelled, the clean-up is not.
            await asyncio.shield(self._finish())

    async def _finish(self) -> None:
        try:
            await self._run(self._clean_up)
        finally:
            self._thread.release()

    def _run(self, function: Callable[[], Any]) -> Awaitable[Any]:
        return self._thread.run(self._context.run, arrive, self._context, function, ())

    def __del__(self) -> None:
        if self._loop is not None and not self._closed:  # dropped half-way
            with suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self.aclose()))

    def _fetch(self) -> T:
        if self._iterator is None:
            self._iterator = iter(self._chunks)
        return next(self._iterator, _END)

    def _clean_up(self) -> None:
        chunks: Any = self._chunks if self._iterator is None else self._iterator
        try:
            if hasattr(chunks, "close"):
                chunks.close()
        finally:
            if self._close is not None:
                self._close()
