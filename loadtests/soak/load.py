"""The load itself: so many clients who ask, read and judge, and what they have seen."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from loadtests.soak.mix import Ask, Mix
from loadtests.soak.wire import IDEMPOTENT, Answer, Broken, Wire

__all__ = ["Load", "Seen"]


@dataclass(slots=True)
class Seen:
    """One request: when it was answered, how long it took, and what is wrong with it."""

    at: float
    seconds: float
    status: int
    waits: bool  # for a thread
    api: bool  # not one of Django's pages


@dataclass(slots=True)
class Load:
    """Clients of one server. ``excused`` says that faults are being made; ``repeats`` that connections may end.

    A client then looks whether a kept connection is still there before it uses it, and asks once more where nothing of
    an answer came, if it may (RFC 9110, section 9.2.2). Both are counted in ``again``; else an end is a fault.
    """

    port: int
    mix: Mix
    rate: float | None = None  # requests per second of all clients together; None: as fast as they go
    excused: str | None = None
    repeats: bool = False
    again: Counter[str] = field(default_factory=Counter)
    seen: list[Seen] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    tolerated: Counter[str] = field(default_factory=Counter)
    aborted: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, clients: int, aborting: int = 1) -> None:
        """Begin, or take more clients on."""
        self._tasks += [asyncio.create_task(self._ask_on(clients)) for _ in range(clients)]
        self._tasks += [asyncio.create_task(self._abort_on()) for _ in range(aborting)]

    async def stop(self) -> None:
        """Let all clients go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _ask_on(self, clients: int) -> None:
        wire = Wire(self.port)
        try:
            while True:
                began = time.monotonic()
                await self.ask(wire, self.mix.draw())
                if self.rate is not None:
                    await asyncio.sleep(max(0.0, clients / self.rate - (time.monotonic() - began)))
        finally:
            wire.drop()

    async def _abort_on(self) -> None:
        while True:
            try:
                async with asyncio.timeout(10):
                    await self.mix.abort(self.port)
                self.aborted += 1
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    async def ask(self, wire: Wire, ask: Ask) -> Seen:
        """One request; what is wrong with its answer is kept, unless the fault of the hour explains it."""
        began, excused = time.monotonic(), self.excused
        try:
            answer = await self._answer(wire, ask)
            status, fault = answer.status, ask.fault(answer)
        except Broken as broken:
            status, fault = 0, str(broken)
        except Exception as error:  # a body that is none: as wrong as can be
            status, fault = 0, f"{ask.name}: {type(error).__name__}: {error}"
        now = time.monotonic()
        excused = excused or self.excused
        if fault is not None and excused and ask.waits and status in (500, 503, 504):
            self.tolerated[f"{excused}: {ask.name} {status}"] += 1
        elif fault is not None:
            self.wrong.append(f"{fault}{f' (while {excused})' if excused else ''}")
            if status == 0:
                await asyncio.sleep(0.05)
        found = Seen(now, now - began, status, ask.waits, ask.api)
        self.seen.append(found)
        return found

    async def _answer(self, wire: Wire, ask: Ask) -> Answer:
        if self.repeats and wire.renew():
            self.again["ended before they were used again"] += 1
        try:
            return await wire.ask(ask.method, ask.path, ask.headers, ask.body)
        except Broken as broken:
            if not (self.repeats and broken.unheard and ask.method in IDEMPOTENT):
                raise
        self.again["ended under a request, which was repeated"] += 1
        return await wire.ask(ask.method, ask.path, ask.headers, ask.body)

    def percentile(self, share: float, since: float, until: float, *, waits: bool | None = None) -> float:
        """The latency, in milliseconds, below which that share of the answers of a time were."""
        times = sorted(
            entry.seconds
            for entry in self.seen
            if since <= entry.at <= until and (waits is None or entry.waits is waits)
        )
        return times[min(int(len(times) * share), len(times) - 1)] * 1000 if times else 0.0
