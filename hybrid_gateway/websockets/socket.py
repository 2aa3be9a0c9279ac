"""The websocket as handlers see it: typed messages in and out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast, overload

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway.exceptions import BadRequest, HTTPException, RequestValidationError
from hybrid_gateway.types import Headers, Scope
from hybrid_gateway.websockets.connection import NORMAL, Connection
from hybrid_gateway.websockets.frames import Frame

T = TypeVar("T")

Open = Callable[[str | None, Headers], Awaitable[Connection]]


class WebSocket(HTTPConnection):
    """One websocket, with the handshake's ``headers``, ``cookies``, ``query_params``, ``path_params``, ``url`` and
    ``client`` as Starlette has them.

    Messages are text or bytes as they are, or values of a type, which the ``mode`` of the route encodes. The first
    ``send`` or ``receive`` accepts the handshake. Once the connection has ended, both raise ``WebSocketDisconnect``,
    which a handler may let go: the end of a connection is no error. A handler that does not notice is cancelled some
    seconds later. For the task of the handler, and tasks of its own on the same loop.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._connection: Connection | None = None
        self._open: Open | None = None
        self._opening: asyncio.Lock | None = None
        self._draining = asyncio.Event()
        self._end: tuple[int, str] | None = None  # of a socket that was closed before it was accepted

    def attach(self, open: Open) -> None:
        """Let ``open(subprotocol, headers)`` accept the handshake."""
        self._open = open

    # --- the handshake and the end

    @property
    def is_accepted(self) -> bool:
        """True once the handshake is accepted."""
        return self._connection is not None

    @property
    def close_code(self) -> int | None:
        """The close code, once the connection has ended."""
        if self._connection is None:
            return None
        return None if self._connection.end is None else self._connection.end.code

    @property
    def offered_subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in its order."""
        return list(self.scope.get("subprotocols", ()))

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[bytes | str, bytes | str]] = ()
    ) -> None:
        """Accept the handshake, with a subprotocol that the client offers, and more headers of the response.

        Raises ``ClientDisconnect`` where the client has gone already, and ``RuntimeError`` for a subprotocol that it
        has not offered, or a second call.
        """
        if self.is_accepted:
            raise RuntimeError("The handshake is accepted already.")
        if subprotocol is not None and subprotocol not in self.offered_subprotocols:
            raise RuntimeError(f"The client does not offer the subprotocol {subprotocol!r}.")
        lines = [(_as_bytes(name).lower(), _as_bytes(value)) for name, value in headers]
        await self._accept(subprotocol, lines)

    async def _accept(self, subprotocol: str | None = None, headers: Headers = ()) -> Connection:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:  # two tasks may send first
            if self._connection is None:
                if self._end is not None:
                    raise WebSocketDisconnect(*self._end)
                if self._open is None:
                    raise RuntimeError("The websocket is used before its handler runs, or after.")
                self._connection = await self._open(subprotocol, headers)
                self._connection.when_draining(self._draining.set)
        return self._connection

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the connection after what was sent. ``code`` is 1000, or 3000 to 4999; ``reason`` is for people.

        Before the handshake is accepted, it is accepted first, so that the client sees the code.
        """
        if not (code in _CLOSE_CODES or 3000 <= code <= 4999):
            raise ValueError(
                f"{code} is no close code of an application: 1000, 1001, 1008, 1011 to 1013, 3000 to 4999."
            )
        (await self._accept()).close(code, reason)

    @property
    def is_draining(self) -> bool:
        """True once the process is told to end: the connection will soon be closed with 1012."""
        return self._draining.is_set()

    async def wait_draining(self) -> None:
        """Wait until the process is told to end."""
        await self._draining.wait()

    # --- messages

    @overload
    async def receive(self, kind: type[T], /) -> T: ...
    @overload
    async def receive(self, kind: object = ..., /) -> Any: ...
    async def receive(self, kind: object = Any, /) -> Any:
        """Return the next message as a ``kind``: a Struct, a union of tagged ones, any type that a body may have.

        Raises 422 (400 for what is malformed) for one that does not fit, and ``WebSocketDisconnect`` at the end.
        """
        connection = self._connection or await self._accept()
        return connection.options.codec.decoder(kind)(await connection.receive())

    @overload
    def iter(self, kind: type[T], /) -> AsyncIterator[T]: ...
    @overload
    def iter(self, kind: object = ..., /) -> AsyncIterator[Any]: ...
    async def iter(self, kind: object = Any, /) -> AsyncIterator[Any]:
        """Yield messages as ``kind`` until the connection ends; one that does not fit is answered with an error."""
        connection = self._connection or await self._accept()
        codec = connection.options.codec
        decode = codec.decoder(kind)
        while True:
            try:
                data = await connection.receive()
            except WebSocketDisconnect:
                return
            try:
                value = decode(data)
            except (BadRequest, RequestValidationError) as error:
                await connection.send(codec.error(error))
                continue
            yield value

    async def send(self, value: object) -> None:
        """Send a value: text and bytes as they are, anything else by the ``mode`` of the route.

        Waits while more is queued than ``send_queue`` allows.
        """
        connection = self._connection or await self._accept()
        await connection.send(connection.options.codec.encode(value))

    async def send_error(self, error: HTTPException) -> None:
        """Send the frame that tells the client of an error; the connection stays open."""
        connection = self._connection or await self._accept()
        await connection.send(connection.options.codec.error(error))

    async def receive_text(self) -> str:
        """Return the next message as text."""
        return cast("str", await self.receive(str))

    async def receive_bytes(self) -> bytes:
        """Return the next message as bytes."""
        return cast("bytes", await self.receive(bytes))

    async def receive_json(self) -> Any:
        """Return the next message decoded, of any shape."""
        return await self.receive(Any)

    async def send_text(self, text: str) -> None:
        """Send a text frame."""
        await (self._connection or await self._accept()).send(Frame(text.encode()))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await (self._connection or await self._accept()).send(Frame(bytes(data), is_text=False))

    async def send_json(self, value: object) -> None:
        """Send a value in the encoding of the route, a ``str`` quoted."""
        connection = self._connection or await self._accept()
        await connection.send(connection.options.codec.pack(value))


_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013))


def _as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
