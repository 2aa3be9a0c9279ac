"""Undocumented names of servers, by which websockets end in good order whichever it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

_UVICORN = "uvicorn.protocols.websockets."


def hold_shutdown(receive: object) -> Callable[[], None] | None:
    """Let uvicorn not close a websocket when the process ends, until the function that is returned is called.

    ``receive`` is what the server gave; ``None`` for any other server, or where middleware stands before it.
    """
    protocol: Any = getattr(receive, "__self__", None)
    if not type(protocol).__module__.startswith(_UVICORN):
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


def shutdown_tasks() -> list[asyncio.Task[Any]]:
    """Return the tasks of the running loop that end when hypercorn's worker, which gets no signal, is told to end."""
    if "hypercorn" not in sys.modules:
        return []
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "raise_shutdown"]


def stops_at_once(handler: object) -> bool:
    """Return whether a signal handler is Twisted's, by which daphne cuts whatever it is serving."""
    return (getattr(handler, "__module__", None) or "").startswith("twisted.")
