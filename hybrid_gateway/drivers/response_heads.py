"""The heads of responses as uvicorn writes them, joined once a second: for the lane, and for uvicorn's own road."""

from __future__ import annotations

from hybrid_gateway._compat.uvicorn_internals import write_whole
from hybrid_gateway.drivers.start_lines import STATUSES, start_line
from hybrid_gateway.headers import NO_CONTENT, FixedHeaders, StampedHeaders, end_of_head
from hybrid_gateway.types import Headers, Send

_WITH_CONTENT = STATUSES - NO_CONTENT
_FRAMING = frozenset((b"connection", b"content-length", b"transfer-encoding"))


class ResponseHeads:
    """Heads of the responses of one server. ``defaults`` are uvicorn's own headers: a new list each second."""

    def __init__(self) -> None:
        self._starts: dict[int, bytes] = {}  # the first lines and uvicorn's headers, by status
        self._defaults: Headers = ()  # that those are of
        self._is_framed = False  # by one of them

    def start(self, status: int, defaults: Headers) -> bytes:
        """Return the status line and uvicorn's own headers."""
        if defaults is not self._defaults:
            self._defaults, self._starts = defaults, {}
            self._is_framed = any(name.lower() in _FRAMING for name, _ in defaults)
        if status not in self._starts:
            self._starts[status] = start_line(status, defaults)
        return self._starts[status]

    def renew(self, headers: FixedHeaders, status: int, defaults: Headers) -> bytes:
        """Return what responses with ``headers`` begin with until the next second, up to the value of their length."""
        headers.head = self.start(status, defaults) + headers.lines + b"content-length: "
        headers.stamp = defaults
        return headers.head

    def stamped(self, headers: StampedHeaders, status: int, defaults: Headers) -> bytes:
        """Return what one response begins with, up to the value of its length."""
        fixed = headers.fixed
        head = fixed.head if fixed.stamp is defaults else self.renew(fixed, status, defaults)
        return head.removesuffix(b"content-length: ") + headers.lines + b"content-length: "

    def write(self, send: Send, status: int, headers: Headers, body: bytes) -> bool:
        """Write a complete response to uvicorn's connection, if nothing stands between that and ``send``.

        The bytes are those that uvicorn makes of two messages. False: nothing was written, and ``send`` takes them.
        """
        if status not in _WITH_CONTENT:
            return False
        if type(headers) is not FixedHeaders and type(headers) is not StampedHeaders:
            return False
        return write_whole(send, headers, status, end_of_head(body), body, self.unframed)

    def unframed(self, headers: FixedHeaders | StampedHeaders, status: int, defaults: Headers) -> bytes | None:
        """Return the head; none where a header of uvicorn's own (``--header``) decides how a response is sent."""
        if defaults is not self._defaults:
            self.start(status, defaults)
        if self._is_framed:
            return None
        if isinstance(headers, StampedHeaders):
            return self.stamped(headers, status, defaults)
        return self.renew(headers, status, defaults)
