"""Presence: users, not connections; in all processes; healed after a crash."""

import asyncio
import time

import pytest
from django.contrib.auth import get_user_model

from hybrid_gateway.channels import Channel, Joined, Left, local_channel
from hybrid_gateway.channels.local_channel import TTL
from tests.channels.conftest import using
from tests.channels.test_channels import in_thread, run, until

lobby = Channel("lobby:{name}", int, presence=True)
plain = Channel("plain", int)


def test_several_connections_of_a_user_are_one(shared):
    async def main():
        async with lobby.subscribe(name="a") as watcher:
            async with lobby.subscribe(name="a", user=1), lobby.subscribe(name="a", user=2):
                async with lobby.subscribe(name="a", user=1):
                    assert await lobby.apresent(name="a") == ["1", "2"]
                assert await in_thread(lobby.present, name="a") == ["1", "2"]
                assert [await anext(watcher), await anext(watcher)] == [Joined("1"), Joined("2")]
            assert await lobby.apresent(name="a") == []
            assert {await anext(watcher), await anext(watcher)} == {Left("1"), Left("2")}
            assert watcher.is_idle
        assert await lobby.apresent(name="b") == []

    run(main())


def test_a_user_of_two_processes_leaves_with_the_last_connection(hubs):
    one, other = hubs(2)

    async def main():
        async with lobby.subscribe(name="a") as watcher:
            here = lobby.subscribe(name="a", user="ada")
            await here.__aenter__()
            with using(other):
                there = lobby.subscribe(name="a", user="ada")
                await there.__aenter__()
            await here.__aexit__(None, None, None)
            assert await anext(watcher) == Joined("ada")
            assert await lobby.apresent(name="a") == ["ada"]
            await there.__aexit__(None, None, None)
            assert await anext(watcher) == Left("ada")

    with using(one):
        run(main())


def test_after_a_crash_others_see_who_has_gone(hubs, broker, monkeypatch):
    monkeypatch.setattr(local_channel, "RENEW_SECONDS", 0.02)
    one, other = hubs(2)

    async def main():
        async with lobby.subscribe(name="a", user="here") as watcher:
            with using(other):
                await lobby.subscribe(name="a", user="there").__aenter__()
            assert [await anext(watcher), await anext(watcher)] == [Joined("here"), Joined("there")]
            other.backend.is_cut = True
            other.leave()
            for key in broker.present:
                if key[2] is other.backend:
                    broker.present[key] = time.monotonic() - 1
            assert await anext(watcher) == Left("there")
            assert await lobby.apresent(name="a") == ["here"]

    with using(one):
        run(main())


def test_a_back_end_that_forgot_who_is_here_is_told_again(hubs, broker, monkeypatch):
    monkeypatch.setattr(local_channel, "RENEW_SECONDS", 0.02)
    (hub,) = hubs()

    async def main():
        async with lobby.subscribe(name="a", user="ada"):
            broker.present.clear()
            await until(lambda: broker.members("lobby:a") == ["ada"])

    with using(hub):
        run(main())


def test_a_crash_is_healed_within_thirty_seconds():
    assert TTL + local_channel.RENEW_SECONDS + 2 < 30  # its time runs out, and the others compare, within a second


def test_whoever_is_here_when_a_process_ends_has_left(broker, hubs):
    hub, other = hubs(2, delay=0.005)

    async def main():
        async with lobby.subscribe(name="a", user="ada"), lobby.subscribe(name="a", user="bob"):
            assert broker.members("lobby:a") == ["ada", "bob"]
        await hub.stop()
        assert broker.members("lobby:a") == []

    with using(hub):
        run(main())


def test_users_are_known_by_their_primary_key_and_nobody_is_nobody(shared):
    user = get_user_model()(pk=7)

    async def main():
        async with lobby.subscribe(name="a", user=user), lobby.subscribe(name="a", user=get_user_model()()):
            assert await lobby.apresent(name="a") == ["7"]

    run(main())


def test_a_channel_without_presence_says_so(shared):
    with pytest.raises(RuntimeError, match="presence=True"):
        plain.present()


def test_whoever_comes_and_goes_quickly_is_right_in_the_end(hubs):
    (hub,) = hubs(delay=0.001)

    async def visit(number):
        await asyncio.sleep(number / 500)
        async with lobby.subscribe(name="a", user="ada"):
            await asyncio.sleep(number % 3 / 2000)
            assert await lobby.apresent(name="a") == ["ada"]

    async def main():
        async with lobby.subscribe(name="a", queue=10_000) as watcher:
            await asyncio.gather(*(visit(number) for number in range(150)))
            await until(lambda: hub.backend.broker.members("lobby:a") == [])
            await asyncio.sleep(0.02)
            events = []
            while not watcher.is_idle:
                events.append(await anext(watcher))
        assert events == [Joined("ada"), Left("ada")] * (len(events) // 2)
        assert events

    with using(hub):
        run(main())
