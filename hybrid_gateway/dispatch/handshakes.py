"""Handshakes of websockets: who answers one, and how it is refused.

How this works: a handshake is checked as a request is, and then belongs to Django's side (where a project names an
application for its websockets), to a mount, or to a route, whose endpoint gives a refusal, which is a response of HTTP,
or a conversation. Where a server cannot send such a response it is a 403.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

from starlette.requests import ClientDisconnect

from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.dispatch.fallback import RejectedRequest
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import HTTPException, NotFound, ServiceUnavailable
from hybrid_gateway.headers import checked_send
from hybrid_gateway.responses.raw_response import EndpointResponse, status_of
from hybrid_gateway.types import ASGIApp, ASGIMiddlewareFactory, Message, Receive, Scope, Send
from hybrid_gateway.websockets.websocket_context import WebSocketContext
from hybrid_gateway.websockets.wire import RESTART, RESTART_REASON

POLICY_VIOLATION = 1008
LAST_CLOSE = 0.2  # seconds for the close of a websocket of another application, at the end of the process
TURNS = 3  # of the event loop, in which a transport closes
TakeOver = Callable[[WebSocketContext, Receive, Send], AbstractAsyncContextManager[tuple[Receive, Send]] | None]
"""Takes a connection over from the server, where it can, for as long as what it returns is entered."""

_CONTEXT = "hybrid_gateway.websocket.context"  # in the scope: the handshake, on its way through middleware


class Handshakes:
    """Answers the handshakes that one gateway gets.

    ``middleware`` is around all routes, outer to inner; ``django_app`` answers the websockets below Django's prefixes.
    """

    def __init__(
        self, dispatcher: Dispatcher, middleware: Sequence[ASGIMiddlewareFactory], django_app: ASGIApp | None
    ) -> None:
        self._dispatcher = dispatcher
        self._middleware = _wrap(self._answer_inside_middleware, middleware) if middleware else None
        self._django_app = django_app
        self.take_over: TakeOver | None = None  # known once a server asks

    async def answer(self, ctx: WebSocketContext, path: str | None, receive: Receive, send: Send) -> None:
        """Answer one handshake, and hold the conversation that follows. ``path`` is below the script prefix.

        Raises ``ClientDisconnect`` where the client does not wait for the answer.
        """
        dispatcher = self._dispatcher
        error = dispatcher.validate(ctx, path)
        if error is None and dispatcher.shutdown.has_begun:
            error = _ending()
        if ctx.raw_headers is not ctx.scope["headers"]:
            ctx.adopt({**ctx.scope, "headers": ctx.raw_headers})
            ctx.websocket_scope = {**ctx.websocket_scope, "headers": ctx.raw_headers}
        if error is not None:
            await self._refuse(ctx, error, receive, send)
        elif path is not None and dispatcher.is_django(path):
            if self._django_app is None:
                await self._refuse(ctx, NotFound("Django's side has no websockets."), receive, send)
            else:
                await self._run(self._django_app, ctx.websocket_scope, receive, send)
        elif self._middleware is not None:
            await self._middleware({**ctx.websocket_scope, _CONTEXT: (ctx, path)}, receive, checked_send(send))
        else:
            await self._answer_route(ctx, path, receive, send)

    async def _answer_inside_middleware(self, scope: Scope, receive: Receive, send: Send) -> None:
        ctx, path = scope[_CONTEXT]
        ctx.websocket_scope = scope
        await self._answer_route(ctx, path, receive, send)

    async def _answer_route(self, ctx: WebSocketContext, path: str | None, receive: Receive, send: Send) -> None:
        table = self._dispatcher.table
        found = None if path is None else table.find_websocket(path)
        if found is None:
            mounted = None if path is None or table.tree.methods(path) else table.mounts.find(path)
            if mounted is not None and mounted.websocket_app is not None:
                await self._run(mounted.websocket_app, ctx.websocket_scope, receive, send)
            else:
                await self._refuse(ctx, NotFound(), receive, send)
            return
        endpoint, ctx.path_values = found
        if endpoint.middleware:
            scope = {**ctx.websocket_scope, _CONTEXT: (ctx, endpoint)}
            await _wrap(self._answer_inside_route, endpoint.middleware)(scope, receive, checked_send(send))
            return
        taken = None if self.take_over is None else self.take_over(ctx, receive, send)
        if taken is None:
            await self._converse(ctx, endpoint, receive, send)
        else:
            async with taken as (own_receive, own_send):
                await self._converse(ctx, endpoint, own_receive, own_send)

    async def _answer_inside_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        ctx, endpoint = scope[_CONTEXT]
        ctx.websocket_scope = scope
        await self._converse(ctx, endpoint, receive, send)

    async def _converse(self, ctx: WebSocketContext, endpoint: Endpoint, receive: Receive, send: Send) -> None:
        await _receive_connect(receive)

        async def deny(response: EndpointResponse) -> None:
            ctx.registry.refused(endpoint.route.path, status_of(response))
            await self._dispatcher.send_response(ctx, endpoint, response, receive, denying(send, ctx.websocket_scope))

        response: EndpointResponse | None = None

        async def decide() -> None:
            nonlocal response
            response = await endpoint.respond(ctx)

        ctx.deny = deny
        if not await self._dispatcher.shutdown.with_timeout(decide(), "A handshake"):
            response = await RejectedRequest(self._dispatcher.table, _ending()).respond(ctx)
        assert response is not None
        if isinstance(response, tuple):
            await deny(response)
        else:
            is_refusal = response.status_code != 101
            if is_refusal:
                ctx.registry.refused(endpoint.route.path, response.status_code)
            sent_by = denying(send, ctx.websocket_scope) if is_refusal else send
            await self._dispatcher.run_response(ctx, endpoint, response, receive, sent_by)

    async def _run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let another application have a websocket, as long as the process lives."""
        if not await self._dispatcher.shutdown.with_timeout(app(scope, receive, checked_send(send))):
            with suppress(Exception):  # whatever the server says: it may have closed the websocket before
                async with asyncio.timeout(LAST_CLOSE):  # gunicorn would wait for the client's answer
                    await send({"type": "websocket.close", "code": RESTART, "reason": RESTART_REASON})

    async def _refuse(self, ctx: WebSocketContext, error: HTTPException, receive: Receive, send: Send) -> None:
        await _receive_connect(receive)
        rejected = RejectedRequest(self._dispatcher.table, error)
        response = await rejected.respond(ctx)
        ctx.registry.refused("", status_of(response))
        await self._dispatcher.send_response(ctx, rejected, response, receive, denying(send, ctx.websocket_scope))


def _ending() -> HTTPException:
    return ServiceUnavailable("The server is about to end.", headers={"Retry-After": "1"})


async def _receive_connect(receive: Receive) -> None:
    # SPEC: ASGI, "Connect": the first message, which is answered
    message = await receive()
    if message["type"] != "websocket.connect":
        raise ClientDisconnect


def denying(send: Send, scope: Scope) -> Send:
    """Return a ``send`` that answers a handshake by a response of HTTP, or by 403 where the server cannot.

    SPEC: ASGI, "WebSocket Denial Response".
    """
    can_respond = "websocket.http.response" in (scope.get("extensions") or {})

    async def send_denial(message: Message) -> None:
        if can_respond:
            await send({**message, "type": f"websocket.{message['type']}"})
            if message["type"] == "http.response.body" and not message.get("more_body"):
                # uvicorn logs an error for each, unless the connection is closed before the application returns
                for _ in range(TURNS):
                    await asyncio.sleep(0)
        elif message["type"] == "http.response.start":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})

    return send_denial


def _wrap(app: ASGIApp, middleware: Sequence[ASGIMiddlewareFactory]) -> ASGIApp:
    for factory in reversed(middleware):
        app = factory(app)
    return app
