"""What the server's processes use, once a second; what the database says of them; how late their loops are."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from loadtests.soak.site import Site
from loadtests.soak.wire import Broken, Wire

__all__ = ["Sample", "Sampler", "backends"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at all processes together; memory in MiB, lags in milliseconds."""

    at: float
    rss: float
    fds: int
    threads: int
    backends: int
    idle_in_transaction: int
    tasks: float
    lag_p999: float
    lag_max: float
    used: float  # memory of the process that was asked, without what it keeps for later


class Sampler:
    """Looks every ``seconds``."""

    def __init__(self, site: Site, database: str | None, seconds: float = 1.0) -> None:
        self._site = site
        self._database = database
        self._seconds = seconds
        self._wire = Wire(site.port)
        self._lock = asyncio.Lock()  # faults look as well
        self.samples: list[Sample] = []

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.samples.append(await self.look())
            await asyncio.sleep(self._seconds)

    async def look(self) -> Sample:
        """Look once."""
        rss, fds, threads = 0, 0, 0
        for process in self._site.processes():
            with suppress(psutil.Error):
                rss += process.memory_info().rss
                fds += process.num_fds()
                threads += process.num_threads()
        found, idle = await asyncio.to_thread(backends, self._database) if self._database else (0, 0)
        inside = {"tasks": 0.0, "lag_p999": 0.0, "lag_max": 0.0, "used": 0.0}
        with suppress(Broken):
            async with self._lock:
                answer = await self._wire.ask("GET", "/soak/inside")
            inside = json.loads(answer.body)
        return Sample(
            time.monotonic(), rss / 2**20, fds, threads, found, idle, inside["tasks"],
            inside["lag_p999"] * 1000, inside["lag_max"] * 1000, inside["used"],
        )  # fmt: skip


def backends(name: str) -> tuple[int, int]:
    """Backends of PostgreSQL's database ``name``, and those that are idle in a transaction."""
    import psycopg

    query = (
        "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%%') FROM pg_stat_activity "
        "WHERE datname = %s AND pid <> pg_backend_pid()"
    )
    with psycopg.connect("host=127.0.0.1 user=postgres dbname=postgres", autocommit=True) as connection:
        row = connection.execute(query, [name]).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
