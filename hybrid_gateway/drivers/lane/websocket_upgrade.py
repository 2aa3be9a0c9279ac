"""The way of a connection on the lane from HTTP to a websocket."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools
from starlette.requests import ClientDisconnect
from uvicorn.config import Config

from hybrid_gateway._compat.uvicorn_internals import ServerState, UvicornConnection, server_headers
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.drivers.lane.handshake_reading import HandshakeError, read_handshake
from hybrid_gateway.drivers.sockets.websocket_asgi import Disconnected
from hybrid_gateway.drivers.sockets.websocket_handshake import Handshake, response_bytes
from hybrid_gateway.drivers.sockets.websocket_server import SocketServer, logger
from hybrid_gateway.drivers.sockets.websocket_socket import UvicornSocket
from hybrid_gateway.drivers.start_lines import start_line
from hybrid_gateway.types import ASGIApp, Headers, Scope

_UPGRADES = ("auto", "websockets-sansio")  # values of uvicorn's option `ws` with which the lane takes websockets
HANDSHAKES_A_TURN = 16

_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)


class LaneSockets(SocketServer):
    """The websockets of one server on the lane, and the application that is behind them."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        dispatcher: Dispatcher,
        application: ASGIApp,
        trust_proxy: Callable[[Scope], None],
    ) -> None:
        super().__init__(config, cast("set[object]", state.connections), state.tasks, dispatcher)
        self.is_on = config.ws in _UPGRADES and config.ws_protocol_class is not None
        self._state = state
        self._application = application
        self._trust_proxy = trust_proxy
        self._waiting: deque[tuple[UvicornSocket, Handshake]] = deque()

    @property
    def headers(self) -> Headers:
        """The server's own headers, as they are this second."""
        return server_headers(self._state)

    def start(self, socket: UvicornSocket, handshake: Handshake, early: bytes) -> None:
        """Give a connection to its websocket, with what came behind the handshake; the application is called soon."""
        self._trust_proxy(handshake.scope)
        socket.attach(handshake)
        if early:
            socket.data_received(early)
        self._waiting.append((socket, handshake))
        if len(self._waiting) == 1:
            self.call_soon(self.begin_some)

    def begin_some(self) -> None:
        """Call the application for those that wait, a few in each turn of the event loop.

        When thousands come back at once, requests and open websockets have their turn in between.
        """
        for _ in range(min(len(self._waiting), HANDSHAKES_A_TURN)):
            socket, handshake = self._waiting.popleft()
            if socket.has_left():  # an application that begins now would not hear of it
                continue
            task = self.loop.create_task(self.run(socket, handshake))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        if self._waiting:
            self.call_soon(self.begin_some)

    async def run(self, socket: UvicornSocket, handshake: Handshake) -> None:
        """Let the application answer, and close what it leaves open."""
        scope = handshake.scope
        del handshake  # which is held until it is answered, and no longer
        try:
            async with socket as (receive, send):
                await self._application(scope, receive, send)
        except (Disconnected, ClientDisconnect):
            pass
        except Exception:
            logger.exception("Exception in ASGI application\n")


def size_of_head() -> int:
    """Return how many bytes the parser has taken that has just told of an upgrade."""
    error = sys.exception()
    return int(error.args[0]) if isinstance(error, httptools.HttpParserUpgrade) else 0


def upgrade(connection: UvicornConnection, sockets: LaneSockets, early: bytes, *, is_ending: bool) -> None:
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
            sockets.headers,
        )
    except HandshakeError as error:
        body = error.detail.encode()
        transport.write(response_bytes(start_line(error.status, sockets.headers), (*_TEXT, *error.headers), body))
        transport.close()
        return
    if flow.read_paused:
        flow.resume_reading()
    connection.connections.discard(connection)
    sockets.start(UvicornSocket(sockets, transport, handshake, is_blocked=flow.write_paused), handshake, early)
    connection.parser = None  # which holds the connection
