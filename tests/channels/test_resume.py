"""Resuming: nothing twice, nothing lost, in order, or a gap; also while others publish, and after an outage."""

import asyncio
import random
import threading

import pytest
from django.db import connections

from hybrid_gateway.channels import Channel, Gap, MessagesMissed
from hybrid_gateway.channels.hub import Hub
from hybrid_gateway.channels.memory_backend import MemoryBackend
from tests.channels.broker import BrokerBackend
from tests.channels.conftest import using
from tests.channels.test_channels import run, until

numbers = Channel("numbers:{name}", int, history=1000)
pairs = Channel("pairs", tuple[int, int], history=10_000)
brief = Channel("brief", int, history=1)
unkept = Channel("unkept", int)


async def read(messages, count):
    return [await anext(messages) for _ in range(count)]


def test_since_gives_what_was_missed_and_then_what_comes(shared):
    async def main():
        offsets = [await numbers.apublish(number, name="a") for number in range(5)]
        async with numbers.subscribe(name="a", since=offsets[1], gaps=True) as messages:
            await numbers.apublish(5, name="a")
            assert await read(messages, 4) == [2, 3, 4, 5]
        async with numbers.subscribe(name="a", since=offsets[4], gaps=True) as messages:
            assert await read(messages, 1) == [5]

    run(main())


def test_a_subscription_begins_where_it_can_be_resumed_before_any_message(shared):
    async def main():
        async with numbers.subscribe(name="a") as messages:
            begin = messages.offset
        await numbers.apublish(1, name="a")
        async with numbers.subscribe(name="a", since=begin, gaps=True) as messages:
            assert await anext(messages) == 1

    run(main())


class Reader:
    def __init__(self):
        self.messages = []

    def deliver(self, message):
        self.messages.append(message)

    def gap(self, missed, recovered):
        raise AssertionError


def test_clients_that_come_back_at_once_share_what_is_made_of_each_message(shared):
    async def main():
        offsets = [await numbers.apublish(number, name="a") for number in range(4)]
        readers = [Reader(), Reader()]
        for reader, since in zip(readers, offsets, strict=False):
            await numbers.attach(reader, since=since, name="a")
        one, other = ([message.payload for message in reader.messages] for reader in readers)
        assert (one, other) == ([b"1", b"2", b"3"], [b"2", b"3"])
        assert all(a is b for a, b in zip(readers[0].messages[1:], readers[1].messages, strict=True))

    run(main())


@pytest.mark.parametrize("since", ["x", "foreign-3", "b-99999", "é" * 1000, "-", "1", "a-b-c", "\x00", "b-" + "9" * 30])
def test_an_unknown_since_is_a_gap_of_unknown_size_and_then_what_there_is(shared, since):
    async def main():
        await numbers.apublish(1, name="a")
        async with numbers.subscribe(name="a", since=since, gaps=True) as messages:
            assert await read(messages, 2) == [Gap(None), 1]
        async with numbers.subscribe(name="a", since=since) as messages:
            with pytest.raises(MessagesMissed):
                await anext(messages)

    run(main())


def test_without_history_since_is_a_gap(shared):
    async def main():
        offset = await unkept.apublish(1)
        async with unkept.subscribe(since=offset, gaps=True) as messages:
            await unkept.apublish(2)
            assert await read(messages, 2) == [Gap(None), 2]
        async with unkept.subscribe(since="", gaps=True) as messages:
            await unkept.apublish(3)
            assert await read(messages, 1) == [3]

    run(main())


def test_more_missed_than_is_kept_is_a_gap_with_a_number(shared):
    few = Channel("few", int, history=2)

    async def main():
        offsets = [await few.apublish(number) for number in range(6)]
        async with few.subscribe(since=offsets[0], gaps=True) as messages:
            assert await read(messages, 3) == [Gap(3), 4, 5]

    run(main())


def test_history_ends_with_its_time():
    short = Channel("short", int, history=10, history_ttl=0.05)

    async def main():
        offset = await short.apublish(1)
        await short.apublish(2)
        await asyncio.sleep(0.1)
        async with short.subscribe(since=offset, gaps=True) as messages:
            await short.apublish(3)
            assert await read(messages, 2) == [Gap(1), 3]

    with using(Hub(MemoryBackend())):
        run(main())


def test_readers_who_come_and_go_miss_nothing_while_threads_publish(shared):
    """Three publishers, four readers that reconnect again and again with the offset of their last message."""
    come_and_go()


def test_readers_of_a_slow_back_end_miss_nothing_either(hubs):
    with using(hubs(delay=0.002)[0]):
        come_and_go()


def come_and_go():
    count, publishers = 150, 3

    def publish(who):
        try:
            for number in range(count):
                pairs.publish((who, number))
        finally:
            connections.close_all()

    async def follow(seed, since):
        chance, found = random.Random(seed), []
        while len(found) < count * publishers:
            async with pairs.subscribe(since=since, gaps=True, queue=10_000) as messages:
                for _ in range(chance.randint(0, 40)):
                    if len(found) == count * publishers:
                        break
                    found.append(await anext(messages))
                    since = messages.offset
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() / 200)
        return found

    async def main():
        async with pairs.subscribe() as messages:
            since = messages.offset
        threads = [threading.Thread(target=publish, args=(who,)) for who in range(publishers)]
        readers = [asyncio.ensure_future(follow(seed, since)) for seed in range(4)]
        for thread in threads:
            thread.start()
        found = await asyncio.gather(*readers)
        for thread in threads:
            await asyncio.to_thread(thread.join, 20)
        return found

    found = run(main())
    for events in found:
        assert not [event for event in events if isinstance(event, Gap)]
        for who in range(publishers):
            assert [number for name, number in events if name == who] == list(range(count))
        assert events == found[0]


def test_a_history_of_one_never_goes_backwards(broker, hubs):
    (hub,) = hubs(delay=0.001)

    async def main():
        since, found = None, []
        publisher = asyncio.ensure_future(publish())
        while not publisher.done():
            async with brief.subscribe(since=since, gaps=True) as messages:
                for _ in range(3):
                    try:
                        event = await asyncio.wait_for(anext(messages), 0.05)
                    except TimeoutError:
                        break
                    since = messages.offset
                    if not isinstance(event, Gap):
                        found.append(event)
        assert found == sorted(set(found))
        assert len(found) > 5

    async def publish():
        for number in range(60):
            await brief.apublish(number)
            if number % 7 == 0:
                await asyncio.sleep(0.003)

    with using(hub):
        run(main())


# --- outages


def test_after_an_outage_history_gives_what_was_missed(broker, hubs, caplog):
    mine, other = hubs(2)

    async def main():
        async with numbers.subscribe(name="a", gaps=True) as messages, unkept.subscribe(gaps=True) as others:
            await numbers.apublish(0, name="a")
            assert await anext(messages) == 0
            mine.backend.cut()
            await until(lambda: mine.fault)
            with using(other):
                for number in (1, 2):
                    await numbers.apublish(number, name="a")
            mine.backend.mend()
            with using(other):
                await numbers.apublish(3, name="a")
            assert await read(messages, 3) == [1, 2, 3]
            assert await anext(others) == Gap(None)
            assert mine.fault is None

    with using(mine):
        run(main())
    assert "cannot be reached: cut" in caplog.text
    assert "is reached again" in caplog.text


def test_a_channel_that_was_quiet_before_an_outage_loses_nothing_either(broker, hubs):
    mine, other = hubs(2)

    async def main():
        async with numbers.subscribe(name="a", gaps=True) as messages:
            mine.backend.cut()
            await until(lambda: mine.fault)
            with using(other):
                await numbers.apublish(1, name="a")
            mine.backend.mend()
            assert await anext(messages) == 1

    with using(mine):
        run(main())


def test_a_back_end_that_forgot_is_a_gap_and_then_what_it_has(broker, hubs):
    mine, other = hubs(2)

    async def main():
        async with numbers.subscribe(name="a", gaps=True) as messages:
            await numbers.apublish(0, name="a")
            assert await anext(messages) == 0
            mine.backend.cut()
            await until(lambda: mine.fault)
            broker.forget()
            with using(other):
                await numbers.apublish(1, name="a")
            mine.backend.mend()
            assert await read(messages, 2) == [Gap(None), 1]
            await numbers.apublish(2, name="a")
            assert await anext(messages) == 2

    with using(mine):
        run(main())


def test_a_message_that_the_connection_lost_is_taken_from_history(broker, hubs):
    (mine,) = hubs()

    async def main():
        async with numbers.subscribe(name="a", gaps=True) as messages:
            await numbers.apublish(0, name="a")
            broker.loses = 2
            for number in range(1, 6):
                await numbers.apublish(number, name="a")
            assert await read(messages, 6) == list(range(6))

    with using(mine):
        run(main())


def test_what_the_connection_lost_and_history_has_not_is_a_gap(broker, hubs):
    (mine,) = hubs()

    async def main():
        async with brief.subscribe(gaps=True) as messages:
            await brief.apublish(0)
            broker.loses = 2
            for number in range(1, 4):
                await brief.apublish(number)
            assert await read(messages, 3) == [0, Gap(2), 3]

    with using(mine):
        run(main())


def test_a_reader_that_resumes_during_an_outage_is_told_503(broker, hubs):
    (mine,) = hubs()

    async def main():
        await numbers.apublish(0, name="a")
        mine.backend.cut()
        with pytest.raises(Exception, match="cut") as caught:
            async with numbers.subscribe(name="a", since="b-0"):
                pass
        assert caught.value.status_code == 503
        assert not mine._locals or not any(local.count for local in mine._locals.values())

    with using(mine):
        run(main())


def test_a_hub_that_stops_tells_its_readers(broker):
    hub = Hub(BrokerBackend(broker))

    async def main():
        async with numbers.subscribe(name="a") as messages:
            await hub.stop()
            with pytest.raises(MessagesMissed):
                await anext(messages)

    with using(hub):
        run(main())
