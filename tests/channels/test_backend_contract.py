"""What every back end promises: the same tests over memory, Redis and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from uuid import uuid4

import pytest
from pytest_django import DjangoDbBlocker

from hybrid_gateway.channels.backend import ChannelBackend, History
from tests.channels.back_ends import clean_redis, make_pair, run, shared_database, started

HOUR = History(size=5, ttl=3600)


@pytest.fixture(scope="module")
def tables(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), shared_database("channels"):
        yield


@pytest.fixture(scope="module", autouse=True)
def _clean() -> Iterator[None]:
    with clean_redis():
        yield


@pytest.fixture(params=["memory", "redis", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    if kind == "postgresql":
        request.getfixturevalue("tables")
    return kind


@pytest.fixture
def pair(kind: str) -> tuple[ChannelBackend, ChannelBackend]:
    """Back ends of two processes."""
    return make_pair(kind)


@pytest.fixture
def name() -> str:
    return f"room:{uuid4().hex}"


Pair = tuple[ChannelBackend, ChannelBackend]


def numbers(offsets: list[str]) -> list[int]:
    return [int(offset.rpartition("-")[2]) for offset in offsets]


async def fill(backend: ChannelBackend, name: str, count: int, history: History = HOUR) -> list[str]:
    return [await backend.publish(name, str(number).encode(), history) for number in range(1, count + 1)]


@pytest.mark.parametrize("history", [None, HOUR])
def test_messages_reach_the_other_process_in_order_with_their_offsets(
    pair: Pair, name: str, history: History | None
) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            offsets = [await pair[1].publish(name, b"%d" % number, history) for number in range(50)]
            await ears.has(50)
            assert ears.payloads == [b"%d" % number for number in range(50)]
            assert [delivery.offset for delivery in ears.heard] == offsets
            assert len(set(offsets)) == 50
            assert {delivery.channel for delivery in ears.heard} == {name}

    run(work)


@pytest.mark.parametrize("history", [None, HOUR])
def test_messages_published_at_once_keep_the_order_of_the_calls(pair: Pair, name: str, history: History | None) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            await asyncio.gather(*(pair[1].publish(name, b"%d" % number, history) for number in range(50)))
            await ears.has(50)
            assert ears.payloads == [b"%d" % number for number in range(50)]

    run(work)


@pytest.mark.parametrize("history", [None, HOUR])
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"t",
        b"\x00",
        b"=1",
        b" ",
        '"é\U0001f600"'.encode(),
        bytes(range(256)),
        b"\\x00'\"%s",
        b"x" * 7_899,
        b"x" * 7_900,
        b"x" * 8_000,
        b"\xff" * 6_000,
        b"x" * 300_000,
    ],
    ids=lambda payload: f"{payload[:8]!r}*{len(payload)}",
)
def test_any_bytes_arrive_as_they_are(pair: Pair, name: str, history: History | None, payload: bytes) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            await pair[1].publish(name, payload, history)
            await pair[1].publish(name, b"after", history)
            await ears.has(2)
            assert ears.payloads == [payload, b"after"]
            if history is not None:
                assert [kept.payload for kept in (await pair[1].replay(name, None, history)).messages] == ears.payloads

    run(work)


@pytest.mark.parametrize("name", ["a", "room:é/\U0001f600 '\"%s{}", "n" * 63, "n" * 200, "CaSe", "case"])
def test_any_name_is_a_channel_of_its_own(pair: Pair, name: str) -> None:
    async def work() -> None:
        others = [name + "x", name.swapcase(), name[:-1] + "y"]
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            for other in others:
                await pair[1].publish(other, b"to others", None)
            await pair[1].publish(name, b"to it", None)
            await ears.has(1)
            assert ears.heard[0][0] == name and ears.payloads == [b"to it"]

    run(work)


def test_equal_messages_are_as_many_as_were_sent(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            await asyncio.gather(*(pair[1].publish(name, b"same", None) for _ in range(10)))
            await ears.has(10)

    run(work)


def test_who_has_unsubscribed_gets_no_more(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            await pair[0].subscribe(name + "2")
            await pair[1].publish(name, b"1", None)
            await ears.has(1)
            await pair[0].unsubscribe(name)
            await pair[1].publish(name, b"2", None)
            await pair[0].subscribe(name)
            await pair[0].unsubscribe(name)
            await pair[0].subscribe(name)
            await pair[1].publish(name, b"3", None)
            await pair[1].publish(name + "2", b"4", None)
            await ears.has(3)
            assert ears.payloads == [b"1", b"3", b"4"]

    run(work)


def test_numbers_of_a_channel_with_history_rise_by_one(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, _):
            await pair[0].subscribe(name)
            await asyncio.gather(*(backend.publish(name, b"", HOUR) for backend in pair for _ in range(20)))
            await ears.has(40)
            offsets = [delivery.offset for delivery in ears.heard]
            assert numbers(offsets) == list(range(1, 41))
            assert len({offset.rpartition("-")[0] for offset in offsets}) == 1

    run(work)


def test_history_holds_the_last_messages(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair):
            offsets = await fill(pair[1], name, 8)
            replay = await pair[0].replay(name, None, HOUR)
            assert [(kept.offset, kept.payload) for kept in replay.messages] == [
                (offset, str(number).encode()) for number, offset in enumerate(offsets, 1)
            ][-5:]
            assert replay.recovered and replay.messages[0].channel == name

    run(work)


@pytest.mark.parametrize("seen", range(9))
def test_a_replay_has_what_came_after_and_says_how_many_are_gone(pair: Pair, name: str, seen: int) -> None:
    async def work() -> None:
        async with started(*pair):
            before = await pair[1].position(name, HOUR)
            assert before is not None
            offsets = [before, *await fill(pair[1], name, 8)]
            messages, recovered, missed = await pair[0].replay(name, offsets[seen], HOUR)
            assert [kept.payload for kept in messages] == [b"%d" % number for number in range(max(seen + 1, 4), 9)]
            assert (recovered, missed) == (seen >= 3, max(3 - seen, 0))

    run(work)


@pytest.mark.parametrize(
    "since", ["", "-", "x", "1", "elsewhere-1", "elsewhere-", "-1", "elsewhere-٣", "\x00-1", "\ud800-1", "a" * 5_000]
)
def test_a_foreign_offset_is_a_gap_and_then_what_there_is(pair: Pair, kind: str, name: str, since: str) -> None:
    if kind == "memory" and not since.rpartition("-")[2].isdigit():
        pytest.skip("The hub lets nothing else through.")

    async def work() -> None:
        async with started(*pair):
            await fill(pair[1], name, 3)
            messages, recovered, missed = await pair[0].replay(name, since, HOUR)
            assert [kept.payload for kept in messages] == [b"1", b"2", b"3"]
            assert not recovered and missed is None

    run(work)


def test_an_offset_that_is_not_reached_yet_is_a_gap(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair):
            epoch = (await fill(pair[1], name, 3))[0].rpartition("-")[0]
            messages, recovered, missed = await pair[0].replay(name, f"{epoch}-4", HOUR)
            assert not recovered and missed is None
            assert (await pair[0].replay(name, f"{epoch}-3", HOUR)) == ([], True, 0)

    run(work)


def test_a_channel_that_nobody_knows_has_no_history(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair):
            assert await pair[0].replay(name, None, HOUR) == ([], True, 0)
            assert await pair[0].replay(name, "elsewhere-3", HOUR) == ([], False, None)

    run(work)


def test_messages_end_with_their_time_and_are_counted_as_missed(pair: Pair, name: str) -> None:
    brief = History(size=10, ttl=0.3)

    async def work() -> None:
        async with started(*pair):
            offsets = await fill(pair[1], name, 3, brief)
            assert (await pair[0].replay(name, offsets[0], brief)).recovered
            await asyncio.sleep(0.4)
            assert await pair[0].replay(name, offsets[0], brief) == ([], False, 2)
            assert await pair[0].replay(name, offsets[2], brief) == ([], True, 0)
            later = await pair[1].publish(name, b"later", brief)
            messages, recovered, missed = await pair[0].replay(name, offsets[0], brief)
            assert [(kept.offset, kept.payload) for kept in messages] == [(later, b"later")]
            assert (recovered, missed) == (False, 2)
            assert numbers([later]) == [4]

    run(work)


def test_the_position_is_that_of_the_last_message(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair):
            first = await pair[0].position(name, HOUR)
            assert first is not None and numbers([first]) == [0]
            assert await pair[1].position(name, HOUR) == first
            offsets = await fill(pair[1], name, 2)
            assert await pair[0].position(name, HOUR) == offsets[-1]
            assert [kept.offset for kept in (await pair[0].replay(name, first, HOUR)).messages] == offsets

    run(work)


def test_a_replay_and_what_is_heard_are_one_sequence(pair: Pair, kind: str, name: str) -> None:
    """Whoever subscribes while others publish has each message from its offset on, by replay or heard, or by both."""
    if kind == "memory":
        pytest.skip("In memory nobody publishes meanwhile: nothing waits.")
    history = History(size=1_000, ttl=60)

    async def publish(backend: ChannelBackend) -> None:
        for _ in range(100):
            await backend.publish(name, b"", history)

    async def work() -> None:
        async with started(*pair) as (ears, _):
            start = await pair[1].position(name, history)
            publishing = asyncio.gather(publish(pair[1]), publish(pair[1]))
            while (await pair[1].position(name, history) or "").endswith(("-0", "-1", "-2")):
                await asyncio.sleep(0)
            await pair[0].subscribe(name)
            replay = await pair[0].replay(name, start, history)
            await publishing
            await ears.until(lambda: bool(ears.heard) and numbers([ears.heard[-1].offset]) == [200])
            replayed = numbers([kept.offset for kept in replay.messages])
            heard = numbers([delivery.offset for delivery in ears.heard])
            assert all(after == before + 1 for before, after in pairwise(heard))
            assert replayed == list(range(1, len(replayed) + 1))
            assert heard[0] <= len(replayed) + 1

    run(work)


# --- presence


def test_a_member_comes_with_the_first_process_and_goes_with_the_last(pair: Pair, kind: str, name: str) -> None:
    if kind == "memory":
        pytest.skip("Memory has one process.")

    async def work() -> None:
        here, there = pair
        async with started(*pair):
            assert await here.enter(name, "ann", 30)
            assert not await here.enter(name, "ann", 30)
            assert not await there.enter(name, "ann", 30)
            assert await there.enter(name, "bob", 30)
            assert await here.members(name) == await there.members(name) == ["ann", "bob"]
            assert not await here.leave(name, "ann")
            assert await here.members(name) == ["ann", "bob"]
            assert await there.leave(name, "ann")
            assert not await there.leave(name, "ann")
            assert await here.members(name) == ["bob"]
            assert await here.members(name + ":other") == []

    run(work)


def test_who_comes_at_once_in_two_processes_comes_once(pair: Pair, name: str) -> None:
    async def work() -> None:
        async with started(*pair):
            for turn in range(10):
                members = [f"{turn}:{number}" for number in range(5)]
                news = await asyncio.gather(*(backend.enter(name, who, 30) for who in members for backend in pair))
                assert sum(news) == 5
                gone = await asyncio.gather(*(backend.leave(name, who) for who in members for backend in pair))
                assert sum(gone) == 5

    run(work)


def test_members_of_a_process_that_has_died_end_and_those_that_are_kept_do_not(
    pair: Pair, kind: str, name: str
) -> None:
    if kind == "memory":
        pytest.skip("Memory ends with its process.")

    async def work() -> None:
        here, there = pair
        async with started(*pair):
            await here.enter(name, "ann", 0.6)
            await there.enter(name, "ann", 0.6)
            await there.enter(name, "bob", 0.6)
            for _ in range(4):
                await asyncio.sleep(0.3)
                await here.keep([(name, "ann"), (name, "ann"), (name, "cleo")], 0.6)
            assert await there.members(name) == ["ann", "cleo"]
            assert await there.enter(name, "bob", 30)
            assert await here.leave(name, "ann")  # the other's is over, though it has not left
            await asyncio.sleep(0.7)
            assert await there.members(name) == ["bob"]

    run(work)


def test_many_members_are_kept_at_once(pair: Pair, kind: str, name: str) -> None:
    if kind == "memory":
        pytest.skip("Memory keeps nobody who has not entered.")

    async def work() -> None:
        async with started(*pair):
            present = [(f"{name}:{number % 7}", f"user {number}") for number in range(1_500)]
            await pair[0].keep(present, 30)
            assert len(await pair[0].members(f"{name}:3")) == 214

    run(work)


def test_a_backend_connects_before_it_tells_of_anything(pair: Pair) -> None:
    async def work() -> None:
        async with started(*pair) as (ears, other):
            assert ears.told == other.told == ["connected"]

    run(work)
