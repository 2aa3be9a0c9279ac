"""Canaries of ``hybrid_gateway/_compat/starlette_internals.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from hybrid_gateway._compat import starlette_internals as internals
from tests.compat import canary


async def letters() -> AsyncIterator[str]:
    yield "a"
    yield "b"


async def sent_by(response: Response, spec_version: str) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "asgi": {"spec_version": spec_version}}
    await response(scope, receive, send)
    return sent


@canary("ChunkedResponse")
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
def test_a_stream_sends_what_its_chunks_are_when_it_begins(spec_version: str) -> None:
    happened: list[str] = []

    class Watched(internals.ChunkedResponse):
        async def send_stream(self, send: Any) -> None:
            inner = self.chunks
            self.chunks = (letter.upper() async for letter in inner)
            await super().send_stream(send)
            happened.append("sent")

    sent = asyncio.run(sent_by(Watched(letters()), spec_version))
    assert [message["body"] for message in sent[1:]] == [b"A", b"B", b""]
    assert happened == ["sent"]


@canary("chunks_of")
def test_a_stream_has_the_iterator_that_it_was_given() -> None:
    content = letters()
    assert internals.chunks_of(StreamingResponse(content)) is content
    assert internals.chunks_of(Response()) is None
