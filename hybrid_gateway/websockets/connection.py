"""One open websocket: its messages in order, the bounds of its queues, and its end, which comes once.

How this works: the wire pushes what the client sends into the connection (:class:`~...wire.Receiver`), which keeps it
until the handler asks. Who sends waits while more is queued than the route allows. Whatever ends a connection, ours or
theirs, ``end`` is set once, and whoever waits hears of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import TooManyRequests
from hybrid_gateway.headers import check_headers
from hybrid_gateway.throttling.throttle import Throttle
from hybrid_gateway.types import Headers
from hybrid_gateway.websockets.codec import Codec
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import HANDSHAKE_HEADERS, Wire

MAX_WAITING = 64  # messages of a client that wait for the handler before we stop reading
MAX_WAITING_BYTES = 256 * 1024  # or so many bytes
TURN = 32  # messages after which whoever sends lets others have a turn
MAX_REFUSED = 10  # messages over the rate in a row, after which the connection is closed

# SPEC: RFC 6455 section 7.4.1, and the registry of close codes; from 4000 on they are the application's.
NORMAL, GOING_AWAY, TOO_BIG, INTERNAL_ERROR = 1000, 1001, 1009, 1011
TOO_SLOW = 4408
HANDLER_GRACE = 5.0  # seconds in which a handler may notice that its connection has ended, before it is cancelled


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a route that its connections live by."""

    path: str  # the template, by which they are counted
    codec: Codec
    max_message_size: int
    throttles: Sequence[Throttle]
    max_queued: tuple[int, int]  # messages, bytes
    ping_interval: float | None
    idle_timeout: float | None
    max_lifetime: float | None
    compression: bool
    subprotocols: Sequence[str]


class End(NamedTuple):
    """The close code of a connection that has ended, and the reason."""

    code: int
    reason: str


class Connection:
    """One websocket, from the moment it is accepted to its end. For the event loop alone, and no other thread."""

    # PERF: an idle socket is memory.
    __slots__ = (
        *("wire", "options", "authentication", "end", "opened", "last_active", "last_ping", "pongs_due"),
        *("blocked_since", "discards", "address", "is_draining", "route", "on_room", "handler_grace"),
        *("received", "received_bytes", "sent", "sent_bytes", "throttled"),
        *("_inbox", "_inbox_size", "_is_paused", "_waiter", "_writable"),
        *("_listeners", "_draining", "_refused", "_counts", "_loop"),
    )

    def __init__(self, wire: Wire, options: ConnectionOptions, route: str) -> None:
        self.wire = wire
        self.options = options
        self.route = route
        self.address = ""
        self.authentication: Authentication | None = None
        self.end: End | None = None
        self._loop = loop = asyncio.get_running_loop()
        self.opened = self.last_active = self.last_ping = loop.time()
        self.received = self.received_bytes = self.sent = self.sent_bytes = 0  # messages, and their bytes
        self.throttled = 0  # of those that were received
        self.pongs_due = 0
        self.blocked_since: float | None = None  # when the queue to the client became full
        self.discards = False  # messages of the client are for nobody
        self.is_draining = False
        self._draining: list[Callable[[], object]] | None = None
        self.on_room: Callable[[], object] | None = None  # writes what waits elsewhere, once there is room for it
        self._inbox: deque[str | bytes] | None = None
        self._inbox_size = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._listeners: list[Callable[[Connection], object]] = []
        self._refused = 0
        self.handler_grace = HANDLER_GRACE
        self._counts: list[tuple[int, int]] | None = None  # for each rate: its window, and messages in it

    def __repr__(self) -> str:
        state = "open" if self.end is None else f"ended with {self.end.code}"
        return f"<Connection {self.route} {state}>"

    def age(self, seconds: float) -> None:
        """Let ``seconds`` go by that have not: for tests."""
        self.opened -= seconds
        self.last_active -= seconds
        self.last_ping -= seconds
        if self.blocked_since is not None:
            self.blocked_since -= seconds
        if self._counts is not None:
            self._counts = [
                (window - int(seconds // throttle.seconds), count)
                for (window, count), throttle in zip(self._counts, self.options.throttles, strict=True)
            ]

    # --- what the wire tells

    def on_message(self, data: str | bytes) -> None:
        """Keep a message until the handler asks for it, unless it is too big, or one too many."""
        if self.end is not None:
            return
        options = self.options
        self.last_active = self._loop.time()
        size = len(data)
        if size <= options.max_message_size and isinstance(data, str) and not data.isascii():
            size = len(data.encode("utf-8", "surrogatepass"))
        self.received += 1
        self.received_bytes += size
        if size > options.max_message_size:
            self.close(TOO_BIG, f"A message may have {options.max_message_size} bytes.")
            return
        if self.discards or (options.throttles and self._is_refused()):
            return
        inbox = self._inbox
        if inbox is None:
            inbox = self._inbox = deque()
        inbox.append(data)
        self._inbox_size += size
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        elif not self._is_paused and (len(inbox) >= MAX_WAITING or self._inbox_size >= MAX_WAITING_BYTES):
            self._is_paused = True
            self.wire.pause_reading()

    def _is_refused(self) -> bool:
        """Count a message; return whether it is over a rate, of which the client is told."""
        now, counts = time.time(), self._counts or [(0, 0)] * len(self.options.throttles)
        wait = 0
        for place, throttle in enumerate(self.options.throttles):
            window, known = int(now // throttle.seconds), counts[place]
            count = known[1] + 1 if known[0] == window else 1
            counts[place] = window, count
            if count > throttle.limit:
                wait = max(wait, int(throttle.seconds - now % throttle.seconds) + 1)
        self._counts = counts
        if not wait:
            self._refused = 0
            return False
        self._refused += 1
        self.throttled += 1
        error = TooManyRequests(f"Too many messages: wait {wait} seconds.", extra={"retry_after": wait})
        self.write(self.options.codec.error(error))
        if self._refused >= MAX_REFUSED:
            self.close(4429, "Too many messages.")
        return True

    def on_pong(self) -> None:
        """Note that the client is there."""
        self.pongs_due = 0

    def on_writable(self) -> None:
        """Let whoever waits go on sending."""
        if self.is_full:
            return
        self.blocked_since = None
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
        if self.on_room is not None:
            self.on_room()

    def on_closed(self, code: int, reason: str) -> None:
        """Note that the connection has ended; what has come before is still there to be received."""
        if self.end is None:
            self._finish(End(code, reason))

    # --- messages

    async def receive(self) -> str | bytes:
        """Return the next message of the client. Raises ``WebSocketDisconnect`` when there will be none."""
        if self._waiter is not None:
            raise RuntimeError("Two tasks receive from one websocket.")
        while not self._inbox:
            if self.end is not None:
                raise WebSocketDisconnect(*self.end)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._inbox.popleft()
        self._inbox_size -= len(data)  # of characters, where others are left: it starts anew with an empty inbox
        if not self._inbox:
            self._inbox_size = 0
        if self._is_paused and len(self._inbox) <= MAX_WAITING // 2 and self._inbox_size <= MAX_WAITING_BYTES // 2:
            self._is_paused = False
            self.wire.resume_reading()
        return data

    @property
    def is_full(self) -> bool:
        """Return whether as much waits for the client as may."""
        messages, size = self.wire.queued
        most_messages, most_bytes = self.options.max_queued
        return messages >= most_messages or size >= most_bytes

    async def send(self, frame: Frame) -> None:
        """Send a frame; wait while the queue is full. Raises ``WebSocketDisconnect`` once the connection has ended."""
        while self.end is None and self.is_full:
            await self._wait_until_writable()
        if self.end is not None:
            raise WebSocketDisconnect(*self.end)
        self.last_active = self.blocked_since = self._loop.time()
        self.write(frame)
        await self.wire.drain()
        self.blocked_since = None
        if not self.sent % TURN:
            await asyncio.sleep(0)  # to a client that reads as fast nothing ever waits, and nobody else would be served

    def write_at_once(self, frame: Frame) -> bool:
        """Send a frame if nothing waits; return whether it is sent."""
        if not self.wire.send_at_once(frame):
            return False
        self.sent += 1
        self.sent_bytes += len(frame.payload)
        return True

    def write(self, frame: Frame) -> None:
        """Queue a frame, however much waits already."""
        self.sent += 1
        self.sent_bytes += len(frame.payload)
        self.wire.send(frame)

    def begin_to_wait(self) -> None:
        """Note that somebody has something to send, and no room for it."""
        if self.blocked_since is None:
            self.blocked_since = self._loop.time()

    async def _wait_until_writable(self) -> None:
        self.begin_to_wait()
        if self._writable is None:
            self._writable = self._loop.create_future()
        await asyncio.shield(self._writable)

    # --- the end

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection after what is queued; without effect once it has ended."""
        if self.end is not None:
            return
        self.wire.close(code, shorten(reason))
        self._inbox = None  # nobody answers it any more
        self._finish(End(code, reason))

    def _finish(self, end: End) -> None:
        self.end = end
        for future in (self._waiter, self._writable):
            if future is not None and not future.done():
                future.set_result(None)
        self._writable = None
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(self)

    async def wait_ended(self) -> None:
        """Wait until the connection has ended."""
        if self.end is None:
            ended = self._loop.create_future()
            self._listeners.append(lambda _: None if ended.done() else ended.set_result(None))
            await ended

    def when_ended(self, listener: Callable[[Connection], object]) -> None:
        """Call ``listener(connection)`` when the connection has ended, or at once if it has."""
        if self.end is not None:
            listener(self)
        else:
            self._listeners.append(listener)

    def when_draining(self, listener: Callable[[], object]) -> None:
        """Call ``listener()`` when the process is told to end, before the connection is closed for it."""
        if self.is_draining:
            listener()
        elif self._draining is None:
            self._draining = [listener]
        else:
            self._draining.append(listener)

    def begin_to_drain(self) -> None:
        """Tell whoever listens that the process is told to end."""
        self.is_draining = True
        listeners, self._draining = self._draining or (), None
        for listener in listeners:
            listener()

    async def accept(self, subprotocol: str | None, headers: Headers) -> None:
        """Answer the handshake, without those of ``headers`` that are the server's to say.

        Raises ``ClientDisconnect`` where the client has gone already, ``ValueError`` for what may be no header.
        """
        # SECURITY: not every server looks, and a name may be made of what a client has sent.
        headers = [(name.lower(), value) for name, value in headers if name.lower() not in HANDSHAKE_HEADERS]
        check_headers(headers)
        await self.wire.accept(
            self,
            subprotocol=subprotocol,
            headers=headers,
            max_size=self.options.max_message_size,
            compression=self.options.compression,
        )


MAX_REASON = 123  # bytes. SPEC: RFC 6455 section 5.5: a control frame has 125 bytes at most, two of them the code


def shorten(reason: str) -> str:
    """Return as much of a reason as a close frame can hold."""
    return reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
