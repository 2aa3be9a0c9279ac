"""Declared routes, mounts and layers → the :class:`RoutingTable` by which a gateway answers."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from django.conf import settings

from hybrid_gateway.building.build_context import BuildContext
from hybrid_gateway.building.endpoint_builder import EndpointBuilder
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.dispatch.fallback_routes import FallbackRoutes
from hybrid_gateway.dispatch.mounts import Mounts
from hybrid_gateway.dispatch.routing_table import RoutingTable, build_route_tree, routes_by_name
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.events.event_listeners import read_listeners
from hybrid_gateway.exceptions import ConfigurationError, RouteError
from hybrid_gateway.gateway.options import GatewayOptions
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.routing.flat_routes import FlatRoute, find_mounts, flatten
from hybrid_gateway.type_info import format_type, resolve_aliases
from hybrid_gateway.types import Handler


@contextmanager
def without_collector() -> Iterator[None]:
    """Let the garbage collector rest. PERF: a table is no garbage, and looking for any takes an eighth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class TableBuilder:
    """Compiles all routes of one gateway, anew whenever they change.

    ``hooks`` are what runs at start-up and shutdown; ``not_ready_reason()`` tells why no request should come now.
    """

    def __init__(
        self,
        context: BuildContext,
        options: GatewayOptions,
        openapi: OpenAPISettings,
        hooks: Sequence[Handler],
        not_ready_reason: Callable[[], str | None],
    ) -> None:
        self._context = context
        self._dispatcher = context.dispatcher
        self._options = options
        self._openapi = openapi
        self._hooks = hooks
        self._not_ready_reason = not_ready_reason
        self._layers = msgspec.structs.replace(options.layers, middleware=())  # which is around all of them, once
        self._asked: set[object] = set()

    @without_collector()
    def build(self, declared: Sequence[Any], overrides: Iterable[Mapping[Any, Any]]) -> RoutingTable:
        """Return a table of ``declared``, ready to take the place of another; a mistake raises and changes nothing."""
        replaced = {key: value for replacements in overrides for key, value in replacements.items()}
        builder = EndpointBuilder(self._context, replaced)
        options, layers = self._options, self._layers
        builder.add_readiness(options.health_checks, layers, self._not_ready_reason)
        found = list(find_mounts(declared, options.path))
        mounts = Mounts(found, self._dispatcher.mount_states)
        for path, mount in found:
            prefix = self._dispatcher.prefixes.find(path)
            if prefix is not None:
                raise RouteError(
                    f"{mount!r} lies under {prefix!r}, which Django answers, so it could never be reached.", id="R012"
                )
        flat = list(flatten(declared, layers, options.path))
        for route in flat:
            self._check_reachable(route)
        endpoints: list[Endpoint] = []
        websockets: list[Endpoint] = []
        routes: list[FlatRoute] = []
        own = list(self._own_routes(lambda: table, flat, mounts))
        for route in [*flat, *own]:
            if route.websocket and route.is_fallback and route.layers.django_middleware:
                continue  # which cannot stand around it; Vite's client then connects to its own port
            compiled = [builder.endpoint(route, method) for method in route.methods]
            routes.append(compiled[0].route)
            (websockets if route.websocket else endpoints).extend(compiled)
        listed = [*layers.listeners, *(one for route in flat for one in route.layers.listeners)]
        errors, without_route = builder.without_route(layers)
        unrouted = builder.unrouted_middleware(layers)
        in_tree = [endpoint for endpoint in endpoints if not endpoint.route.is_fallback]
        websockets_in_tree = [endpoint for endpoint in websockets if not endpoint.route.is_fallback]
        fallbacks = FallbackRoutes((e for e in (*endpoints, *websockets) if e.route.is_fallback), mounts)
        fallbacks.check((*in_tree, *websockets_in_tree))
        table = RoutingTable(
            routes=routes,
            endpoints=endpoints,
            document_paths=frozenset(route.path for route in own),
            names=routes_by_name(routes),
            tree=build_route_tree(in_tree),
            websockets=build_route_tree(websockets_in_tree),
            websocket_endpoints=websockets,
            mounts=mounts,
            fallbacks=fallbacks,
            errors=errors,
            without_route=without_route,
            django_middleware=unrouted,
            passes_django=unrouted is not None or any(endpoint.django_middleware for endpoint in endpoints),
            cors=options.layers.cors,
            security_headers=self._dispatcher.security.headers,
            around_unrouted=(*options.around_unrouted, *self._debug_pages()),
            trailing_slash=options.trailing_slash,
            webhooks=builder.undispatched(self._openapi.webhooks),
            secrets=builder.secrets(),
            events=read_listeners(listed),
            hooks={id(hook): builder.hook_arguments(hook, layers) for hook in self._hooks},
        )
        self._asked.update(builder.asked)
        return table

    def check_overrides(self, replacements: Mapping[Any, Any]) -> None:
        """Raise :class:`ConfigurationError` for a key that nothing asks for: overriding it would change nothing."""
        for key in replacements:
            if resolve_aliases(key) not in self._asked:
                raise ConfigurationError(
                    f"override(): nothing here asks for {format_type(key)}. A key is the type of a parameter (what "
                    "resolve() of a component returns), or the function in Depends().",
                    id="H019",
                )

    def _own_routes(
        self, table: Callable[[], RoutingTable], flat: Sequence[FlatRoute], mounts: Mounts
    ) -> Iterable[FlatRoute]:
        """Return the routes of the documents and their pages, where the project has nothing at their paths."""
        taken = {route.path for route in flat if not route.websocket}

        def is_taken(path: str) -> bool:
            dispatcher = self._dispatcher
            if path in taken or mounts.find(path) is not None or dispatcher.prefixes.find(path.casefold()) is not None:
                return True
            return dispatcher.fallthrough and dispatcher.django.has_page(path)

        enabled = self._openapi.enabled if self._openapi.enabled is not None else settings.DEBUG
        if not enabled or is_taken(self._openapi.path):
            return ()
        from hybrid_gateway.openapi import routes as openapi_routes  # what nobody sees in production need not be loaded

        has_websockets = any(route.websocket for route in flat)
        own = flatten(openapi_routes(table, self._openapi, with_asyncapi=has_websockets), Layers())
        return [route for route in own if not is_taken(route.path)]

    def _debug_pages(self) -> Iterable[Callable[..., Awaitable[EndpointResponse]]]:
        """Return what makes a page of a 404, for browsers, where DEBUG is on when the gateway is built."""
        if not settings.DEBUG:
            return ()
        from hybrid_gateway.debug_pages.unknown_path import show_unknown_paths

        return (show_unknown_paths(self._dispatcher),)

    def _check_reachable(self, route: FlatRoute) -> None:
        path = route.path if route.template.is_static else route.path.partition("{")[0]
        prefixes = self._dispatcher.prefixes
        prefix = prefixes.find(path) or prefixes.find(path.casefold())
        if prefix is not None:
            raise RouteError(
                f"{route.methods[0]} {route.path} ({describe_handler(route.handler)}) lies under {prefix!r}, which "
                "Django answers, so it could never be reached. Move the route, or narrow ALLOWED_DJANGO_ROUTES.",
                id="R012",
                place=place_of(route.handler),
            )
