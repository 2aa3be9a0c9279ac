"""The lane of one server: the gateway behind its connections, and all that is the same for each of them.

How this works: :meth:`LaneServer.take` is given what has arrived. If that is one whole request, and a route answers it
without ASGI middleware, it becomes a :class:`LaneRequest`; everything else is left to uvicorn's own road. A head that
its connection has sent before is not parsed again (``heads.py``), nor is a plain first line (``request_lines.py``).
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast
from weakref import WeakKeyDictionary

import httptools
from django.conf import settings
from uvicorn.config import Config

from hybrid_gateway._compat.uvicorn_internals import (
    ServerState,
    build_parser,
    server_headers,
    unwrap_proxy_headers,
)
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.drivers.lane.heads import HeadValidator
from hybrid_gateway.drivers.lane.obstacles import find_obstacle
from hybrid_gateway.drivers.lane.request import LaneConnection, LaneRequest
from hybrid_gateway.drivers.lane.request_lines import RequestLines
from hybrid_gateway.drivers.lane.websocket_upgrade import LaneSockets
from hybrid_gateway.drivers.response_heads import ResponseHeads
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.headers import FixedHeaders, StampedHeaders
from hybrid_gateway.types import ASGIApp, Scope

logger = logging.getLogger("hybrid_gateway")


class LaneServer:
    """The gateway behind one server, and what is the same for all of its connections."""

    def __init__(
        self,
        application: ServedApplication,
        config: Config,
        state: ServerState,
        trust_proxy: Callable[[Scope], None],
    ) -> None:
        self.application = application
        self.dispatcher = dispatcher = application.dispatcher
        self.sockets = LaneSockets(config, state, dispatcher, cast("ASGIApp", application), trust_proxy)
        self.has_hsts = dispatcher.security.hsts is not None
        self.trust_proxy = trust_proxy
        self.access_logger = AccessLogger(logging.getLogger("uvicorn.access"), dispatcher)
        self._state = state
        self._shutdown = dispatcher.shutdown
        self._validator = HeadValidator(application, trust_proxy)
        self._lines: RequestLines | None = None
        self._heads = ResponseHeads()
        self._keeps_alive = True
        self._renew_parser()

    def _renew_parser(self) -> None:
        # PERF: it is fed whole requests only, so one serves all connections; and most of what it calls are methods of
        # lists, which costs nothing. A parser that is left inside a request is thrown away.
        self._urls: list[bytes] = []
        self._bodies: list[bytes] = []
        self._unfinished: list[None] = [None]
        self._parser = build_parser(
            SimpleNamespace(
                on_url=self._urls.append,
                on_headers_complete=self._note_keep_alive,
                on_body=self._bodies.append,
                on_message_complete=self._unfinished.clear,
            )
        )

    def _note_keep_alive(self) -> None:
        self._keeps_alive = self._parser.should_keep_alive()  # at its end the parser has forgotten

    def take(self, connection: LaneConnection, data: bytes) -> LaneRequest | None:
        """Return the request that ``data`` is, if it is one whole request, and an endpoint answers it on the lane."""
        head = connection.own.head
        start = len(data) - head.size
        # PERF: the usual request is not parsed.
        # SECURITY: what follows its first line, the parser and all checks have taken before; and that line has no line
        # break, or it would not be found.
        if start > 0 and data.startswith(head.text, start):
            line = data[:start]
            lines = self._lines
            if lines is None or lines.table is not self.dispatcher.table:
                lines = self._lines = RequestLines(self.dispatcher)
            match, query = lines.static.get(line), b""
            if match is None:
                match, query = lines.read(line)
            if match is not None and not self._shutdown.has_begun:
                request = connection.request_class(connection, match, line, query)
                if head.length:
                    request.body = data[-head.length :]
                if not head.keep_alive:
                    request.keep_alive = False
                return request
        return self._parse(connection, data)

    def _parse(self, connection: LaneConnection, data: bytes) -> LaneRequest | None:
        parser, urls = self._parser, self._urls
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._renew_parser()
            return None
        body = b""
        if self._bodies:
            body = b"".join(self._bodies)
            self._bodies.clear()
        ends = data.endswith(b"\r\n\r\n") if not body else len(body) + data.find(b"\r\n\r\n") + 4 == len(data)
        if self._unfinished or len(urls) != 1 or not ends:  # in pieces, more than one, or chunked
            self._renew_parser()
            return None
        self._unfinished.append(None)
        url = urls.pop()
        method = parser.get_method()
        if not data.startswith(b" HTTP/1.1\r\n", len(method) + 1 + len(url)):  # another version, a blank line first
            return None
        if connection.limit_concurrency is not None or self._shutdown.has_begun:
            return None
        start = len(method) + len(url) + 10
        text = data[start : len(data) - len(body)]
        head = connection.own.head
        if text != head.text:
            validated = self._validator.validate(connection, text, len(body), self._keeps_alive)
            if validated is None:
                return None
            connection.own.head = head = validated
        lines = self._lines
        if lines is None or lines.table is not self.dispatcher.table:
            lines = self._lines = RequestLines(self.dispatcher)
        line = data[:start]
        match, query = lines.static.get(line), b""
        if match is None:
            match, query = lines.match(url, method)
            if match is None:
                return None
        request = connection.request_class(connection, match, line, query)
        if body:
            request.body = body
        if not head.keep_alive:
            request.keep_alive = False
        return request

    def start(self, status: int) -> bytes:
        """Return the status line and uvicorn's own headers; the date among them is made anew once a second."""
        return self._heads.start(status, server_headers(self._state))

    def renew(self, headers: FixedHeaders, status: int) -> bytes:
        """Return what responses with ``headers`` begin with until the next second, up to the value of their length."""
        return self._heads.renew(headers, status, server_headers(self._state))

    def stamped_head(self, headers: StampedHeaders, status: int) -> bytes:
        """Return what one response begins with, up to the value of its length."""
        return self._heads.stamped(headers, status, server_headers(self._state))


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


_servers: WeakKeyDictionary[ServerState, LaneServer | None] = WeakKeyDictionary()


def lane_server(
    config: Config, state: ServerState, loop: asyncio.AbstractEventLoop, *, owns_process: bool = False
) -> LaneServer | None:
    """Return the lane of a server, unless something stands between it and the gateway, which is logged once.

    With the first connection of a process of our own, what start-up has made is left out of garbage collection.
    """
    if state not in _servers:
        if owns_process:
            # PERF: every request waits for a full collection. Of 105,000 objects of the example project 75,000 were
            # there before the first request; to look at them took 100 ms, every few seconds under load.
            gc.freeze()
        app, trust_proxy = unwrap_proxy_headers(config)
        obstacle = find_obstacle(app, config.root_path or settings.FORCE_SCRIPT_NAME)
        if obstacle is not None:
            logger.warning("The lane is off, every request goes through ASGI: %s", obstacle)
            _servers[state] = None
        else:
            app.loops.adopt(loop)
            _servers[state] = LaneServer(app, config, state, trust_proxy)
    return _servers[state]
