"""One request to a development server and its response, by h11 over a connection of asyncio, streamed both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress

import h11

from hybrid_gateway.types import Header

CONNECT_TIMEOUT = 5.0  # seconds
MAX_HEAD = 256 * 1024  # bytes of a response's head
_READ = 64 * 1024

# SPEC: RFC 9110 section 7.6.1, and what older clients and proxies take for such headers
_HOP_BY_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"expect"),
    )
)


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Return the headers that a proxy passes on: not those of one connection, nor those that ``Connection`` names."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = {part.strip().lower() for name, value in pairs if name == b"connection" for part in value.split(b",")}
    return [(name, value) for name, value in pairs if name not in _HOP_BY_HOP and name not in named]


class ProxiedExchange(AsyncIterator[bytes]):
    """A response of a development server: its ``status`` and ``headers``, and its body as an iterator."""

    status = 502
    headers: list[Header]

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)

    @classmethod
    async def open(cls, host: str, port: int) -> ProxiedExchange:
        """Connect; raises ``OSError`` (``TimeoutError`` among it) where nobody is there."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return cls(*await asyncio.open_connection(host, port))

    async def send(self, method: str, target: str, headers: list[Header], body: AsyncIterable[bytes] | None) -> None:
        """Send a request, and read the head of its response.

        Raises ``OSError`` and ``h11.RemoteProtocolError`` where there is none.
        """
        self._write(h11.Request(method=method, target=target, headers=headers))
        # A server that has refused the body is not written to any more: its response is there.
        with suppress(ConnectionError):
            async for chunk in body or _nothing():
                if chunk:
                    self._write(h11.Data(data=chunk))
                    await self._writer.drain()
            self._write(h11.EndOfMessage())
            await self._writer.drain()
        event = await self._next_event()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next_event()
        if not isinstance(event, h11.Response):
            raise h11.RemoteProtocolError("There is no response.")
        self.status = event.status_code
        self.headers = end_to_end(event.headers)

    def _write(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._connection.send(event) or b"")

    async def _next_event(self) -> object:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(await self._reader.read(_READ))
        return event

    async def __anext__(self) -> bytes:
        event = await self._next_event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the connection, however much of the response was read."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
