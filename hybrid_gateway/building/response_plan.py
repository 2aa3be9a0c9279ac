"""The way to a response, from a handler's value or from an exception: encoders, and what is done before it is final."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import msgspec
from django.conf import settings
from starlette.responses import Response

from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.decoders import Decoders, check_custom, decode_known
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.signature import known_signature
from hybrid_gateway.building.build_context import BuildContext
from hybrid_gateway.building.hook_compiler import RouteSurroundings
from hybrid_gateway.caching import ResponseCache
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.endpoints.errors import ErrorHandler, ErrorResponses
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import JSON, write_cache_control
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.orm.views.handler_results import AdaptedHandler
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import ERROR_HANDLED
from hybrid_gateway.responses.compression import Compression
from hybrid_gateway.responses.conditional_requests import add_etag
from hybrid_gateway.responses.encoders import FlatEncoder, make_encoder
from hybrid_gateway.responses.gateway_response import GatewayResponse
from hybrid_gateway.responses.negotiation import HTML, Negotiation, check_media_types
from hybrid_gateway.responses.raw_response import EndpointResponse, make_raw, vary_as_read
from hybrid_gateway.responses.response_classes import add_outgoing
from hybrid_gateway.responses.response_info import check_return_annotation, default_status, read_response_info
from hybrid_gateway.responses.templates import (
    page_encoder,
    read_template_options,
    returns_template,
    shows_template,
    template_encoder,
)
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.sessions.django_context import request_for_backends
from hybrid_gateway.throttling.throttle import add_rate_limit
from hybrid_gateway.type_info import resolve_new_types
from hybrid_gateway.types import Handler, Headers

ResponseChange = Callable[[RequestContext, EndpointResponse], EndpointResponse]


class PlannedResponse(msgspec.Struct, frozen=True):
    """The parts of a response's way that come after the plan of its route."""

    cache: ResponseCache | None = None
    when_rendered: ResponseChange | None = None  # for one that was not complete before


def plan_response(
    planner: RoutePlanner, route: FlatRoute, method: str, adapted: AdaptedHandler, security_headers: Headers
) -> PlannedResponse:
    """Plan the call of a handler, and what is done to its response; return what is done later."""
    layers, cache = route.layers, None
    encode, negotiation = _choose_encoder(route, method, adapted, security_headers)
    changes: list[ResponseChange] = [add_etag] if layers.etag else []  # to every complete response, in order
    if layers.throttle:
        changes.append(add_rate_limit)
    if layers.compression:
        changes.append(Compression() if layers.compression is True else layers.compression)
    if negotiation is not None:
        planner.check(negotiation.check, "inline", authenticated=False)
    if layers.cache is not None and method == "GET":
        cache = ResponseCache(layers.cache, changes, [parameter.name for parameter in route.template.parameters])
        planner.check(cache.lookup, cache.mode, authenticated=planner.plan.authenticates)
        changes = [cache.remember, *changes]
    early = () if negotiation is None else (negotiation.encode,)
    changes = [*early, add_outgoing, *changes]
    mode = mode_of(route.handler, route.options.get("sync_to_thread"))
    handler = getattr(route.handler, "__func__", route.handler)
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        mode = "inline"  # a call runs none of its code
    usual = encode.usual if isinstance(encode, FlatEncoder) else None
    planner.binding.result(
        adapted.handler, adapted.signature, mode, encode, changes=changes, if_asked=add_outgoing, usual=usual
    )
    when_rendered = [change for change in changes if change not in (*early, add_outgoing, add_rate_limit)]
    if shows_template(adapted.returns, route.options):
        planner.plan.enters = True  # it is rendered before it is sent
        planner.plan.sees_request = True  # SECURITY: context processors do
    elif cache is not None:
        when_rendered.remove(cache.remember)  # what the handler may return was not known in time
    if cache is not None:
        cache.depends_on(planner.plan)
    return PlannedResponse(cache, _RenderedChanges(when_rendered) if when_rendered else None)


class _RenderedChanges(msgspec.Struct, frozen=True):
    """Changes to a response that was rendered late; one with work of its own stays an object, and as it is."""

    changes: list[ResponseChange]

    def __call__(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        is_whole = isinstance(response, GatewayResponse) and response.is_rendered and response.background is None
        if isinstance(response, tuple) or not is_whole:
            return response
        changed: EndpointResponse = make_raw(response.status_code, None, bytes(response.body), response.raw_headers)
        for change in self.changes:
            changed = change(ctx, changed)
        return changed


def _choose_encoder(
    route: FlatRoute, method: str, adapted: AdaptedHandler, security_headers: Headers
) -> tuple[Callable[[Any], Any], Negotiation | None]:
    """Return what makes a response of a handler's value, or what chooses that by what the client accepts."""
    layers, returns, status = route.layers, adapted.returns, route.options.get("status_code")
    for kind in layers.type_encoders:
        check_custom(kind, "type_encoders")
    headers = {name: value for name, value in layers.response_headers.items() if value is not None}
    if layers.cache_control is not None:
        headers = {"Cache-Control": write_cache_control(layers.cache_control), **headers}
    validate = layers.validate_response
    if validate is None:  # a column was checked against its type when the class was made
        validate = settings.DEBUG and not adapted.reads_rows
    make = functools.partial(
        make_encoder,
        method=method,
        status=status,
        headers=headers,
        cookies=layers.response_cookies,
        security=security_headers,
        validate=validate,
        encoders=layers.type_encoders,
        decode=Decoders(layers.type_decoders) if layers.type_decoders else decode_known,
    )
    media_types, template = check_media_types(layers.media_types or (JSON,)), read_template_options(route.options)
    info = read_response_info(returns)
    if returns_template(returns) and (template is not None or not info.contents):
        return page_encoder(template, make(returns), may_be_none=info.may_be_none), None
    if template is not None and not info.is_json:
        raise ConfigurationError(
            f"{template} shows JSON values, but the handler returns {returns!r}. "
            "Annotate Template, a dict or a Struct.",
            id="F002",
        )
    if (media_types == (JSON,) and template is None) or not info.is_json:
        return make(returns), None
    encoders: dict[str, Any] = {kind: make(returns, media_type=kind) for kind in media_types}
    if template is not None:
        encoders[HTML] = template_encoder(template, default_status(method, status), make(Response))
    return keep_value, Negotiation(encoders)


def keep_value(value: Any) -> Any:
    """Return ``value``: an encoder for what nobody sends."""
    return value


class ErrorHandlerCompiler:
    """Compiles exception handlers. What several routes have in common is compiled once."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._compiled: dict[object, tuple[ErrorHandler, bool]] = {}  # and whether it waits

    def responses(self, layers: Layers, around: RouteSurroundings, *, authenticates: bool = True) -> ErrorResponses:
        """Return the responses to exceptions of a route, or of what no route answers.

        ``around`` is what handlers have in common with those of other routes, whose layers may be others.
        """
        compiled = {key: self._compile(handler, around) for key, handler in layers.exception_handlers.items()}
        challenges = tuple(scheme.challenge for scheme in layers.authentication if scheme.challenge)
        return ErrorResponses(
            handlers={key: run for key, (run, _) in compiled.items()},
            awaits=any(awaits for _, awaits in compiled.values()),
            challenges=challenges if authenticates else (),
            sender=type(self._context.gateway),
            debugger=self._context.debugger,
            django_request=request_for_backends,
            crash_page=self._context.crash_page,
        )

    def _compile(self, handler: Handler, around: RouteSurroundings) -> tuple[ErrorHandler, bool]:
        key = (handler, around)
        if key not in self._compiled:
            where = f"the exception handler {describe_handler(handler)}"
            signature, layers = known_signature(handler, where), around.layers
            planner = around.planner(where, {Exception: "error"}, ERROR_HANDLED)
            returns = resolve_new_types(signature.returns)
            check_return_annotation(returns, handler, layers.type_encoders)
            encode = make_encoder(returns, method="GET", security=self._context.security_headers(layers))
            planner.binding.result(handler, signature, mode_of(handler), functools.partial(_encode_error, encode))
            if planner.plan.varies_by:
                planner.binding.change_last(vary_as_read)
            run, _ = compile_plan(planner.plan, where, ("error",))
            self._compiled[key] = run, planner.plan.awaits
        return self._compiled[key]


def _encode_error(encode: Callable[[Any], EndpointResponse], value: Any) -> EndpointResponse:
    """Encode what an exception handler returns: data, unlike a response, keeps status 500 unless it says otherwise."""
    response = encode(value)
    if isinstance(response, tuple) and not isinstance(value, tuple) and response[0] in (200, 204):
        return 500, *response[1:]
    return response
