"""Server-Sent Events. SPEC: WHATWG HTML, section 9.2 (server-sent events)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import msgspec
from starlette.background import BackgroundTask

from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.gateway_response import DEFAULT_STATUS, ShutdownSignal
from hybrid_gateway.responses.streaming_response import StreamingResponse, close_iterator
from hybrid_gateway.types import Receive, Scope, Send

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)  # ``ServerSentEvent`` alone is one of anything
else:
    from typing import TypeVar

    T = TypeVar("T")

EVENT_STREAM = "text/event-stream"

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_END = object()

Until = Callable[[Callable[[], object]], AbstractContextManager[object]]
"""``until(listener)``: a context in which ``listener`` is called when there is no time for more events."""


class ServerSentEvent(msgspec.Struct, Generic[T], kw_only=True):
    """One event: ``data`` is text as it is, or anything else as JSON; ``retry`` is milliseconds.

    An event of a ``comment`` alone keeps a connection open; clients do not see it. In an annotation,
    ``ServerSentEvent[Price]`` tells the OpenAPI document what ``data`` is, and no more of it is sent.
    """

    data: T | None = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def encode(self) -> bytes:
        """Return the event as it is sent. Raises ``ValueError`` for what would break out of its field."""
        lines = [f": {line}" for line in _LINE_ENDS.split(self.comment)] if self.comment is not None else []
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None:
                # SECURITY: a line end in a name or an id would let whoever chose it write events of their own.
                if _LINE_ENDS.search(value) or "\x00" in value:
                    raise ValueError(f"The {name} of an event must be one line: {value!r}.")
                lines.append(f"{name}: {value}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry:d}")
        if self.data is not None:
            data: object = self.data
            text = data if isinstance(data, str) else msgspec.json.encode(data, enc_hook=enc_hook).decode()
            lines += [f"data: {line}" for line in _LINE_ENDS.split(text)]
        return ("\n".join(lines) + "\n\n").encode()


class EventSourceResponse(StreamingResponse, Generic[T]):
    """A stream of events: of :class:`ServerSentEvent`, or of anything else, which becomes an event's data.

    ``EventSourceResponse[Price]`` tells the OpenAPI document what that is.

    When nothing happens for ``heartbeat`` seconds a comment is sent, so that no proxy takes the connection for dead;
    ``None`` sends none. ``content`` is a sync or async iterable, as for :class:`StreamingResponse`. When the process
    ends, so does the stream, as if the iterable had; browsers connect again by themselves.
    """

    media_type = EVENT_STREAM
    documented_type = str
    is_of_channel: ClassVar[bool] = False  # then there are events of gaps and of presence as well

    def __init__(
        self,
        content: Any,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        *,
        heartbeat: float | None = 15,
    ) -> None:
        if heartbeat is not None and heartbeat <= 0:
            raise ValueError(f"heartbeat={heartbeat} must be a number of seconds, or None.")
        super().__init__(content, status_code, headers, self.media_type, background)
        self.heartbeat = heartbeat
        self.until: Until = nullcontext
        self.narrow: Callable[[Any], object] | None = None
        self.headers.setdefault("Cache-Control", "no-cache")
        self.headers.setdefault("X-Accel-Buffering", "no")  # nginx would keep events until it has enough of them

    async def send_chunks(self, scope: Scope, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        """Send events until there are no more, or the process is told to end: then the stream ends at once."""
        self.until = shutdown.notifying
        await self(scope, receive, send)
        return True

    async def send_stream(self, send: Send) -> None:
        events = self.chunks
        self.chunks = _encode_events(_with_heartbeat(events, self.heartbeat, self.until), events, self.narrow)
        await super().send_stream(send)


async def _encode_events(
    items: AsyncIterator[Any], source: AsyncIterator[Any], narrow: Callable[[Any], object] | None
) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            event: ServerSentEvent[Any] = item if isinstance(item, ServerSentEvent) else ServerSentEvent(data=item)
            if narrow is not None and event.data is not None:
                event = msgspec.structs.replace(event, data=narrow(event.data))
            yield event.encode()
    finally:
        await close_iterator(items)
        await close_iterator(source)


async def _with_heartbeat(items: AsyncIterator[Any], seconds: float | None, until: Until) -> AsyncIterator[Any]:
    """Yield ``items``, and a comment whenever none has come for so long; ``until`` may end them.

    One task of its own runs the iterator from first to last, for task groups and context variables inside it; it is
    never more than one item ahead.
    """
    queue: asyncio.Queue[object] = asyncio.Queue(1)

    async def pump() -> None:
        try:
            async for item in items:
                await queue.put(item)
        except Exception:
            await queue.put(_END)
            raise
        finally:
            await close_iterator(items)
        await queue.put(_END)

    is_over = False

    def end() -> None:
        nonlocal is_over
        is_over = True
        if queue.empty():
            queue.put_nowait(_END)

    task = asyncio.create_task(pump())
    try:
        with until(end):
            while not is_over:
                try:
                    async with asyncio.timeout(seconds):
                        item = await queue.get()
                except TimeoutError:
                    yield ServerSentEvent(comment="")
                    continue
                if item is not _END:
                    yield item
                elif not is_over:
                    await task  # raises what the iterator raised
                    return
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
