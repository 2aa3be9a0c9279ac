"""One request as plain values: what compiled endpoints read, and what drivers fill in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_plus

from starlette.requests import ClientDisconnect, Request, cookie_parser

from hybrid_gateway.exceptions import BadRequest, ContentTooLarge

__all__ = ["Call"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Call:
    """The state of one request, from its head to its answer. Made by a driver, dropped with the answer."""

    # PERF: what most requests never touch is a class attribute until somebody sets it; twelve slots cost 0.3 µs.
    authentication: Any = None
    exits: list[tuple[str, Any]] | None = None  # what the plan entered, in order
    received = 0  # bytes of the body so far
    _query: list[tuple[str, str]] | None = None
    _headers: dict[bytes, bytes] | None = None

    def __init__(
        self, scope: MutableMapping[str, Any], receive: Receive, path_values: tuple[Any, ...], thread: Any
    ) -> None:
        self.scope = scope
        self.path_values = path_values
        self.thread = thread
        self._receive = receive

    @property
    def method(self) -> str:
        """The request method."""
        return self.scope["method"]  # type: ignore[no-any-return]

    @property
    def raw_query(self) -> bytes:
        """The query string as it came, without ``?``."""
        return self.scope["query_string"]  # type: ignore[no-any-return]

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as they came, names in lower case."""
        return self.scope["headers"]  # type: ignore[no-any-return]

    def on_exit(self, mode: str, manager: Any) -> None:
        """Leave ``manager`` with the request, on the loop, on its thread, or anywhere."""
        if self.exits is None:
            self.exits = []
        self.exits.append((mode, manager))

    # --- query, headers, cookies

    def query_pairs(self) -> list[tuple[str, str]]:
        """Names and values of the query string, in order."""
        if self._query is None:
            self._query = parse_query(self.raw_query)
        return self._query

    def query_values(self) -> dict[str, str]:
        """The query by name; of a repeated name the last value, as in Django."""
        return dict(self.query_pairs())

    def query_lists(self) -> dict[str, list[str]]:
        """The query by name, every value."""
        lists: dict[str, list[str]] = {}
        for name, value in self.query_pairs():
            lists.setdefault(name, []).append(value)
        return lists

    def header(self, name: bytes) -> bytes | None:
        """One header by its lower-case name; of a repeated header the last."""
        if self._headers is None:
            self._headers = dict(self.raw_headers)
        return self._headers.get(name)

    def header_values(self) -> dict[str, str]:
        """The headers by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}

    def header_lists(self) -> dict[str, list[str]]:
        """The headers by lower-case name, every value."""
        lists: dict[str, list[str]] = {}
        for name, value in self.raw_headers:
            lists.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return lists

    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        pairs = (cookie_parser(value.decode("latin-1")) for name, value in self.raw_headers if name == b"cookie")
        merged: dict[str, str] = {}
        for cookies in pairs:
            merged.update(cookies)
        merged.pop("", None)  # SECURITY: `=__Host-x=...` is no cookie called __Host-x
        return merged

    # --- body

    async def read_body(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes; more raises 413 as soon as it is known."""
        declared = self.header(b"content-length")
        if declared is not None:
            if not declared.isdigit():
                raise BadRequest("The Content-Length header is not a number.")
            if len(declared) > 18 or int(declared) > limit:
                raise _too_large(limit)
        message = await self.receive(limit)
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            return body
        parts = bytearray(message.get("body", b""))
        while message.get("more_body", False):
            message = await self.receive(limit)
            parts += message.get("body", b"")
        return bytes(parts)

    async def receive(self, limit: int) -> MutableMapping[str, Any]:
        """The next message of the body. SECURITY: what arrives is counted, whatever Content-Length says."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.received += len(message.get("body", b""))
        if self.received > limit:
            raise _too_large(limit)
        return message

    def request(self, limit: int, path_names: tuple[str, ...]) -> Request:
        """Starlette's ``Request``, its body bounded like every other."""
        scope = {**self.scope, "path_params": dict(zip(path_names, self.path_values, strict=True))}

        async def receive() -> MutableMapping[str, Any]:
            return await self.receive(limit)

        return Request(scope, receive)


def _too_large(limit: int) -> ContentTooLarge:
    return ContentTooLarge(f"The body is larger than {limit} bytes.")


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """Split ``application/x-www-form-urlencoded`` text; only ``&`` separates, blank values are kept."""
    if not raw:
        return []
    text = raw.decode("utf-8", "replace")
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    if "%" in text or "+" in text:
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
    return [(name, value) for name, _, value in pairs]
