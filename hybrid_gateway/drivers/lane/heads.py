"""Heads of requests: what follows their first line, validated once for all requests that send the same bytes again.

How this works: the first request of a connection is parsed by llhttp, and its headers pass the checks that the ASGI
driver makes. What they say is a :class:`ValidatedHead`. As long as the next requests repeat it byte for byte, which
most clients do, nothing but their first line is left to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Protocol

from hybrid_gateway._compat.uvicorn_internals import build_parser
from hybrid_gateway._compat.uvicorn_websocket_internals import client_address
from hybrid_gateway.dispatch.dispatcher import Dispatcher, no_message
from hybrid_gateway.dispatch.request_checks import MAX_HEADER_BYTES, MAX_HEADERS
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.types import Header, Scope

NEVER = 1 << 62  # more bytes than any request has

# Folded lines, and names with an underscore
_ODD_HEADERS = re.compile(rb"\r\n(?:[ \t]|[^:\r\n]*_[^:\r\n]*:)")
_UNENCODED = (None, b"", b"identity")


class ValidatedHead:
    """A head that is in order, but for its first line, and what it says; nobody changes that."""

    __slots__ = ("by_name", "client", "has_plain_body", "headers", "is_secure", "keep_alive", "length", "size", "text")

    def __init__(
        self,
        text: bytes = b"",
        headers: Sequence[Header] = (),
        *,
        client: str = "",
        is_secure: bool = False,
        keep_alive: bool = True,
        length: int | None = None,
    ) -> None:
        self.text = text
        self.headers = headers
        self.by_name = dict(headers)  # of a repeated header the last
        self.client = client  # host and port, for the access log
        self.is_secure = is_secure  # whether it came over HTTPS
        self.keep_alive = keep_alive
        self.length = length or 0  # bytes of the body
        # SECURITY: where a body has chunks, its end is the parser's to find.
        self.size = NEVER if length is None else len(text) + length  # bytes after the first line
        encoding = self.by_name.get(b"content-encoding")
        self.has_plain_body = self.size != NEVER and encoding in _UNENCODED


NO_HEAD = ValidatedHead()


class HeadSource(Protocol):
    """A connection, as far as the heads that come on it are concerned."""

    server: tuple[str, int | None] | None
    client: tuple[str, int] | None

    @property
    def scheme(self) -> str | None: ...


class HeadValidator:
    """The checks of the heads that come to one server."""

    def __init__(self, application: ServedApplication, trust_proxy: Callable[[Scope], None]) -> None:
        self._application = application
        self._dispatcher: Dispatcher = application.dispatcher
        self._trust_proxy = trust_proxy

    def validate(self, connection: HeadSource, text: bytes, length: int, keep_alive: bool) -> ValidatedHead | None:
        """Return what a head says, if its headers are what most are; others are the ASGI driver's to validate.

        The parser has found ``length`` bytes of a body after it, and whether the connection goes on.
        """
        application, dispatcher = self._application, self._dispatcher
        if application.starts_with_requests:
            return None
        if len(text) > MAX_HEADER_BYTES or text.count(b"\r\n") > MAX_HEADERS or _ODD_HEADERS.search(text) is not None:
            return None
        if text.find(b"100-") >= 0:  # "Expect: 100-continue"
            return None
        headers: list[Header] = []
        reader = SimpleNamespace(on_header=lambda name, value: headers.append((name.lower(), value)))
        build_parser(reader).feed_data(b"GET / HTTP/1.1" + text)
        scope: Scope = {"type": "http", "method": "GET", "headers": headers, "scheme": connection.scheme}
        scope.update(http_version="1.1", server=connection.server, client=connection.client)
        self._trust_proxy(scope)
        ctx = RequestContext(scope, no_message, application.lend_thread)
        validator, security = dispatcher.validator, dispatcher.security
        if validator.validate(ctx, "/") is not None or validator.validate_host(ctx, log=False) is not None:
            return None
        is_secure = security.is_secure(ctx)
        if security.redirects and not is_secure:
            return None
        has_chunks = any(name == b"transfer-encoding" for name, _ in headers)
        return ValidatedHead(
            text,
            headers,
            client=client_address(scope),
            is_secure=is_secure,
            keep_alive=keep_alive,
            length=None if has_chunks else length,
        )
