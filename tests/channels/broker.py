"""A back end of the tests: several hubs in one process share a broker, which can be cut off and can lose messages."""

import asyncio
import random
import time

from hybrid_gateway.channels import ChannelsUnavailable
from hybrid_gateway.channels.backend import Delivery, Replay


class Broker:
    """What the processes share: numbers, history, presence."""

    def __init__(self):
        self.epoch = "b"
        self.numbers: dict[str, int] = {}
        self.history: dict[str, list[tuple[int, bytes]]] = {}
        self.present: dict[tuple[str, str, object], float] = {}
        self.clients: list[BrokerBackend] = []
        self.loses = 0

    def forget(self):
        self.epoch += "x"
        self.numbers.clear()
        self.history.clear()

    def members(self, channel):
        now = time.monotonic()
        return sorted({who for (where, who, _), end in self.present.items() if where == channel and end > now})


class BrokerBackend:
    is_shared = True

    def __init__(self, broker, delay=0.0):
        self.broker, self.delay = broker, delay
        self.subscribed = set()
        self.is_cut = self.hangs = False
        broker.clients.append(self)

    async def start(self, events):
        self.events, self.loop = events, asyncio.get_running_loop()
        events.connected()

    async def stop(self):
        self.broker.clients.remove(self)

    def cut(self):
        self.is_cut = True
        self.loop.call_soon_threadsafe(self.events.disconnected, ConnectionError("cut"))

    def mend(self):
        self.is_cut = False
        self.loop.call_soon_threadsafe(self.events.connected)

    async def _reach(self):
        await asyncio.sleep(self.delay * random.random() * 2)
        if self.hangs:
            await asyncio.sleep(60)
        if self.is_cut:
            raise ChannelsUnavailable("cut")

    async def publish(self, channel, payload, history):
        await self._reach()
        broker = self.broker
        number = broker.numbers[channel] = broker.numbers.get(channel, 0) + 1
        if history is not None:
            kept = broker.history.setdefault(channel, [])
            kept.append((number, payload))
            del kept[: -history.size]
        delivery = Delivery(channel, f"{broker.epoch}-{number}", payload)
        if broker.loses:
            broker.loses -= 1
            return delivery.offset
        for client in list(broker.clients):
            if channel in client.subscribed and not client.is_cut:
                client.loop.call_soon_threadsafe(client._hear, delivery)
        return delivery.offset

    def _hear(self, delivery):
        if delivery.channel in self.subscribed and not self.is_cut:
            self.events.deliver(delivery)

    async def subscribe(self, channel):
        await self._reach()
        self.subscribed.add(channel)

    async def unsubscribe(self, channel):
        await self._reach()
        self.subscribed.discard(channel)

    async def replay(self, channel, since, history):
        await self._reach()
        epoch, _, number = (since or "").rpartition("-")
        kept = self.broker.history.get(channel, [])
        known = epoch == self.broker.epoch and int(number) <= self.broker.numbers.get(channel, 0)
        after = int(number) if known else 0
        messages = [Delivery(channel, f"{self.broker.epoch}-{n}", payload) for n, payload in kept if n > after]
        if since is None:
            return Replay(messages, True, 0)
        if not known:
            return Replay(messages, False, None)
        missed = self.broker.numbers.get(channel, 0) - after - len(messages)
        return Replay(messages, not missed, missed)

    async def position(self, channel, history):
        await self._reach()
        return f"{self.broker.epoch}-{self.broker.numbers.get(channel, 0)}"

    async def enter(self, channel, member, ttl):
        await self._reach()
        is_new = member not in self.broker.members(channel)
        self.broker.present[channel, member, self] = time.monotonic() + ttl
        return is_new

    async def keep(self, present, ttl):
        await self._reach()
        for channel, member in present:
            self.broker.present[channel, member, self] = time.monotonic() + ttl

    async def leave(self, channel, member):
        await self._reach()
        was_there = self.broker.present.pop((channel, member, self), None) is not None
        return was_there and member not in self.broker.members(channel)

    async def members(self, channel):
        await self._reach()
        return self.broker.members(channel)
