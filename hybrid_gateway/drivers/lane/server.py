"""The lane of one server: the gateway behind its connections, and all that is the same for each of them.

How this works: :meth:`LaneServer.take` feeds what has arrived to a parser. If that is one whole request, and a route
answers it without ASGI middleware, it becomes a :class:`LaneRequest`; everything else is left to uvicorn's own road.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

import httptools
from django.conf import settings
from uvicorn.config import Config

from hybrid_gateway._compat.uvicorn_internals import ServerState, server_headers, unwrap_proxy_headers
from hybrid_gateway.dispatch.dispatcher import Dispatcher, no_message
from hybrid_gateway.dispatch.request_checks import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PATH, is_plain_path
from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.drivers.lane.request import LaneConnection, LaneRequest, Match, ValidatedHead
from hybrid_gateway.drivers.response_heads import ResponseHeads
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.headers import FixedHeaders
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.routing.route_tree import RouteTree
from hybrid_gateway.types import Header, Scope

logger = logging.getLogger("hybrid_gateway")

_NO_METHODS: dict[bytes, Match] = {}

# Folded lines, and names with an underscore
_ODD_HEADERS = re.compile(rb"\r\n(?:[ \t]|[^:\r\n]*_[^:\r\n]*:)")


class LaneServer:
    """The gateway behind one server, and what is the same for all of its connections."""

    def __init__(
        self, application: ServedApplication, state: ServerState, trust_proxy: Callable[[Scope], None]
    ) -> None:
        self.application = application
        self.dispatcher = dispatcher = application.dispatcher
        self.has_hsts = dispatcher.security.hsts is not None
        self.trust_proxy = trust_proxy
        self._state = state
        self._shutdown = dispatcher.shutdown
        self._answers_directly = dispatcher.answers_directly
        self._table: RoutingTable | None = None  # that what follows is of
        self._tree: RouteTree[Endpoint] = RouteTree()
        self._static: dict[bytes, dict[bytes, Match]] = {}
        self._heads = ResponseHeads()
        self._keeps_alive = True
        self._renew_parser()

    def _renew_parser(self) -> None:
        # PERF: it is fed whole requests only, so one serves all connections; and most of what it calls are methods of
        # lists, which costs nothing. A parser that is left inside a request is thrown away.
        self._urls: list[bytes] = []
        self._bodies: list[bytes] = []
        self._unfinished: list[None] = [None]
        self._parser = _build_parser(
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
        # Elsewhere: other versions, blank lines first, "Expect: 100-continue". PERF: `in` takes six times as long.
        if not data.startswith(b" HTTP/1.1\r\n", len(method) + 1 + len(url)) or data.find(b"100-") >= 0:
            return None
        end = len(data) - len(body)
        head = data[len(method) + len(url) + 10 : end]
        if head != connection.validated_head.text:  # PERF: most clients send the same headers again and again
            validated = self._validate_head(connection, head)
            if validated is None:
                return None
            connection.validated_head = validated
        if self._table is not self.dispatcher.table:
            self._index_static_paths()
        match, query = self._static.get(url, _NO_METHODS).get(method), b""
        if match is None:
            raw_path, _, query = url.partition(b"?")
            match = self._match(raw_path, method) if url.find(b"#") < 0 else None
        if match is None or connection.limit_concurrency is not None or self._shutdown.has_begun:
            return None
        request = connection.request_class(connection, match, url, query)
        if body:
            request.body = body
        if not self._keeps_alive:
            request.keep_alive = False
        return request

    def _validate_head(self, connection: LaneConnection, head: bytes) -> ValidatedHead | None:
        """Return what a head says, if its headers are what most are; others are the ASGI driver's to validate."""
        application, dispatcher = self.application, self.dispatcher
        if application.starts_with_requests:
            return None
        if len(head) > MAX_HEADER_BYTES or head.count(b"\r\n") > MAX_HEADERS or _ODD_HEADERS.search(head) is not None:
            return None
        headers: list[Header] = []
        reader = SimpleNamespace(on_header=lambda name, value: headers.append((name.lower(), value)))
        _build_parser(reader).feed_data(b"GET / HTTP/1.1" + head)
        scope: Scope = {"type": "http", "method": "GET", "headers": headers, "scheme": connection.scheme}
        scope.update(http_version="1.1", server=connection.server, client=connection.client)
        self.trust_proxy(scope)
        ctx = RequestContext(scope, no_message, application.lend_thread)
        validator, security = dispatcher.validator, dispatcher.security
        if validator.validate(ctx, "/") is not None or validator.validate_host(ctx, log=False) is not None:
            return None
        if security.redirects and not security.is_secure(ctx):
            return None
        return ValidatedHead(head, headers, ctx.headers_by_name or {}, security.is_secure(ctx))

    def _index_static_paths(self) -> None:
        self._table = table = self.dispatcher.table
        self._tree = table.tree
        self._static = {
            path.encode(): {method.encode(): (method, *found) for method, found in methods.items()}
            for path, methods in table.tree.static.items()
            if is_plain_path(path)
            and quote(path) == path
            and all(self.dispatcher.answers_directly(path, endpoint) for endpoint, _ in methods.values())
        }

    def _match(self, raw_path: bytes, method: bytes) -> Match | None:
        try:
            path = raw_path.decode("ascii")
        except UnicodeDecodeError:
            return None
        name = method.decode("ascii")
        # SECURITY: what the ASGI driver would reject is left to it.
        if not is_plain_path(path):
            path = unquote(path)
            if self.dispatcher.validator.validate_path(path, raw_path, name) is not None:
                return None
        elif len(path) > MAX_PATH:
            return None
        found = self._tree.find(path, name)
        return (name, *found) if found is not None and self._answers_directly(path, found[0]) else None

    def start(self, status: int) -> bytes:
        """Return the status line and uvicorn's own headers; the date among them is made anew once a second."""
        return self._heads.start(status, server_headers(self._state))

    def renew(self, headers: FixedHeaders, status: int) -> bytes:
        """Return what responses with ``headers`` begin with until the next second, up to the value of their length."""
        return self._heads.renew(headers, status, server_headers(self._state))


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


def _build_parser(receiver: object) -> Any:
    parser = httptools.HttpRequestParser(receiver)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
    return parser


_servers: WeakKeyDictionary[ServerState, LaneServer | None] = WeakKeyDictionary()


def lane_server(config: Config, state: ServerState, loop: asyncio.AbstractEventLoop) -> LaneServer | None:
    """Return the lane of a server, unless something stands between it and the gateway, which is logged once."""
    if state not in _servers:
        app, trust_proxy = unwrap_proxy_headers(config)
        obstacle = _find_obstacle(app, config)
        if obstacle is not None:
            logger.warning("The lane is off, every request goes through ASGI: %s", obstacle)
            _servers[state] = None
        else:
            app.loops.adopt(loop)
            _servers[state] = LaneServer(app, state, trust_proxy)
    return _servers[state]


def _find_obstacle(app: object, config: Config) -> str | None:
    if not isinstance(app, ServedApplication) or not app.may_skip_asgi:
        return f"the application is {app!r}, no bare Gateway, and what wraps it must see every request."
    if app.middleware:
        return "the gateway has middleware of its own. Put it on the routes that need it to keep the others fast."
    if config.root_path or settings.FORCE_SCRIPT_NAME:
        return "there is a script prefix (root_path, FORCE_SCRIPT_NAME)."
    return None
