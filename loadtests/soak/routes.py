"""The example project's routes, and some that misbehave on purpose."""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from django.db import connection

from config.routes import routes as example_routes
from hybrid_gateway import ServerSentEvent, get

BEAT = 0.01  # seconds
_lags: deque[float] = deque(maxlen=200_000)


@asynccontextmanager
async def beat() -> AsyncIterator[None]:
    """Measure how late the event loop comes back, a hundred times a second."""

    async def run() -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(BEAT)
            _lags.append(time.perf_counter() - asked - BEAT)

    task = asyncio.create_task(run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@get("/soak/inside")
async def inside() -> dict[str, float]:
    """What only the process itself knows; the lags since it was asked last."""
    lags = sorted(_lags) or [0.0]
    _lags.clear()
    return {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "lag_p999": lags[int(len(lags) * 0.999)],
        "lag_max": lags[-1],
    }


@get("/soak/error")
def error() -> None:
    """Fail as a handler does."""
    raise RuntimeError("on purpose")


@get("/soak/slow")
def slow(seconds: float = 0.2) -> str:
    """Hold a thread and a connection for a while."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sleep(%s)", [seconds])
        else:
            cursor.execute("SELECT 1")
            time.sleep(seconds)
    return "slept"


@get("/soak/wait", timeout=None)
async def wait(seconds: float = 1.0) -> str:
    """Be in flight for a while."""
    await asyncio.sleep(seconds)
    return "waited"


@get("/soak/events")
async def events() -> AsyncIterator[ServerSentEvent]:
    """A stream without an end."""
    number = 0
    while True:
        yield ServerSentEvent(data={"number": number})
        number += 1
        await asyncio.sleep(0.1)


@get("/soak/limited", throttle=["10/day"])
async def limited() -> str:
    """Ten a day."""
    return "passed"


routes = [
    *example_routes,
    inside,
    error,
    slow,
    wait,
    events,
    limited,
]
