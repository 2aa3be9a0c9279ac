"""Answers where no route does: what neither side shall see, 404, 405, OPTIONS, the way to the other slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from hybrid_gateway.exceptions import BadRequest, HTTPException, MethodNotAllowed, NotFound
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import make_raw
from hybrid_gateway.url_quoting import quote_path

if TYPE_CHECKING:
    from hybrid_gateway.dispatch.routing_table import RoutingTable
    from hybrid_gateway.gateway.application import Gateway

__all__ = ["RejectedRequest", "NotRouted"]


class RejectedRequest:
    """Answers requests that neither side shall see."""

    middleware = ()

    def __init__(self, gateway: Gateway, refusal: HTTPException) -> None:
        table = gateway.table
        self._completion = table.without_route
        self.end = self._completion.end
        self.awaits = table.errors.awaits
        self._gateway = gateway
        self._refusal = refusal
        self.security_headers = gateway.security.headers

    async def respond(self, ctx: RequestContext) -> Any:
        """The refusal, as the project words its errors."""
        return await _around(self._gateway, self._answer)(ctx)

    async def _answer(self, ctx: RequestContext) -> Any:
        return await self._completion.on_error(ctx, self._refusal)


class NotRouted:
    """Answers where no route does: 404, 405, an automatic OPTIONS, or the way to the other slash."""

    django_middleware: Any = None
    middleware: tuple[Any, ...] = ()
    path_values: tuple[Any, ...] = ()

    def __init__(self, gateway: Gateway, table: RoutingTable, path: str | None, root: str) -> None:
        self.awaits = table.errors.awaits
        self._gateway = gateway
        self._table = table
        self.end = table.without_route.end
        self._path = path
        self._root = root
        self.security_headers = gateway.security.headers
        if table.passes_django and path is not None and path != "*":
            self._stand_below(table, path)

    def _stand_below(self, table: RoutingTable, path: str) -> None:
        """Pass what another method of the path passes, GET if there is one; else what all of the gateway passes."""
        methods = table.tree.methods(path)
        if not methods and self._gateway.trailing_slash == "ignore":
            path = self._gateway.other_slash(table, path) or path
            methods = table.tree.methods(path)
        found = table.tree.find(path, min(methods, key=lambda method: (method != "GET", method))) if methods else None
        passed = table.django_middleware
        if found is not None:
            passed, self.path_values = found[0].django_middleware, found[1]
        if passed is not None:
            self.django_middleware, self.middleware = passed, (passed,)

    async def respond(self, ctx: RequestContext) -> Any:
        """The answer, which is whole unless a handler of the project's for errors streams."""
        answer, cors = await _around(self._gateway, self._answer)(ctx), self._gateway.cors
        return answer if cors is None or ctx.method == "OPTIONS" else cors.stamp(ctx, answer)

    def _preflight(self, ctx: RequestContext, path: str, methods: Iterable[str]) -> Any:
        """What the route that a page is about to ask for has to say to that, if anything."""
        method = (ctx.header(b"access-control-request-method") or b"").decode("latin-1")
        found = self._table.tree.find(path, method) if method else None
        cors = None if found is None else found[0].route.layers.cors
        return None if cors is None else cors.preflight(ctx, methods)

    async def _answer(self, ctx: RequestContext) -> Any:
        path, on_error = self._path, self._table.without_route.on_error
        if path == "*" and ctx.method == "OPTIONS":
            return _allow(("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"))
        if path is None:  # middleware has changed it
            return await on_error(ctx, BadRequest("The path of the request makes no sense here."))
        methods = self._table.tree.methods(path)
        other = None if methods else self._gateway.other_slash(self._table, path)
        if other is not None and self._gateway.trailing_slash == "ignore":
            methods = self._table.tree.methods(other)
        elif other is not None:
            return _redirect(self._root.rstrip("/") + other, ctx.raw_query)
        if not methods:
            return await on_error(ctx, NotFound())
        if ctx.method == "OPTIONS":
            return self._preflight(ctx, path, methods) or _allow(methods)
        allow = ", ".join(sorted({*methods, "OPTIONS"}))
        return await on_error(ctx, MethodNotAllowed(headers={"Allow": allow}))


def _around(
    gateway: Gateway, respond: Callable[[RequestContext], Awaitable[Any]]
) -> Callable[[RequestContext], Awaitable[Any]]:
    """``respond`` inside whatever plugins have put around answers of no route."""
    for around in reversed(gateway.around_unrouted):
        respond = partial(around, respond=respond)
    return respond


def _allow(methods: Iterable[str]) -> Any:
    return make_raw(204, None, b"", [(b"allow", ", ".join(sorted({*methods, "OPTIONS"})).encode())])


def _redirect(path: str, query: bytes) -> Any:
    # SPEC: RFC 9110 section 15.4.9: 308 keeps method and body.
    location = quote_path(path).encode() + (b"?" + query if query else b"")
    return make_raw(308, None, b"", [(b"location", location)])
