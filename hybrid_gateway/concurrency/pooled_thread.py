"""The thread of a request that a server's event loop answers: one of a pool, for one unit of work at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from hybrid_gateway.concurrency.thread_pool import Borrower, ThreadPool
from hybrid_gateway.concurrency.thread_stream import ThreadStream
from hybrid_gateway.concurrency.unit_of_work import AwaitableWorkItem, FutureWorkItem

__all__ = ["PooledThread"]

T = TypeVar("T")


class PooledThread(Borrower):
    """A request's thread, borrowed from a pool for one unit of work at a time.

    Between two units the thread serves others, and the same one is taken again when it is free, so a request that
    waits for the network holds nothing. A request that leaves a transaction open keeps its thread to itself, and so
    does an ``exclusive`` one: a stream, whose cursor lives on one connection from the first row to the last, and
    whatever leaves something on the thread for the units to come.

    A task that outlives its request may go on using it, one unit at a time; only a transaction cannot stay open
    between two of them any more.
    """

    def __init__(self, pool: ThreadPool, streams: ThreadPool) -> None:
        self._pool = pool
        self._streams = streams

    def run(self, function: Callable[..., T], /, *args: object) -> Awaitable[T]:
        unit = AwaitableWorkItem(function, args)
        self._pool.submit_soon(self, unit)
        return unit

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        unit = FutureWorkItem(function, args)
        self._pool.submit((self, unit))
        return unit.future

    def wait(self, function: Callable[..., T], /, *args: object) -> T:
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
            self._pool.release(self)
