"""Blocking iterables as asynchronous iterators: every item is fetched on one thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from hybrid_gateway.concurrency.unit_of_work import call_with_locals
from hybrid_gateway.request.request_thread import RequestThread

T = TypeVar("T")
R = TypeVar("R")

_END: Any = object()


class ThreadStream(AsyncIterator[T]):
    """The items of a blocking iterable, each fetched on ``thread``, all in one copy of the maker's context.

    At the end, and when it is closed before it, however little of it was used, the iterator is closed and ``close()``
    called on that thread, which is then released, if it ``is_own``: if nobody else uses it.
    """

    def __init__(
        self,
        thread: RequestThread,
        chunks: Iterable[T],
        close: Callable[[], object] | None = None,
        *,
        is_own: bool = True,
    ) -> None:
        self._thread = thread
        self._is_own = is_own
        self._chunks = chunks
        self._close = close
        self._context = contextvars.copy_context()
        self._iterator: Iterator[T] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finishing: asyncio.Future[None] | None = None

    async def __anext__(self) -> T:
        if self._finishing is not None:
            raise StopAsyncIteration
        self._loop = asyncio.get_running_loop()
        try:
            # Shielded: an iterator that runs can neither be stopped nor closed, so the clean-up comes after it.
            chunk = await asyncio.shield(self._run(self._fetch))
        except BaseException:
            await self.aclose()
            raise
        if chunk is _END:
            await self.aclose()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Close the iterator, after the item that is being fetched, if any; every caller waits for that."""
        if self._finishing is None:
            # In a task of its own: whoever stops the stream may be cancelled, the clean-up is not.
            self._finishing = asyncio.ensure_future(self._finish())
        await asyncio.shield(self._finishing)

    async def _finish(self) -> None:
        try:
            await self._run(self._clean_up)
        finally:
            if self._is_own:
                self._thread.release()

    def _run(self, function: Callable[[], R]) -> Awaitable[R]:
        run: Any = self._context.run
        return self._thread.run(run, call_with_locals, function)

    def __del__(self) -> None:
        if self._loop is not None and self._finishing is None:  # dropped half-way
            with suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self.aclose()))

    def _fetch(self) -> T:
        if self._iterator is None:
            self._iterator = iter(self._chunks)
        try:
            return next(self._iterator, _END)
        except StopAsyncIteration as error:  # out of the iterator it is a bug; here it would pass for the end
            raise RuntimeError("The iterator has raised StopAsyncIteration.") from error

    def _clean_up(self) -> None:
        chunks = self._chunks if self._iterator is None else self._iterator
        try:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        finally:
            if self._close is not None:
                self._close()
