"""The websockets of ours on one server: what is the same for all of them, and when their frames leave.

How this works: what is sent to a socket is written once per turn of the event loop, so that many small messages are one
call of the system, and a message to many sockets costs no timer of theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from uvicorn.config import Config

from hybrid_gateway._compat.uvicorn_websocket_internals import client_address, target_of
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.dispatch.shutdown import GRACE_AFTER_SIGNAL
from hybrid_gateway.types import Scope

logger = logging.getLogger("uvicorn.error")  # where uvicorn's own websockets log


class Output(Protocol):
    """Whatever has something to write."""

    def flush(self) -> None: ...


class SocketServer:
    """The part of one server that its websockets have in common."""

    def __init__(
        self, config: Config, connections: set[object], tasks: set[asyncio.Task[None]], dispatcher: Dispatcher
    ) -> None:
        self.connections = connections
        self.tasks = tasks
        self.loop = asyncio.get_running_loop()
        # Of sockets that speak ASGI: bytes of a message, messages, seconds
        self.max_size: int = config.ws_max_size
        self.max_queue: int = config.ws_max_queue
        self.ping_interval = config.ws_ping_interval
        self.ping_timeout = config.ws_ping_timeout
        self.compression: bool = config.ws_per_message_deflate
        self._dispatcher = dispatcher
        self._logs = config.access_log
        self.outputs: list[Output] = []
        """Whose frames leave at the end of the turn; the first comes by :meth:`flush_soon`."""

    # --- frames that wait for the end of the turn

    def flush_soon(self, output: Output) -> None:
        """Call ``output.flush`` once all that is due now has run."""
        if not self.outputs:
            self.loop.call_soon(self._flush, context=Context())
        self.outputs.append(output)

    def _flush(self) -> None:
        outputs, self.outputs = self.outputs, []
        for output in outputs:
            output.flush()

    # --- the rest

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """Return a timer that keeps no context alive."""
        return self.loop.call_later(seconds, callback, *args, context=Context())

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call something in the next turn, in a context of its own."""
        self.loop.call_soon(callback, context=Context())

    @property
    def is_ending(self) -> bool:
        """True once the process has been told to end."""
        return self._dispatcher.shutdown.has_begun

    def begin_shutdown(self) -> None:
        """Tell the gateway that the server ends."""
        self._dispatcher.shutdown.begin(GRACE_AFTER_SIGNAL)

    def log(self, scope: Scope, outcome: str) -> None:
        """Log the answer to a handshake as uvicorn does; what the schemes of routes call secret is hidden."""
        if self._logs:
            path, mark, query = target_of(scope).partition("?")
            if mark:
                hidden = self._dispatcher.table.secrets.hide(query.encode("latin-1"))
                path = f"{path}?{hidden.decode('latin-1')}"
            logger.info('%s - "WebSocket %s" %s', client_address(scope), path, outcome)
