"""Types that every handler may ask for: Starlette's request objects and the small ``http`` types."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request

from hybrid_gateway import http
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.url_quoting import quote_encoded_path

__all__ = ["BUILTINS"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def _host_and_port(ctx: RequestContext) -> tuple[str, int]:
    scheme = ctx.scope.get("scheme", "http")
    server = ctx.scope.get("server") or ("", None)
    given = ctx.header(b"host")
    if given is None:
        return server[0], server[1] or _PORTS[scheme]
    text = given.decode("latin-1")
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) <= 5:
        return host, int(port)
    return text, _PORTS.get(scheme, 80)


def _url(ctx: RequestContext) -> http.URL:
    scheme = ctx.scope.get("scheme", "http")
    host, port = _host_and_port(ctx)
    netloc = host if port == _PORTS.get(scheme) else f"{host}:{port}"
    path = quote_encoded_path(ctx.scope["path"])
    query = ctx.raw_query.decode("latin-1")
    return http.URL(f"{scheme}://{netloc}{path}" + (f"?{query}" if query else ""))


BUILTINS: dict[object, Callable[[RequestContext], object]] = {
    Headers: lambda ctx: Headers(raw=ctx.raw_headers),
    QueryParams: lambda ctx: QueryParams(ctx.query_pairs()),
    http.Method: lambda ctx: http.Method(ctx.method),
    http.URL: _url,
    http.Scheme: lambda ctx: http.Scheme(ctx.scope.get("scheme", "http")),
    http.Host: lambda ctx: http.Host(_host_and_port(ctx)[0]),
    http.Port: lambda ctx: http.Port(_host_and_port(ctx)[1]),
    http.Path: lambda ctx: http.Path(ctx.scope["path"]),
    http.QueryString: lambda ctx: http.QueryString(ctx.raw_query.decode("latin-1")),
}

REQUEST = Request
