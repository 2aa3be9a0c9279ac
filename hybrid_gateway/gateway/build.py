"""Flat routes → endpoints: the one place where the stages are wired together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.datastructures import State
from starlette.middleware import Middleware

from hybrid_gateway.auth import Authentication
from hybrid_gateway.binding.compiled import compile_plan
from hybrid_gateway.binding.components import Components, Mode, mode_of
from hybrid_gateway.binding.lifetime import AppComponents, unwind
from hybrid_gateway.binding.plan import Planner
from hybrid_gateway.binding.signature import read_signature, strip_annotated
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.handlers.endpoint import Endpoint
from hybrid_gateway.handlers.errors import ErrorAnswers, ErrorHandler
from hybrid_gateway.responses.encode import make_encoder
from hybrid_gateway.routing.declare import Route, describe
from hybrid_gateway.routing.layers import FlatRoute, Layers

__all__ = ["Builder"]


class Builder:
    """Compiles routes for one gateway, with the same constants and app-lifetime components for all of them."""

    def __init__(self, gateway: Any, state: State, app: AppComponents, overrides: Mapping[Any, Any]) -> None:
        self._constants: dict[Any, Any] = {type(gateway): gateway, State: state}
        self._gateway = gateway
        self._app = app
        self._overrides = dict(overrides)
        self._error_handlers: dict[Any, ErrorHandler] = {}

    def endpoint(self, route: FlatRoute, method: str) -> Endpoint:
        """Compile one route for one method; a mistake is raised with the route's name on it."""
        where = f"{method} {route.path}: {describe(route.handler)}"
        try:
            return self._endpoint(route, method, where)
        except ConfigurationError as error:
            if str(error).startswith(where):
                raise
            raise type(error)(f"{where}: {error}") from error

    def _endpoint(self, route: FlatRoute, method: str, where: str) -> Endpoint:
        layers = route.layers
        schemes = [scheme() if inspect.isclass(scheme) else scheme for scheme in layers.authentication]
        signature = read_signature(route.handler, where)
        annotated = {parameter.name: strip_annotated(parameter.type) for parameter in signature.parameters}
        route = msgspec.structs.replace(route, template=route.template.typed(annotated))
        components = Components(layers.components, self._overrides)
        planner = Planner(
            where=where,
            components=components,
            app=self._app,
            constants={**self._constants, Route: route, FlatRoute: route},
            path={parameter.name: parameter.converter.type for parameter in route.template.parameters},
            schemes=schemes,
            authentication_type=Authentication,
            user_type=_user_model(),
            max_body_size=layers.max_body_size,
            body_allowed=bool(set(route.methods) - {"GET", "HEAD"}),
        )
        planner.authenticate(signature)
        for guard in layers.guards:
            planner.guard(guard)
        returns = route.options.get("response", signature.returns)
        encode = make_encoder(
            returns,
            method=method,
            status=route.options.get("status_code"),
            headers=layers.response_headers,
            cookies=layers.response_cookies,
        )
        mode = _handler_mode(route)
        planner.result(route.handler, signature, mode, encode)
        run, source = compile_plan(planner.plan, f"{method} {route.path}", layers.max_body_size)
        return Endpoint(
            route=route,
            method=method,
            run=run,
            awaits=planner.plan.awaits,
            source=source,
            unwind=unwind,
            errors=self.errors(layers, planner.plan.authenticates),
            inputs=planner.plan.inputs,
            returns=returns,
            schemes=schemes if planner.plan.authenticates else (),
            middleware=middleware_factories(layers.middleware),
        )

    def errors(self, layers: Layers, authenticates: bool = True) -> ErrorAnswers:
        """What a route with these layers makes of exceptions."""
        handlers = {key: self._error_handler(handler, layers) for key, handler in layers.exception_handlers.items()}
        challenges = tuple(
            challenge for scheme in layers.authentication if (challenge := getattr(scheme, "challenge", None))
        )
        return ErrorAnswers(
            handlers=handlers, challenges=challenges if authenticates else (), sender=type(self._gateway)
        )

    def _error_handler(self, handler: Any, layers: Layers) -> ErrorHandler:
        key = (handler, layers.components, layers.authentication)
        if key not in self._error_handlers:
            self._error_handlers[key] = self._compile_error_handler(handler, layers)
        return self._error_handlers[key]

    def _compile_error_handler(self, handler: Any, layers: Layers) -> ErrorHandler:
        where = f"the exception handler {describe(handler)}"
        signature = read_signature(handler, where)
        planner = Planner(
            where=where,
            components=Components(layers.components, self._overrides),
            app=self._app,
            constants=self._constants,
            path={},
            schemes=layers.authentication,
            authentication_type=Authentication,
            user_type=_user_model(),
            max_body_size=layers.max_body_size,
            body_allowed=False,
            given={Exception: "error"},
        )
        encode = make_encoder(signature.returns, method="GET", status=None)
        planner.result(handler, signature, mode_of(handler), functools.partial(_as_error, encode))
        run, _ = compile_plan(planner.plan, where, layers.max_body_size, ("error",))
        return run


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


def _user_model() -> Any:
    from django.contrib.auth import get_user_model
    from django.core.exceptions import ImproperlyConfigured

    try:
        return get_user_model()
    except ImproperlyConfigured:  # a project without django.contrib.auth has no user to ask for
        return None
