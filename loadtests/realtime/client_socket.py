"""One websocket of a client: as few instructions as it takes to tell frames from one another.

It offers compression, as every browser does; a server that accepts may compress what it sends.

SPEC: RFC 6455 section 5.3 wants a mask that nobody can guess, against proxies that are fooled by what they take for
HTTP. There is none on the loopback, so the mask is zero, and a frame is made once.
"""

from __future__ import annotations

import asyncio
import base64
import os
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL, _MASKED, _COMPRESSED = 0x80, 0x80, 0x40
_TAIL = b"\0\0\xff\xff"  # SPEC: RFC 7692 section 7.2.2
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"  # as Chrome and Firefox have it

Hear = Callable[["ClientSocket", bytes, int, int], None]
"""Takes a message: the socket, bytes that hold it, and where it begins and ends there."""


class ClientSocket(asyncio.Protocol):
    """A client's end. ``opened`` is set to the status of the answer to its handshake, 0 for none."""

    __slots__ = (
        "_end",
        "_inflate",
        "_rest",
        "_transport",
        "close_code",
        "hear",
        "is_open",
        "opened",
        "received",
        "request",
    )

    def __init__(self, request: bytes, hear: Hear, on_end: Callable[[ClientSocket], None]) -> None:
        self.request = request
        self.hear = hear
        self.opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.is_open = False
        self.close_code: int | None = None
        self.received = 0
        self._end = on_end
        self._rest = b""
        self._inflate: Callable[[bytes], bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self.request)
        self.request = b""

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0 if self.is_open else self._shake_hands(data)
        size = len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                width = 2 if length == 126 else 8
                length = int.from_bytes(data[start : start + width], "big")
                start += width
            end = start + length
            if end > size:
                break
            opcode = data[at] & 0xF
            if opcode <= 2:
                self.received += 1
                if data[at] & _COMPRESSED:
                    self._hear_compressed(data[start:end])
                else:
                    self.hear(self, data, start, end)
            else:
                self._control(opcode, data[start:end])
            at = end
        self._rest = data[at:] if at < size else b""

    def _shake_hands(self, data: bytes) -> int:
        """Read the answer to the handshake, once it is there; return where it ends."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        status = int(data.split(b" ", 2)[1])
        self.is_open = status == 101
        if not self.opened.done():
            self.opened.set_result(status)
        if not self.is_open:
            self._transport.abort()
            return len(data)
        return end + 4

    def _hear_compressed(self, payload: bytes) -> None:
        if self._inflate is None:
            self._inflate = zlib.decompressobj(wbits=-15).decompress
        message = self._inflate(payload + _TAIL)
        self.hear(self, message, 0, len(message))

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._transport.write(frame_of(payload, PONG))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._transport.write(frame_of(payload[:2], CLOSE))

    def send(self, frame: bytes) -> None:
        """Write a frame that :func:`frame_of` has made."""
        self._transport.write(frame)

    def close(self) -> None:
        """Say goodbye."""
        if self.is_open:
            self._transport.write(frame_of((1000).to_bytes(2, "big"), CLOSE))
        else:
            self._transport.abort()

    def abort(self) -> None:
        """End the connection without a word."""
        self._transport.abort()

    def pause(self) -> None:
        """Read nothing more."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if not self.opened.done():
            self.opened.set_result(0)
        self._end(self)


def frame_of(payload: bytes, opcode: int = TEXT) -> bytes:
    """A frame as clients send it."""
    size = len(payload)
    head = bytes((_FINAL | opcode,))
    if size < 126:
        head += bytes((_MASKED | size,))
    elif size < 65_536:
        head += bytes((_MASKED | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((_MASKED | 127,)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def handshake(
    path: str, port: int, *, compression: bool = False, headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The request that opens a websocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}"
        f"{OFFER if compression else ''}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
