"""A base for middleware of one's own. Every pure ASGI middleware works without it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["ASGIMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

ROUTED = "hybrid_gateway.routed"  # in the scope: the call, and the endpoint that will answer it


class ASGIMiddleware:
    """Middleware as an object that is listed as it is: ``middleware=[Compressing(level=5)]``. Write ``handle``.

    ``scopes`` are the kinds of connections it sees, the others pass by. ``exclude`` is a regular expression: paths in
    which it is found pass by. ``exclude_opt`` is a key: routes whose ``opt`` has a true value there pass by. That is
    for routers, controllers and handlers: the gateway's own middleware comes before any route is known.
    """

    scopes: tuple[str, ...] = ("http",)
    exclude: str | None = None
    exclude_opt: str | None = None

    async def handle(self, scope: Any, receive: Receive, send: Send, next_app: App) -> None:
        """Called instead of ``next_app``, which answers when it is awaited."""
        raise NotImplementedError

    def __call__(self, app: App) -> App:
        """Wrap ``app``: what makes it a factory of middleware."""
        search = re.compile(self.exclude).search if self.exclude is not None else None

        async def wrapped(scope: Any, receive: Receive, send: Send) -> None:
            passes = scope["type"] not in self.scopes or (search is not None and search(scope["path"]) is not None)
            if passes or (self.exclude_opt is not None and _opt(scope).get(self.exclude_opt)):
                await app(scope, receive, send)
            else:
                await self.handle(scope, receive, send, app)

        return wrapped


def _opt(scope: Any) -> dict[str, Any]:
    routed = scope.get(ROUTED)
    route = getattr(routed[1], "route", None) if routed is not None else None
    return route.opt if route is not None else {}
