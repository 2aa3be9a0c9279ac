"""The ASGI driver: moves bytes between an ASGI server and the endpoints, or hands the request to Django untouched."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from django.conf import settings
from django.urls import set_script_prefix
from starlette.requests import ClientDisconnect

from hybrid_gateway.auth import Authentication
from hybrid_gateway.concurrency.asgiref_bridge import ReentrantThread, thread_sensitive
from hybrid_gateway.concurrency.caller_threads import AsgirefThread, is_disconnect
from hybrid_gateway.concurrency.request_thread import RequestThread
from hybrid_gateway.dispatch.fallback import NotRouted, RejectedRequest
from hybrid_gateway.dispatch.mounts import Mounted
from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import (
    HTTPException,
    RequestTimeout,
    ServiceUnavailable,
)
from hybrid_gateway.headers import FixedHeaders, checked_send, headers_to_send, with_content_length
from hybrid_gateway.middleware import ROUTED
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.path_info import path_info
from hybrid_gateway.responses.gateway_response import GatewayResponse
from hybrid_gateway.sessions.django_context import DJANGO_REQUEST
from hybrid_gateway.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from hybrid_gateway.gateway.application import Gateway

__all__ = ["ASGIDriver"]

logger = logging.getLogger("hybrid_gateway")


Answering: TypeAlias = Endpoint | Mounted | NotRouted | RejectedRequest

_CALL = "hybrid_gateway.call"  # on its way through middleware
_FORCED = "hybrid_gateway.authentication"  # put there by a test client; no server has such a key


class ASGIDriver:
    """Answers ``http``, ``lifespan`` and ``websocket`` scopes for one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._fallthrough = gateway.fallthrough
        self._django = gateway.django
        self._lend_typed, self._lend_django = gateway.lend_thread, gateway.lend_django_thread
        self._django_below = gateway.django_prefixes.below
        self._django_exact = gateway.django_prefixes.exact
        self._screening = gateway.screening
        self._recognises = gateway.screening.is_known_good
        self._security = gateway.security
        self._has_hsts = gateway.security.hsts is not None
        self._may_redirect = gateway.security.redirects
        self._ending = gateway.ending
        self._forced_root = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
        self._middleware = _wrap(self._answer_inside_middleware, gateway.middleware) if gateway.middleware else None

    async def attend(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scope that is not ``http``."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            # SPEC: ASGI: closing before accepting refuses the handshake with 403.
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            # DJANGO: the words of ASGIHandler.__call__ (core/handlers/asgi.py), which people search for.
            raise ValueError(f"Django can only handle ASGI/HTTP connections, not {kind}.")

    async def serve(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        """Answer one ``http`` scope; blocking work runs on ``thread``."""
        ctx = RequestContext(scope, receive, lambda: thread)
        force_authentication(ctx)
        with thread_sensitive(thread), contextlib.suppress(ClientDisconnect):
            await self.answer(ctx, scope, receive, send)

    async def answer(self, ctx: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """The same, where asgiref knows of the thread already. Raises ``ClientDisconnect`` when nobody is left."""
        path = scope["path"]
        root = self._forced_root or scope.get("root_path")
        if root:
            path = path_info(path, root)
        # PERF: most requests are recognised, and refuse() is not asked.
        if self._may_redirect or self._ending.is_on or not self._recognises(ctx, scope, path):
            refusal = self.refuse(ctx, path)
            if self._ending.is_on and ctx.is_http_1:
                send = _closing(send)
            if ctx.raw_headers is not scope["headers"]:
                scope = ctx.adopt({**scope, "headers": ctx.raw_headers})
            if refusal is not None:
                await self.answer_refused(ctx, refusal, receive, send)
                return
        # PERF: what Gateway.is_django does; a call less.
        if path is not None and (
            path.startswith(self._django_below)
            or path in self._django_exact
            or (self._fallthrough and self._gateway.falls_through(self._gateway.table, path))
        ):
            if ctx.lender is self._lend_typed:  # else a test has lent its own
                ctx.borrow(self._lend_django)
            try:
                await self._django.asgi(scope, receive, send, ctx.thread)
            except RequestTimeout as error:
                if ctx.lender is self._lend_django:
                    ctx.borrow(self._lend_typed)
                await self.answer_refused(ctx, error, receive, send)
        elif self._middleware is not None:
            await self._middleware({**ctx.with_state(), _CALL: ctx}, receive, checked_send(send))
        else:
            endpoint = self.open(ctx, path, root)
            if endpoint.middleware:
                await self._answer_through_middleware(ctx, endpoint, receive, send)
                return
            answer = await endpoint.respond(ctx)
            if type(answer) is tuple:  # PERF: what _send does, without the 0.2 µs of one more coroutine
                status, headers, body = answer
                if self._has_hsts or type(headers) is not FixedHeaders:
                    headers = self._security.complete(ctx, status, headers, endpoint.security_headers)
                    headers = headers_to_send(status, headers, body)
                else:
                    headers = with_content_length(status, headers, body)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body if ctx.method != "HEAD" else b""})
            else:
                await self.send_response(ctx, endpoint, answer, receive, send)

    async def answer_refused(self, ctx: RequestContext, refusal: HTTPException, receive: Receive, send: Send) -> None:
        """Answer a request that nobody shall see."""
        refused = RejectedRequest(self._gateway, refusal)
        await self._send(ctx, refused, await refused.respond(ctx), receive, send)

    async def _send(self, ctx: RequestContext, endpoint: Answering, answer: Any, receive: Receive, send: Send) -> None:
        if type(answer) is tuple:
            status, headers, body = self.completed(ctx, endpoint, answer)
            await send(
                {"type": "http.response.start", "status": status, "headers": headers_to_send(status, headers, body)}
            )
            await send({"type": "http.response.body", "body": body if ctx.method != "HEAD" else b""})
        else:
            await self.send_response(ctx, endpoint, answer, receive, send)

    def completed(self, ctx: RequestContext, endpoint: Answering, answer: Any) -> Any:
        """A whole answer with the security headers of the project."""
        status, headers, body = answer
        return status, self._security.complete(ctx, status, headers, endpoint.security_headers), body

    async def _answer_inside_middleware(self, scope: Scope, receive: Receive, send: Send) -> None:
        ctx = _under(scope[_CALL], scope, receive)
        root = self._forced_root or scope.get("root_path") or ""
        endpoint = self.open(ctx, path_info(scope["path"], root), root)
        await self._answer_through_middleware(ctx, endpoint, receive, send)

    async def _answer_through_middleware(
        self, ctx: RequestContext, endpoint: Answering, receive: Receive, send: Send
    ) -> None:
        app = _wrap(self._answer_inside_route, endpoint.middleware)
        await app({**ctx.with_state(), ROUTED: (ctx, endpoint)}, receive, checked_send(send))

    async def _answer_inside_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        routed, endpoint = scope[ROUTED]
        ctx = _under(routed, scope, receive)
        ctx.path_values = routed.path_values
        request = scope.get(DJANGO_REQUEST)
        if request is None:
            await self._send(ctx, endpoint, await endpoint.respond(ctx), receive, send)
            return
        if not isinstance(routed.thread, AsgirefThread):
            ctx.move(ReentrantThread(routed.thread).use_for_task())
        request.caller.enter(ctx)
        answer = await endpoint.respond(ctx)
        request.is_answered = type(answer) is tuple
        await self._send(ctx, endpoint, answer, receive, send)

    # --- what is answered before either side is asked

    def refuse(self, ctx: RequestContext, path: str | None) -> HTTPException | None:
        """Why neither side shall see the request, if there is a reason."""
        refusal = self._screening.validate(ctx, path)
        if refusal is None and (self._ending.is_on or self._may_redirect or not self._screening.knows_host(ctx)):
            return self._precheck(ctx, path)
        return refusal

    def _precheck(self, ctx: RequestContext, path: str | None) -> HTTPException | None:
        """The reasons that do not count for probes, which come from inside, by address, and until the very end."""
        if path is not None and self._is_probe(path, ctx.method):
            return None
        refusal = self._screening.validate_host(ctx)
        if refusal is None and self._ending.refuses:
            headers = {"Retry-After": "1", **({"Connection": "close"} if ctx.is_http_1 else {})}
            return ServiceUnavailable("The server is about to end.", headers=headers)
        if refusal is None and self._may_redirect and path is not None:
            return self._security.redirect(ctx, path)
        return refusal

    def _is_probe(self, path: str, method: str) -> bool:
        found = self._gateway.table.tree.find(path, method)
        return found is not None and bool(found[0].route.opt.get("probe"))

    # --- who answers

    def open(self, ctx: RequestContext, path: str | None, root: str | None) -> Answering:
        """What answers ``ctx``, which learns the values in its path. ``path`` is ``None`` where nobody can tell it."""
        if root:
            set_script_prefix(root)
        table, method = self._gateway.table, ctx.method
        found = None
        if path is not None:
            found = table.tree.find(path, method) or self._find_other_slash(table, path, method)
        if found is None:
            mounted = self._find_mounted(table, path)
            if mounted is not None:
                return mounted
            unrouted = NotRouted(self._gateway, table, path, root or "")
            ctx.path_values = unrouted.path_values
            return unrouted
        endpoint, ctx.path_values = found
        return endpoint

    def _find_mounted(self, table: RoutingTable, path: str | None) -> Mounted | None:
        if path is None or not table.mounts or table.tree.methods(path):
            return None
        return None if self._gateway.other_slash(table, path) is not None else table.mounts.find(path)

    def _find_other_slash(self, table: RoutingTable, path: str, method: str) -> tuple[Endpoint, tuple[Any, ...]] | None:
        if self._gateway.trailing_slash != "ignore" or table.tree.methods(path):
            return None
        other = self._gateway.other_slash(table, path)
        return None if other is None else table.tree.find(other, method)

    async def send_response(
        self, ctx: RequestContext, endpoint: Answering, response: Any, receive: Receive, send: Send
    ) -> None:
        """Let a Starlette response send itself; then let the request end, and the work begin that follows it."""
        if ctx.exits:  # how long their thread is held is the client's to say
            ctx.thread.hold_long()
        send = self._security.completing(send, ctx, endpoint.security_headers)
        work = getattr(response, "background", None)
        if work is not None:
            response.background = None
        try:
            is_sent = await self._send_all(ctx, response, receive, send)
        except BaseException as error:
            if is_disconnect(error):  # which is no error of what has answered, whoever tells of it, and however
                await endpoint.end(ctx, work)
                raise
            if isinstance(error, Exception):
                self._gateway.table.errors.send_signal(ctx)  # the server logs it, and ends the connection
            await endpoint.end(ctx, error=error)
            raise
        await endpoint.end(ctx, work if is_sent else None)

    async def _send_all(self, ctx: RequestContext, response: Any, receive: Receive, send: Send) -> bool:
        """Send a response; return whether that came to its end before the process did."""
        if isinstance(response, GatewayResponse):
            return await response.send_to(ctx, receive, send, self._ending)
        await response(ctx.scope, receive, checked_send(send))
        return True

    # --- lifespan

    async def _live(self, receive: Receive, send: Send) -> None:
        """SPEC: ASGI lifespan. Django's handler raises on it, so the gateway answers by itself."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if not await self._report(self._gateway.startup(), "lifespan.startup", send):
                    return
            elif message["type"] == "lifespan.shutdown":
                await self._report(self._gateway.shutdown(), "lifespan.shutdown", send)
                return

    async def _report(self, work: Awaitable[None], phase: str, send: Send) -> bool:
        try:
            await self._gateway.run_outside_requests(work)
        except Exception as error:
            logger.exception("%s failed", phase)
            await send({"type": f"{phase}.failed", "message": f"{type(error).__name__}: {error}"})
            return False
        await send({"type": f"{phase}.complete"})
        return True


def force_authentication(ctx: RequestContext) -> None:
    """Take over who a test client says is calling."""
    if _FORCED in ctx.scope:
        forced = ctx.scope[_FORCED]
        ctx.authentication = forced if isinstance(forced, Authentication) else None


def _closing(send: Send) -> Send:
    """Tell the client that this is the last answer on its connection."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
            message = {**message, "headers": [*others, (b"connection", b"close")]}
        await send(message)

    return send_closing


def _under(outer: RequestContext, scope: Scope, receive: Receive) -> RequestContext:
    """The same request as middleware hands it on."""
    ctx = RequestContext(scope, receive, lambda: outer.thread)
    ctx.authentication = outer.authentication
    return ctx


def _wrap(app: ASGIApp, middleware: Sequence[Callable[[ASGIApp], ASGIApp]]) -> ASGIApp:
    for factory in reversed(middleware):
        app = factory(app)
    return app
