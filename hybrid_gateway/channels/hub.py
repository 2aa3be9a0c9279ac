"""The hub of a process: one subscription of the back end for each channel, and the sinks that share it.

How this works: a :class:`LocalChannel` exists while sinks are attached to its name. Messages come from the back end in
order; numbers of offsets tell where one is missing, and history fills the hole before anything else is handed on. After
an outage every channel asks its history, and tells of a gap where that cannot know. What changes a subscription or the
presence of a user is compared with what is wanted and run one after the other by channel, so that quick changes of mind
end in the right state.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from functools import partial
from typing import TypeVar

from hybrid_gateway.channels.backend import (
    BlockingBackend,
    ChannelBackend,
    ChannelsUnavailable,
    Delivery,
    History,
    Replay,
)
from hybrid_gateway.channels.backend_access import BackendAccess
from hybrid_gateway.channels.channel_message import Gap, Message, Position, Sink
from hybrid_gateway.channels.fan_out import Attachment, Feed
from hybrid_gateway.channels.local_channel import HubMeter, LocalChannel, PresenceKeeper, Topic
from hybrid_gateway.channels.presence import PRESENCE, Presence
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.concurrency.unit_of_work import running_loop

logger = logging.getLogger("hybrid_gateway")

T = TypeVar("T")

REPLAY_SECONDS = 5.0
RETRY_SECONDS = 0.5
CONCURRENT_REPLAYS = 16

_is_offset = re.compile(r"[A-Za-z0-9_.~-]{1,44}-[0-9]{1,18}").fullmatch


class Hub:
    """Channels of this process, and the way to a back end. It is the back end's :class:`BackendEvents`."""

    def __init__(self, backend: ChannelBackend) -> None:
        self.backend = backend
        self._access = BackendAccess(backend, self, self._drain_here)
        self.meter: HubMeter | None = None
        self.fault: str | None = None
        """What is wrong, while the back end is away."""
        self._lock = threading.RLock()
        self._locals: dict[str, LocalChannel] = {}
        self._feeds: dict[asyncio.AbstractEventLoop, Feed] = {}
        self._was_connected = False
        self._keeper = PresenceKeeper(self._access, lambda: list(self._locals.values()))
        self._replays = asyncio.Semaphore(CONCURRENT_REPLAYS)

    # --- publishing

    def publish(self, name: str, payload: bytes, history: History | None) -> str:
        """Send a message, on a thread that may wait; return its offset."""
        if isinstance(self.backend, BlockingBackend):
            self._access.start_now()
            try:
                offset = self.backend.publish_blocking(name, payload, history)
            except ChannelsUnavailable as error:
                self._access.note(error)
                raise
            self._access.note(None)
            return offset
        return self._access.call(self._access.ask(self.backend.publish, name, payload, history))

    async def apublish(self, name: str, payload: bytes, history: History | None) -> str:
        """Send a message; return its offset."""
        if isinstance(self.backend, BlockingBackend):
            # On the thread of the request, whose transaction may have begun there; many wait side by side for the disk.
            await self._access.acall(self._access.start())
            return await on_request_thread(self.backend.publish_blocking, name, payload, history)
        return await self._access.acall(self._access.ask(self.backend.publish, name, payload, history))

    def members(self, name: str) -> list[str]:
        """Return who is present, on a thread that may wait."""
        return self._access.call(self._members(name))

    async def amembers(self, name: str) -> list[str]:
        """Return who is present."""
        return await self._access.acall(self._members(name))

    async def _members(self, name: str) -> list[str]:
        local = self._locals.get(name)
        if local is not None:
            await self._access.within(local.settled)
        return await self._access.ask(self.backend.members, name)

    # --- life

    @property
    def is_direct(self) -> bool:
        """True if the back end is the one in memory."""
        return self._access.is_direct

    def start(self) -> None:
        """Begin to connect, without waiting for that."""
        self._access.run_later(self._access.start())

    def leave(self) -> None:
        """Stop for good, while nobody waits for it: close connections, and tell sinks that messages will be missing."""
        self._tell_all()
        self._access.close_later()

    async def stop(self) -> None:
        """Stop for good, and wait until connections are closed."""
        self._tell_all()
        await self._access.close()

    def _tell_all(self) -> None:
        for local in list(self._locals.values()):
            self._hand_out(local, Gap(None))
        self._drain_here()

    # --- sinks

    async def attach(
        self, topic: Topic, sink: Sink, *, since: str | None = None, user: str | None = None
    ) -> Attachment:
        """Attach a sink, on its event loop; history after ``since`` comes before anything else.

        Raises :class:`ChannelsUnavailable`; then, and when it is cancelled, nothing is attached.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            local = self._locals.get(topic.name)
            if local is None:
                local = self._locals[topic.name] = LocalChannel(topic)
                if topic.has_presence:
                    local.presence = Presence(topic.name, self.backend, partial(self._hand_out, local))
            group = local.group_for(self._feed(loop))
            local.count += 1
            must_open = not local.is_open
        holder = user if local.presence is not None else None
        attachment = Attachment(sink, group, lambda attachment: self._detached(local, holder))
        group.attachments[attachment] = None
        if self.meter is not None:
            self.meter.subscribed(topic.template, 1)
        if holder is not None and local.presence is not None:
            local.presence.count(holder, 1)
        try:
            if since:
                attachment.hold()
            if must_open:
                await self._access.acall(self._access.within(self._open, local))
            if holder is not None:
                await self._access.acall(self._access.within(local.settle, holder))
            if since:
                await self._resume(local, attachment, since)
        except BaseException:
            attachment.detach()
            raise
        return attachment

    def position(self, topic: Topic) -> str | None:
        """Return the offset of the last message that the process has had of a channel with history."""
        local = self._locals.get(topic.name)
        return None if local is None or local.last is None else str(local.last)

    @property
    def queued_bytes(self) -> int:
        """Bytes of messages that wait for readers."""
        return sum(feed.queued_bytes for feed in list(self._feeds.values()))

    def _feed(self, loop: asyncio.AbstractEventLoop) -> Feed:
        feed = self._feeds.get(loop)
        if feed is None:
            for other in [other for other in self._feeds if other.is_closed()]:
                self._abandon(self._feeds.pop(other))
            feed = self._feeds[loop] = Feed(loop)
        feed.meter = self.meter
        return feed

    def _abandon(self, feed: Feed) -> None:
        """Detach the sinks of a loop that was closed around them."""
        for local in list(self._locals.values()):
            for group in local.groups:
                if group.feed is feed:
                    for attachment in list(group.attachments):
                        attachment.detach()

    def _detached(self, local: LocalChannel, holder: str | None) -> None:
        if self.meter is not None:
            self.meter.subscribed(local.topic.template, -1)
        with self._lock:
            local.count -= 1
            is_last = not local.count
        if holder is not None and local.presence is not None and not local.presence.count(holder, -1):
            self._access.run_later(local.settle(holder))
        if is_last:
            self._access.run_later(self._close(local))

    async def _open(self, local: LocalChannel) -> None:
        """Subscribe, unless another sink's coming has done so already."""
        async with local.order:
            if local.is_open:
                return
            topic = local.topic
            await self._access.ask(self.backend.subscribe, topic.name)
            if topic.history is not None and local.last is None:
                position = await self._access.ask(self.backend.position, topic.name, topic.history)
                if local.last is None and position is not None:
                    local.last = Position.parse(position)
            if local.presence is not None:
                await self._access.ask(self.backend.subscribe, topic.name + PRESENCE)
                await local.presence.load()
                self._keeper.begin()
            local.is_open = True

    async def _close(self, local: LocalChannel) -> None:
        """Unsubscribe, unless another sink has come meanwhile."""
        name = local.topic.name
        async with local.order:
            with self._lock:
                if local.count:
                    return
                local.is_open = False
            try:
                await self._access.ask(self.backend.unsubscribe, name)
                if local.presence is not None:
                    await self._access.ask(self.backend.unsubscribe, name + PRESENCE)
            except ChannelsUnavailable:
                logger.debug("The back end is away; it forgets the subscription of %s with its connection.", name)
            with self._lock:
                if not local.count and self._locals.get(name) is local:
                    del self._locals[name]
                else:
                    local.last = local.held = None  # messages may have come while nobody listened

    # --- history

    async def _resume(self, local: LocalChannel, attachment: Attachment, since: str) -> None:
        history = local.topic.history
        if history is None:
            attachment.sink.gap(None, False)
            attachment.release(None)
            return
        is_ours = _is_offset(since) is not None
        replay = await self._access.acall(self._replay(local.topic.name, since if is_ours else None, history))
        if not attachment.is_attached:
            return
        known = Position.parse(since) if is_ours and replay.recovered else None
        if not (is_ours and replay.recovered):
            attachment.sink.gap(replay.missed if is_ours else None, False)
        for delivery in replay.messages:
            attachment.sink.deliver(local.recall(delivery))
            known = Position.parse(delivery.offset)
        attachment.release(known)

    async def _replay(self, name: str, since: str | None, history: History) -> Replay:
        async with self._replays:
            return await self._access.ask(self.backend.replay, name, since, history, seconds=REPLAY_SECONDS)

    def _recover(self, local: LocalChannel, *, first: Delivery | None = None) -> None:
        """Hold what comes until history has told what came before."""
        if local.held is not None:
            return
        local.held = [] if first is None else [first]
        self._access.spawn(self._fill_hole(local))

    async def _fill_hole(self, local: LocalChannel) -> None:
        history = local.topic.history
        assert history is not None
        replay: Replay | None = None
        while replay is None and local.count and local.held is not None and len(local.held) <= history.size:
            try:
                replay = await self._replay(local.topic.name, None if local.last is None else str(local.last), history)
            except ChannelsUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("The history of channel %s cannot be read.", local.topic.name)
                break
        held, local.held = local.held or [], None
        if replay is None or not replay.recovered or local.last is None:
            self._hand_out(local, Gap(None if replay is None or local.last is None else replay.missed))
            local.last = None
        for delivery in replay.messages if replay is not None else ():
            # Nothing lies between two of these, even where a new epoch begins: a server that has been restarted.
            local.last = Position.parse(delivery.offset)
            self._hand_out(local, Message(delivery.payload, delivery.offset, arrived=time.perf_counter()))
        for delivery in held:
            self._hand_on(local, delivery, is_complete=False)

    # --- what the back end tells

    def deliver(self, delivery: Delivery) -> None:
        """Hand on a message to all who are attached."""
        local = self._locals.get(delivery.channel)
        if local is None:
            self._deliver_presence(delivery)
        elif local.topic.history is None:
            self._hand_out(local, Message(delivery.payload, delivery.offset, arrived=time.perf_counter()))
        elif local.held is not None:
            local.held.append(delivery)
        else:
            self._hand_on(local, delivery, is_complete=True)

    def _hand_on(self, local: LocalChannel, delivery: Delivery, *, is_complete: bool) -> None:
        """Hand on a message of a channel with history, once; a hole before it is filled first, where that is to be."""
        position, last = Position.parse(delivery.offset), local.last
        if last is not None and not position.follows(last):
            if position.is_known_at(last):
                return
            if is_complete:
                self._recover(local, first=delivery)
                return
            self._hand_out(local, Gap(position.number - last.number - 1 if position.epoch == last.epoch else None))
        local.last = position
        self._hand_out(local, Message(delivery.payload, delivery.offset, arrived=time.perf_counter()))

    def _deliver_presence(self, delivery: Delivery) -> None:
        local = self._locals.get(delivery.channel.removesuffix(PRESENCE))
        if local is not None and local.presence is not None:
            local.presence.hear(delivery.payload)

    def connected(self) -> None:
        """Fill the holes that an outage has left, or tell of them."""
        was_away, self.fault = self.fault is not None, None
        if self._was_connected and was_away:
            logger.warning("The back end of channels is reached again.")
            for local in list(self._locals.values()):
                if local.topic.history is not None:
                    self._recover(local)
                else:
                    self._hand_out(local, Gap(None))
        elif was_away:
            logger.warning("The back end of channels is reached.")
        self._was_connected = True
        if self.meter is not None:
            self.meter.connection_changed(True)

    def disconnected(self, error: Exception) -> None:
        """Note that messages may be lost from here on."""
        if self.fault is None:
            logger.warning("The back end of channels cannot be reached: %s", error)
            if self.meter is not None:
                self.meter.connection_changed(False)
        self.fault = "the back end cannot be reached"

    # --- fan-out

    def _hand_out(self, local: LocalChannel, event: Message | Gap) -> None:
        here = running_loop()
        for group in local.groups:
            if group.attachments:
                group.feed.put(group, event, here)

    def _drain_here(self) -> None:
        loop = running_loop()
        feed = None if loop is None else self._feeds.get(loop)
        if feed is not None and feed.has_pending:
            feed.drain()
