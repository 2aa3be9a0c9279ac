"""Exception handlers as a project writes them → what a route makes of exceptions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.building.build_context import BuildContext
from hybrid_gateway.building.hook_compiler import RouteSurroundings
from hybrid_gateway.endpoints.errors import ErrorHandler, ErrorResponses
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.request_parts import ERROR_HANDLED
from hybrid_gateway.responses.encoders import make_encoder
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.responses.return_checks import check_return_annotation
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.sessions.django_context import request_for_backends
from hybrid_gateway.type_hints import resolve_new_types
from hybrid_gateway.types import Handler

__all__ = ["ErrorHandlerCompiler"]


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
        )

    def _compile(self, handler: Handler, around: RouteSurroundings) -> tuple[ErrorHandler, bool]:
        key = (handler, around)
        if key not in self._compiled:
            where = f"the exception handler {describe_handler(handler)}"
            signature, layers = read_signature(handler, where), around.layers
            planner = around.planner(where, {Exception: "error"}, ERROR_HANDLED)
            returns = resolve_new_types(signature.returns)
            check_return_annotation(returns, handler, layers.type_encoders)
            encode = make_encoder(returns, method="GET", security=self._context.security_headers(layers))
            planner.binding.result(handler, signature, mode_of(handler), functools.partial(_encode_error, encode))
            run, _ = compile_plan(planner.plan, where, ("error",))
            self._compiled[key] = run, planner.plan.awaits
        return self._compiled[key]


def _encode_error(encode: Callable[[Any], EndpointResponse], value: Any) -> EndpointResponse:
    """Encode what an exception handler returns: data, unlike a response, keeps status 500 unless it says otherwise."""
    response = encode(value)
    if isinstance(response, tuple) and not isinstance(value, tuple) and response[0] in (200, 204):
        return 500, *response[1:]
    return response
