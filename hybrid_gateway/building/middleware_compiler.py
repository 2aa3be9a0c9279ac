"""Middleware as a project lists it → what stands around routes: pure ASGI middleware, and Django's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import msgspec
from starlette.middleware import Middleware

from hybrid_gateway import http
from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.signature import known_signature
from hybrid_gateway.building.build_context import BuildContext, PlanFactory
from hybrid_gateway.building.response_plan import keep_value
from hybrid_gateway.django_side.middleware_chain import DjangoMiddleware, MiddlewarePass
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.types import ASGIMiddlewareFactory


def middleware_factories(entries: Iterable[Any]) -> tuple[ASGIMiddlewareFactory, ...]:
    """Return ASGI middleware as ``app -> app`` functions, outer to inner.

    Raises :class:`ConfigurationError` for what is none.
    """
    return tuple(_factory(entry) for entry in entries)


def _factory(entry: Any) -> ASGIMiddlewareFactory:
    if isinstance(entry, Middleware):
        cls, args, kwargs = entry.cls, entry.args, entry.kwargs
        return lambda app: cls(app, *args, **kwargs)
    if not callable(entry):
        raise ConfigurationError(
            f"{entry!r} is no ASGI middleware: give a class, a factory, or Starlette's Middleware.", id="H009"
        )
    return cast("ASGIMiddlewareFactory", entry)


class DjangoMiddlewareCompiler:
    """Compiles ``django_middleware=``, and the authentication that middleware may ask for before the route does."""

    def __init__(self, context: BuildContext, plans: PlanFactory) -> None:
        self._context = context
        self._plans = plans

    def around_route(
        self, route: FlatRoute, schemes: Sequence[AuthenticationScheme], where: str, *, takes_form: bool
    ) -> DjangoMiddleware | None:
        """Return the middleware of Django's that stands around a route."""
        layers = route.layers
        if not layers.django_middleware:
            return None
        authenticate, awaits = self._compile_authentication(route, schemes, where) if schemes else (None, False)
        passed = MiddlewarePass(
            view=route.handler,
            name=route.name,
            path=route.path,
            parameters=tuple(parameter.name for parameter in route.template.parameters),
            limit=layers.max_upload_size if takes_form else layers.max_body_size,
            authenticate=authenticate,
            awaits=awaits,
        )
        return self._build(layers, passed)

    def without_route(self, layers: Layers) -> DjangoMiddleware | None:
        """Return the middleware of Django's that stands around responses without a route."""
        return self._build(layers, MiddlewarePass(limit=layers.max_body_size)) if layers.django_middleware else None

    def _build(self, layers: Layers, passed: MiddlewarePass) -> DjangoMiddleware:
        pools, names = self._context.pools, layers.django_middleware
        reject = self._context.dispatcher.send_rejection
        return DjangoMiddleware(names, passed, pools.below(names), pools.lend_held, reject)

    def _compile_authentication(
        self, route: FlatRoute, schemes: Sequence[AuthenticationScheme], where: str
    ) -> tuple[Callable[[RequestContext], Awaitable[Any]], bool]:
        """Return the route's authentication alone, and whether it waits."""
        bare = msgspec.structs.replace(route.layers, parameters={}, django_middleware=())
        planner = self._plans.for_route(route, bare, schemes, where, None, needs_content_type=False)
        signature = known_signature(_tell_authentication, where)
        planner.authenticate(signature)
        planner.binding.result(_tell_authentication, signature, "inline", keep_value)
        authenticate, _ = compile_plan(planner.plan, f"{where}: who calls")
        return authenticate, planner.plan.awaits


def _tell_authentication(authentication: Authentication | None, path: http.PathParams) -> Authentication | None:
    return authentication
