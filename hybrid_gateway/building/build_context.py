"""The things that all routes of one gateway are compiled with, and empty plans for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from django.urls import get_script_prefix
from starlette.datastructures import QueryParams, State, URLPath
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.access_control import AuthenticationScheme
from hybrid_gateway.auth import check_csrf
from hybrid_gateway.auth.credential_store import check_installed
from hybrid_gateway.auth.request_credentials import SecretCarriers, SecretsInQueries
from hybrid_gateway.binding.components import AppComponents, Components, Overrides
from hybrid_gateway.binding.decoders import Decoders
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.signature import known_signature
from hybrid_gateway.binding.typed_values import REQUEST
from hybrid_gateway.building.hook_compiler import RouteSurroundings
from hybrid_gateway.concurrency.thread_pools import ThreadPools
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.django_side.middleware_request import UserBelow
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.events.emitter import Emitter
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import HANDLED
from hybrid_gateway.routing.declare import Route
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.routing.websocket_routes import WEBSOCKET
from hybrid_gateway.sessions.django_context import DjangoContextPlanner
from hybrid_gateway.spelling import check_attributes_of
from hybrid_gateway.types import Handler, Header
from hybrid_gateway.websockets.socket import WebSocket


class BuildContext(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The things that a gateway gives to the compilers of its routes."""

    gateway: object  # what those get who ask for the gateway
    state: object  # what all requests share, and those get who ask for its class
    components: AppComponents  # those that live as long as the process
    reverse_url: Callable[..., str]
    emit: Emitter
    dispatcher: Dispatcher
    pools: ThreadPools
    middleware: Sequence[object]  # of ASGI, around all routes, as it is listed
    debugger: bool  # whether to open one where an unexpected exception was raised

    def security_headers(self, layers: Layers) -> tuple[Header, ...]:
        """Return the security headers of responses below ``layers``."""
        return self.dispatcher.security.headers_for(layers.response_headers)

    def crash_page(self, ctx: RequestContext, error: Exception) -> str:
        """Return the page that a browser gets under ``DEBUG`` for an exception that nobody expected."""
        from hybrid_gateway.debug_pages.crash_page import crash_page

        return crash_page(self.dispatcher.table, ctx, error)


class _URLs:
    """The router of Starlette's ``Request``, which ``request.url_for(name, **path_params)`` asks for a path."""

    def __init__(self, reverse_url: Callable[..., str]) -> None:
        self._reverse_url = reverse_url

    def url_path_for(self, name: str | Handler, /, **path_params: object) -> URLPath:
        """Return the path below the script prefix, which the base URL of a request holds already."""
        return URLPath(self._reverse_url(name, **path_params).removeprefix(get_script_prefix().rstrip("/")))


class PlanFactory:
    """Makes empty plans; ``overrides`` take the place of components, as :meth:`Gateway.override` says.

    ``constants`` are what any function may ask for, by type.
    """

    def __init__(self, context: BuildContext, overrides: Mapping[Any, Any]) -> None:
        self.secrets = SecretsInQueries(lambda: context.dispatcher.table.secrets)
        self.constants: dict[object, object] = {
            type(context.gateway): context.gateway,
            **{kind: context.state for kind in (State, type(context.state)) if isinstance(context.state, kind)},
            REQUEST: _URLs(context.reverse_url),
            SecretsInQueries: self.secrets,
            Emitter: context.emit,
        }
        self._app_components = context.components
        self.overrides = Overrides(overrides)

    def components(self, layers: Layers) -> Components:
        """Return the components that functions below ``layers`` may ask for."""
        return Components(layers.components, self.overrides)

    def for_route(
        self,
        route: FlatRoute,
        layers: Layers,
        schemes: Sequence[AuthenticationScheme],
        where: str,
        around: RouteSurroundings | None,
        *,
        needs_content_type: bool,
    ) -> RoutePlanner:
        """Return an empty plan for the handler of one route.

        ``needs_content_type``: a JSON body without one is none.
        """
        scope = msgspec.structs.replace(
            self._scope(layers, where, path_types(route), around),
            constants={**self.constants, Route: route, FlatRoute: route},
            given={WebSocket: "ctx.websocket"} if route.websocket else {Response: "ctx.outgoing"},
            body_allowed=bool(set(route.methods) - {"GET", "HEAD", WEBSOCKET}),
            needs_content_type=needs_content_type,
        )
        return RoutePlanner(scope, schemes, UserBelow() if layers.django_middleware else None)

    def around_route(
        self, around: RouteSurroundings, where: str, given: Mapping[type, str], moment: int
    ) -> RoutePlanner:
        """Return an empty plan for a function that runs once a route's plan has ended: the body is gone."""
        scope = self._scope(around.layers, where, around.path, around)
        scope = msgspec.structs.replace(scope, given=given, moment=moment, follows=True)
        return RoutePlanner(scope, around.layers.authentication)

    def _scope(
        self, layers: Layers, where: str, path: Mapping[str, object], sharing: RouteSurroundings | None
    ) -> PlanScope:
        django = DjangoContextPlanner(csrf_exempt=layers.csrf_exempt, check=check_csrf)
        return PlanScope(
            where=where,
            components=self.components(layers),
            app=self._app_components,
            constants=self.constants,
            path=path,
            max_body_size=layers.max_body_size,
            max_upload_size=layers.max_upload_size,
            media_types=layers.media_types,
            decoders=Decoders(layers.type_decoders) if layers.type_decoders else None,
            parameters=layers.parameters,
            from_django=django.values,
            give_body=django.give_body,
            shared={} if sharing is None else sharing.components,
            maker=None if sharing is None else sharing.maker,
        )

    def surroundings(self, layers: Layers) -> RouteSurroundings:
        """Return what functions have in common that belong to no route."""
        return RouteSurroundings(self.around_route, layers, {}, {})


def path_types(route: FlatRoute) -> dict[str, Any]:
    """Return the names of the values in a path, and the types that the tree makes of them."""
    return {parameter.name: parameter.converter.type for parameter in route.template.parameters}


class SchemeSecrets:
    """Finds the secrets of each scheme once, by a plan of what it asks for."""

    def __init__(self, plans: PlanFactory) -> None:
        self._plans = plans
        self._found: dict[object, SecretCarriers] = {}

    @property
    def all(self) -> SecretCarriers:
        """Those of every scheme that was seen."""
        return SecretCarriers.union(self._found.values())

    def of(self, schemes: Iterable[AuthenticationScheme], layers: Layers) -> SecretCarriers:
        """Return where requests to a route with these schemes carry secrets."""
        return SecretCarriers.union(self._find(scheme, layers) for scheme in schemes)

    def _find(self, scheme: AuthenticationScheme, layers: Layers) -> SecretCarriers:
        key = (scheme if vars(scheme) else type(scheme), layers.components)
        if key not in self._found:
            check_attributes_of(scheme, AuthenticationScheme.__annotations__)
            if scheme.is_ours:
                check_installed()
            where = f"{type(scheme).__qualname__}.authenticate"
            planner = self._plans.surroundings(layers).planner(where, {}, HANDLED)
            try:
                planner.binding.arguments(known_signature(scheme.authenticate, where), (where,), planner.plan.open)
            except ConfigurationError:  # a route that needs it will say so; one that does not may stay
                self._found[key] = SecretCarriers(in_any_header=True, in_any_parameter=True)
            else:
                asks_for_query = any(
                    kind in planner.binding.builder.variables for kind in (QueryParams, http.QueryString, http.URL)
                )
                self._found[key] = SecretCarriers.of(scheme, planner.plan, asks_for_query)
        return self._found[key]
