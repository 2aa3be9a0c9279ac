"""The answer to the handshake of a websocket: RFC 6455 section 4.2."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from hybrid_gateway.drivers.sockets.websocket_deflate import choose_offer
from hybrid_gateway.headers import header_line
from hybrid_gateway.types import Header, Headers, Scope
from hybrid_gateway.websockets.wire import HANDSHAKE_HEADERS

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handshake:
    """A handshake in order that is not answered yet; ``defaults`` are the headers of the server's own."""

    __slots__ = ("_key", "_offers", "defaults", "scope")

    def __init__(self, scope: Scope, key: bytes, offers: str, defaults: Headers) -> None:
        self.scope = scope
        self.defaults = defaults
        self._key = key
        self._offers = offers

    def accept(
        self, subprotocol: str | None, headers: Iterable[Header], *, compression: bool
    ) -> tuple[bytes, int | None]:
        """Return the answer, and the bits of the window where messages may be compressed.

        Raises ``ValueError`` for a header that no server may send.
        """
        accepted = base64.b64encode(hashlib.sha1(self._key + _GUID, usedforsecurity=False).digest())
        lines = [
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n",
            b"sec-websocket-accept: %b\r\n" % accepted,
        ]
        if subprotocol:
            lines.append(header_line((b"sec-websocket-protocol", subprotocol.encode("latin-1"))))
        chosen = choose_offer(self._offers) if compression else None
        if chosen is not None:
            lines.append(b"sec-websocket-extensions: %b\r\n" % chosen[0].encode())
        others = (header for header in (*self.defaults, *headers) if header[0].lower() not in HANDSHAKE_HEADERS)
        lines += map(header_line, others)
        return b"".join([*lines, b"\r\n"]), chosen and chosen[1]


def response_bytes(start: bytes, headers: Iterable[Header], body: bytes) -> bytes:
    """Return a whole response that ends its connection. Raises ``ValueError`` for a header that no server may send."""
    own = ((b"content-length", b"%d" % len(body)), (b"connection", b"close"))
    names = dict(own)
    lines = map(header_line, (*(header for header in headers if header[0].lower() not in names), *own))
    return b"".join([start, *lines, b"\r\n", body])
