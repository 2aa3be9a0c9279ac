"""Undocumented names of uvicorn's HTTP protocol and server, below the lane."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from inspect import signature
from socket import socket
from types import MethodType
from typing import Any, Protocol, TypeVar

import httptools
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
)
from uvicorn.protocols.http.httptools_impl import (
    RequestResponseCycle as RequestResponseCycle,
)
from uvicorn.server import Server
from uvicorn.server import ServerState as ServerState
from uvicorn.supervisors import ChangeReload, Multiprocess

from hybrid_gateway._compat.uvicorn_websocket_internals import client_address, target_of

_STARTUP_FAILURE = 3  # what uvicorn.run exits with; where the name for it stands is not the same in all versions


class _Late:
    """An attribute that is made when somebody first asks for it."""

    def __init__(self, make: Callable[[Any], object]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> object:
        value = self._make(instance)
        setattr(instance, self._name, value)
        return value


def run_on(config: Config, sockets: list[socket]) -> None:
    """Serve on sockets that are bound already, as ``uvicorn.run`` does on the one that it binds.

    Exits with status 3 where the application does not start.
    """
    server = Server(config)
    try:
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=sockets).run()
        elif config.workers > 1:
            target: dict[str, Any] = {"target": server.run} if "target" in signature(Multiprocess).parameters else {}
            Multiprocess(config, sockets=sockets, **target).run()
        else:
            server.run(sockets)
    except KeyboardInterrupt:  # Ctrl-C: what was begun has been finished
        pass
    if not server.started and not config.should_reload and config.workers == 1:
        sys.exit(_STARTUP_FAILURE)


def build_parser(receiver: object) -> Any:
    """Return a parser that takes what that of uvicorn's connections takes."""
    parser = httptools.HttpRequestParser(receiver)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class _LazyFlow(FlowControl):
    _is_writable_event: Any = _Late(lambda flow: flow.make_event())

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    def make_event(self) -> asyncio.Event:
        """Return the event that is set as long as writing is not paused."""
        event = asyncio.Event()
        if not self.write_paused:
            event.set()
        return event


class _ShortQueue(list[Any]):
    __slots__ = ()

    def appendleft(self, entry: object) -> None:
        self.insert(0, entry)


class UvicornConnection(HttpToolsProtocol):
    """uvicorn's protocol, for a subclass that watches the time by itself.

    It is small as long as nothing is asked of it: the parser and the event of the flow are made when they are needed.

    What it has of its parent, and may count on: ``cycle`` (the request that is being answered, with ``keep_alive``,
    ``response_started``, ``response_complete``, ``disconnected``, ``body``, ``more_body`` and ``message_event``),
    ``pipeline`` (cycles and applications that wait, the next one last), ``flow`` (``write_paused``, ``read_paused``,
    ``drain()``, ``resume_reading()``), ``tasks``, ``transport``, ``server_state`` (``default_headers``,
    ``total_requests``), ``url`` and ``headers`` (of the head that is being parsed), ``server``, ``client``, ``scheme``,
    ``app_state``, ``asgi_version``, ``limit_concurrency``, ``timeout_keep_alive`` (seconds), ``access_log`` and
    ``access_logger``.
    """

    cycle: Any
    parser: Any = _Late(build_parser)
    pipeline: Any

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.asgi_version = config.asgi_version  # which its older versions ask of the configuration each time
        # PERF: of each kept connection 1,200 bytes for a parser with its references to methods, 700 for a deque, and
        # 1,000 for an event.
        del self.parser
        self.pipeline = _ShortQueue()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _LazyFlow(transport)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._unset_keepalive_if_required = cls.on_bytes  # type: ignore[assignment, method-assign]

    def on_bytes(self) -> None:
        """Do what is due when bytes have arrived, before they are parsed, and when the connection is lost."""


def start_cycle(connection: HttpToolsProtocol, cycle: RequestResponseCycle, app: Any) -> None:
    """Start the task of a request that has waited for its turn."""
    start: Callable[..., None] | None = getattr(connection, "_start_asgi_task", None)
    if start is not None:
        start(cycle, app)
        return
    task = connection.loop.create_task(cycle.run_asgi(app))  # as its older versions do
    task.add_done_callback(connection.tasks.discard)
    connection.tasks.add(task)


def build_cycle(connection: HttpToolsProtocol, scope: Any, *, keep_alive: bool) -> RequestResponseCycle:
    """Return the ASGI side of a request that has come as a whole; ``message_event`` is set once it may be received."""
    cycle = RequestResponseCycle(
        scope=scope,
        transport=connection.transport,
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=connection.access_log,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=connection.on_response_complete,
    )
    cycle.more_body = False
    return cycle


class _StampedHead(Protocol):
    """The head of responses, up to the value of their length, and the list of uvicorn's headers that is in it."""

    head: bytes
    stamp: object


S = TypeVar("S", bound=_StampedHead)
_send = RequestResponseCycle.send
_is_patched = _send.__code__.co_qualname != "RequestResponseCycle.send"


def write_whole(
    send: Any,
    headers: S,
    status: int,
    end: bytes,
    body: bytes,
    renew: Callable[[S, int, list[tuple[bytes, bytes]]], bytes | None],
) -> bool:
    """Write a complete response as ``send`` would from two messages, and leave all as that does.

    ``end`` is the value of its length, and the blank line. False, and nothing done, where ``send`` is not uvicorn's own
    method, or would wait, raise, or be silent, and where ``renew`` has no head. PERF: it validates and joins each
    header, 50,000 instructions in all.
    """
    # SECURITY: exact types; whatever stands between, or has taken the place of the method, shall see the messages.
    if type(send) is not MethodType or send.__func__ is not _send or _is_patched:
        return False
    cycle = send.__self__
    if (
        type(cycle) is not RequestResponseCycle
        or cycle.response_started
        or cycle.disconnected
        or cycle.flow.write_paused
        or cycle.chunked_encoding is not None
    ):
        return False
    defaults = cycle.default_headers
    head = headers.head if headers.stamp is defaults else renew(headers, status, defaults)
    if head is None:
        return False
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    scope = cycle.scope
    if cycle.access_log:
        client, path, version = client_address(scope), target_of(scope), scope["http_version"]
        cycle.access_logger.info('%s - "%s %s HTTP/%s" %d', client, scope["method"], path, version, status)
    cycle.chunked_encoding = False
    if not cycle.keep_alive:
        end = end[:-2] + b"connection: close\r\n\r\n"
    cycle.transport.write(head + end + body if scope["method"] != "HEAD" else head + end)
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def server_headers(state: ServerState) -> list[tuple[bytes, bytes]]:
    """Return the headers that uvicorn adds to each response: another list once a second, for the date among them."""
    return state.default_headers


def unwrap_proxy_headers(config: Config) -> tuple[Any, Callable[[Any], None]]:
    """Return the application inside ``ProxyHeadersMiddleware``, and a function that does to a scope what that does."""
    app: Any = config.loaded_app
    if type(app) is not ProxyHeadersMiddleware:
        return app, lambda scope: None
    proxy = ProxyHeadersMiddleware(_answer_nothing, config.forwarded_allow_ips)

    def trust_proxy(scope: Any) -> None:
        coroutine: Any = proxy(scope, _answer_nothing, _answer_nothing)
        try:
            coroutine.send(None)  # it changes the scope, and waits for nothing but the application
        except StopIteration:
            return

    return app.app, trust_proxy


async def _answer_nothing(*args: Any) -> Any:
    return None
