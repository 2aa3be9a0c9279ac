"""The look at all connections once a second: nobody waits long for it."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest

from hybrid_gateway.dispatch.shutdown import Shutdown
from hybrid_gateway.websockets import registry
from hybrid_gateway.websockets.connection import Connection

MANY = 3 * registry.SWEPT_AT_ONCE + 1


class SilentWire:
    """A wire to a client that answers every ping."""

    can_ping = True
    queued = (0, 0)

    def __init__(self, on_ping):
        self.on_ping = on_ping
        self.connection = Connection(self, OPTIONS, "/route")

    def ping(self):
        self.connection.on_pong()
        self.on_ping()

    def close(self, code, reason):
        raise AssertionError(f"closed with {code}: {reason}")


OPTIONS = SimpleNamespace(ping_interval=0.4, idle_timeout=None, max_lifetime=None)


async def sweep(seconds: float) -> tuple[Counter[int], Counter[int]]:
    """Let many connections that came together be looked at; how many pings and looks there were, turn by turn."""
    turn, pings, looks = 0, Counter(), Counter()
    look_after = registry.look_after

    def counting(connection, now):
        looks[turn] += 1
        look_after(connection, now)

    async def nobody(authentications):
        return []

    def on_ping():
        pings[turn] += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "look_after", counting)
        patch.setattr(registry, "SWEEP", 0.02)
        loop = asyncio.get_running_loop()
        connections = registry.LoopConnections(loop, Shutdown(1.0), 1.0, nobody, lambda: None)
        for _ in range(MANY):
            connections.add(SilentWire(on_ping).connection)
        end = loop.time() + seconds
        while loop.time() < end:
            turn += 1
            await asyncio.sleep(0)
        connections.is_still = True
    return pings, looks


def test_no_turn_of_the_loop_looks_at_all_of_them():
    _, looks = asyncio.run(sweep(0.1))
    assert looks.total() >= MANY
    assert max(looks.values()) <= registry.SWEPT_AT_ONCE


def test_those_who_came_together_are_not_pinged_together():
    pings, _ = asyncio.run(sweep(0.45))
    assert pings.total() >= MANY
    assert max(pings.values()) < registry.SWEPT_AT_ONCE
