"""The interface of the one thread that a request may use for blocking work.

Whatever runs on such a thread runs as a *unit of work* (``unit_of_work.py``): Django's rules for connections are
applied in that very thread before and after it. Where a request comes from decides which class it gets:

* ``PooledThread`` (``thread_pools.py``): a server's event loop; work goes to a pool (``thread_pool.py``), to the same
  thread as before when it is free.
* ``CallingThread``: a synchronous caller (a WSGI worker, a test) waits and lends its own thread.
* ``WaitingThread``: a WSGI worker waits, but work goes to a pool.
* ``AsgirefThread``: an ``async def`` test; work goes wherever asgiref's thread-sensitive work goes.
* ``InlineThread``: there is no event loop at all; work simply runs. These four are in ``caller_threads.py``.
* ``ReentrantThread`` (``asgiref_bridge.py``): sync code on the thread waits for a coroutine that needs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class AsyncStream(Protocol[T_co]):
    """An asynchronous iterator that can be closed before its end."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    def __anext__(self) -> Awaitable[T_co]: ...

    def aclose(self) -> Awaitable[object]: ...


class RequestThread(Protocol):
    """The thread that the blocking work of one request runs on: at most one at a time."""

    def run(self, function: Callable[..., T], /, *args: object) -> Awaitable[T]:
        """Run ``function(*args)`` as a unit of work, in the context of the task that awaits its result."""
        ...

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        """Run ``function(*args)`` as a unit of work; for users of :class:`concurrent.futures.Executor`."""
        ...

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncStream[T]:
        """Iterate a blocking iterable off the loop, on one thread from first to last; ``close()`` runs there too."""
        ...

    def beside(self) -> RequestThread:
        """Return another thread, for work beside that of the request; the same one where a test has lent its own."""
        ...

    def hold(self) -> None:
        """Let nobody else's work run on the thread, from the next unit to :meth:`free` or the end of the request.

        For what is kept on a thread or its connections between two units: ``SET``, a tenant, a ``threading.local``.
        """
        ...

    def free(self) -> None:
        """Undo :meth:`hold`, after the unit that is running."""
        ...

    def hold_long(self) -> None:
        """Tell that whoever holds the thread now waits for the client, as a stream does: a pool may replace it."""
        ...

    def release(self) -> None:
        """End the request: what it left open on its thread is rolled back and closed."""
        ...
