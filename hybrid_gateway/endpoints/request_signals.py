"""Django's ``request_started`` and ``request_finished`` around typed routes that ask for them.

How this works: the plan of the route begins with the first signal, and what is left last of all sends the second: after
the answer, what follows it, and the clean-ups, whatever became of them. As in Django, plain receivers run on the thread
of the request, one after the other, and then those that are ``async def``, on the loop, together. Django's own
receivers look after connections and caches; units of work have done so, on the thread that they belong to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from django.core.signals import request_finished, request_started
from django.dispatch import Signal

from hybrid_gateway._compat.django_internals import live_receivers
from hybrid_gateway.request.context import Hook, RequestContext
from hybrid_gateway.request.request_parts import AFTER_RESPONSE
from hybrid_gateway.responses.raw_response import EndpointResponse

Receiver = Callable[..., object]


def own_receivers(signal: Signal, sender: object) -> tuple[Sequence[Receiver], Sequence[Receiver]]:
    """Return the receivers of a signal that are not Django's own: plain functions, and ``async def`` ones."""
    plain, asynchronous = live_receivers(signal, sender)
    return [one for one in plain if not _is_djangos(one)], [one for one in asynchronous if not _is_djangos(one)]


def _is_djangos(receiver: Receiver) -> bool:
    module = getattr(receiver, "__module__", None) or type(receiver).__module__
    return module.partition(".")[0] == "django"


class RequestSignals:
    """Sends the signals of one gateway's requests; ``sender`` is its class."""

    def __init__(self, sender: type) -> None:
        self._sender = sender

    async def begin(self, ctx: RequestContext) -> None:
        """Send ``request_started``, with the ``environ`` of WSGI or the ``scope`` of ASGI; see to the other signal."""
        environ = getattr(ctx, "environ", None)
        given = {"scope": ctx.scope} if environ is None else {"environ": environ}
        await self._send(request_started, ctx, given)
        ctx.on_async_exit(_Finish(self, ctx), AFTER_RESPONSE)

    async def end(self, ctx: RequestContext) -> None:
        """Send ``request_finished``."""
        await self._send(request_finished, ctx, {})

    async def _send(self, signal: Signal, ctx: RequestContext, given: Mapping[str, object]) -> None:
        # DJANGO: dispatch/dispatcher.py, Signal.asend
        values = {"signal": signal, "sender": self._sender, **given}
        plain, asynchronous = own_receivers(signal, self._sender)
        if plain:
            await ctx.thread.run(_call_each, plain, values)
        if asynchronous:
            await asyncio.gather(*(_await(receiver, values) for receiver in asynchronous))


def _call_each(receivers: Sequence[Receiver], values: Mapping[str, object]) -> None:
    for receiver in receivers:
        receiver(**values)


async def _await(receiver: Receiver, values: Mapping[str, object]) -> None:
    outcome: object = receiver(**values)
    if asyncio.iscoroutine(outcome):
        await outcome


class _Finish:
    """The second signal, as the first thing that a request enters and the last that it leaves."""

    def __init__(self, signals: RequestSignals, ctx: RequestContext) -> None:
        self._signals = signals
        self._ctx = ctx

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self._signals.end(self._ctx)


async def _wait_for_the_last_byte(
    ctx: RequestContext, instance: object, response: object, error: BaseException | None
) -> EndpointResponse | None:
    return None


FINISHED_LATE = Hook(moment=AFTER_RESPONSE, on_response=_wait_for_the_last_byte, awaits=True)
"""A hook that does nothing: with it a response is not done before it is sent."""
