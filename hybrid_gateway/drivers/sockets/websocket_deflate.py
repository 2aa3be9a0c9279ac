"""Compression of websockets (permessage-deflate, RFC 7692), without a state that connections would have to keep.

How this works: each message is compressed for itself (``no_context_takeover`` on both sides), so an idle connection
holds neither window, and a message that many get is compressed once.
"""

from __future__ import annotations

import re
import zlib

from hybrid_gateway.drivers.sockets.websocket_frames import MessageTooBigError
from hybrid_gateway.websockets.frames import Frame, frame_bytes

_NAME = "permessage-deflate"
_ACCEPTED = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
_TAIL = b"\x00\x00\xff\xff"  # SPEC: RFC 7692 section 7.2.1: what senders take away
_MIN_SIZE = 64  # bytes of a message that is compressed
_WINDOW_BITS = 12  # as uvicorn has them: 4 KiB, which are filled faster than the 32 KiB of zlib
_MEMORY_LEVEL = 5

# SPEC: RFC 6455 section 9.1. A comma or a semicolon in quotes is in no offer of this extension.
_PARAMETER = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(?:"([0-9]+)"|([0-9]+))\s*)?')


def choose_offer(offers: str) -> tuple[str, int] | None:
    """Return the header that accepts the first offer of a client that suits, and the bits of the window it allows."""
    for offer in offers.split(","):
        name, *parameters = offer.split(";")
        if name.strip() == _NAME:
            bits = _window_bits(parameters)
            if bits is not None:
                return (_ACCEPTED if bits == 15 else f"{_ACCEPTED}; server_max_window_bits={bits}"), bits
    return None


def _window_bits(parameters: list[str]) -> int | None:
    """Return what a client lets the server's window have, or None for an offer that nobody could accept."""
    given: dict[str, str | None] = {}
    for text in parameters:
        match = _PARAMETER.fullmatch(text)
        if match is None or match[1] in given:
            return None
        given[match[1]] = match[2] or match[3]
    for name, value in given.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif name not in ("server_max_window_bits", "client_max_window_bits"):
            return None
        elif value is None:
            if name == "server_max_window_bits":
                return None
        elif value not in ("8", "9", "10", "11", "12", "13", "14", "15"):
            return None
    bits = int(given.get("server_max_window_bits") or 15)
    return bits if bits > 8 else None  # zlib has no window of 8 bits for raw streams


def compress_frame(frame: Frame, bits: int) -> bytes:
    """Return a frame whose payload is compressed, where that may be worth it."""
    if len(frame.payload) < _MIN_SIZE:
        return frame.as_bytes
    if bits < _WINDOW_BITS:
        return _compress(frame, bits)
    if frame.compressed is None:
        frame.compressed = _compress(frame, _WINDOW_BITS)
    return frame.compressed


def _compress(frame: Frame, bits: int) -> bytes:
    stream = zlib.compressobj(wbits=-bits, memLevel=_MEMORY_LEVEL)
    payload = stream.compress(frame.payload) + stream.flush(zlib.Z_SYNC_FLUSH)
    return frame_bytes(payload.removesuffix(_TAIL), is_text=frame.is_text, is_compressed=True)


class MessageInflater:
    """The reader of one compressed message."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=-15)

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Return what ``data`` adds to the message. Raises ``MessageTooBigError``, or ``ValueError`` for rubbish."""
        # SECURITY: a bomb is cut after one byte more than there may be; zlib makes no more of it.
        try:
            content = self._stream.decompress(data, limit + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(content) > limit or self._stream.unconsumed_tail:
            raise MessageTooBigError
        if self._stream.unused_data.strip(b"\x00\xff"):  # behind its last block; a filler alone may be there
            raise ValueError("There are data behind the end.")
        return content

    def finish(self, limit: int) -> bytes:
        """Return what is left once the last frame has ended."""
        return self.inflate(_TAIL, limit)
