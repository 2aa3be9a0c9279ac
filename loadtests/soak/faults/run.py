"""A soak that runs: what a fault may touch, and what all of them need."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loadtests.soak.load import Load
from loadtests.soak.proxy import Proxy
from loadtests.soak.report import Gate
from loadtests.soak.sampler import Sampler
from loadtests.soak.site import Site
from loadtests.soak.sockets import Sockets
from loadtests.soak.wire import Broken, Wire

__all__ = ["SETTLE", "Soak", "first_success", "inside"]

SETTLE = 3.0  # seconds after a fault in which errors are still its own


@dataclass(slots=True)
class Soak:
    """Everything a fault may touch."""

    site: Site
    load: Load
    sampler: Sampler
    timeout: float
    database: Proxy | None
    redis: Proxy | None
    workers: int
    grace: int
    is_asgi: bool
    bounds_heads: bool  # whether the server ends the wait for a head within the soak
    hostile: Proxy
    streams: int
    sockets: Sockets
    crowd: int  # websockets of a fault
    gates: list[Gate] = field(default_factory=list)
    marks: list[tuple[str, float, float]] = field(default_factory=list)
    quiet: list[tuple[str, str]] = field(default_factory=list)  # times, as logs write them
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def is_busy() -> bool:
        """Whether others run on this machine as well, so that it decides nothing about time."""
        return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)

    @asynccontextmanager
    async def fault(self, name: str) -> AsyncIterator[None]:
        """While it lasts, and a little longer, errors are excused."""
        began, told = time.monotonic(), now()
        self.load.excused = name
        try:
            yield
        finally:
            self.marks.append((name, began, time.monotonic()))
            await asyncio.sleep(SETTLE)
            self.load.excused = None
            self.quiet.append((told, now()))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def inside(soak: Soak, query: str = "") -> dict[str, float]:
    """What ``/soak/inside`` says, summed up over all workers: whoever answers is asked until each has."""
    found: dict[int, dict[str, float]] = {}
    for _ in range(100):
        wire = Wire(soak.site.port)
        answer: dict[str, float] = json.loads((await wire.ask("GET", f"/soak/inside{query}")).body)
        wire.drop()
        found[int(answer["pid"])] = answer
        if len(found) >= soak.workers:
            break
    return {key: sum(answer[key] for answer in found.values()) for key in next(iter(found.values()))}


async def first_success(soak: Soak, path: str, since: float) -> float:
    """Seconds until ``path`` is 200 again."""
    wire = Wire(soak.site.port)
    while time.monotonic() - since < 30:
        try:
            if (await wire.ask("GET", path)).status == 200:
                return time.monotonic() - since
        except Broken:
            pass
        await asyncio.sleep(0.02)
    return 30.0
