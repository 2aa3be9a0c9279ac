"""The way to a back end: right here for the one in memory, on the event loop of the channels for all others.

How this works: the coroutines of :class:`MemoryBackend` never wait, so whoever calls runs them, one at a time. Those of
other back ends run on one loop, on a daemon thread of the process, and callers wait for them: threads by blocking,
coroutines on loops of their own. Nothing of a caller's context, above all no request, reaches that loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import Protocol, TypeVar

from hybrid_gateway.concurrency.caller_threads import LoopThread

T = TypeVar("T")


class BackendLink(Protocol):
    """A place where coroutines of a back end run."""

    def call(self, coroutine: Coroutine[object, None, T], /) -> T:
        """Run a coroutine and wait for it; not on an event loop."""
        ...

    async def acall(self, coroutine: Coroutine[object, None, T], /) -> T:
        """Run a coroutine and wait for it."""
        ...

    def start(self, coroutine: Coroutine[object, None, T], /) -> Future[T]:
        """Run a coroutine for which nobody waits."""
        ...

    def close(self) -> None:
        """End what still runs."""
        ...


class DirectLink:
    """Coroutines that never wait run where they are called; ``after()`` is called once one has run."""

    def __init__(self, after: Callable[[], None]) -> None:
        self._lock = threading.RLock()
        self._after = after
        self._depth = 0  # changed by whoever has the lock

    def call(self, coroutine: Coroutine[object, None, T], /) -> T:
        with self._lock:
            self._depth += 1
            try:
                coroutine.send(None)
            except StopIteration as stop:
                result: T = stop.value
            else:
                coroutine.close()
                raise RuntimeError("A coroutine of the back end in memory waits, which none may.")
            finally:
                self._depth -= 1
                is_outermost = not self._depth
        if is_outermost:
            self._after()
        return result

    async def acall(self, coroutine: Coroutine[object, None, T], /) -> T:
        return self.call(coroutine)

    def start(self, coroutine: Coroutine[object, None, T], /) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(self.call(coroutine))
        return future

    def close(self) -> None:
        return None


class ThreadLink:
    """Coroutines run on a loop of their own, which is started with the first one."""

    def __init__(self) -> None:
        self._thread = LoopThread(name="gateway-channels")

    def call(self, coroutine: Coroutine[object, None, T], /) -> T:
        return self.start(coroutine).result()

    async def acall(self, coroutine: Coroutine[object, None, T], /) -> T:
        return await asyncio.wrap_future(self.start(coroutine))

    def start(self, coroutine: Coroutine[object, None, T], /) -> Future[T]:
        return Context().run(self._thread.start, coroutine)

    def close(self) -> None:
        self._thread.close()
