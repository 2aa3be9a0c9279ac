"""Shutdown of a process: new requests are rejected, event streams end, and what is being answered may finish.

How this works: servers tell an application of its end only after the last connection has closed, for which a stream
that never ends lets them wait. So the gateway hears of it itself: from the signal, from the lane's protocol, or from
whoever calls ``gateway.drain()``.

A server hears the signal, too, but closes its door a moment later, and clients with a kept-alive connection know of
nothing. What comes in that moment is answered as ever, and told that the connection ends: so a process that is replaced
by another one fails nobody. After it, requests are rejected.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from hybrid_gateway._compat.server_internals import shutdown_tasks, stops_at_once

logger = logging.getLogger("hybrid_gateway")

LAST_STEPS = 0.9  # seconds for what follows the grace period, lifespans above all
GRACE_AFTER_SIGNAL = 0.5  # seconds in which a request is still answered; uvicorn needs 0.1 to close its sockets


class Shutdown:
    """The end of the process: whether it has begun, and who is told. ``grace`` is seconds that streams get."""

    def __init__(self, grace: float) -> None:
        self.has_begun = False
        self._grace = grace
        self._rejects_from = self._ends_at = float("inf")
        self._listeners: dict[Callable[[], object], asyncio.AbstractEventLoop] = {}
        self._watched: asyncio.AbstractEventLoop | None = None
        self._replaced: dict[int, Callable[[int, FrameType | None], object]] = {}

    def __repr__(self) -> str:
        return f"<Shutdown: {'on' if self.has_begun else 'off'}>"

    @property
    def rejects_requests(self) -> bool:
        """True once a request comes too late to be answered."""
        return self.has_begun and time.monotonic() >= self._rejects_from

    def begin(self, grace: float = 0.0) -> None:
        """Reject new requests with 503 in ``grace`` seconds. May be called again, and by a signal handler."""
        self._rejects_from = min(self._rejects_from, time.monotonic() + grace)
        if self.has_begun:
            return
        self.has_begun, self._ends_at = True, time.monotonic() + self._grace
        for listener, loop in list(self._listeners.items()):
            with suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(listener)

    def reset(self) -> None:
        """Begin anew: a server starts, maybe after another one has ended in the same process, as in tests."""
        self.has_begun = False
        self._rejects_from = self._ends_at = float("inf")

    @contextmanager
    def notifying(self, listener: Callable[[], object]) -> Iterator[None]:
        """While entered, call ``listener`` on the running loop when the shutdown begins, or at once if it has begun."""
        loop = asyncio.get_running_loop()
        watches = not self._replaced and not self._listeners  # no server has told of a start
        if watches:
            self.watch_signals()
        self._watch_tasks(loop)
        self._listeners[listener] = loop
        if self.has_begun:
            loop.call_soon(listener)
        try:
            yield
        finally:
            self._listeners.pop(listener, None)
            if watches:
                self.forget_signals()

    @contextmanager
    def cutting(self, cut: Callable[[], object]) -> Iterator[None]:
        """While entered, call ``cut`` on the running loop once the grace is over; a tenth of it is left at least."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def begin() -> None:
            nonlocal timer
            timer = loop.call_later(max(self._ends_at - time.monotonic(), 0.1 * self._grace), cut)

        with self.notifying(begin):
            try:
                yield
            finally:
                if timer is not None:
                    timer.cancel()

    async def with_timeout(self, work: Awaitable[None], name: str = "A stream") -> bool:
        """Await a streaming response, or what ``name`` says; cut it once the grace is over. Return whether it ended.

        A response that did not is left unfinished, which tells the client that something is missing.
        """
        loop, deadline = asyncio.get_running_loop(), asyncio.timeout(None)
        try:
            async with deadline:
                with self.cutting(lambda: deadline.reschedule(loop.time())):
                    await work
        except TimeoutError:
            if not deadline.expired():
                raise
            logger.warning("%s was cut %s seconds after the process was told to end.", name, self._grace)
            return False
        return True

    # --- signals

    def watch_signals(self) -> None:
        """Begin with SIGTERM or SIGINT, before its present handler; only the main thread can, others do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before) and number not in self._replaced:  # else it ends the process at once, or is ignored
                self._replaced[number] = before
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        is_first, before = not self.has_begun, self._replaced[number]
        self.begin(GRACE_AFTER_SIGNAL)
        if is_first and self._listeners and stops_at_once(before):
            self._pass_on(lambda: before(number, None), time.monotonic() + self._grace + LAST_STEPS)
        else:
            before(number, frame)

    def _pass_on(self, signal_: Callable[[], object], deadline: float) -> None:
        """Let a server that cuts everything know of a signal once what listens has ended, or at the deadline."""
        if self._listeners and time.monotonic() < deadline:
            asyncio.get_running_loop().call_later(0.05, self._pass_on, signal_, deadline)
        else:
            signal_()

    def _watch_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watched is not loop:
            self._watched = loop
            for task in shutdown_tasks():
                task.add_done_callback(lambda _: self.begin(GRACE_AFTER_SIGNAL))

    def forget_signals(self) -> None:
        """Undo :meth:`watch_signals`, as far as nobody has come after it."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in list(self._replaced.items()):
            if signal.getsignal(number) == self._on_signal:  # else whoever came after it still calls it
                signal.signal(number, before)
                del self._replaced[number]
