"""What is made to fail, one after the other, and the gate of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loadtests.soak.load import Load
from loadtests.soak.mix import Ask
from loadtests.soak.proxy import Proxy
from loadtests.soak.report import Gate, at_least, at_most
from loadtests.soak.sampler import Sampler
from loadtests.soak.site import Site
from loadtests.soak.wire import Broken, Wire

__all__ = ["FAULTS", "Soak"]

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
    has_timeouts: bool
    gates: list[Gate] = field(default_factory=list)
    marks: list[tuple[str, float, float]] = field(default_factory=list)
    quiet: list[tuple[str, str]] = field(default_factory=list)  # times, as logs write them
    notes: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def fault(self, name: str) -> AsyncIterator[None]:
        """While it lasts, and a little longer, errors are excused."""
        began, told = time.monotonic(), _now()
        self.load.excused = name
        try:
            yield
        finally:
            self.marks.append((name, began, time.monotonic()))
            await asyncio.sleep(SETTLE)
            self.load.excused = None
            self.quiet.append((told, _now()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def _first_success(soak: Soak, path: str, since: float) -> float:
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
        took = await _first_success(soak, "/products/1", time.monotonic())
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
        took = await _first_success(soak, "/products/1", resumed)
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
    if soak.has_timeouts:
        soak.gates.append(at_most("F3 the slowest API answer", slowest, soak.timeout + 1.5, "s"))


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


async def worker_killed(soak: Soak) -> None:
    """F6: one of several workers is killed."""
    if soak.workers < 2:
        return
    before = {process.pid: process for process in soak.site.processes()}
    victim = next(iter(before.values()))
    wrong = len(soak.load.wrong)
    began = time.monotonic()
    async with soak.fault("F6 worker killed"):
        victim.kill()
        while time.monotonic() - began < 20:
            await asyncio.sleep(0.1)
            alive = {process.pid for process in soak.site.processes()} - {victim.pid}
            if len(alive) >= soak.workers:
                break
    soak.gates.append(at_most("F6 a new worker after", time.monotonic() - began - SETTLE, 5, "s"))
    failed = soak.load.wrong[wrong:]
    del soak.load.wrong[wrong:]
    soak.gates.append(at_most("F6 requests that failed with it", len(failed), 40))


async def terminated(soak: Soak) -> None:
    """F5: SIGTERM, with a hundred requests and twenty streams in flight; the last thing that happens."""
    wires = [Wire(soak.site.port) for _ in range(100)]
    waiting = [asyncio.create_task(_settled(wire.ask("GET", "/soak/wait?seconds=1.5"))) for wire in wires]
    streams = [asyncio.create_task(_stream_end(soak.site.port)) for _ in range(20)]
    await asyncio.sleep(0.7)
    began = time.monotonic()
    soak.site.process.terminate()
    answers = await asyncio.gather(*waiting)
    dropped = sum(answer != 200 for answer in answers)
    ended = await asyncio.gather(*streams)
    try:
        code = await asyncio.to_thread(soak.site.process.wait, soak.grace + 10)
    except Exception:
        code = None
    took = time.monotonic() - began
    soak.gates += [
        at_most("F5 requests in flight that SIGTERM dropped, of 100", dropped, 0),
        at_most("F5 exit after SIGTERM", took, soak.grace + 1, "s"),
        at_least("F5 streams that ended with a last chunk, of 20", sum(ended), 20),
    ]
    soak.notes.append(f"exit code after SIGTERM: {code}")


async def _settled(asking: Awaitable[object]) -> int:
    try:
        return int(getattr(await asking, "status", 0))
    except Broken:
        return 0


async def _stream_end(port: int) -> bool:
    """Whether a stream that began was ended as HTTP ends it."""
    reader, writer = await Wire(port).open()
    writer.write(b"GET /soak/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    last = b""
    try:
        while data := await reader.read(65536):
            last = (last + data)[-5:]
    except OSError:
        return False
    return last == b"0\r\n\r\n"


FAULTS: dict[str, Callable[[Soak], Awaitable[None]]] = {
    "throttle": throttle_race,
    "churn": churn,
    "leak": leak,
    "slow": slow_clients,
    "threads": pool_exhausted,
    "database": database_restart,
    "hang": database_hang,
    "cache": redis_down,
    "worker": worker_killed,
    "overload": overload,
    "terminate": terminated,
}
