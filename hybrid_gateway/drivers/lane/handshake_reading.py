"""The handshake of a websocket as the lane reads it: RFC 6455 section 4.2.1, and the scope of ASGI that comes of it."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote

import httptools

from hybrid_gateway.dispatch.request_checks import MAX_HEADER_BYTES, MAX_HEADERS
from hybrid_gateway.drivers.sockets.websocket_handshake import Handshake
from hybrid_gateway.headers import is_token
from hybrid_gateway.types import Header, Headers, Scope

_VERSION = b"13"


class HandshakeError(Exception):
    """A handshake that breaks RFC 6455, and the answer to it."""

    def __init__(self, status: int, detail: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def read_handshake(
    method: str, version: str, url: bytes, headers: list[Header], scope: Scope, defaults: Headers
) -> Handshake:
    """Return a handshake by its head; ``scope`` is completed. Raises :class:`HandshakeError` for one out of order."""
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HandshakeError(431, "The headers of the request are too many or too long.")
    if method != "GET":
        raise HandshakeError(405, "A websocket begins with GET.", ((b"allow", b"GET"),))
    if version != "1.1":
        raise HandshakeError(505, "A websocket begins with HTTP/1.1.")
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name, []).append(value)
    # SECURITY: of a body, one reader would take frames, and another one a request.
    if b"transfer-encoding" in by_name or by_name.get(b"content-length", [b"0"]) != [b"0"]:
        raise HandshakeError(400, "The handshake of a websocket has no body.")
    if by_name.get(b"sec-websocket-version") != [_VERSION]:
        raise HandshakeError(426, "The version of websockets is 13.", ((b"sec-websocket-version", _VERSION),))
    keys = by_name.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not is_key(keys[0]):
        raise HandshakeError(400, "Sec-WebSocket-Key is none.")
    complete_scope(scope, url, headers, by_name)
    offers = b",".join(by_name.get(b"sec-websocket-extensions", ())).decode("latin-1")
    return Handshake(scope, keys[0], offers, defaults)


def is_key(value: bytes) -> bool:
    """Return whether ``value`` is 16 bytes in base64, as a client makes them up."""
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except binascii.Error:
        return False


def complete_scope(scope: Scope, url: bytes, headers: list[Header], by_name: dict[bytes, list[bytes]]) -> None:
    """Make the scope of a request that of a websocket. Raises :class:`HandshakeError`."""
    parsed: Any = None
    raw_path = b""
    try:
        parsed = httptools.parse_url(url)
        raw_path = parsed.path or b"/"
        path = unquote(raw_path.decode("ascii"))
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        path = ""
    if not path.startswith("/"):
        raise HandshakeError(400, "The target of the request is none.")
    protocols = [part.strip() for part in b",".join(by_name.get(b"sec-websocket-protocol", ())).split(b",")]
    # SPEC: RFC 6455 section 4.1: tokens; RFC 9110 section 5.6.1: empty elements of a list are none
    if not all(map(is_token, filter(None, protocols))):
        raise HandshakeError(400, "Sec-WebSocket-Protocol names what is no protocol.")
    scope.update(
        {
            "type": "websocket",
            "asgi": {**scope["asgi"], "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if scope["scheme"] == "https" else "ws",
            "path": scope["root_path"] + path,
            "raw_path": scope["root_path"].encode() + raw_path,
            "query_string": parsed.query or b"",
            "headers": headers,
            "subprotocols": [part.decode("ascii") for part in protocols if part],
            "extensions": {"websocket.http.response": {}},
        }
    )
    scope.pop("method", None)
