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
    """An endpoint, or what stands in its place: a mount, a rejected request, a path without a route.

    The members are those of :class:`Endpoint`. A response that is no tuple is an ASGI application that sends itself.
    """

    @property
    def middleware(self) -> Sequence[ASGIMiddlewareFactory]: ...
    @property
    def django_middleware(self) -> PooledMiddleware | None: ...
    @property
    def security_headers(self) -> Headers: ...
    @property
    def awaits(self) -> bool: ...
    @property
    def respond(self) -> Callable[[RequestContext], Coroutine[Any, Any, EndpointResponse | ASGIApp]]: ...
    @property
    def end(self) -> Callable[..., Awaitable[None]]: ...
