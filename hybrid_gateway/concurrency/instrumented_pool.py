"""A pool of threads that measures how long work waits for a thread, how many are busy, and the open connections."""

from __future__ import annotations

import time
from collections import Counter
from typing import Protocol

from hybrid_gateway.concurrency.thread_pool import Borrower, ThreadPool, Worker
from hybrid_gateway.concurrency.unit_of_work import WorkItem

__all__ = ["InstrumentedPool", "PoolMetrics"]


class PoolMetrics(Protocol):
    """Receiver of a pool's measurements; called by its threads."""

    def begin(self, pool: str, waited: float) -> None:
        """Note that a unit of work begins, ``waited`` seconds after it was asked for."""
        ...

    def end(self, pool: str, opened: Counter[str]) -> None:
        """Note that it is done. ``opened`` counts the connections that threads of the pool have open now, by alias."""
        ...


class InstrumentedPool(ThreadPool):
    """A :class:`ThreadPool` that costs a few µs more per unit of work."""

    def __init__(self, size: int = 8, *, name: str = "gateway", meters: PoolMetrics) -> None:
        self._meters = meters
        self._asked: dict[int, float] = {}
        super().__init__(size, name=name)

    def _reset(self) -> None:
        self._asked.clear()
        super()._reset()

    def _place(self, request: Borrower, unit: WorkItem[object]) -> None:
        self._asked[id(unit)] = time.perf_counter()
        try:
            super()._place(request, unit)
        except BaseException:  # the pool is closed
            del self._asked[id(unit)]
            raise

    def _perform(
        self, worker: Worker, request: Borrower, unit: WorkItem[object]
    ) -> tuple[object, BaseException | None]:
        now = time.perf_counter()
        self._meters.begin(self.name, now - self._asked.pop(id(unit), now))
        try:
            return super()._perform(worker, request, unit)
        finally:
            used = [connection for worker in list(self._workers) for connection in worker.opened]
            opened = Counter(connection.alias for connection in used if connection.connection is not None)
            self._meters.end(self.name, opened)
