"""The base of our response classes: what a new one overrides to be sent, rendered, closed and documented."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from django.http import HttpResponseBase
from starlette import background, responses

from hybrid_gateway._compat.starlette_internals import chunks_of
from hybrid_gateway.headers import checked_send
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.types import Receive, Send

RESPONSE_CLASSES = (responses.Response, HttpResponseBase)
"""Classes whose instances are responses already, Starlette's and Django's."""


class DefaultStatus(int):
    """A status by default: the response gets that of its route, 201 for POST or ``status_code=``."""


DEFAULT_STATUS: int = DefaultStatus(200)


class ResponseThread(Protocol):
    """The thread of a request, as far as responses need one."""

    def run(self, function: Callable[..., Any], /, *args: Any) -> Awaitable[Any]:
        """Run blocking work."""
        ...

    def stream(self, chunks: Iterable[Any], close: Callable[[], object] | None, /) -> AsyncIterator[Any]:
        """Fetch the chunks of a blocking iterable, and call ``close`` after the last."""
        ...

    def release(self) -> None:
        """Give the thread back; what was left open on it is rolled back."""
        ...


class ShutdownSignal(Protocol):
    """The end of the process, as far as streams need to know."""

    def notifying(self, listener: Callable[[], object], /) -> AbstractContextManager[None]:
        """Call ``listener`` when the process is told to end, as long as the context is open."""
        ...

    def cutting(self, cut: Callable[[], object], /) -> AbstractContextManager[None]:
        """Call ``cut`` once the grace period is over, as long as the context is open."""
        ...

    def with_timeout(self, stream: Awaitable[None], /) -> Awaitable[bool]:
        """Await a stream, and cut it once the grace period is over; return whether it came to its end."""
        ...


class GatewayResponse(responses.Response):
    """The base of our response classes, which override how they are rendered, sent and closed.

    It stands before the class of Starlette's that a new one extends, if any. A body that ``render()`` does not make is
    sent by ``__call__``, as in Starlette. :meth:`discard` closes content that is not sent.
    """

    documented_type: ClassVar[object] = None
    """The type whose schema the OpenAPI document shows for the body; ``None`` shows the media type alone."""
    documented_status: ClassVar[int] = 200
    """The status that the document shows; 200 leaves it to the route."""
    is_rendered_late: ClassVar[bool] = False
    """Whether :meth:`render_late` makes the body, while the components of the request are still open."""
    is_rendered = False
    """Whether a body that is rendered late is all there."""

    def __init__(
        self,
        content: Any = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type, background)

    async def render_late(self, ctx: RequestContext) -> None:
        """Make the body of a response that is rendered late."""

    async def send_to(self, ctx: RequestContext, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        """Send the response; return whether all of it was sent."""
        await self(ctx.scope, receive, checked_send(send))
        return True

    async def discard(self, thread: ResponseThread) -> None:
        """Close the content of a response that will not be sent."""


class UnsentResponse:
    """A response that will not be sent, as an asynchronous context manager: leaving it closes the content."""

    def __init__(self, response: responses.Response, thread: ResponseThread) -> None:
        self._response = response
        self._thread = thread

    async def __aexit__(self, *details: object) -> None:
        if isinstance(self._response, GatewayResponse):
            await self._response.discard(self._thread)
        elif (close := getattr(chunks_of(self._response), "aclose", None)) is not None:
            await close()
