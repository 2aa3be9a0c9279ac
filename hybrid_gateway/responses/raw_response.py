"""The response of an endpoint: a plain tuple, or a Starlette response that sends itself."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response

from hybrid_gateway.types import Header, Headers

__all__ = ["EndpointResponse", "RawResponse", "add_headers", "headers_of", "replace_headers", "status_of"]

RawResponse = tuple[int, Headers, bytes]
"""A complete response: status, headers without ``Content-Length``, and body. PERF: no object is made for most."""

EndpointResponse = RawResponse | Response
"""A complete response, or one of Starlette's, which sends itself."""


def status_of(response: EndpointResponse) -> int:
    """Return the status of ``response``."""
    return response[0] if isinstance(response, tuple) else response.status_code


def add_headers(response: EndpointResponse, headers: Iterable[Header]) -> EndpointResponse:
    """Return ``response`` with ``headers`` after its own."""
    if isinstance(response, tuple):
        status, own, body = response
        return status, [*own, *headers], body
    response.raw_headers.extend(headers)
    return response


def replace_headers(response: EndpointResponse, headers: Headers) -> EndpointResponse:
    """Return ``response`` with ``headers`` in place of its own."""
    if isinstance(response, tuple):
        return response[0], headers, response[2]
    response.raw_headers[:] = headers
    return response


def headers_of(response: EndpointResponse) -> Headers:
    """Return the headers of ``response``."""
    return response[1] if isinstance(response, tuple) else response.raw_headers
