"""Undocumented names of Starlette's requests and responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from starlette.responses import Response, StreamingResponse
from starlette.types import Send


class ChunkedResponse(StreamingResponse):
    """A stream whose chunks can be replaced, and whose sending can be extended by :meth:`send_stream`."""

    @property
    def chunks(self) -> AsyncIterator[Any]:
        """The content of the stream."""
        return cast("AsyncIterator[Any]", self.body_iterator)

    @chunks.setter
    def chunks(self, chunks: AsyncIterator[Any]) -> None:
        self.body_iterator = chunks

    async def stream_response(self, send: Send) -> None:
        await self.send_stream(send)

    async def send_stream(self, send: Send) -> None:
        """Send the head and all chunks; cancelled when the client has gone."""
        await super().stream_response(send)


def chunks_of(response: Response) -> object:
    """Return the iterator of a stream of Starlette's own; ``None`` for a response without one."""
    return getattr(response, "body_iterator", None)
