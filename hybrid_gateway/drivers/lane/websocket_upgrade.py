"""The way of a connection from HTTP to a websocket."""

from __future__ import annotations

import sys
from typing import cast

import httptools

from hybrid_gateway._compat.uvicorn_internals import UvicornConnection
from hybrid_gateway.drivers.lane.websocket_handshake import HandshakeError, read_handshake, response_bytes
from hybrid_gateway.drivers.lane.websocket_server import SocketServer
from hybrid_gateway.drivers.lane.websocket_socket import LaneSocket
from hybrid_gateway.types import Headers, Scope

_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)


def size_of_head() -> int:
    """Return how many bytes the parser has taken that has just told of an upgrade."""
    error = sys.exception()
    return int(error.args[0]) if isinstance(error, httptools.HttpParserUpgrade) else 0


def upgrade(connection: UvicornConnection, server: SocketServer, early: bytes, *, is_ending: bool) -> None:
    """Hand a connection whose handshake has come to a websocket of its own, with the bytes that came behind it.

    A handshake that is out of order, or that comes when the server ends, is answered, and the connection closed.
    """
    transport, flow = connection.transport, connection.flow
    scope = cast("Scope", connection.scope)
    try:
        if is_ending:
            raise HandshakeError(503, "The server ends.")
        handshake = read_handshake(
            scope["method"],
            scope["http_version"],
            connection.url,
            connection.headers,
            scope,
        )
    except HandshakeError as error:
        body = error.detail.encode()
        transport.write(response_bytes(server.start_line(error.status), (*_TEXT, *error.headers), body))
        transport.close()
        return
    if flow.read_paused:
        flow.resume_reading()
    connection.connections.discard(connection)
    LaneSocket(server, transport, handshake, is_blocked=flow.write_paused).start(handshake, early)
    connection.parser = None  # which holds the connection
