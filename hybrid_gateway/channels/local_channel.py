"""One channel as a process knows it, and what is counted of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import NamedTuple, Protocol

from hybrid_gateway.channels.backend import ChannelsUnavailable, Delivery, History
from hybrid_gateway.channels.backend_access import BackendAccess
from hybrid_gateway.channels.channel_message import Message, Position
from hybrid_gateway.channels.fan_out import FanOutMeter, Feed, Group
from hybrid_gateway.channels.presence import RENEW_SECONDS, TTL, Presence

logger = logging.getLogger("hybrid_gateway")

RECALL_SECONDS = 1.0  # that a message of history is kept, made of it, for the next client that missed it


class HubMeter(FanOutMeter, Protocol):
    """Receiver of figures; called on any thread."""

    def subscribed(self, channel: str, change: int, /) -> None:
        """Note that so many more sinks are attached to channels of a template."""
        ...

    def dropped(self, channel: str, count: int, /) -> None:
        """Note that messages were dropped, because a reader was too slow."""
        ...

    def connection_changed(self, is_connected: bool, /) -> None:
        """Note that the back end has gone, or has come back."""
        ...


class Topic(NamedTuple):
    """A channel of a template: its name, and how it is kept."""

    name: str
    template: str
    history: History | None
    has_presence: bool


class LocalChannel:
    """One channel as the process knows it, while sinks are attached to it."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.count = 0  # of sinks; changed below the lock of the hub, as is is_open
        self.is_open = False
        self.groups: tuple[Group, ...] = ()
        self.order = asyncio.Lock()
        self.last: Position | None = None
        self.held: list[Delivery] | None = None  # while history is asked
        self.presence: Presence | None = None
        self._recalled: dict[str, Message] = {}
        self._recall_ends = 0.0

    def recall(self, delivery: Delivery) -> Message:
        """Return the message of what history has told; clients that come back at once get the same one."""
        # PERF: each would have to be encoded for each of them, in the moment when there is most to do.
        now = time.monotonic()
        if now >= self._recall_ends:
            self._forget()
            self._recall_ends = now + RECALL_SECONDS
            asyncio.get_running_loop().call_later(RECALL_SECONDS, self._forget, context=Context())
        message = self._recalled.get(delivery.offset)
        if message is None:
            message = self._recalled[delivery.offset] = Message(delivery.payload, delivery.offset)
        return message

    def _forget(self) -> None:
        self._recalled = {}

    def group_for(self, feed: Feed) -> Group:
        for group in self.groups:
            if group.feed is feed:
                return group
        group = Group(feed, self.topic.template)
        self.groups = (*(group for group in self.groups if not group.feed.loop.is_closed()), group)
        return group

    async def settled(self) -> None:
        """Wait until the back end was told of everybody who has come or gone so far."""
        async with self.order:
            return

    async def settle(self, user: str) -> None:
        """Tell the back end whether a user is here."""
        if self.presence is not None:
            async with self.order:
                await self.presence.settle(user)


class PresenceKeeper:
    """A task that renews the users of this process every few seconds, and sees who else has come or gone."""

    def __init__(self, access: BackendAccess, channels: Callable[[], Sequence[LocalChannel]]) -> None:
        self._access = access
        self._channels = channels
        self._has_begun = False

    def begin(self) -> None:
        """Begin, where other processes could come and go; on the loop of the channels."""
        if not self._has_begun and not self._access.is_direct:
            self._has_begun = True
            self._access.spawn(self._keep())

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._renew()
            except ChannelsUnavailable:
                continue  # whoever is missing then comes with the next comparison
            except Exception:
                logger.exception("Presence cannot be renewed.")

    async def _renew(self) -> None:
        channels = [(local, local.presence) for local in self._channels() if local.presence is not None]
        entered = [pair for _, presence in channels for pair in presence.entered]
        if entered:
            await self._access.ask(self._access.backend.keep, entered, TTL)
        for local, presence in channels:
            for user in presence.unsettled:
                await self._access.within(local.settle, user)
            await self._access.within(presence.compare)
