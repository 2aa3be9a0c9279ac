"""The response of an endpoint: a plain tuple, or a Starlette response that sends itself."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response as StarletteResponse

from hybrid_gateway.headers import NO_CONTENT, merge_vary
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.types import Header, Headers

RawResponse = tuple[int, Headers, bytes]
"""A complete response: status, headers without ``Content-Length``, and body. PERF: no object is made for most."""

EndpointResponse = RawResponse | StarletteResponse
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


def vary_as_read(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with a ``Vary`` that names the headers noted as ``ctx.varies_by``, too."""
    if not ctx.varies_by:
        return response
    return replace_headers(response, merge_vary(headers_of(response), b", ".join(ctx.varies_by)))


def headers_of(response: EndpointResponse) -> Headers:
    """Return the headers of ``response``."""
    return response[1] if isinstance(response, tuple) else response.raw_headers


def make_raw(status: int, content_type: Header | None, body: bytes, headers: Headers = ()) -> RawResponse:
    """Return a complete response; without a body where the status allows no content."""
    lines = [] if content_type is None else [content_type]
    lines += [header for header in headers if header[0] != b"content-length"]
    return status, lines, b"" if status in NO_CONTENT else body


def is_complete(response: EndpointResponse) -> bool:
    """Return whether the body is all there, so that nothing of the project runs while it is sent."""
    if type(response) is tuple:
        return True
    sends_body = type(response).__call__ is StarletteResponse.__call__
    return sends_body or getattr(response, "is_rendered", False)
