"""Clients that hang up, ask for nonsense, or take for ever: L11, F1, L6, F8."""

from __future__ import annotations

import asyncio
import json
import random
import time

from loadtests.soak.faults.run import Soak, inside
from loadtests.soak.report import at_least, at_most
from loadtests.soak.site import BODY_TIMEOUT
from loadtests.soak.wire import Wire, head

HOUSE = 50  # streams at once: more than a round of aborts and the one before can have, fewer than the pool may
SURVIVORS = ("requests_alive", "tasks_alive")


async def churn(soak: Soak) -> None:
    """L11, F1: clients that come and go; the second and third time leave no more than the first."""
    levels = []
    for _ in range(3):
        for _ in range(60):
            await asyncio.gather(*(soak.load.mix.abort(soak.site.port) for _ in range(25)), return_exceptions=True)
        await asyncio.sleep(3)
        await fill_house(soak)
        looks = [await soak.sampler.look() for _ in range(10)]
        levels.append(min(looks, key=lambda look: look.tasks))  # there is other load, which comes and goes
    first, last = levels[0], levels[-1]
    for name, margin in (("fds", 6), ("threads", 1), ("backends", 1), ("tasks", 6)):
        grown = getattr(last, name) - getattr(first, name)
        soak.gates.append(at_most(f"L11 {name} more after 4500 aborts than after 1500", grown, margin))
    soak.gates.append(at_most("F1 backends idle in a transaction", last.idle_in_transaction, 0))


async def fill_house(soak: Soak) -> None:
    """Have fifty streams hold a thread each, and let go: then there are fifty, and one more for each that is held yet.

    Else threads come by chance, whenever more are at work at once than ever before. Workers share clients by chance.
    """
    if not soak.is_asgi or soak.workers > 1:
        return
    wires = [Wire(soak.site.port) for _ in range(HOUSE)]
    readers = []
    for wire in wires:
        reader, writer = await wire.open()
        writer.write(head("GET", "/soak/held", {}, None))
        readers.append(reader)
    came = await asyncio.gather(*(_what_came(reader, 20) for reader in readers))
    if not all(came):
        soak.load.wrong.append(f"{came.count(b'')} of {HOUSE} streams got no thread")
    for wire in wires:
        wire.drop()
    await asyncio.sleep(3)


async def leak(soak: Soak) -> None:
    """L6: fifty thousand distinct unknown paths, and handlers that fail; the first fifth is for warming up."""
    levels, alive = [], []
    for share in (10_000, 40_000):
        await asyncio.gather(*(_ask_nonsense(soak, share // 50, f"{share}-{number}") for number in range(50)))
        await asyncio.sleep(2)
        levels.append((await soak.sampler.look()).rss)
        alive.append(await _survivors(soak))
    soak.gates.append(at_most("L6 memory for 40,000 more 404s and 500s", levels[1] - levels[0], 5, "MiB"))
    for kind in SURVIVORS:
        grown = alive[1][kind] - alive[0][kind]
        soak.gates.append(at_most(f"L6 {kind.replace('_', ' ')} after them, more than before", grown, 16))


async def _survivors(soak: Soak) -> dict[str, float]:
    """The least of some looks: what is under way, in the load that goes on, is no survivor."""
    looks = []
    for _ in range(5):
        looks.append(await inside(soak, "?survivors=true"))
        await asyncio.sleep(0.3)
    return {kind: min(look[kind] for look in looks) for kind in SURVIVORS}


async def _ask_nonsense(soak: Soak, times: int, name: str) -> None:
    wire = Wire(soak.site.port)
    for number in range(times):
        path = "/soak/error" if number % 20 == 0 else f"/{name}/{number}?{name}={number}"
        status = (await wire.ask("GET", path)).status
        if status not in (404, 500):
            soak.load.wrong.append(f"leak: {path}: {status}")
    wire.drop()


async def slow_clients(soak: Soak) -> None:
    """F8: a hundred heads and fifty bodies that never end."""
    began = time.monotonic()
    calm = soak.load.percentile(0.99, began - 10, began)
    wires = [Wire(soak.site.port) for _ in range(150)]
    readers = []
    for number, wire in enumerate(wires):
        reader, writer = await wire.open()
        body = b"POST /soak/small HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
        writer.write(b"GET /hello HTTP/1.1\r\nHost: 12" if number % 3 else body)
        readers.append(reader)
    await asyncio.sleep(BODY_TIMEOUT + 5)
    now = time.monotonic()
    told = await asyncio.gather(*(_what_came(reader) for reader in readers))
    bodies = sum(answer.startswith(b"HTTP/1.1 408 ") for answer in told[::3])
    heads = sum(readers[number].at_eof() for number in range(150) if number % 3)
    soak.gates += [
        at_most("F8 p99 beside slow clients", soak.load.percentile(0.99, began, now), max(2 * calm, 50), "ms"),
        at_least("F8 slow bodies that were told 408, of 50", bodies, 50, binding=soak.is_asgi),
        at_least("F8 slow heads that were hung up on, of 100", heads, 100, binding=soak.bounds_heads),
    ]
    soak.marks.append(("F8 slow clients", began, now))
    for wire in wires:
        wire.drop()


async def _what_came(reader: asyncio.StreamReader, seconds: float = 0.5) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(65536)
    except (OSError, TimeoutError):
        return b""


async def aborted_writes(soak: Soak) -> None:
    """F1: a thousand clients hang up while their two rows are written; once the database goes in the midst of it."""
    torn = asyncio.create_task(_cut_soon(soak))
    async with soak.fault("F1 aborted writes"):
        for number in range(20):
            await asyncio.gather(*(_abort_write(soak, f"{number}-{client}") for client in range(50)))
        await torn
        await asyncio.sleep(5)  # what is still being written
    wire = Wire(soak.site.port)
    rows = json.loads((await wire.ask("GET", "/soak/pairs")).body)
    look = await soak.sampler.look()
    wire.drop()
    soak.gates += [
        at_most("F1 writes of which half is there, of 1000 that were aborted", rows["torn"], 0),
        at_least("F1 ... and that are there as a whole", rows["pairs"], 1),
        at_most("F1 backends idle in a transaction, after them", look.idle_in_transaction, 0),
        at_most("F1 backends, after them", look.backends, 16 * soak.workers),
    ]


async def _cut_soon(soak: Soak) -> None:
    if soak.database is not None:
        await asyncio.sleep(1)
        soak.database.cut()


async def _abort_write(soak: Soak, name: str) -> None:
    wire = Wire(soak.site.port)
    _, writer = await wire.open()
    path = random.choice(["/soak/pairs", "/soak/pairs/async"])
    writer.write(head("POST", f"{path}?name={name}", {}, 0))
    await writer.drain()
    await asyncio.sleep(random.uniform(0, 0.15))
    wire.drop()
