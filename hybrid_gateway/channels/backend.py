"""The protocol of back ends: what carries messages of channels between processes.

How this works: one back end per process, and all its coroutines run on one event loop, that of the channels. It knows
names of channels and bytes; types, subscribers and their queues are none of its business.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class History(NamedTuple):
    """How much of a channel is kept: at most ``size`` messages, for ``ttl`` seconds."""

    size: int
    ttl: float


class Delivery(NamedTuple):
    """One message as a back end hands it on."""

    channel: str
    offset: str
    """Place of the message in its channel: opaque to all but the back end, text of at most 64 URL-safe characters."""
    payload: bytes


class Replay(NamedTuple):
    """What a channel holds after an offset."""

    messages: list[Delivery]
    recovered: bool
    """Whether nothing is missing between the offset and the first message."""
    missed: int | None
    """How many messages are missing, where anybody can know."""


class BackendEvents(Protocol):
    """What a back end tells; called on the loop of the channels."""

    def deliver(self, delivery: Delivery) -> None:
        """Hand on a message of a channel that is subscribed to, in the order of its channel."""
        ...

    def connected(self) -> None:
        """Tell that messages flow (again): every subscription is in place."""
        ...

    def disconnected(self, error: Exception) -> None:
        """Tell that messages may be lost from here on, until :meth:`connected`."""
        ...


class ChannelBackend(Protocol):
    """What carries messages. ``publish`` and the like raise ``ChannelsUnavailable`` where they cannot."""

    is_shared: bool
    """Whether other processes see the messages."""

    async def start(self, events: BackendEvents) -> None:
        """Begin to connect and to listen; return without waiting for that, and connect anew, with back-off, until
        :meth:`stop`."""
        ...

    async def stop(self) -> None:
        """Close every connection."""
        ...

    async def publish(self, channel: str, payload: bytes, history: History | None) -> str:
        """Send a message to all who subscribe, keep it where there is history; return its offset."""
        ...

    async def subscribe(self, channel: str) -> None:
        """Have messages of a channel delivered, from when this returns."""
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Have no more of them delivered."""
        ...

    async def replay(self, channel: str, since: str | None, history: History) -> Replay:
        """Return what history holds after ``since``, oldest first; with ``None`` all of it."""
        ...

    async def enter(self, channel: str, member: str, ttl: float) -> bool:
        """Note that ``member`` is present for ``ttl`` seconds; return whether it was not before."""
        ...

    async def leave(self, channel: str, member: str) -> bool:
        """Forget that; return whether it was there."""
        ...

    async def members(self, channel: str) -> list[str]:
        """Return who is present."""
        ...
