"""A websocket on the lane for applications that speak ASGI: mounts, Channels, whatever has middleware around it.

How this works: :class:`ASGIMessages` is the receiver of a wire, and makes of what happens there the messages of ASGI's
websockets, version 2.4, as uvicorn's own protocol does. It pings as uvicorn's options say, and ends with the server.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Protocol

from hybrid_gateway.drivers.sockets.websocket_server import SocketServer
from hybrid_gateway.types import Header, Headers, Message
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import Receiver, Wire

MAX_BODY = 1 << 20  # bytes of a response to a handshake
MAX_SMALL = 64 * 1024  # of a message that others may wait behind
SHUTDOWN_JITTER = 2.0  # seconds in which all of them are closed: their clients come back at once

_RESTART, _PING_TIMEOUT = 1012, 1011


class Disconnected(OSError):
    """The connection has ended. SPEC: ASGI websockets 2.4: ``send()`` raises a subclass of ``OSError``."""


class ServerWire(Wire, Protocol):
    """A wire of this server."""

    def has_left(self) -> bool:
        """Return whether nobody is there any more."""
        ...

    async def deny(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the handshake by a response of HTTP."""
        ...


class ASGIMessages(Receiver):
    """The messages of one websocket: ``receive`` and ``send`` are those of ASGI."""

    def __init__(self, wire: ServerWire, server: SocketServer) -> None:
        self._wire = wire
        self._server = server
        self._queue: deque[Message] = deque([{"type": "websocket.connect"}])
        self._arrival: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._response: tuple[int, list[Header], bytearray] | None = None  # of a handshake that is refused
        self._is_open = self._has_answered = self._is_over = False

    async def receive(self) -> Message:
        """Return the next message, once there is one."""
        while not self._queue:
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        message = self._queue.popleft()
        if self._is_open and not self._queue:
            self._wire.resume_reading()
        return message

    def _put(self, message: Message) -> None:
        self._queue.append(message)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if self._is_over or self._wire.has_left():
            raise Disconnected
        kind = message["type"]
        if self._response is not None:
            await self.send_body(message)
        elif not self._has_answered:
            await self.answer(kind, message)
        elif not self._is_open:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        elif kind == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            if data is not None:
                self._wire.send(Frame(bytes(data), is_text=False))
            elif text is not None:
                self._wire.send(Frame(text.encode()))
            await self._wire.drain()
        elif kind == "websocket.close":
            code, reason = message.get("code", 1000), message.get("reason") or ""
            self._end()
            self._put({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._wire.close(code, reason)
        else:
            raise RuntimeError(f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'.")

    async def answer(self, kind: str, message: Message) -> None:
        """Answer the handshake."""
        if kind == "websocket.accept":
            server = self._server
            self._has_answered = self._is_open = True
            await self._wire.accept(
                self,
                subprotocol=message.get("subprotocol"),
                headers=[(bytes(name), bytes(value)) for name, value in message.get("headers", ())],
                max_size=server.max_size,
                compression=server.compression,
            )
            if server.ping_interval:
                self._timer = server.call_later(server.ping_interval, self._ping)
            if server.is_ending:
                self.shut_down()
        elif kind == "websocket.close":
            await self._deny(403, [], b"")
        elif kind == "websocket.http.response.start":
            headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            self._response = message["status"], headers, bytearray()
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' "
                f"or 'websocket.http.response.start' but got '{kind}'."
            )

    async def send_body(self, message: Message) -> None:
        """Answer the handshake by a response."""
        if self._response is None or message["type"] != "websocket.http.response.body":
            raise RuntimeError(f"Expected ASGI message 'websocket.http.response.body' but got '{message['type']}'.")
        status, headers, body = self._response
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise RuntimeError(f"The response to a handshake has more than {MAX_BODY} bytes.")
        if not message.get("more_body"):
            self._response = None
            await self._deny(status, headers, bytes(body))

    async def _deny(self, status: int, headers: Headers, body: bytes) -> None:
        self._has_answered = True
        await self._wire.deny(status, headers, body)
        self._put({"type": "websocket.disconnect", "code": 1006})

    def shut_down(self) -> None:
        """Close with the server, at some moment of the next seconds."""
        if self._is_open:
            # Not all at once: those who come back would meet a server that has just begun.
            delay = random.uniform(0, SHUTDOWN_JITTER)  # noqa: S311  # nosec B311
            self._server.call_later(delay, self._wire.close, _RESTART, "")

    # --- what the wire tells

    def on_message(self, data: str | bytes) -> None:
        self._put({"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data})
        if len(self._queue) >= self._server.max_queue or len(data) > MAX_SMALL:
            self._wire.pause_reading()

    def on_writable(self) -> None: ...

    def on_closed(self, code: int, reason: str) -> None:
        if not self._is_over:
            was_told = self._has_answered and not self._is_open
            self._is_over = True
            self._end()
            if not was_told:
                self._put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _end(self) -> None:
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- pings

    def _ping(self) -> None:
        self._wire.ping()
        timeout, interval = self._server.ping_timeout, self._server.ping_interval or 0.0
        if timeout is None:
            self._timer = self._server.call_later(interval, self._ping)
        else:
            self._timer = self._server.call_later(timeout, self._give_up)

    def on_pong(self) -> None:
        if self._timer is not None and self._server.ping_timeout is not None:
            self._timer.cancel()
            self._timer = self._server.call_later(self._server.ping_interval or 0.0, self._ping)

    def _give_up(self) -> None:
        self._wire.close(_PING_TIMEOUT, "keepalive ping timeout")
