"""Pools of threads: at most so many, long-lived, each for one kind of request as long as it lives.

How this works: a :class:`ThreadPool` owns ``size`` long-lived threads. Whatever runs on one of them is a unit of work
(``unit_of_work.py``), so connections are opened once per thread, health-checked, and closed when ``CONN_MAX_AGE`` says
so, never inside ``atomic``. A job is a unit together with the request that asks for it, a :class:`Borrower`.

Waking a thread is what a unit costs most: the thread then fights the event loop for the GIL. So what one turn of the
loop asks for is queued at its end, and one thread is woken; that one wakes the next if there is more to do, and so on.
Short units are done by few threads one after the other, and a unit that waits holds up none that another could do.

Pools that share a :class:`_Budget` have no more threads together than it allows. Where one of them has work and none
may be started, a thread of another that has nothing to do, or less to do than it, ends: it closes its connections, and
one of the pool in need is started in its place. So nothing that was left on a thread, or on a connection, is ever seen
by the other pool, and connections never outnumber threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from enum import Enum
from queue import SimpleQueue
from typing import Final, Literal, TypeAlias

from django.db import connections

from hybrid_gateway._compat.django_connection_internals import (
    Connections,
    abandon_transaction,
    connections_in,
    in_transaction,
    own_connections,
)
from hybrid_gateway.concurrency.unit_of_work import FutureWorkItem, WorkItem, close_unit, open_unit

logger = logging.getLogger("hybrid_gateway")

MAX_LONG_HOLDS = 64  # threads beyond the size of a pool that streams hold


class Borrower:
    """A request as its pool sees it: the thread it used last or holds, and its units that wait for one another.

    The pool changes all of it, under its lock; but ``exclusive`` is the request's wish to hold its thread from the next
    unit on. PERF: class attributes, since one is made per request, and most never use a thread.
    """

    exclusive = False
    worker: Worker | None = None
    queue: deque[WorkItem[object]] | None = None
    busy = False
    holds = False
    holds_long = False
    released = False


Job: TypeAlias = tuple[Borrower, WorkItem[object]]


class _Signal(Enum):
    CHECK_QUEUE = 0  # instead of a job: take the first that is waiting


_CHECK_QUEUE: Final[Literal[_Signal.CHECK_QUEUE]] = _Signal.CHECK_QUEUE


class Worker:
    """One thread of a pool, and its inbox: a job, ``_CHECK_QUEUE``, or ``None``, which ends it."""

    __slots__ = ("idle", "inbox", "opened", "own", "successor")

    def __init__(self) -> None:
        self.successor: ThreadPool | None = None  # the pool that may start a thread when this one has ended
        self.inbox: SimpleQueue[Job | _Signal | None] = SimpleQueue()
        self.own: Mapping[str, object] = {}  # where Django keeps the connections of this thread
        self.opened: Connections = ()  # those of them that there were after the last unit
        self.idle = False


class _Budget:
    """The number of threads that the pools which share it may have."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pools: list[ThreadPool] = []
        self.reset()

    def reset(self) -> None:
        """Begin without threads: at first, and in a process that was forked."""
        self.lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self.alive = 0
        self.ending = 0  # of those, how many are about to
        self.long_holds = 0
        self.pid = os.getpid()
        self.count()

    def count(self, alive: int = 0, ending: int = 0, long_holds: int = 0) -> None:
        """Add to the numbers of threads, or subtract from them."""
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
        self._batches: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        self._join(_Budget(size))

    def share(self, other: ThreadPool) -> None:
        """Have no more threads together with ``other`` than that may have alone. For a pool that nobody uses yet."""
        self._join(other._budget)

    def _join(self, budget: _Budget) -> None:
        self._budget = budget
        budget.pools.append(self)
        self._reset()

    def __repr__(self) -> str:
        return f"<ThreadPool {self.name!r}: {len(self._workers)} of {self.size} threads>"

    def _reset(self) -> None:
        self._lock = self._budget.lock
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []  # last in, first out: the warmest thread and its connections go first
        self._waiting: deque[Job] = deque()
        self._waking = False  # whether a thread is on its way to check what is waiting

    # --- called by requests, on any thread

    def submit(self, *jobs: Job) -> None:
        """Do each unit for its request, on the thread that the request holds or on the first that is free."""
        if self._budget.pid != os.getpid():  # a pre-fork server (gunicorn --preload) copies pools, but no threads
            self._budget.reset()
            for pool in self._budget.pools:
                pool._reset()
        with self._lock:
            for job in jobs:
                self._place(*job)
            self._wake()

    def submit_soon(self, request: Borrower, unit: WorkItem[object]) -> None:
        """Submit a unit at the end of this turn of its event loop, with whatever else is asked for until then."""
        self._raise_if_closed()
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

    def _place(self, request: Borrower, unit: WorkItem[object]) -> None:
        """Queue a unit: behind the request's own, with the thread that it holds or used last, or for any thread."""
        if request.busy:
            if request.queue is None:
                request.queue = deque()
            request.queue.append(unit)
            return
        worker = request.worker
        if not request.holds:
            self._raise_if_closed()
        request.busy = True
        if worker is not None and (request.holds or worker.idle):
            if worker.idle:
                worker.idle = False
                self._idle.remove(worker)
            worker.inbox.put((request, unit))
        else:
            self._waiting.append((request, unit))

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def release(self, request: Borrower) -> None:
        """End ``request``: from now on it holds no thread between two units of work."""
        with self._lock:
            request.released = True
            if request.holds:
                self.submit((request, FutureWorkItem(_do_nothing, ())))  # after which its thread is free

    def hold_long(self, request: Borrower) -> None:
        """Let another thread be started for the one that ``request`` holds and will not give back for a while."""
        with self._lock:
            if request.holds and not request.holds_long and self._budget.long_holds < MAX_LONG_HOLDS:
                request.holds_long = True
                self._budget.count(long_holds=1)
                for pool in self._budget.pools:
                    pool._wake()

    def close(self) -> None:
        """Let every thread finish what it has to do, close its connections and end. New work raises.

        Pools that share the budget are closed as well.
        """
        with self._lock:
            for pool in self._budget.pools:
                pool._closed = True
                while pool._idle:
                    pool._end(pool._idle.pop())

    # --- how many threads there are; all with the lock

    def _wake(self) -> None:
        """Send a thread to check what is waiting, unless one is on its way; it will wake the next."""
        if not self._waiting or self._waking:
            return
        if self._idle:
            worker = self._idle.pop()
            worker.idle = False
        elif not self._budget.is_spent:
            worker = self._start()
        else:
            for pool in self._budget.pools:
                if pool._idle and pool is not self:  # one thread less there, the one that has been idle the longest
                    pool._end(pool._idle.pop(0), successor=self)
                    break
            return
        worker.inbox.put(_CHECK_QUEUE)
        self._waking = True

    def _start(self) -> Worker:
        worker = Worker()
        name = f"{self.name}-{len(self._workers) + 1}"
        threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        self._workers.append(worker)
        self._budget.count(alive=1)
        return worker

    def _end(self, worker: Worker, successor: ThreadPool | None = None) -> None:
        """End ``worker``, which has nothing to do; ``successor`` may start a thread when it has ended."""
        worker.idle = False
        self._workers.remove(worker)
        self._budget.count(ending=1)
        worker.successor = successor
        worker.inbox.put(None)
        if successor is not None:
            successor._waking = True

    def _find_needier_pool(self) -> ThreadPool | None:
        """Return a pool that needs a thread more than this one: twice as much for each thread, where this has work."""
        own = len(self._waiting)
        for pool in self._budget.pools:
            if pool._waiting and not pool._waking and pool is not self:
                more = len(pool._waiting) * len(self._workers) > 2 * own * len(pool._workers)
                if own == 0 or not pool._workers or more:
                    return pool
        return None

    # --- called by the threads

    def _work(self, worker: Worker) -> None:
        """Perform jobs until there is none and never will be: the life of a thread."""
        worker.own = own_connections()
        while (job := worker.inbox.get()) is not None:
            if job is _CHECK_QUEUE:
                with self._lock:  # a thread that was woken does one job before it gives way to another pool
                    self._waking = False
                    job = self._take() if self._waiting else self._take_or_idle(worker)
            while job is not None:
                request, unit = job
                result, error = self._perform(worker, request, unit)
                job = self._next_job(worker, request)
                # Only now, so that the request finds this thread idle (or its own) when it comes back for more.
                unit.deliver(result, error)
                del request, unit, result, error
        try:
            connections.close_all()
        finally:
            self._has_ended(worker)

    def _has_ended(self, worker: Worker) -> None:
        with self._lock:
            self._budget.count(alive=-1, ending=-1)
            if worker.successor is not None:
                worker.successor._waking = False
            for pool in self._budget.pools:
                pool._wake()

    def _perform(
        self, worker: Worker, request: Borrower, unit: WorkItem[object]
    ) -> tuple[object, BaseException | None]:
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
            self._finish_unit(worker, request, unit)
        except BaseException as failure:
            result, error = None, error or failure
        try:
            return result, error
        finally:
            del unit, error  # as in WorkItem.perform

    def _finish_unit(self, worker: Worker, request: Borrower, unit: WorkItem[object]) -> None:
        """Let the request hold on to the thread after a unit, or make the thread ready for any other."""
        worker.opened = connections_in(worker.own)
        unfinished = [connection for connection in worker.opened if in_transaction(connection)]
        if unfinished or request.exclusive or request.holds:  # PERF: else nothing is held, and nothing was
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
        if unfinished and unit.function is _do_nothing:
            logger.warning("A request ended inside a transaction, which was rolled back.")
        elif unfinished:
            raise RuntimeError(
                "Work that outlives its request left a transaction open, which was rolled back. Begin and end it in "
                "one synchronous function."
            )

    def _next_job(self, worker: Worker, request: Borrower) -> Job | None:
        """Return the next job of ``worker``; without one it waits for the request that holds it, or turns idle."""
        with self._lock:
            following = (request, request.queue.popleft()) if request.queue else None
            request.busy = following is not None
            if request.holds:
                return following
            if following is not None:
                self._waiting.append(following)
            return self._take_or_idle(worker)

    def _take_or_idle(self, worker: Worker) -> Job | None:
        if self._budget.is_tight:
            needier = self._find_needier_pool()
            if needier is not None or self._budget.is_exceeded:
                self._end(worker, needier)
                self._wake()
                return None
        if self._waiting:
            return self._take()
        worker.idle = True
        self._idle.append(worker)
        if self._closed:
            self.close()
        return None

    def _take(self) -> Job:
        job = self._waiting.popleft()
        self._wake()
        return job


def _do_nothing() -> None:
    """Be a unit of work: what comes after each is done."""
