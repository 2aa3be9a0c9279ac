"""The end of a process: nothing new is begun, event streams end, and what is being answered may finish.

How this works: servers tell an application of its end only after the last connection has closed, for which a stream
that never ends lets them wait. So the gateway hears of it itself: from the signal, from the lane's protocol, or from
whoever calls ``gateway.drain()``.

A server hears the signal, too, but closes its door a moment later, and clients with a kept-alive connection know of
nothing. What comes in that moment is answered as ever, and told that the connection ends: so a process that is replaced
by another one fails nobody. After it, requests are refused.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["LAST_CALL", "Shutdown"]

logger = logging.getLogger("hybrid_gateway")

LAST_CALL = 0.5  # seconds after the signal in which a request is still answered; uvicorn needs 0.1 to close its door

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether the process is about to end, and who wants to know. ``grace`` is seconds that streams get to finish."""

    def __init__(self, grace: float) -> None:
        self.is_on = False
        self._grace = grace
        self._refuses_from = float("inf")
        self._listeners: dict[Callable[[], object], asyncio.AbstractEventLoop] = {}
        self._replaced: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"<Shutdown: {'on' if self.is_on else 'off'}>"

    @property
    def refuses(self) -> bool:
        """Whether a request comes too late to be answered."""
        return self.is_on and time.monotonic() >= self._refuses_from

    def begin(self, last_call: float = 0.0) -> None:
        """In ``last_call`` seconds new requests are refused. May be called again, and by a signal handler."""
        self._refuses_from = min(self._refuses_from, time.monotonic() + last_call)
        if self.is_on:
            return
        self.is_on = True
        for listener, loop in list(self._listeners.items()):
            with suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(listener)

    def reset(self) -> None:
        """A server begins, maybe after another one has ended in the same process, as in tests."""
        self.is_on, self._refuses_from = False, float("inf")

    @contextmanager
    def calling(self, listener: Callable[[], object]) -> Iterator[None]:
        """While entered, ``listener`` is called on the running loop when it begins, or at once if it has begun."""
        loop = asyncio.get_running_loop()
        self._listeners[listener] = loop
        if self.is_on:
            loop.call_soon(listener)
        try:
            yield
        finally:
            self._listeners.pop(listener, None)

    async def bounded(self, answer: Awaitable[None]) -> bool:
        """Await an answer that streams; once the grace is over, cut it. Whether it came to its end.

        One that did not is left unfinished, which tells the client that something is missing.
        """
        loop, deadline = asyncio.get_running_loop(), asyncio.timeout(None)
        try:
            async with deadline:
                with self.calling(lambda: deadline.reschedule(loop.time() + self._grace)):
                    await answer
        except TimeoutError:
            if not deadline.expired():
                raise
            logger.warning("A stream was cut %s seconds after the process was told to end.", self._grace)
            return False
        return True

    # --- signals

    def watch_signals(self) -> None:
        """Begin with SIGTERM or SIGINT, before whoever handles it now; only the main thread can, others do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if (
                callable(before) and number not in self._replaced
            ):  # not where it ends the process at once, or is ignored
                self._replaced[number] = before
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.begin(LAST_CALL)
        self._replaced[number](number, frame)

    def forget_signals(self) -> None:
        """Undo :meth:`watch_signals`, as far as nobody has come after it."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in list(self._replaced.items()):
            if signal.getsignal(number) == self._on_signal:  # else whoever came after it still calls it
                signal.signal(number, before)
                del self._replaced[number]
