"""Subscriptions: the values of a channel, one by one, to whoever iterates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar, cast

import msgspec

from hybrid_gateway.channels.backlog import Backlog
from hybrid_gateway.channels.channel_message import Gap, Joined, Left, Message, MessagesMissed, Sink
from hybrid_gateway.channels.fan_out import Attachment

T = TypeVar("T")


class Subscription(Generic[T]):
    """The values of a channel: ``async with room.subscribe(...) as messages``, then ``async for value in messages``.

    With presence ``Joined`` and ``Left`` are among them, and with ``gaps`` each :class:`Gap`. Without that,
    :class:`MessagesMissed` is raised there; who catches it may go on reading, except where overflow closes.
    """

    def __init__(
        self,
        attach: Callable[[Sink], Awaitable[Attachment]],
        decode: Callable[[bytes], T],
        backlog: Backlog[Message],
        *,
        gaps: bool,
        since: str | None,
        position: Callable[[], str | None],
        on_drop: Callable[[int], None],
    ) -> None:
        self.offset: str | None = since
        """Offset of the last message that was read; before the first, where the subscription begins, if known."""
        self._attach, self._decode, self._backlog = attach, decode, backlog
        self._gaps, self._position, self._on_drop = gaps, position, on_drop
        self._attachment: Attachment | None = None
        self._has_more = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Subscription at {self.offset}: {self._backlog!r}>"

    @property
    def dropped(self) -> int:
        """The number of messages that were dropped so far, because reading was too slow."""
        return self._backlog.dropped

    @property
    def is_idle(self) -> bool:
        """True if there is no message to read now."""
        return not self._backlog.items

    async def __aenter__(self) -> Subscription[T]:
        """Subscribe. Raises ``ChannelsUnavailable``."""
        if self._attachment is not None:
            raise RuntimeError("A subscription is entered once.")
        self._attachment = await self._attach(self)
        if self.offset is None or (self._backlog and self.is_idle):  # a gap, and nothing that says where it ends
            self.offset = self._position()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the subscription; nothing is awaited."""
        assert self._attachment is not None
        self._attachment.detach()
        self._attachment.group.feed.queued_bytes -= self._backlog.bytes
        self._backlog.close()
        self._has_more.set()

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        """Return the next value, once there is one."""
        event = await self.next_event()
        if isinstance(event, Message):
            if event.kind == "data":
                return self._decode(event.payload)
            return cast("T", event.cached(_presence_of))
        if self._gaps:
            return cast("T", event)
        raise MessagesMissed(event.missed)

    async def next_event(self) -> Message | Gap:
        """Return the next message as it is, or a gap; raise ``StopAsyncIteration`` at the end."""
        while not self._backlog:
            if self._backlog.is_closed:
                raise StopAsyncIteration
            if self._attachment is None:
                raise RuntimeError("Enter the subscription first: async with channel.subscribe(...) as messages.")
            self._has_more.clear()
            await self._has_more.wait()
        event = self._backlog.pop()
        if isinstance(event, Message):
            self._count_bytes(-len(event.payload))
            self.offset = event.offset or self.offset
        return event

    # --- as a sink

    def deliver(self, message: Message, /) -> None:
        """Queue a message."""
        before = self._backlog.bytes
        dropped = self._backlog.push(message, len(message.payload))
        self._count_bytes(self._backlog.bytes - before)
        if dropped:
            self._on_drop(dropped)
            if self._backlog.is_closed and self._attachment is not None:
                self._attachment.detach()
        self._has_more.set()

    def gap(self, missed: int | None, recovered: bool, /) -> None:
        """Queue a gap."""
        self._backlog.push_gap(missed, recovered)
        self._has_more.set()

    def _count_bytes(self, change: int) -> None:
        if self._attachment is not None:
            self._attachment.group.feed.queued_bytes += change


def _presence_of(message: Message) -> Joined | Left:
    kind: type[Joined] | type[Left] = Joined if message.kind == "joined" else Left
    return msgspec.json.decode(message.payload, type=kind)
