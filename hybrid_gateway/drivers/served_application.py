"""The gateway as drivers see it, beside its dispatcher: threads, event loops, start-up and shutdown."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, runtime_checkable

from hybrid_gateway.concurrency.asgiref_bridge import LoopRegistry
from hybrid_gateway.concurrency.caller_threads import LoopThread
from hybrid_gateway.concurrency.thread_pools import PooledThread, ThreadPools
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.events import Emitter
from hybrid_gateway.types import ASGIApp, ASGIMiddlewareFactory
from hybrid_gateway.websockets.registry import WebSocketRegistry


@runtime_checkable
class ServedApplication(Protocol):
    """The part of the :class:`~hybrid_gateway.gateway.application.Gateway` that drivers use; its docstrings explain it.

    The gateway makes its ASGI and WSGI drivers; the lane finds the gateway behind its server.
    """

    dispatcher: Dispatcher
    middleware: tuple[ASGIMiddlewareFactory, ...]
    """ASGI middleware around all routes, outer to inner."""
    pools: ThreadPools
    loops: LoopRegistry
    websocket_registry: WebSocketRegistry
    django_websockets: ASGIApp | None
    """The application that answers websockets below Django's prefixes."""
    loop_thread: LoopThread
    emit: Emitter

    def lend_thread(self) -> PooledThread: ...
    def lend_django_thread(self) -> PooledThread: ...

    @property
    def may_skip_asgi(self) -> bool: ...
    @property
    def starts_with_requests(self) -> bool: ...
    @property
    def has_lifespan(self) -> bool: ...
    async def startup(self) -> None: ...
    async def shutdown(self) -> None: ...
    async def run_outside_requests(self, work: Awaitable[None]) -> None: ...
