"""A base for middleware of one's own. Every pure ASGI middleware works without it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette.middleware import Middleware

from hybrid_gateway.exceptions import ConfigurationError, located
from hybrid_gateway.spelling import check_attributes_of
from hybrid_gateway.types import ASGIApp, Receive, Scope, Send

__all__ = ["ASGIMiddleware", "check_order"]

ROUTED = "hybrid_gateway.routed"  # in the scope: the request's context, and the endpoint that will answer it


class ASGIMiddleware:
    """Middleware as an object that is listed as it is: ``middleware=[Compressing(level=5)]``. Write ``handle``.

    ``scopes`` are the kinds of connections it sees, the others pass by. ``exclude`` is a regular expression, or a list
    of them: paths in which one is found pass by. ``exclude_opt`` is a key: routes whose ``opt`` has a true value there
    pass by. That is for routers, controllers and handlers: the gateway's own comes before any route is known.
    """

    before: tuple[type, ...] = ()  # classes of middleware that this one must be outside of, where both are listed
    after: tuple[type, ...] = ()  # and those it must be inside of
    scopes: tuple[str, ...] = ("http",)
    exclude: str | Sequence[str] | None = None
    exclude_opt: str | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer in place of ``next_app``, which answers when it is awaited."""
        raise NotImplementedError

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Wrap ``app``, as a factory of middleware does."""
        searches = self._searches()

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            passes = scope["type"] not in self.scopes or any(search(scope["path"]) for search in searches)
            if not passes and self.exclude_opt is not None and ROUTED in scope:
                route = getattr(scope[ROUTED][1], "route", None)
                passes = route is not None and bool(route.opt.get(self.exclude_opt))
            if passes:
                await app(scope, receive, send)
            else:
                await self.handle(scope, receive, send, app)

        return wrapped

    def check(self) -> None:
        """Raise :class:`ConfigurationError` for attributes that would fail, or mean nothing, with each request."""
        name = type(self).__qualname__
        with located(type(self)):
            self._check(name)

    def _check(self, name: str) -> None:
        check_attributes_of(self, _ATTRIBUTES)
        if isinstance(self.scopes, str) or not set(self.scopes) <= {"http", "websocket"}:
            raise ConfigurationError(
                f'{name}.scopes={self.scopes!r} must be a tuple of "http" and "websocket".', id="H009"
            )
        if self.exclude_opt is not None and not isinstance(self.exclude_opt, str):
            raise ConfigurationError(f"{name}.exclude_opt={self.exclude_opt!r} must be a key of opt.", id="H009")
        try:
            self._searches()
        except (re.error, TypeError) as error:
            raise ConfigurationError(
                f"{name}.exclude={self.exclude!r} must be a regular expression, or a list of them: {error}", id="H009"
            ) from error

    def _searches(self) -> list[Callable[[str], re.Match[str] | None]]:
        patterns = [self.exclude] if isinstance(self.exclude, str) else self.exclude or []
        return [re.compile(pattern).search for pattern in patterns]


_ATTRIBUTES = frozenset(("before", "after", "scopes", "exclude", "exclude_opt"))


def check_order(entries: Iterable[object]) -> None:
    """Raise :class:`ConfigurationError` where middleware, outer to inner, is not listed as its classes demand.

    Any class of middleware may say ``before = (Other,)`` or ``after = (Other,)``, of classes that need not be listed.
    """
    listed = list(entries)
    for entry in listed:
        if isinstance(entry, ASGIMiddleware):
            entry.check()
    classes = [entry.cls if isinstance(entry, Middleware) else entry for entry in listed]
    kinds: list[Any] = [entry if inspect.isclass(entry) else type(entry) for entry in classes]
    for position, kind in enumerate(kinds):
        for word, wrong in (("before", kinds[:position]), ("after", kinds[position + 1 :])):
            others = [other for other in getattr(kind, word, ()) if other in wrong]
            if others:
                raise ConfigurationError(
                    f"The middleware {kind.__qualname__} must be listed {word} {others[0].__qualname__}; middleware is "
                    "listed from the outermost layer to the innermost.",
                    id="H010",
                )
