"""The first line of responses, and the server's own headers behind it, as uvicorn writes them."""

from __future__ import annotations

from http import HTTPStatus

from hybrid_gateway.types import Headers

_PHRASES = {status.value: status.phrase for status in HTTPStatus}  # SPEC: RFC 9112 section 4: others have none
_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(100, 600)}

STATUSES = frozenset(_LINES)
"""The statuses that a response may have."""


def start_line(status: int, defaults: Headers) -> bytes:
    """Return the status line and ``defaults`` as HTTP/1.1 has them. Raises ``KeyError`` for what is no status."""
    return _LINES[status] + b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in defaults)
