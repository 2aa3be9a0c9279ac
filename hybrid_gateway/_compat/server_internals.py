"""Undocumented names of servers, by which websockets end in good order whichever it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

_UVICORN = "uvicorn.protocols.websockets."


def _uvicorn_protocol(receive: object) -> Any:
    protocol = getattr(receive, "__self__", None)
    return protocol if type(protocol).__module__.startswith(_UVICORN) else None


def hold_shutdown(receive: object) -> Callable[[], None] | None:
    """Let uvicorn not close a websocket when the process ends, until the function that is returned is called.

    ``receive`` is what the server gave; ``None`` for any other server, or where middleware stands before it.
    """
    protocol = _uvicorn_protocol(receive)
    if protocol is None:
        return None
    is_asked = False

    def note() -> None:
        nonlocal is_asked
        is_asked = True

    def release() -> None:
        if protocol.__dict__.pop("shutdown", None) is not None and is_asked:
            protocol.shutdown()

    protocol.shutdown = note
    return release


def unread_transport(receive: object) -> asyncio.Transport | None:
    """Return the transport of a websocket of uvicorn's whose client has not read everything, which it may never do.

    uvicorn closes it and waits, without an end; ``None`` where nothing is left, and for any other server.
    """
    protocol = _uvicorn_protocol(receive)
    transport: asyncio.Transport | None = getattr(protocol, "transport", None)
    return transport if transport is not None and transport.get_write_buffer_size() else None


def shutdown_tasks() -> list[asyncio.Task[Any]]:
    """Return the tasks of the running loop that end when hypercorn's worker, which gets no signal, is told to end."""
    if "hypercorn" not in sys.modules:
        return []
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "raise_shutdown"]


def stops_at_once(handler: object) -> bool:
    """Return whether a signal handler is Twisted's, by which daphne cuts whatever it is serving."""
    return (getattr(handler, "__module__", None) or "").startswith("twisted.")
