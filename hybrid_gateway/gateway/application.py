"""The gateway: owns the settings, the route tree, the threads, the lifespan and the state, and wires them once."""

from __future__ import annotations

import contextlib
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Unpack

import msgspec
from django.conf import settings as django_settings
from django.urls import NoReverseMatch, get_script_prefix
from starlette.datastructures import State
from starlette.requests import ClientDisconnect

from hybrid_gateway.binding.app_components import AppComponents
from hybrid_gateway.binding.components import Provider
from hybrid_gateway.building.endpoint_builder import EndpointBuilder, middleware_factories
from hybrid_gateway.concurrency.asgiref_bridge import LoopRegistry, ThreadHolder, in_request, run_in_fresh_context
from hybrid_gateway.concurrency.loop_thread import LoopThread
from hybrid_gateway.concurrency.pooled_connections import reset_pooled_connections
from hybrid_gateway.concurrency.thread_pools import ThreadPools
from hybrid_gateway.conf import DjangoSideMode, EncodedSlashes, OpenAPISettings, TrailingSlash
from hybrid_gateway.dispatch.mounts import Mounts
from hybrid_gateway.dispatch.prefixes import Prefixes, static_prefix
from hybrid_gateway.dispatch.request_checks import RequestValidator
from hybrid_gateway.dispatch.routing_table import RoutingTable, build_route_tree, routes_by_name
from hybrid_gateway.dispatch.security_headers import SecurityHeaders
from hybrid_gateway.dispatch.shutdown import Shutdown
from hybrid_gateway.django_side.handler import DjangoSide
from hybrid_gateway.drivers.asgi_driver import ASGIDriver
from hybrid_gateway.drivers.wsgi_driver import WSGIDriver
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.gateway.late_start import LateStart
from hybrid_gateway.gateway.lifespan import Lifespan
from hybrid_gateway.gateway.options import GatewayOptions, apply_plugins
from hybrid_gateway.health import databases
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions, Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.path_info import path_info
from hybrid_gateway.routing.declare import HANDLER_OPTIONS, Mount, describe_handler, import_routes
from hybrid_gateway.routing.layers import FlatRoute, find_mounts, flatten, join_paths
from hybrid_gateway.routing.reverse import build_path
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["Gateway"]


@reject_unknown_keywords(*LAYER_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS})
class Gateway:
    """One application in front of Django: an ASGI application itself, ``.wsgi`` is the WSGI one.

    ``routes`` is a list of routes or a dotted module with one; ``django_routes`` are the path prefixes that Django
    answers; ``path`` stands before the path of every route. ``plugins`` have ``on_gateway_init(options)``, which gets
    all of this as :class:`GatewayOptions` and returns it, changed or not. The other arguments are those of
    ``HYBRID_GATEWAY`` in lower case and the options of a layer. Mistakes in routes, signatures and components are
    raised here, as :class:`ConfigurationError`.
    """

    def __init__(
        self,
        routes: Sequence[Any] | str,
        *,
        path: str = "",
        django_routes: Iterable[str] = (),
        django_side: DjangoSideMode = "auto",
        fallthrough: bool = False,
        trailing_slash: TrailingSlash = "redirect",
        encoded_slashes: EncodedSlashes = "refuse",
        threads: int = 8,
        body_timeout: float = 30,
        graceful_timeout: float = 10,
        pdb_on_exception: bool = False,
        openapi: OpenAPISettings | None = None,
        static: bool | None = None,
        lifespan: Sequence[Callable[..., Any]] = (),
        on_startup: Sequence[Callable[..., Any]] = (),
        on_shutdown: Sequence[Callable[..., Any]] = (),
        health_checks: Sequence[Any] | None = None,
        plugins: Sequence[Any] = (),
        **layer: Unpack[LayerOptions],
    ) -> None:
        options = GatewayOptions(
            routes=tuple(import_routes(routes, "HYBRID_GATEWAY['ROUTES']") if isinstance(routes, str) else routes),
            path=path,
            django_routes=tuple(django_routes),
            django_side=django_side,
            fallthrough=fallthrough,
            trailing_slash=trailing_slash,
            encoded_slashes=encoded_slashes,
            threads=threads,
            body_timeout=body_timeout,
            graceful_timeout=graceful_timeout,
            pdb_on_exception=pdb_on_exception,
            openapi=openapi if openapi is not None else OpenAPISettings(enabled=False),
            lifespan=_as_tuple(lifespan),
            on_startup=_as_tuple(on_startup),
            on_shutdown=_as_tuple(on_shutdown),
            health_checks=(databases,) if health_checks is None else tuple(health_checks),
            layers=Layers().inside(layer, "the gateway"),
        )
        self.options = options = apply_plugins(options, plugins)
        self.state = State()
        self.fallthrough = options.fallthrough
        self.trailing_slash = options.trailing_slash
        self.openapi = _below(options.path, options.openapi)
        self.body_timeout = options.body_timeout
        self.around_unrouted = options.around_unrouted
        reset_pooled_connections()
        self.pools = ThreadPools(options.pool, options.threads)
        self.pool, self.streams = self.pools.typed, self.pools.streams
        # PERF: made once; for each request a bound method would be made anew.
        self.lend_thread, self.lend_django_thread = self.pools.lend, self.pools.lend_django
        self.loops = LoopRegistry()
        self.loop_thread = LoopThread()
        prefixes = options.django_routes
        self.django_prefixes = Prefixes([*prefixes, *static_prefix()] if prefixes else ())
        self.django = DjangoSide(mode=options.django_side, static=static, body_timeout=options.body_timeout)
        self.middleware = middleware_factories(options.layers.middleware)
        self.screening = RequestValidator(
            self.side,
            lambda path: bool(self.side(path)) or self.is_django(path),
            lambda: self.table.secrets,
            self.is_django if options.encoded_slashes == "django" else None,
        )
        self.security = SecurityHeaders()
        self.ending = Shutdown(options.graceful_timeout)
        self._lifespan = Lifespan(options.lifespan, options.on_startup, options.on_shutdown)
        self._app = AppComponents()
        self._is_started = False
        self.late_start = LateStart(
            lambda: self.run_outside_requests(self.startup()),
            lambda: self.run_outside_requests(self.shutdown()),
            self.ending,
        )
        self.cors = options.layers.cors  # of what no route answers
        self._layers = msgspec.structs.replace(options.layers, middleware=())
        self._changing = threading.Lock()  # what is declared, and the table that is made of it
        self._declared: tuple[Any, ...] = options.routes
        self._overrides: tuple[Mapping[Any, Any], ...] = ()
        self.table = self._compile(self._declared, self._overrides)
        # A gateway that nobody refers to any more (tests build many) takes its threads with it.
        weakref.finalize(self, _stop, self.pools, self.loop_thread)
        self.asgi = ASGIDriver(self)
        self._answer: Any = self.asgi.answer
        self.wsgi = WSGIDriver(self)

    def __repr__(self) -> str:
        return (
            f"<Gateway with {len(self.table.routes)} routes; Django answers {', '.join(self.django_prefixes.prefixes)}>"
        )

    # --- building

    def _compile(self, declared: Sequence[Any], overrides: Iterable[Mapping[Any, Any]]) -> RoutingTable:
        """Everything that is declared, ready to take the place of what was: a mistake in it changes nothing."""
        replaced = {key: value for replacements in overrides for key, value in replacements.items()}
        builder = EndpointBuilder(self, self.state, self._app, replaced)
        builder.readiness(self.options.health_checks, self._layers, self._not_ready_reason)
        endpoints: list[Endpoint] = []
        routes: list[FlatRoute] = []
        mounts = list(find_mounts(declared, self.options.path))
        for path, mount in mounts:
            self._check_mount(path, mount)
        flat = list(flatten(declared, self._layers, self.options.path))
        for route in flat:
            self._check_reachable(route)
        taken = {route.path for route in flat}
        for route in [*flat, *self._own_routes(lambda: table, taken, Mounts(mounts))]:
            compiled = [builder.endpoint(route, method) for method in route.methods]
            routes.append(compiled[0].route)
            endpoints += compiled
        errors = builder.errors(self._layers)
        unrouted = builder.unrouted_middleware(self._layers)
        table = RoutingTable(
            routes=routes,
            endpoints=endpoints,
            names=routes_by_name(routes),
            tree=build_route_tree(endpoints),
            mounts=Mounts(mounts),
            errors=errors,
            without_route=builder.without_route(errors),
            django_middleware=unrouted,
            passes_django=unrouted is not None or any(endpoint.django_middleware for endpoint in endpoints),
            webhooks=builder.described(self.openapi.webhooks),
            secrets=builder.secrets(),
            hooks={id(hook): builder.given_to(hook, self._layers) for hook in self._lifespan.hooks},
        )
        self.starts_late = self.has_lifespan and not self._is_started  # with the first request, unless a server does
        return table

    def _own_routes(
        self, table: Callable[[], RoutingTable], taken: Container[str], mounts: Mounts
    ) -> Iterable[FlatRoute]:
        """The document and its pages, where the project has nothing at their paths."""
        enabled = self.openapi.enabled if self.openapi.enabled is not None else django_settings.DEBUG
        if not enabled or self._is_taken(self.openapi.path, taken, mounts):
            return ()
        from hybrid_gateway.openapi import routes

        own = flatten(routes(table, self.openapi), Layers())
        return [route for route in own if not self._is_taken(route.path, taken, mounts)]

    def _is_taken(self, path: str, taken: Container[str], mounts: Mounts) -> bool:
        """Whether a path that is ours by default is the project's: a route's, a mount's, or a page of Django's."""
        if path in taken or mounts.find(path) is not None or self.django_prefixes.find(path.casefold()) is not None:
            return True
        return self.fallthrough and self.django.has_page(path)

    def _check_reachable(self, route: FlatRoute) -> None:
        start = route.path.partition("{")[0]
        path = route.path if route.template.is_static else start
        prefix = self.django_prefixes.find(path) or self.django_prefixes.find(path.casefold())
        if prefix is not None:
            raise RouteError(
                f"{route.methods[0]} {route.path} ({describe_handler(route.handler)}) lies under {prefix!r}, which "
                "Django answers, so it could never be reached. Move the route, or narrow ALLOWED_DJANGO_ROUTES."
            )

    def _check_mount(self, path: str, mount: Mount) -> None:
        prefix = self.django_prefixes.find(path)
        if prefix is not None:
            raise RouteError(f"{mount!r} lies under {prefix!r}, which Django answers, so it could never be reached.")

    def register(self, *routes: Any) -> None:
        """Add routes to those of the gateway, while it may be serving; raises what building one does, and adds none."""
        with self._changing:
            declared = (*self._declared, *routes)
            self.table = self._compile(declared, self._overrides)
            self._declared = declared

    @contextlib.contextmanager
    def override(self, replacements: Mapping[Any, Any]) -> Iterator[None]:
        """In tests: while entered, ``{type or provider: value or provider}`` takes the place of what is registered."""
        mine = dict(replacements)
        with self._changing:
            self._override([*self._overrides, mine])
        try:
            yield
        finally:
            with self._changing:
                self._override(other for other in self._overrides if other is not mine)

    def _override(self, overrides: Iterable[Mapping[Any, Any]]) -> None:
        chosen = tuple(overrides)
        self.table = self._compile(self._declared, chosen)
        self._overrides = chosen

    @property
    def routes(self) -> Sequence[FlatRoute]:
        """All routes, in the order in which they are declared."""
        return self.table.routes

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """What the routes were compiled to: one for each method."""
        return self.table.endpoints

    # --- names

    def reverse_url(self, name: str, /, **path_params: Any) -> str:
        """The path of the route called ``name`` (``"auth:login"``), percent-encoded, below the script prefix.

        Raises ``NoReverseMatch`` for an unknown or ambiguous name and for missing, surplus or ill-typed parameters.
        """
        candidates = self.table.names.get(name, [])
        if not candidates:
            raise NoReverseMatch(f"Reverse for {name!r} not found. The gateway has no route of that name.")
        exact = [route for route in candidates if {p.name for p in route.template.parameters} == path_params.keys()]
        fitting = exact or candidates
        if len({route.path for route in fitting}) > 1:
            paths = ", ".join(route.path for route in fitting)
            raise NoReverseMatch(f"Reverse for {name!r} is ambiguous: {paths}. Give the routes names of their own.")
        return get_script_prefix().rstrip("/") + build_path(name, fitting[0].template, path_params)

    def get_route(self, name: str) -> FlatRoute:
        """The first route called ``name``: its ``path``, ``methods``, ``handler`` and ``opt``.

        Raises ``KeyError`` where there is none; ``gateway.routes`` lists them all.
        """
        return self.table.names[name][0]

    def side(self, path: str) -> str:
        """Who answers ``path``, by prefixes alone: Django, an application that is mounted there, or the routes."""
        return self.django_prefixes.find(path) or self.table.mounts.prefix(path) or ""

    def is_django(self, path: str) -> bool:
        """Whether Django answers ``path`` (without script prefix)."""
        return path in self.django_prefixes or (self.fallthrough and self.falls_through(self.table, path))

    def falls_through(self, table: RoutingTable, path: str) -> bool:
        """Whether Django gets a path that lies below none of its prefixes, where ``FALLTHROUGH`` is set.

        A route or a mount of ``table`` answers its own paths. Of a path that is a route's but for the final slash,
        Django's URLconf is asked first, so that no page of the project's is redirected to a route.
        """
        if table.tree.methods(path):
            return False
        if self.other_slash(table, path) is not None:
            return self.django.resolve(path) is not None
        return table.mounts.find(path) is None

    def refuses(self, scope: Any) -> bool:
        """Whether neither side would see an HTTP request, by its path, its method or its headers."""
        path = path_info(scope["path"], scope.get("root_path", ""))
        return self.screening.validate(RequestContext(scope, _nobody, self.lend_thread), path) is not None

    def other_slash(self, table: RoutingTable, path: str) -> str | None:
        """The known path that differs from ``path`` by its final slash, unless slashes are to be taken strictly."""
        if self.trailing_slash == "strict" or path == "/":
            return None
        other = path[:-1] if path.endswith("/") else path + "/"
        return other if table.tree.methods(other) else None

    # --- serving

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self.asgi.attend(scope, receive, send)
        elif in_request():  # uvicorn starts a pipelined request in the context of the one before it
            await run_in_fresh_context(self(scope, receive, send))
        else:
            if self.starts_late:
                await self.late_start.wait()
                self._answer = self.late_start.counting(self.asgi.answer)
            ctx = RequestContext(scope, receive, self.lend_thread)
            ctx.body_timeout = self.body_timeout
            self.loops.begin(ctx)
            try:
                await self._answer(ctx, scope, receive, send)
            except ClientDisconnect:
                pass  # nobody is left to answer
            finally:
                ctx.release()

    async def serve(self, scope: Any, receive: Any, send: Any, thread: Any) -> None:
        """The ASGI application, with the thread that blocking work of this request shall run on."""
        await self.asgi.serve(scope, receive, send, thread)

    def serve_wsgi(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """The WSGI application, on the caller's thread, whose database connections are left alone: for tests."""
        return self.wsgi.serve(environ, start_response)

    @property
    def serves_docs(self) -> bool:
        """Whether the document is served, and with it a page that shows it, at the paths that ``openapi`` has."""
        return any(route.path == self.openapi.path and not route.layers.include_in_schema for route in self.routes)

    @property
    def has_lifespan(self) -> bool:
        """Whether there is anything to start up."""
        return bool(self._lifespan) or not self._app.is_empty

    def _not_ready_reason(self) -> str | None:
        """Why no request should come now, whatever the health checks say."""
        if self.draining:
            return "draining"
        return "starting" if self.has_lifespan and not self._is_started else None

    async def startup(self) -> None:
        """Open app-lifetime components, then run start-up hooks and enter lifespans."""
        self.ending.reset()
        self.ending.watch_signals()
        await self._app.open_all()
        await self._lifespan.enter(self._give)
        self._is_started, self.starts_late = True, False

    async def shutdown(self) -> None:
        """Undo :meth:`startup` in reverse."""
        self.ending.forget_signals()
        self._is_started = False
        try:
            await self._lifespan.leave()
        finally:
            await self._app.close()

    async def _give(self, hook: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a start-up hook and the like."""
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        for parameter, given in self.table.hooks[id(hook)]:
            value = await self._app.open_async(given) if isinstance(given, Provider) else given
            if parameter.raw.kind is inspect.Parameter.POSITIONAL_ONLY:
                arguments.append(value)
            else:
                keywords[parameter.name] = value
        return arguments, keywords

    @property
    def draining(self) -> bool:
        """Whether the process is about to end: event streams have ended, and new requests get a 503, if not at once."""
        return self.ending.is_on

    def drain(self) -> None:
        """Begin to end: for servers of one's own; signals and the lane's server do it by themselves. Any thread."""
        self.ending.begin()

    async def run_outside_requests(self, work: Awaitable[None]) -> None:
        """Await ``work`` with a thread for what it asks of the ORM, which leaves no connection open either."""
        thread = self.lend_thread()
        self.loops.begin(ThreadHolder(thread))
        try:
            await work
        finally:
            thread.release()


async def _nobody() -> Any:
    raise RuntimeError("A request that is only looked at has no body.")


def _stop(*threads: ThreadPools | LoopThread) -> None:
    for thread in threads:
        thread.close()


def _below(prefix: str, openapi: OpenAPISettings) -> OpenAPISettings:
    """The document and its page, moved with the routes."""
    return msgspec.structs.replace(
        openapi, path=join_paths(prefix, openapi.path), docs=join_paths(prefix, openapi.docs)
    )


def _as_tuple(hooks: Any) -> tuple[Any, ...]:
    return (hooks,) if callable(hooks) else tuple(hooks)
