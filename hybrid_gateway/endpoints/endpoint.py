"""A compiled route: what drivers run; and the exception that ends it early."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Protocol

import msgspec

from hybrid_gateway.access_control import AuthenticationScheme
from hybrid_gateway.binding.plan import Input
from hybrid_gateway.concurrency.thread_pool import ThreadPool
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.types import ASGIApp, ASGIMiddlewareFactory, Header


class PooledMiddleware(Protocol):
    """Middleware of Django's side around a route, whose requests share threads with others that pass the same."""

    @property
    def pool(self) -> ThreadPool: ...

    def __call__(self, app: ASGIApp, /) -> ASGIApp: ...


class Endpoint(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One handler at one path, compiled. It holds no state of requests: any number may run at once.

    ``await respond(ctx)`` is the response to one request. Of exceptions, only ``ClientDisconnect`` and those that end a
    task come out. A response that is no tuple sends itself, and may still need what its handler entered: the driver
    takes its background tasks off it, and awaits ``end(ctx, tasks)`` after it, or ``end(ctx, error=...)`` where that
    failed. PERF: both are functions of their own, not methods around the plan: a coroutine less.

    ``respond_now(ctx)`` is the same response without a task and without a wait, for a route whose plan never needs one
    (no thread, no hook, no time-out; a handler that is inline, or ``async def`` with nothing to await); ``None`` for
    all others. What is no response then is the coroutine of one, not begun: an error is answered by code that may
    wait. Await it, in a task if there is none, and in the context that ``respond_now`` ran in. That context has to be
    a copy where nobody else sees what a handler sets; no task is needed. Where ``takes_body``, it may be called only by
    a driver that has the whole body already, which is ``ctx.body`` then; it is checked like any other, when its turn
    comes.
    """

    route: FlatRoute
    method: str
    respond: Callable[[RequestContext], Coroutine[object, None, EndpointResponse]]
    respond_now: Callable[[RequestContext], EndpointResponse | Coroutine[object, None, EndpointResponse]] | None
    takes_body: bool  # by the plan, before the handler runs
    end: Callable[..., Awaitable[None]]
    awaits: bool  # it has to wait on an event loop
    source: str  # the compiled code, to be read by people
    inputs: Sequence[Input] = ()
    returns: object = None  # the return annotation; of a websocket, what is sent
    response_headers: Mapping[str, object] = {}  # that the gateway sets by itself, with their schemas
    receives: object = None  # of a websocket, what clients send
    schemes: Sequence[AuthenticationScheme] = ()
    is_open: bool = True  # callers of whom nothing is known may pass, as far as guards let them
    visits: bool = False  # it asks for what Django knows of a visitor
    reads_cookies: bool = False  # it does so by a Django request or a session
    middleware: Sequence[ASGIMiddlewareFactory] = ()
    django_middleware: PooledMiddleware | None = None  # the last of ``middleware``, where it is Django's
    callbacks: Mapping[str, Sequence[tuple[str, Endpoint]]] = {}
    security_headers: Sequence[Header] = ()  # that each response has, unless it has its own

    def __repr__(self) -> str:
        return f"<Endpoint {self.method} {self.route.path}>"


class AnsweredEarly(Exception):
    """Raised where a hook, or a cache, has the response, so that nothing else of the route runs."""

    def __init__(self, response: EndpointResponse) -> None:
        self.response = response


def answer_early(value: object, encode: Callable[[object], EndpointResponse]) -> None:
    """Raise :class:`AnsweredEarly` with what a hook has returned, unless that is ``None``."""
    if value is not None:
        raise AnsweredEarly(encode(value))
