"""What every handler may ask for by type alone: Starlette's request objects and the small ``http`` types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request

from hybrid_gateway import http
from hybrid_gateway.binding.call import Call

__all__ = ["BUILTINS"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def _headers(call: Call) -> Headers:
    return Headers(raw=call.raw_headers)


def _query_params(call: Call) -> QueryParams:
    return QueryParams(call.query_pairs())


def _host_and_port(call: Call) -> tuple[str, int]:
    scheme = call.scope.get("scheme", "http")
    server = call.scope.get("server") or ("", None)
    given = call.header(b"host")
    if given is None:
        return server[0], server[1] or _PORTS[scheme]
    text = given.decode("latin-1")
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) <= 5:
        return host, int(port)
    return text, _PORTS.get(scheme, 80)


def _url(call: Call) -> http.URL:
    scheme = call.scope.get("scheme", "http")
    host, port = _host_and_port(call)
    netloc = host if port == _PORTS.get(scheme) else f"{host}:{port}"
    path = quote(call.scope["path"], safe="/%!$&'()*+,;=:@~-._")
    query = call.raw_query.decode("latin-1")
    return http.URL(f"{scheme}://{netloc}{path}" + (f"?{query}" if query else ""))


BUILTINS: dict[Any, Callable[[Call], Any]] = {
    Headers: _headers,
    QueryParams: _query_params,
    http.Method: lambda call: http.Method(call.method),
    http.URL: _url,
    http.Scheme: lambda call: http.Scheme(call.scope.get("scheme", "http")),
    http.Host: lambda call: http.Host(_host_and_port(call)[0]),
    http.Port: lambda call: http.Port(_host_and_port(call)[1]),
    http.Path: lambda call: http.Path(call.scope["path"]),
    http.QueryString: lambda call: http.QueryString(call.raw_query.decode("latin-1")),
}

REQUEST = Request
