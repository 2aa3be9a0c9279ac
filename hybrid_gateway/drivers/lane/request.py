"""A request on the lane: what endpoints read of it, and what it asks of the connection that it came on."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import unquote

from hybrid_gateway._compat.uvicorn_websocket_internals import client_address, target_of
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.drivers.lane.connection_state import ConnectionState
from hybrid_gateway.drivers.lane.request_lines import Match
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.request.context import RequestContext, body_too_large
from hybrid_gateway.types import Header, Message, Scope

_UNRESERVED = (string.ascii_letters + string.digits + "-._~/").encode()  # what stays as it is when a path is quoted


class LaneConnection(Protocol):
    """A connection as its requests, and what all connections of a server share, see it."""

    own: ConnectionState
    request_class: type[LaneRequest]
    limit_concurrency: int | None
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    app_state: dict[str, Any]

    @property
    def application(self) -> ServedApplication: ...
    @property
    def trust_proxy(self) -> Callable[[Scope], None]: ...  # changes it to what the headers of a trusted proxy say
    @property
    def asgi_version(self) -> str: ...
    @property
    def scheme(self) -> str | None: ...


class LaneRequest(RequestContext):
    """One request on the lane: its context, and what uvicorn's protocol asks of the cycle that it stands for."""

    # PERF: see RequestContext; what is usual is a class attribute, and what few ask for is made when somebody does.
    keep_alive = True
    disconnected = False
    end_event: asyncio.Event | None = None

    def __init__(self, connection: LaneConnection, match: Match, line: bytes, query: bytes) -> None:
        self.connection = connection
        self.method, self.endpoint, self.path_values = match
        self._line = line
        self.raw_query = query
        self._head = connection.own.head
        self._scope = None
        self._is_over = self.is_started = self.response_complete = False

    @cached_property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]
        return list(self._head.headers)

    @property
    def headers_by_name(self) -> dict[bytes, bytes]:  # type: ignore[override]
        return self._head.by_name

    def header(self, name: bytes) -> bytes | None:
        return self._head.by_name.get(name)

    @property
    def is_secure(self) -> bool:  # type: ignore[override]
        return self._head.is_secure

    def _lend(self) -> PooledThread:
        return self.connection.application.lend_thread()

    def describe(self) -> Scope:
        """Return the ASGI scope that uvicorn would have made of the request."""
        connection = self.connection
        raw_path = self._line.split(b" ")[1].partition(b"?")[0]
        scope: Scope = {
            "type": "http",
            "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": connection.server,
            "client": connection.client,
            "scheme": connection.scheme,
            "root_path": "",
            "headers": self.raw_headers,
            "state": connection.app_state.copy(),
            "method": self.method,
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": self.raw_query,
        }
        connection.trust_proxy(scope)
        return scope

    def name_for_log(self) -> tuple[str, str]:
        """Return the client and the target as the access log has them."""
        path = self._line.split(b" ")[1].partition(b"?")[0]
        if self._scope is not None or path.translate(None, _UNRESERVED):
            return client_address(self.scope), target_of(self.scope)
        # PERF: nobody has asked for a scope, and none is made.
        target = path.decode()
        return self._head.client, f"{target}?{self.raw_query.decode('ascii')}" if self.raw_query else target

    def scope_for_log(self) -> Scope:
        if self._scope is not None:
            return self._scope
        # PERF: nobody has asked for a scope, and none is made.
        host = self._head.client.rpartition(":")[0]
        return {
            "client": (host, 0) if host else None,
            "method": self.method,
            "raw_path": self._line.split(b" ")[1].partition(b"?")[0],
            "query_string": self.raw_query,
        }

    # --- the body, which has come; and the client, which may go

    async def read_body(self, limit: int) -> bytes:
        return await super().read_body(limit) if self.is_read else self.take_body(limit)

    def take_body(self, limit: int) -> bytes:
        if not self._head.has_plain_body:
            return super().take_body(limit)
        self.is_read = True
        if len(self.body) > limit:
            raise body_too_large(limit)
        return self.body

    async def _receive(self) -> Message:
        if not self.is_read and not self.disconnected:
            self.is_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        if not self.disconnected and not self.response_complete:
            self.end_event = self.end_event or asyncio.Event()
            await self.end_event.wait()
        return {"type": "http.disconnect"}

    @property
    def message_event(self) -> LaneRequest:
        """The event that uvicorn sets when the client has gone: the request itself."""
        return self

    def set(self) -> None:
        """Tell whoever waits for a message that nothing more will come."""
        if self.end_event is not None:
            self.end_event.set()
