"""The example project's routes, and some that misbehave on purpose."""

import asyncio
import ctypes
import gc
import os
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models import Count
from starlette.requests import HTTPConnection

from catalog.models import Product
from config.routes import routes as example_routes
from hybrid_gateway import Body, ServerSentEvent, WebSocket, get, listener, post, stream, websocket
from hybrid_gateway.channels import Channel
from hybrid_gateway.request.context import RequestContext

BEAT = 0.01  # seconds
_lags: deque[float] = deque(maxlen=200_000)
_open: Counter[str] = Counter()  # generators of streams that have begun and not ended


@asynccontextmanager
async def beat() -> AsyncIterator[None]:
    """Measure how late the event loop comes back, a hundred times a second."""

    async def run() -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(BEAT)
            _lags.append(time.perf_counter() - asked - BEAT)

    tasks = [asyncio.create_task(run()), asyncio.create_task(_collect())]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _collect() -> None:
    """Collect garbage once a second: else there is more of it by chance now and then, which memory keeps room for."""
    while True:
        await asyncio.sleep(1)
        gc.collect()


@get("/soak/inside")
async def inside(survivors: bool = False) -> dict[str, float]:
    """What only the process itself knows; the lags since it was asked last. ``survivors`` takes its time."""
    lags = sorted(_lags) or [0.0]
    _lags.clear()
    return {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "streams": _open["numbers"],
        "lag_p999": lags[int(len(lags) * 0.999)],
        "lag_max": lags[-1],
        "used": _used(),
        **(_survivors() if survivors else {}),
    }


BLOCK = 96  # bytes that a block of Python's has on average, here


class _MallInfo(ctypes.Structure):
    """What glibc says of its memory (mallinfo2(3))."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


_ask_malloc = getattr(ctypes.CDLL(None), "mallinfo2", None)  # musl has none
if _ask_malloc is not None:
    _ask_malloc.restype = _MallInfo


def _used() -> float:
    """MiB that are in use, by Python's blocks and by malloc(); what is kept for later does not count."""
    found = _ask_malloc() if _ask_malloc is not None else _MallInfo()
    used: int = sys.getallocatedblocks() * BLOCK + found.uordblks + found.hblkhd
    return used / 2**20


def _survivors() -> dict[str, int]:
    """How many requests and tasks there are in memory, whoever holds them."""
    gc.collect()
    kinds = [type(thing) for thing in gc.get_objects()]  # not isinstance(), for which lazy objects make themselves
    return {
        "requests_alive": sum(issubclass(kind, (RequestContext, HTTPConnection)) for kind in kinds),
        "tasks_alive": sum(issubclass(kind, asyncio.Task) for kind in kinds),
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


@get("/soak/numbers")
async def numbers(pause: float = 1.0) -> AsyncIterator[ServerSentEvent]:
    """Numbers from 0 on, without an end; it is counted who listens."""
    _open["numbers"] += 1
    try:
        number = 0
        while True:
            yield ServerSentEvent(data={"number": number})
            number += 1
            await asyncio.sleep(pause)
    finally:
        _open["numbers"] -= 1


@get("/soak/held")
def held() -> Iterator[ServerSentEvent]:
    """Hold a thread of its own until the client has gone."""
    while True:
        yield ServerSentEvent(data="held")
        time.sleep(0.2)


@post("/soak/pairs")
def write_pair(name: str, pause: float = 0.05) -> str:
    """Write two rows in one transaction, with a pause between."""
    _write_pair(name, pause)
    return "written"


@post("/soak/pairs/async")
async def write_pair_async(name: str, pause: float = 0.05) -> str:
    """The same from a coroutine, which ends where its client does or its time is up."""
    await sync_to_async(_write_pair)(name, pause)
    return "written"


def _write_pair(name: str, pause: float) -> None:
    row = {"name": f"pair {name}", "category": "office", "size": "small", "price": 1}
    with transaction.atomic():
        Product.objects.create(**row)
        time.sleep(pause)
        Product.objects.create(**row)


@get("/soak/pairs", timeout=None)
def count_pairs() -> dict[str, int]:
    """How many pairs are there, and how many are none."""
    rows = Product.objects.filter(name__startswith="pair ").order_by().values("name").annotate(rows=Count("pk"))
    found = Counter(row["rows"] == 2 for row in rows)
    return {"pairs": found[True], "torn": found[False]}


@post("/soak/small", max_body_size=64 * 1024)
async def small(data: Annotated[bytes, Body()]) -> int:
    """Take no more than 64 KiB."""
    return len(data)


@get("/soak/limited", throttle=["10/day"])
async def limited() -> str:
    """Ten a day."""
    return "passed"


@websocket("/soak/echo")
async def echo(socket: WebSocket) -> None:
    """Say what is said."""
    async for text in socket.iter(str):
        await socket.send_text(text)


room = Channel("soak:{name}", str, history=2000)


@listener("/soak/say/{name}")
async def say(name: str, data: str) -> str:
    """Say something in a room; its offset is the receipt."""
    return await room.apublish(data, name=name)


routes = [
    *example_routes,
    echo,
    say,
    stream("/soak/rooms/{name}", channel=room),
    inside,
    error,
    slow,
    wait,
    events,
    numbers,
    held,
    write_pair,
    write_pair_async,
    count_pairs,
    small,
    limited,
]
