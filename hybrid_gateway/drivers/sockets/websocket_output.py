"""Frames on their way to a client: what waits, and what the transport has.

How this works: the transport is to keep nothing. Frames wait here until the turn of the event loop ends, and leave as
one write; once the transport cannot write all of it at once, they wait here, where they are counted.
"""

from __future__ import annotations

import asyncio

from hybrid_gateway.drivers.sockets.websocket_server import SocketServer

BATCH, BATCH_BYTES = 32, 64 * 1024  # frames, and about as many bytes, of one write


class SocketOutput:
    """The frames that go to one client."""

    __slots__ = ("_in_flight", "_pong", "_server", "frames", "is_blocked", "is_held", "size", "transport")

    def __init__(self, transport: asyncio.Transport, server: SocketServer, *, is_blocked: bool) -> None:
        self.transport = transport
        self.is_blocked = is_blocked  # the transport has something left
        self.is_held = False  # somebody flushes in a moment
        self._server = server
        self.frames: list[bytes] | None = None  # that wait, and their bytes
        self.size = 0
        self._in_flight = 0  # frames that the transport had last
        self._pong: bytes | None = None
        transport.set_write_buffer_limits(high=1, low=0)  # with 0 asyncio's TLS would pause, and never resume

    def write(self, frame: bytes) -> None:
        """Add a frame."""
        frames = self.frames
        if frames is None:
            self.frames, self.size = [frame], len(frame)
            if not (self.is_held or self.is_blocked):
                self._server.flush_soon(self)
            return
        frames.append(frame)
        self.size += len(frame)
        if not self.is_blocked and (len(frames) >= BATCH or self.size >= BATCH_BYTES):
            self.flush()

    def write_pong(self, frame: bytes) -> None:
        """Add the answer to a ping."""
        # SECURITY: a client that pings and never reads gets one, to the last of them. SPEC: RFC 6455 section 5.5.3
        if self.is_blocked:
            self._pong = frame
        else:
            self.write(frame)

    def flush(self) -> None:
        """Write what waits, as far as the client takes it."""
        while self.frames is not None and not self.is_blocked:
            frames = self.frames
            if len(frames) <= BATCH:
                self.frames, self.size = None, 0
            else:
                self.frames = frames[BATCH:]
                del frames[BATCH:]
                self.size -= sum(map(len, frames))
            self._in_flight = len(frames)
            # PERF: the same bytes for everybody, and no copy, where one frame waits.
            self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def finish(self, frame: bytes) -> None:
        """Write a last frame, and what waits before it, if the client takes that."""
        self.flush()
        self.drop()
        self.transport.write(frame)

    def drop(self) -> None:
        """Forget what waits."""
        self.frames, self.size, self._pong = None, 0, None

    def unblock(self) -> bool:
        """Go on, as the transport has written all it had; return whether nothing is left."""
        self.is_blocked = False
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.transport.write(pong)
        self.flush()
        return not self.is_blocked

    @property
    def queued(self) -> tuple[int, int]:
        """Frames and bytes that are not written yet."""
        waiting = len(self.frames or ())
        if not self.is_blocked:
            return waiting, self.size
        return waiting + self._in_flight, self.size + self.transport.get_write_buffer_size()
