"""The ASGI driver: moves bytes between an ASGI server and the endpoints, or hands the request to Django untouched."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import ClientDisconnect

from hybrid_gateway.concurrency.asgiref_bridge import ReentrantThread, enter_request, thread_sensitive
from hybrid_gateway.concurrency.caller_threads import AsgirefThread
from hybrid_gateway.dispatch.dispatcher import Responder, force_authentication
from hybrid_gateway.dispatch.handshakes import Handshakes
from hybrid_gateway.dispatch.request_checks import MAX_PATH, PLAIN, is_plain_path
from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import RequestTimeout
from hybrid_gateway.headers import checked_send
from hybrid_gateway.middleware import ROUTED
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.head_parsing import path_info
from hybrid_gateway.request.request_parts import DJANGO_REQUEST
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.routing.path_template import PathValues
from hybrid_gateway.routing.route_tree import Convert
from hybrid_gateway.types import ASGIApp, ASGIMiddlewareFactory, Headers, Message, Receive, Scope, Send
from hybrid_gateway.websockets.websocket_context import WebSocketContext

logger = logging.getLogger("hybrid_gateway")

_CONTEXT = "hybrid_gateway.context"  # in the scope: the request, on its way through middleware


class ASGIDriver:
    """Answers ``http``, ``lifespan`` and ``websocket`` scopes for one gateway."""

    def __init__(self, application: ServedApplication) -> None:
        self._application = application
        self._dispatcher = dispatcher = application.dispatcher
        self._lend_typed, self._lend_django = application.lend_thread, application.lend_django_thread
        # PERF: of the dispatcher, one look-up instead of two or three for each request.
        self._django = dispatcher.django
        self._django_below = dispatcher.prefixes.below
        self._django_exact = dispatcher.prefixes.exact
        self._fallthrough = dispatcher.fallthrough
        self._is_known_good = dispatcher.validator.is_known_good
        self._find_responder = dispatcher.find_responder
        self._knows_head = dispatcher.validator.knows_head
        self._answers_directly = dispatcher.answers_directly
        self._may_redirect = dispatcher.security.redirects
        self._shutdown = dispatcher.shutdown
        self._forced_root = dispatcher.forced_root
        middleware = application.middleware
        self._middleware = _wrap(self._answer_inside_middleware, middleware) if middleware else None
        self.handshakes = Handshakes(dispatcher, middleware, application.django_websockets)
        self.write: Callable[[Send, int, Headers, bytes], bool] | None = None  # known once a server asks
        self._is_bare = not (middleware or self._forced_root or self._may_redirect)
        self._table: RoutingTable | None = None  # that what follows is of
        self._direct_paths: Mapping[str, Mapping[str, tuple[Endpoint, PathValues]]] = {}
        self._direct_prefixes: Mapping[str, tuple[Convert, Mapping[str, Endpoint]]] = {}

    async def attend(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scope that is not ``http``."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._answer_lifespan(receive, send)
        elif kind == "websocket":
            ctx = WebSocketContext(scope, receive, send, self._lend_typed)
            enter_request(ctx)
            await self._answer_websocket(ctx, receive, send)
        else:
            # DJANGO: the words of ASGIHandler.__call__ (core/handlers/asgi.py), which people search for.
            raise ValueError(f"Django can only handle ASGI/HTTP connections, not {kind}.")

    async def _answer_websocket(self, ctx: WebSocketContext, receive: Receive, send: Send) -> None:
        ctx.registry = self._application.websocket_registry
        force_authentication(ctx)
        scope = ctx.websocket_scope
        path, root = scope["path"], self._forced_root or scope.get("root_path")
        try:
            with contextlib.suppress(ClientDisconnect):
                await self.handshakes.answer(ctx, path_info(path, root) if root else path, receive, send)
        finally:
            ctx.release()

    async def serve(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        """Answer one ``http`` or ``websocket`` scope; blocking work runs on ``thread``."""
        if scope["type"] == "websocket":
            with thread_sensitive(thread):
                await self._answer_websocket(WebSocketContext(scope, receive, send, lambda: thread), receive, send)
            return
        ctx = RequestContext(scope, receive, lambda: thread)
        force_authentication(ctx)
        with thread_sensitive(thread), contextlib.suppress(ClientDisconnect):
            await self.answer(ctx, scope, receive, send)

    def find_directly(self, ctx: RequestContext, scope: Scope) -> Endpoint | None:
        """Return the endpoint that answers a request like most, with nothing around it and nothing to check.

        PERF: :meth:`answer` would come to the same; this spares a coroutine and 10,000 instructions.
        """
        if not self._is_bare or self._shutdown.has_begun or scope.get("root_path") or not self._knows_head(ctx, scope):
            return None
        if self._table is not self._dispatcher.table:
            table = self._dispatcher.table
            self._direct_paths, self._find = self._dispatcher.direct_paths(), table.tree.find
            self._direct_prefixes = self._dispatcher.direct_prefixes(self._direct_paths)
            self._table = table
        path: str = scope["path"]
        methods = self._direct_paths.get(path)
        found = None if methods is None else methods.get(ctx.method)
        if found is None:
            before, _, text = path.rpartition("/")
            last = self._direct_prefixes.get(before)
            if last is not None and len(path) <= MAX_PATH:
                convert, endpoints = last
                value, endpoint = convert(text), endpoints.get(ctx.method)
                # PERF: of a number nothing has to be asked; other text is looked through, a character at a time.
                if endpoint is not None and value is not None and (type(value) is int or not text.strip(PLAIN)):
                    ctx.path_values = (value,)
                    return endpoint
            if not is_plain_path(path) or len(path) > MAX_PATH:
                return None
            found = self._find(path, ctx.method)
            if found is None or not self._answers_directly(path, found[0]):
                return None
        endpoint, ctx.path_values = found
        return endpoint

    async def answer(self, ctx: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ``http`` scope, where asgiref knows of the thread already.

        Raises ``ClientDisconnect`` when nobody is left.
        """
        path = scope["path"]
        root = self._forced_root or scope.get("root_path")
        if root:
            path = path_info(path, root)
        # PERF: most requests are known to be good, and validate() is not asked.
        if self._may_redirect or self._shutdown.has_begun or not self._is_known_good(ctx, scope, path):
            error = self._dispatcher.validate(ctx, path)
            if self._shutdown.has_begun and ctx.is_http_1:
                send = _closing(send)
            if ctx.raw_headers is not scope["headers"]:
                scope = ctx.adopt({**scope, "headers": ctx.raw_headers})
            if error is not None:
                await self._dispatcher.send_rejection(ctx, error, receive, send)
                return
        # PERF: Dispatcher.is_django, without two calls: 0.1 µs of each request.
        if path is not None and (
            path.startswith(self._django_below)
            or path in self._django_exact
            or (self._fallthrough and self._dispatcher.falls_through(path))
        ):
            if ctx.lender is self._lend_typed:  # else a test has lent its own
                ctx.borrow(self._lend_django)
            try:
                await self._django.asgi(scope, receive, send, ctx.thread)
            except RequestTimeout as error:
                if ctx.lender is self._lend_django:
                    ctx.borrow(self._lend_typed)
                await self._dispatcher.send_rejection(ctx, error, receive, send)
        elif self._middleware is not None:
            await self._middleware({**ctx.with_state(), _CONTEXT: ctx}, receive, checked_send(send))
        else:
            responder = self._find_responder(ctx, path, root)
            if responder.middleware:
                await self._answer_through_middleware(ctx, responder, receive, send)
                return
            response = await responder.respond(ctx)
            if self.write is not None and isinstance(response, tuple):
                response = status, headers, body = self._dispatcher.finalize(ctx, responder, response)
                if self.write(send, status, headers, body):
                    return
            await self._dispatcher.send_response(ctx, responder, response, receive, send)

    # --- through ASGI middleware, which may change the scope

    async def _answer_inside_middleware(self, scope: Scope, receive: Receive, send: Send) -> None:
        ctx = _under(scope[_CONTEXT], scope, receive)
        root = self._forced_root or scope.get("root_path") or ""
        responder = self._find_responder(ctx, path_info(scope["path"], root), root)
        await self._answer_through_middleware(ctx, responder, receive, send)

    async def _answer_through_middleware(
        self, ctx: RequestContext, responder: Responder, receive: Receive, send: Send
    ) -> None:
        app = _wrap(self._answer_inside_route, responder.middleware)
        await app({**ctx.with_state(), ROUTED: (ctx, responder)}, receive, checked_send(send))

    async def _answer_inside_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        routed, responder = scope[ROUTED]
        ctx = _under(routed, scope, receive)
        ctx.path_values = routed.path_values
        request = scope.get(DJANGO_REQUEST)
        if request is not None:
            if not isinstance(routed.thread, AsgirefThread):
                ctx.move(ReentrantThread(routed.thread).use_for_task())
            request.caller.enter(ctx)
        response = await responder.respond(ctx)
        if request is not None:
            request.is_answered = isinstance(response, tuple)
        await self._dispatcher.send_response(ctx, responder, response, receive, send)

    # --- lifespan

    async def _answer_lifespan(self, receive: Receive, send: Send) -> None:
        """Run start-up and shutdown when the server says so. SPEC: ASGI lifespan, on which Django's handler raises."""
        while (kind := (await receive())["type"]) != "lifespan.shutdown":
            if kind == "lifespan.startup" and not await self._report(self._application.startup(), kind, send):
                return
        await self._report(self._application.shutdown(), kind, send)

    async def _report(self, work: Awaitable[None], phase: str, send: Send) -> bool:
        try:
            await self._application.run_outside_requests(work)
        except Exception as error:
            logger.exception("%s failed", phase)
            await send({"type": f"{phase}.failed", "message": f"{type(error).__name__}: {error}"})
            return False
        await send({"type": f"{phase}.complete"})
        return True


def _closing(send: Send) -> Send:
    """Return ``send`` that tells the client that this is the last response on its connection."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
            message = {**message, "headers": [*others, (b"connection", b"close")]}
        await send(message)

    return send_closing


def _under(outer: RequestContext, scope: Scope, receive: Receive) -> RequestContext:
    """Return the context of the same request as middleware hands it on."""
    ctx = RequestContext(scope, receive, lambda: outer.thread)
    ctx.authentication = outer.authentication
    return ctx


def _wrap(app: ASGIApp, middleware: Sequence[ASGIMiddlewareFactory]) -> ASGIApp:
    for factory in reversed(middleware):
        app = factory(app)
    return app
