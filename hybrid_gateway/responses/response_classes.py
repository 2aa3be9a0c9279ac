"""The response classes a handler may return: Starlette's, whose blocking work goes to the gateway's own threads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import PurePath, PureWindowsPath
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from anyio import CancelScope, to_thread
from asgiref.sync import sync_to_async
from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from starlette import background, responses
from starlette.concurrency import iterate_in_threadpool
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hybrid_gateway.exceptions import NotFound
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.responses.conditional import is_unmodified, not_modified_headers
from hybrid_gateway.type_info import is_pydantic_model

__all__ = [
    "ASGIResponse",
    "BackgroundTask",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "TELLING",
    "DEFAULT_STATUS",
    "DefaultStatus",
]

T = TypeVar("T")


class DefaultStatus(int):
    """The status of a response that nobody has named, so that it is its route's: 201 of POST, or ``status_code=``."""


DEFAULT_STATUS: int = DefaultStatus(200)


class Thread(Protocol):
    """Where blocking work of a request runs."""

    def run(self, function: Callable[..., Any], /, *args: Any) -> Awaitable[Any]: ...


class Response(responses.Response, Generic[T]):
    """Any answer. ``Response[Product]`` tells the OpenAPI document what is in it.

    ``content`` that is no text and no bytes is sent as JSON.
    """

    def __init__(
        self,
        content: T | Any = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        is_raw = content is None or isinstance(content, (str, bytes, memoryview))
        if not is_raw and media_type is None and self.media_type is None:
            media_type = "application/json"
        self.content = content
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes | memoryview:
        if content is None or isinstance(content, (str, bytes, memoryview)):
            return super().render(content)
        return msgspec.json.encode(content, enc_hook=enc_hook)


class ASGIResponse(responses.Response):
    """Lets any ASGI application answer, with the guards, hooks and parameters of the route that returns it."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], background: background.BackgroundTask | None = None
    ) -> None:
        super().__init__(background=background)
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if self.background is not None:
            await self.background()


class FileResponse(responses.FileResponse):
    """A file from disk, with ranges; 304 to a client that has it by its ``ETag`` or ``Last-Modified``.

    With a ``root`` the path is one below that folder, and what leads out of it, or to no file, is a 404: for names that
    come from clients. The other arguments are Starlette's.
    """

    def __init__(
        self, path: str | os.PathLike[str], *args: Any, root: str | os.PathLike[str] | None = None, **kwargs: Any
    ):
        if not args:
            kwargs.setdefault("status_code", DEFAULT_STATUS)
        super().__init__(path if root is None else _below(root, path), *args, **kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.stat_result is None:
            with suppress(OSError):  # which Starlette explains
                self.stat_result = await to_thread.run_sync(os.stat, self.path)
                self.set_stat_headers(self.stat_result)
        is_read = scope["method"] in ("GET", "HEAD")  # SPEC: RFC 9110 section 13.1.2: of other methods it is no 304
        if self.status_code == 200 and is_read and is_unmodified(Headers(scope=scope), self.headers):
            answer = responses.Response(status_code=304, background=self.background)
            answer.raw_headers = not_modified_headers(self.raw_headers)
            await answer(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _below(root: str | os.PathLike[str], path: str | os.PathLike[str]) -> str:
    """The real path of a file below ``root``. SECURITY: symbolic links are followed first, then compared."""
    # SECURITY: no file system is asked for an absolute path, a drive or a share, nor for what is beside the folder:
    # asking tells what there is, and sends a Windows server with its credentials to a host of the client's choice.
    name = PureWindowsPath(path)
    if name.drive or name.root or ".." in name.parts:
        raise NotFound
    folder = os.path.realpath(root)
    try:
        file = os.path.realpath(os.path.join(folder, path))  # noqa: PTH118
        if os.path.commonpath((folder, file)) == folder and os.path.isfile(file):  # noqa: PTH113
            return file
    except ValueError:  # a null character, or another drive
        pass
    raise NotFound


class BackgroundTask(background.BackgroundTask):
    """Work after the answer; a plain function runs on the thread of the request, by Django's rules for connections."""

    async def __call__(self) -> None:
        if self.is_async:
            await self.func(*self.args, **self.kwargs)
        else:
            await sync_to_async(self.func)(*self.args, **self.kwargs)


class RedirectResponse(responses.RedirectResponse):
    """The way to another URL; 307, unless ``status_code`` here or on the route says otherwise."""

    def __init__(
        self,
        url: Any,
        status_code: int = DefaultStatus(307),
        headers: Mapping[str, str] | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        super().__init__(url, status_code, headers, background)


class HTMLResponse(responses.HTMLResponse):
    """HTML, as it is given."""

    def __init__(
        self,
        content: Any = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type, background)


class PlainTextResponse(responses.PlainTextResponse):
    """Text, as it is given."""

    def __init__(
        self,
        content: Any = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type, background)


class JSONResponse(responses.JSONResponse, Generic[T]):
    """JSON by msgspec, which also knows Structs, dates, decimals and UUIDs."""

    def __init__(
        self,
        content: Any,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        self.content = content
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content, enc_hook=enc_hook)


Stream = Callable[[Iterable[Any], Callable[[], object] | None], AsyncIterator[Any]]
"""Makes an asynchronous iterator of a blocking iterable, and of what is to be called after it."""


class StreamingResponse(responses.StreamingResponse):
    """A stream; a blocking iterable is fetched on a thread of the gateway, on one from the first chunk to the last."""

    on_close: Callable[[], object] | None = None  # what belongs to the content and is to be called after it, once

    def __init__(
        self,
        content: Any,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        self._blocking: Iterable[Any] | None = content if isinstance(content, Iterable) else None
        self._stream: Stream = _in_threadpool
        content = _Lazy(self._begin) if self._blocking is not None else content
        super().__init__(content, status_code, headers, media_type, background)

    def fetch_with(self, stream: Stream) -> None:
        """Let ``stream`` fetch the chunks of a blocking iterable, if that ever begins."""
        self._stream = stream

    def iterate_on(self, stream: Stream) -> None:
        """Let ``stream`` fetch the chunks of a blocking iterable, unless somebody has begun to."""
        self._stream = stream
        if self._blocking is not None:
            self.body_iterator = self._begin()

    def _begin(self) -> AsyncIterator[Any]:
        assert self._blocking is not None
        stream = self._stream(self._blocking, self.on_close)
        self._blocking = self.on_close = None
        return stream

    async def stream_response(self, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]) -> None:
        try:
            await super().stream_response(send)
        finally:
            # Starlette stops listening for the client by cancelling this, which must not cut the clean-up short.
            with CancelScope(shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        """Close the content, however little of it was sent."""
        try:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()
        finally:
            on_close, self.on_close = self.on_close, None
            if on_close is not None:
                await sync_to_async(on_close)()

    def take_unread(self) -> tuple[Any, Callable[[], object] | None]:
        """What is to be closed on a thread of a content of which nothing was asked for."""
        unread = self._blocking, self.on_close
        self._blocking = self.on_close = None
        return unread


class _Lazy(AsyncIterator[Any]):
    """The chunks of a blocking iterable, for whoever wants them before the gateway has begun to send them."""

    def __init__(self, begin: Callable[[], AsyncIterator[Any]]) -> None:
        self._begin = begin
        self._chunks: Any = None

    async def __anext__(self) -> Any:
        if self._chunks is None:
            self._chunks = self._begin()
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        if self._chunks is not None:
            await self._chunks.aclose()


async def _in_threadpool(chunks: Iterable[Any], close: Callable[[], object] | None) -> AsyncIterator[Any]:
    try:
        async for chunk in iterate_in_threadpool(chunks):
            yield chunk
    finally:
        if close is not None:
            await sync_to_async(close)()


TELLING = (Response, JSONResponse, HTMLResponse, PlainTextResponse, StreamingResponse, FileResponse)
"""What tells by :class:`DefaultStatus` that nobody has named a status."""


class Discarded:
    """A response that will not be sent, as something to be left: its content is closed, where it would be made."""

    def __init__(self, response: responses.Response, thread: Thread) -> None:
        self._response = response
        self._thread = thread

    async def __aexit__(self, *details: object) -> None:
        response: Any = self._response
        if isinstance(response, StreamingResponse):
            unread = response.take_unread()
            if unread != (None, None):
                await self._thread.run(_close, *unread)
        close = getattr(getattr(response, "body_iterator", None), "aclose", None)
        if close is not None:
            await close()


def _close(content: Any, on_close: Callable[[], object] | None) -> None:
    try:
        close = getattr(content, "close", None)
        if close is not None:
            close()
    finally:
        if on_close is not None:
            on_close()


def enc_hook(value: Any) -> Any:
    """What msgspec does not know by itself: lazy translations, subclasses of plain types, the rows of a queryset."""
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    if is_pydantic_model(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Model):
        raise TypeError(
            f"A model instance of {type(value).__qualname__} cannot be sent as it is: make a Struct of the fields that "
            "clients may see."
        )
    raise TypeError(f"An object of type {type(value).__qualname__} cannot be encoded.")


def enc_hook_with(encoders: Mapping[Any, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """:func:`enc_hook` of a layer with ``type_encoders``, which are asked first, by the classes of a value's MRO."""

    def convert(value: Any) -> Any:
        for kind in type(value).__mro__:
            if kind in encoders:
                return encoders[kind](value)
        return enc_hook(value)

    return convert


_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, str.__str__),  # Django's SafeString, http.Host, ...
    (Promise, str),
    (int, int),
    (float, float),
    (bytes, bytes),
    (QuerySet, list),
    (Mapping, dict),
    ((SecretString, SecretBytes, PurePath), str),
)
