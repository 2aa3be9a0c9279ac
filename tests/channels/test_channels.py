"""Channels as a project uses them: typed values, published from anywhere, read in order."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.db import connections, transaction

from hybrid_gateway.channels import Channel, ChannelsUnavailable, Gap, MessagesMissed, channels
from hybrid_gateway.channels.channel_message import json_envelope
from hybrid_gateway.exceptions import ConfigurationError
from tests.channels.broker import BrokerBackend
from tests.channels.conftest import using


class Said(msgspec.Struct):
    text: str


class Moved(msgspec.Struct, tag=True):
    x: int


class Gone(msgspec.Struct, tag=True):
    pass


room = Channel("room:{room_id}", Said, history=100)
live = Channel("live:{room_id}", Said)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


async def in_thread(function, *args, **keywords):
    """Call a function on a thread, which leaves no connection open."""

    def work():
        try:
            return function(*args, **keywords)
        finally:
            connections.close_all()

    return await asyncio.to_thread(work)


class Reader:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.events = []

    def deliver(self, message):
        self.events.append(message)

    def gap(self, missed, recovered):
        self.events.append(Gap(missed, recovered))


# --- declaring


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"history": -1}, "history=-1"),
        ({"history": True}, "history=True"),
        ({"history": 5, "history_ttl": 0}, "history_ttl=0"),
        ({"on_overflow": "drop"}, "on_overflow='drop'"),
        ({"histroy": 5}, "Did you mean 'history'"),
    ],
)
def test_options_that_make_no_sense_are_errors_of_the_definition(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        Channel("x", Said, **options)


def test_a_type_that_nobody_reads_from_json_is_an_error_of_the_definition():
    class Odd:
        def __init__(self, x):
            self.x = x

    with pytest.raises(ConfigurationError, match=r"Channel\('x', Odd\)"):
        Channel("x", Odd)


# --- publishing


def test_names_and_values_that_do_not_fit_send_nothing(shared):
    async def main():
        async with room.subscribe(room_id=1) as messages:
            for value, names in [
                (Said(5), {"room_id": 1}),
                ({"text": 5}, {"room_id": 1}),
                (None, {"room_id": 1}),
                (object(), {"room_id": 1}),
                (Said("x"), {}),
                (Said("x"), {"room_id": 1, "other": 2}),
                (Said("x"), {"room_id": None}),
            ]:
                with pytest.raises(TypeError, match=r"Channel\('room:\{room_id\}'"):
                    await room.apublish(value, **names)
                with pytest.raises(TypeError, match="Channel"):
                    await in_thread(room.publish, value, **names)
            offset = await room.apublish(Said("x"), room_id=1)
            assert await anext(messages) == Said("x")
            assert messages.offset == offset

    run(main())


def test_a_wrong_name_raises_before_anything_is_subscribed(shared):
    with pytest.raises(TypeError, match="misses 'room_id'"):
        room.subscribe()


def test_members_of_a_union_come_as_they_were_sent(shared):
    moves = Channel("moves", Moved | Gone)

    async def main():
        async with moves.subscribe() as messages:
            await moves.apublish(Moved(3))
            await moves.apublish(Gone())
            return [await anext(messages), await anext(messages)]

    assert run(main()) == [Moved(3), Gone()]


def test_readers_do_not_share_one_object(shared):
    async def main():
        async with live.subscribe(room_id=1) as one, live.subscribe(room_id=1) as other:
            said = Said("x")
            await live.apublish(said, room_id=1)
            said.text = "changed"
            first = await anext(one)
            first.text = "changed, too"
            return await anext(other)

    assert run(main()) == Said("x")


def test_publish_in_async_code_says_what_to_write_instead(shared):
    async def main():
        with pytest.raises(RuntimeError, match="await apublish"):
            room.publish(Said("x"), room_id=1)
        with pytest.raises(RuntimeError, match="await apublish"):
            channels.publish("room:1", Said("x"))

    run(main())


def test_publish_gives_the_offset_that_readers_see(shared):
    async def main():
        async with room.subscribe(room_id=1) as messages:
            offsets = [await in_thread(room.publish, Said(str(n)), room_id=1) for n in range(3)]
            read = []
            for _ in offsets:
                await anext(messages)
                read.append(messages.offset)
            assert read == offsets

    run(main())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shared", ["memory", "broker"], indirect=True)
def test_on_commit_waits_for_the_commit_and_a_rollback_sends_nothing(shared):
    first = room.publish(Said("first"), room_id=1)
    with transaction.atomic():
        assert room.publish(Said("committed"), room_id=1, on_commit=True) is None
        get_user_model().objects.create_user("ada")
        room.publish(Said("at once"), room_id=1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        room.publish(Said("rolled back"), room_id=1, on_commit="default")
        _ = 1 / 0
    with pytest.raises(TypeError), transaction.atomic():
        room.publish(Said(5), room_id=1, on_commit=True)
    room.publish(Said("last"), room_id=1, on_commit=True)

    async def main():
        async with room.subscribe(room_id=1, since=first) as messages:
            return [(await anext(messages)).text for _ in range(3)]

    assert run(main()) == ["at once", "committed", "last"]


def test_by_name_a_declared_channel_says_what_it_takes_and_keeps(shared):
    async def main():
        async with room.subscribe(room_id=1) as messages:
            offset = await channels.apublish("room:1", {"text": "a"})
            await in_thread(channels.publish, "room:1", Said("b"))
            assert [await anext(messages), await anext(messages)] == [Said("a"), Said("b")]
        async with room.subscribe(room_id=1, since=offset) as messages:
            assert await anext(messages) == Said("b")
        with pytest.raises(TypeError, match="room"):
            await channels.apublish("room:1", {"text": 5})
        with pytest.raises(TypeError, match="no name of a channel"):
            await channels.apublish("a name", 5)
        free = Channel("free", Any)
        async with free.subscribe() as messages:
            await channels.apublish("free", [1, {"a": None}])
            assert await anext(messages) == [1, {"a": None}]

    run(main())


# --- reading


def test_each_channel_gets_its_own(shared):
    async def main():
        async with live.subscribe(room_id=1) as one, live.subscribe(room_id=2) as two:
            await live.apublish(Said("one"), room_id=1)
            await live.apublish(Said("two"), room_id=2)
            assert (await anext(one), await anext(two)) == (Said("one"), Said("two"))
            assert one.is_idle
            assert two.is_idle

    run(main())


@pytest.mark.parametrize(
    ("policy", "read"),
    [
        ("drop_oldest", [Gap(3), 3, 4]),
        ("drop_newest", [0, 1, Gap(3)]),
        ("latest", [Gap(4), 4]),
        ("close", [Gap(3), "end"]),
    ],
)
def test_falling_behind_is_told_where_it_happened(shared, policy, read):
    numbers = Channel("numbers", int, on_overflow=policy)

    async def main():
        async with numbers.subscribe(queue=2, gaps=True) as messages, numbers.subscribe() as fast:
            for number in range(5):
                await numbers.apublish(number)
                await anext(fast)
            found = []
            for _ in read:
                found.append(await anext(messages, "end"))
            return found, messages.dropped

    found, dropped = run(main())
    assert found == read
    assert dropped == sum(entry.missed for entry in read if isinstance(entry, Gap))


def test_without_gaps_falling_behind_raises_and_reading_may_go_on(shared):
    async def main():
        async with live.subscribe(room_id=1, queue=1) as messages:
            for text in "abc":
                await live.apublish(Said(text), room_id=1)
            await until(lambda: messages.dropped == 2)
            with pytest.raises(MessagesMissed) as caught:
                await anext(messages)
            assert caught.value.count == 2
            assert await anext(messages) == Said("c")

    run(main())


def test_after_the_end_of_a_subscription_iteration_ends(shared):
    async def main():
        async with live.subscribe(room_id=1) as messages:
            waiting = asyncio.ensure_future(anext(messages, "end"))
            await asyncio.sleep(0)
        assert await waiting == "end"

    run(main())


def test_the_payload_is_made_once_for_all_sinks_of_a_process(shared):
    made = []

    def frame(message):
        made.append(message)
        return json_envelope(message)

    async def main():
        readers = [Reader() for _ in range(5)]
        attached = [await live.attach(reader, room_id=1) for reader in readers]
        offset = await live.apublish(Said("x"), room_id=1)
        await until(lambda: all(reader.events for reader in readers))
        frames = {reader.events[0].cached(frame) for reader in readers}
        assert frames == {b'{"offset":"%s","data":{"text":"x"}}' % offset.encode()}
        assert len(made) == 1
        for attachment in attached:
            attachment.detach()
            attachment.detach()
        await live.apublish(Said("y"), room_id=1)
        assert [len(reader.events) for reader in readers] == [1] * 5

    run(main())


def test_a_sink_that_fails_hurts_no_other(shared, caplog):
    class Broken(Reader):
        def deliver(self, message):
            raise ZeroDivisionError

    async def main():
        broken, reader = Broken(), Reader()
        await live.attach(broken, room_id=1)
        await live.attach(reader, room_id=1)
        await live.apublish(Said("x"), room_id=1)
        await until(lambda: reader.events)

    run(main())
    assert "A sink of a channel has failed" in caplog.text


def test_a_sink_may_publish(shared):
    async def main():
        loop = asyncio.get_running_loop()
        tasks = []

        class Echo(Reader):
            def deliver(self, message):
                super().deliver(message)
                if len(self.events) < 3:
                    tasks.append(loop.create_task(live.apublish(Said("again"), room_id=1)))

        echo, reader = Echo(), Reader()
        await live.attach(echo, room_id=1)
        await live.attach(reader, room_id=1)
        await live.apublish(Said("x"), room_id=1)
        await until(lambda: len(reader.events) == 3)
        assert [m.offset for m in reader.events] == [m.offset for m in echo.events]

    run(main())


def test_loops_in_several_threads_each_get_every_message(shared):
    found, ready, done = {}, threading.Barrier(4), threading.Barrier(4)

    def follow(number):
        async def main():
            async with room.subscribe(room_id=1) as messages:
                await asyncio.to_thread(ready.wait, 20)
                found[number] = [(await anext(messages)).text for _ in range(50)]

        run(main())
        done.wait(20)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(20)
    for number in range(50):
        room.publish(Said(str(number)), room_id=1)
    done.wait(20)
    for thread in threads:
        thread.join(20)
    assert found == dict.fromkeys(range(3), [str(number) for number in range(50)])


def test_sinks_run_in_nobodys_context(shared):
    from contextvars import ContextVar

    variable = ContextVar("variable", default="nobody's")

    async def main():
        seen = []

        class Spy(Reader):
            def deliver(self, message):
                seen.append(variable.get())

        await live.attach(Spy(), room_id=1)
        variable.set("the publisher's")
        await live.apublish(Said("x"), room_id=1)
        await until(lambda: seen)
        await in_thread(live.publish, Said("x"), room_id=1)
        await until(lambda: len(seen) == 2)
        return seen

    assert run(main()) == ["nobody's"] * 2


# --- outages


def test_publishing_to_a_back_end_that_hangs_is_a_503_after_a_second(broker, hubs):
    (hub,) = hubs()
    hub.backend.hangs = True

    async def main():
        with pytest.raises(ChannelsUnavailable) as caught:
            await live.apublish(Said("x"), room_id=1)
        assert caught.value.status_code == 503
        with pytest.raises(ChannelsUnavailable):
            await in_thread(live.publish, Said("x"), room_id=1)
        with pytest.raises(ChannelsUnavailable):
            async with live.subscribe(room_id=1):
                pass

    with using(hub):
        run(main())
    assert isinstance(hub.backend, BrokerBackend)


def test_cancelled_at_any_point_a_subscription_leaves_nothing_behind(broker, hubs):
    (hub,) = hubs(delay=0.001)

    async def main():
        async def follow():
            async with room.subscribe(room_id=1, since="b-0", user=7) as messages:
                async for _ in messages:
                    pass

        for number in range(60):
            task = asyncio.ensure_future(follow())
            await asyncio.sleep(number / 6000)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await until(lambda: not hub._locals)
        await until(lambda: not hub.backend.subscribed)

    with using(hub):
        run(main())


async def until(is_true):
    """Wait until something is true, which it is soon."""
    while not is_true():
        await asyncio.sleep(0.002)
