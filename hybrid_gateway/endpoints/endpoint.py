"""A compiled route: what drivers run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from hybrid_gateway.access_control import AuthenticationScheme
from hybrid_gateway.types import Header

__all__ = ["Endpoint"]


class Endpoint:
    """One handler at one path, compiled. It holds no state of requests: any number may run at once.

    ``await respond(ctx)`` is the answer to one request. Of exceptions, only a gone client's and those that end a task
    come out. What is no tuple sends itself, and may still need what its handler entered: the driver takes its tasks off
    it, and awaits ``end(ctx, tasks)`` after it, or ``end(ctx, error=...)`` where it could not be sent. PERF: both are
    functions of their own, not methods around the plan: a coroutine less.
    """

    __slots__ = (
        "awaits",
        "callbacks",
        "django_middleware",
        "end",
        "inputs",
        "is_open",
        "method",
        "middleware",
        "reads_cookies",
        "respond",
        "returns",
        "route",
        "schemes",
        "security_headers",
        "source",
        "visits",
    )

    def __init__(
        self,
        *,
        route: Any,
        method: str,
        respond: Callable[..., Coroutine[Any, Any, Any]],
        end: Callable[..., Awaitable[None]],
        awaits: bool,
        source: str,
        inputs: Sequence[Any] = (),
        returns: Any = None,
        schemes: Sequence[AuthenticationScheme] = (),
        is_open: bool = True,
        visits: bool = False,
        reads_cookies: bool = False,
        middleware: Sequence[Callable[[Any], Any]] = (),
        django_middleware: Any = None,
        callbacks: Mapping[str, Sequence[tuple[str, Endpoint]]] | None = None,
        security_headers: Sequence[Header] = (),
    ) -> None:
        self.route = route
        self.method = method
        self.respond = respond
        self.end = end
        self.awaits = awaits
        self.source = source
        self.inputs = tuple(inputs)
        self.returns = returns
        self.schemes = tuple(schemes)
        self.is_open = is_open  # to callers of whom nothing is known, as far as guards let them pass
        self.visits = visits  # it asks for what Django knows of a visit
        self.reads_cookies = reads_cookies  # of that: by a Django request or a session
        self.middleware = tuple(middleware)
        self.django_middleware = django_middleware  # the last of them, where it is Django's
        self.callbacks = callbacks or {}
        self.security_headers = tuple(security_headers)  # that each answer of it has, unless it has its own

    def __repr__(self) -> str:
        return f"<Endpoint {self.method} {self.route.path}>"
