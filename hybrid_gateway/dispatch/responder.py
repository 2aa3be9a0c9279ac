"""The object that drivers run once it is clear who answers a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from hybrid_gateway.endpoints.endpoint import PooledMiddleware
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import ASGIApp, ASGIMiddlewareFactory, Headers

__all__ = ["Responder"]


class Responder(Protocol):
    """An endpoint, or what stands in its place: a mount, a rejected request, a path without a route."""

    @property
    def middleware(self) -> Sequence[ASGIMiddlewareFactory]:
        """ASGI middleware around it, outer to inner."""
        ...

    @property
    def django_middleware(self) -> PooledMiddleware | None:
        """The last of them, where that is Django's."""
        ...

    @property
    def security_headers(self) -> Headers:
        """Headers that each response has, unless it has its own."""
        ...

    @property
    def awaits(self) -> bool:
        """True if ``respond`` needs an event loop."""
        ...

    @property
    def respond(self) -> Callable[[RequestContext], Coroutine[Any, Any, EndpointResponse | ASGIApp]]:
        """Return the response to one request; what is no tuple is an ASGI application that sends itself."""
        ...

    @property
    def end(self) -> Callable[..., Awaitable[None]]:
        """``end(ctx, background, error)``: close what a response that sends itself needed until its last byte."""
        ...
