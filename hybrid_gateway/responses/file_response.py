"""Files as responses: :class:`FileResponse`, which a handler returns, and what is decided of one already."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import PurePath
from typing import Any

from anyio import to_thread
from starlette import responses
from starlette.datastructures import Headers

from hybrid_gateway.exceptions import HTTPException, NotFound
from hybrid_gateway.headers import checked_send, headers_to_send
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.conditional_requests import Conditions
from hybrid_gateway.responses.file_content import FileAnswer, FileContent, NotAFile, answer_file
from hybrid_gateway.responses.file_types import guess_content_type
from hybrid_gateway.responses.folder import Folder
from hybrid_gateway.responses.gateway_response import DEFAULT_STATUS, GatewayResponse, ResponseThread, ShutdownSignal
from hybrid_gateway.responses.problem_details import problem_response
from hybrid_gateway.types import Receive, Scope, Send

Run = Callable[..., Awaitable[Any]]
"""Runs a blocking function on a thread: ``await run(function, *args)``."""


class FileResponse(GatewayResponse, responses.FileResponse):
    """A file from disk, with ranges; 304 to a client that has it by its ``ETag`` or ``Last-Modified``.

    With a ``root`` the path is one below that folder, and what leads out of it, or to no file, is a 404: for names that
    come from clients. The other arguments are Starlette's.
    """

    def __init__(
        self, path: str | os.PathLike[str], *args: Any, root: str | os.PathLike[str] | None = None, **kwargs: Any
    ):
        if not args:
            kwargs.setdefault("status_code", DEFAULT_STATUS)
        if root is not None:
            name = path.as_posix() if isinstance(path, PurePath) else os.fspath(path)
            found = Folder(root, dot_files=True).find(name)
            if found is None:
                raise NotFound
            path = found
        if len(args) < 3 and kwargs.get("media_type") is None:
            kwargs["media_type"] = guess_content_type(kwargs.get("filename") or os.path.basename(path))  # noqa: PTH119
        responses.FileResponse.__init__(self, path, *args, **kwargs)

    async def send_to(self, ctx: RequestContext, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        await self._send(ctx.scope, receive, checked_send(send), ctx.thread.run)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._send(scope, receive, send, to_thread.run_sync)
        if self.background is not None:
            await self.background()

    async def _send(self, scope: Scope, receive: Receive, send: Send, run: Run) -> None:
        method = scope["method"]
        conditions = None
        if self.status_code == 200 and method in ("GET", "HEAD"):  # of other methods there is no 304, and no range
            conditions = Conditions.read(Headers(scope=scope).get)
        try:
            answer = await run(self._open, conditions, method)
        except HTTPException as error:
            status, headers, body = problem_response(error)
            answer = FileAnswer(status, list(headers), body, len(body))
        await send_answer(answer, scope, receive, send, run)

    def _open(self, conditions: Conditions | None, method: str) -> FileAnswer:
        try:
            content = FileContent(self.path)
        except (FileNotFoundError, NotAFile) as error:
            raise RuntimeError(f"File at path {self.path} is not there, or is none.") from error
        own = self.headers
        own["content-length"] = str(content.size)
        for name, value in content.headers:
            own.setdefault(name.decode(), value.decode())
        content.tag = own["etag"]  # which may be the handler's own
        headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        return answer_file(content, headers, conditions, method, self.status_code)


class OpenedFile(GatewayResponse):
    """The response to a request for a file, of which all is decided."""

    def __init__(self, answer: FileAnswer) -> None:
        super().__init__(status_code=answer.status)
        self.answer = answer
        self.raw_headers = answer.headers

    @property
    def is_complete(self) -> bool:
        """True where the body is all there."""
        return self.answer.content is None

    async def send_to(self, ctx: RequestContext, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        await self._send(ctx.scope, receive, checked_send(send), ctx.thread.run)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._send(scope, receive, send, to_thread.run_sync)

    async def _send(self, scope: Scope, receive: Receive, send: Send, run: Run) -> None:
        answer = self.answer
        answer.status, answer.headers = self.status_code, self.raw_headers
        await send_answer(answer, scope, receive, send, run)

    async def discard(self, thread: ResponseThread) -> None:
        self.answer.close()


async def send_answer(answer: FileAnswer, scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    """Send the response to a request for a file, each chunk as ``run`` has read it.

    Raises :class:`FileChanged` where the file has become another meanwhile: the server cuts the response.
    """
    content, left = answer.content, answer.length
    if content is None or not answer.pieces:
        body = answer.body
        headers = headers_to_send(answer.status, answer.headers, body)
        if content is not None:  # of a large file, asked for by HEAD
            headers = [*answer.headers, (b"content-length", b"%d" % left)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        return
    chunks = content.chunks(answer.pieces)
    try:
        headers = [*answer.headers, (b"content-length", b"%d" % left)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async with _watching(scope, receive) as has_left:
            while left and not has_left():
                chunk = await run(next, chunks)
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
    finally:
        answer.close()


@asynccontextmanager
async def _watching(scope: Scope, receive: Receive) -> AsyncIterator[Callable[[], bool]]:
    """Give a function that tells whether the client has left, where ``send()`` of the server does not say.

    SPEC: ASGI HTTP, "Disconnected Client": from version 2.4 on it raises.
    """
    version = (scope.get("asgi") or {}).get("spec_version", "2.0")
    if tuple(map(int, version.split("."))) >= (2, 4):
        yield lambda: False
        return

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(wait())
    try:
        yield leaving.done
    finally:
        leaving.cancel()
