"""The delivery of events: when listeners run, and where.

How this works: what is emitted in a request waits until that is over, and then runs in a task of its own on the event
loop; what is emitted on a loop without a request runs in a task at once; and where there is no loop at all, in a
command or a thread of the project's own, listeners run right there, before :func:`emit` returns. A test client holds
everything until its request is answered, and runs it on the thread of the test. An error is logged with the listener's
name and sent as ``got_request_exception``, and the others run. Shutdown waits for what is under way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from asgiref.sync import async_to_sync, sync_to_async
from django.core.signals import got_request_exception

from hybrid_gateway.concurrency.asgiref_bridge import (
    LoopRegistry,
    ThreadHolder,
    current_request,
    run_in_fresh_context,
)
from hybrid_gateway.concurrency.caller_threads import LoopThread
from hybrid_gateway.concurrency.unit_of_work import loop_of_thread, running_loop
from hybrid_gateway.events.event_listeners import EventListener
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread

logger = logging.getLogger("hybrid_gateway.events")


class Call(NamedTuple):
    """One listener, and what it is called with."""

    listener: EventListener
    arguments: Sequence[object]
    keywords: Mapping[str, object]

    @property
    def function(self) -> Callable[[], object]:
        """The call as a function."""
        return partial(self.listener.function, *self.arguments, **self.keywords)

    async def begin(self) -> None:
        """Make the call, of an ``async def`` listener."""
        await self.listener.function(*self.arguments, **self.keywords)


class HeldEvents:
    """Calls that a test client runs when its request is answered, those that they lead to among them."""

    def __init__(self, report: Callable[[Call, Exception], None]) -> None:
        self.calls: list[Call] = []
        self._report = report

    def run(self) -> None:
        """Run them on this thread."""
        for call in self._each():
            run_here(call, self._report)

    async def arun(self) -> None:
        """Run them on this loop, and plain functions where ``sync_to_async`` takes them."""
        for call in self._each():
            try:
                await (call.begin() if call.listener.is_async else sync_to_async(call.function)())
            except Exception as error:
                self._report(call, error)

    def _each(self) -> Iterator[Call]:
        while self.calls:
            yield self.calls.pop(0)


def run_here(call: Call, report: Callable[[Call, Exception], None]) -> None:
    """Run a listener on this thread, which has no event loop, and wait for it."""
    try:
        if call.listener.is_async:
            async_to_sync(call.begin)()
        else:
            call.function()
    except Exception as error:
        report(call, error)


class EventDelivery:
    """The listeners of one gateway at work: on threads that ``lend`` gives, and on ``loop_thread`` under WSGI."""

    def __init__(
        self, lend: Callable[[], RequestThread], loops: LoopRegistry, loop_thread: LoopThread, sender: type
    ) -> None:
        self._lend = lend
        self._loops = loops
        self._loop_thread = loop_thread
        self._sender = sender
        self._held: list[HeldEvents] = []
        self._under_way: dict[Future[None], list[Call]] = {}

    def deliver(self, calls: list[Call]) -> None:
        """Have ``calls`` made at their time."""
        if self._held:
            self._held[-1].calls += calls
            return
        request = current_request()
        # A websocket lasts for hours, and what happens in it is not to wait for its end.
        if isinstance(request, RequestContext) and not (request.is_handshake or request.is_over):
            request.on_release(lambda: self._begin(calls, running_loop() or self._loop_thread.loop))
            return
        loop = running_loop() or loop_of_thread()
        if loop is not None:
            self._begin(calls, loop)
            return
        for call in calls:
            run_here(call, self._report)

    @contextmanager
    def held(self) -> Iterator[HeldEvents]:
        """In tests: keep the calls of everything that is emitted meanwhile, from whatever thread."""
        held = HeldEvents(self._report)
        self._held.append(held)
        try:
            yield held
        finally:
            self._held.remove(held)

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, and what that leads to; log what takes longer than ``seconds``."""
        end = time.monotonic() + seconds
        while self._under_way and (left := end - time.monotonic()) > 0:
            waited = [asyncio.wrap_future(future) for future in list(self._under_way)]
            await asyncio.wait(waited, timeout=left)
        for calls in self._under_way.values():
            names = ", ".join(f"{call.listener!r} of {call.listener.event}" for call in calls)
            logger.error("The process ends before these listeners have: %s", names)

    def _begin(self, calls: list[Call], loop: asyncio.AbstractEventLoop) -> None:
        done: Future[None] = Future()
        self._under_way[done] = calls
        loop.call_soon_threadsafe(self._start, calls, done)

    def _start(self, calls: list[Call], done: Future[None]) -> None:
        task = asyncio.get_running_loop().create_task(run_in_fresh_context(self._run(calls)))

        def end(task: asyncio.Task[None]) -> None:
            del self._under_way[done]
            done.set_result(None)

        task.add_done_callback(end)

    async def _run(self, calls: list[Call]) -> None:
        thread = self._lend()
        self._loops.begin(ThreadHolder(thread))
        try:
            for call in calls:
                try:
                    if call.listener.is_async:
                        await call.begin()
                    else:
                        await thread.run(call.function)
                except Exception as error:
                    self._report(call, error)
        finally:
            thread.release()

    def _report(self, call: Call, error: Exception) -> None:
        try:
            raise error
        except Exception:
            logger.exception("The listener %r of %s failed", call.listener, call.listener.event)
            got_request_exception.send_robust(sender=self._sender, request=None)
