"""Fan-out in a process: from one message to every sink, each on its own event loop.

How this works: a :class:`Feed` belongs to one event loop. Whoever has a message, on any thread, puts it there once for
all sinks of a channel, and wakes the loop up once for however many messages. On the loop, sinks are called one after
the other, in the order in which messages came, and nobody waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from hybrid_gateway.channels.channel_message import Gap, Message, Position, Sink

logger = logging.getLogger("hybrid_gateway")


class FanOutMeter(Protocol):
    """Receiver of figures; called on any thread."""

    def fanned_out(self, channel: str, seconds: float, sinks: int, /) -> None:
        """Note how long a message took from its arrival until the last sink of a loop had it."""
        ...


class Attachment:
    """A sink, attached to a channel. ``detach()`` is for its loop alone, and may be called again."""

    __slots__ = ("_group", "_held", "_known", "deliver", "gap", "on_detach", "sink")

    def __init__(self, sink: Sink, group: Group, on_detach: Callable[[Attachment], None]) -> None:
        self.sink = sink
        self.deliver: Callable[[Message], None] = sink.deliver
        self.gap: Callable[[int | None, bool], None] = sink.gap
        self.on_detach = on_detach
        self._group = group
        self._held: list[Message | Gap] = []
        self._known: Position | None = None

    @property
    def is_attached(self) -> bool:
        return self in self._group.attachments

    @property
    def group(self) -> Group:
        return self._group

    def detach(self) -> None:
        """Deliver nothing more to the sink."""
        if self._group.attachments.pop(self, self) is None:
            self.deliver, self.gap = _ignore_message, _ignore_gap
            self.on_detach(self)

    def hold(self) -> None:
        """Keep what comes, until :meth:`release`."""
        held = self._held
        self.deliver = held.append
        self.gap = lambda missed, recovered: held.append(Gap(missed, recovered))

    def release(self, known: Position | None) -> None:
        """Deliver what was kept, and from here on what comes, except what lies at ``known`` or before."""
        if not self.is_attached:
            return
        held, self._held, self._known = self._held, [], known
        self.deliver, self.gap = self.sink.deliver if known is None else self._deliver_unknown, self.sink.gap
        for event in held:
            if isinstance(event, Message):
                self.deliver(event)
            else:
                self.gap(*event)

    def _deliver_unknown(self, message: Message) -> None:
        """Deliver unless history has given the message already; the first that it has not is the last to be asked."""
        if message.offset is None:
            self.sink.deliver(message)
        elif self._known is None or not Position.parse(message.offset).is_known_at(self._known):
            self.deliver = self.sink.deliver
            self.sink.deliver(message)


def _ignore_message(message: Message) -> None:
    return None


def _ignore_gap(missed: int | None, recovered: bool) -> None:
    return None


class Group:
    """The sinks of one channel on one loop."""

    __slots__ = ("attachments", "feed", "template")

    def __init__(self, feed: Feed, template: str) -> None:
        self.feed = feed
        self.template = template
        self.attachments: dict[Attachment, None] = {}  # changed on the loop alone


class Feed:
    """The queue of events for the sinks of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.meter: FanOutMeter | None = None
        self.queued_bytes = 0
        """Bytes of messages that wait for readers on this loop."""
        self._pending: deque[tuple[Group, Message | Gap]] = deque()
        self._is_scheduled = False
        self._is_draining = False
        # Sinks are called in a context of nobody's: not in that of whoever publishes.
        self._context = Context()

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def put(self, group: Group, event: Message | Gap, here: asyncio.AbstractEventLoop | None) -> None:
        """Queue an event for a group; ``here`` is the loop of the caller, who calls :meth:`drain` where it is ours."""
        self._pending.append((group, event))
        if self.loop is not here and not self._is_scheduled:
            self._is_scheduled = True
            try:
                self.loop.call_soon_threadsafe(self.drain, context=self._context)
            except RuntimeError:  # the loop is closed, and its sinks with it
                self._pending.clear()

    def drain(self) -> None:
        """Call the sinks, on the loop."""
        if self._is_draining:  # a sink has published: whoever drains comes to it
            return
        self._is_scheduled = False
        self._is_draining = True
        try:
            if asyncio.current_task(self.loop) is None:
                self._deliver_pending()
            else:
                self._context.run(self._deliver_pending)
        finally:
            self._is_draining = False
        if self._pending and not self._is_scheduled:  # others have their turn first
            self._is_scheduled = True
            self.loop.call_soon(self.drain, context=self._context)

    def _deliver_pending(self) -> None:
        pending, meter = self._pending, self.meter
        for _ in range(len(pending)):
            group, event = pending.popleft()
            attachments = list(group.attachments)
            if isinstance(event, Gap):
                for attachment in attachments:
                    try:
                        attachment.gap(*event)
                    except Exception:
                        logger.exception("A sink of a channel has failed.")
                continue
            for attachment in attachments:
                try:
                    attachment.deliver(event)
                except Exception:
                    logger.exception("A sink of a channel has failed.")
            if meter is not None:
                meter.fanned_out(group.template, time.perf_counter() - event.arrived, len(attachments))
