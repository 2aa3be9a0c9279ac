"""The time-out of a body, whose bytes come one message at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Generator
from typing import TypeVar

from hybrid_gateway.exceptions import RequestTimeout

T = TypeVar("T")

MIN_BYTES_PER_SECOND = 1024  # that a body must come at, once its time-out has passed


class BodyDeadline:
    """The time that a body may take: ``seconds`` from now, and one more for every kibibyte that has come.

    So a large upload over a slow line gets through, and a client that sends a byte now and then does not.
    """

    __slots__ = ("_begun", "_seconds", "_since", "_waited")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = time.monotonic()
        self._waited = 0.0
        self._since: float | None = None

    @property
    def waited(self) -> float:
        """Seconds that the client has let us wait, up to now."""
        return self._waited + (0.0 if self._since is None else time.monotonic() - self._since)

    async def wait_for(self, steps: Generator[object, object, T], waited_for: object, received: int) -> T:
        """Await what has taken the first of its ``steps``; raise ``RequestTimeout`` (408) if that takes too long.

        ``received`` are the bytes so far.
        """
        self._since = now = time.monotonic()
        left = self._begun + self._seconds + received / MIN_BYTES_PER_SECOND - now
        deadline = asyncio.timeout(left)
        try:
            async with deadline:
                message = await _Rest(steps, waited_for)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise RequestTimeout("The body of the request took too long.", headers={"Connection": "close"}) from None
        finally:
            self._waited, self._since = self.waited, None
        return message

    async def wait(self, awaitable: Awaitable[T], received: int) -> T:
        """Await something; raise ``RequestTimeout`` if that takes too long."""
        steps = awaitable.__await__()
        try:
            waited_for = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        return await self.wait_for(steps, waited_for, received)


class _Rest(Awaitable[T]):
    """The rest of an awaitable that has taken its first step."""

    def __init__(self, steps: Generator[object, object, T], waited_for: object) -> None:
        self._steps = steps
        self._waited_for = waited_for

    def __await__(self) -> Generator[object, object, T]:
        # SPEC: PEP 380: this is `yield from` after its first step; an iterator need not have throw().
        waited_for = self._waited_for
        while True:
            try:
                yield waited_for
                break
            except BaseException as error:
                throw = getattr(self._steps, "throw", None)
                if throw is None:
                    raise
                try:
                    waited_for = throw(error)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
        return (yield from self._steps)
