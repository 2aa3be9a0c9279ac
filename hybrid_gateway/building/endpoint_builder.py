"""Flat routes → endpoints: the one place where the stages are wired together.

Functions that run outside of requests are compiled here, too: health checks, start-up hooks and lifespans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Literal

import msgspec
from django.conf import settings

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.auth.request_credentials import SecretCarriers
from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.plan_compiler import compile_plan, compile_route
from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, read_signature, signature_namespace
from hybrid_gateway.building.build_context import BuildContext, PlanFactory, SchemeSecrets, path_types
from hybrid_gateway.building.hook_compiler import HookCompiler, RouteSurroundings, SurroundingsCompiler
from hybrid_gateway.building.middleware_compiler import DjangoMiddlewareCompiler, middleware_factories
from hybrid_gateway.building.response_plan import ErrorHandlerCompiler, PlannedResponse, keep_value, plan_response
from hybrid_gateway.building.websocket_builder import plan_conversation, read_websocket_signature
from hybrid_gateway.caching import private_response_headers
from hybrid_gateway.dispatch.dispatcher import no_message
from hybrid_gateway.django_side.middleware_chain import DjangoMiddleware
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.endpoints.completion import Completion
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.endpoints.errors import ErrorResponses
from hybrid_gateway.endpoints.handler_timeout import check_timeout, with_timeout
from hybrid_gateway.endpoints.request_signals import RequestSignals
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, located
from hybrid_gateway.health.health_check import Probe, Readiness, as_health_check, usual_checks
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.middleware import check_order
from hybrid_gateway.orm.views.handler_results import adapt_handler
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.request.context import Hook, RequestContext
from hybrid_gateway.request.request_parts import HANDLED
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.responses.response_info import check_return_annotation
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.routing.flat_routes import FlatRoute, flatten
from hybrid_gateway.routing.websocket_routes import WEBSOCKET
from hybrid_gateway.sessions.django_context import finish_session
from hybrid_gateway.telemetry import DatabaseTiming
from hybrid_gateway.throttling.throttle import RouteThrottles, Throttle
from hybrid_gateway.type_info import resolve_new_types, strip_annotated
from hybrid_gateway.types import Handler, Scope
from hybrid_gateway.websockets.admission import RouteAdmission
from hybrid_gateway.websockets.origin import OriginPolicy


class EndpointBuilder:
    """Compiles routes for one gateway, with the same constants and app-lifetime components for all of them."""

    def __init__(self, context: BuildContext, overrides: Mapping[Any, Any]) -> None:
        self._context = context
        self._plans = plans = PlanFactory(context, overrides)
        self._errors = ErrorHandlerCompiler(context)
        self._hooks = HookCompiler(plans.secrets)
        self._django_middleware = DjangoMiddlewareCompiler(context, plans)
        self._signals = RequestSignals(type(context.gateway))
        self._scheme_secrets = SchemeSecrets(plans)
        self._surroundings = SurroundingsCompiler(plans.around_route)

    # --- what belongs to no route

    def add_readiness(self, checks: Sequence[Any], layers: Layers, not_ready_reason: Callable[[], str | None]) -> None:
        """Compile the health checks, which handlers may then ask for as ``Readiness``."""
        around = self._plans.surroundings(layers)
        probes = [compile_health_check(entry, around) for entry in (*usual_checks(), *checks)]
        self._plans.constants[Readiness] = Readiness(probes, not_ready_reason)

    def without_route(self, layers: Layers) -> tuple[ErrorResponses, Completion]:
        """Return the responses to exceptions where no route answers, and what concludes them."""
        around = self._surroundings.find(layers, {})
        errors = self._errors.responses(layers, around)
        return errors, Completion("no route", errors, takes_tasks=around.takes_tasks)

    def unrouted_middleware(self, layers: Layers) -> DjangoMiddleware | None:
        """Return the middleware of Django's that stands around responses without a route."""
        return self._django_middleware.without_route(layers)

    def hook_arguments(self, hook: Handler, layers: Layers) -> list[tuple[Parameter, object]]:
        """Return a constant, or a provider that lives as long as the process, for each parameter of a start-up hook.

        A parameter that says nothing of its type is the gateway. Raises :class:`DependencyError` for any other.
        """
        where, gateway, constants = f"the hook {describe_handler(hook)}", self._context.gateway, self._plans.constants
        components = self._plans.components(layers)
        found: list[tuple[Parameter, object]] = []
        for parameter in read_signature(hook, where).parameters:
            provider, kind = components.find(parameter), parameter.type
            is_untyped = kind in (NO_DEFAULT, Any, object)
            if provider is not None and provider.lifetime == "app":
                self._context.components.register(provider, components, constants, (where,))
                found.append((parameter, provider))
            elif (is_untyped and parameter.required) or (
                isinstance(kind, type) and kind is not object and isinstance(gateway, kind)
            ):
                found.append((parameter, gateway))
            elif not is_untyped and kind in constants:
                found.append((parameter, constants[kind]))
            elif parameter.required:
                raise DependencyError(
                    f"{where} asks for {parameter.name!r}, and nothing that lives as long as the process provides it. "
                    'It may ask for the Gateway, its State, and components with lifetime = "app".',
                    id="H015",
                    place=place_of(hook),
                )
        if sum(given is gateway for _, given in found) > 1:
            raise DependencyError(
                f"{where} has two parameters for the gateway: annotate what each shall be.",
                id="H015",
                place=place_of(hook),
            )
        return found

    @property
    def asked(self) -> Set[object]:
        """The types and providers that anything which was compiled asks for: what tests may override."""
        return self._plans.overrides.asked

    def secrets(self) -> SecretCarriers:
        """Return where requests to any of the routes that were compiled carry secrets."""
        return self._scheme_secrets.all

    # --- routes

    def undispatched(self, routes: Sequence[Any]) -> list[Endpoint]:
        """Compile routes that others offer, such as webhooks, and that no path here leads to."""
        return [self.endpoint(route, method) for route in flatten(routes, Layers()) for method in route.methods]

    def endpoint(self, route: FlatRoute, method: str) -> Endpoint:
        """Compile one route for one method; a mistake is raised with the route's name on it."""
        where = f"{method} {route.path}: {describe_handler(route.handler)}"
        try:
            with located(route.handler), signature_namespace(route.layers.signature_namespace):
                self._scheme_secrets.of(
                    route.layers.authentication, route.layers
                )  # also of those that do not apply here
                protocol: Literal["http", "websocket"] = "websocket" if route.websocket else "http"
                route = msgspec.structs.replace(route, layers=route.layers.for_protocol(protocol))
                return self._compile_websocket(route, where) if route.websocket else self._compile(route, method, where)
        except ConfigurationError as error:
            if error.text.startswith(where):
                raise
            raise error.within(where) from error
        except NameError as error:  # in the annotations of a class that is taken or returned
            raise ConfigurationError(
                f"{where}: the annotation {error.name!r} is unknown at run time. Import it outside "
                "`if TYPE_CHECKING:`, at the level of the module.",
                id="P002",
                place=place_of(route.handler),
            ) from error

    def _compile(self, route: FlatRoute, method: str, where: str) -> Endpoint:
        layers = route.layers
        if settings.DEBUG and DatabaseTiming not in layers.event_hooks:
            layers = layers.inside({"event_hooks": [DatabaseTiming]})
        check_order((*self._context.middleware, *layers.middleware))
        schemes, security_headers = layers.authentication, self._context.security_headers(layers)
        signature = read_signature(route.handler, where)
        secrets = self._scheme_secrets.of(schemes, layers)
        types = {
            parameter.name: strip_annotated(parameter.type) if parameter.checked else str
            for parameter in signature.parameters
        }
        route = msgspec.structs.replace(route, template=route.template.typed(types))
        around = self._surroundings.find(layers, path_types(route))
        needs_content_type = b"cookie" in secrets.headers
        planner = self._plans.for_route(route, layers, schemes, where, around, needs_content_type=needs_content_type)
        entered = self._plan_way_in(planner, layers, signature, around)
        returns = resolve_new_types(route.options.get("response", signature.returns))
        adapted = adapt_handler(route.handler, signature, returns, layers, route.options)
        check_return_annotation(adapted.returns, route.handler, layers.type_encoders)
        planned = plan_response(planner, route, method, adapted, security_headers)
        adapted.end(planner.binding.query_names, planner.plan.inputs)
        errors = self._errors.responses(layers, around, authenticates=planner.plan.authenticates)
        always, after_response = self._hooks.leave(layers, around)
        completion = _complete(planner, route, secrets, errors, around, (always, after_response), planned)
        title = f"{method} {route.path}"
        respond, respond_now, source = compile_route(
            planner.plan, title, completion.on_error, completion.answer_later, completion.finish, completion.finish_now
        )
        route.sources[method] = source
        if layers.timeout is not None:
            respond = with_timeout(respond, check_timeout(layers.timeout), completion.time_out)
            respond_now = None
        takes_form = any(entry.source == "form" for entry in planner.plan.inputs)
        django_middleware = self._django_middleware.around_route(route, schemes, where, takes_form=takes_form)
        innermost = () if django_middleware is None else (django_middleware,)
        return Endpoint(
            route=route,
            method=method,
            respond=respond,
            respond_now=respond_now,
            takes_body=bool(planner.plan.body_readers),
            end=completion.end,
            awaits=planner.plan.awaits or errors.awaits or any(hook.awaits for hook in (*always, *entered)),
            source=source,
            inputs=planner.plan.inputs,
            returns=adapted.returns,
            response_headers=adapted.headers,
            schemes=schemes if planner.plan.authenticates else (),
            is_open=not planner.plan.requires_user,
            visits=planner.plan.visits,
            reads_cookies=planner.plan.reads_cookies,
            middleware=(*middleware_factories(layers.middleware), *innermost),
            django_middleware=django_middleware,
            callbacks={
                name: [(where, endpoint) for where, called in calls.items() for endpoint in self.undispatched([called])]
                for name, calls in route.options.get("callbacks", {}).items()
            },
            security_headers=security_headers,
        )

    def _compile_websocket(self, route: FlatRoute, where: str) -> Endpoint:
        layers = route.layers
        _reject_options_of_requests(route, where)
        hooks = [hook for hook in layers.event_hooks if getattr(hook, "sees_websockets", True)]
        layers = msgspec.structs.replace(layers, event_hooks=tuple(hooks), emit_signals=False)
        check_order((*self._context.middleware, *layers.middleware))
        signature = read_websocket_signature(route, where)
        schemes = layers.authentication
        secrets = self._scheme_secrets.of(schemes, layers)
        types = {parameter.name: strip_annotated(parameter.type) for parameter in signature.injected.parameters}
        route = msgspec.structs.replace(route, template=route.template.typed(types))
        around = self._surroundings.find(layers, path_types(route))
        planner = self._plans.for_route(route, layers, schemes, where, around, needs_content_type=False)
        admission = RouteAdmission(layers)
        origins = OriginPolicy(layers, self._context.dispatcher.security.is_secure)
        self._plan_way_in(planner, layers, signature.injected, around, (admission.check_address, origins.check))
        if admission.per_user and planner.plan.authenticates:
            planner.check(admission.check_user, "inline", authenticated=True)
        errors = self._errors.responses(layers, around, authenticates=planner.plan.authenticates)
        always, after_response = self._hooks.leave(layers, around)
        conversation = plan_conversation(planner, route, signature, errors)
        completion = _complete(planner, route, secrets, errors, around, (always, after_response), PlannedResponse())
        conversation.on_error = completion.on_error
        respond, _, source = compile_route(
            planner.plan,
            f"{WEBSOCKET} {route.path}",
            completion.on_error,
            completion.answer_later,
            completion.finish,
            completion.finish_now,
        )
        route.sources[WEBSOCKET] = source
        if layers.timeout is not None:
            respond = with_timeout(respond, check_timeout(layers.timeout), completion.time_out)
        return Endpoint(
            route=route,
            method=WEBSOCKET,
            respond=respond,
            respond_now=None,
            takes_body=False,
            end=completion.end,
            awaits=True,
            source=source,
            inputs=planner.plan.inputs,
            returns=signature.sends,
            receives=signature.receives,
            schemes=schemes if planner.plan.authenticates else (),
            is_open=not planner.plan.requires_user,
            visits=planner.plan.visits,
            reads_cookies=planner.plan.reads_cookies,
            middleware=middleware_factories(layers.middleware),
            security_headers=self._context.security_headers(layers),
        )

    def _plan_way_in(
        self,
        planner: RoutePlanner,
        layers: Layers,
        signature: Signature,
        around: RouteSurroundings,
        checks: Sequence[Callable[[RequestContext, Authentication | None], None]] = (),
    ) -> list[Hook]:
        """Plan what may reject a request, in the order in which it may; return the hooks that are entered before."""
        if layers.emit_signals:
            planner.begin(self._signals.begin)
        entered = self._hooks.enter(layers, planner, around)
        addresses, users = _route_throttles(layers)
        if addresses is not None:
            planner.check(addresses.check, addresses.mode, authenticated=False)
        for check in checks:
            planner.check(check, "inline", authenticated=False)
        planner.authenticate(signature)
        if users is not None:
            planner.check(users.check, users.mode, authenticated=True)
        for guard in layers.guards:
            planner.guard(guard)
        return entered


def _reject_options_of_requests(route: FlatRoute, where: str) -> None:
    """Raise :class:`ConfigurationError` for a websocket below options that it cannot have."""
    if route.layers.django_middleware:
        # SECURITY: what it protects would be open.
        raise ConfigurationError(
            f"{where}: django_middleware= is for requests, and cannot stand around websockets.", id="R026"
        )
    if route.options.get("emit_signals"):
        raise ConfigurationError(
            f"{where}: emit_signals= is for requests; a websocket is none, and sends no signal.", id="R026"
        )


def _complete(
    planner: RoutePlanner,
    route: FlatRoute,
    secrets: SecretCarriers,
    errors: ErrorResponses,
    around: RouteSurroundings,
    hooks: tuple[Sequence[Hook], Sequence[Hook]],
    planned: PlannedResponse,
) -> Completion:
    """Return what concludes every response of a route; ``hooks`` see each of them, or run once it is sent."""
    layers, (always, after_response), cache = route.layers, hooks, planned.cache
    takes_tasks = planner.plan.takes_tasks or around.takes_tasks
    add_cors = None if layers.cors is None else layers.cors.stamp
    planner.plan.enters |= bool(always or after_response or takes_tasks) or add_cors is not None or cache is not None
    mark_private = private_response_headers(planner.plan, secrets.headers, layers)
    if mark_private is not None and not (planner.plan.enters or planner.plan.observes):
        planner.binding.change_last(mark_private)
    return Completion(
        route.name,
        errors,
        hooks=always,
        after_response=after_response,
        takes_tasks=takes_tasks,
        finish_session=finish_session,
        store_in_cache=None if cache is None else cache.store,
        when_rendered=planned.when_rendered,
        mark_private=mark_private,
        add_cors=add_cors,
        path_names=tuple(path_types(route)),
    )


def _route_throttles(layers: Layers) -> tuple[RouteThrottles | None, RouteThrottles | None]:
    """Return the rate limits of addresses, and those of users."""
    limits = [(place, entry if isinstance(entry, Throttle) else Throttle(entry)) for place, entry in layers.throttle]
    addresses = [limit for limit in limits if limit[1].by == "address"]
    users = [limit for limit in limits if limit[1].by != "address"]
    fail = layers.throttle_fail
    if fail not in ("open", "closed"):
        raise ConfigurationError(f'throttle_fail={fail!r} must be "open" or "closed".', id="H002")
    return RouteThrottles(addresses, fail) if addresses else None, RouteThrottles(users, fail) if users else None


_SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


def compile_health_check(entry: object, around: RouteSurroundings) -> Probe:
    """Compile an entry of ``HEALTH_CHECKS``; raises :class:`ConfigurationError` where it needs a request."""
    check = as_health_check(entry)
    where = f"the health check {describe_handler(check.function)}"
    planner, signature = around.planner(where, {}, HANDLED), read_signature(check.function, where)
    planner.binding.result(check.function, signature, mode_of(check.function), keep_value)
    if planner.plan.reads:
        raise ConfigurationError(
            f"{where} asks for something of a request, but its outcome is shared by many and belongs to none. It may "
            "ask for components, for State and for the Gateway.",
            id="H014",
            place=place_of(check.function),
        )
    endpoint, _ = compile_plan(planner.plan, where)

    async def run(thread: RequestThread) -> object:
        ctx, error = RequestContext(dict(_SCOPE), no_message, lambda: thread), None
        try:
            return await endpoint(ctx)
        except BaseException as raised:
            error = raised
            raise
        finally:
            failure = await close_all(ctx, error) if ctx.exits else error
            if failure is not None and failure is not error:
                raise failure

    return Probe(check, run)
