"""Rate limits: so many requests per window and client, counted in Django's cache.

How this works: windows are fixed slices of time, and each has one counter per client, which the cache increments. That
is one operation, atomic on Redis and Memcached, so no burst slips through between reading and writing. Redis or
Memcached is what several processes need; Django's local-memory cache counts for each process alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Literal

from hybrid_gateway.cache_connections import execution_mode, log_cache_down, log_cache_up, thread_cache
from hybrid_gateway.exceptions import ConfigurationError, ServiceUnavailable, TooManyRequests
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, add_headers
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["Throttle", "Throttles", "add_rate_limit"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*(s|sec|second|m|min|minute|h|hour|d|day)s?\s*")


@reject_unknown_keywords()
class Throttle:
    """``rate`` is ``"100/minute"``, ``"5/10 seconds"``, ``"1000/d"``.

    ``by`` says who is counted: ``"user"``, the authenticated user or else the address; ``"address"``, the address even
    of a user, before anybody is authenticated; or a function of the call's scope that returns a text. Everything below
    the layer it stands on shares its counters, and so does everything with the same ``scope``. ``cache`` is an alias
    of ``CACHES``. The address is the connection's peer; behind a proxy that the server trusts, the client's.

    ``fail`` says what becomes of requests while the cache cannot be reached: ``"open"`` lets them pass uncounted,
    ``"closed"`` refuses them with 503; by default what the layer's ``throttle_fail`` says, which is ``"open"``.
    """

    def __init__(
        self,
        rate: str,
        *,
        by: Literal["user", "address"] | Callable[[Any], str] = "user",
        scope: str | None = None,
        cache: str = "default",
        fail: Literal["open", "closed"] | None = None,
    ) -> None:
        match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
        if match is None or not int(match[1]) or match[2] == "0":
            raise ConfigurationError(f'{rate!r} is no rate: write "100/minute", "5/10 seconds", "1000/day".')
        if by not in ("user", "address") and not callable(by):
            raise ConfigurationError(f'Throttle(by={by!r}) must be "user", "address" or a function of the scope.')
        self.rate = rate
        self.limit = int(match[1])
        self.seconds = int(match[2] or 1) * _UNITS[match[3][0]]
        self.by = by
        self.scope = scope
        if fail not in ("open", "closed", None):
            raise ConfigurationError(f'Throttle(fail={fail!r}) must be "open" or "closed".')
        self.cache = cache
        self.fail = fail

    def __repr__(self) -> str:
        return f"Throttle({self.rate!r}{'' if self.scope is None else f', scope={self.scope!r}'})"


class Throttles:
    """The limits of one route that are checked together: those of addresses, or those of users."""

    def __init__(self, throttles: Sequence[tuple[str, Throttle]], fail: Literal["open", "closed"] = "open") -> None:
        self._throttles = throttles  # with the place each stands at
        self._fail = fail

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """Where to count: on the request's thread, where that waits for somebody else."""
        return execution_mode(throttle.cache for _, throttle in self._throttles)

    def check(self, ctx: RequestContext, authentication: Any) -> None:
        """Count the request; raises 429 with ``Retry-After`` where one limit is passed, 503 where nobody can tell."""
        now = time.time()
        for place, throttle in self._throttles:
            window, elapsed = divmod(now, throttle.seconds)
            reset = int(throttle.seconds - elapsed) + 1
            key = _key(throttle.scope or place, throttle, _client(throttle, ctx, authentication), int(window))
            count = self._count(throttle, key)
            if count is None:
                continue
            state = (throttle.limit, max(throttle.limit - count, 0), reset)
            if count > throttle.limit:
                raise TooManyRequests(headers={**_headers(state), "Retry-After": str(reset)})
            # The tightest one is what a client has to know.
            if ctx.rate_limit is None or state[1] < ctx.rate_limit[1]:
                ctx.rate_limit = state

    def _count(self, throttle: Throttle, key: str) -> int | None:
        """How many requests there were, with this one; ``None`` where the cache does not say and that is no matter."""
        try:
            count = _increment(thread_cache(throttle.cache), key, throttle.seconds)
        except Exception as error:
            log_cache_down(throttle.cache, error)
            if (throttle.fail or self._fail) == "closed":
                raise Uncounted(headers={"Retry-After": "5"}) from None
            return None
        log_cache_up(throttle.cache)
        return count


class Uncounted(ServiceUnavailable):
    """503 while the counters cannot be reached, which :func:`log_cache_down` has logged."""

    quiet = True


def _client(throttle: Throttle, ctx: RequestContext, authentication: Any) -> str:
    if callable(throttle.by):
        return f"own:{throttle.by(ctx.scope)}"
    if throttle.by == "user" and authentication is not None:
        return f"user:{authentication.user.pk}"
    client = ctx.scope.get("client")
    return f"address:{client[0] if client else ''}"


def _key(place: str, throttle: Throttle, client: str, window: int) -> str:
    # Hashed, because a client may have a say in it, and caches have rules for keys. SECURITY: with their lengths, so
    # that no client can write one part into another; and as they are: "ádmin" is not "admin".
    parts = [part.encode("utf-8", "surrogatepass") for part in (place, throttle.rate, client)]
    text = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return f"hybrid_gateway.throttle:{blake2b(text, digest_size=16).hexdigest()}:{window}"


def _increment(cache: Any, key: str, seconds: int) -> int:
    for _ in range(3):
        try:
            count: int = cache.incr(key)
        except ValueError:  # there is no counter yet; of many who see that, one adds it
            if cache.add(key, 1, timeout=seconds + 1):
                return 1
        else:
            return count
    raise ConnectionError("it neither keeps nor adds a counter")


def _headers(state: tuple[int, int, int]) -> dict[str, str]:
    limit, remaining, reset = state
    return {"RateLimit-Limit": str(limit), "RateLimit-Remaining": str(remaining), "RateLimit-Reset": str(reset)}


def add_rate_limit(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with what is left to the client."""
    if ctx.rate_limit is None:
        return response
    lines = [(name.lower().encode(), value.encode()) for name, value in _headers(ctx.rate_limit).items()]
    return add_headers(response, lines)
