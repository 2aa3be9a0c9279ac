"""A TCP proxy that can stop forwarding, or cut everybody off, while the server behind it goes on for all others."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Proxy", "Weather"]

Ends: TypeAlias = "tuple[asyncio.StreamWriter, ...]"


@dataclass(frozen=True, slots=True)
class Weather:
    """What a network does to what goes through it; ``piece`` on the way to the server, all else each way."""

    latency: float = 0.0  # seconds that a piece waits; those behind it wait as well
    rate: float | None = None  # bytes per second
    piece: int | None = None  # bytes of a segment
    resets: float = 0.0  # the chance that a piece is cut in two, and the connection with it

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """``data`` as it arrives."""
        size = self.piece or len(data)
        for start in range(0, len(data), size):
            yield data[start : start + size]

    def seconds(self, piece: bytes) -> float:
        """How long a piece takes."""
        return self.latency + (len(piece) / self.rate if self.rate else 0.0)


class Proxy:
    """Listens on ``port`` of the loopback interface for whoever should reach ``upstream``. An async context manager.

    ``weather`` may change at any time. The end of one direction ends the other, but for ``half_close``.
    """

    weather = Weather()

    def __init__(self, port: int, upstream: tuple[str, int], *, half_close: bool = False) -> None:
        self.port = port
        self._half_close = half_close
        self._upstream = upstream
        self._forwards = asyncio.Event()
        self._forwards.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        self.cut()

    def hang(self) -> None:
        """Forward nothing, and take everything: what a stopped server or a lost network looks like."""
        self._forwards.clear()

    def resume(self) -> None:
        """Forward again, what has waited first."""
        self._refuses = False
        self._forwards.set()

    def cut(self, *, refuse: bool = False) -> None:
        """End all connections; with ``refuse`` new ones, too, until :meth:`resume`."""
        self._refuses = refuse
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        ends = (writer, up_writer)
        try:
            await asyncio.gather(self._pump(reader, up_writer, ends), self._pump(up_reader, writer, ends))
        finally:
            self._writers.difference_update(ends)
            for end in ends:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: Ends) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._forwards.wait()
                await self._forward(data, writer, ends)
        with suppress(OSError, RuntimeError):
            if self._half_close:
                writer.write_eof()
            else:
                writer.close()

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter, ends: Ends) -> None:
        weather = self.weather
        for piece in weather.pieces(data) if writer is ends[1] else [data]:
            if seconds := weather.seconds(piece):
                await asyncio.sleep(seconds)
            if weather.resets and random.random() < weather.resets:
                writer.write(piece[: len(piece) // 2])
                for end in ends:
                    _reset(end)
                return
            writer.write(piece)
            await writer.drain()
            if weather.piece:
                await asyncio.sleep(0)  # the next one is another segment


def _reset(end: asyncio.StreamWriter) -> None:
    """End a connection as a broken network does, not as somebody who says goodbye."""
    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()
