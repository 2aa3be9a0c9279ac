"""The gateway: composes the dispatcher, the drivers, the threads, the lifespan and the state, once."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, Unpack

import msgspec
from django.urls import NoReverseMatch, get_script_prefix
from starlette.requests import ClientDisconnect

from hybrid_gateway.auth.revalidation import ended_authentications
from hybrid_gateway.binding.components import AppComponents
from hybrid_gateway.binding.signature import signature_namespace
from hybrid_gateway.building.build_context import BuildContext
from hybrid_gateway.building.middleware_compiler import middleware_factories
from hybrid_gateway.channels.process_channels import channels
from hybrid_gateway.concurrency.asgiref_bridge import (
    LoopRegistry,
    ThreadHolder,
    current_request,
    enter_request,
    run_in_fresh_context,
)
from hybrid_gateway.concurrency.caller_threads import LoopThread
from hybrid_gateway.concurrency.thread_pools import ThreadPools, reset_pooled_connections
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.dispatch.prefixes import Prefixes, static_prefix
from hybrid_gateway.django_side.handler import DjangoSide
from hybrid_gateway.drivers.asgi_driver import ASGIDriver
from hybrid_gateway.drivers.wsgi_driver import WSGIDriver
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.events.emitter import Emitter
from hybrid_gateway.events.event_delivery import EventDelivery
from hybrid_gateway.gateway.lifespan import LateStart, Lifespan
from hybrid_gateway.gateway.options import GatewayArguments, apply_plugins, gateway_options
from hybrid_gateway.gateway.table_builder import TableBuilder
from hybrid_gateway.headers import FixedHeaders, StampedHeaders, check_headers, with_content_length
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.routing.declare import HANDLER_OPTIONS
from hybrid_gateway.routing.flat_routes import FlatRoute, join_paths
from hybrid_gateway.routing.path_template import build_path
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Environ, Handler, Headers, Receive, Scope, Send, StartResponse
from hybrid_gateway.websockets.registry import WebSocketRegistry
from hybrid_gateway.websockets.socket import WebSocket

_WRITTEN = (FixedHeaders, StampedHeaders)  # which need neither validation nor more of them


@reject_unknown_keywords(*GatewayArguments.__annotations__, elsewhere={"each handler": HANDLER_OPTIONS})
class Gateway:
    """One application in front of Django: an ASGI application itself, ``.wsgi`` is the WSGI one.

    ``routes`` is a list of routes or a dotted module with one; ``django_routes`` are the path prefixes that Django
    answers; ``path`` stands before the path of every route. ``plugins`` have ``on_gateway_init(options)``, which gets
    all of this as :class:`GatewayOptions` and returns it, changed or not. The other arguments are those of
    ``HYBRID_GATEWAY`` in lower case and the options of a layer. Mistakes in routes, signatures and components are
    raised here, as :class:`ConfigurationError`.
    """

    def __init__(self, routes: Sequence[Any] | str, **arguments: Unpack[GatewayArguments]) -> None:
        self.options = options = apply_plugins(gateway_options(routes, arguments), arguments.get("plugins", ()))
        self.state: Any = options.state
        self.openapi = msgspec.structs.replace(
            options.openapi,
            path=join_paths(options.path, options.openapi.path),
            asyncapi=join_paths(options.path, options.openapi.asyncapi),
            docs=join_paths(options.path, options.openapi.docs),
        )
        reset_pooled_connections()
        self.pools = ThreadPools(options.pool, options.threads)
        # PERF: made once; for each request a bound method would be made anew.
        self.lend_thread, self.lend_django_thread = self.pools.lend, self.pools.lend_django
        self.loops = LoopRegistry()
        self.loop_thread = LoopThread()
        # A gateway that nobody refers to any more (tests build many) takes its threads with it.
        weakref.finalize(self, self.pools.close)
        weakref.finalize(self, self.loop_thread.close)
        self.middleware = middleware_factories(options.layers.middleware)
        self.dispatcher = dispatcher = Dispatcher(
            Prefixes([*options.django_routes, *static_prefix()] if options.django_routes else ()),
            DjangoSide(mode=options.django_side, static=arguments.get("static"), body_timeout=options.body_timeout),
            fallthrough=options.fallthrough,
            encoded_slashes=options.encoded_slashes,
            grace=options.graceful_timeout,
        )
        find_ended = partial(ended_authentications, lend=self.pools.lend_beside)
        grace, most, observers = options.graceful_timeout, options.max_websockets, options.websocket_observers
        self.websocket_registry = WebSocketRegistry(dispatcher.shutdown, grace, find_ended, most, observers)
        self.django_websockets = options.django_websockets
        components = AppComponents()
        self._lifespan = Lifespan(options, components, lambda: dispatcher.table)
        self._late_start = LateStart(
            lambda: self.run_outside_requests(self.startup()),
            lambda: self.run_outside_requests(self.shutdown()),
            dispatcher.shutdown,
        )
        self.emit = Emitter(EventDelivery(self.lend_thread, self.loops, self.loop_thread, type(self)))
        context = BuildContext(
            gateway=self,
            state=self.state,
            components=components,
            reverse_url=self.reverse_url,
            emit=self.emit,
            dispatcher=dispatcher,
            pools=self.pools,
            middleware=options.layers.middleware,
            debugger=options.pdb_on_exception,
        )
        self._builder = TableBuilder(context, options, self.openapi, self._lifespan.hooks, self._not_ready_reason)
        self._changing = threading.Lock()  # what is declared, and the table that is made of it
        self._publish(options.routes, ())
        self.asgi = ASGIDriver(self)
        self.wsgi = WSGIDriver(self, self.asgi)
        self._answer: Callable[[RequestContext, Scope, Receive, Send], Awaitable[None]] = self.asgi.answer
        self._attend: Callable[[Scope, Receive, Send], Awaitable[None]] = self.asgi.attend
        self._find_directly: Callable[[RequestContext, Scope], Endpoint | None] = self.asgi.find_directly
        self._body_timeout = None if options.body_timeout == RequestContext.body_timeout else options.body_timeout
        self._has_hsts = dispatcher.security.hsts is not None
        self._write: Callable[[Send, int, Headers, bytes], bool] | None = None  # known once a server asks

    def __repr__(self) -> str:
        prefixes = ", ".join(self.dispatcher.prefixes.prefixes)
        return f"<Gateway with {len(self.routes)} routes; Django answers {prefixes}>"

    # --- routes

    def _publish(self, declared: tuple[Any, ...], overrides: tuple[Mapping[Any, Any], ...]) -> None:
        """Let everything that is declared take the place of what was; a mistake in it changes nothing."""
        own = {"Gateway": Gateway, "WebSocket": WebSocket}
        with signature_namespace({**own, **self.options.layers.signature_namespace}):
            table = self._builder.build(declared, overrides)
        self._declared, self._overrides = declared, overrides
        self.emit.publish(table.events)
        self.dispatcher.table = table
        # with the first request, unless a server does
        self._starts_late = self.has_lifespan and not self._lifespan.has_started
        self._loop: asyncio.AbstractEventLoop | None = None  # of requests for which nothing is to be made ready

    def register(self, *routes: Any) -> None:
        """Add routes to those of the gateway, while it may be serving; raises what building one does, and adds none."""
        with self._changing:
            self._publish((*self._declared, *routes), self._overrides)
            if self.emit.table:
                self.wsgi.knows_requests()

    @contextlib.contextmanager
    def override(self, replacements: Mapping[Any, Any]) -> Iterator[None]:
        """In tests: while entered, ``{type or provider: value or provider}`` takes the place of what is registered.

        A function or a component provides; anything else, a class among it, is the value itself. Raises
        :class:`ConfigurationError` for a key that nothing asks for.
        """
        mine = dict(replacements)
        self._builder.check_overrides(mine)
        with self._changing:
            self._publish(self._declared, (*self._overrides, mine))
        try:
            yield
        finally:
            with self._changing:
                self._publish(self._declared, tuple(other for other in self._overrides if other is not mine))

    @property
    def routes(self) -> Sequence[FlatRoute]:
        """All routes, in the order in which they are declared."""
        return self.dispatcher.table.routes

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The compiled routes: an endpoint for each method."""
        return self.dispatcher.table.endpoints

    @property
    def websockets(self) -> Sequence[Endpoint]:
        """The compiled routes of websockets."""
        return self.dispatcher.table.websocket_endpoints

    @property
    def serves_docs(self) -> bool:
        """True if the document is served, and with it a page that shows it, at the paths that ``openapi`` has."""
        return any(route.path == self.openapi.path and not route.layers.include_in_schema for route in self.routes)

    def reverse_url(self, name: str | Handler, /, **path_params: Any) -> str:
        """Return the path of the route called ``name`` (``"auth:login"``), percent-encoded, below the script prefix.

        A handler stands for its own route. Raises ``NoReverseMatch`` for an unknown or ambiguous name, for a handler
        that is not listed, and for missing, surplus or ill-typed parameters.
        """
        table = self.dispatcher.table
        candidates = table.names.get(name, ()) if isinstance(name, str) else table.routes_of(name)
        if not candidates:
            raise NoReverseMatch(f"Reverse for {name!r} not found. The gateway has no route of that name.")
        exact = [route for route in candidates if {p.name for p in route.template.parameters} == path_params.keys()]
        fitting = exact or candidates
        if len({route.path for route in fitting}) > 1:
            paths = ", ".join(route.path for route in fitting)
            raise NoReverseMatch(f"Reverse for {name!r} is ambiguous: {paths}. Give the routes names of their own.")
        return get_script_prefix().rstrip("/") + build_path(fitting[0].name, fitting[0].template, path_params)

    def get_route(self, name: str) -> FlatRoute:
        """Return the first route called ``name``: its ``path``, ``methods``, ``handler`` and ``opt``.

        Raises ``KeyError`` where there is none; ``gateway.routes`` lists them all.
        """
        return self.dispatcher.table.names[name][0]

    # --- serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one scope: the gateway is an ASGI application."""
        if scope["type"] != "http":
            if scope["type"] == "websocket" and (loop := asyncio.get_running_loop()) is not self._loop:
                await self._meet(loop)
            await self._attend(scope, receive, send)
            return
        if current_request() is not None:  # uvicorn starts a pipelined request in the context of the one before it
            await run_in_fresh_context(self(scope, receive, send))
            return
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            await self._meet(loop)
        ctx = RequestContext(scope, receive, self.lend_thread)
        if self._body_timeout is not None:
            ctx.body_timeout = self._body_timeout
        enter_request(ctx)
        try:
            endpoint = self._find_directly(ctx, scope)
            if endpoint is None:
                await self._answer(ctx, scope, receive, send)
                return
            # PERF: here, not in a coroutine of the driver's: 1,500 instructions.
            now = endpoint.respond_now
            response: Any = endpoint.respond(ctx) if now is None or endpoint.takes_body else now(ctx)
            if type(response) is CoroutineType:
                response = await response
            if not isinstance(response, tuple):
                await self.dispatcher.run_response(ctx, endpoint, response, receive, send)
                return
            status, headers, body = response
            if type(headers) not in _WRITTEN or self._has_hsts:
                headers = self.dispatcher.security.finalize(ctx, status, headers, endpoint.security_headers)
                check_headers(headers)
            if self._write is None or not self._write(send, status, headers, body):
                fields = with_content_length(status, headers, body)
                await send({"type": "http.response.start", "status": status, "headers": fields})
                await send({"type": "http.response.body", "body": body if ctx.method != "HEAD" else b""})
        except ClientDisconnect:
            pass  # nobody is left to answer
        finally:
            ctx.release()

    async def _meet(self, loop: asyncio.AbstractEventLoop) -> None:
        """Get ready for the requests of a loop, with the first of them."""
        if self._starts_late:
            await self._late_start.wait()
            self._answer = self._late_start.counting(self.asgi.answer)
            self._attend = self._late_start.counting(self.asgi.attend)
            self._find_directly = lambda ctx, scope: None  # those answers nobody would count
        self.loops.adopt(loop)
        if "uvicorn.protocols.http.httptools_impl" in sys.modules:
            from hybrid_gateway.drivers.response_heads import ResponseHeads

            self._write = self.asgi.write = ResponseHeads().write
        if "uvicorn.protocols.websockets.websockets_sansio_impl" in sys.modules:
            from hybrid_gateway.drivers.sockets.websocket_takeover import Takeover

            self.asgi.handshakes.take_over = Takeover(self.dispatcher).take
        self._loop = loop

    @property
    def may_skip_asgi(self) -> bool:
        """True if nobody has replaced ``__call__``, so that a request that it never sees misses nothing."""
        return type(self).__call__ is Gateway.__call__

    async def serve(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        """Answer one scope, with the blocking work of this request on ``thread``."""
        await self.asgi.serve(scope, receive, send, thread)

    def serve_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one WSGI request on the caller's thread, whose database connections are left alone: for tests."""
        return self.wsgi.serve(environ, start_response)

    # --- start-up and shutdown

    @property
    def has_lifespan(self) -> bool:
        """True if there is anything to start up."""
        return bool(self._lifespan) or bool(self.emit.table)

    @property
    def starts_with_requests(self) -> bool:
        """True if start-up is, or was, a request's, because no server tells of a lifespan."""
        return self._starts_late or self._late_start.is_used

    def _not_ready_reason(self) -> str | None:
        """Return why no request should come now, whatever the health checks say."""
        if self.draining:
            return "draining"
        return "starting" if self.has_lifespan and not self._lifespan.has_started else None

    async def startup(self) -> None:
        """Open app-lifetime components, then run start-up hooks and enter lifespans."""
        self.dispatcher.shutdown.reset()
        self.dispatcher.shutdown.watch_signals()
        channels.start()
        await self._lifespan.start()
        self._starts_late = False

    async def shutdown(self) -> None:
        """Undo :meth:`startup` in reverse."""
        self.dispatcher.shutdown.forget_signals()
        try:
            await self.emit.delivery.drain(self.options.graceful_timeout)
            await self._lifespan.stop()
        finally:
            await channels.stop()

    @property
    def draining(self) -> bool:
        """True if the process is about to end: event streams have ended, and new requests are soon rejected."""
        return self.dispatcher.shutdown.has_begun

    def drain(self) -> None:
        """Begin to end: for servers of one's own; signals and the lane's server do it by themselves. Any thread."""
        self.dispatcher.shutdown.begin()

    async def run_outside_requests(self, work: Awaitable[None]) -> None:
        """Await ``work`` with a thread for what it asks of the ORM, which leaves no connection open either."""
        thread = self.lend_thread()
        self.loops.begin(ThreadHolder(thread))
        try:
            await work
        finally:
            thread.release()
