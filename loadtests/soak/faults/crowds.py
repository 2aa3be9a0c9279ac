"""More requests at once than there is room for: F4, L4, S7."""

from __future__ import annotations

import asyncio
import time

from loadtests.soak.faults.run import Soak
from loadtests.soak.load import Load
from loadtests.soak.mix import Ask
from loadtests.soak.report import Gate, at_most
from loadtests.soak.wire import Wire


async def throttle_race(soak: Soak) -> None:
    """S7: two hundred at once on a limit of ten."""
    if soak.redis is None and soak.workers > 1:
        soak.notes.append("S7 needs a shared cache where there are several workers: give --redis.")
        return
    wires = [Wire(soak.site.port) for _ in range(200)]
    answers = await asyncio.gather(*(wire.ask("GET", "/soak/limited") for wire in wires))
    for wire in wires:
        wire.drop()
    passed = sum(answer.status == 200 for answer in answers)
    soak.gates.append(Gate("S7 passed of 200 at once on a limit of 10", str(passed), "10", passed == 10))


async def pool_exhausted(soak: Soak) -> None:
    """F4: a hundred at once want a thread for 200 ms each."""
    wires = [Wire(soak.site.port) for _ in range(100)]
    async with soak.fault("F4 threads exhausted"):
        slow = Ask("slow", "GET", "/soak/slow?seconds=0.2", 200, waits=True)
        answers = await asyncio.gather(*(soak.load.ask(wire, slow) for wire in wires))
    for wire in wires:
        wire.drop()
    strange = [answer for answer in answers if answer.status not in (200, 503, 504)]
    soak.gates.append(at_most("F4 other answers than 200, 503 or 504 of 100", len(strange), 0))


async def overload(soak: Soak) -> None:
    """L4: four times the clients, as fast as they go, for ten seconds."""
    began = time.monotonic()
    calm = soak.load.percentile(0.99, began - 10, began)
    more = Load(soak.site.port, soak.load.mix)
    async with soak.fault("L4 overload"):
        more.start(256, aborting=0)
        await asyncio.sleep(10)
        await more.stop()
        over = time.monotonic()
    soak.load.wrong += [f"in overload: {fault}" for fault in more.wrong if " 503 " not in fault]
    recovered = await _recovery(soak, over, max(1.5 * calm, 20))
    soak.gates += [
        at_most(
            "L4 memory in overload", max(sample.rss for sample in soak.sampler.samples[-12:]), 500 * soak.workers, "MiB"
        ),
        at_most("L4 back to 1.5 times the calm p99 after", recovered, 5, "s"),
    ]
    soak.notes.append(f"overload: {len(more.seen) / (over - began):.0f} answers/s with 256 clients more")


async def _recovery(soak: Soak, since: float, wanted: float) -> float:
    while (now := time.monotonic()) - since < 20:
        if now - since >= 1 and soak.load.percentile(0.99, now - 1, now) <= wanted:
            return now - since - 1
        await asyncio.sleep(0.25)
    return 20.0
