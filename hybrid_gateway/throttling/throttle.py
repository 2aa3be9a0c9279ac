"""Rate limits: so many in a window of time; those of a route, as its plan checks them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Literal

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import ConfigurationError, TooManyRequests
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, add_headers
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.stores import Store, StoreUnavailable, find_store
from hybrid_gateway.types import Scope

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*(s|sec|second|m|min|minute|h|hour|d|day)s?\s*")


Hit = tuple[int, int, str]
"""A counted request: how many there were in this window, with this one; seconds until it ends; the counter's key."""


@reject_unknown_keywords()
class Throttle:
    """``rate`` is ``"100/minute"``, ``"5/10 seconds"``, ``"1000/d"``.

    ``by`` says who is counted: ``"user"``, the authenticated user or else the address; ``"address"``, the address even
    of a user, before anybody is authenticated; or a function of the call's scope that returns a text. Everything below
    the layer it stands on shares its counters, and so does everything with the same ``scope``. ``cache`` is a name of
    ``STORES``, an alias of ``CACHES``, or a ``Store``. The address is the connection's peer; behind a proxy that the
    server trusts, the client's.

    ``fail`` says what becomes of requests while the cache cannot be reached: ``"open"`` lets them pass uncounted,
    ``"closed"`` rejects them with 503; by default what the layer's ``throttle_fail`` says, which is ``"open"``.
    """

    def __init__(
        self,
        rate: str,
        *,
        by: Literal["user", "address"] | Callable[[Scope], str] = "user",
        scope: str | None = None,
        cache: str | Store = "default",
        fail: Literal["open", "closed"] | None = None,
    ) -> None:
        match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
        if match is None or not int(match[1]) or match[2] == "0":
            raise ConfigurationError(f'{rate!r} is no rate: write "100/minute", "5/10 seconds", "1000/day".', id="H002")
        if by not in ("user", "address") and not callable(by):
            raise ConfigurationError(
                f'Throttle(by={by!r}) must be "user", "address" or a function of the scope.', id="H002"
            )
        self.rate = rate
        self.limit = int(match[1])
        self.seconds = int(match[2] or 1) * _UNITS[match[3][0]]
        self.by = by
        self.scope = scope
        if fail not in ("open", "closed", None):
            raise ConfigurationError(f'Throttle(fail={fail!r}) must be "open" or "closed".', id="H002")
        self.cache = cache
        self.fail = fail

    def count(self, store: Store, kind: str, *parts: str) -> Hit:
        """Count once more what ``parts`` name, in the current window; raise :class:`StoreUnavailable` if impossible."""
        window, elapsed = divmod(time.time(), self.seconds)
        # Hashed, because a client may have a say in it, and caches have rules for keys. SECURITY: with their lengths,
        # so that no client can write one part into another; and as they are: "ádmin" is not "admin".
        encoded = [part.encode("utf-8", "surrogatepass") for part in (self.rate, *parts)]
        text = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
        key = f"hybrid_gateway.{kind}:{blake2b(text, digest_size=16).hexdigest()}:{int(window)}"
        return store.increment(key, self.seconds), int(self.seconds - elapsed) + 1, key

    def __repr__(self) -> str:
        return f"Throttle({self.rate!r}{'' if self.scope is None else f', scope={self.scope!r}'})"


class RouteThrottles:
    """The limits of one route that are checked together: those of addresses, or those of users."""

    def __init__(self, throttles: Sequence[tuple[str, Throttle]], fail: Literal["open", "closed"] = "open") -> None:
        self._throttles = [  # with the place each stands at
            (throttle.scope or place, throttle, find_store(throttle.cache), throttle.fail or fail)
            for place, throttle in throttles
        ]

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """The place to count: the request's thread, where a store waits for somebody else."""
        return "thread" if any(store.mode == "thread" for _, _, store, _ in self._throttles) else "inline"

    def check(self, ctx: RequestContext, authentication: Authentication | None) -> None:
        """Count the request; raise 429 with ``Retry-After`` where one limit is passed, 503 where nobody can tell."""
        for place, throttle, store, fail in self._throttles:
            try:
                count, reset, _ = throttle.count(store, "throttle", place, _client(throttle, ctx, authentication))
            except StoreUnavailable:
                if fail == "closed":
                    raise
                continue
            state = (throttle.limit, max(throttle.limit - count, 0), reset)
            if count > throttle.limit:
                raise TooManyRequests(headers={**_headers(state), "Retry-After": str(reset)})
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
