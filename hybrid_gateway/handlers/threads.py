"""The threads of the process, and the one thread a request may use.

How this works: a :class:`ThreadPool` owns ``size`` long-lived threads. Whatever runs on one of them runs as a *unit of
work*: Django's rules for connections are applied in that very thread before and after it, so connections are opened
once per thread, health-checked, and closed when ``CONN_MAX_AGE`` says so, never inside ``atomic``.

A request talks to a :class:`RequestThread`. There are four kinds, one per place a request can come from:

* :class:`PooledThread`: a server's event loop; work goes to the pool, to the same thread as before when it is free.
* :class:`CallingThread`: a synchronous caller (a WSGI worker, a test) waits and lends its own thread.
* :class:`AmbientThread`: an ``async def`` test; work goes wherever asgiref's thread-sensitive work goes.
* :class:`InlineThread`: there is no event loop at all; work simply runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, _restore_context, sync_to_async
from django.conf import settings
from django.core.cache import close_caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

logger = logging.getLogger("hybrid_gateway")

__all__ = [
    "AmbientThread",
    "CallingThread",
    "InlineThread",
    "LoopThread",
    "PooledThread",
    "RequestThread",
    "RequestThreads",
    "ThreadPool",
    "ThreadStream",
    "thread_sensitive",
]


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

    def release(self) -> None:
        """End of the request: whatever it left open on its thread is rolled back and closed."""


# --- units of work -------------------------------------------------------------------------------------------------


Connections: TypeAlias = Sequence[BaseDatabaseWrapper]


def opened_connections() -> Connections:
    """The connections that the current thread has made use of so far."""
    found: Connections = connections.all(initialized_only=True)
    return found


def open_unit(opened: Connections | None = None) -> None:
    """What Django does on ``request_started``: forget logged queries, drop stale connections."""
    # DJANGO: django/db/__init__.py, the receivers of request_started (5.2 and 6.1)
    for connection in opened_connections() if opened is None else opened:
        if settings.DEBUG:
            connection.queries_log.clear()
        connection.close_if_unusable_or_obsolete()


def close_unit(opened: Connections | None = None) -> None:
    """What Django does on ``request_finished``: close connections by age and health, hand caches back."""
    # DJANGO: django/db/__init__.py and django/core/cache/__init__.py, the receivers of request_finished
    for connection in opened_connections() if opened is None else opened:
        connection.close_if_unusable_or_obsolete()
    close_caches()


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether ``connection`` is inside ``atomic``, or has autocommit switched off."""
    switched_off = not connection.autocommit and connection.settings_dict["AUTOCOMMIT"]
    return connection.in_atomic_block or (connection.connection is not None and switched_off)


def abandon_transaction(connection: BaseDatabaseWrapper) -> None:
    """Close ``connection``, whose transaction nobody will end any more; the server rolls it back."""
    try:
        connection.close()
    finally:
        # DJANGO: inside atomic, close() leaves these to the end of the block, which here never comes; connect() sets
        # the rest anew (db/backends/base/base.py).
        connection.in_atomic_block = False
        connection.connection = None


class _Unit(Generic[T]):
    """One unit of work on its way to a thread, awaited by the task that asked for it.

    It runs in a copy of the task's context, and what it changes there (a language, a context variable) the task sees
    once it has awaited it, as with ``sync_to_async``.
    """

    __slots__ = ("args", "context", "function", "future", "loop")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.context = contextvars.copy_context()
        self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        self.future: Any = self.loop.create_future()

    def __await__(self) -> Generator[Any, Any, T]:
        future, context = self.future, self.context
        del self  # an error's traceback knows the frames below it; one that knew the future would be a cycle
        try:
            result: T = yield from future
            return result
        finally:
            if not future.cancelled():
                _restore_context(context)
            del future

    def is_wanted(self) -> bool:
        """Asked by the thread, right before it begins."""
        return not self.future.cancelled()

    def perform(self) -> tuple[Any, BaseException | None]:
        """Call the function; give back its result, or what it raised."""
        _lend_loop(self.loop)
        context, function, args = self.context, self.function, self.args
        del self  # as in __await__
        try:
            return context.run(_arrive, context, function, args), None
        except BaseException as error:
            return None, error

    def deliver(self, result: Any, error: BaseException | None) -> None:
        """Wake up whoever waits."""
        assert self.loop is not None
        with suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle_future, self.future, result, error)


class _SubmittedUnit(_Unit[T]):
    """The same for :meth:`RequestThread.submit`: its result is a :class:`concurrent.futures.Future`."""

    __slots__ = ()

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.context = contextvars.copy_context()
        self.loop = _running_loop()
        self.future = Future()

    def is_wanted(self) -> bool:
        wanted: bool = self.future.set_running_or_notify_cancel()
        return wanted

    def deliver(self, result: Any, error: BaseException | None) -> None:
        _settle_future(self.future, result, error)


def _arrive(context: contextvars.Context, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    # Django keeps language, time zone and script prefix in asgiref's Local, whose values belong to one thread.
    _restore_context(context)
    return function(*args)


def _settle_future(future: Any, result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # no future takes it, and a coroutine could not raise it
        wrapped = RuntimeError("a handler or provider raised StopIteration")
        wrapped.__cause__ = error
        future.set_exception(wrapped)
    else:
        future.set_exception(error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _lend_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    # asgiref's async_to_sync looks here for the loop that its caller came from; without it every call would start a
    # loop of its own, and clients bound to the server's loop would break.
    local = SyncToAsync.threadlocal
    if getattr(local, "main_event_loop", None) is not loop:
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()


# --- the pool ------------------------------------------------------------------------------------------------------


_Job: TypeAlias = "tuple[PooledThread, _Unit[Any]]"


class _Worker:
    """One thread of the pool, and what it is to do next; ``None`` ends it."""

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
        self._forget_threads()

    def __repr__(self) -> str:
        return f"<ThreadPool {self.name!r}: {len(self._workers)} of {self.size} threads>"

    def _forget_threads(self) -> None:
        self._lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []  # last in, first out: the warmest thread and its connections go first
        self._waiting: deque[_Job] = deque()
        self._pid = os.getpid()

    def submit(self, request: PooledThread, unit: _Unit[Any]) -> None:
        """Do ``unit`` for ``request``, on the thread that it holds or on the first that is free."""
        if self._pid != os.getpid():  # a pre-fork server (gunicorn --preload) copies the pool, but not its threads
            self._forget_threads()
        with self._lock:
            if request.busy:
                request.queue.append(unit)
                return
            worker = request.worker if request.holds else self._free_worker(request.worker)
            request.busy = True
            if worker is None:
                self._waiting.append((request, unit))
            else:
                worker.jobs.put((request, unit))

    def let_go(self, request: PooledThread) -> None:
        """From now on ``request`` holds no thread between two units of work."""
        with self._lock:
            request.released = True
            if request.holds:
                self.submit(request, _SubmittedUnit(_nothing, ()))  # after which its thread is settled and free

    def _free_worker(self, preferred: _Worker | None) -> _Worker | None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        if not self._idle:
            return self._start() if len(self._workers) < self.size else None
        if preferred is not None and preferred.idle:
            self._idle.remove(preferred)
            worker = preferred
        else:
            worker = self._idle.pop()
        worker.idle = False
        return worker

    def _start(self) -> _Worker:
        worker = _Worker()
        name = f"{self.name}-{len(self._workers) + 1}"
        threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        self._workers.append(worker)
        return worker

    def _work(self, worker: _Worker) -> None:
        while (job := worker.jobs.get()) is not None:
            while job is not None:
                request, unit = job
                result, error = self._perform(worker, request, unit)
                job = self._next(worker, request)
                # Only now, so that the request finds this thread idle (or its own) when it comes back for more.
                unit.deliver(result, error)
                del request, unit, result, error
        connections.close_all()

    def _perform(self, worker: _Worker, request: PooledThread, unit: _Unit[Any]) -> tuple[Any, BaseException | None]:
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
            del unit, error  # as in _Unit.__await__

    def _settle(self, worker: _Worker, request: PooledThread, unit: _Unit[Any]) -> None:
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
            following = (request, request.queue.pop(0)) if request.queue else None
            request.busy = following is not None
            if request.holds:
                return following
            if following is not None:
                self._waiting.append(following)
            if self._waiting:
                return self._waiting.popleft()
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

    __slots__ = ("_pool", "_streams", "busy", "exclusive", "holds", "queue", "released", "worker")

    def __init__(self, pool: ThreadPool, streams: ThreadPool, *, exclusive: bool = False) -> None:
        self._pool = pool
        self._streams = streams
        self.exclusive = exclusive
        # What follows is the pool's, and changes under its lock.
        self.worker: _Worker | None = None
        self.queue: list[_Unit[Any]] = []
        self.busy = False
        self.holds = False
        self.released = False

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        unit = _Unit(function, args)
        self._pool.submit(self, unit)
        return unit

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        unit = _SubmittedUnit(function, args)
        self._pool.submit(self, unit)
        future: Future[T] = unit.future
        return future

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        return ThreadStream(PooledThread(self._streams, self._streams, exclusive=True), chunks, close)

    def release(self) -> None:
        if self.worker is None and not self.busy:  # PERF: most requests never use a thread
            self.released = True
        else:
            self._pool.let_go(self)

    def __del__(self) -> None:
        # A task that a handler started borrows a thread of its own; nobody else releases that one.
        if self.holds and not self.released:
            self.release()


def _nothing() -> None:
    """A unit of work that does nothing."""


class InlineThread:
    """No loop, no hop: blocking work runs where it is asked for. What a WSGI worker thread uses for a sync plan."""

    __slots__ = ()

    async def run(self, function: Callable[..., T], /, *args: Any) -> T:
        return function(*args)

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)
        return future

    async def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        try:
            for chunk in chunks:
                yield chunk
        finally:
            if close is not None:
                close()

    def release(self) -> None:
        return None


class CallingThread:
    """The thread of a synchronous caller that waits for a coroutine on another thread's loop and runs its sync work.

    With it the rows of a ``TestCase`` are visible to every handler, and a WSGI worker keeps its own connections.
    Once the coroutine is done, the thread goes its own way: what a task that outlives it still asks for goes to the
    thread ``afterwards``, and is an error without one.
    """

    def __init__(self, afterwards: RequestThread | None = None) -> None:
        self._afterwards = afterwards
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._ended = False

    def complete(self, coroutine: Coroutine[Any, Any, T], loop: LoopThread) -> T:
        """Run ``coroutine`` on ``loop`` and serve its blocking work here until it is done."""
        steps = self.steps(coroutine, loop)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result

    def steps(self, coroutine: Coroutine[Any, Any, T], loop: LoopThread) -> Generator[None, None, T]:
        """The same, with a pause after each piece of work; closed in one, it cancels and serves the clean-up."""
        event_loop = loop.loop
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(event_loop.create_task(coroutine))
            tasks[0].add_done_callback(lambda _: self._work.put(None))

        event_loop.call_soon_threadsafe(begin)
        try:
            while self._serve_next():
                yield
            if tasks[0].cancelled():
                raise CancelledError
            return tasks[0].result()
        except GeneratorExit:
            event_loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            while self._serve_next():
                pass
            raise
        finally:
            self._end()
            tasks.clear()  # an error's traceback knows this frame, and the task knows the error

    def _serve_next(self) -> bool:
        work = self._work.get()
        if work is not None:
            work()
        return work is not None

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        while not self._work.empty():
            self._serve_next()

    def _put(self, unit: _Unit[Any]) -> bool:
        with self._lock:
            if self._ended and self._afterwards is None:
                raise RuntimeError(
                    "A task outlives the request that lent it a thread for blocking work such as the ORM's. Await the "
                    "task before the handler returns."
                )
            if not self._ended:
                self._work.put(partial(_perform_here, unit))
            return not self._ended

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        unit = _Unit(function, args)
        return unit if self._put(unit) else self._afterwards.run(function, *args)  # type: ignore[union-attr]

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        unit = _SubmittedUnit(function, args)
        if not self._put(unit):
            return self._afterwards.submit(function, *args)  # type: ignore[union-attr]
        future: Future[T] = unit.future
        return future

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        return ThreadStream(self, chunks, close)

    def release(self) -> None:
        return None


def _perform_here(unit: _Unit[Any]) -> None:
    if unit.is_wanted():
        lender = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
        try:
            unit.deliver(*unit.perform())
        finally:
            _lend_loop(lender)
            del unit  # as in _Unit.__await__


class AmbientThread:
    """asgiref's choice of thread: inside ``async def`` methods of ``TestCase`` that is the test's own thread."""

    __slots__ = ()

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        return sync_to_async(function, thread_sensitive=True)(*args)

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        raise RuntimeError("thread-sensitive calls already reach this thread by themselves")

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> ThreadStream[T]:
        return ThreadStream(self, chunks, close)

    def release(self) -> None:
        return None


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
        return self._thread.run(self._context.run, _arrive, self._context, function, ())

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


# --- asgiref's thread-sensitive work -------------------------------------------------------------------------------

_current: contextvars.ContextVar[Any] = contextvars.ContextVar("hybrid_gateway_request_thread")


class _CurrentThread(Executor):
    """Sends what asgiref calls thread-sensitive (the async ORM above all) to the thread of the current request."""

    def current(self) -> RequestThread:
        """The thread of the current request."""
        return _current.get()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self.current().submit(partial(fn, **kwargs) if kwargs else fn, *args)


class RequestThreads(_CurrentThread):
    """A request's thread on a server's loop: it stands for the :class:`PooledThread` that it borrows when first used.

    PERF: a request that never blocks pays nothing for its thread; making and entering one costs 1.2 µs. asgiref finds
    this object by the loop, once :meth:`adopt` has been called on it, instead of by a context entered per request.
    """

    def __init__(self, pool: ThreadPool, streams: ThreadPool) -> None:
        self._pool = pool
        self._streams = streams
        self._loop: asyncio.AbstractEventLoop | None = None

    def adopt(self) -> None:
        """From now on, thread-sensitive work of the running loop goes to the requests' threads."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self._loop = loop
        executors: dict[Any, Any] = AsyncToSync.loop_thread_executors
        for other in [other for other in executors if other.is_closed()]:
            del executors[other]
        executors.setdefault(loop, self)  # a loop that async_to_sync has started keeps to the thread that waits for it

    def current(self) -> RequestThread:
        """The thread of the current request; borrowed now, if this is the first use of it."""
        thread = _current.get(None)
        if thread is None:
            thread = PooledThread(self._pool, self._streams)
            _current.set(thread)
        return thread

    def run(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        return self.current().run(function, *args)

    def stream(self, chunks: Iterable[T], close: Callable[[], object] | None = None) -> AsyncIterator[T]:
        return self.current().stream(chunks, close)

    def release(self) -> None:
        thread = _current.get(None)
        if thread is not None:
            thread.release()
            _current.set(None)


_executor = _CurrentThread()
# One context for the whole process, entered by setting two context variables.
_context = ThreadSensitiveContext(executor=_executor)
SyncToAsync.context_to_thread_executor[_context] = _executor


class thread_sensitive:  # noqa: N801  (a context manager reads as a word)
    """While entered, the async ORM and every ``sync_to_async`` of this task run on ``thread``.

    An :class:`AmbientThread` is where they run anyway: nothing is changed for it. What a server's requests borrow is
    found without this.
    """

    __slots__ = ("_context_token", "_hidden", "_thread", "_thread_token")

    def __init__(self, thread: RequestThread) -> None:
        self._thread = thread

    def __enter__(self) -> None:
        if isinstance(self._thread, AmbientThread):
            return
        self._thread_token = _current.set(self._thread)
        self._context_token = SyncToAsync.thread_sensitive_context.set(_context)
        # In a loop that async_to_sync has started, asgiref would prefer the thread that waits for that loop.
        self._hidden = _thread_below_loop() if AsyncToSync.loop_thread_executors else None
        if self._hidden is not None:
            AsyncToSync.executors.current = None

    def __exit__(self, *exc_info: object) -> None:
        if isinstance(self._thread, AmbientThread):
            return
        if self._hidden is not None:
            AsyncToSync.executors.current = self._hidden
        SyncToAsync.thread_sensitive_context.reset(self._context_token)
        _current.reset(self._thread_token)


def _thread_below_loop() -> Any:
    loop = _running_loop()
    executor = None if loop is None else AsyncToSync.loop_thread_executors.get(loop)
    return executor if getattr(AsyncToSync.executors, "current", None) is executor else None


# --- a loop that outlives requests ---------------------------------------------------------------------------------


class LoopThread:
    """An event loop on a daemon thread of its own, started when first used; where async handlers run under WSGI."""

    def __init__(self, *, name: str = "gateway-loop") -> None:
        self.name = name
        self._lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=_run_loop, args=(self._loop,), name=self.name, daemon=True).start()
            return self._loop

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``coroutine`` on the loop, in a copy of the caller's context."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and wait for it."""
        return self.start(coroutine).result()

    def close(self) -> None:
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
    loop.run_until_complete(_cancel_others())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
