"""Everything a gateway answers with, as one value: a request sees the old one or the new one, never some of each."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hybrid_gateway.auth.request_credentials import SecretCarriers
from hybrid_gateway.binding.signature import Parameter
from hybrid_gateway.conf import TrailingSlash
from hybrid_gateway.cors import CORS
from hybrid_gateway.dispatch.fallback_routes import FallbackRoutes
from hybrid_gateway.dispatch.mounts import Mounts
from hybrid_gateway.endpoints.completion import Completion
from hybrid_gateway.endpoints.endpoint import Endpoint, PooledMiddleware
from hybrid_gateway.endpoints.errors import ErrorResponses
from hybrid_gateway.events.event_listeners import EventTable
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.routing.path_template import PathValues
from hybrid_gateway.routing.route_tree import RouteTree
from hybrid_gateway.routing.websocket_routes import WEBSOCKET
from hybrid_gateway.types import Handler, Headers


class RoutingTable(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything that is compiled of what a gateway declares. It is built whole, and then takes the place of another.

    Whoever looks twice for one request takes it once (``table = dispatcher.table``) and asks that.
    """

    routes: Sequence[FlatRoute]
    endpoints: Sequence[Endpoint]
    document_paths: frozenset[str]
    """The paths of the documents and their pages, which nobody has declared."""
    names: Mapping[str, Sequence[FlatRoute]]
    tree: RouteTree[Endpoint]
    websockets: RouteTree[Endpoint]
    """Those of websockets, which may share a path with routes of HTTP."""
    websocket_endpoints: Sequence[Endpoint]
    mounts: Mounts
    fallbacks: FallbackRoutes
    """Routes that are asked where no other answers: those of front ends."""
    errors: ErrorResponses
    """The responses to exceptions where no route answers."""
    without_route: Completion
    """The end of requests that no route answers."""
    django_middleware: PooledMiddleware | None
    """Django's middleware of the whole gateway, around responses without a route."""
    passes_django: bool
    """True if that, or any route, has any."""
    cors: CORS | None
    """The rules for responses without a route."""
    security_headers: Headers
    """Headers of responses without a route."""
    around_unrouted: Sequence[Callable[..., Awaitable[EndpointResponse]]]
    """Functions of plugins around responses without a route, outer to inner."""
    trailing_slash: TrailingSlash
    """The rule for a path that is a route's but for its final slash."""
    webhooks: Sequence[Endpoint]
    """Routes that others are to offer, for the document alone."""
    hooks: Mapping[int, Sequence[tuple[Parameter, Any]]]
    """The arguments of start-up hooks and the like, by the hook's ``id()``: values, or providers that live as long."""
    secrets: SecretCarriers
    """The places in which requests to any of the routes carry secrets."""
    events: EventTable
    """The listeners of all layers."""

    def other_slash(self, path: str) -> str | None:
        """Return the route's path that differs from ``path`` by its final slash, unless slashes are taken strictly."""
        if self.trailing_slash == "strict" or path == "/":
            return None
        other = path[:-1] if path.endswith("/") else path + "/"
        return other if self.tree.methods(other) else None

    def routes_of(self, handler: Handler) -> list[FlatRoute]:
        """Return the routes whose handler is the function ``handler``, decorated or not."""
        asked = plain_function(handler)
        return [route for route in self.routes if plain_function(route.handler) is asked]

    def find_fallback(self, path: str, method: str) -> tuple[Endpoint, PathValues] | None:
        """Return the endpoint of a front end, and the values in the path, where no route and no mount is there."""
        if not self.fallbacks or self.tree.methods(path) or self.other_slash(path) is not None:
            return None
        return self.fallbacks.find(path, method)

    def find_websocket(self, path: str) -> tuple[Endpoint, PathValues] | None:
        """Return the endpoint of websockets at a path, and the values in it."""
        return self.websockets.find(path, WEBSOCKET) or self.fallbacks.find(path, WEBSOCKET)

    def __repr__(self) -> str:
        return f"<Table of {len(self.routes)} routes>"


def build_route_tree(endpoints: Iterable[Endpoint]) -> RouteTree[Endpoint]:
    """Return the tree of ``endpoints``; raise :class:`RouteError` where two would answer the same."""
    tree: RouteTree[Endpoint] = RouteTree()
    for endpoint in endpoints:
        route = endpoint.route
        taken = tree.add(route.template, endpoint.method, endpoint)
        if taken is not endpoint:
            raise RouteError(
                f"{endpoint.method} {route.path} is answered twice: by {describe_handler(taken.route.handler)} at "
                f"{taken.route.path!r} and by {describe_handler(route.handler)}. Remove one, or give them different "
                "paths.",
                id="R010",
                place=place_of(route.handler),
            )
    for endpoint in endpoints:
        if endpoint.method == "GET":  # where no route of its own answers HEAD
            tree.add(endpoint.route.template, "HEAD", endpoint)
    return tree


def plain_function(handler: Handler) -> object:
    """Return the function that is behind a handler: behind its method, its decorators, its route."""
    return inspect.unwrap(getattr(handler, "__func__", handler))


def routes_by_name(routes: Iterable[FlatRoute]) -> dict[str, list[FlatRoute]]:
    """Return the routes of each name; raise :class:`RouteError` where a project gave one to two handlers."""
    names: dict[str, list[FlatRoute]] = {}
    for route in routes:
        names.setdefault(route.name, []).append(route)
    for name, known in names.items():
        chosen = [route for route in known if route.named]
        handlers = {id(getattr(route.handler, "__func__", route.handler)) for route in chosen}
        if len(handlers) > 1:
            places = " and ".join(f"{route.path} ({describe_handler(route.handler)})" for route in chosen)
            raise RouteError(
                f"The route name {name!r} is given twice: {places}. Rename one.",
                id="R011",
                place=place_of(chosen[-1].handler),
            )
        if chosen:
            names[name] = chosen
    return names
