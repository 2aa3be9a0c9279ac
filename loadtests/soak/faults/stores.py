"""What a server keeps its data in goes, comes back, or hangs: F2, F3."""

from __future__ import annotations

import asyncio
import time

from loadtests.soak.faults.run import Soak, first_success
from loadtests.soak.report import Gate, at_most
from loadtests.soak.wire import Wire


async def database_restart(soak: Soak) -> None:
    """F2: every connection is cut, and none made for three seconds."""
    if soak.database is None:
        return
    before = {process.pid for process in soak.site.processes()}
    async with soak.fault("F2 database restart"):
        soak.database.cut(refuse=True)
        await asyncio.sleep(3)
        ready = await Wire(soak.site.port).ask("GET", "/readyz")
        soak.database.resume()
        took = await first_success(soak, "/products/1", time.monotonic())
    same = {process.pid for process in soak.site.processes()} == before
    soak.gates += [
        at_most("F2 first success after a database restart", took, 2, "s"),
        Gate("F2 /readyz while it was down", str(ready.status), "503", ready.status == 503),
        Gate("F2 the same processes", "yes" if same else "no", "yes", same),
    ]


async def database_hang(soak: Soak) -> None:
    """F3: nothing is forwarded for ten seconds, while everything is taken."""
    if soak.database is None:
        return
    began = time.monotonic()
    calm = soak.load.percentile(0.99, began - 10, began, waits=False)
    threads = max(sample.threads for sample in soak.sampler.samples[-10:])
    async with soak.fault("F3 database hangs"):
        hung = time.monotonic()
        soak.database.hang()
        await asyncio.sleep(10)
        soak.database.resume()
        resumed = time.monotonic()
        took = await first_success(soak, "/products/1", resumed)
    meanwhile = soak.load.percentile(0.99, hung, resumed, waits=False)
    slowest = max(
        (seen.seconds for seen in soak.load.seen if hung <= seen.at - seen.seconds <= resumed and seen.api), default=0
    )
    grown = max(sample.threads for sample in soak.sampler.samples[-12:]) - threads
    soak.gates += [
        at_most("F3 p99 of what needs no thread, while the database hangs", meanwhile, max(2 * calm, 50), "ms"),
        at_most("F3 threads more", grown, 16 * soak.workers),
        at_most("F3 first success afterwards", took, 2, "s"),
    ]
    if soak.is_asgi:
        soak.gates.append(at_most("F3 the slowest API answer", slowest, soak.timeout + 1.5, "s"))


async def redis_down(soak: Soak) -> None:
    """The cache refuses everybody for five seconds: what it kept is made anew."""
    if soak.redis is None:
        return
    async with soak.fault("cache down"):
        soak.redis.cut(refuse=True)
        await asyncio.sleep(5)
        answer = await Wire(soak.site.port).ask("GET", "/statistics")
        soak.redis.resume()
    soak.gates.append(Gate("a cached route while the cache is down", str(answer.status), "200", answer.status == 200))
