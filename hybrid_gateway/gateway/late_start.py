"""Start-up with the first request, where no lifespan reaches the gateway: behind a wrapper that passes on none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from hybrid_gateway.dispatch.shutdown import Shutdown

__all__ = ["LateStart"]

logger = logging.getLogger("hybrid_gateway")


class LateStart:
    """Runs ``startup`` once, and ``shutdown`` when the process ends, both in one task, as task groups need it.

    The end is a signal (``process``), once no request is being answered any more: uvicorn ends the process before the
    event loop has ended. Elsewhere it is the loop's end, which cancels the task: ``asyncio.run`` waits for it.
    """

    def __init__(
        self, startup: Callable[[], Awaitable[None]], shutdown: Callable[[], Awaitable[None]], process: Shutdown
    ) -> None:
        self._startup = startup
        self._shutdown = shutdown
        self._process_shutdown = process
        self._started: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None  # the loop itself keeps no task alive
        self._count = 0

    @property
    def is_used(self) -> bool:
        """True if start-up was a request's."""
        return self._started is not None

    async def wait(self) -> None:
        """Start up, or wait until another request has; raises what ``startup`` raises, and the next one tries again."""
        if self._started is None:
            logger.warning(
                "No lifespan reaches the gateway, so start-up runs with the first request and delays it. Pass scopes "
                'of the type "lifespan" on to it: {"http": gateway, "lifespan": gateway} for a ProtocolTypeRouter.'
            )
            self._started = asyncio.get_running_loop().create_future()
            self._idle, self._is_over = asyncio.Event(), asyncio.Event()
            self._task = asyncio.ensure_future(self._live(self._started))
        await asyncio.shield(self._started)

    def counting(self, answer: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return ``answer``; the end of the process waits until none of its calls is running."""

        async def answer_and_count(*args: Any) -> None:
            self._count += 1
            self._idle.clear()
            try:
                await answer(*args)
            finally:
                self._count -= 1
                if not self._count:
                    self._idle.set()

        return answer_and_count

    async def _live(self, started: asyncio.Future[None]) -> None:
        try:
            await self._startup()
        except Exception as error:
            self._started = None
            started.set_exception(error)
            return
        except BaseException:
            started.cancel()
            raise
        self._idle.set()
        started.set_result(None)
        try:
            with self._process_shutdown.notifying(self._is_over.set):
                await self._is_over.wait()
            await self._idle.wait()
        finally:
            try:
                await self._shutdown()
            except Exception:
                logger.exception("lifespan.shutdown failed")
