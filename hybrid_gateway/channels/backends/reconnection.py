"""A connection that is opened anew whenever it ends.

How this works: a :class:`Reconnection` runs ``serve``, which opens a connection, calls what it is given once everything
is in place, and returns never, but raises when the connection ends. Then it waits, longer each time and never as long
as other processes do, and runs it again. Who needs the connection waits for it in :meth:`Reconnection.ready`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from hybrid_gateway.channels.backend import BackendEvents, ChannelsUnavailable

PATIENCE = 1.0
"""Seconds after which whoever publishes or subscribes hears that it cannot be done."""
SILENCE = 10.0
"""Seconds without a message after which a connection is asked whether it is alive."""
STALL = 5.0
"""Seconds in which it has to connect, or to answer that."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0

Serve = Callable[[Callable[[], None]], Awaitable[None]]


class Reconnection:
    """Keeper of one connection, from :meth:`start` to :meth:`stop`."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._up = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    def start(self, events: BackendEvents) -> None:
        """Begin to connect."""
        self._events = events
        self._task = asyncio.create_task(self._keep(), name="hybrid_gateway.channels")

    async def stop(self) -> None:
        """End the connection; nobody is told."""
        task, self._task = self._task, None
        self._up.clear()
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def hurry(self) -> None:
        """Connect now rather than later: somebody has seen that the server is there."""
        self._hurry.set()

    async def ready(self) -> None:
        """Wait until the connection is there, which is tried at once; within a time-out of the caller's."""
        if not self._up.is_set():
            self.hurry()
            await self._up.wait()

    def unavailable(self, server: str) -> ChannelsUnavailable:
        """Return the error for whoever has waited long enough."""
        why = f": {self._error}" if self._error is not None else "."
        return ChannelsUnavailable(detail=f"{server} cannot be reached{why}")

    async def _keep(self) -> None:
        waits = 0
        while True:
            self._hurry.clear()
            try:
                await self._serve(self._establish)
            except Exception as error:
                if self._up.is_set():
                    waits = 0
                self._note(error)
            # A server that restarts must not meet all processes of a site in the same moment.
            longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(waits, 10))
            waits += 1
            await asyncio.sleep(_FIRST_WAIT * random.random())  # noqa: S311  # nosec B311
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(longest / 2, longest)):  # noqa: S311  # nosec B311
                    await self._hurry.wait()

    def _establish(self) -> None:
        self._error = None
        self._up.set()
        self._events.connected()

    def _note(self, error: Exception) -> None:
        was_told = self._error is not None
        self._error = error
        self._up.clear()
        if not was_told:
            self._events.disconnected(error)
