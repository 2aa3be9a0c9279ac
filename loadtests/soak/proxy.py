"""A TCP proxy that can stop forwarding, or cut everybody off, while the server behind it goes on for all others."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["Proxy"]


class Proxy:
    """Listens on ``port`` of the loopback interface for whoever should reach ``upstream``. An async context manager."""

    def __init__(self, port: int, upstream: tuple[str, int]) -> None:
        self.port = port
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
        try:
            await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        finally:
            self._writers -= {writer, up_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._forwards.wait()
                writer.write(data)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()
