"""The wire of any ASGI server: messages are received by a task of the connection, and sent in order.

How this works: a task receives all the time, for on some servers ``send()`` never tells that the client has gone, and a
close is answered only while somebody receives. Frames are sent by whoever waits for that, or by a task that ends with
the last of them.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from starlette.requests import ClientDisconnect

from hybrid_gateway._compat.server_internals import hold_shutdown, unread_transport
from hybrid_gateway.types import Headers, Message, Receive, Scope, Send
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import RESTART, RESTART_REASON, Receiver

CLOSE_TIMEOUT = 5.0  # seconds that a client gets to answer our close
LAST_READ = 1.0  # seconds that it gets to read what is left when the process ends
READ_AGAIN = 0.2  # seconds after which a close that is not sent yet may want to be read for
CANCEL_TIMEOUT = 0.5  # seconds that a server gets to end what is cancelled


OTHER_CODES = {1001: 1000, 1008: 4403, 1009: 4413, 1011: 4500, 1012: 4503, 1013: 4503}
"""The codes that say the same where a server leaves the others to itself."""

logger = logging.getLogger("hybrid_gateway.websockets")


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
        self._is_closing = self._is_over = self._is_draining = False
        self._release: Callable[[], None] | None = None  # lets the server close it

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
        code, reason = 1006, ""
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
        except (OSError, RuntimeError):  # the server's words for a client that has gone
            pass
        if self._is_draining and code in (1005, 1006) and not self._is_closing:
            # granian ends all of them when the process ends, and leaves it to us to say so
            code, reason = RESTART, RESTART_REASON
            with suppress(Exception):
                await self._close_with({"type": "websocket.close", "code": code, "reason": reason})
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._queue.clear()
        self._bytes = 0
        self._wake()
        if self._receiver is not None:
            self._receiver.on_closed(code, reason)

    def begin_to_drain(self) -> None:
        """Close it ourselves when its turn comes, where the server would close all of them at once."""
        self._is_draining = True
        self._release = hold_shutdown(self._receive)

    # --- sending

    def send(self, frame: Frame) -> None:
        if self._is_over or self._is_closing:
            return
        self._queue.append(frame)
        self._bytes += len(frame)
        if not self._is_sending:
            self._begin()

    def send_at_once(self, frame: Frame) -> bool:
        if self._queue or self._is_sending or self._is_over or self._is_closing:
            return False
        self.send(frame)
        return True

    @property
    def queued(self) -> tuple[int, int]:
        return len(self._queue), self._bytes

    def _begin(self) -> None:
        if self._queue and not self._is_sending and self._writer is None and not self._is_over:
            writer = _begin_task(self._write(self._send_close))
            if not writer.done():
                self._writer = writer
                writer.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._writer = None
        if not self._is_sending:  # else somebody else is at it, and waits
            self._wake()
        if not task.cancelled():
            self._begin()

    async def drain(self) -> None:
        """Wait until what is queued now is sent: by this task, unless another is at it."""
        if not self._is_sending:
            try:
                await self._write(None)
            finally:
                self._wake()
                self._begin()
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def _write(self, send_close: Callable[[Message], Awaitable[None]] | None) -> None:
        """Send what is queued. A close is left to the task of the connection: any other may be cancelled meanwhile."""
        if self._is_sending:
            return
        self._is_sending = True
        try:
            while self._queue and not self._is_over:
                entry = self._queue[0]
                if isinstance(entry, Frame):
                    self._queue.popleft()  # at most once, whatever becomes of this task
                    self._bytes -= len(entry)
                    await self._send(entry.as_message)
                elif send_close is None:
                    break
                else:
                    self._queue.clear()  # it is the last
                    await send_close(entry)
        except (OSError, RuntimeError):  # the server's words for a client that has gone
            self._end(1006, "")
        except Exception:
            logger.exception("The server cannot send")
            self._end(1006, "")
        finally:
            self._is_sending = False

    async def _send_close(self, message: Message) -> None:
        # Granian sends no close while somebody receives; with gunicorn and uvicorn's older implementation a close takes
        # until the client has answered, which comes behind all that nobody has received.
        reader = self._reader
        if reader is not None and not reader.done():
            reader.cancel()
            await asyncio.wait((reader,), timeout=CANCEL_TIMEOUT)
        closing = asyncio.ensure_future(self._close_with(message))
        try:
            await asyncio.wait((closing,), timeout=READ_AGAIN)
            if not self._is_over:
                self._reader = asyncio.create_task(self._read())
            await closing
        finally:
            closing.cancel()

    async def _close_with(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError):
            raise
        except Exception:  # daphne's word for a code that is neither 1000 nor of an application
            if (other := OTHER_CODES.get(message["code"])) is None:
                raise
            await self._send({**message, "code": other})

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
        for task in self._tasks():
            task.cancel()
        self._release_server()
        self._cut_in(0)

    def _cut_in(self, seconds: float) -> None:
        """Cut a client that does not read what is left, where the server would wait for it for ever."""
        transport = unread_transport(self._receive)
        if transport is not None:  # SECURITY: else it would keep a connection, and the process when that ends
            asyncio.get_running_loop().call_later(seconds, transport.abort)

    def _release_server(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None

    async def wait_closed(self) -> None:
        """Wait until the client has answered our close, for a while; then leave it to the server."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CLOSE_TIMEOUT
        try:
            while (tasks := self._tasks()) and (rest := end - loop.time()) > 0:
                await asyncio.wait(tasks, timeout=rest)
        finally:
            tasks = self._tasks()
            self._end(1006, "")
            if tasks:
                self.abort()
            else:  # what is on its way is still the client's to read
                self._release_server()
                self._cut_in(LAST_READ if self._is_draining else CLOSE_TIMEOUT)
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self._writer, self._reader) if task is not None and not task.done()]


def _begin_task(coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Return a task that has run as far as it could without waiting, where Python can do that."""
    # PERF: servers seldom let send() wait; a turn of the event loop for each frame cost more than the frame.
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
    return asyncio.create_task(coroutine)
