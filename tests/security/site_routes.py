"""The routes of the site."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Annotated, Any

from hybrid_gateway import Body, EventSourceResponse, Request, Router, StreamingResponse, get, post, route
from hybrid_gateway.telemetry import AccessLog
from tests.security import site_answers
from tests.security.site_readers import NUMBERS, PARAMETERS, READERS, read_checked, read_json, read_parts

LIMIT = 1000  # of bytes, below "/small"


@get("/api/x")
async def x() -> str:
    return "typed x"


@get("/files/{rest:path}")
async def files(rest: str) -> str:
    return f"typed {rest!r}"


@get("/items/{name}")
def item(name: str) -> str:
    return f"typed {name!r}"


@get("/secret/{name}", guards=[lambda: False])
async def secret(name: str) -> str:
    return "secret"


@get("/headers")
async def headers(request: Request) -> dict[str, Any]:
    return {"names": [name for name, _ in request.headers.items()]}


@post("/length")
async def length(data: Annotated[bytes, Body()]) -> int:
    return len(data)


@post("/names")
async def names(request: Request) -> list[str]:
    await request.body()
    return sorted(name for name, _ in request.headers.items())


@route("/items/{name}", methods=["PUT", "DELETE"])
def change(name: str, request: Request) -> str:
    return f"changed by {request.method}"


@get("/slow")
async def slow() -> str:
    await asyncio.sleep(1)
    return "slow"


async def _ticks() -> AsyncIterator[str]:
    number = 0
    while True:
        yield f"tick {number}"
        number += 1
        await asyncio.sleep(0.05)


@get("/events")
async def events() -> EventSourceResponse:
    return EventSourceResponse(_ticks())


@get("/endless")
async def endless() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        async for tick in _ticks():
            yield tick.encode()

    return StreamingResponse(chunks())


@get("/probe", opt={"probe": True})
async def probe() -> str:
    return "alive"


@get("/process")
async def process() -> tuple[int, float]:
    """The id of this process, and the seconds it has worked."""
    return os.getpid(), time.process_time()


_beats: list[float] = []
_tasks: list[asyncio.Task[None]] = []


async def _beat() -> None:
    while True:
        _beats.append(time.thread_time())
        await asyncio.sleep(0.002)


@post("/heartbeat")
async def begin_to_beat() -> None:
    """Have the event loop note now and then how long its thread has worked so far."""
    _beats.clear()
    _tasks.append(asyncio.create_task(_beat()))


@get("/heartbeat")
async def heartbeat() -> list[float]:
    """How often that was, and the most work between two of them, in seconds."""
    _tasks.pop().cancel()
    return [len(_beats), max(later - sooner for sooner, later in pairwise(_beats))]


@get("/fails/{rest:path}", event_hooks=[AccessLog])
async def fails(rest: str, q: str = "") -> str:
    raise LookupError("on purpose")


@get("/works/{rest:path}", event_hooks=[AccessLog])
def works(rest: str, q: str = "") -> str:
    return "works"


@get("/once", throttle=["1/1000 days"])
async def once() -> str:
    return "once"


routes = [
    x, files, item, secret, headers, length, names, change, slow, events, endless, probe, process, begin_to_beat,
    heartbeat, fails, works, once,
    Router("/answers", site_answers.ROUTES),
    Router("/small", READERS, max_body_size=LIMIT, max_upload_size=LIMIT),
    Router("/bodies", READERS),
    Router("/deep", [read_json], max_body_size=10_000_000),
    Router("/large", [read_parts], max_upload_size=300 * 1024 * 1024),
    Router("/parts", [read_parts, read_checked]),
    Router("/numbers", NUMBERS),
    Router("/parameters", PARAMETERS),
]  # fmt: skip
