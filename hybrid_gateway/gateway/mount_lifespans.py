"""Lifespans of mounted ASGI applications, inside that of the gateway.

How this works: each application runs its lifespan in a task of its own, as under a server, and its state is for itself
alone. One that does not speak the protocol (it returns, or raises, before it has answered) goes without.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from hybrid_gateway.dispatch.mounts import Mounted
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.types import Message

LAST_MESSAGE = 1.0  # seconds that a shutdown may need to come where everything is cancelled

logger = logging.getLogger("hybrid_gateway")


class MountLifespan:
    """The lifespan of a mounted application, to be entered and left; ``grace`` is seconds in which it must have ended.

    Raises :class:`ConfigurationError` where it says that its start-up has failed. SPEC: ASGI lifespan.
    """

    # No generator: a loop that ends before the gateway does would leave one that nobody can close.

    def __init__(self, mounted: Mounted, grace: float) -> None:
        self._mounted = mounted
        self._grace = grace
        self._lifespan: _Lifespan | None = None

    async def __aenter__(self) -> None:
        self._lifespan = _Lifespan(self._mounted)
        try:
            await self._lifespan.start()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *details: object) -> None:
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is None:
            return
        try:
            async with asyncio.timeout(self._grace):
                await lifespan.stop()
        except TimeoutError:
            logger.warning("%r has not ended within %s seconds.", self._mounted, self._grace)
        if not lifespan.task.done():
            lifespan.task.cancel()
        self._mounted.state = None


class _Lifespan:
    """One application on its way from start-up to shutdown."""

    def __init__(self, mounted: Mounted) -> None:
        self._mounted = mounted
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self.task = asyncio.ensure_future(mounted.asgi_app(scope, self._receive, self._take))

    async def _receive(self) -> Message:
        try:
            return await self._to_app.get()
        except asyncio.CancelledError:
            # asyncio.run() cancels all tasks at once when it ends: also that which shuts the gateway down, and then
            # there is a last message for this one.
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._to_app.get(), LAST_MESSAGE)
            raise

    async def _take(self, message: Message) -> None:
        if not message["type"].startswith("lifespan."):  # it takes the scope for another one, and shall hear of it
            raise RuntimeError(f"A lifespan has no message {message['type']!r}.")
        await self._from_app.put(message)

    async def start(self) -> None:
        answer = await self._ask("lifespan.startup")
        if answer is None:
            logger.debug("%r has no lifespan.", self._mounted, exc_info=self._error())
        elif answer["type"] == "lifespan.startup.complete":
            self._mounted.state = self._state
        else:
            reason = answer.get("message") or "it gives no reason."
            raise ConfigurationError(f"The start-up of {self._mounted!r} failed: {reason}", id="H016")

    async def stop(self) -> None:
        if self._mounted.state is None:
            return
        answer = await self._ask("lifespan.shutdown")
        if answer is None:
            error = self._error()
            if error is not None:
                logger.error("The lifespan of %r failed", self._mounted, exc_info=error)
        elif answer["type"] != "lifespan.shutdown.complete":
            logger.error("The shutdown of %r failed: %s", self._mounted, answer.get("message") or "it gives no reason.")

    async def _ask(self, kind: str) -> Message | None:
        """Return the application's answer to a message; ``None`` where it ends without one."""
        await self._to_app.put({"type": kind})
        answer = asyncio.ensure_future(self._from_app.get())
        try:
            await asyncio.wait((answer, self.task), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        return None if self._from_app.empty() else self._from_app.get_nowait()  # the last that it has done

    def _error(self) -> BaseException | None:
        return None if self.task.cancelled() else self.task.exception()
