"""Servers of back ends that die in the middle, come back, are silent, or have forgotten."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from hybrid_gateway.channels.backend import ChannelBackend, ChannelsUnavailable, Delivery, History
from tests.channels.back_ends import Ears, private_postgresql, run, started
from tests.channels.servers import PrivatePostgreSQL, PrivateRedis

LONG = History(size=100_000, ttl=3600)
ROOM = "room:1"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def postgresql(django_db_blocker: DjangoDbBlocker) -> Iterator[PrivatePostgreSQL]:
    with django_db_blocker.unblock(), private_postgresql() as server:
        yield server


@pytest.fixture(params=["redis", "postgresql"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def backend_of(server: PrivateRedis | PrivatePostgreSQL) -> ChannelBackend:
    if isinstance(server, PrivateRedis):
        from hybrid_gateway.channels.backends.redis_streams import RedisBackend

        return RedisBackend(server.url)
    from hybrid_gateway.channels.backends.postgres_notify import PostgreSQLBackend

    return PostgreSQLBackend(database="channels")


async def publish_until(backend: ChannelBackend, end: asyncio.Event, sent: dict[str, bytes]) -> int:
    """Publish numbers; return how often that failed. What was acknowledged is in ``sent``, by offset."""
    failures = number = 0
    while not end.is_set():
        number += 1
        payload = b"%d" % number
        began = time.monotonic()
        try:
            sent[await backend.publish(ROOM, payload, LONG)] = payload
        except ChannelsUnavailable:
            failures += 1
            assert time.monotonic() - began < 5  # a bound against hanging; what is promised is a second
            await asyncio.sleep(0.05)
    return failures


async def follow(backend: ChannelBackend, ears: Ears) -> list[Delivery]:
    """Return what a subscriber has got: what was heard before the outage, and then what history has."""
    heard = list(ears.heard)
    replay = await backend.replay(ROOM, heard[0].offset, LONG)
    assert replay.recovered
    return [heard[0], *replay.messages]


async def outlive(backend: ChannelBackend, other: ChannelBackend, strike: Callable[[], object]) -> None:
    """Have ``other`` publish while ``strike`` kills the server and brings it back."""
    async with started(backend, other) as (ears, _):
        await backend.subscribe(ROOM)
        sent: dict[str, bytes] = {}
        end = asyncio.Event()
        publishing = asyncio.create_task(publish_until(other, end, sent))
        await ears.until(lambda: len(ears.heard) > 20)
        await asyncio.to_thread(strike)
        await ears.until(lambda: ears.told[1:] == ["disconnected", "connected"])
        count = len(sent)
        await ears.until(lambda: len(sent) > count + 20)
        end.set()
        await publishing
        await ears.until(lambda: ears.heard[-1].offset == list(sent)[-1])

        kept = await follow(backend, ears)
        offsets = [delivery.offset for delivery in kept]
        assert set(sent) <= set(offsets), "history has lost what was acknowledged"
        values = [int(delivery.payload) for delivery in kept]
        assert values == sorted(set(values)), "one publisher's messages are not in order, each once"
        heard = [delivery.offset for delivery in ears.heard]
        assert heard == [offset for offset in offsets if offset in set(heard)], "heard in another order than kept"
        # Nothing is heard twice, and what was heard of one connection has no holes.
        assert len(set(heard)) == len(heard)


def test_a_server_that_dies_while_somebody_publishes_loses_nothing_that_history_had(server: Any) -> None:
    async def work() -> None:
        def strike() -> None:
            server.kill()
            time.sleep(0.5)
            server.start()

        await outlive(backend_of(server), backend_of(server), strike)

    run(work)


def test_publishing_fails_while_the_server_is_away_and_works_right_when_it_is_back(server: Any) -> None:
    async def work() -> None:
        backend, other = backend_of(server), backend_of(server)
        async with started(backend, other) as (ears, _):
            await backend.subscribe(ROOM)
            before = await other.publish(ROOM, b"before", LONG)
            await ears.has(1)
            await asyncio.to_thread(server.kill)
            for _ in range(3):
                with pytest.raises(ChannelsUnavailable):
                    await other.publish(ROOM, b"away", LONG)
            with pytest.raises(ChannelsUnavailable):
                await other.subscribe("room:2")
            with pytest.raises(ChannelsUnavailable):
                await other.enter(ROOM, "ann", 30)
            with pytest.raises(ChannelsUnavailable):
                await other.replay(ROOM, None, LONG)
            await backend.unsubscribe("room:3")
            await ears.until(lambda: ears.told == ["connected", "disconnected"])
            await asyncio.sleep(3)
            await asyncio.to_thread(server.start)
            after = ""
            async with asyncio.timeout(10):
                while not after:
                    with suppress(ChannelsUnavailable):  # a busy machine may take longer than a second
                        after = await other.publish(ROOM, b"after", LONG)
            await ears.until(lambda: ears.told == ["connected", "disconnected", "connected"])
            replay = await backend.replay(ROOM, before, LONG)
            assert replay.messages[-1].offset == after and replay.recovered
            assert {kept.payload for kept in replay.messages} == {b"after"}
            await other.publish(ROOM, b"last", LONG)
            await ears.until(lambda: ears.payloads[-1:] == [b"last"])

    run(work)


def test_a_backend_may_start_before_its_server(server: Any) -> None:
    async def work() -> None:
        await asyncio.to_thread(server.kill)
        backend = backend_of(server)
        ears = Ears()
        await backend.start(ears)
        try:
            await ears.until(lambda: ears.told == ["disconnected"])
            await asyncio.to_thread(server.start)
            await ears.until(lambda: ears.told == ["disconnected", "connected"])
            await backend.subscribe(ROOM)
            await backend.publish(ROOM, b"1", None)
            await ears.has(1)
        finally:
            await backend.stop()

    run(work)


# --- Redis


def test_a_redis_that_answers_nobody_is_unavailable_and_recovers(redis: PrivateRedis) -> None:
    async def work() -> None:
        backend = backend_of(redis)
        async with started(backend) as (ears,):
            await backend.subscribe(ROOM)
            with redis.frozen():
                for _ in range(2):
                    began = time.monotonic()
                    with pytest.raises(ChannelsUnavailable):
                        await backend.publish(ROOM, b"lost?", LONG)
                    assert time.monotonic() - began < 5
            last = await backend.publish(ROOM, b"after", LONG)
            await ears.until(lambda: bool(ears.heard) and ears.heard[-1].offset == last)

    run(work)


def test_a_redis_that_has_forgotten_everything_is_a_gap(redis: PrivateRedis) -> None:
    async def work() -> None:
        backend = backend_of(redis)
        async with started(backend) as (ears,):
            offsets = [await backend.publish(ROOM, b"%d" % number, LONG) for number in range(5)]

            def strike() -> None:
                redis.kill()
                redis.forget()
                redis.start()

            await asyncio.to_thread(strike)
            await ears.until(lambda: ears.told[1:] == ["disconnected", "connected"])
            assert await backend.replay(ROOM, offsets[2], LONG) == ([], False, None)
            for number in range(8):
                await backend.publish(ROOM, b"new %d" % number, LONG)
            replay = await backend.replay(ROOM, offsets[2], LONG)
            assert len(replay.messages) == 8 and not replay.recovered and replay.missed is None

    run(work)


def test_a_flushed_redis_is_a_gap(redis: PrivateRedis) -> None:
    import redis as redis_py

    async def work() -> None:
        backend = backend_of(redis)
        async with started(backend) as _:
            offsets = [await backend.publish(ROOM, b"%d" % number, LONG) for number in range(5)]
            with redis_py.Redis.from_url(redis.url) as client:
                client.flushall()
            assert await backend.replay(ROOM, offsets[2], LONG) == ([], False, None)
            for number in range(8):
                await backend.publish(ROOM, b"new %d" % number, LONG)
            replay = await backend.replay(ROOM, offsets[2], LONG)
            assert len(replay.messages) == 8 and not replay.recovered

    run(work)


def test_a_redis_that_is_set_back_tells_who_has_seen_more_than_it_knows(redis: PrivateRedis, tmp_path: Path) -> None:
    async def work() -> None:
        backend = backend_of(redis)
        async with started(backend) as (ears,):
            offsets = [await backend.publish(ROOM, b"%d" % number, LONG) for number in range(1, 4)]
            log = next(name for name in ("appendonlydir", "appendonly.aof") if (tmp_path / name).exists())

            def copy(source: Path, target: Path) -> None:
                shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)

            copy(tmp_path / log, tmp_path / "copy")
            offsets += [await backend.publish(ROOM, b"%d" % number, LONG) for number in range(4, 6)]

            def strike() -> None:
                redis.kill()
                redis.forget()
                copy(tmp_path / "copy", tmp_path / log)
                redis.start()

            await asyncio.to_thread(strike)
            await ears.until(lambda: ears.told[1:] == ["disconnected", "connected"])
            assert await backend.replay(ROOM, offsets[2], LONG) == ([], True, 0)
            assert await backend.replay(ROOM, offsets[4], LONG) == ([], False, None)
            news = [await backend.publish(ROOM, b"new %d" % number, LONG) for number in range(4, 8)]
            assert not set(news) & set(offsets)
            for seen, recovered in ((2, True), (3, False), (4, False)):  # 4 and 5 are other messages by now
                replay = await backend.replay(ROOM, offsets[seen], LONG)
                assert [kept.offset for kept in replay.messages] == news
                assert replay.recovered is recovered
            replay = await backend.replay(ROOM, offsets[0], LONG)
            assert [kept.payload for kept in replay.messages][:3] == [b"2", b"3", b"new 4"] and replay.recovered

    run(work)


def test_an_idle_subscription_over_redis_outlives_the_default_time_out_of_redis_py(redis: PrivateRedis) -> None:
    async def work() -> None:
        backend = backend_of(redis)
        async with started(backend) as (ears,):
            await backend.subscribe(ROOM)
            await asyncio.sleep(12)
            await backend.publish(ROOM, b"at last", None)
            await ears.has(1)
            assert ears.told == ["connected"]

    run(work)


def clients(server: PrivateRedis) -> list[str]:
    import redis as redis_py

    with redis_py.Redis.from_url(server.url) as client:
        return sorted(name for entry in client.client_list() if (name := entry["name"]))


def test_a_process_has_two_connections_to_redis_however_many_channels(redis: PrivateRedis) -> None:
    async def work() -> None:
        backend = backend_of(redis)
        async with started(backend) as (ears,):
            await asyncio.gather(*(backend.subscribe(f"room:{number}") for number in range(700)))
            await asyncio.gather(*(backend.publish(f"room:{number}", b"", LONG) for number in range(700)))
            await ears.has(700)
            ours = ["hybrid_gateway-listen", "hybrid_gateway-publish"]
            assert clients(redis) == ours

            def strike() -> None:
                redis.kill()
                redis.start()

            await asyncio.to_thread(strike)
            await ears.until(lambda: ears.told[1:] == ["disconnected", "connected"])
            await asyncio.gather(*(backend.publish(f"room:{number}", b"", LONG) for number in range(700)))
            await ears.has(1400)
            assert clients(redis) == ours
        assert clients(redis) == []

    run(work)


def test_a_redis_that_refuses_is_told_of(redis: PrivateRedis) -> None:
    from hybrid_gateway.channels.backends.redis_streams import RedisBackend

    async def work() -> None:
        ears = Ears()
        backend = RedisBackend(redis.url.replace("//", "//:wrong@"))
        await backend.start(ears)
        try:
            await ears.until(lambda: ears.told == ["disconnected"])
            with pytest.raises(ChannelsUnavailable, match="127.0.0.1"):
                await backend.publish(ROOM, b"", None)
            with pytest.raises(ChannelsUnavailable, match=str(redis.port)):
                await backend.subscribe(ROOM)
        finally:
            await backend.stop()

    run(work)
