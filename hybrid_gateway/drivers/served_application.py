"""The gateway as drivers see it, beside its dispatcher: threads, event loops, start-up and shutdown."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, runtime_checkable

from hybrid_gateway.concurrency.asgiref_bridge import LoopRegistry
from hybrid_gateway.concurrency.loop_thread import LoopThread
from hybrid_gateway.concurrency.pooled_thread import PooledThread
from hybrid_gateway.concurrency.thread_pools import ThreadPools
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.types import ASGIMiddlewareFactory

__all__ = ["ServedApplication"]


@runtime_checkable
class ServedApplication(Protocol):
    """The gateway as its drivers see it. They are made by it or, like the lane, find it behind a server."""

    dispatcher: Dispatcher
    middleware: tuple[ASGIMiddlewareFactory, ...]
    """ASGI middleware around all routes, outer to inner."""
    pools: ThreadPools
    loops: LoopRegistry
    loop_thread: LoopThread

    def lend_thread(self) -> PooledThread:
        """Lend a thread for the blocking work of one request of a route."""
        ...

    def lend_django_thread(self) -> PooledThread:
        """Lend a thread for one request of Django's side."""
        ...

    @property
    def may_skip_asgi(self) -> bool:
        """True if nobody has replaced ``__call__``, so that a request that it never sees misses nothing."""
        ...

    @property
    def starts_with_requests(self) -> bool:
        """True if start-up is, or was, a request's, because no server tells of a lifespan."""
        ...

    @property
    def has_lifespan(self) -> bool:
        """True if there is anything to start up."""
        ...

    async def startup(self) -> None:
        """Open what lives as long as the process, and run start-up hooks."""
        ...

    async def shutdown(self) -> None:
        """Undo :meth:`startup` in reverse."""
        ...

    async def run_outside_requests(self, work: Awaitable[None]) -> None:
        """Await ``work`` with a thread for what it asks of the ORM."""
        ...
