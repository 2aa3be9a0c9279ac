"""Answers that do not come in time.

What is given up is not awaited: what it entered is left behind whatever still runs on its thread, which may hang.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.exceptions import ConfigurationError, GatewayTimeout
from hybrid_gateway.request.context import RequestContext

__all__ = ["with_timeout", "check_timeout"]

logger = logging.getLogger("hybrid_gateway")

Respond = Callable[..., Coroutine[Any, Any, Any]]

_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
_TICK = 0.01  # seconds between two looks at how long the body takes, at least
_given_up: set[asyncio.Task[Any]] = set()  # until they end: a loop knows its tasks only weakly


def check_timeout(seconds: Any) -> float:
    """``seconds``, if somebody may wait so long; else :class:`ConfigurationError`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigurationError(f"timeout={seconds!r} must be a number of seconds above 0, or None.")
    return seconds


def with_timeout(respond: Respond, seconds: float, give_up: Callable[[Any, Exception], Awaitable[Any]]) -> Respond:
    """``respond`` whose answer after so many seconds is ``give_up(ctx, error)``, where there is a loop to tell."""

    async def endpoint(ctx: RequestContext) -> Any:
        loop = running_loop()
        if loop is None:  # stepped by a WSGI worker
            return await respond(ctx)
        task = asyncio.Task(respond(ctx), loop=loop, **_EAGER)
        if task.done():  # PERF: what never waits needs no timer
            return task.result()
        try:
            await _wait(task, ctx, seconds)
        except asyncio.CancelledError:
            task.cancel()
            while not task.done():  # however often a server in a hurry cancels: the request lets its thread go next
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((task,))
            raise
        if task.done():
            return task.result()
        task.cancel()
        _given_up.add(task)
        task.add_done_callback(_forget)
        try:
            raise GatewayTimeout(f"There was no answer within {seconds:g} s.")
        except GatewayTimeout as error:  # with a traceback, as all that are logged have one
            return await give_up(ctx, error)

    return endpoint


async def _wait(task: asyncio.Task[Any], ctx: RequestContext, seconds: float) -> None:
    """Until ``task`` is done or its time is up, in which the wait for the client's body does not count."""
    began, left = time.monotonic(), seconds
    while left > 0 and not task.done():
        await asyncio.wait((task,), timeout=max(left, _TICK))
        left = seconds + ctx.waited - (time.monotonic() - began)


def _forget(task: asyncio.Task[Any]) -> None:
    _given_up.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.error("A request that took too long failed as it was given up", exc_info=task.exception())
