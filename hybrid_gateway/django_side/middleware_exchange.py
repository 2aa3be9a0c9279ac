"""One request and its response, between an endpoint that speaks ASGI and middleware that speaks Django."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from starlette.requests import ClientDisconnect

from hybrid_gateway.django_side.middleware_request import MiddlewareRequest
from hybrid_gateway.django_side.request_body import ReplayableBody
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.responses.cookies import set_cookie_headers
from hybrid_gateway.types import ASGIApp, Header, Message, Receive, Scope, Send

_CHUNK = 256 * 1024  # bytes of a body on disk that the endpoint gets at a time


class MiddlewareExchange:
    """The endpoint in a task of its own, below the middleware, and its response on the way back to the client."""

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        body: ReplayableBody,
        request: MiddlewareRequest,
        thread: RequestThread,
    ) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._body = body
        self._read = 0
        self._request = request
        self._thread = thread
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._is_sent = asyncio.Event()
        self._task: asyncio.Future[None] | None = None
        self._cookies: list[Header] = []
        self._is_replayed = False
        self._is_complete = False
        self._is_exhausted = False
        self.is_disconnected = False  # before there was a response

    async def respond(self) -> HttpResponse | StreamingHttpResponse:
        """Run the endpoint, and return its response as one of Django's."""
        self._task = asyncio.ensure_future(self._app(self._scope, self._replay, self._take))
        start = await self._next()
        first = await self._next()
        headers = self._read_headers(start["headers"])
        self._is_complete = not first.get("more_body", False)
        if not self._is_complete:
            return StreamingHttpResponse(self._chunks(first), status=start["status"], headers=headers)
        return HttpResponse(first.get("body", b""), status=start["status"], headers=headers)

    def _read_headers(self, lines: Iterable[Header]) -> dict[str, str]:
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
        """Return the next message of the endpoint; raise what it raises."""
        assert self._task is not None
        waiting = asyncio.ensure_future(self._sent.get())
        try:
            await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        self._task.result()
        raise ClientDisconnect  # it has ended without a response, since nobody is left to get one

    async def _replay(self) -> Message:
        """Be ``receive`` of the endpoint: the body again, a piece at a time where it is on disk."""
        if self._is_replayed:
            return await self._receive()
        body = self._body
        if body.is_in_memory:
            chunk = body.read(0, body.size)
        else:
            chunk = await sync_to_async(body.read)(self._read, _CHUNK)  # sync middleware may wait on the thread
        self._read += len(chunk)
        self._is_replayed = self._read >= body.size
        return {"type": "http.request", "body": chunk, "more_body": not self._is_replayed}

    async def _take(self, message: Message) -> None:
        """Be ``send`` of the endpoint, which goes on when what it said has been sent."""
        self._is_sent.clear()
        self._sent.put_nowait(message)
        if message["type"] == "http.response.body":
            await self._is_sent.wait()

    async def send_on(self, response: Any, send: Send) -> None:
        """Send what the middleware has made of the response."""
        items = [(name, value) for name, value in response.items() if value or name != "Content-Type"]  # as added above
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in items]
        headers += (*set_cookie_headers(response.cookies), *self._cookies)
        start: Message = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        content: Any = response if response.streaming else response.content
        if not response.streaming:
            if not response.has_header("Content-Length") and response.status_code not in (204, 304):
                start["headers"].append((b"content-length", b"%d" % len(content)))
            if self._task is None or self._request.is_answered:
                # Nothing comes after it: how long the client takes is no concern of the thread.
                await self._close(response)
                self._thread.release()
                await self._send_whole(start, content, send)
                return
        self._thread.hold_long()
        try:
            await (self._send_stream if response.streaming else self._send_whole)(start, content, send)
            await self.finish()
        finally:
            await self._close(response)

    async def _send_whole(self, start: Message, content: bytes, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": content if self._request.method != "HEAD" else b""})

    async def _send_stream(self, start: Message, content: AsyncIterable[bytes], send: Send) -> None:
        await send(start)
        async for chunk in content:
            body = chunk if self._request.method != "HEAD" else b""
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _close(self, response: HttpResponseBase) -> None:
        """Close response and request on the thread: Django looks after connections, and temporary files go."""
        await self._thread.run(self._close_both, response)

    def _close_both(self, response: HttpResponseBase) -> None:
        try:
            response.close()
        finally:
            self._request.close()

    async def finish(self) -> None:
        """Let the endpoint end: by itself after a response that was taken to its end, else by cancelling it."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._is_complete or self._is_exhausted:
            self._is_sent.set()
        else:
            task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()
