"""The wire of a websocket: what a server gives, as a connection sees it.

How this works: a :class:`Wire` belongs to one websocket, and is used on the event loop alone. What the client sends is
pushed into its :class:`Receiver`; what goes to the client is queued by :meth:`Wire.send`, which never waits. A driver
that has a wire of its own puts it into the ``extensions`` of the scope, by the name :data:`WIRE`; any other websocket
gets one that speaks ASGI.
"""

from __future__ import annotations

from typing import Protocol

from hybrid_gateway.types import Headers
from hybrid_gateway.websockets.frames import Frame

RESTART, RESTART_REASON = 1012, "The server restarts."

HANDSHAKE_HEADERS = frozenset(
    (
        *(b"upgrade", b"connection", b"content-length", b"transfer-encoding"),
        *(b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol", b"sec-websocket-version"),
    )
)
"""Headers of the handshake itself, which are the server's to say. SPEC: RFC 6455 section 4.2.2."""

WIRE = "hybrid_gateway.websocket.wire"


class Receiver(Protocol):
    """Hears what happens on a wire. None of its methods waits or raises."""

    def on_message(self, data: str | bytes) -> None:
        """Take one message of the client, whole: ``str`` of a text frame, ``bytes`` of a binary one."""
        ...

    def on_pong(self) -> None:
        """Hear that the client has answered the last ping."""
        ...

    def on_writable(self) -> None:
        """Hear that the wire has written most of what was queued."""
        ...

    def on_closed(self, code: int, reason: str) -> None:
        """Hear that the connection has ended, by whomever; called once, and nothing follows."""
        ...


class Wire(Protocol):
    """One websocket of a server, from its handshake on."""

    can_ping: bool
    """Whether pings are ours to send, and not the server's."""

    async def accept(
        self, receiver: Receiver, *, subprotocol: str | None, headers: Headers, max_size: int, compression: bool
    ) -> None:
        """Answer the handshake; from here on ``receiver`` is told.

        ``max_size`` is bytes of a message; more is closed with 1009, by the wire where it can tell sooner than the
        receiver. ``compression`` asks for permessage-deflate where the wire may choose. Raises ``ClientDisconnect``
        where the client has gone already.
        """
        ...

    def send(self, frame: Frame) -> None:
        """Queue a frame; without effect once the connection has ended."""
        ...

    def send_at_once(self, frame: Frame) -> bool:
        """Send a frame if nothing waits and the client can take it; return whether it is sent."""
        ...

    @property
    def queued(self) -> tuple[int, int]:
        """Messages and bytes that are not written yet, as far as the wire knows."""
        ...

    async def drain(self) -> None:
        """Wait until what is queued is sent, or at least little enough for more to come."""
        ...

    def ping(self) -> None:
        """Send a ping, where it can."""
        ...

    def pause_reading(self) -> None:
        """Ask the client to wait with messages, as far as the wire can."""
        ...

    def resume_reading(self) -> None:
        """Undo :meth:`pause_reading`."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close after what is queued; a client that does not answer is cut after a while. May be called again."""
        ...

    def abort(self) -> None:
        """End the connection at once, without a word."""
        ...

    async def wait_closed(self) -> None:
        """Wait, for some seconds at most, until the connection has ended, for whoever has closed it."""
        ...
