"""Pools of threads: at most so many, long-lived, each for one kind of request as long as it lives.

How this works: see ``threads.py``. Pools that share a :class:`_Budget` have no more threads together than it allows.
Where one of them has work and none may be started, a thread of another that has nothing to do, or less to do than it,
ends: it closes its connections, and one of the pool in need is started in its place. So nothing that was left on a
thread, or on a connection, is ever seen by the other pool, and connections never outnumber threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import connections

from hybrid_gateway._compat.django_connection_internals import (
    abandon_transaction,
    in_transaction,
    opened_connections,
)
from hybrid_gateway.concurrency.unit_of_work import Connections, FutureWorkItem, WorkItem, close_unit, open_unit

if TYPE_CHECKING:
    from hybrid_gateway.concurrency.threads import PooledThread

__all__ = ["MAX_LONG_HOLDS", "ThreadPool", "Worker"]

logger = logging.getLogger("hybrid_gateway")

MAX_LONG_HOLDS = 64  # threads beyond the size of a pool that streams hold

_Job: TypeAlias = "tuple[PooledThread, WorkItem[Any]]"
_LOOK: Any = object()  # instead of a job: see what is waiting


class Worker:
    """One thread of the pool, and what it is to do next: a job, ``_LOOK``, or ``None``, which ends it."""

    __slots__ = ("heir", "idle", "jobs", "opened")

    def __init__(self) -> None:
        self.heir: ThreadPool | None = None  # the pool that may have a thread more when this one has ended
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.opened: Connections = ()  # PERF: kept from one unit to the next; asking Django anew takes 2 µs
        self.idle = False


class _Budget:
    """How many threads the pools that share it may have."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pools: list[ThreadPool] = []
        self.forget_threads()

    def forget_threads(self) -> None:
        self.lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self.alive = 0
        self.ending = 0  # of those, how many are about to
        self.long_holds = 0
        self.pid = os.getpid()
        self.count()

    def count(self, alive: int = 0, ending: int = 0, long_holds: int = 0) -> None:
        """There are so many more, or fewer."""
        self.alive += alive
        self.ending += ending
        self.long_holds += long_holds
        most = self.size + self.long_holds
        self.is_spent = self.alive >= most
        self.is_tight = self.alive - self.ending >= most  # PERF: one look per unit of work
        self.is_exceeded = self.alive - self.ending > most


class ThreadPool:
    """At most ``size`` long-lived daemon threads that run units of work; started one by one, when first needed.

    Units of one request never overlap. Those of different requests are taken up in the order in which they came.
    A thread that is held for as long as a client takes does not count, up to ``MAX_LONG_HOLDS`` of them.
    """

    def __init__(self, size: int = 8, *, name: str = "gateway") -> None:
        self.size = size
        self.name = name
        self._closed = False
        self._batches: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._join(_Budget(size))

    def share(self, other: ThreadPool) -> None:
        """Have no more threads together with ``other`` than that may have alone. For a pool that nobody uses yet."""
        self._join(other._budget)

    def _join(self, budget: _Budget) -> None:
        self._budget = budget
        budget.pools.append(self)
        self._forget_threads()

    def __repr__(self) -> str:
        return f"<ThreadPool {self.name!r}: {len(self._workers)} of {self.size} threads>"

    def _forget_threads(self) -> None:
        self._lock = self._budget.lock
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []  # last in, first out: the warmest thread and its connections go first
        self._waiting: deque[_Job] = deque()
        self._waking = False  # whether a thread is on its way to look what is waiting

    def submit(self, *jobs: _Job) -> None:
        """Do each unit for its request, on the thread that the request holds or on the first that is free."""
        if self._budget.pid != os.getpid():  # a pre-fork server (gunicorn --preload) copies pools, but no threads
            self._budget.forget_threads()
            for pool in self._budget.pools:
                pool._forget_threads()
        with self._lock:
            for job in jobs:
                self._place(*job)
            self._wake()

    def submit_soon(self, request: PooledThread, unit: WorkItem[Any]) -> None:
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

    def _place(self, request: PooledThread, unit: WorkItem[Any]) -> None:
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
        elif not self._budget.is_spent:
            self._start().jobs.put(_LOOK)
        else:
            self._take_over()
            return
        self._waking = True

    def _take_over(self) -> None:
        """Let another pool end the thread that has been idle the longest, if one has any, for one of this pool."""
        for pool in self._budget.pools:
            if pool._idle and pool is not self:
                pool._end(pool._idle.pop(0), self)
                return

    def _end(self, worker: Worker, heir: ThreadPool | None = None) -> None:
        """Let ``worker`` end, which has nothing to do, and ``heir`` look for another when it has."""
        worker.idle = False
        self._workers.remove(worker)
        self._budget.count(ending=1)
        worker.heir = heir
        worker.jobs.put(None)
        if heir is not None:
            heir._waking = True

    def _has_ended(self, worker: Worker) -> None:
        with self._lock:
            self._budget.count(alive=-1, ending=-1)
            if worker.heir is not None:
                worker.heir._waking = False
            for pool in self._budget.pools:
                pool._wake()

    def _find_heir(self) -> ThreadPool | None:
        """A pool that needs a thread more than this one, where that has work, too: twice as much for each thread."""
        own = len(self._waiting)
        for pool in self._budget.pools:
            if pool._waiting and not pool._waking and pool is not self:
                more = len(pool._waiting) * len(self._workers) > 2 * own * len(pool._workers)
                if own == 0 or not pool._workers or more:
                    return pool
        return None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def let_go(self, request: PooledThread) -> None:
        """From now on ``request`` holds no thread between two units of work."""
        with self._lock:
            request.released = True
            if request.holds:
                self.submit((request, FutureWorkItem(_nothing, ())))  # after which its thread is settled and free

    def hold_long(self, request: PooledThread) -> None:
        """Let another thread be started for the one that ``request`` holds and will not give back for a while."""
        with self._lock:
            if request.holds and not request.holds_long and self._budget.long_holds < MAX_LONG_HOLDS:
                request.holds_long = True
                self._budget.count(long_holds=1)
                for pool in self._budget.pools:
                    pool._wake()

    def _start(self) -> Worker:
        worker = Worker()
        name = f"{self.name}-{len(self._workers) + 1}"
        threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        self._workers.append(worker)
        self._budget.count(alive=1)
        return worker

    def _work(self, worker: Worker) -> None:
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
        try:
            connections.close_all()
        finally:
            self._has_ended(worker)

    def _perform(self, worker: Worker, request: PooledThread, unit: WorkItem[Any]) -> tuple[Any, BaseException | None]:
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

    def _settle(self, worker: Worker, request: PooledThread, unit: WorkItem[Any]) -> None:
        """After a unit: either the request holds on to the thread, or the thread is made ready for any other."""
        worker.opened = opened_connections()
        unfinished = [connection for connection in worker.opened if in_transaction(connection)]
        with self._lock:
            request.holds = (bool(unfinished) or request.exclusive) and not request.released
            if request.holds:
                return
            if request.holds_long:
                request.holds_long = False
                self._budget.count(long_holds=-1)
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

    def _next(self, worker: Worker, request: PooledThread) -> _Job | None:
        """The next job of ``worker``; without one it waits for the request that holds it, or turns idle."""
        with self._lock:
            following = (request, request.queue.popleft()) if request.queue else None
            request.busy = following is not None
            if request.holds:
                return following
            if following is not None:
                self._waiting.append(following)
            return self._take(worker)

    def _look(self, worker: Worker) -> _Job | None:
        """The first job that is waiting, for a thread that was woken; it does one before it gives way to anybody."""
        with self._lock:
            self._waking = False
            return self._pop() if self._waiting else self._take(worker)

    def _take(self, worker: Worker) -> _Job | None:
        if self._budget.is_tight:
            heir = self._find_heir()
            if heir is not None or self._budget.is_exceeded:
                self._end(worker, heir)
                self._wake()
                return None
        if self._waiting:
            return self._pop()
        worker.idle = True
        self._idle.append(worker)
        if self._closed:
            self.close()
        return None

    def _pop(self) -> _Job:
        job = self._waiting.popleft()
        self._wake()
        return job

    def close(self) -> None:
        """Let every thread finish what it has to do, close its connections and end. New work is refused.

        Pools that share the budget are closed as well.
        """
        with self._lock:
            for pool in self._budget.pools:
                pool._closed = True
                while pool._idle:
                    pool._end(pool._idle.pop())


def _nothing() -> None:
    """A unit of work that does nothing."""
