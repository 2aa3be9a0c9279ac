"""Conversations: what happens on a websocket after its handshake, one class per kind of handler.

How this works: the plan of a route resolves everything its handler asks for and returns a conversation in the place of
a response. Nothing is accepted until that is sent: so a refusal is a response like any other, and what components have
entered is left when the conversation is over. An error of the handler is a frame, and where it ends the connection a
close code.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing, suppress
from typing import Any, Literal

import msgspec
from django.conf import settings
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway.concurrency.thread_pool import Borrower
from hybrid_gateway.concurrency.unit_of_work import abandon_transactions
from hybrid_gateway.endpoints.errors import ErrorResponses, translate
from hybrid_gateway.exceptions import HTTPException, InternalServerError, ServiceUnavailable
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.gateway_response import GatewayResponse, ResponseThread, ShutdownSignal
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import Handler, Headers, Receive, Scope, Send
from hybrid_gateway.websockets.asgi_wire import ASGIWire
from hybrid_gateway.websockets.codec import Decode, Encode
from hybrid_gateway.websockets.connection import INTERNAL_ERROR, NORMAL, Connection, ConnectionOptions
from hybrid_gateway.websockets.websocket_context import WebSocketContext
from hybrid_gateway.websockets.wire import RESTART, RESTART_REASON, WIRE, Wire

logger = logging.getLogger("hybrid_gateway.websockets")

LAST_CLOSE = 0.5  # seconds for the last close, where the server ends a task

Values = Mapping[str, object]

CallMode = Literal["loop", "thread", "inline"]
"""Where a handler runs: on the loop as a coroutine, on a thread, or on the loop as a function that never blocks."""


class ConversationPlan(msgspec.Struct, kw_only=True, eq=False):
    """The parts of a route's conversations that are the same for all of them."""

    route: str
    options: ConnectionOptions
    handler: Handler
    errors: ErrorResponses
    on_error: Callable[[RequestContext, BaseException], Awaitable[EndpointResponse]] | None = None
    """Makes the response to an error before the handshake is accepted; known when the route is compiled."""
    decode: Decode | None = None
    encode: Encode | None = None
    mode: CallMode = "loop"
    headers: Headers = ()  # of the response that accepts


class Conversation(GatewayResponse):
    """The base of conversations. SPEC: RFC 6455 section 4.2.2: its status is 101, once it is accepted."""

    listeners: tuple[Callable[[Connection], object], ...] = ()  # of hooks

    def __init__(self, plan: ConversationPlan, values: Values) -> None:
        super().__init__(None, 101)
        self.raw_headers.extend(plan.headers)
        self.plan = plan
        self.values = values
        self.connection: Connection | None = None
        self.deadline: asyncio.Timeout  # of the handler, once the connection has ended
        self.shutdown: ShutdownSignal | None = None  # of the process, once the conversation has begun

    def when_ended(self, listener: Callable[[Connection], object]) -> None:
        """Call ``listener(connection)`` when the connection has ended, if the handshake is accepted at all."""
        self.listeners = (*self.listeners, listener)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("A websocket is no response of HTTP.")

    async def send_to(self, ctx: RequestContext, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        """Hold the conversation, from accepting the handshake to the end of the connection."""
        assert isinstance(ctx, WebSocketContext)
        self.shutdown = shutdown
        wire = find_wire(ctx, receive, send)
        try:
            if holds_transaction(ctx.lent_thread):
                raise RuntimeError(
                    f"A component or on_connect of {self.plan.route} leaves a transaction open, which would hold a "
                    "thread and its connection as long as the socket is open. Begin and end it for each message: "
                    "atomic=True on a `def` listener."
                )
            await self._converse_until_left(ctx, wire)
        except WebSocketDisconnect:
            pass  # the end of a connection is no error
        except ClientDisconnect:
            return False
        except Exception as error:
            await self.fail(ctx, error)
        except asyncio.CancelledError as error:
            if not is_cancelled():  # something that was awaited was, which is a bug like any other
                unexpected = RuntimeError("The handler was not cancelled, but something that it has awaited was.")
                unexpected.__cause__ = error
                await self.fail(ctx, unexpected)
            else:  # the server ends the task when the process ends, and waits for nobody
                await self._close_at_once(wire, RESTART, RESTART_REASON)
                raise
        except (SystemExit, KeyboardInterrupt, GeneratorExit):
            if self.connection is not None:
                self.connection.close(RESTART, RESTART_REASON)
                wire.abort()
            raise
        except BaseException:  # of the project's own, whoever shall see it
            await self._close_at_once(wire, INTERNAL_ERROR)
            raise
        finally:
            end = None if self.connection is None else self.connection.end
            if self.connection is not None and end is None:
                self.connection.close(NORMAL)
            await self.leave(
                ctx.thread, 1006 if self.connection is None or self.connection.end is None else self.connection.end.code
            )
        if self.connection is not None:
            with shutdown.cutting(wire.abort):
                await wire.wait_closed()
        return True

    async def _close_at_once(self, wire: Wire, code: int, reason: str = "") -> None:
        """Close the connection before the task ends, if anybody is there."""
        if self.connection is not None:
            self.connection.close(code, reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_CLOSE):
                    await wire.wait_closed()
            wire.abort()

    async def _converse_until_left(self, ctx: WebSocketContext, wire: Wire) -> None:
        """Converse; cancel what has not noticed the end of the connection after a while."""
        self.deadline = asyncio.timeout(None)
        try:
            async with self.deadline:
                await self.converse(ctx, wire)
        except TimeoutError:
            if not self.deadline.expired():
                raise
            if self.connection is None:
                raise ServiceUnavailable("The server is about to end.", headers={"Retry-After": "1"}) from None
            logger.warning("The handler of %s was cancelled: its connection has ended.", self.plan.route)

    async def converse(self, ctx: WebSocketContext, wire: Wire) -> None:
        """Accept the handshake and serve the connection until it ends."""
        raise NotImplementedError

    async def leave(self, thread: ResponseThread, code: int) -> None:
        """Do what is to be done once when the connection has ended, with ``code``, or was never accepted: 1006."""

    async def accept(
        self, ctx: WebSocketContext, wire: Wire, subprotocol: str | None = None, headers: Headers = ()
    ) -> Connection:
        """Accept the handshake; the headers that hooks and layers have set go with it."""
        if subprotocol is None:
            offered = ctx.websocket_scope.get("subprotocols", ())
            subprotocol = next((name for name in self.plan.options.subprotocols if name in offered), None)
        connection = Connection(wire, self.plan.options, self.plan.route)
        connection.authentication = ctx.authentication
        if ctx.authentication is not None:
            ctx.authentication.opened_at = ctx.began_at
        client = ctx.scope.get("client")
        connection.address = client[0] if client else ""
        connection.when_ended(self._end_soon)
        if isinstance(wire, ASGIWire):
            connection.when_draining(wire.begin_to_drain)
        await connection.accept(subprotocol, [*self.raw_headers, *headers])
        self.connection = connection  # from here on an error is a frame
        ctx.registry.add(connection)
        for listener in self.listeners:
            connection.when_ended(listener)
        return connection

    def _end_soon(self, connection: Connection) -> None:
        _cut(self.deadline, asyncio.get_running_loop().time() + connection.handler_grace)

    # --- errors

    async def fail(self, ctx: WebSocketContext, error: Exception) -> None:
        """Answer an error that ends the conversation."""
        if self.connection is None:
            assert self.plan.on_error is not None
            await ctx.deny(await self.plan.on_error(ctx, error))
            return
        known = await self.report(ctx, error)
        told = known or InternalServerError(f"{type(error).__name__}: {error}" if settings.DEBUG else None)
        codec = self.plan.options.codec
        try:
            frame = codec.error(told)
        except Exception as failure:  # what the error tells cannot be encoded
            await self.plan.errors.respond_to_crash(ctx, failure)
            known, told = None, InternalServerError()
            frame = codec.error(told)
        with suppress(WebSocketDisconnect):
            await self.connection.send(frame)
        code = INTERNAL_ERROR if known is None else 4000 + known.status_code
        self.connection.close(code, told.detail if isinstance(told.detail, str) else "")

    async def report(self, ctx: WebSocketContext, error: Exception) -> HTTPException | None:
        """Return an error as one of HTTP; log it, and tell those who collect errors, where it is none."""
        known = translate(error)
        if known is None:
            await self.plan.errors.respond_to_crash(ctx, error)
        return known

    # --- what is not sent

    async def discard(self, thread: ResponseThread) -> None:
        """Leave what was connected: something after the plan has refused the handshake."""
        await self.leave(thread, 1006)


def find_wire(ctx: WebSocketContext, receive: Receive, send: Send) -> Wire:
    """Return the wire of the driver, unless middleware wants to see the messages."""
    own: Wire | None = (ctx.websocket_scope.get("extensions") or {}).get(WIRE)
    if own is not None and (receive, send) == ctx.io:
        return own
    return ASGIWire(ctx.websocket_scope, receive, send)


class SocketConversation(Conversation):
    """The conversation of a handler that has the socket itself."""

    async def converse(self, ctx: WebSocketContext, wire: Wire) -> None:
        """Run the handler, which accepts when it likes; one that has not when the process ends refuses with 503."""
        socket, loop = ctx.websocket, asyncio.get_running_loop()
        assert self.shutdown is not None
        with ExitStack() as until_accepted:
            until_accepted.enter_context(self.shutdown.cutting(lambda: _cut(self.deadline, loop.time())))

            async def accept(subprotocol: str | None = None, headers: Headers = ()) -> Connection:
                connection = await self.accept(ctx, wire, subprotocol, headers)
                until_accepted.close()
                return connection

            socket.attach(accept)
            await self.plan.handler(**self.values)
            if not socket.is_accepted:
                await socket.close(NORMAL)


def _cut(deadline: asyncio.Timeout, when: float) -> None:
    with suppress(RuntimeError):  # it is over
        deadline.reschedule(when)


class ListenerConversation(Conversation):
    """The conversation of a function that is called with each message."""

    async def converse(self, ctx: WebSocketContext, wire: Wire) -> None:
        """Answer messages, one after the other."""
        connection = await self.accept(ctx, wire)
        plan, codec = self.plan, self.plan.options.codec
        decode, encode = plan.decode, plan.encode
        assert decode is not None and encode is not None
        call = self.call
        while True:
            data = await connection.receive()
            try:
                value = await call(ctx, decode(data))
                if value is not None:
                    await connection.send(encode(value))
            except HTTPException as error:
                await connection.send(codec.error(error))
            except (WebSocketDisconnect, ClientDisconnect):
                raise
            except Exception as error:
                known = translate(error)
                if known is None:
                    raise
                await connection.send(codec.error(known))

    async def call(self, ctx: WebSocketContext, data: object) -> object:
        """Call the handler with one message, on a thread where it blocks."""
        handler = functools.partial(self.plan.handler, data=data, **self.values)
        return await call_handler(self.plan.mode, ctx.thread, handler, self.plan.route)


def holds_transaction(thread: object) -> bool:
    """Return whether the thread of a pool serves nobody else, since a transaction was left open on it."""
    return isinstance(thread, Borrower) and thread.holds


async def call_handler(mode: CallMode, thread: ResponseThread, handler: Handler, route: str) -> object:
    """Call a handler where it runs. Raises ``RuntimeError`` for one that leaves a transaction open on a thread."""
    if mode == "thread":
        if isinstance(thread, Borrower):  # else a test has lent its own thread, and maybe a transaction of its own
            handler = functools.partial(_call_without_transaction, handler, route)
        return await thread.run(handler)
    return await handler() if mode == "loop" else handler()


def _call_without_transaction(handler: Handler, route: str) -> object:
    """Call a handler on this thread; roll back what it has left open, however it ends, and log that.

    That is logged here, since nobody waits for the handler any more where the task that did was cancelled.
    """
    try:
        result = handler()
    except BaseException:  # that is what the client is told of
        if abandon_transactions():
            logger.exception(_LEFT_OPEN, route)
        raise
    if abandon_transactions():
        logger.error(_LEFT_OPEN, route)
        raise RuntimeError(_LEFT_OPEN % route)
    return result


_LEFT_OPEN = (
    "A function of the websocket %s has left a transaction open, which would hold a thread and its connection until "
    "the socket ends; it is rolled back. End it where it begins: atomic=True, transaction.atomic()."
)


class StreamConversation(Conversation):
    """The conversation of a generator: what it yields is sent, what the client sends is ignored."""

    async def converse(self, ctx: WebSocketContext, wire: Wire) -> None:
        """Send what comes until there is no more, or nobody is left."""
        connection = await self.accept(ctx, wire)
        connection.discards = True
        loop, encode = asyncio.get_running_loop(), self.plan.encode
        assert encode is not None
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                connection.when_ended(lambda _: _cut(deadline, loop.time()))
                async with aclosing(self._values(ctx)) as values:
                    async for value in values:
                        await connection.send(encode(value))
        except TimeoutError:
            if not deadline.expired():
                raise

    def _values(self, ctx: WebSocketContext) -> Any:
        made = self.plan.handler(**self.values)
        return made if isinstance(made, AsyncIterator) else ctx.thread.stream(made)


def is_cancelled() -> bool:
    """Return whether somebody has asked for the end of this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def finish(task: asyncio.Future[Any]) -> object:
    """Await a task to its end, however often whoever waits is cancelled; raise the cancellation then."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        raise
