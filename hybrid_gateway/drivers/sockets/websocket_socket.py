"""A websocket of ours on uvicorn: a protocol of the event loop, a wire of the gateway, and a websocket of ASGI.

How this works: a :class:`UvicornSocket` gets its connection from the lane, or from uvicorn's own protocol, with the
handshake, and the application has a scope. A route of the gateway accepts by the ``Wire`` that is in there: its
receiver is called straight from ``data_received``, and a frame is written as it was made for everybody. Whatever else
answers (mounts, Channels) receives and sends messages, which are made of the same wire.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from types import TracebackType

from starlette.requests import ClientDisconnect

from hybrid_gateway.drivers.sockets.websocket_asgi import ASGIMessages
from hybrid_gateway.drivers.sockets.websocket_deflate import MessageInflater, compress_frame
from hybrid_gateway.drivers.sockets.websocket_frames import CLOSE, INVALID_DATA, PING, PROTOCOL_ERROR, FrameReader
from hybrid_gateway.drivers.sockets.websocket_handshake import Handshake, response_bytes
from hybrid_gateway.drivers.sockets.websocket_output import SocketOutput
from hybrid_gateway.drivers.sockets.websocket_server import SocketServer, logger
from hybrid_gateway.drivers.start_lines import start_line
from hybrid_gateway.types import Headers, Message, Receive, Send
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import WIRE, Receiver

CLOSE_TIMEOUT = 5.0  # seconds that a client has to answer a close
LINGER = 2.0  # seconds in which a client that has broken the protocol may still send, so that it reads why

MAX_EARLY = 64 * 1024  # bytes that may come before the handshake is answered

NO_STATUS, ABNORMAL, INTERNAL, RESTART = 1005, 1006, 1011, 1012  # SPEC: RFC 6455 section 7.4.1
_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})

_PING_DATA = b"ping"
_PING = bytes((0x80 | PING, len(_PING_DATA))) + _PING_DATA


class Phase(Enum):
    """The part of a websocket's life that it is in."""

    PENDING = "the handshake is not answered"
    OPEN = "messages come and go"
    CLOSING = "we have sent a close, which the client has not answered"
    ENDED = "nothing is sent or told any more"


_PENDING, _OPEN, _CLOSING, _ENDED = Phase  # PERF: a global each


class _Nobody(Receiver):
    """The receiver before the handshake, and after the end."""

    def on_message(self, data: str | bytes) -> None: ...
    def on_pong(self) -> None: ...
    def on_writable(self) -> None: ...
    def on_closed(self, code: int, reason: str) -> None: ...


_NOBODY: Receiver = _Nobody()


def close_frame(code: int, reason: str) -> bytes:
    """Return the frame that closes a connection; a reason that is too long is cut. SPEC: RFC 6455 section 5.5.1."""
    if code == NO_STATUS:
        return b"\x88\x00"
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return bytes((0x80 | CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text


class UvicornSocket(FrameReader, asyncio.Protocol):
    """One websocket, from its handshake to its end. All of it happens on the event loop."""

    can_ping = True

    # PERF: no dictionary, queue or event; an idle one has 500 bytes with its output.
    __slots__ = (
        "_asgi",
        "_awaits_pong",
        "_close",
        "_handshake",
        "_output",
        "_owner",
        "_phase",
        "_server",
        "_timer",
        "_transport",
        "_waiters",
        "_window_bits",
    )

    def __init__(
        self, server: SocketServer, transport: asyncio.Transport, handshake: Handshake, *, is_blocked: bool
    ) -> None:
        super().__init__()
        self.receiver = self._owner = _NOBODY
        self._server = server
        self._transport = transport
        self._output = SocketOutput(transport, server, is_blocked=is_blocked)
        self._handshake: Handshake | None = handshake
        self._phase = _PENDING
        self._asgi: ASGIMessages | None = None
        self._close: tuple[int, str] | None = None  # ours
        self._timer: asyncio.TimerHandle | None = None
        self._window_bits: int | None = None  # where messages are compressed
        self._awaits_pong = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def attach(self, handshake: Handshake) -> None:
        """Take the connection, and be the wire of its scope."""
        handshake.scope["extensions"] = {**(handshake.scope.get("extensions") or {}), WIRE: self}
        self._server.connections.add(self)
        self._transport.set_protocol(self)

    # PERF: no generator, of which each idle socket would hold a frame.

    async def __aenter__(self) -> tuple[Receive, Send]:
        """Return the messages of ASGI, for the application, which runs inside."""
        return self.receive, self.send_message

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close what the application has left open."""
        if error is None:
            code = 1000
            if self._phase is _PENDING:
                logger.error("ASGI callable returned without completing handshake.")
        else:  # a server that cancels is not to wait any longer
            code = RESTART if isinstance(error, asyncio.CancelledError) else INTERNAL
        await self.deny(500, ((b"content-type", b"text/plain; charset=utf-8"),), b"Internal Server Error")
        self.close(code, "")

    # --- ASGI

    @property
    def messages(self) -> ASGIMessages:
        """The messages of ASGI, for an application that receives and sends."""
        if self._asgi is None:
            self._asgi = ASGIMessages(self, self._server)
        return self._asgi

    async def receive(self) -> Message:
        """Return the next message of ASGI."""
        return await self.messages.receive()

    async def send_message(self, message: Message) -> None:
        """Take a message of ASGI. Raises ``OSError`` once the connection has ended."""
        await self.messages.send(message)

    # --- the handshake

    async def accept(
        self, receiver: Receiver, *, subprotocol: str | None, headers: Headers, max_size: int, compression: bool
    ) -> None:
        """Answer the handshake. Raises ``ClientDisconnect``, and ``ValueError`` for a header that cannot be sent."""
        handshake = self._handshake
        if handshake is None or self._transport.is_closing():
            raise ClientDisconnect
        head, self._window_bits = handshake.accept(subprotocol, headers, compression=compression)
        self._handshake = None
        self._phase = _OPEN
        self.receiver = self._owner = receiver
        if receiver is not self._asgi:
            self._asgi = None  # whoever has asked for its first message needs no other
        self.max_size = max_size
        if self._window_bits is not None:
            self.new_inflater = MessageInflater
        self._server.log(handshake.scope, "[accepted]")
        self._output.write(head)
        self._transport.resume_reading()
        if self._rest:
            self._server.call_soon(self.go_on)

    async def deny(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the handshake by a response of HTTP, unless it is answered."""
        handshake = self._handshake
        if handshake is not None and not self._transport.is_closing():
            response = response_bytes(start_line(status, handshake.defaults), headers, body)
            self._handshake = None
            self._phase, self.is_deaf = _ENDED, True
            self._server.log(handshake.scope, str(status))
            self._transport.write(response)
            self._finish()

    # --- what comes from the client

    def data_received(self, data: bytes) -> None:
        if self._phase is _PENDING:
            self._rest += data
            if len(self._rest) > MAX_EARLY:
                self._transport.pause_reading()
        elif not self.is_deaf:
            output = self._output
            output.is_held = True
            try:
                self.feed(data)
            finally:
                output.is_held = False
                output.flush()

    def go_on(self) -> None:
        """Read what has come while nobody wanted it."""
        if self._rest and not self.is_paused:
            self.data_received(b"")

    def on_control(self, opcode: int, data: bytes) -> None:
        if opcode == CLOSE:
            code, reason = NO_STATUS, ""
            if data:
                code = int.from_bytes(data[:2], "big")
                if len(data) < 2 or not (code in _CODES or 3000 <= code < 5000):
                    self.fail(PROTOCOL_ERROR, "The code of the close is none.")
                    return
                try:
                    reason = data[2:].decode()
                except UnicodeDecodeError:
                    self.fail(INVALID_DATA, "The reason of the close is no UTF-8.")
                    return
            self.is_deaf = True
            if self._phase is _OPEN:
                self._output.finish(close_frame(code, reason))
            self._end(code, reason)
            self._finish()
        elif opcode == PING:
            if self._phase is _OPEN:
                self._output.write_pong(bytes((0x8A, len(data))) + data)
        elif self._awaits_pong and data == _PING_DATA:
            self._awaits_pong = False
            self.receiver.on_pong()

    def fail(self, code: int, reason: str) -> None:
        self.is_deaf = True
        lingers = self._phase is _OPEN and self._transport.can_write_eof()
        if self._phase is _OPEN:
            self._output.finish(close_frame(code, reason))
        self._end(code, reason)
        if lingers:
            # What is on its way would be answered by a reset, and with that the client would lose the close.
            self._transport.write_eof()
            self._cut_in(LINGER)
        else:
            self._finish()

    def eof_received(self) -> None:
        """Close, as the return value says: a client that has sent its last byte is not served half a connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self.is_deaf = True
        self._handshake = None
        self._rest, self._message = b"", None
        self._end(ABNORMAL, "")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, code: int, reason: str) -> None:
        """Tell once that it is over, with our own code where we have closed."""
        if self._phase is not _ENDED:
            owner: Receiver = self._owner
            if self._phase is _PENDING and self._asgi is not None:
                owner = self._asgi
            self._phase, self.receiver, self._owner = _ENDED, _NOBODY, _NOBODY
            self._output.drop()
            owner.on_closed(*(self._close or (code, reason)))
            self._wake()

    def _finish(self) -> None:
        self._transport.close()
        if self._output.is_blocked:  # SECURITY: else a client that never reads would keep it
            self._cut_in(CLOSE_TIMEOUT)

    def _cut_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._server.call_later(seconds, self._transport.abort)

    # --- what goes to the client

    def send(self, frame: Frame) -> None:
        """Queue a frame."""
        if self._phase is _OPEN:
            bits = self._window_bits
            self._output.write(frame.as_bytes if bits is None else compress_frame(frame, bits))

    def send_at_once(self, frame: Frame) -> bool:
        """Queue a frame for the end of the turn if nothing waits; return whether it is queued."""
        # PERF: a message to a thousand sockets calls this a thousand times, and nothing else of the output.
        output = self._output
        if self._phase is not _OPEN or output.frames is not None or output.is_blocked:
            return False
        bits = self._window_bits
        data = frame.as_bytes if bits is None else compress_frame(frame, bits)
        output.frames, output.size = [data], len(data)
        if not output.is_held:
            outputs = self._server.outputs
            if outputs:
                outputs.append(output)
            else:
                self._server.flush_soon(output)
        return True

    def pause_writing(self) -> None:
        self._output.is_blocked = True

    def resume_writing(self) -> None:
        if self._output.unblock():
            self.receiver.on_writable()
            self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until all is written that was queued, or the connection has ended."""
        if self._waiters is None:
            self._waiters = []
        waiter = self._server.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def drain(self) -> None:
        """Wait until the client has taken what is queued, as far as it has to be waited for."""
        while self._output.is_blocked and self._phase is not _ENDED:
            await self.wait()

    @property
    def queued(self) -> tuple[int, int]:
        """Messages and bytes that are not written yet."""
        return self._output.queued if self._phase is not _ENDED else (0, 0)

    def ping(self) -> None:
        """Send a ping."""
        if self._phase is _OPEN:
            self._awaits_pong = True
            self._output.write(_PING)

    def pause_reading(self) -> None:
        """Let the client wait, by the window of TCP; what has come already waits here."""
        if self._phase is _OPEN and not self.is_paused:
            self.is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`."""
        if self.is_paused:
            self.is_paused = False
            self._transport.resume_reading()
            if self._rest:
                self._server.call_soon(self.go_on)

    def close(self, code: int, reason: str) -> None:
        """Close after what is queued, and cut a client that does not answer."""
        if self._phase is _OPEN:
            if code == ABNORMAL:
                self.abort()
                return
            self._output.write(close_frame(code, reason))
            self._phase, self._close, self.receiver = _CLOSING, (code, reason), _NOBODY
            self._cut_in(CLOSE_TIMEOUT)
            self.resume_reading()
            if not self._output.is_held:
                self._output.flush()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until a connection that is being closed has ended; a client has seconds for that."""
        while self._phase is _CLOSING:
            await self.wait()

    def has_left(self) -> bool:
        """Return whether nobody is there any more."""
        return self._phase is _ENDED or self._transport.is_closing()

    def shutdown(self) -> None:
        """Hear that the server ends, which calls this; the gateway drains what is its own."""
        self._server.begin_shutdown()
        if self._asgi is not None:
            self._asgi.shut_down()
