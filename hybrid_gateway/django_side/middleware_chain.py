"""Django's middleware around typed routes that ask for it: the way from a typed route to Django and back.

How this works: the middleware stands around the endpoint as ASGI middleware does. It gets a real Django request
(``middleware_request.py``), whose body has been read, and a Django response that is made of what the endpoint sends;
what it makes of that is sent on (``middleware_exchange.py``). A response that streams goes on streaming. Middleware,
providers, handler and ORM of one request run on one thread, and nobody else's work in between: what the middleware
leaves on the thread and its connections is the request's. The price is that of a Django request: see docs/routing.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed, RequestAborted
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import ResolverMatch
from django.utils.module_loading import import_string
from starlette.requests import ClientDisconnect

from hybrid_gateway._compat.django_internals import adapt_method_mode, convert_exception_to_response
from hybrid_gateway.access_control import Authentication
from hybrid_gateway.concurrency.asgiref_bridge import thread_sensitive
from hybrid_gateway.concurrency.thread_pool import ThreadPool
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.django_side.middleware_exchange import MiddlewareExchange
from hybrid_gateway.django_side.middleware_request import Caller, MiddlewareRequest
from hybrid_gateway.django_side.request_body import ReplayableBody, read_body, with_body_timeout
from hybrid_gateway.endpoints.errors import DISK_FULL
from hybrid_gateway.exceptions import ConfigurationError, HTTPException
from hybrid_gateway.middleware import ROUTED
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import DJANGO_REQUEST
from hybrid_gateway.types import ASGIApp, Receive, Scope, Send

_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_MAX_BODY_IN_MEMORY = 64 * 1024  # bytes; the rest of a request body is on disk


class MiddlewarePass(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The route, as far as middleware around it is to know; empty where no route answers."""

    view: Any = None
    """The handler, for ``process_view``; that is not called for ``None``."""
    name: str = ""
    path: str = ""
    parameters: tuple[str, ...] = ()
    limit: int = 0
    """Bytes of a body that are read for the request."""
    authenticate: Callable[[RequestContext], Awaitable[Authentication | None]] | None = None
    awaits: bool = False
    """Whether asking it needs an event loop."""

    def match(self, ctx: RequestContext) -> ResolverMatch:
        """Return the route as Django's resolver would tell of a view."""
        names: list[str | None] = [*self.name.split(":")]
        values = dict(zip(self.parameters, ctx.path_values, strict=False))
        return ResolverMatch(self.view, (), values, url_name=names.pop(), namespaces=names, route=self.path)


class DjangoMiddleware:
    """ASGI middleware that runs Django's, ``names`` being dotted paths as in ``MIDDLEWARE``, outer to inner.

    ``pool`` has the threads of requests that pass the same, of which ``lend`` gives one; a thread that somebody else
    has lent is used as it is. ``reject(ctx, error, receive, send)`` responds where the body does not come. Raises
    :class:`ConfigurationError` for what cannot be imported or made. ``process_exception`` is called for exceptions that
    nobody expected; the others are responses before any middleware sees them.
    """

    def __init__(
        self,
        names: Iterable[str],
        passed: MiddlewarePass,
        pool: ThreadPool,
        lend: Callable[[ThreadPool], PooledThread],
        reject: Callable[[RequestContext, HTTPException, Receive, Send], Awaitable[None]],
    ) -> None:
        self.pool = pool
        self._reject_request = reject
        self._passed = passed
        self._lend = lend
        self._views: list[Callable[..., Awaitable[HttpResponseBase | None]]] = []
        self._exceptions: list[Callable[..., Awaitable[HttpResponseBase | None]]] = []
        self._chain = self._build(names)

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            ctx: RequestContext = scope[ROUTED][0]
            try:
                body = await self._read_body(ctx, receive)
            except HTTPException as error:
                await self._reject_request(ctx, error, receive, send)
                return
            before = ctx.thread
            if not isinstance(before, PooledThread):
                await self._pass(app, scope, receive, send, ctx, body)
                return
            thread = self._lend(self.pool)
            ctx.move(thread)
            try:
                with thread_sensitive(thread):
                    await self._pass(app, scope, receive, send, ctx, body)
            finally:
                thread.release()
                ctx.move(before)

        return wrapped

    async def _read_body(self, ctx: RequestContext, receive: Receive) -> ReplayableBody:
        """Return the body; of one that is too large only so much that the endpoint will find that out."""
        try:
            receive = with_body_timeout(receive, ctx.body_timeout)
            return ReplayableBody(*await read_body(receive, ctx.thread, _MAX_BODY_IN_MEMORY, self._passed.limit))
        except RequestAborted:
            raise ClientDisconnect from None
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise HTTPException(507) from error

    async def _pass(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, ctx: RequestContext, body: ReplayableBody
    ) -> None:
        passed, below = self._passed, dict(scope)
        request = MiddlewareRequest(scope, body, Caller(ctx, below, passed.authenticate, awaits=passed.awaits))
        below[DJANGO_REQUEST] = request
        exchange = MiddlewareExchange(app, below, receive, body, request, ctx.thread)
        request.endpoint, request.ctx = exchange, ctx
        try:
            response = await self._chain(request)
            if exchange.is_disconnected:
                raise ClientDisconnect
            await exchange.send_on(response, send)
        finally:
            try:
                await exchange.finish()
            finally:
                body.close()

    def _build(self, names: Iterable[str]) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
        # DJANGO: BaseHandler.load_middleware (core/handlers/base.py), for a list that is not settings.MIDDLEWARE.
        handler: Any = convert_exception_to_response(self._call_endpoint)
        is_async = True
        for name in reversed(list(names)):
            try:
                middleware = import_string(name)
            except ImportError as error:
                raise ConfigurationError(
                    f"django_middleware names {name!r}, which cannot be imported: {error}", id="H011"
                ) from error
            takes_async = getattr(middleware, "async_capable", False)
            below = adapt_method_mode(takes_async, handler, is_async)
            kinds = getattr(middleware, "__mro__", ())  # by name: without django.contrib.auth it cannot be imported
            if any(f"{kind.__module__}.{kind.__qualname__}" == _AUTHENTICATION for kind in kinds):
                below = _after_authentication(below, takes_async)
            try:
                instance = middleware(below)
            except MiddlewareNotUsed:
                continue
            if instance is None:
                raise ImproperlyConfigured(f"Middleware factory {name} returned None.")
            if hasattr(instance, "process_view"):
                self._views.insert(0, adapt_method_mode(True, instance.process_view))
            if hasattr(instance, "process_exception"):
                self._exceptions.append(adapt_method_mode(True, instance.process_exception))
            handler, is_async = convert_exception_to_response(instance), takes_async
        chain: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = adapt_method_mode(True, handler, is_async)
        return chain

    async def _call_endpoint(self, request: Any) -> HttpResponseBase:
        endpoint, ctx = request.endpoint, request.ctx
        assert endpoint is not None and ctx is not None
        if self._passed.view is not None:
            match = request.resolver_match = self._passed.match(ctx)
            for process_view in self._views:
                instead = await process_view(request, match.func, match.args, match.kwargs)
                if instead is not None:
                    return instead
        try:
            response: HttpResponseBase = await endpoint.respond()
        except ClientDisconnect:  # which is no error, so that neither Django nor middleware shall tell of one
            endpoint.is_disconnected = True
            return HttpResponse(status=204)
        crash = request.caller.take_crash()
        if crash is not None:
            for process_exception in self._exceptions:
                instead = await process_exception(request, crash)
                if instead is not None:
                    return instead
        return response


def _after_authentication(below: Any, is_async: bool) -> Any:
    """Return ``below``, the rest of the chain, which notes first that the session's user has been assigned."""
    if is_async:

        async def note_async(request: Any) -> Any:
            request.session_user_is_set()
            return await below(request)

        return note_async

    def note(request: Any) -> Any:
        request.session_user_is_set()
        return below(request)

    return note
