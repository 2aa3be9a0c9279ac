"""Undocumented names of uvicorn's HTTP protocol and server, below the lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
)
from uvicorn.protocols.http.httptools_impl import (
    RequestResponseCycle as RequestResponseCycle,
)
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.server import ServerState as ServerState

status_lines = STATUS_LINE
"""The first line of a response, by its status."""

client_address = get_client_addr
"""``client_address(scope)``: host and port of the client, as the access log has them."""

target_of = get_path_with_query_string
"""``target_of(scope)``: path and query, quoted, as the access log has them."""


class UvicornConnection(HttpToolsProtocol):
    """uvicorn's protocol, for a subclass that watches the time by itself.

    What it has of its parent, and may count on: ``cycle`` (the request that is being answered, with ``keep_alive``,
    ``response_started``, ``response_complete``, ``disconnected``, ``body``, ``more_body`` and ``message_event``),
    ``pipeline`` (cycles and applications that wait, the next one last), ``flow`` (``write_paused``, ``read_paused``,
    ``drain()``, ``resume_reading()``), ``tasks``, ``transport``, ``server_state`` (``default_headers``,
    ``total_requests``), ``url`` and ``headers`` (of the head that is being parsed), ``server``, ``client``, ``scheme``,
    ``app_state``, ``asgi_version``, ``limit_concurrency``, ``timeout_keep_alive`` (seconds), ``access_log`` and
    ``access_logger``.
    """

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
