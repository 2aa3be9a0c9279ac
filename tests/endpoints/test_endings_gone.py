"""A client that leaves while an answer streams: what was done is kept, and what was to follow is done."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
from django.http import StreamingHttpResponse

from hybrid_gateway import (
    BackgroundTask,
    Depends,
    Gateway,
    StreamingResponse,
    get,
)

log: list[str] = []


def unit() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        log.append(f"failed: {error!r}")
        raise
    log.append("kept")


async def aunit() -> AsyncIterator[None]:
    try:
        yield
    except BaseException as error:
        log.append(f"failed: {error!r}")
        raise
    log.append("kept")


def chunks() -> Iterator[bytes]:
    try:
        while True:
            yield b"x" * 1000
    finally:
        log.append("closed")


async def achunks() -> AsyncIterator[bytes]:
    try:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)
    finally:
        log.append("closed")


def task() -> BackgroundTask:
    return BackgroundTask(log.append, "task")


STREAMS: dict[str, Callable[[], Any]] = {
    "def": lambda: StreamingResponse(chunks(), background=task()),
    "async": lambda: StreamingResponse(achunks(), background=task()),
    "django": lambda: StreamingHttpResponse(chunks()),
}


def by_asgi(gateway: Gateway, path: str, version: str) -> None:
    """A server that tells of it by a message, as before version 2.4 of the specification, or on sending."""
    sent: list[Any] = []
    received: list[Any] = [{"type": "http.request", "body": b""}]
    gone = asyncio.Event()

    async def receive() -> Any:
        if received:
            return received.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) > 3:
            gone.set()
            if version >= "2.4":
                raise OSError("gone")

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")], "query_string": b""}
    asyncio.run(gateway({**scope, "asgi": {"version": "3.0", "spec_version": version}}, receive, send))


def by_wsgi(gateway: Gateway, path: str) -> None:
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "HTTP_HOST": "localhost", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1",
    }  # fmt: skip
    body: Any = gateway.wsgi.serve(environ, lambda *args: None)
    read = iter(body)
    next(read)
    next(read)
    body.close()


LEAVING: dict[str, Callable[[Gateway, str], None]] = {
    "asgi 2.3": lambda gateway, path: by_asgi(gateway, path, "2.3"),
    "asgi 2.4": lambda gateway, path: by_asgi(gateway, path, "2.4"),
    "wsgi": by_wsgi,
}


@pytest.mark.parametrize("leaves", LEAVING)
@pytest.mark.parametrize("kind", STREAMS)
def test_who_leaves_undoes_nothing(kind, leaves):
    def after() -> None:
        log.append("after")

    @get("/def", after_response=after)
    def handler(unit: Annotated[None, Depends(unit)], aunit: Annotated[None, Depends(aunit)]) -> Any:
        return STREAMS[kind]()

    @get("/async", after_response=after)
    async def ahandler(unit: Annotated[None, Depends(unit)], aunit: Annotated[None, Depends(aunit)]) -> Any:
        return STREAMS[kind]()

    gateway = Gateway([handler, ahandler])
    for path in ("/def", "/async"):
        log.clear()
        LEAVING[leaves](gateway, path)
        assert log == ["closed", "kept", "kept", *([] if kind == "django" else ["task"]), "after"], path


def test_what_a_stream_raises_itself_is_an_error(serve):
    def fails() -> Iterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    @get("/page")
    def page(aunit: Annotated[None, Depends(aunit)]) -> Iterator[bytes]:
        yield from fails()

    log.clear()
    client = serve(page, raises=False)
    with suppress(Exception):  # the server's to take
        client.get("/page")
    assert log == ["failed: ZeroDivisionError()"]
