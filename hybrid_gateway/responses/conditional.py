"""Conditional requests. SPEC: RFC 9110 section 13: 304 to a client that has what it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from django.utils.http import parse_http_date_safe

from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import Header

__all__ = ["add_etag", "is_unmodified", "matches", "not_modified_headers"]

# SPEC: RFC 9110 section 15.4.5: the 304 has the headers about the response, and not those about its content.
_CONTENT = (b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-range")


def add_etag(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with an ``ETag`` of its body, or 304 without a body where the client names that tag.

    The tag is weak, so that a compressed response may have it. One that the handler has set stays.
    """
    if not isinstance(response, tuple) or response[0] != 200 or ctx.method not in ("GET", "HEAD"):
        return response
    status, headers, body = response
    tag = next((value for name, value in headers if name == b"etag"), None)
    if tag is None:
        tag = b'W/"%b"' % blake2b(body, digest_size=12).hexdigest().encode()
        headers = [*headers, (b"etag", tag)]
    wanted = ctx.header(b"if-none-match")
    if wanted is not None and matches(wanted, tag):
        return 304, not_modified_headers(headers), b""
    return status, headers, body


def not_modified_headers(headers: Iterable[Header]) -> list[Header]:
    """Return those headers of a 200 that its 304 has."""
    return [header for header in headers if header[0] not in _CONTENT]


def matches(wanted: bytes, tag: bytes) -> bool:
    """Return whether ``If-None-Match: wanted`` names ``tag``; SPEC: section 13.1.2 compares weakly."""
    if wanted.strip() == b"*":
        return True
    opaque = tag.removeprefix(b"W/")
    return opaque in [candidate.strip().removeprefix(b"W/") for candidate in wanted.split(b",")]


def is_unmodified(request: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Return whether ``If-None-Match``, or else ``If-Modified-Since``, of a request fits a response's headers."""
    wanted = request.get("if-none-match")
    if wanted is not None:
        return matches(wanted.encode("latin-1"), headers.get("etag", "").encode("latin-1"))
    since = parse_http_date_safe(request.get("if-modified-since", ""))
    modified = parse_http_date_safe(headers.get("last-modified", ""))
    # What is no date is as if it were not there.
    return since is not None and modified is not None and modified <= since
