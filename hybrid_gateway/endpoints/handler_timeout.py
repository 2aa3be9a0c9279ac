"""Responses that do not come in time.

A task that takes too long is cancelled, but not awaited: it closes what it entered behind whatever still runs on its
thread, which may hang.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.exceptions import ConfigurationError, GatewayTimeout
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse

logger = logging.getLogger("hybrid_gateway")

Respond = Callable[[RequestContext], Coroutine[object, None, EndpointResponse]]

_start_task: Callable[..., asyncio.Task[Any]] = asyncio.Task
if sys.version_info >= (3, 12):
    _start_task = partial(asyncio.Task, eager_start=True)
_MIN_WAIT = 0.01  # seconds between two looks at how long the body takes
_timed_out: set[asyncio.Task[EndpointResponse]] = set()  # until they end: a loop knows its tasks only weakly


def check_timeout(seconds: object) -> float:
    """Return ``seconds``; raise :class:`ConfigurationError` unless it is a positive number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigurationError(f"timeout={seconds!r} must be a number of seconds above 0, or None.", id="H001")
    return seconds


def with_timeout(
    respond: Respond, seconds: float, time_out: Callable[[RequestContext, Exception], Awaitable[EndpointResponse]]
) -> Respond:
    """Return ``respond`` whose response after so many seconds is ``time_out(ctx, error)``, where there is a loop."""

    async def endpoint(ctx: RequestContext) -> EndpointResponse:
        loop = running_loop()
        if loop is None:  # stepped by a WSGI worker
            return await respond(ctx)
        task: asyncio.Task[EndpointResponse] = _start_task(respond(ctx), loop=loop)
        if task.done():  # PERF: what never waits needs no timer
            return task.result()
        began, left = time.monotonic(), seconds
        try:
            while left > 0 and not task.done():
                await asyncio.wait((task,), timeout=max(left, _MIN_WAIT))
                left = seconds + ctx.waited - (time.monotonic() - began)  # the wait for the body does not count
        except asyncio.CancelledError:
            task.cancel()
            while not task.done():  # however often a server in a hurry cancels: the request lets its thread go next
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((task,))
            raise
        if task.done():
            return task.result()
        task.cancel()
        _timed_out.add(task)
        task.add_done_callback(_forget)
        try:
            raise GatewayTimeout(f"There was no answer within {seconds:g} s.")
        except GatewayTimeout as error:  # with a traceback, as all that are logged have one
            return await time_out(ctx, error)

    return endpoint


def _forget(task: asyncio.Task[EndpointResponse]) -> None:
    _timed_out.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.error("A request that took too long failed as it was given up", exc_info=task.exception())
