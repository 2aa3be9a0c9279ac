"""Websockets of plain uvicorn on our own protocol: the connection changes hands before its handshake is answered.

How this works: uvicorn reads the handshake and calls the application. Once a route of the gateway is found, with no
middleware before it, its connection gets the protocol that websockets have on the lane, as uvicorn itself gives it
another one for the upgrade from HTTP. Whatever else answers (mounts, refusals, middleware) keeps uvicorn's own, and so
does every other server.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from weakref import WeakKeyDictionary

from uvicorn.config import Config

from hybrid_gateway._compat.uvicorn_websocket_internals import take_connection
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.drivers.sockets.websocket_handshake import Handshake
from hybrid_gateway.drivers.sockets.websocket_server import SocketServer
from hybrid_gateway.drivers.sockets.websocket_socket import UvicornSocket
from hybrid_gateway.types import Receive, Send
from hybrid_gateway.websockets.websocket_context import WebSocketContext


class Takeover:
    """The websockets that one gateway takes over from uvicorn."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._servers: WeakKeyDictionary[Config, SocketServer] = WeakKeyDictionary()

    def take(
        self, ctx: WebSocketContext, receive: Receive, send: Send
    ) -> AbstractAsyncContextManager[tuple[Receive, Send]] | None:
        """Take the connection of a handshake; ``None`` where it is left to the server.

        Whoever enters what is returned gets the messages of ASGI, and ``ctx`` has the wire. What is left open then is
        closed.
        """
        headers = ctx.websocket_scope["headers"]
        keys = [value for name, value in headers if name == b"sec-websocket-key"]
        connection = take_connection(receive, send) if (receive, send) == ctx.io and len(keys) == 1 else None
        if connection is None:
            return None
        offers = b",".join(value for name, value in headers if name == b"sec-websocket-extensions")
        handshake = Handshake(ctx.websocket_scope, keys[0], offers.decode("latin-1"), connection.headers)
        server = self._servers.get(connection.config)
        if server is None or server.connections is not connection.connections:
            server = SocketServer(connection.config, connection.connections, connection.tasks, self._dispatcher)
            self._servers[connection.config] = server
        socket = TakenSocket(server, connection.transport, handshake, is_blocked=connection.is_blocked)
        ctx.io = socket.receive, socket.send_message
        socket.attach(handshake)
        return socket


class TakenSocket(UvicornSocket):
    """A websocket whose application runs inside a task of uvicorn's."""

    __slots__ = ()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, traceback)
        if not isinstance(error, asyncio.CancelledError):
            await self.wait_closed()  # uvicorn cuts the connection as soon as its task has ended
