"""Media types of responses, as the ``Accept`` header asks for them: JSON, MessagePack or HTML.

SPEC: RFC 9110 section 12.5.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hybrid_gateway.exceptions import ConfigurationError, NotAcceptable
from hybrid_gateway.headers import JSON, MESSAGEPACK, MESSAGEPACK_ALIASES, parse_weights
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, add_headers

HTML = "text/html"  # of a template

_ALIASES = dict.fromkeys(MESSAGEPACK_ALIASES, MESSAGEPACK)


def check_media_types(media_types: Sequence[str]) -> tuple[str, ...]:
    """Return the media types of a layer, best first; raise :class:`ConfigurationError` for what cannot be written."""
    if isinstance(media_types, str) or not media_types or set(media_types) - {JSON, MESSAGEPACK}:
        raise ConfigurationError(
            f"media_types={media_types!r} must be a list of {JSON!r} and {MESSAGEPACK!r}.", id="H007"
        )
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
