"""Streams: chunks of a blocking iterable are fetched on one thread of the gateway, and the content is closed once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from anyio import CancelScope
from asgiref.sync import sync_to_async
from starlette.background import BackgroundTask
from starlette.concurrency import iterate_in_threadpool

from hybrid_gateway._compat.starlette_internals import ChunkedResponse
from hybrid_gateway.headers import check_headers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.gateway_response import DEFAULT_STATUS, GatewayResponse, ResponseThread, ShutdownSignal
from hybrid_gateway.types import Receive, Scope, Send

Chunks = AsyncIterator[Any]
Close = Callable[[], object]
Fetch = Callable[[Iterable[Any], Close | None], Chunks]
"""Makes an asynchronous iterator of a blocking iterable, and of what is to be called after it."""


class StreamingResponse(GatewayResponse, ChunkedResponse):
    """A stream; a blocking iterable is fetched on a thread of the gateway, on one from the first chunk to the last."""

    on_close: Close | None = None  # closes what belongs to the content; called once

    def __init__(
        self,
        content: Any,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self._blocking: Iterable[Any] | None = content if isinstance(content, Iterable) else None
        self._fetch: Fetch = _fetch_in_threadpool
        content = _LazyChunks(self._begin) if self._blocking is not None else content
        super().__init__(content, status_code, headers, media_type, background)

    def fetch_with(self, fetch: Fetch) -> None:
        """Let ``fetch`` get the chunks of a blocking iterable, if that ever begins."""
        self._fetch = fetch

    def iterate_on(self, fetch: Fetch) -> None:
        """Let ``fetch`` get the chunks of a blocking iterable, and begin, unless it has begun."""
        self._fetch = fetch
        if self._blocking is not None:
            self.chunks = self._begin()

    def _begin(self) -> Chunks:
        assert self._blocking is not None
        chunks = self._fetch(self._blocking, self.on_close)
        self._blocking = self.on_close = None
        return chunks

    async def send_to(self, ctx: RequestContext, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        """Send the chunks; of HEAD the head alone, without asking for one."""
        check_headers(self.raw_headers)
        self.iterate_on(ctx.thread.stream)
        if ctx.method != "HEAD":
            return await self.send_chunks(ctx.scope, receive, send, shutdown)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self.aclose()
        return True

    async def send_chunks(self, scope: Scope, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        """Send the head and all chunks; return whether the stream came to its end before the process did."""
        return await shutdown.with_timeout(self(scope, receive, send))

    async def send_stream(self, send: Send) -> None:
        try:
            await super().send_stream(send)
        finally:
            # Starlette stops listening for the client by cancelling this, which must not cut the clean-up short.
            with CancelScope(shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        """Close the content, however little of it was sent."""
        try:
            await close_iterator(self.chunks)
        finally:
            on_close, self.on_close = self.on_close, None
            if on_close is not None:
                await sync_to_async(on_close)()

    async def discard(self, thread: ResponseThread) -> None:
        """Close the content; on the request's thread, if it has not begun to be fetched."""
        unread = self._blocking, self.on_close
        self._blocking = self.on_close = None
        if unread != (None, None):
            await thread.run(_close, *unread)
        await close_iterator(self.chunks)


class ByteStream(StreamingResponse):
    """A stream of which nothing is known but that it is one: an iterator that a handler returns."""

    media_type = "application/octet-stream"


class _LazyChunks(AsyncIterator[Any]):
    """The chunks of a blocking iterable, which is fetched from the first request for a chunk on."""

    def __init__(self, begin: Callable[[], Chunks]) -> None:
        self._begin = begin
        self._chunks: Chunks | None = None

    async def __anext__(self) -> Any:
        if self._chunks is None:
            self._chunks = self._begin()
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        await close_iterator(self._chunks)


async def _fetch_in_threadpool(chunks: Iterable[Any], close: Close | None) -> Chunks:
    try:
        async for chunk in iterate_in_threadpool(chunks):
            yield chunk
    finally:
        if close is not None:
            await sync_to_async(close)()


async def close_iterator(chunks: object) -> None:
    """Close an asynchronous iterator that can be closed, a generator above all."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


def _close(content: object, on_close: Close | None) -> None:
    try:
        close = getattr(content, "close", None)
        if close is not None:
            close()
    finally:
        if on_close is not None:
            on_close()
