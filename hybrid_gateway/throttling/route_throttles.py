"""The rate limits of a route, as its plan checks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import TooManyRequests
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, add_headers
from hybrid_gateway.throttling import throttle_store
from hybrid_gateway.throttling.throttle import Throttle

__all__ = ["RouteThrottles", "add_rate_limit"]


class RouteThrottles:
    """The limits of one route that are checked together: those of addresses, or those of users."""

    def __init__(self, throttles: Sequence[tuple[str, Throttle]], fail: Literal["open", "closed"] = "open") -> None:
        self._throttles = [  # with the place each stands at
            (throttle.scope or place, throttle, throttle_store.STORE(throttle.cache), throttle.fail or fail)
            for place, throttle in throttles
        ]

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """Where to count: on the request's thread, where that waits for somebody else."""
        return "thread" if any(store.mode == "thread" for _, _, store, _ in self._throttles) else "inline"

    def check(self, ctx: RequestContext, authentication: Authentication | None) -> None:
        """Count the request; raise 429 with ``Retry-After`` where one limit is passed, 503 where nobody can tell."""
        for place, throttle, store, fail in self._throttles:
            try:
                hit = throttle.count(store, "throttle", place, _client(throttle, ctx, authentication))
            except throttle_store.StoreUnavailable:
                if fail == "closed":
                    raise
                continue
            state = (throttle.limit, max(throttle.limit - hit.number, 0), hit.reset)
            if hit.number > throttle.limit:
                raise TooManyRequests(headers={**_headers(state), "Retry-After": str(hit.reset)})
            # The tightest one is what a client has to know.
            if ctx.rate_limit is None or state[1] < ctx.rate_limit[1]:
                ctx.rate_limit = state


def _client(throttle: Throttle, ctx: RequestContext, authentication: Authentication | None) -> str:
    if callable(throttle.by):
        return f"own:{throttle.by(ctx.scope)}"
    if throttle.by == "user" and authentication is not None:
        return f"user:{authentication.user.pk}"
    client = ctx.scope.get("client")
    return f"address:{client[0] if client else ''}"


def _headers(state: tuple[int, int, int]) -> dict[str, str]:
    limit, remaining, reset = state
    return {"RateLimit-Limit": str(limit), "RateLimit-Remaining": str(remaining), "RateLimit-Reset": str(reset)}


def add_rate_limit(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with what is left to the client."""
    if ctx.rate_limit is None:
        return response
    return add_headers(
        response, [(name.lower().encode(), value.encode()) for name, value in _headers(ctx.rate_limit).items()]
    )
