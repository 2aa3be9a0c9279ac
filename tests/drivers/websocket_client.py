"""A client of websockets that writes bytes: frames in order and out of order, in pieces, or only half of them."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # SPEC: the example of RFC 6455 section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    length: int | None = None,
) -> bytes:
    """One frame of a client; ``reserved`` are the three bits, ``length`` what the head says where that is a lie."""
    size = len(data) if length is None else length
    first, masked = (0x80 if fin else 0) | reserved << 4 | opcode, 0 if mask is None else 0x80
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65_536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if mask is None:
        return head + data
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close of a client."""
    return frame(8, b"" if code is None else struct.pack("!H", code) + reason)


def handshake(path: str = "/", *more: str, key: str = KEY, version: str = "13") -> bytes:
    """A handshake, with lines of headers more."""
    lines = [
        *(f"GET {path} HTTP/1.1", "Host: example.org", "Upgrade: websocket", "Connection: Upgrade"),
        *(f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Version: {version}", *more),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, **options: Any) -> Client:
        """Connect, and say nothing."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    @classmethod
    async def open(cls, port: int, path: str = "/", *more: str, behind: bytes = b"") -> Client:
        """Connect, and be accepted; ``behind`` is written with the handshake."""
        client = await cls.connect(port)
        client.write(handshake(path, *more) + behind)
        status, client.headers = await client.read_head()
        assert status == 101, status
        assert client.headers["sec-websocket-accept"] == ACCEPT
        return client

    headers: dict[str, str]

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of a response."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        headers = [line.split(": ", 1) for line in lines]
        return int(first.split(" ")[1]), {name.lower(): value for name, value in headers}

    async def read_frame(self) -> tuple[int, bytes]:
        """The first byte, and the data, of the next frame."""
        return await asyncio.wait_for(self._read_frame(), 10)

    async def _read_frame(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first, await self.reader.readexactly(size)

    async def read_close(self) -> int | None:
        """The code of the next frame, which is a close; None for one without."""
        first, data = await self.read_frame()
        assert first == 0x88, (first, data)
        return int.from_bytes(data[:2], "big") if data else None

    async def read_end(self) -> bytes:
        """What comes until the server has ended the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), 10)
        except ConnectionResetError:
            return b"reset"

    def leave(self) -> None:
        """End the connection without a word."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection by a reset."""
        socket: Any = self.writer.get_extra_info("socket")
        socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
        self.writer.close()
