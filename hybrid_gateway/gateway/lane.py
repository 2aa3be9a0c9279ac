"""The lane: a uvicorn protocol that hands whole requests from the parser straight to the endpoints.

How this works: :class:`LaneProtocol` is uvicorn's own httptools protocol. A request that arrives in one piece, as most
do, and that one of the gateway's routes answers without ASGI middleware, becomes a :class:`LaneCall`: no scope, no
messages, no headers until somebody asks for them. Its endpoint is entered at once, in a task that starts where it is
created (``eager_start``; on Python 3.11 in an ordinary one), so an answer for which nobody has to wait is written
before the data's arrival is dealt with.

Everything else takes uvicorn's road through ASGI, on the same connection and from the same bytes: Django's paths,
websockets and other upgrades, ``Expect``, unknown paths, requests in pieces, and requests that come while another is
being answered. So does whatever the parser refuses. Both roads see what the same parser sees.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from contextvars import Context, copy_context
from functools import cached_property
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

import httptools
from django.conf import settings
from starlette.requests import ClientDisconnect
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.server import ServerState

from hybrid_gateway.binding.call import Call, too_large
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.handlers.endpoint import Endpoint
from hybrid_gateway.handlers.sensitive import enter_request
from hybrid_gateway.responses.headers import NO_CONTENT, FixedHeaders, Header, write_header

__all__ = ["LaneCall", "LaneProtocol"]

logger = logging.getLogger("hybrid_gateway")

_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
_EMPTY = Context()  # for timers: in the context of a request they would keep it alive

Found = tuple[str, Endpoint, tuple[Any, ...]]  # method, who answers, the values in the path
_NO_METHODS: dict[bytes, Found] = {}

# What of a request on uvicorn's road is still to come, and with it which time-out ends the wait.
_NOTHING, _HEAD, _BODY = range(3)


class LaneProtocol(HttpToolsProtocol):
    """One connection. uvicorn makes it: ``uvicorn.run(gateway, http=LaneProtocol)``.

    ``head_timeout`` and ``body_timeout`` are seconds: a head must be complete that long after its first byte (or after
    the connection was made), and a body must not rest longer. The first ends the connection, the second is a 408.
    """

    head_timeout = 30.0
    body_timeout = 30.0
    call_class: type[LaneCall]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        head_timeout: float | None = None,
        body_timeout: float | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.head_timeout = head_timeout or self.head_timeout
        self.body_timeout = body_timeout or self.body_timeout
        self.lane = _lane_of(config, server_state, self.loop)
        self._awaited = _NOTHING
        self._is_last = False
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._awaited == _NOTHING and self.lane is not None and (self.cycle is None or self.cycle.response_complete):
            call = self.lane.take(self, data)
            if call is not None:
                self._start(call)
                return
        if not self._is_last:
            super().data_received(data)
            self._await_rest()

    # --- on the lane

    def _start(self, call: LaneCall) -> None:
        self._deadline = None
        if not call.keep_alive:  # what comes after it is not even looked at, as by uvicorn's parser
            self._is_last = True
        # SECURITY: in a context of its own; what a handler sets there no other request sees.
        self.cycle = call  # type: ignore[assignment]
        task = asyncio.Task(self._serve(call), loop=self.loop, context=copy_context(), **_EAGER)
        if not task.done():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _serve(self, call: LaneCall) -> None:
        enter_request(call)
        try:
            answer = await call.endpoint.respond(call)
            if type(answer) is tuple:
                if self.flow.write_paused and not call.disconnected:
                    await self.flow.drain()
                self._write(call, *answer)
            else:
                await self._stream(call, answer)
        except BaseException as error:
            self._fail(call, error)
        finally:
            call.release()

    def _write(self, call: LaneCall, status: int, headers: Any, body: bytes) -> None:
        if call.disconnected:
            return
        call.is_started = True
        if self.access_log:
            self._log(call, status)
        if type(headers) is FixedHeaders and call.keep_alive and call.method != "HEAD":
            lane: Any = self.lane
            head = headers.head if headers.stamp is self.server_state.default_headers else lane.renew(headers, status)
            self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        else:
            self.transport.write(self._write_all(call, status, headers, body))
        call.response_complete = True
        if call.awaits_end is not None:
            call.set()
        if self.cycle is call:  # type: ignore[comparison-overlap]
            self.cycle = None  # type: ignore[assignment]
        if not call.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _write_all(self, call: LaneCall, status: int, headers: Any, body: bytes) -> bytes:
        """The answer as uvicorn would write it."""
        lane: Any = self.lane
        lines = [lane.start(status)]
        closes = False
        for name, value in headers:
            lines.append(write_header((name, value)))
            closes |= name == b"connection" and b"close" in [part.strip() for part in value.lower().split(b",")]
        if closes:
            call.keep_alive = False
        if status not in NO_CONTENT:
            lines.append(b"content-length: %d\r\n" % len(body))
        if not call.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        return b"".join([*lines, b"\r\n", body if call.method != "HEAD" else b""])

    async def _stream(self, call: LaneCall, response: Any) -> None:
        """Let a Starlette response send itself through an ASGI cycle that takes the place of ``call``."""
        cycle = RequestResponseCycle(
            scope=call.scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=call.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        cycle.disconnected = call.disconnected
        if not call.is_read:
            cycle.body += call.body
        if call.disconnected or not call.is_read:
            cycle.message_event.set()
        if self.cycle is call:  # type: ignore[comparison-overlap]
            self.cycle = cycle

        async def application(scope: Any, receive: Any, send: Any) -> None:
            with suppress(ClientDisconnect):  # nobody is left to answer
                await call.gateway.asgi.send_response(call, call.endpoint, response, receive, send)

        await cycle.run_asgi(application)

    def _fail(self, call: LaneCall, error: BaseException) -> None:
        """What uvicorn does when an application raises instead of answering; a client that has gone is no error."""
        gone = isinstance(error, ClientDisconnect)
        if gone and call.disconnected:
            return
        message = "ASGI callable returned without starting response." if gone else "Exception in ASGI application\n"
        self.logger.error(message, exc_info=None if gone else error)
        if call.is_started:  # by headers that cannot be sent: as uvicorn does, say nothing
            self.transport.close()
        else:
            call.keep_alive = False
            self._write(call, 500, [(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error")

    def _log(self, call: LaneCall, status: int) -> None:
        scope: Any = call.scope
        client, path = get_client_addr(scope), get_path_with_query_string(scope)
        self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, call.method, path, scope["http_version"], status)

    def handle_websocket_upgrade(self) -> None:
        self._awaited = _NOTHING
        self._stop_watching()
        super().handle_websocket_upgrade()

    # --- on uvicorn's road: what is still to come of a request

    def on_message_begin(self) -> None:
        self._awaited = _HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._awaited = _BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaited = _NOTHING
        super().on_message_complete()

    # --- time-outs: one timer per connection, which looks whether the deadline has moved

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._watch(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        if self._awaited != _HEAD:  # more bytes of a head give it no more time
            self._deadline = None

    def _await_rest(self) -> None:
        if self._awaited == _BODY:
            self._watch(self.body_timeout)
        elif self._awaited == _HEAD and self._deadline is None:
            self._watch(self.head_timeout)

    def _watch(self, seconds: float) -> None:
        """End the wait in so many seconds, unless the deadline is moved or dropped before."""
        self._deadline = deadline = self.loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= deadline + 0.001:
                return
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look, context=_EMPTY)

    def _stop_watching(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        left = self._deadline - self.loop.time()
        if left > 0.001:
            self._timer = self.loop.call_later(left, self._look, context=_EMPTY)
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        elif self._awaited != _BODY or self.flow.read_paused:  # it is the application that takes its time
            self._watch(self.body_timeout)
        else:
            self._end_stalled_body(self.cycle)

    def _end_stalled_body(self, cycle: RequestResponseCycle) -> None:
        if not cycle.response_started:
            start = _start_line(408, self.server_state.default_headers)
            self.transport.write(b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % start)
        self.transport.close()
        cycle.disconnected = True
        cycle.message_event.set()


class LaneCall(Call):
    """One request on the lane: a call, and what uvicorn's protocol asks of the cycle that it stands for."""

    # PERF: see Call; what is usual is a class attribute, and what few ask for is made when somebody does.
    body = b""
    keep_alive = True
    disconnected = False
    response_complete = False
    is_started = False
    is_read = False
    awaits_end: asyncio.Event | None = None
    _head: bytes | None = None

    def __init__(self, protocol: LaneProtocol, found: Found, url: bytes, query: bytes, data: bytes) -> None:
        self.protocol = protocol
        self.method, self.endpoint, self.path_values = found
        self.url = url
        self.raw_query = query
        self._data = data

    @property
    def gateway(self) -> Gateway:
        """The gateway that answers."""
        lane = self.protocol.lane
        assert lane is not None
        return lane.gateway

    @cached_property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]
        return _Headers().read(self._data)

    def header(self, name: bytes) -> bytes | None:
        # PERF: looked up in the bytes as they came, while nobody has asked for all headers.
        data, head = self._data, self._head
        if head is None:
            head = self._head = data[: data.find(b"\r\n\r\n") + 2].lower()
        if "raw_headers" in self.__dict__ or head.find(b"\r\n ") >= 0 or head.find(b"\r\n\t") >= 0:
            return super().header(name)
        at = head.rfind(b"\r\n%b:" % name)
        if at < 0:
            return None
        start = at + len(name) + 3
        return data[start : data.find(b"\r\n", start)].lstrip(b" \t")

    def _lend(self) -> Any:
        return self.gateway.lend_thread()

    def describe(self) -> MutableMapping[str, Any]:
        """The ASGI scope that uvicorn would have made of the request."""
        protocol, lane = self.protocol, self.protocol.lane
        assert lane is not None
        raw_path = self.url.partition(b"?")[0]
        scope = {
            "type": "http",
            "asgi": {"version": protocol.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": protocol.server,
            "client": protocol.client,
            "scheme": protocol.scheme,
            "root_path": "",
            "headers": self.raw_headers,
            "state": protocol.app_state.copy(),
            "method": self.method,
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": self.raw_query,
        }
        lane.trust_proxy(scope)
        return scope

    # --- the body, which has come; and the client, which may go

    async def read_body(self, limit: int) -> bytes:
        if self.is_read:
            return await super().read_body(limit)
        self.is_read = True
        if len(self.body) > limit:
            raise too_large(limit)
        return self.body

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self.is_read and not self.disconnected:
            self.is_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        if not self.disconnected and not self.response_complete:
            self.awaits_end = self.awaits_end or asyncio.Event()
            await self.awaits_end.wait()
        return {"type": "http.disconnect"}

    @property
    def message_event(self) -> LaneCall:
        """What uvicorn calls ``set()`` of when the client has gone."""
        return self

    def set(self) -> None:
        """Nothing more will come: tell whoever waits for a message."""
        if self.awaits_end is not None:
            self.awaits_end.set()


LaneProtocol.call_class = LaneCall


# --- what the connections of a server share ---------------------------------------------------------------------------


class _Lane:
    """The gateway behind one server, and what is the same for all of its connections."""

    def __init__(self, gateway: Gateway, state: ServerState, trust_proxy: Callable[[Any], None]) -> None:
        self.gateway = gateway
        self.trust_proxy = trust_proxy
        self._state = state
        self._django_below = gateway.django_prefixes.below
        self._django_exact = gateway.django_prefixes.exact
        self._tree: Any = None
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

    def take(self, protocol: LaneProtocol, data: bytes) -> LaneCall | None:
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
        if self._tree is not self.gateway.tree:
            self._index_static_paths()
        found, query = self._static.get(url, _NO_METHODS).get(method), b""
        if found is None:
            raw_path, _, query = url.partition(b"?")
            found = self._find(raw_path, method) if url.find(b"#") < 0 else None
        if found is None or protocol.limit_concurrency is not None:
            return None
        call = protocol.call_class(protocol, found, url, query, data)
        if body:
            call.body = body
        if not self._keeps_alive:
            call.keep_alive = False
        return call

    def _index_static_paths(self) -> None:
        self._tree = tree = self.gateway.tree
        self._static = {
            path.encode(): {method.encode(): (method, *found) for method, found in methods.items()}
            for path, methods in tree.static.items()
            if quote(path) == path and all(self._answers(path, found) for found in methods.values())
        }

    def _find(self, raw_path: bytes, method: bytes) -> Found | None:
        try:
            path = raw_path.decode("ascii")
        except UnicodeDecodeError:
            return None
        if "%" in path:
            path = unquote(path)
        name = method.decode("ascii")
        found = self.gateway.tree.find(path, name)
        return (name, *found) if found is not None and self._answers(path, found) else None

    def _answers(self, path: str, found: tuple[Endpoint, tuple[Any, ...]]) -> bool:
        # PERF: what Gateway.is_django does; where a route is found, there is no fallthrough.
        return not (found[0].middleware or path.startswith(self._django_below) or path in self._django_exact)

    def start(self, status: int) -> bytes:
        """The status line and uvicorn's own headers; the date among them is made anew once a second."""
        if self._state.default_headers is not self._defaults:
            self._defaults = self._state.default_headers
            self._starts = {}
        start = self._starts.get(status)
        if start is None:
            start = self._starts[status] = _start_line(status, self._defaults)
        return start

    def renew(self, headers: FixedHeaders, status: int) -> bytes:
        """What answers with ``headers`` begin with until the next second, up to the value of their length."""
        headers.head = self.start(status) + headers.lines + b"content-length: "
        headers.stamp = self._defaults
        return headers.head


def _parser(receiver: Any) -> Any:
    parser = httptools.HttpRequestParser(receiver)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
    return parser


class _Headers:
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


def _start_line(status: int, defaults: list[Header]) -> bytes:
    return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in defaults)


_lanes: WeakKeyDictionary[ServerState, _Lane | None] = WeakKeyDictionary()


def _lane_of(config: Config, state: ServerState, loop: asyncio.AbstractEventLoop) -> _Lane | None:
    """The lane of a server, unless something stands between it and the gateway, which is said once."""
    if state not in _lanes:
        app, trust_proxy = _inside_proxy_headers(config)
        obstacle = _obstacle(app, config)
        if obstacle is not None:
            logger.warning("The lane is off, every request goes through ASGI: %s", obstacle)
            _lanes[state] = None
        else:
            app.loops.adopt(loop)
            _lanes[state] = _Lane(app, state, trust_proxy)
    return _lanes[state]


def _inside_proxy_headers(config: Config) -> tuple[Any, Callable[[Any], None]]:
    """uvicorn's application without its ``ProxyHeadersMiddleware``, and what that does to a scope."""
    app: Any = config.loaded_app
    if type(app) is not ProxyHeadersMiddleware:
        return app, _leave_alone
    proxy = ProxyHeadersMiddleware(_answer_nothing, config.forwarded_allow_ips)

    def trust_proxy(scope: Any) -> None:
        coroutine: Any = proxy(scope, _answer_nothing, _answer_nothing)  # type: ignore[arg-type]
        try:
            coroutine.send(None)
        except StopIteration:
            return

    return app.app, trust_proxy


def _leave_alone(scope: Any) -> None:
    return None


async def _answer_nothing(*args: Any) -> None:
    return None


def _obstacle(app: Any, config: Config) -> str | None:
    if not isinstance(app, Gateway) or type(app).__call__ is not Gateway.__call__:
        return f"the application is {app!r}, no bare Gateway, and what wraps it must see every request."
    if app.middleware:
        return "the gateway has middleware of its own. Put it on the routes that need it to keep the others fast."
    if config.root_path or settings.FORCE_SCRIPT_NAME:
        return "there is a script prefix (root_path, FORCE_SCRIPT_NAME)."
    return None
