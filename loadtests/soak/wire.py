"""HTTP/1.1 as a soak speaks it: kept-alive connections, whole answers, and half ones on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["Answer", "Broken", "Wire", "head"]

PATIENCE = 20.0  # seconds until an answer counts as none
IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


class Broken(Exception):
    """No answer, or half of one. ``unheard``: the connection ended before a byte came; ``late``: it did not end."""

    def __init__(self, message: str, *, unheard: bool = False, late: bool = False) -> None:
        super().__init__(message)
        self.unheard = unheard
        self.late = late


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def head(method: str, path: str, headers: Mapping[str, str], length: int | None) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([*lines, "", ""]).encode()


class Wire:
    """One connection, made when needed and again after it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] = MappingProxyType({}), body: bytes = b""
    ) -> Answer:
        """The answer; raises :class:`Broken` where there is none."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self.open()
                writer.write(head(method, path, headers, len(body) if body or method != "GET" else None) + body)
                return await self.read(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self.drop()
            raise Broken(
                f"{method} {path}: {type(error).__name__}",
                unheard=isinstance(error, _Silence),
                late=isinstance(error, TimeoutError),
            ) from error
        except BaseException:
            self.drop()
            raise

    def renew(self) -> bool:
        """Drop a connection that the server has closed meanwhile, as clients do before they use one again."""
        if self._streams is None or not self._streams[0].at_eof():
            return False
        self.drop()
        return True

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The two ends of it."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        return self._streams

    def drop(self) -> None:
        """End it, without a word."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def read(self, reader: asyncio.StreamReader) -> Answer:
        """The next answer that comes."""
        start, *lines = (await _read_head(reader)).decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        headers = {name.lower(): value for name, _, value in pairs}
        status = int(start.split(" ", 2)[1])
        if headers.get("transfer-encoding") == "chunked":
            body = await self._read_chunks(reader)
        elif "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = b"" if status in (204, 304) else await reader.read()
        if headers.get("connection") == "close":
            self.drop()
        return Answer(status, headers, body)

    async def _read_chunks(self, reader: asyncio.StreamReader) -> bytes:
        parts = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
        return b"".join(parts)


class _Silence(OSError):
    """The connection ended, and nothing had come."""


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise _Silence from error
    except ConnectionError as error:  # asyncio gives nothing of what came before it
        raise _Silence from error
