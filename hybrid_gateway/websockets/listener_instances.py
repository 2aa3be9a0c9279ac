"""Listeners that are classes: an instance per connection, and what each of its methods asks for."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext

import msgspec

from hybrid_gateway.responses.gateway_response import ResponseThread
from hybrid_gateway.types import Handler, Headers
from hybrid_gateway.websockets.connection import Connection
from hybrid_gateway.websockets.conversations import (
    CallMode,
    ConversationPlan,
    ListenerConversation,
    Values,
    call_handler,
    finish,
    is_cancelled,
)
from hybrid_gateway.websockets.websocket_context import WebSocketContext
from hybrid_gateway.websockets.wire import Wire

logger = logging.getLogger("hybrid_gateway.websockets")


class ListenerMethod(msgspec.Struct, frozen=True):
    """A method of a listener: its function, the names of what is injected, and where it runs."""

    function: Handler
    parameters: Sequence[str]
    mode: CallMode
    takes_code: bool = False


class ListenerMethods(msgspec.Struct, frozen=True, kw_only=True):
    """The methods of a listener that run after its handshake."""

    on_message: ListenerMethod
    on_disconnect: ListenerMethod | None
    on_drain: ListenerMethod | None


class ListenerInstance(ListenerConversation):
    """The conversation of a :class:`Listener`: an instance, and what each of its methods asks for."""

    def __init__(self, plan: ConversationPlan, methods: ListenerMethods, instance: object, values: Values) -> None:
        super().__init__(plan, values)
        self._methods = methods
        self._instance = instance
        self._is_left = False
        self._ctx: WebSocketContext | None = None
        self._drain: asyncio.Future[object] | None = None

    async def accept(
        self, ctx: WebSocketContext, wire: Wire, subprotocol: str | None = None, headers: Headers = ()
    ) -> Connection:
        self._ctx = ctx
        connection = await super().accept(ctx, wire, subprotocol, headers)
        method = self._methods.on_drain
        if method is not None:

            def begin() -> None:
                self._drain = asyncio.ensure_future(self._run(ctx.thread, method, {}))

            connection.when_draining(begin)
        return connection

    async def call(self, ctx: WebSocketContext, data: object) -> object:
        return await self._run(ctx.thread, self._methods.on_message, {"data": data})

    async def leave(self, thread: ResponseThread, code: int) -> None:
        if self._is_left:
            return
        self._is_left = True
        method = self._methods.on_disconnect
        try:
            if self._drain is not None:
                if self.connection is not None and not self._drain.done():
                    asyncio.get_running_loop().call_later(self.connection.handler_grace, self._drain.cancel)
                await self._end_with(self._drain)
        finally:  # however that ends
            if method is not None:
                await self._end_with(self._run(thread, method, {"code": code} if method.takes_code else {}))

    async def _end_with(self, work: Awaitable[object]) -> None:
        """Await the last work for a connection to its end, or to that of the process; report what it raises."""
        task = asyncio.ensure_future(work)
        try:
            with nullcontext() if self.shutdown is None else self.shutdown.cutting(task.cancel):
                await finish(task)
        except asyncio.CancelledError:
            if not task.cancelled() or is_cancelled():
                raise
            logger.warning("The last work for a connection to %s was cancelled.", self.plan.route)
        except Exception as error:
            if self._ctx is None:
                logger.exception("The end of a connection to %s failed", self.plan.route)
            else:
                await self.plan.errors.respond_to_crash(self._ctx, error)

    async def _run(self, thread: ResponseThread, method: ListenerMethod, given: Values) -> object:
        values = {name: self.values[name] for name in method.parameters} | dict(given)
        handler = functools.partial(method.function, self._instance, **values)
        return await call_handler(method.mode, thread, handler, self.plan.route)
