"""A request on the lane: what endpoints read of it, and what uvicorn asks of the cycle that it stands for."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.request.context import RequestContext, body_too_large
from hybrid_gateway.types import Header

if TYPE_CHECKING:
    from hybrid_gateway.drivers.lane.protocol import LaneProtocol
    from hybrid_gateway.drivers.lane.server_state import Found

__all__ = ["LaneRequest"]


class LaneRequest(RequestContext):
    """One request on the lane: a ctx, and what uvicorn's protocol asks of the cycle that it stands for."""

    # PERF: see Call; what is usual is a class attribute, and what few ask for is made when somebody does.
    body = b""
    keep_alive = True
    disconnected = False
    response_complete = False
    is_started = False
    is_read = False
    awaits_end: asyncio.Event | None = None

    def __init__(self, protocol: LaneProtocol, found: Found, url: bytes, query: bytes) -> None:
        self.protocol = protocol
        self.method, self.endpoint, self.path_values = found
        self.url = url
        self.raw_query = query
        self._head = protocol.judged

    @property
    def gateway(self) -> Gateway:
        """The gateway that answers."""
        lane = self.protocol.lane
        assert lane is not None
        return lane.gateway

    @cached_property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]
        return list(self._head.headers)

    @property
    def headers_by_name(self) -> dict[bytes, bytes]:  # type: ignore[override]
        return self._head.by_name

    @property
    def is_secure(self) -> bool:  # type: ignore[override]
        return self._head.is_secure

    def _lend(self) -> Any:
        return self.gateway.lend_thread()

    def describe(self) -> MutableMapping[str, Any]:
        """The ASGI scope that uvicorn would have made of the request."""
        protocol, lane = self.protocol, self.protocol.lane
        assert lane is not None
        raw_path = self.url.partition(b"?")[0]
        scope = {
            "type": "http",
            "asgi": {"version": protocol.config.asgi_version, "spec_version": "2.3"},
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
        self.check_body(limit)
        if len(self.body) > limit:
            raise body_too_large(limit)
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
    def message_event(self) -> LaneRequest:
        """What uvicorn calls ``set()`` of when the client has gone."""
        return self

    def set(self) -> None:
        """Nothing more will come: tell whoever waits for a message."""
        if self.awaits_end is not None:
            self.awaits_end.set()
