"""Clean-up of a request: what it has entered is left last in, first out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from types import TracebackType
from typing import Literal, NoReturn, TypeVar

from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import AFTER_RESPONSE, HANDLED, Exit, SyncExit

T = TypeVar("T")


def enter(
    ctx: RequestContext, manager: AbstractContextManager[T], mode: Literal["inline", "thread"], moment: int = HANDLED
) -> T:
    """Enter a context manager and remember to leave it with the request; at once where that was cancelled meanwhile."""
    value = manager.__enter__()
    entry = ctx.on_exit(mode, manager, moment)
    if ctx.is_given_up:
        _leave_at_once(ctx, entry, manager)
    return value


def _leave_at_once(ctx: RequestContext, entry: Exit, manager: SyncExit) -> NoReturn:
    """On a thread for which nobody waits any more; unless the loop, which has begun to leave, has come to it first."""
    error = asyncio.CancelledError("The request was given up.")
    try:
        (ctx.exits or []).remove(entry)
    except ValueError:
        raise error from None
    manager.__exit__(type(error), error, None)
    raise error


async def enter_async(
    ctx: RequestContext, manager: AbstractAsyncContextManager[T], mode: Literal["loop"], moment: int = HANDLED
) -> T:
    """Enter an asynchronous context manager and remember to leave it with the request."""
    value = await manager.__aenter__()
    ctx.on_async_exit(manager, moment)
    return value


async def close_all(
    ctx: RequestContext, error: BaseException | None, moment: int = AFTER_RESPONSE, *, since: int = 0
) -> BaseException | None:
    """Leave what the request entered up to ``moment``, each where it was entered; return the error now in flight.

    What was entered before ``since``, a position among the entries, is left alone.
    Every clean-up sees the error, unless it was entered to handle that. One that fails replaces it and never keeps the
    others from running; one that swallows it does not turn the failure into a response.
    """
    while (entry := _next_exit(ctx.exits or [], moment, since)) is not None:
        details: Details = (None, None, None)
        if error is not None and error is not entry.known_error:
            details = (type(error), error, error.__traceback__)
        try:
            if entry.async_manager is not None:
                await entry.async_manager.__aexit__(*details)
            elif entry.manager is None:
                continue
            elif entry.mode == "thread":
                await _shielded(ctx.thread.run(_leave, ctx, entry.manager, details))
            else:
                entry.manager.__exit__(*details)
        except BaseException as raised:
            error = raised
    if ctx.shared:  # what is closed is nobody's any more
        ctx.shared = {key: entry for key, entry in ctx.shared.items() if entry[0] > moment}
    return error


def _next_exit(exits: list[Exit], moment: int, since: int) -> Exit | None:
    """Take the last of ``exits`` that is due; a later one never needs one that lasts shorter."""
    if moment >= AFTER_RESPONSE:
        return exits.pop() if len(exits) > since else None
    for position in range(len(exits) - 1, since - 1, -1):
        if exits[position].moment <= moment:
            return exits.pop(position)
    return None


Details = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def _leave(ctx: RequestContext, manager: SyncExit, details: Details) -> None:
    """Leave ``manager`` on the thread of the request, which is free again with the last that was entered there."""
    try:
        manager.__exit__(*details)
    finally:
        if not any(entry.mode == "thread" for entry in ctx.exits or ()):
            ctx.thread.free()


async def _shielded(unit: Awaitable[None]) -> None:
    """Await a clean-up that blocks; no cancellation, nor several, skip it in the queue or leave it behind.

    The request lets its thread go afterwards, and with it a transaction that the clean-up was to commit. Asynchronous
    clean-ups stay in the task that entered them, as task groups and context variables need it.
    """
    if running_loop() is None:  # stepped by a WSGI worker: nobody can cancel it
        await unit
        return
    task = asyncio.ensure_future(unit)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        raise
