"""Responses as request headers ask for them.

SPEC: RFC 9110 section 12.5.1 (Accept): JSON, MessagePack or HTML, as the client prefers; section 13 (conditional
requests): 304 to a client that has what it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b

from django.utils.http import parse_http_date_safe

from hybrid_gateway.exceptions import ConfigurationError, NotAcceptable
from hybrid_gateway.headers import JSON, MESSAGEPACK, MESSAGEPACK_ALIASES, parse_weights
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, add_headers
from hybrid_gateway.types import Header

HTML = "text/html"  # of a template

_ALIASES = dict.fromkeys(MESSAGEPACK_ALIASES, MESSAGEPACK)

# SPEC: RFC 9110 section 15.4.5: the 304 has the headers about the response, and not those about its content.
_CONTENT = (b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-range")


def check_media_types(media_types: Sequence[str]) -> tuple[str, ...]:
    """Return the media types of a layer, best first; raise :class:`ConfigurationError` for what cannot be written."""
    if isinstance(media_types, str) or not media_types or set(media_types) - {JSON, MESSAGEPACK}:
        raise ConfigurationError(f"media_types={media_types!r} must be a list of {JSON!r} and {MESSAGEPACK!r}.")
    return tuple(media_types)


class Negotiation:
    """The choice of one route among media types: ``check`` runs before anything else of it, ``encode`` at its end."""

    def __init__(self, encoders: Mapping[str, Callable[[object], EndpointResponse]]) -> None:
        self._encoders = encoders  # best first
        self._offered = tuple(encoders)

    def check(self, ctx: RequestContext, authentication: object) -> None:
        """Choose by the ``Accept`` header; raise 406 where it excludes all."""
        accept = ctx.header(b"accept")
        chosen = self._offered[0] if accept is None else choose_media_type(accept.decode("latin-1"), self._offered)
        if chosen is None:
            raise NotAcceptable(f"The answer can be {' or '.join(self._offered)}.")
        ctx.accepted = chosen

    def encode(self, ctx: RequestContext, value: object) -> EndpointResponse:
        """Return the response to ``value``, in the media type that the client prefers."""
        return add_headers(self._encoders[ctx.accepted](value), ((b"vary", b"Accept"),))


def choose_media_type(accept: str, offered: Sequence[str]) -> str | None:
    """Return the offered media type that ``accept`` weighs most, the first of equals; ``None`` if it excludes all."""
    ranges = [(_ALIASES.get(media_range, media_range), weight) for media_range, weight in parse_weights(accept)]
    weights = {media_type: _weigh(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: weights[media_type])
    return best if weights[best] > 0 or not ranges else None


def _weigh(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of a media type. SPEC: that of the most specific range that fits."""
    main = media_type.partition("/")[0]
    for pattern in (media_type, f"{main}/*", "*/*"):
        fitting = [weight for media_range, weight in ranges if media_range == pattern]
        if fitting:
            return max(fitting)
    return 0.0


# --- conditional requests ------------------------------------------------------------------------------------------


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
