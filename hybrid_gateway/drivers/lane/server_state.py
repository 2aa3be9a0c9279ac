"""What the connections of one server share on the lane: the gateway behind them, and what is the same for all requests.

How this works: :meth:`LaneServer.take` feeds what has arrived to a parser. If that is one whole request, and a route
answers it without ASGI middleware, it becomes a call; everything else is left to uvicorn's own road.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

import httptools
from django.conf import settings
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from hybrid_gateway.dispatch.request_checks import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PATH, is_plain_path
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.headers import FixedHeaders
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.types import Header

if TYPE_CHECKING:
    from hybrid_gateway.drivers.lane.protocol import LaneProtocol
    from hybrid_gateway.drivers.lane.request import LaneRequest

__all__ = ["AccessLogger", "Found", "HeaderReader", "ValidatedHead", "LaneServer", "lane_of", "start_line"]

logger = logging.getLogger("hybrid_gateway")

Found = tuple[str, Endpoint, tuple[Any, ...]]  # method, who answers, the values in the path
_NO_METHODS: dict[bytes, Found] = {}


class ValidatedHead(NamedTuple):
    """A head that is in order, but for its first line, and what it says; nobody changes that."""

    text: bytes = b""
    headers: Sequence[Header] = ()
    by_name: dict[bytes, bytes] = {}  # of a repeated header the last
    is_secure: bool = False  # whether it came over HTTPS


class LaneServer:
    """The gateway behind one server, and what is the same for all of its connections."""

    def __init__(self, gateway: Gateway, state: ServerState, trust_proxy: Callable[[Any], None]) -> None:
        self.gateway = gateway
        self.trust_proxy = trust_proxy
        self._state = state
        self._django_below = gateway.django_prefixes.below
        self._django_exact = gateway.django_prefixes.exact
        self._ending = gateway.ending
        self.has_hsts = gateway.security.hsts is not None
        self._table: Any = None
        self._static: dict[bytes, dict[bytes, Found]] = {}
        self._starts: dict[int, bytes] = {}
        self._defaults: Any = None
        self._keeps_alive = True
        self._renew_parser()

    def _renew_parser(self) -> None:
        # PERF: it is fed whole requests only, so one serves all connections; and most of what it calls are methods of
        # lists, which costs nothing. A parser that is left inside a request is thrown away.
        self._urls: list[bytes] = []
        self._bodies: list[bytes] = []
        self._unfinished: list[None] = [None]
        self._parser = _parser(
            SimpleNamespace(
                on_url=self._urls.append,
                on_headers_complete=self._see_keep_alive,
                on_body=self._bodies.append,
                on_message_complete=self._unfinished.clear,
            )
        )

    def _see_keep_alive(self) -> None:
        self._keeps_alive = self._parser.should_keep_alive()  # at its end the parser has forgotten

    def take(self, protocol: LaneProtocol, data: bytes) -> LaneRequest | None:
        """The call that ``data`` is, if it is one whole request, and one that an endpoint answers on the lane."""
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
        if head != protocol.judged.text:  # PERF: most clients send the same headers again and again
            judged = self._judge(protocol, head)
            if judged is None:
                return None
            protocol.judged = judged
        if self._table is not self.gateway.table:
            self._index_static_paths()
        found, query = self._static.get(url, _NO_METHODS).get(method), b""
        if found is None:
            raw_path, _, query = url.partition(b"?")
            found = self._find(raw_path, method) if url.find(b"#") < 0 else None
        if found is None or protocol.limit_concurrency is not None or self._ending.is_on:
            return None
        ctx = protocol.call_class(protocol, found, url, query)
        if body:
            ctx.body = body
        if not self._keeps_alive:
            ctx.keep_alive = False
        return ctx

    def _judge(self, protocol: LaneProtocol, head: bytes) -> ValidatedHead | None:
        """A head, if its headers are what most are; others are the ASGI driver's to judge."""
        if self.gateway.starts_late or self.gateway.late_start.is_used:
            return None
        if len(head) > MAX_HEADER_BYTES or head.count(b"\r\n") > MAX_HEADERS or _ODD.search(head) is not None:
            return None
        headers = HeaderReader().read(b"GET / HTTP/1.1" + head)
        scope: Any = {"type": "http", "method": "GET", "headers": headers, "scheme": protocol.scheme}
        scope |= {"http_version": "1.1", "server": protocol.server, "client": protocol.client}
        self.trust_proxy(scope)
        ctx = RequestContext(scope, _answer_nothing, self.gateway.lend_thread)
        screening, security = self.gateway.screening, self.gateway.security
        if screening.validate(ctx, "/") is not None or screening.validate_host(ctx, log=False) is not None:
            return None
        if security.redirects and not security.is_secure(ctx):
            return None
        return ValidatedHead(head, headers, ctx.headers_by_name or {}, security.is_secure(ctx))

    def _index_static_paths(self) -> None:
        self._table = table = self.gateway.table
        self._static = {
            path.encode(): {method.encode(): (method, *found) for method, found in methods.items()}
            for path, methods in table.tree.static.items()
            if is_plain_path(path)
            and quote(path) == path
            and all(self._answers(path, found) for found in methods.values())
        }

    def _find(self, raw_path: bytes, method: bytes) -> Found | None:
        try:
            path = raw_path.decode("ascii")
        except UnicodeDecodeError:
            return None
        name = method.decode("ascii")
        # SECURITY: what the ASGI driver would refuse is left to it.
        if not is_plain_path(path):
            path = unquote(path)
            if self.gateway.screening.judge_path(path, raw_path, name) is not None:
                return None
        elif len(path) > MAX_PATH:
            return None
        found = self._table.tree.find(path, name)
        return (name, *found) if found is not None and self._answers(path, found) else None

    def _answers(self, path: str, found: tuple[Endpoint, tuple[Any, ...]]) -> bool:
        # PERF: what Gateway.is_django does; where a route is found, there is no fallthrough.
        endpoint, lowered = found[0], path.lower()
        return not (
            endpoint.middleware
            or path.startswith(self._django_below)
            or path in self._django_exact
            or (lowered != path and self.gateway.side(lowered) != self.gateway.side(path))
        )

    def start(self, status: int) -> bytes:
        """The status line and uvicorn's own headers; the date among them is made anew once a second."""
        if self._state.default_headers is not self._defaults:
            self._defaults = self._state.default_headers
            self._starts = {}
        start = self._starts.get(status)
        if start is None:
            start = self._starts[status] = start_line(status, self._defaults)
        return start

    def renew(self, headers: FixedHeaders, status: int) -> bytes:
        """What answers with ``headers`` begin with until the next second, up to the value of their length."""
        headers.head = self.start(status) + headers.lines + b"content-length: "
        headers.stamp = self._defaults
        return headers.head


class AccessLogger:
    """uvicorn's access log, for both roads, without what the schemes of routes say is secret in a query."""

    def __init__(self, logger: logging.Logger, gateway: Gateway) -> None:
        self._logger = logger
        self._gateway = gateway

    def info(self, message: str, client: str, method: str, target: str, version: str, status: int) -> None:
        """Called by uvicorn once a request."""
        path, mark, query = target.partition("?")
        if mark:
            target = f"{path}?{self._gateway.table.secrets.hide(query.encode('latin-1')).decode('latin-1')}"
        self._logger.info(message, client, method, target, version, status)


def _parser(receiver: Any) -> Any:
    parser = httptools.HttpRequestParser(receiver)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
    return parser


# Folded lines, and names with an underscore
_ODD = re.compile(rb"\r\n(?:[ \t]|[^:\r\n]*_[^:\r\n]*:)")


class HeaderReader:
    """Reads the headers of a request that was parsed already, by the same parser."""

    def __init__(self) -> None:
        self._headers: list[Header] = []

    def read(self, data: bytes) -> list[Header]:
        """Names in lower case, and values."""
        _parser(self).feed_data(data)
        return self._headers

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers.append((name.lower(), value))


def start_line(status: int, defaults: list[Header]) -> bytes:
    return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in defaults)


_lanes: WeakKeyDictionary[ServerState, LaneServer | None] = WeakKeyDictionary()


def lane_of(config: Config, state: ServerState, loop: asyncio.AbstractEventLoop) -> LaneServer | None:
    """The lane of a server, unless something stands between it and the gateway, which is said once."""
    if state not in _lanes:
        app, trust_proxy = _inside_proxy_headers(config)
        obstacle = _obstacle(app, config)
        if obstacle is not None:
            logger.warning("The lane is off, every request goes through ASGI: %s", obstacle)
            _lanes[state] = None
        else:
            app.loops.adopt(loop)
            _lanes[state] = LaneServer(app, state, trust_proxy)
    return _lanes[state]


def _inside_proxy_headers(config: Config) -> tuple[Any, Callable[[Any], None]]:
    """uvicorn's application without its ``ProxyHeadersMiddleware``, and what that does to a scope."""
    app: Any = config.loaded_app
    if type(app) is not ProxyHeadersMiddleware:
        return app, _leave_alone
    proxy = ProxyHeadersMiddleware(_answer_nothing, config.forwarded_allow_ips)

    def trust_proxy(scope: Any) -> None:
        coroutine: Any = proxy(scope, _answer_nothing, _answer_nothing)
        try:
            coroutine.send(None)
        except StopIteration:
            return

    return app.app, trust_proxy


def _leave_alone(scope: Any) -> None:
    return None


async def _answer_nothing(*args: Any) -> Any:
    return None


def _obstacle(app: Any, config: Config) -> str | None:
    if not isinstance(app, Gateway) or type(app).__call__ is not Gateway.__call__:
        return f"the application is {app!r}, no bare Gateway, and what wraps it must see every request."
    if app.middleware:
        return "the gateway has middleware of its own. Put it on the routes that need it to keep the others fast."
    if config.root_path or settings.FORCE_SCRIPT_NAME:
        return "there is a script prefix (root_path, FORCE_SCRIPT_NAME)."
    return None
