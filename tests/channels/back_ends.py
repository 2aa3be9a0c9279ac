"""Back ends as tests drive them: two processes' worth of each kind, and what they tell."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from hybrid_gateway.channels.backend import ChannelBackend, Delivery
from hybrid_gateway.channels.memory_backend import MemoryBackend
from tests.channels.servers import REDIS, PrivatePostgreSQL, answers, folder_for_all


class Ears:
    """What a back end has told."""

    def __init__(self) -> None:
        self.heard: list[Delivery] = []
        self.told: list[str] = []

    def deliver(self, delivery: Delivery) -> None:
        self.heard.append(delivery)

    def connected(self) -> None:
        self.told.append("connected")

    def disconnected(self, error: Exception) -> None:
        assert isinstance(error, Exception)
        self.told.append("disconnected")

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.heard]

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def has(self, count: int) -> None:
        """Wait for so many messages, and for more that should not come."""
        await self.until(lambda: len(self.heard) >= count)
        await asyncio.sleep(0.1)
        assert len(self.heard) == count


@asynccontextmanager
async def started(*backends: ChannelBackend) -> AsyncIterator[list[Ears]]:
    """Start back ends, once each, and wait until they are connected."""
    ears = {backend: Ears() for backend in backends}
    try:
        for backend, ear in ears.items():
            await backend.start(ear)
        for ear in ears.values():
            await ear.until(lambda ear=ear: ear.told != [])  # type: ignore[misc]
        yield [ears[backend] for backend in backends]
    finally:
        for backend in ears:
            await backend.stop()


@contextmanager
def database(alias: str, **settings: Any) -> Iterator[None]:
    """Have a PostgreSQL with the tables of channels under this alias."""
    default = connections.settings["default"]
    postgresql = {"ENGINE": "django.db.backends.postgresql", "PASSWORD": "", "OPTIONS": {}, "CONN_MAX_AGE": 0}
    connections.settings[alias] = {**default, **postgresql, **settings}
    try:
        call_command("migrate", "hybrid_gateway_channels", database=alias, verbosity=0)
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@contextmanager
def private_postgresql() -> Iterator[PrivatePostgreSQL]:
    with folder_for_all() as folder:
        server = PrivatePostgreSQL(folder)
        server.start()
        try:
            with database("channels", **server.settings):
                yield server
        finally:
            server.kill()


@contextmanager
def shared_database(alias: str) -> Iterator[None]:
    """Have a database of the tests' own on this machine's PostgreSQL."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed.")
    name, user = f"hybrid_channels_{os.getpid()}", os.environ.get("PGUSER", "postgres")
    server = {"host": "127.0.0.1", "port": 5432, "user": user, "dbname": "postgres"}
    try:
        admin = psycopg.connect(**server, connect_timeout=2, autocommit=True)
    except psycopg.OperationalError:
        pytest.skip("No PostgreSQL answers on 127.0.0.1:5432.")
    with admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            with database(alias, NAME=name, USER=user, HOST="127.0.0.1", PORT="5432"):
                yield
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


PREFIX = f"tests-{os.getpid()}"
"""Of keys in the Redis of this machine."""


@contextmanager
def clean_redis() -> Iterator[None]:
    """Delete afterwards what tests have left in the Redis of this machine, if it answers."""
    yield
    if answers(6379):
        redis = pytest.importorskip("redis", reason="redis-py is not installed.")
        with redis.Redis.from_url(REDIS) as client:
            for key in client.scan_iter(f"{PREFIX}:*", count=1000):
                client.delete(key)


def make_pair(kind: str) -> tuple[ChannelBackend, ChannelBackend]:
    """Return back ends of two processes; memory has one process."""
    if kind == "memory":
        backend = MemoryBackend()
        return backend, backend
    if kind == "redis":
        redis_streams = pytest.importorskip(
            "hybrid_gateway.channels.backends.redis_streams", reason="redis-py is not installed."
        )
        if not answers(6379):
            pytest.skip("Redis does not answer on 127.0.0.1:6379.")
        return redis_streams.RedisBackend(REDIS, prefix=PREFIX), redis_streams.RedisBackend(REDIS, prefix=PREFIX)
    from hybrid_gateway.channels.backends.postgres_notify import PostgreSQLBackend

    return PostgreSQLBackend(database="channels"), PostgreSQLBackend(database="channels")


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine; whatever hangs fails."""

    async def bounded() -> None:
        async with asyncio.timeout(120):
            await work()

    asyncio.run(bounded())
