"""Flat routes → endpoints: the one place where the stages are wired together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from django.conf import settings
from django.urls import get_script_prefix
from starlette.datastructures import QueryParams, State, URLPath
from starlette.middleware import Middleware
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth import check_csrf
from hybrid_gateway.auth.secret_carriers import SecretCarriers, SecretsInQueries
from hybrid_gateway.binding.app_components import AppComponents
from hybrid_gateway.binding.components import Components, Mode, mode_of
from hybrid_gateway.binding.decoders import Decoders, check_custom, decode_known
from hybrid_gateway.binding.injected_types import REQUEST
from hybrid_gateway.binding.input_types import InputLimits
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, read_signature
from hybrid_gateway.building.health_check_compiler import compile_health_check
from hybrid_gateway.building.hook_compiler import HookCompiler
from hybrid_gateway.building.route_planner import RoutePlanner
from hybrid_gateway.building.shared_plan import RouteSurroundings, SurroundingsCompiler
from hybrid_gateway.caching import ResponseCache
from hybrid_gateway.concurrency.thread_pools import ThreadPools
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.django_side.middleware_chain import DjangoMiddleware, MiddlewarePass
from hybrid_gateway.django_side.middleware_request import UserBelow
from hybrid_gateway.endpoints.completion import Completion
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.endpoints.errors import ErrorHandler, ErrorResponses
from hybrid_gateway.endpoints.handler_timeout import check_timeout, with_timeout
from hybrid_gateway.endpoints.hooks import Hook
from hybrid_gateway.exceptions import ConfigurationError, DependencyError
from hybrid_gateway.headers import write_cache_control
from hybrid_gateway.health.readiness import Readiness
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.middleware import check_order
from hybrid_gateway.orm.views.handler_results import AdaptedHandler, adapt_handler
from hybrid_gateway.request.cleanup_phases import ANSWERED, EXPLAINED
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.compression import Compression
from hybrid_gateway.responses.conditional import add_etag
from hybrid_gateway.responses.encoders import make_encoder
from hybrid_gateway.responses.negotiation import HTML, JSON, Negotiation, check_media_types
from hybrid_gateway.responses.response_conversion import add_outgoing
from hybrid_gateway.responses.response_info import default_status, read_response_info
from hybrid_gateway.responses.return_checks import check_return_annotation
from hybrid_gateway.responses.templates import template_encoder
from hybrid_gateway.routing.declare import Route, describe_handler
from hybrid_gateway.routing.layers import FlatRoute, flatten
from hybrid_gateway.sessions.cache_privacy import private_response_headers
from hybrid_gateway.sessions.django_context import DjangoContextPlanner, request_for_backends
from hybrid_gateway.sessions.session_middleware import finish_session
from hybrid_gateway.spelling import check_attributes_of
from hybrid_gateway.telemetry import DatabaseTiming
from hybrid_gateway.throttling.throttle import RouteThrottles, Throttle, add_rate_limit
from hybrid_gateway.type_hints import resolve_new_types
from hybrid_gateway.type_info import strip_annotated
from hybrid_gateway.types import Header

__all__ = ["EndpointBuilder"]


class URLs:
    """What Starlette's ``request.url_for(name, **path_params)`` asks for a path."""

    def __init__(self, reverse_url: Callable[..., str]) -> None:
        self._reverse_url = reverse_url

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path below the script prefix, which the base URL of a request holds already."""
        return URLPath(self._reverse_url(name, **path_params).removeprefix(get_script_prefix().rstrip("/")))


class BuildContext(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What all routes of one gateway are compiled with."""

    gateway: object
    """What those get who ask for the gateway."""
    state: State
    components: AppComponents
    """Those that live as long as the process."""
    reverse_url: Callable[..., str]
    dispatcher: Dispatcher
    pools: ThreadPools
    middleware: Sequence[Any]
    """ASGI middleware around all routes, as it is listed."""
    debugger: bool
    """Whether to open one where an unexpected exception was raised."""


class EndpointBuilder:
    """Compiles routes for one gateway, with the same constants and app-lifetime components for all of them."""

    def __init__(self, context: BuildContext, overrides: Mapping[Any, Any]) -> None:
        self._context = context
        self._constants: dict[Any, Any] = {
            type(context.gateway): context.gateway,
            State: context.state,
            REQUEST: URLs(context.reverse_url),
            SecretsInQueries: SecretsInQueries(lambda: context.dispatcher.table.secrets),
        }
        self._app = context.components
        self._overrides = dict(overrides)
        self._error_handlers: dict[Any, tuple[ErrorHandler, bool]] = {}
        self._secrets: dict[Any, SecretCarriers] = {}
        self._hooks = HookCompiler()
        self._arounds = SurroundingsCompiler(self._plan_around)

    def readiness(self, checks: Sequence[Any], layers: Layers, not_ready_reason: Callable[[], str | None]) -> None:
        """Compile the health checks, which handlers may then ask for as ``Readiness``."""
        around = RouteSurroundings(self._plan_around, layers, {}, {})
        probes = [compile_health_check(entry, lambda where: around.planner(where, {}, ANSWERED)) for entry in checks]
        self._constants[Readiness] = Readiness(probes, not_ready_reason)

    def endpoint(self, route: FlatRoute, method: str) -> Endpoint:
        """Compile one route for one method; a mistake is raised with the route's name on it."""
        where = f"{method} {route.path}: {describe_handler(route.handler)}"
        try:
            return self._endpoint(route, method, where)
        except ConfigurationError as error:
            if str(error).startswith(where):
                raise
            raise type(error)(f"{where}: {error}") from error
        except NameError as error:  # in the annotations of a class that is taken or returned
            raise ConfigurationError(
                f"{where}: the annotation {error.name!r} is unknown at run time. Import it outside "
                "`if TYPE_CHECKING:`, at the level of the module."
            ) from error

    def _endpoint(self, route: FlatRoute, method: str, where: str) -> Endpoint:
        layers = route.layers
        if settings.DEBUG and DatabaseTiming not in layers.event_hooks:
            layers = layers.inside({"event_hooks": [DatabaseTiming]})
        check_order((*self._context.middleware, *layers.middleware))
        schemes = layers.authentication
        signature = read_signature(route.handler, where)
        secrets = SecretCarriers.union(self._secrets_of(scheme, layers) for scheme in schemes)
        route = msgspec.structs.replace(route, template=route.template.typed(_types_of(signature)))
        around = self._arounds.find(layers, _path_of(route))
        planner = self._plan(route, layers, schemes, where, around, declared=b"cookie" in secrets.headers)
        entered = self._open(planner, layers, signature, around)
        returns = resolve_new_types(route.options.get("response", signature.returns))
        adapted = adapt_handler(route.handler, signature, returns, layers, route.options)
        check_return_annotation(adapted.returns, route.handler, layers.type_encoders)
        cached = self._finish(planner, route, method, adapted)
        adapted.query_names |= planner.binding.query_names
        errors = self.errors(layers, planner.plan.authenticates, around)
        always, afterwards = self._hooks.leave(layers, around)
        ending = self._end(planner, route, secrets, errors, always, afterwards, cached)
        respond, source = compile_plan(
            planner.plan, f"{method} {route.path}", on_error=ending.on_error, finish=ending.finish
        )
        route.sources[method] = source
        if layers.timeout is not None:
            respond = with_timeout(respond, check_timeout(layers.timeout), ending.time_out)
        takes_form = any(entry.source == "form" for entry in planner.plan.inputs)
        passed = self._django_middleware(route, layers, schemes, where, takes_form=takes_form)
        return Endpoint(
            route=route,
            method=method,
            respond=respond,
            end=ending.end,
            awaits=planner.plan.awaits or errors.awaits or any(hook.awaits for hook in (*always, *entered)),
            source=source,
            inputs=planner.plan.inputs,
            returns=adapted.returns,
            schemes=schemes if planner.plan.authenticates else (),
            is_open=not planner.plan.requires_user,
            visits=planner.plan.visits,
            reads_cookies=planner.plan.reads_cookies,
            middleware=(*middleware_factories(layers.middleware), *((passed,) if passed is not None else ())),
            django_middleware=passed,
            security_headers=self._security_headers(layers),
            callbacks={name: self._callback(calls) for name, calls in route.options.get("callbacks", {}).items()},
        )

    def _plan(
        self,
        route: FlatRoute,
        layers: Layers,
        schemes: Sequence[AuthenticationScheme],
        where: str,
        around: RouteSurroundings | None,
        *,
        declared: bool,
    ) -> RoutePlanner:
        """An empty plan for one route."""
        scope = PlanScope(
            where=where,
            components=Components(layers.components, self._overrides),
            app=self._app,
            constants={**self._constants, Route: route, FlatRoute: route},
            path=_path_of(route),
            limits=_reading(
                layers,
                body_allowed=bool(set(route.methods) - {"GET", "HEAD"}),
                declared=declared,
            ),
            parameters=layers.parameters,
            given=_GIVEN,
            django=DjangoContextPlanner(csrf_exempt=layers.csrf_exempt, check=check_csrf),
            sharing=around,
        )
        return RoutePlanner(scope, schemes, UserBelow() if layers.django_middleware else None)

    def _django_middleware(
        self, route: FlatRoute, layers: Layers, schemes: Sequence[AuthenticationScheme], where: str, *, takes_form: bool
    ) -> DjangoMiddleware | None:
        """What of Django's middleware stands around a route."""
        if not layers.django_middleware:
            return None
        authenticate, awaits = self._asking(route, layers, schemes, where) if schemes else (None, False)
        passed = MiddlewarePass(
            view=route.handler,
            name=route.name,
            path=route.path,
            parameters=tuple(parameter.name for parameter in route.template.parameters),
            limit=layers.max_upload_size if takes_form else layers.max_body_size,
            authenticate=authenticate,
            awaits=awaits,
        )
        return self._passing(layers, passed)

    def _passing(self, layers: Layers, passed: MiddlewarePass) -> DjangoMiddleware:
        pools, names = self._context.pools, layers.django_middleware
        reject = self._context.dispatcher.send_rejection
        return DjangoMiddleware(names, passed, pools.below(names), pools.lend_held, reject)

    def unrouted_middleware(self, layers: Layers) -> DjangoMiddleware | None:
        """What stands around answers where there is no route."""
        return self._passing(layers, MiddlewarePass(limit=layers.max_body_size)) if layers.django_middleware else None

    def _asking(
        self, route: FlatRoute, layers: Layers, schemes: Sequence[AuthenticationScheme], where: str
    ) -> tuple[Callable[[RequestContext], Awaitable[Any]], bool]:
        """The route's authentication alone, for middleware that asks before it, and whether it waits."""
        bare = msgspec.structs.replace(layers, parameters={}, django_middleware=())
        planner = self._plan(route, bare, schemes, where, None, declared=False)
        signature = read_signature(_tell_caller, where)
        planner.authorization.authenticate(signature)
        planner.binding.result(_tell_caller, signature, "inline", _as_it_is)
        asking, _ = compile_plan(planner.plan, f"{where}: who calls")
        return asking, planner.plan.awaits

    def _end(
        self,
        planner: RoutePlanner,
        route: FlatRoute,
        secrets: SecretCarriers,
        errors: ErrorResponses,
        always: Sequence[Hook],
        afterwards: Sequence[Hook],
        cached: ResponseCache | None,
    ) -> Completion:
        """What concludes every answer of a route."""
        layers = route.layers
        add_cors = None if layers.cors is None else layers.cors.stamp
        planner.plan.enters |= bool(always or afterwards) or add_cors is not None or cached is not None
        mark_private = private_response_headers(planner.plan, secrets.headers, layers)
        if mark_private is not None and not planner.plan.enters:
            planner.binding.change_last(mark_private)
        return Completion(
            route.name,
            errors,
            hooks=always,
            after_response=afterwards,
            finish_session=finish_session,
            store_in_cache=None if cached is None else cached.store,
            mark_private=mark_private,
            add_cors=add_cors,
            path_names=tuple(_path_of(route)),
        )

    def without_route(self, errors: ErrorResponses) -> Completion:
        """What concludes answers that no route gives."""
        return Completion("no route", errors)

    def _open(
        self, planner: RoutePlanner, layers: Layers, signature: Signature, around: RouteSurroundings
    ) -> list[Hook]:
        """Plan what may refuse a request, in the order in which it may; the hooks that are entered on the way."""
        entered = self._hooks.enter(layers, planner, around)
        addresses, users = throttles(layers)
        if addresses is not None:
            planner.authorization.check(addresses.check, addresses.mode, authenticated=False)
        planner.authorization.authenticate(signature)
        if users is not None:
            planner.authorization.check(users.check, users.mode, authenticated=True)
        for guard in layers.guards:
            planner.authorization.guard(guard)
        return entered

    def _finish(
        self, planner: RoutePlanner, route: FlatRoute, method: str, adapted: AdaptedHandler
    ) -> ResponseCache | None:
        """Plan the handler, and what is done to what it answers; the cache of its answers, if they are kept."""
        layers, cached = route.layers, None
        encode, negotiation = _answering(route, layers, method, adapted, self._security_headers(layers))
        final = changes(layers)
        if negotiation is not None:
            planner.authorization.check(negotiation.check, "inline", authenticated=False)
        if layers.cache is not None and method == "GET":
            cached = ResponseCache(layers.cache, final, [parameter.name for parameter in route.template.parameters])
            planner.authorization.check(cached.lookup, cached.mode, authenticated=planner.plan.authenticates)
            final = [cached.remember, *final]
        final = [add_outgoing, *final]
        if negotiation is not None:
            final = [negotiation.encode, *final]
        mode = _handler_mode(route)
        planner.binding.result(adapted.handler, adapted.signature, mode, encode, changes=final, if_asked=add_outgoing)
        if cached is not None:
            cached.depends_on(planner.plan)
        return cached

    def _security_headers(self, layers: Layers) -> tuple[Header, ...]:
        return self._context.dispatcher.security.headers_for(layers.response_headers)

    def _callback(self, calls: Mapping[str, Any]) -> list[tuple[str, Endpoint]]:
        """What others are called with, by the expression that says where: compiled for the document alone."""
        return [(expression, endpoint) for expression, route in calls.items() for endpoint in self.described([route])]

    def described(self, routes: Sequence[Any]) -> list[Endpoint]:
        """Endpoints of routes that others offer, and that no path here leads to."""
        return [self.endpoint(route, method) for route in flatten(routes, Layers()) for method in route.methods]

    def errors(
        self, layers: Layers, authenticates: bool = True, around: RouteSurroundings | None = None
    ) -> ErrorResponses:
        """What a route with these layers makes of exceptions."""
        around = around or self._arounds.find(layers, {})
        compiled = {key: self._error_handler(handler, around) for key, handler in layers.exception_handlers.items()}
        challenges = tuple(scheme.challenge for scheme in layers.authentication if scheme.challenge)
        return ErrorResponses(
            handlers={key: run for key, (run, _) in compiled.items()},
            awaits=any(awaits for _, awaits in compiled.values()),
            challenges=challenges if authenticates else (),
            sender=type(self._context.gateway),
            debugger=self._context.debugger,
            django_request=request_for_backends,
        )

    def _error_handler(self, handler: Any, around: RouteSurroundings) -> tuple[ErrorHandler, bool]:
        key = (handler, around)
        if key not in self._error_handlers:
            self._error_handlers[key] = self._compile_error_handler(handler, around)
        return self._error_handlers[key]

    def _compile_error_handler(self, handler: Any, around: RouteSurroundings) -> tuple[ErrorHandler, bool]:
        where = f"the exception handler {describe_handler(handler)}"
        signature, layers = read_signature(handler, where), around.layers
        planner = around.planner(where, {Exception: "error"}, EXPLAINED)
        returns = resolve_new_types(signature.returns)
        check_return_annotation(returns, handler, layers.type_encoders)
        encode = make_encoder(returns, method="GET", status=None, security=self._security_headers(layers))
        planner.binding.result(handler, signature, mode_of(handler), functools.partial(_as_error, encode))
        run, _ = compile_plan(planner.plan, where, ("error",))
        return run, planner.plan.awaits

    def given_to(self, hook: Callable[..., Any], layers: Layers) -> list[tuple[Parameter, Any]]:
        """What a start-up hook and the like asks for: constants, providers that live as long as the process.

        A parameter that says nothing of its type is the gateway.
        """
        where = f"the hook {describe_handler(hook)}"
        components = Components(layers.components, self._overrides)
        found: list[tuple[Parameter, Any]] = []
        for parameter in read_signature(hook, where).parameters:
            provider = components.find(parameter)
            untyped = parameter.type in (NO_DEFAULT, Any, object)
            if provider is not None and provider.lifetime == "app":
                self._app.register(provider, components, self._constants, (where,))
                found.append((parameter, provider))
            elif (untyped and parameter.required) or _is_kind_of(parameter.type, self._context.gateway):
                found.append((parameter, self._context.gateway))
            elif not untyped and parameter.type in self._constants:
                found.append((parameter, self._constants[parameter.type]))
            elif parameter.required:
                raise DependencyError(
                    f"{where} asks for {parameter.name!r}, and nothing that lives as long as the process provides it. "
                    'It may ask for the Gateway, its State, and components with lifetime = "app".'
                )
        if sum(given is self._context.gateway for _, given in found) > 1:
            raise DependencyError(f"{where} has two parameters for the gateway: annotate what each shall be.")
        return found

    def secrets(self) -> SecretCarriers:
        """Where requests to any of the routes that were compiled carry secrets."""
        return SecretCarriers.union(self._secrets.values())

    def _secrets_of(self, scheme: AuthenticationScheme, layers: Layers) -> SecretCarriers:
        check_attributes_of(scheme, AuthenticationScheme.__annotations__)
        scheme.check_project()
        key = (scheme if vars(scheme) else type(scheme), layers.components)
        if key not in self._secrets:
            where = f"{type(scheme).__qualname__}.authenticate"
            planner = RouteSurroundings(self._plan_around, layers, {}, {}).planner(where, {}, ANSWERED)
            try:
                planner.binding.arguments(read_signature(scheme.authenticate, where), (where,), planner.plan.open)
            except ConfigurationError:  # a route that needs it will say so; one that does not may stay
                self._secrets[key] = SecretCarriers(in_any_header=True, in_any_parameter=True)
            else:
                asks_for_query = planner.binding.typed.asks_for((QueryParams, http.QueryString, http.URL))
                self._secrets[key] = SecretCarriers.of(scheme, planner.plan, asks_for_query)
        return self._secrets[key]

    def _plan_around(
        self, around: RouteSurroundings, where: str, given: Mapping[Any, str], moment: int
    ) -> RoutePlanner:
        """A plan of its own, for what runs once a route's has ended: the body is gone."""
        layers = around.layers
        scope = PlanScope(
            where=where,
            components=Components(layers.components, self._overrides),
            app=self._app,
            constants=self._constants,
            path=around.path,
            limits=_reading(layers, body_allowed=False, follows=True),
            parameters=layers.parameters,
            given=given,
            django=DjangoContextPlanner(csrf_exempt=layers.csrf_exempt, check=check_csrf),
            sharing=around,
            follows=True,
            moment=moment,
        )
        return RoutePlanner(scope, layers.authentication)


def _answering(
    route: FlatRoute, layers: Layers, method: str, adapted: AdaptedHandler, security_headers: Sequence[Header]
) -> tuple[Callable[[Any], Any], Negotiation | None]:
    """How a handler's value becomes an answer, or who chooses that by what the client accepts."""
    returns, status = adapted.returns, route.options.get("status_code")
    make = functools.partial(
        make_encoder,
        method=method,
        status=status,
        headers=response_headers(layers),
        cookies=layers.response_cookies,
        security=security_headers,
        validate=_validates(layers, adapted),
        encoders=_encoders(layers),
        decode=_decoders(layers) or decode_known,
    )
    media_types, template = check_media_types(layers.media_types or (JSON,)), route.options.get("template")
    is_json = read_response_info(returns).is_json
    if template is not None and not is_json:
        raise ConfigurationError(f"template={template!r} shows JSON values, but the handler returns {returns!r}.")
    if (media_types == (JSON,) and template is None) or not is_json:
        return make(returns), None
    encoders: dict[str, Any] = {kind: make(returns, media_type=kind) for kind in media_types}
    if template is not None:
        encoders[HTML] = template_encoder(template, default_status(method, status), make(Response))
    return _as_it_is, Negotiation(encoders)


def _path_of(route: FlatRoute) -> dict[str, Any]:
    """The values in a path, and the types that the tree makes of them."""
    return {parameter.name: parameter.converter.type for parameter in route.template.parameters}


def _types_of(signature: Signature) -> dict[str, Any]:
    """What a path may take the types of its values from, by the names of parameters."""
    return {
        parameter.name: strip_annotated(parameter.type) if parameter.checked else str
        for parameter in signature.parameters
    }


def _validates(layers: Layers, adapted: AdaptedHandler) -> bool:
    if layers.validate_response is not None:
        return layers.validate_response
    return settings.DEBUG and not adapted.reads_rows  # a column was checked against its type when the class was made


def _reading(layers: Layers, *, body_allowed: bool, declared: bool = False, follows: bool = False) -> InputLimits:
    return InputLimits(
        declared=declared,
        follows=follows,
        max_body_size=layers.max_body_size,
        max_upload_size=layers.max_upload_size,
        media_types=layers.media_types,
        decoders=_decoders(layers),
        body_allowed=body_allowed,
    )


def _decoders(layers: Layers) -> Decoders | None:
    return Decoders(layers.type_decoders) if layers.type_decoders else None


def _encoders(layers: Layers) -> dict[Any, Any]:
    for kind in layers.type_encoders:
        check_custom(kind, "type_encoders")
    return layers.type_encoders


_GIVEN: dict[Any, str] = {Response: "ctx.outgoing"}


def _is_kind_of(kind: Any, value: Any) -> bool:
    return isinstance(kind, type) and kind is not object and isinstance(value, kind)


def _as_it_is(value: Any) -> Any:
    return value


def _tell_caller(authentication: Authentication | None, path: http.PathParams) -> Any:
    return authentication


def response_headers(layers: Layers) -> dict[str, str]:
    """The headers of every answer of a handler."""
    declared = {name: value for name, value in layers.response_headers.items() if value is not None}
    if layers.cache_control is None:
        return declared
    return {"Cache-Control": write_cache_control(layers.cache_control), **declared}


def changes(layers: Layers) -> list[Callable[[Any, Any], Any]]:
    """What is done to every whole answer of a handler, in order."""
    found: list[Callable[[Any, Any], Any]] = [add_etag] if layers.etag else []
    if layers.throttle:
        found.append(add_rate_limit)
    if layers.compression:
        found.append(Compression() if layers.compression is True else layers.compression)
    return found


def throttles(layers: Layers) -> tuple[RouteThrottles | None, RouteThrottles | None]:
    """The rate limits of addresses, and those of users."""
    limits = [(place, entry if isinstance(entry, Throttle) else Throttle(entry)) for place, entry in layers.throttle]
    addresses = [limit for limit in limits if limit[1].by == "address"]
    users = [limit for limit in limits if limit[1].by != "address"]
    if layers.throttle_fail not in ("open", "closed"):
        raise ConfigurationError(f'throttle_fail={layers.throttle_fail!r} must be "open" or "closed".')
    fail = layers.throttle_fail
    return (
        RouteThrottles(addresses, fail) if addresses else None,
        RouteThrottles(users, fail) if users else None,
    )


def middleware_factories(entries: Iterable[Any]) -> tuple[Callable[[Any], Any], ...]:
    """ASGI middleware as ``app -> app`` functions, outer to inner; raises :class:`ConfigurationError` for others."""
    return tuple(_factory(entry) for entry in entries)


def _factory(entry: Any) -> Callable[[Any], Any]:
    if isinstance(entry, Middleware):
        cls, args, kwargs = entry.cls, entry.args, entry.kwargs
        return lambda app: cls(app, *args, **kwargs)
    if not callable(entry):
        raise ConfigurationError(
            f"{entry!r} is no ASGI middleware: give a class, a factory, or Starlette's Middleware."
        )
    factory: Callable[[Any], Any] = entry
    return factory


def _as_error(encode: Any, value: Any) -> Any:
    """An exception handler that returns data, not a response, keeps status 500 unless it says otherwise."""
    answer = encode(value)
    if type(answer) is tuple and not isinstance(value, tuple) and answer[0] in (200, 204):
        return (500, *answer[1:])
    return answer


def _handler_mode(route: FlatRoute) -> Mode:
    """Where the handler is called; calling a generator function runs none of its code, so that happens anywhere."""
    handler = getattr(route.handler, "__func__", route.handler)
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        return "inline"
    return mode_of(route.handler, route.options.get("sync_to_thread"))
