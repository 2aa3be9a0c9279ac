"""uvicorn's access log, without the secrets of queries."""

from __future__ import annotations

import logging

from hybrid_gateway.dispatch.dispatcher import Dispatcher

__all__ = ["AccessLogger"]


class AccessLogger:
    """The logger of the lane and of uvicorn's road; it hides what the schemes of routes say is secret in a query."""

    def __init__(self, logger: logging.Logger, dispatcher: Dispatcher) -> None:
        self._logger = logger
        self._dispatcher = dispatcher

    def info(self, message: str, client: str, method: str, target: str, version: str, status: int) -> None:
        """Log one request; uvicorn calls this."""
        path, mark, query = target.partition("?")
        if mark:
            target = f"{path}?{self._dispatcher.table.secrets.hide(query.encode('latin-1')).decode('latin-1')}"
        self._logger.info(message, client, method, target, version, status)
