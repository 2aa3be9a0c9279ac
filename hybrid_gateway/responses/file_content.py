"""The content of a file, and what is sent of it: the whole, ranges, or that the client has it already.

How this works: a file is opened once, and all that is said of it is read of that one descriptor, so it may be replaced
by another meanwhile. A small one is read at once; its tag is a digest of its bytes, the same on every machine, and
right where a build gives all files one time. A large one is sent chunk by chunk, each read as a unit of work of its
own, so a client that takes its time holds no thread. All of this blocks.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from io import FileIO

import msgspec
from django.utils.http import http_date

from hybrid_gateway.exceptions import PreconditionFailed, RangeNotSatisfiable
from hybrid_gateway.responses.byte_ranges import ByteRange, content_range, multipart, read_ranges
from hybrid_gateway.responses.conditional_requests import Conditions, not_modified_headers
from hybrid_gateway.types import Header

SMALL = 64 * 1024  # bytes of a file that is read at once
CHUNK = 256 * 1024  # bytes that are read of a large one at a time

# SECURITY: O_NONBLOCK: a FIFO that takes the place of the file meanwhile does not hold the thread for ever.
_FLAGS = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _name, 0)

_date = lru_cache(maxsize=1024)(http_date)


class NotAFile(OSError):
    """There is something else than a regular file: a directory, a device, a FIFO, a socket. It was not opened."""


class FileContent:
    """A regular file, opened: its ``size``, ``tag``, ``modified`` in seconds, and its ``body`` where it is small."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # SECURITY: to open a device or a FIFO does something already.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            raise NotAFile(f"{os.fspath(path)} is not a file.")
        self.file = open(os.open(path, _FLAGS), "rb", buffering=0)  # noqa: PTH123, SIM115
        try:
            self._read()
        except BaseException:
            self.file.close()
            raise

    def _read(self) -> None:
        status = os.fstat(self.file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile("What was a file is none any more.")
        now = time.time()
        self.modified = int(min(status.st_mtime, now))  # SPEC: RFC 9110 section 8.8.2.1: never later than the response
        self.size, self.body = status.st_size, None
        if self.size <= SMALL:
            self.body = body = self.file.readall()
            self.file.close()
            self.size = len(body)
            self.tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
        else:
            # SPEC: section 8.8.1: what has changed within the resolution of the clock may change again unseen
            weak = "W/" if now - status.st_mtime < 1 else ""
            self.tag = f'{weak}"{status.st_mtime_ns:x}-{self.size:x}"'
        self._status = status

    body: bytes | None

    @property
    def headers(self) -> list[Header]:
        """The headers that tell versions and ranges apart."""
        return [
            (b"last-modified", _date(self.modified).encode()),
            (b"etag", self.tag.encode()),
            (b"accept-ranges", b"bytes"),
        ]

    def chunks(self, pieces: Sequence[bytes | ByteRange]) -> Iterator[bytes]:
        """Yield ranges of a large file, and what stands between them, and close it.

        Raises :class:`FileChanged` before the last chunk where it has become another while it was read.
        """
        with self.file:
            for place, piece in enumerate(pieces, 1):
                start, stop = (0, 0) if isinstance(piece, bytes) else piece
                while start < stop:
                    chunk = _read_at(self.file, start, min(CHUNK, stop - start))
                    start += len(chunk)
                    if not chunk or (start >= stop and place == len(pieces)):
                        self._check_unchanged(is_short=not chunk)
                    yield chunk
                if isinstance(piece, bytes):
                    if place == len(pieces):
                        self._check_unchanged()
                    yield piece

    def _check_unchanged(self, *, is_short: bool = False) -> None:
        # What was appended changes nothing of what is sent: a log may be read while it is written.
        now, then = os.fstat(self.file.fileno()), self._status
        if is_short:
            raise FileChanged("The file became shorter while it was sent: the response is cut.")
        if now.st_size <= then.st_size and now.st_mtime_ns != then.st_mtime_ns:
            raise FileChanged("The file was rewritten while it was sent: the response is cut.")


class FileChanged(OSError):
    """A file has become another while it was sent: its response must not come to a good end."""


def _read_at(file: FileIO, start: int, size: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, start)
    file.seek(start)
    return file.read(size) or b""


class FileAnswer(msgspec.Struct, eq=False):
    """A response to a request for a file: ``body``, or ``pieces`` of ``content`` that make ``length`` bytes."""

    status: int
    headers: list[Header]
    body: bytes = b""
    length: int = 0
    pieces: Sequence[bytes | ByteRange] = ()
    content: FileContent | None = None

    def close(self) -> None:
        """Close the file of an answer that is not sent, or not to its end."""
        if self.content is not None:
            self.content.file.close()


def answer_file(
    content: FileContent, headers: list[Header], conditions: Conditions | None, method: str, status: int = 200
) -> FileAnswer:
    """Return the response to a request for a file; ``headers`` are those that it has beside those of its content.

    Raises :class:`PreconditionFailed` and :class:`RangeNotSatisfiable`, after the file is closed. ``conditions`` are
    ``None`` where none apply. SPEC: RFC 9110 section 14.2: ranges are for GET alone.
    """
    try:
        answer = _choose(content, headers, conditions, method, status)
    except BaseException:
        content.file.close()
        raise
    if not answer.pieces:
        content.file.close()
    return answer


def _choose(
    content: FileContent, headers: list[Header], conditions: Conditions | None, method: str, status: int
) -> FileAnswer:
    size, wanted = content.size, None
    if conditions is not None:
        failed = conditions.failed(content.tag, content.modified)
        if failed == 304:
            return FileAnswer(304, not_modified_headers(headers))
        if failed is not None:
            raise PreconditionFailed("The file is another one than the request names.")
        text = conditions.wanted_range(content.tag, content.modified) if method == "GET" else None
        wanted = None if text is None else read_ranges(text, size)
    if wanted is None:
        if content.body is not None:
            return FileAnswer(status, headers, content.body, size)
        pieces: Sequence[bytes | ByteRange] = [(0, size)] if method != "HEAD" else ()
        return FileAnswer(status, headers, b"", size, pieces, content)
    if not wanted:
        raise RangeNotSatisfiable(
            f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        )
    if len(wanted) == 1:
        headers = [*headers, (b"content-range", content_range(wanted[0], size))]
        return _part(content, headers, wanted)
    kind = next(value for name, value in headers if name == b"content-type")
    line, parts = multipart(wanted, size, kind)
    return _part(content, [line, *(header for header in headers if header[0] != b"content-type")], parts)


def _part(content: FileContent, headers: list[Header], pieces: Sequence[bytes | ByteRange]) -> FileAnswer:
    length = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
    body = content.body
    if body is None:
        return FileAnswer(206, headers, b"", length, pieces, content)
    parts = [piece if isinstance(piece, bytes) else body[piece[0] : piece[1]] for piece in pieces]
    return FileAnswer(206, headers, b"".join(parts), length)
