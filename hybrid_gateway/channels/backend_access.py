"""The access of a hub to its back end: started when first used, asked within a time, and stopped once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TypeVar

from hybrid_gateway.channels.backend import BackendEvents, ChannelBackend, ChannelsUnavailable
from hybrid_gateway.channels.backend_link import BackendLink, DirectLink, ThreadLink
from hybrid_gateway.channels.memory_backend import MemoryBackend

logger = logging.getLogger("hybrid_gateway")

T = TypeVar("T")

SECONDS = 1.0
"""Time in which a back end has to answer."""


class BackendAccess:
    """A back end and the place where its coroutines run; ``after()`` is called where they have run right here."""

    def __init__(self, backend: ChannelBackend, events: BackendEvents, after: Callable[[], None]) -> None:
        self.is_direct = isinstance(backend, MemoryBackend)
        self.backend, self._events = backend, events
        self._link: BackendLink = DirectLink(after) if self.is_direct else ThreadLink()
        self.call, self.acall = self._link.call, self._link.acall
        self._starting: asyncio.Task[None] | None = None
        self._is_started = self._is_stopped = self._has_failed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: set[Future[None]] = set()

    # --- from any thread

    def start_now(self) -> None:
        """Start, if that was not done, on a thread that may wait."""
        if not self._is_started:
            self.call(self.start())

    def run_later(self, work: Coroutine[object, None, None]) -> None:
        """Run what nobody waits for; a failure is logged."""
        if self._is_stopped:
            work.close()
            return
        future = self._link.start(work)
        if not future.done():
            self._later.add(future)
            future.add_done_callback(self._later.discard)
        future.add_done_callback(_log_failure)

    async def close(self) -> None:
        """Stop for good."""
        self._is_stopped = True
        await self.acall(self._stop())
        self._link.close()

    def close_later(self) -> None:
        """Stop for good, while nobody waits for it."""
        self._is_stopped = True
        self._link.start(self._stop()).add_done_callback(lambda _: self._link.close())

    # --- where coroutines of the back end run

    async def ask(self, ask: Callable[..., Awaitable[T]], *args: object, seconds: float = SECONDS) -> T:
        """Ask the back end; raise :class:`ChannelsUnavailable` where it takes too long."""
        try:
            if not self._is_started:
                await self.within(self.start, seconds=seconds)
            answer = await self.within(ask, *args, seconds=seconds)
        except ChannelsUnavailable as error:
            self.note(error)
            raise
        if self._has_failed:
            self.note(None)
        return answer

    def note(self, error: ChannelsUnavailable | None) -> None:
        """Log a failure, once until the back end answers again."""
        if (error is not None) is self._has_failed:
            return
        self._has_failed = error is not None
        if error is None:
            logger.warning("The back end of channels answers again.")
        else:
            logger.warning("The back end of channels does not answer: %s", error)

    async def within(self, ask: Callable[..., Awaitable[T]], *args: object, seconds: float = SECONDS) -> T:
        """Ask and wait; raise :class:`ChannelsUnavailable` where it takes too long.

        What is cancelled before it began has made no coroutine that nobody awaits.
        """
        if self.is_direct:
            return await ask(*args)
        try:
            async with asyncio.timeout(seconds):
                return await ask(*args)
        except TimeoutError:
            raise ChannelsUnavailable(f"The back end of channels has not answered within {seconds:g} s.") from None

    async def start(self) -> None:
        """Start, if that was not done."""
        if self._is_started:
            return
        if self.is_direct:
            self._is_started = True
            await self.backend.start(self._events)
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start_backend())
        await asyncio.shield(self._starting)

    async def _start_backend(self) -> None:
        await self.backend.start(self._events)
        self._is_started = True

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._starting is not None:
            await self._starting
        if self._later:  # those who leave with the process are told of
            await asyncio.wait([asyncio.wrap_future(future) for future in list(self._later)], timeout=SECONDS)
        if self._is_started:
            await self.backend.stop()

    def spawn(self, work: Coroutine[object, None, None]) -> None:
        """Run what nobody waits for, until the back end is stopped; a failure is logged."""
        if self.is_direct:
            self.run_later(work)
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_failure)


def _log_failure(done: asyncio.Task[None] | Future[None]) -> None:
    error = None if done.cancelled() else done.exception()
    if isinstance(error, ChannelsUnavailable):
        logger.debug("Channels: %s", error)  # which is logged as long as it lasts
    elif error is not None:
        logger.error("Work for channels has failed.", exc_info=error)
