"""The body of a request on its way to Django's side, read before a view runs, and the client that may go away."""

from __future__ import annotations

import io
import math
import tempfile
import threading
from typing import IO, TYPE_CHECKING

from django.core.exceptions import RequestAborted

from hybrid_gateway.request.body_deadline import BodyDeadline
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.types import Message, Receive

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


async def read_body(
    receive: Receive, thread: RequestThread, memory_limit: int, limit: float = math.inf
) -> tuple[IO[bytes], int]:
    """Return the body and its size, past ``memory_limit`` on disk; raise ``RequestAborted`` when the client goes away.

    Of more than ``limit`` bytes only so much is read that the size tells.
    """
    chunk, more = await _receive_chunk(receive)
    if not more:
        return io.BytesIO(chunk), len(chunk)
    body = tempfile.SpooledTemporaryFile(max_size=memory_limit)  # noqa: SIM115  (closed with the response)
    size = 0
    try:
        while chunk or more:
            size += len(chunk)
            if size > memory_limit:
                await thread.run(body.write, chunk)
            else:
                body.write(chunk)
            chunk, more = await _receive_chunk(receive) if more and size <= limit else (b"", False)
        if size > memory_limit:
            await thread.run(body.seek, 0)
        else:
            body.seek(0)
    except BaseException:
        if size > memory_limit:
            await thread.run(body.close)
        else:
            body.close()
        raise
    return body, size


def with_body_timeout(receive: Receive, seconds: float) -> Receive:
    """Return ``receive`` that waits for the rest of a body, but not for ever; for the client's end it does."""
    patience = BodyDeadline(seconds)
    received, more = 0, True

    async def receive_in_time() -> Message:
        nonlocal received, more
        if not more:
            return await receive()
        message: Message = await patience.wait(receive(), received)
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
        return message

    return receive_in_time


async def _receive_chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise RequestAborted
    return message.get("body", b""), message.get("more_body", False)


async def listen_for_disconnect(receive: Receive) -> None:
    """Wait until the client goes away."""
    message = await receive()
    if message["type"] != "http.disconnect":
        # DJANGO: the same exception as ASGIHandler.listen_for_disconnect
        raise AssertionError(f"Invalid ASGI message after request body: {message['type']}")


class ReplayableBody:
    """The body of a request, for several that read it, each from its beginning."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.size = size
        self.is_in_memory = isinstance(file, io.BytesIO)

    def read(self, position: int, size: int) -> bytes:
        """Return ``size`` bytes from ``position``, or what there is; blocks where the body is on disk."""
        with self._lock:
            self._file.seek(position)
            return self._file.read(size)

    def reader(self) -> IO[bytes]:
        """Return a file that has a position of its own."""
        return io.BufferedReader(_Reader(self), 64 * 1024)

    def close(self) -> None:
        """Forget the body."""
        self._file.close()


class _Reader(io.RawIOBase):
    def __init__(self, body: ReplayableBody) -> None:
        self._body = body
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._body.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
