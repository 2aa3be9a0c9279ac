"""The handshake of a websocket as a request: what plans read of it, and what a conversation needs besides."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Literal

from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import HANDLED, Exit, SyncExit
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import Message, Receive, Scope, Send
from hybrid_gateway.websockets.connection_limits import PROCESS
from hybrid_gateway.websockets.registry import WebSocketRegistry
from hybrid_gateway.websockets.socket import WebSocket

_ONE: tuple[Hashable, ...] = (PROCESS,)

HTTP_SCHEMES = {"ws": "http", "wss": "https"}


async def _no_body() -> Message:
    # SECURITY: whoever reads the body of a handshake, a guard say, must not take messages of the client for it
    return {"type": "http.request", "body": b"", "more_body": False}


class WebSocketContext(RequestContext):
    """The handshake of one websocket.

    SPEC: RFC 6455 section 4.1: a handshake is a GET request, and as such its ``scope`` describes it, so that guards,
    schemes and hooks find what they know; ``websocket_scope`` is that of the server.
    """

    websocket_scope: Scope
    deny: Callable[[EndpointResponse], Awaitable[None]]
    """Answers the handshake by a response instead."""
    registry: WebSocketRegistry
    io: tuple[Receive, Send]
    """What the server gave, before any middleware."""
    is_handshake = True
    _places: tuple[Hashable, ...] = ()  # that it has taken under limits
    began_at: float
    """Seconds since 1970: whoever logs out everywhere later ends the connection, too."""
    _socket: WebSocket | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, lend: Callable[[], RequestThread]) -> None:
        self.websocket_scope = scope
        scheme = HTTP_SCHEMES.get(scope.get("scheme", "ws"), "http")
        as_request: dict[str, Any] = {**scope, "type": "http", "method": "GET", "scheme": scheme}
        super().__init__(as_request, _no_body, lend)
        self.io = receive, send
        self.began_at = time.time()

    @property
    def websocket(self) -> WebSocket:
        """The socket, for a handler that asks for it."""
        if self._socket is None:
            self._socket = WebSocket(self.websocket_scope)
        return self._socket

    @property
    def lent_thread(self) -> RequestThread | None:
        """The thread of the websocket, if anything has asked for it."""
        return self._thread

    def take(self, key: Hashable, most: int | None = None) -> bool:
        """Take a place under a limit for as long as the websocket lasts; return whether one was left."""
        if not self.registry.counts.take(key, most):
            return False
        # PERF: most websockets have this place alone, and share the tuple.
        self._places = _ONE if key is PROCESS else (*self._places, key)
        return True

    def release(self) -> None:
        """End the handshake, or the conversation that has followed."""
        places, self._places = self._places, ()
        if places:
            self.registry.counts.give_back(places)
        super().release()

    def on_exit(self, mode: Literal["inline", "thread"], manager: SyncExit, moment: int = HANDLED) -> Exit:
        """Leave ``manager`` at the end, on any thread of the pool: none is held as long as a socket is open."""
        if self.exits is None:
            self.exits = []
        entry = Exit(moment, mode, manager, None, self.handled_error)
        self.exits.append(entry)
        return entry
