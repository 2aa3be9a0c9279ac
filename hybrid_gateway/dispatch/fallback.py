"""Responses where no route answers: rejected requests, 404, 405, OPTIONS, and redirects to the other slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.endpoints.endpoint import PooledMiddleware
from hybrid_gateway.exceptions import BadRequest, HTTPException, MethodNotAllowed, NotFound
from hybrid_gateway.headers import FixedHeaders
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.problem_details import problem_response
from hybrid_gateway.responses.raw_response import EndpointResponse, RawResponse, make_raw
from hybrid_gateway.types import ASGIMiddlewareFactory
from hybrid_gateway.url_quoting import quote_path

Respond = Callable[[RequestContext], Awaitable[EndpointResponse]]


class _Unrouted:
    django_middleware: PooledMiddleware | None = None
    middleware: tuple[ASGIMiddlewareFactory, ...] = ()

    def __init__(self, table: RoutingTable) -> None:
        self.end = table.without_route.end
        self.awaits = table.errors.awaits
        self.security_headers = table.security_headers
        self._table = table

    def _around(self, respond: Respond) -> Respond:
        """Return ``respond`` inside what plugins have put around responses without a route."""
        for around in reversed(self._table.around_unrouted):
            respond = partial(around, respond=respond)
        return respond


class RejectedRequest(_Unrouted):
    """Answers a request that neither routes nor Django's side shall see."""

    def __init__(self, table: RoutingTable, error: HTTPException) -> None:
        super().__init__(table)
        self._error = error

    async def respond(self, ctx: RequestContext) -> EndpointResponse:
        """Return the error as a response, in the words of the project's exception handlers."""
        return await self._around(lambda ctx: self._table.without_route.on_error(ctx, self._error))(ctx)


class NotRouted(_Unrouted):
    """Answers where no route does: 404, 405, an automatic OPTIONS, or a redirect to the other slash.

    ``path`` is ``None`` where middleware has changed it to one that makes no sense; ``root`` is the script prefix.
    """

    path_values: tuple[object, ...] = ()
    respond_now: Any = None

    def __init__(self, table: RoutingTable, path: str | None, root: str) -> None:
        super().__init__(table)
        self._path = path
        self._root = root
        if table.passes_django and path is not None and path != "*":
            self._find_django_middleware(path)

    def _find_django_middleware(self, path: str) -> None:
        """Stand below the middleware of another method of the path, GET if there is one, else of the whole gateway."""
        table = self._table
        methods = table.tree.methods(path)
        if not methods and table.trailing_slash == "ignore":
            path = table.other_slash(path) or path
            methods = table.tree.methods(path)
        found = table.tree.find(path, min(methods, key=lambda method: (method != "GET", method))) if methods else None
        passed = table.django_middleware
        if found is not None:
            passed, self.path_values = found[0].django_middleware, found[1]
        if passed is not None:
            self.django_middleware, self.middleware = passed, (passed,)

    async def respond(self, ctx: RequestContext) -> EndpointResponse:
        """Return a response, which is complete unless an exception handler of the project's streams."""
        table = self._table

        async def answer(ctx: RequestContext) -> EndpointResponse:
            chosen = self._choose(ctx)
            if chosen is None or isinstance(chosen, HTTPException):
                return await table.without_route.on_error(ctx, chosen or NotFound())
            return chosen

        response = await self._around(answer)(ctx)
        return response if table.cors is None or ctx.method == "OPTIONS" else table.cors.stamp(ctx, response)

    def _choose(self, ctx: RequestContext) -> EndpointResponse | HTTPException | None:
        """Return the response, or the error that it is the response to; ``None`` for a path that nobody knows."""
        table, path = self._table, self._path
        if path == "*" and ctx.method == "OPTIONS":
            return _allow(("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"))
        if path is None:
            return BadRequest("The path of the request makes no sense here.")
        methods = table.tree.methods(path)
        other = None if methods else table.other_slash(path)
        if other is not None and table.trailing_slash == "ignore":
            methods = table.tree.methods(other)
        elif other is not None:
            # SPEC: RFC 9110 section 15.4.9: 308 keeps method and body.
            location = quote_path(self._root.rstrip("/") + other).encode()
            query = b"?" + ctx.raw_query if ctx.raw_query else b""
            return make_raw(308, None, b"", [(b"location", location + query)])
        if not methods:
            return _upgrade_required(ctx) if table.find_websocket(path) is not None else None
        if ctx.method == "OPTIONS":
            method = (ctx.header(b"access-control-request-method") or b"").decode("latin-1")
            found = table.tree.find(path, method) if method else None
            cors = None if found is None else found[0].route.layers.cors  # of the route that the page is about to call
            return _allow(methods) if cors is None else cors.preflight(ctx, methods)
        allow = ", ".join(sorted({*methods, "OPTIONS"}))
        return MethodNotAllowed(headers={"Allow": allow})


class PlainlyNotRouted(NotRouted):
    """Answers as :class:`NotRouted`, where no handler of errors and no plugin of the project has a part in it."""

    def respond_now(self, ctx: RequestContext) -> EndpointResponse:
        """Return the response, as an endpoint's ``respond_now`` does."""
        chosen, cors = self._choose(ctx), self._table.cors
        if chosen is None or isinstance(chosen, HTTPException):
            chosen = problem_response(chosen or NotFound())
        return chosen if cors is None or ctx.method == "OPTIONS" else cors.stamp(ctx, chosen)


class UnknownPath(_Unrouted):
    """Answers 404 to every path that nobody knows, always the same."""

    def __init__(self, table: RoutingTable) -> None:
        super().__init__(table)
        status, headers, body = problem_response(NotFound())
        self._response: RawResponse = status, FixedHeaders((*headers, *table.security_headers)), body

    def respond_now(self, ctx: RequestContext) -> EndpointResponse:
        """Return the response, as an endpoint's ``respond_now`` does."""
        return self._response

    async def respond(self, ctx: RequestContext) -> EndpointResponse:
        """Return the response."""
        return self._response


def kind_of_unrouted(table: RoutingTable) -> type[NotRouted]:
    """Return the class of what answers where no route of ``table`` does."""
    return PlainlyNotRouted if table.errors.are_plain and not table.around_unrouted else NotRouted


def _upgrade_required(ctx: RequestContext) -> HTTPException:
    # SPEC: RFC 9110 section 15.5.22; an ASGI server may be told of it, PEP 3333 leaves Upgrade to the server
    headers = {"Upgrade": "websocket"} if ctx.is_http_1 and "asgi" in ctx.scope else {}
    return HTTPException(426, "This is a websocket, which an ASGI server opens and WSGI has none of.", headers=headers)


def _allow(methods: Iterable[str]) -> RawResponse:
    return make_raw(204, None, b"", [(b"allow", ", ".join(sorted({*methods, "OPTIONS"})).encode())])
