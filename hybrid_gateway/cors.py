"""Cross-origin requests, layer by layer. SPEC: WHATWG Fetch, section 3.2 (CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import check_header
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, RawResponse, add_headers, make_raw
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Header

_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?")


@reject_unknown_keywords()
class CORS:
    """Which pages of other origins may read the responses below a layer.

    ``origins`` are literal, such as ``"https://shop.example"`` or ``"http://localhost:5173"``; ``"*"`` is everybody,
    and excludes ``credentials`` (cookies and HTTP authentication). ``headers`` are what a page may send beyond simple
    ones, by default whatever it asks for; ``expose`` is what its script may read. ``max_age`` is seconds.

    Responses to preflights are the gateway's own; errors carry the headers like every other response.
    """

    def __init__(
        self,
        origins: Sequence[str],
        *,
        credentials: bool = False,
        headers: Sequence[str] | None = None,
        expose: Sequence[str] = (),
        max_age: int = 600,
    ) -> None:
        if isinstance(origins, str) or not origins:
            raise ConfigurationError(
                f'CORS(origins={origins!r}) must be a list such as ["https://shop.example"].', id="H004"
            )
        for origin in origins:
            _check_origin(origin)
        if "*" in origins and credentials:
            raise ConfigurationError(
                'CORS(["*"], credentials=True) lets every page act for its visitor: list origins.', id="H004"
            )
        self.origins = frozenset(origin.encode("ascii") for origin in origins)
        self._anybody = b"*" in self.origins
        self._credentials = credentials
        self._headers = None if headers is None else _join(headers)
        self._expose = _join(expose)
        self._max_age = b"%d" % max_age

    def __repr__(self) -> str:
        return f"CORS({sorted(origin.decode() for origin in self.origins)})"

    def stamp(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        """Return ``response`` with what a page of the request's origin has to know."""
        lines = self._lines(ctx.header(b"origin"))
        if lines and self._expose:
            lines.append((b"access-control-expose-headers", self._expose))
        if not self._anybody:
            lines.append((b"vary", b"Origin"))
        return add_headers(response, lines)

    def preflight(self, ctx: RequestContext, methods: Iterable[str]) -> RawResponse:
        """Return the response to a preflight for a path of these methods."""
        lines = self._lines(ctx.header(b"origin"))
        if lines:
            lines.append((b"access-control-allow-methods", ", ".join(sorted(methods)).encode()))
            wanted = ctx.header(b"access-control-request-headers")
            headers = self._headers if self._headers is not None else wanted
            if headers:
                lines.append((b"access-control-allow-headers", headers))
            lines.append((b"access-control-max-age", self._max_age))
        vary = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        return make_raw(204, None, b"", [*lines, (b"vary", vary)])

    def _lines(self, origin: bytes | None) -> list[Header]:
        if origin is None or not (self._anybody or origin in self.origins):
            return []
        lines = [(b"access-control-allow-origin", b"*" if self._anybody else origin)]
        if self._credentials:
            lines.append((b"access-control-allow-credentials", b"true"))
        return lines


def _check_origin(origin: str) -> None:
    if origin == "*":
        return
    parts = urlsplit(origin)
    if f"{parts.scheme}://{parts.netloc}" != origin or not parts.scheme or _HOST.fullmatch(parts.netloc) is None:
        raise ConfigurationError(
            f"CORS: {origin!r} is no origin. An origin is scheme, host and, unless it is the usual one, port: "
            '"https://shop.example". Patterns are not understood.',
            id="H004",
        )


def _join(names: Sequence[str]) -> bytes:
    try:
        for name in names:
            check_header(name.encode("latin-1"), b"")
    except ValueError as error:
        raise ConfigurationError(f"CORS: {error}", id="H004") from error
    return ", ".join(names).encode("latin-1")
