"""Observers of connections: for plugins that count them."""

from __future__ import annotations

from typing import Protocol

from hybrid_gateway.websockets.connection import Connection


class ConnectionObserver(Protocol):
    """Hears of handshakes and connections of one gateway, on the loops of these. None of its methods waits or raises.

    A route is told by the template of its path, ``connection.options.path``.
    """

    def refused(self, route: str, status: int, /) -> None:
        """Hear that a handshake was answered with a status of HTTP; ``route`` is empty where no route was found."""
        ...

    def opened(self, connection: Connection, /) -> None:
        """Hear that a handshake was accepted."""
        ...

    def ended(self, connection: Connection, /) -> None:
        """Hear that a connection has ended; its ``end`` has the code, and its counts are final."""
        ...

    def look(self) -> None:
        """Look at all open connections; called once a second while there are any."""
        ...
