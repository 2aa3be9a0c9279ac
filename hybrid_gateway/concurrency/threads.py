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
* ``AsgirefThread``: an ``async def`` test; work goes wherever asgiref's thread-sensitive work goes.
* ``InlineThread``: there is no event loop at all; work simply runs. These three are in ``callers.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from hybrid_gateway.concurrency.thread_pool import ThreadPool, Worker
from hybrid_gateway.concurrency.thread_streams import ThreadStream
from hybrid_gateway.concurrency.unit_of_work import FutureWorkItem, WorkItem

__all__ = ["PooledThread", "RequestThread", "ThreadPool"]

T = TypeVar("T")


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

    def hold(self) -> None:
        """From the next unit to :meth:`free` or the end of the request no other's work runs on the thread.

        For what is kept on a thread or its connections between two units: ``SET``, a tenant, a ``threading.local``.
        """
        ...

    def free(self) -> None:
        """Undo :meth:`hold`, after the unit that is running."""
        ...

    def hold_long(self) -> None:
        """Whoever holds the thread now waits for the client: a stream. A pool may replace the thread meanwhile."""
        ...

    def release(self) -> None:
        """End of the request: whatever it left open on its thread is rolled back and closed."""


# --- the thread of a request ---------------------------------------------------------------------------------------


class PooledThread:
    """A request's thread, borrowed from a pool for one unit of work at a time.

    Between two units the thread serves others, and the same one is taken again when it is free, so a request that
    waits for the network holds nothing. A request that leaves a transaction open keeps its thread to itself, and so
    does an ``exclusive`` one: a stream, whose cursor lives on one connection from the first row to the last, and
    whatever leaves something on the thread for the units to come.

    A task that outlives its request may go on using it, one unit at a time; only a transaction cannot stay open
    between two of them any more.
    """

    # The pool's, and changed under its lock. PERF: one is made per request, and most never use it: see Call.
    exclusive = False
    worker: Worker | None = None
    queue: deque[WorkItem[Any]] | None = None
    busy = False
    holds = False
    holds_long = False
    released = False

    def __init__(self, pool: ThreadPool, streams: ThreadPool) -> None:
        self._pool = pool
        self._streams = streams

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        unit = WorkItem(function, args)
        self._pool.submit_soon(self, unit)
        return unit

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        unit = FutureWorkItem(function, args)
        self._pool.submit((self, unit))
        future: Future[T] = unit.future
        return future

    def wait(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run ``function(*args)`` as a unit of work in the caller's context, while the caller waits."""
        unit = FutureWorkItem(function, args)
        self._pool.submit((self, unit))
        return unit.wait()

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        if self.exclusive:
            self.hold_long()
            return ThreadStream(self, chunks, close, is_own=False)
        thread = PooledThread(self._streams, self._streams)
        thread.exclusive = True
        return ThreadStream(thread, chunks, close)

    def beside(self) -> PooledThread:
        # Whoever holds a thread waits for none of the same pool: all of them may be held by such.
        return PooledThread(self._streams if self.exclusive or self.holds else self._pool, self._streams)

    def hold(self) -> None:
        self.exclusive = True

    def free(self) -> None:
        self.exclusive = False

    def hold_long(self) -> None:
        self._pool.hold_long(self)

    def release(self) -> None:
        if self.worker is None and not self.busy:  # PERF: most requests never use a thread
            self.released = True
        else:
            self._pool.let_go(self)
