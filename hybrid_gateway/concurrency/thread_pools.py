"""The threads of a gateway, which only requests share that passed the same middleware.

How this works: middleware may leave something on a thread or on its connections (``SET search_path``, ``SET ROLE``, a
``threading.local``) and count on the next request to pass it, too. So Django's side has threads of its own, which typed
routes share that pass all of its middleware, and typed routes have theirs. Routes that pass some of it, by
``django_middleware=``, share with those that pass the same. Django's own middleware leaves nothing, and does not count.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db import connections

from hybrid_gateway._compat.django_connection_internals import reset_new_connection
from hybrid_gateway.concurrency.thread_pool import MAX_LONG_HOLDS, Borrower, ThreadPool, Worker
from hybrid_gateway.concurrency.thread_stream import ThreadStream
from hybrid_gateway.concurrency.unit_of_work import AwaitableWorkItem, FutureWorkItem, WorkItem

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

    def run(self, function: Callable[..., T], /, *args: object) -> AwaitableWorkItem[T]:
        unit = AwaitableWorkItem(function, args)
        self._pool.submit_soon(self, unit)
        return unit

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        unit = FutureWorkItem(function, args)
        if unit.loop is None:
            self._pool.submit((self, unit))
        else:  # asgiref, for a task
            self._pool.submit_soon(self, unit)
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


class ThreadPools:
    """Pools that have at most ``size`` threads together, started one by one when first needed."""

    def __init__(self, make: Callable[..., ThreadPool], size: int) -> None:
        self._make = make
        self._size = size
        self.typed = make(size, name="gateway")
        self.django = self._make_sharing("gateway-django")
        self.streams = make(MAX_LONG_HOLDS, name="gateway-stream")
        self._others: dict[frozenset[str], ThreadPool] = {}

    def _make_sharing(self, name: str) -> ThreadPool:
        pool = self._make(self._size, name=name)
        pool.share(self.typed)
        return pool

    def below(self, names: Iterable[str]) -> ThreadPool:
        """Return the pool of requests that pass the middleware ``names``."""
        passed = frozenset(filter(may_leave_state, names))
        if not passed:
            return self.typed
        if passed.issuperset(name for name in settings.MIDDLEWARE if may_leave_state(name)):
            return self.django
        if passed not in self._others:
            self._others[passed] = self._make_sharing(f"gateway-some-{len(self._others) + 1}")
        return self._others[passed]

    def lend(self) -> PooledThread:
        """Return a thread for a request of a typed route."""
        return PooledThread(self.typed, self.streams)

    def lend_django(self) -> PooledThread:
        """Return a thread for a request of Django's side."""
        return PooledThread(self.django, self.streams)

    def lend_beside(self) -> PooledThread:
        """Return a thread for work that waits for no request, however many of them there are."""
        return PooledThread(self.streams, self.streams)

    def lend_held(self, pool: ThreadPool) -> PooledThread:
        """Return a thread for a request below middleware: its own from its first unit of work to its last."""
        thread = PooledThread(pool, self.streams)
        thread.hold()
        return thread

    def close(self) -> None:
        """Let every thread finish what it has to do, and end."""
        self.typed.close()
        self.streams.close()


def may_leave_state(name: str) -> bool:
    """Return whether middleware may leave something on its thread: all but Django's own, and what is known not to."""
    harmless = ("django.", "hybrid_gateway.", "whitenoise.", "servestatic.", "corsheaders.", "django_browser_reload.")
    return not name.startswith(harmless)


def reset_pooled_connections() -> None:
    """Have what middleware leaves on a connection undone when it goes back to its pool, unless the project does so.

    The pool does it between two requests, on its own thread; not at all without middleware that may leave something.
    """
    if not any(map(may_leave_state, settings.MIDDLEWARE)):
        return
    for alias, database in connections.settings.items():
        given = database["OPTIONS"].get("pool")
        if given and connections[alias].vendor == "postgresql" and (given is True or "reset" not in given):
            own: dict[str, Any] = {} if given is True else given
            database["OPTIONS"] = {**database["OPTIONS"], "pool": {**own, "reset": partial(_reset, alias)}}
            connections[alias].close_pool()  # type: ignore[attr-defined]  # one that was made before


def _reset(alias: str, connection: Any) -> None:
    # SPEC: PostgreSQL, DISCARD ALL: its parts that undo settings and roles; prepared statements are the driver's.
    connection.execute("SET SESSION AUTHORIZATION DEFAULT; RESET ALL")
    reset_new_connection(alias, connection)
    if not connection.autocommit:
        connection.commit()


class PoolMetrics(Protocol):
    """Receiver of a pool's measurements; called by its threads."""

    def begin(self, pool: str, waited: float) -> None:
        """Note that a unit of work begins, ``waited`` seconds after it was asked for."""

    def end(self, pool: str, opened: Counter[str]) -> None:
        """Note that it is done. ``opened`` counts the connections that threads of the pool have open now, by alias."""


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
