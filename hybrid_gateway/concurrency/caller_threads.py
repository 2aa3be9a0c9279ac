"""Threads of requests that belong to no pool: of callers that wait, of tests, and where there is no event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
from concurrent.futures import CancelledError, Future
from functools import partial
from queue import SimpleQueue
from typing import TypeVar
from weakref import WeakSet

from asgiref.sync import sync_to_async
from starlette.requests import ClientDisconnect

from hybrid_gateway._compat.asgiref_internals import thread_state
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.concurrency.thread_stream import ThreadStream
from hybrid_gateway.concurrency.unit_of_work import AwaitableWorkItem, FutureWorkItem, WorkItem, set_main_event_loop
from hybrid_gateway.request.request_thread import RequestThread

T = TypeVar("T")

_disconnected: WeakSet[asyncio.Task[object]] = WeakSet()  # tasks cancelled because nobody reads their responses


def is_disconnect(error: BaseException) -> bool:
    """Tell whether ``error``, of the current task, means no more than that nobody reads the response any longer."""
    is_cancelled = isinstance(error, asyncio.CancelledError)
    return isinstance(error, ClientDisconnect) or (is_cancelled and asyncio.current_task() in _disconnected)


class UnsharedThread:
    """The base of threads that are the request's alone as long as it lasts: nothing is held, nothing given back."""

    __slots__ = ()

    def hold(self) -> None:
        return None

    free = hold_long = release = hold


class InlineThread(UnsharedThread):
    """The thread of whoever asks: blocking work runs right there. For WSGI workers whose route never waits."""

    __slots__ = ()

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        return function(*args)

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)
        return future

    async def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncGenerator[T, None]:
        try:
            for chunk in chunks:
                yield chunk
        finally:
            if close is not None:
                close()

    def beside(self) -> RequestThread:
        return self


class WaitingThread:
    """A thread of a pool that works while a WSGI worker waits for it.

    For typed routes on a worker that has served Django's side: they must not find what that has left on the worker.
    """

    __slots__ = ("pooled",)

    def __init__(self, pooled: PooledThread) -> None:
        self.pooled = pooled

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        return self.pooled.wait(function, *args)

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        return self.pooled.submit(function, *args)

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        return self.pooled.stream(chunks, close)

    def beside(self) -> WaitingThread:
        return WaitingThread(self.pooled.beside())

    def hold(self) -> None:
        self.pooled.hold()

    def free(self) -> None:
        self.pooled.free()

    def hold_long(self) -> None:
        self.pooled.hold_long()

    def release(self) -> None:
        self.pooled.release()


class CallingThread(UnsharedThread):
    """The thread of a synchronous caller that waits for a coroutine on another thread's loop and runs its sync work.

    With it the rows of a ``TestCase`` are visible to every handler, and a WSGI worker keeps its own connections.
    Once the coroutine is done, the thread goes its own way: what a task that outlives it still asks for goes to the
    thread ``afterwards``, and is an error without one. Several may share their ``work``: then whoever waits serves all.
    """

    def __init__(
        self,
        afterwards: RequestThread | None = None,
        work: SimpleQueue[Callable[[], object] | None] | None = None,
    ) -> None:
        self._afterwards = afterwards
        # PERF: without brackets at the call, which cost 14,000 instructions.
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue() if work is None else work
        self._lock = threading.Lock()
        self._ended = False

    def run_until_done(self, coroutine: Coroutine[object, None, T], loop: LoopThread) -> T:
        """Run ``coroutine`` on ``loop`` and serve its blocking work here until it is done."""
        steps = self.steps(coroutine, loop)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result

    def steps(self, coroutine: Coroutine[object, None, T], loop: LoopThread) -> Generator[None, None, T]:
        """Run ``coroutine`` on ``loop``, and yield after each piece of its work that was done here.

        Closed before its end, it cancels the coroutine and does the work of its clean-up.
        """
        event_loop = loop.loop
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(event_loop.create_task(coroutine))
            tasks[0].add_done_callback(lambda _: self._work.put(None))

        def abandon() -> None:
            for task in list(tasks):
                _disconnected.add(task)
                task.cancel()

        event_loop.call_soon_threadsafe(begin)
        try:
            while self._work_once():
                yield
            if tasks[0].cancelled():
                raise CancelledError
            return tasks[0].result()
        except GeneratorExit:
            event_loop.call_soon_threadsafe(abandon)  # unless it has ended by then
            while self._work_once():
                pass
            raise
        finally:
            self._end()
            tasks.clear()  # an error's traceback knows this frame, and the task knows the error

    def _work_once(self) -> bool:
        work = self._work.get()
        if work is not None:
            work()
        return work is not None

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        if self._afterwards is not None:
            self._afterwards.release()
        while not self._work.empty():
            self._work_once()

    def _accept(self, unit: WorkItem[object]) -> bool:
        """Queue ``unit`` for the calling thread, as long as that waits."""
        with self._lock:
            if self._ended and self._afterwards is None:
                raise RuntimeError(
                    "A task outlives the request that lent it a thread for blocking work such as the ORM's. Await the "
                    "task before the handler returns."
                )
            if not self._ended:
                self._work.put(partial(_perform_here, unit))
            return not self._ended

    def run(self, function: Callable[..., T], /, *args: object) -> Awaitable[T]:
        unit = AwaitableWorkItem(function, args)
        return unit if self._accept(unit) else self._afterwards.run(function, *args)  # type: ignore[union-attr]

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        unit = FutureWorkItem(function, args)
        if not self._accept(unit):
            return self._afterwards.submit(function, *args)  # type: ignore[union-attr]
        return unit.future

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        return ThreadStream(self, chunks, close)

    def beside(self) -> RequestThread:
        return self if self._afterwards is None else self._afterwards.beside()


def _perform_here(unit: WorkItem[object]) -> None:
    if unit.is_wanted():
        own_loop = getattr(thread_state, "main_event_loop", None)
        try:
            unit.deliver(*unit.perform())
        finally:
            set_main_event_loop(own_loop)
            del unit  # as in WorkItem.perform


class AsgirefThread(UnsharedThread):
    """The thread of asgiref's choice: inside ``async def`` methods of ``TestCase`` that is the test's own."""

    __slots__ = ()

    def run(self, function: Callable[..., T], /, *args: object) -> Awaitable[T]:
        return sync_to_async(function, thread_sensitive=True)(*args)

    def submit(self, function: Callable[..., T], /, *args: object) -> Future[T]:
        raise RuntimeError("thread-sensitive calls already reach this thread by themselves")

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        return ThreadStream(self, chunks, close)

    def beside(self) -> RequestThread:
        return self


class LoopThread:
    """An event loop on a daemon thread of its own, started when first used; where async handlers run under WSGI."""

    def __init__(self, *, name: str = "gateway-loop") -> None:
        self.name = name
        self._lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; it is started anew in a process that was forked."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=_run_loop, args=(self._loop,), name=self.name, daemon=True).start()
            return self._loop

    def start(self, coroutine: Coroutine[object, None, T]) -> Future[T]:
        """Start ``coroutine`` on the loop, in a copy of the caller's context."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[object, None, T]) -> T:
        """Run ``coroutine`` on the loop and wait for it."""
        return self.start(coroutine).result()

    def close(self) -> None:
        """Cancel what runs on the loop, and let its thread end."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            loop.run_forever()
            break
        except (KeyboardInterrupt, SystemExit):  # out of a task, whose caller gets it, too: the others go on
            continue
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
