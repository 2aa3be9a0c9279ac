"""Conditional requests: 304 to a client that has what it asks for, 412 where what it means has changed.

SPEC: RFC 9110 section 13.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b

import msgspec
from django.utils.http import parse_http_date_safe

from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import Header

# SPEC: RFC 9110 section 15.4.5: the 304 has the headers about the response, and not those about its content.
_CONTENT = (b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-range")

_TAG = re.compile(r'(?:W/)?"[^"]*"')  # SPEC: section 8.8.3: a comma may be part of one


class Conditions(msgspec.Struct, frozen=True):
    """The headers of a request that say on which conditions, and which part of a body, it asks for."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None

    @classmethod
    def read(cls, header: Callable[[str], str | None]) -> Conditions:
        """Return those of a request; ``header`` returns one by its name."""
        return cls(*(header(name.replace("_", "-")) for name in cls.__struct_fields__))

    def failed(self, tag: str, modified: int) -> int | None:
        """Return 412 or 304 where a condition of a GET or HEAD is not met. SPEC: section 13.2.2 has the order.

        ``tag`` is the ``ETag`` of what would be sent, ``modified`` its ``Last-Modified`` in seconds.
        """
        if self.if_match is not None:
            if not _names(self.if_match, tag, weakly=False):
                return 412
        elif self.if_unmodified_since is not None:
            until = parse_http_date_safe(self.if_unmodified_since)
            if until is not None and modified > until:
                return 412
        if self.if_none_match is not None:
            return 304 if _names(self.if_none_match, tag, weakly=True) else None
        if self.if_modified_since is not None:
            since = parse_http_date_safe(self.if_modified_since)  # what is no date is as if it were not there
            return 304 if since is not None and modified <= since else None
        return None

    def wanted_range(self, tag: str, modified: int) -> str | None:
        """Return the ``Range``, unless ``If-Range`` is of another version. SPEC: section 13.1.5."""
        if self.range is None or self.if_range is None:
            return self.range
        given = self.if_range.strip()
        if '"' in given:
            return self.range if given == tag and not given.startswith("W/") else None
        # SPEC: section 8.8.2.2: a date is strong only where nothing can have changed within its second
        is_strong = modified <= time.time() - 2
        return self.range if is_strong and parse_http_date_safe(given) == modified else None


def _names(listed: str, tag: str, *, weakly: bool) -> bool:
    """Return whether ``If-Match`` or ``If-None-Match`` names ``tag``. SPEC: section 8.8.3.2."""
    if listed.strip() == "*":
        return True
    tags: list[str] = _TAG.findall(listed)
    if weakly:
        return tag.removeprefix("W/") in [other.removeprefix("W/") for other in tags]
    return tag in tags and not tag.startswith("W/")


def matches(wanted: bytes, tag: bytes) -> bool:
    """Return whether ``If-None-Match: wanted`` names ``tag``; SPEC: section 13.1.2 compares weakly."""
    return _names(wanted.decode("latin-1"), tag.decode("latin-1"), weakly=True)


def not_modified_headers(headers: Iterable[Header]) -> list[Header]:
    """Return those headers of a 200 that its 304 has."""
    return [header for header in headers if header[0] not in _CONTENT]


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
