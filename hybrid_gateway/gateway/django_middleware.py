"""Some of Django's middleware around typed routes that ask for it: the way from a typed route to Django and back.

How this works: the middleware stands around the endpoint as ASGI middleware does. It gets a real Django request, whose
body has been read, and a Django response that is made of what the endpoint sends; what it makes of that is sent on. An
answer that streams goes on streaming. The price is that of a Django request: see docs/routing.md.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.module_loading import import_string
from starlette.requests import ClientDisconnect

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.responses.headers import Header
from hybrid_gateway.sessions.visits import DJANGO_REQUEST, UNCHECKED_CSRF

__all__ = ["DjangoMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MEMORY = 64 * 1024  # bytes of a request body that are kept in memory


class DjangoMiddleware:
    """ASGI middleware that runs Django's, ``names`` being dotted paths as in ``MIDDLEWARE``, outer to inner.

    ``view`` is what ``process_view`` is shown; ``limit`` is how many bytes of a body are read for the request.
    Raises :class:`ConfigurationError` for what cannot be imported. ``process_exception`` is not called: errors of typed
    handlers are answers before any middleware sees them.
    """

    def __init__(self, names: Iterable[str], view: Any, limit: int) -> None:
        self._view = view
        self._limit = limit
        self._views: list[Callable[..., Awaitable[Any]]] = []
        self._chain = self._build(names)

    def __call__(self, app: Any) -> Any:
        async def wrapped(scope: Any, receive: Receive, send: Send) -> None:
            with tempfile.SpooledTemporaryFile(_MEMORY) as body:
                await _read(receive, body, self._limit)
                request: Any = ASGIRequest(scope, body)
                request._dont_enforce_csrf_checks = UNCHECKED_CSRF in scope
                exchange = request.exchange = _Exchange(app, {**scope, DJANGO_REQUEST: request}, body, receive)
                try:
                    await exchange.send_on(await self._chain(request), scope["method"], send)
                finally:
                    await exchange.finish()

        return wrapped

    def _build(self, names: Iterable[str]) -> Callable[[Any], Awaitable[Any]]:
        # DJANGO: BaseHandler.load_middleware (core/handlers/base.py), for a list that is not settings.MIDDLEWARE.
        base = BaseHandler()
        handler: Any = convert_exception_to_response(self._call_endpoint)
        is_async = True
        for name in reversed(list(names)):
            try:
                middleware = import_string(name)
            except ImportError as error:
                raise ConfigurationError(
                    f"django_middleware names {name!r}, which cannot be imported: {error}"
                ) from error
            takes_async = getattr(middleware, "async_capable", False)
            try:
                instance = middleware(base.adapt_method_mode(takes_async, handler, is_async))
            except MiddlewareNotUsed:
                continue
            if hasattr(instance, "process_view"):
                self._views.insert(0, base.adapt_method_mode(True, instance.process_view))  # type: ignore[arg-type]
            handler, is_async = convert_exception_to_response(instance), takes_async
        chain: Any = base.adapt_method_mode(True, handler, is_async)
        return chain  # type: ignore[no-any-return]

    async def _call_endpoint(self, request: Any) -> Any:
        for process_view in self._views:
            response = await process_view(request, self._view, (), {})
            if response is not None:
                return response
        return await request.exchange.response()


def _items(response: Any) -> Iterable[tuple[str, str]]:
    """Its headers, but for the content type that a Django response has even where the endpoint gave it none."""
    return [(name, value) for name, value in response.items() if value or name != "Content-Type"]


async def _read(receive: Receive, body: Any, limit: int) -> None:
    """Read the body; of one that is too large only so much that the endpoint will find that out."""
    size, more = 0, True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        more = message.get("more_body", False)
        await sync_to_async(body.write)(chunk) if size > _MEMORY else body.write(chunk)
    body.seek(0)


class _Exchange:
    """One request and its answer, between an endpoint that speaks ASGI and middleware that speaks Django."""

    def __init__(self, app: Any, scope: Any, body: Any, receive: Receive) -> None:
        self._app = app
        self._scope = scope
        self._body = body
        self._receive = receive
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._is_sent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._cookies: list[Header] = []
        self._is_replayed = False
        self._is_whole = False
        self._is_exhausted = False

    async def response(self) -> Any:
        """What the endpoint answers, as a Django response."""
        self._body.seek(0)
        self._task = asyncio.create_task(self._app(self._scope, self._replay, self._take))
        start = await self._next()
        first = await self._next()
        headers = self._headers(start["headers"])
        self._is_whole = not first.get("more_body", False)
        if not self._is_whole:
            return StreamingHttpResponse(self._chunks(first), status=start["status"], headers=headers)
        return HttpResponse(first.get("body", b""), status=start["status"], headers=headers)

    def _headers(self, lines: Iterable[Header]) -> dict[str, str]:
        headers: dict[str, str] = {"Content-Type": ""}
        for name, value in lines:
            title, text = name.decode("latin-1").title(), value.decode("latin-1")
            if name == b"set-cookie":
                self._cookies.append((name, value))  # a Django response keeps its cookies in another shape
            elif headers.get(title):
                headers[title] += f", {text}"
            else:
                headers[title] = text
        return headers

    async def _chunks(self, message: Message) -> AsyncIterator[bytes]:
        while True:
            if message.get("body"):
                yield message["body"]
            self._is_sent.set()
            if not message.get("more_body", False):
                self._is_exhausted = True
                return
            message = await self._next()

    async def _next(self) -> Message:
        """The next message of the endpoint; raises what it raises."""
        assert self._task is not None
        waiting = asyncio.ensure_future(self._messages.get())
        try:
            await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        self._task.result()
        raise ClientDisconnect  # it has ended without an answer, since nobody is left to get one

    async def _replay(self) -> Message:
        if self._is_replayed:
            return await self._receive()
        self._is_replayed = True
        return {"type": "http.request", "body": await sync_to_async(self._body.read)(), "more_body": False}

    async def _take(self, message: Message) -> None:
        """``send`` of the endpoint; it goes on when what it said has been sent."""
        self._is_sent.clear()
        self._messages.put_nowait(message)
        if message["type"] == "http.response.body":
            await self._is_sent.wait()

    async def send_on(self, response: Any, method: str, send: Send) -> None:
        """Send what the middleware has made of the answer."""
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in _items(response)]
        headers += [(b"set-cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
        start = {"type": "http.response.start", "status": response.status_code, "headers": [*headers, *self._cookies]}
        try:
            if response.streaming:
                await send(start)
                async for chunk in response:
                    body = chunk if method != "HEAD" else b""
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                return
            body = response.content
            if not response.has_header("Content-Length") and response.status_code not in (204, 304):
                start["headers"].append((b"content-length", b"%d" % len(body)))
            await send(start)
            await send({"type": "http.response.body", "body": body if method != "HEAD" else b""})
        finally:
            await sync_to_async(response.close)()

    async def finish(self) -> None:
        """Let the endpoint end: by itself after an answer that was taken to its end, else by cancelling it."""
        if self._task is None:
            return
        if self._is_whole or self._is_exhausted:
            self._is_sent.set()
        else:
            self._task.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled():
            self._task.result()
