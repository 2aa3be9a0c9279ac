"""The wire of any ASGI server: messages are received by a task of the connection, and sent in order.

How this works: a task receives all the time, for on some servers ``send()`` never tells that the client has gone, and a
close is answered only while somebody receives. It lets go for the moment in which a close is sent. Frames are sent by
whoever waits for that, or by a task that ends with the last of them.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress

from starlette.requests import ClientDisconnect

from hybrid_gateway.types import Headers, Message, Receive, Scope, Send
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import Receiver

CLOSE_TIMEOUT = 5.0  # seconds that a client gets to answer our close


class ASGIWire:
    """One websocket of an ASGI server, whose ``websocket.connect`` was received."""

    can_ping = False  # SPEC: ASGI has no message for pings

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._receiver: Receiver | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_sending = False
        self._queue: deque[Frame | Message] = deque()
        self._bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._resumed: asyncio.Event | None = None  # while reading is paused
        self._is_closing = self._is_over = self._lets_go = False

    def __repr__(self) -> str:
        return f"<ASGIWire {'over' if self._is_over else 'open'}, {len(self._queue)} queued>"

    async def accept(
        self, receiver: Receiver, *, subprotocol: str | None, headers: Headers, max_size: int, compression: bool
    ) -> None:
        self._receiver = receiver
        try:
            await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers)})
        except OSError as error:
            raise ClientDisconnect from error
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        receiver = self._receiver
        assert receiver is not None
        code, reason, has_ended = 1006, "", True
        try:
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    code, reason = message.get("code") or 1005, message.get("reason") or ""
                    break
                if message["type"] != "websocket.receive":
                    continue
                text = message.get("text")
                receiver.on_message(text if text is not None else message.get("bytes") or b"")
                if self._resumed is not None and not self._is_closing:
                    await self._resumed.wait()
        except OSError:  # the server's word for a client that has gone
            pass
        except asyncio.CancelledError:
            has_ended = not self._lets_go
            if has_ended:
                raise
        finally:
            if has_ended:
                self._end(code, reason)

    async def _let_go(self) -> None:
        """Stop receiving: granian keeps a close to itself as long as somebody receives."""
        reader = self._reader
        if reader is None or reader.done():
            return
        self._lets_go = True
        try:
            reader.cancel()
            await asyncio.wait((reader,))
        finally:
            self._lets_go = False

    def _end(self, code: int, reason: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._queue.clear()
        self._bytes = 0
        self._wake()
        if self._receiver is not None:
            self._receiver.on_closed(code, reason)

    # --- sending

    def send(self, frame: Frame) -> None:
        if self._is_over or self._is_closing:
            return
        self._queue.append(frame)
        self._bytes += len(frame)
        if not self._is_sending:
            self._begin()

    @property
    def queued(self) -> tuple[int, int]:
        return len(self._queue), self._bytes

    def _begin(self) -> None:
        if self._queue and not self._is_sending and self._writer is None:
            writer = _begin_task(self._write())
            if not writer.done():
                self._writer = writer
                writer.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._writer = None
        self._wake()
        if self._queue and not self._is_over:
            self._begin()

    async def drain(self) -> None:
        """Wait until what is queued now is sent: by this task, unless another is at it."""
        if not self._is_sending:
            try:
                await self._write()
            finally:
                self._wake()
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def _write(self) -> None:
        if self._is_sending:
            return
        self._is_sending = True
        try:
            while self._queue and not self._is_over:
                if self._is_closing and len(self._queue) == 1:
                    await self._let_go()
                    if self._is_over:
                        break
                entry = self._queue.popleft()  # at most once, whatever becomes of this task
                if isinstance(entry, Frame):
                    self._bytes -= len(entry)
                    await self._send(entry.as_message)
                else:
                    await self._send(entry)
                    self._reader = asyncio.create_task(self._read())
        except (OSError, RuntimeError):  # the server's words for a client that has gone
            self._end(1006, "")
        finally:
            self._is_sending = False

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._receiver is not None and not self._is_over:
            self._receiver.on_writable()

    def ping(self) -> None:
        """Do nothing: it is the server's."""

    # --- reading

    def pause_reading(self) -> None:
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resume_reading(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    # --- the end

    def close(self, code: int, reason: str) -> None:
        if self._is_over or self._is_closing:
            return
        self._is_closing = True
        self.resume_reading()
        self._queue.append({"type": "websocket.close", "code": code, "reason": reason})
        if not self._is_sending:
            self._begin()

    def abort(self) -> None:
        self._end(1006, "")
        for task in (self._reader, self._writer):
            if task is not None:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until the client has answered our close, for a while; then leave it to the server."""
        self._begin()  # what a cancelled task has left
        if self._writer is not None:
            await asyncio.wait((self._writer,), timeout=CLOSE_TIMEOUT)
        if self._reader is not None:  # the one that has followed the close
            await asyncio.wait((self._reader,), timeout=CLOSE_TIMEOUT)
        for task in (self._writer, self._reader):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._end(1006, "")


def _begin_task(coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Return a task that has run as far as it could without waiting, where Python can do that."""
    # PERF: servers seldom let send() wait; a turn of the event loop for each frame cost more than the frame.
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
    return asyncio.create_task(coroutine)
