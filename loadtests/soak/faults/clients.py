"""Clients that hang up, ask for nonsense, or take for ever: L11, L6, F8."""

from __future__ import annotations

import asyncio
import time

from loadtests.soak.faults.run import Soak
from loadtests.soak.report import at_most
from loadtests.soak.wire import Wire


async def churn(soak: Soak) -> None:
    """L11, F1: clients that come and go; the second and third time leave no more than the first."""
    levels = []
    for _ in range(3):
        for _ in range(60):
            await asyncio.gather(*(soak.load.mix.abort(soak.site.port) for _ in range(25)), return_exceptions=True)
        await asyncio.sleep(3)
        looks = [await soak.sampler.look() for _ in range(10)]
        levels.append(min(looks, key=lambda look: look.tasks))  # there is other load, which comes and goes
    first, last = levels[0], levels[-1]
    for name, margin in (("fds", 6), ("threads", 1), ("backends", 1), ("tasks", 6)):
        grown = getattr(last, name) - getattr(first, name)
        soak.gates.append(at_most(f"L11 {name} more after 4500 aborts than after 1500", grown, margin))
    soak.gates.append(at_most("F1 backends idle in a transaction", last.idle_in_transaction, 0))


async def leak(soak: Soak) -> None:
    """L6: fifty thousand distinct unknown paths, and handlers that fail; the first fifth is for warming up."""
    levels = []
    for share in (10_000, 40_000):
        await asyncio.gather(*(_ask_nonsense(soak, share // 50, f"{share}-{number}") for number in range(50)))
        await asyncio.sleep(2)
        levels.append((await soak.sampler.look()).rss)
    soak.gates.append(at_most("L6 memory for 40,000 more 404s and 500s", levels[1] - levels[0], 5, "MiB"))


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
    for number, wire in enumerate(wires):
        _, writer = await wire.open()
        body = b"POST /products HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
        writer.write(b"GET /hello HTTP/1.1\r\nHost: 12" if number % 3 else body)
    await asyncio.sleep(10)
    now = time.monotonic()
    soak.gates.append(
        at_most("F8 p99 beside slow clients", soak.load.percentile(0.99, began, now), max(2 * calm, 50), "ms")
    )
    soak.marks.append(("F8 slow clients", began, now))
    for wire in wires:
        wire.drop()
