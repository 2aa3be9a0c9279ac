"""Undocumented names of uvicorn's websockets, for the lane and for plain uvicorn, which may be without httptools."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

client_address: Callable[[Any], str] = get_client_addr
"""``client_address(scope)``: host and port of the client, as the access log has them."""

target_of: Callable[[Any], str] = get_path_with_query_string
"""``target_of(scope)``: path and query, quoted, as the access log has them."""


class TakenConnection(NamedTuple):
    """A connection that uvicorn has no more to do with, except that its task closes it in the end."""

    transport: asyncio.Transport
    config: Config
    connections: set[Any]
    """Whom uvicorn tells to shut down, and waits for."""
    tasks: set[asyncio.Task[None]]
    headers: list[tuple[bytes, bytes]]
    """What uvicorn adds to each response."""
    is_blocked: bool
    """Whether the transport has something left that the client has not taken."""


_MODULE, _CLASS = "uvicorn.protocols.websockets.websockets_sansio_impl", "WebSocketsSansIOProtocol"
_NEEDED = frozenset(
    ("transport", "config", "connections", "tasks", "default_headers", "writable", "queue", "conn", "frames")
) | frozenset(("initial_response", "handshake_complete", "close_sent", "disconnected", "close_timer"))


def _protocol_of(method: object, name: str) -> Any:
    """Return the protocol of a method that is uvicorn's, of exactly that class, and as it was."""
    kind = getattr(sys.modules.get(_MODULE), _CLASS, None)  # not there in old versions, nor without websockets
    if type(method) is not MethodType or type(method.__self__) is not kind:
        return None
    return method.__self__ if method.__func__.__code__.co_qualname == f"{_CLASS}.{name}" else None


def take_connection(receive: object, send: object) -> TakenConnection | None:
    """Take the connection of a handshake that uvicorn has read, and that nobody has begun to answer.

    ``None``, and nothing done, where ``receive`` and ``send`` are not uvicorn's own methods, where the client has sent
    more than its handshake or has gone, and for any other protocol than uvicorn's own on websockets' sans-I/O layer.
    """
    # SECURITY: exact types; whatever stands between, or has taken the place of a method, shall see the messages.
    protocol = _protocol_of(receive, "receive")
    if protocol is None or _protocol_of(send, "send") is not protocol or not vars(protocol).keys() >= _NEEDED:
        return None
    has_more = protocol.queue.qsize() != 1 or protocol.frames or protocol.conn.reader.buffer  # than the handshake
    if protocol.handshake_complete or protocol.initial_response is not None or has_more:
        return None
    if protocol.transport.is_closing() or protocol.transport.get_protocol() is not protocol:
        return None
    taken = TakenConnection(
        protocol.transport,
        protocol.config,
        protocol.connections,
        protocol.tasks,
        protocol.default_headers,
        not protocol.writable.is_set(),
    )
    protocol.connections.discard(protocol)
    # Its task has nothing left to answer, and whoever still has its methods hears that the client has gone.
    protocol.handshake_complete = protocol.close_sent = protocol.disconnected = True
    protocol.conn = protocol.request = protocol.response = None  # PERF: of an idle socket most of the memory
    return taken
