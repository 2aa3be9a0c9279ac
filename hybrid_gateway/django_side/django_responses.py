"""Responses of Django's side: complete, or a stream that leaves the thread its view ran on.

A blocking iterator moves to a thread of its own, or stays on that of its view, which the pool may replace meanwhile,
where middleware may have left something there; an asynchronous one moves to the event loop. All take along the context,
language, time zone and script prefix that the view left active.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing
from typing import IO, NamedTuple, cast

from django.core.handlers.asgi import ASGIHandler
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

from hybrid_gateway.request.request_thread import AsyncStream, RequestThread
from hybrid_gateway.types import Header, Send


class DjangoResponseState(NamedTuple):
    """Django's response to one request, as it is sent."""

    status: int
    headers: list[Header]
    content: bytes | TravellingStream


class Stream:
    """A streaming response whose iterator and ``close()`` run in the context of its request."""

    def __init__(self, response: HttpResponseBase, context: contextvars.Context) -> None:
        self._response = response
        self._context = context
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._parts is None:
            self._parts = self._context.run(iter, cast("StreamingHttpResponse", self._response))
        return self._context.run(next, self._parts)

    def close(self) -> None:
        self._context.run(self._response.close)


class TravellingStream(Stream):
    """A streaming response that another thread, or the event loop, sends than its view ran on.

    Made by the view's thread. ``made`` is what Django's handler has returned for ``response``, perhaps a wrapper.
    """

    def __init__(self, response: StreamingHttpResponse, made: HttpResponseBase, body: IO[bytes]) -> None:
        super().__init__(made, contextvars.copy_context())
        self._django_response = response
        if isinstance(response, FileResponse):
            response.block_size = ASGIHandler.chunk_size
        self.is_async: bool = response.is_async
        self.closed = False
        self._body = body
        # Django keeps these in asgiref's Local, which does not follow a context to another thread.
        self._language = translation.get_language()
        self._timezone = timezone.get_current_timezone()
        self._script_prefix = get_script_prefix()
        self._urlconf = get_urlconf()

    def _activate(self) -> None:
        if self._language is None:
            translation.deactivate_all()
        else:
            translation.activate(self._language)
        timezone.activate(self._timezone)
        set_script_prefix(self._script_prefix)
        set_urlconf(self._urlconf)

    def __next__(self) -> bytes:
        if self._parts is None:
            self._context.run(self._activate)
        return super().__next__()

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        for variable, value in self._context.items():
            variable.set(value)
        self._activate()
        parts = cast("AsyncGenerator[bytes, None]", aiter(self._django_response))
        async with aclosing(parts):
            async for part in parts:
                yield part

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            super().close()
            self._body.close()


async def send_complete(response: DjangoResponseState, send: Send) -> None:
    """Send a response whose content is all there."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.content})


async def send_stream(
    response: DjangoResponseState, stream: TravellingStream, send: Send, thread: RequestThread
) -> None:
    """Send a stream to its end, and close it on ``thread``."""
    thread.hold_long()
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        parts: AsyncStream[bytes] = aiter(stream) if stream.is_async else thread.stream(stream, stream.close)
        async with aclosing(parts):
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        if not stream.closed:
            await asyncio.shield(asyncio.ensure_future(thread.run(stream.close)))


async def send_until(disconnect: asyncio.Future[None], sending: Awaitable[None]) -> None:
    """Send a stream, in a task of its own that stops as soon as the client goes away."""
    sender = asyncio.ensure_future(sending)
    try:
        await asyncio.wait((sender, disconnect), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not sender.done():
            sender.cancel()
            await asyncio.wait((sender,))
    if not sender.cancelled():
        sender.result()


async def discard(response: DjangoResponseState, thread: RequestThread) -> None:
    """Close a response that nobody wants any more."""
    if isinstance(response.content, TravellingStream):
        await thread.run(response.content.close)


def discard_result(thread: RequestThread, unit: asyncio.Future[DjangoResponseState]) -> None:
    """Close the response of a unit of work, if it has made one."""
    if not unit.cancelled() and unit.exception() is None:
        asyncio.ensure_future(discard(unit.result(), thread))  # noqa: RUF006  (the thread holds on to it)
