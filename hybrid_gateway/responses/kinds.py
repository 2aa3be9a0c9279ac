"""The response classes a handler may return: Starlette's, whose blocking work goes to the gateway's own threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from starlette import background, responses

__all__ = [
    "BackgroundTask",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
]

Response = responses.Response
HTMLResponse = responses.HTMLResponse
PlainTextResponse = responses.PlainTextResponse
RedirectResponse = responses.RedirectResponse
FileResponse = responses.FileResponse


class BackgroundTask(background.BackgroundTask):
    """Work after the answer; a plain function runs on the thread of the request, by Django's rules for connections."""

    async def __call__(self) -> None:
        if self.is_async:
            await self.func(*self.args, **self.kwargs)
        else:
            await sync_to_async(self.func)(*self.args, **self.kwargs)


class JSONResponse(responses.JSONResponse):
    """JSON by msgspec, which also knows Structs, dates, decimals and UUIDs."""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content, enc_hook=plain)


class StreamingResponse(responses.StreamingResponse):
    """A stream; a blocking iterable is fetched on a thread of the gateway, on one from the first chunk to the last."""

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        self.blocking: Iterable[Any] | None = content if isinstance(content, Iterable) else None
        super().__init__(() if self.blocking is not None else content, status_code, headers, media_type, background)

    def iterate_on(self, stream: Callable[[Iterable[Any]], AsyncIterator[Any]]) -> None:
        """Let ``stream`` fetch the chunks of a blocking iterable."""
        if self.blocking is not None:
            self.body_iterator = stream(self.blocking)

    async def stream_response(self, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]) -> None:
        try:
            await super().stream_response(send)
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()


def plain(value: Any) -> Any:
    """What msgspec does not know by itself: lazy translations, subclasses of plain types, the rows of a queryset."""
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    if isinstance(value, Model):
        raise TypeError(
            f"A model instance of {type(value).__qualname__} cannot be sent as it is: make a Struct of the fields that "
            "clients may see."
        )
    raise TypeError(f"An object of type {type(value).__qualname__} cannot be encoded.")


_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, str.__str__),  # Django's SafeString, http.Host, ...
    (Promise, str),
    (int, int),
    (float, float),
    (bytes, bytes),
    (QuerySet, list),
    (Mapping, dict),
)
