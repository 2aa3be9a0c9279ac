"""The protocol of back ends: what carries messages of channels between processes.

How this works: one back end per process, and all its coroutines run on one event loop, that of the channels. It knows
names of channels and bytes; types, subscribers and their queues are none of its business.

An offset is ``EPOCH-NUMBER``. Where there is history, the messages of a channel are numbered one by one in the order of
their deliveries, and of one epoch a number is given once: whoever gets a message with the next number has missed
nothing, one that is not higher is known already, and anything else is a case for :meth:`ChannelBackend.replay`. A new
epoch begins where messages may have been forgotten. Without history an offset is unique, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from hybrid_gateway.exceptions import ServiceUnavailable


class ChannelsUnavailable(ServiceUnavailable):
    """The back end of channels cannot be reached; 503 where it ends a request. The hub has logged why."""

    quiet = True

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, extra: Any = None) -> None:
        # SECURITY: the reason names servers; clients are told the status alone.
        super().__init__(
            "Messages cannot be carried now.", headers={"Retry-After": "5", **(headers or {})}, extra=extra
        )
        self.reason = detail

    def __str__(self) -> str:
        return self.reason or super().__str__()


class History(NamedTuple):
    """The part of a channel that is kept: at most ``size`` messages, for ``ttl`` seconds."""

    size: int
    ttl: float


class Delivery(NamedTuple):
    """One message as a back end hands it on."""

    channel: str
    offset: str
    """Place of the message in its channel, ``EPOCH-NUMBER``: text of at most 64 URL-safe characters."""
    payload: bytes


class Replay(NamedTuple):
    """The messages of a channel after an offset."""

    messages: list[Delivery]
    recovered: bool
    """Whether nothing is missing between the offset and the first message."""
    missed: int | None
    """How many messages are missing, where anybody can know."""


class BackendEvents(Protocol):
    """Receiver of what a back end tells; called on the loop of the channels."""

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
    """Carrier of messages. ``publish`` and the like raise ``ChannelsUnavailable`` where they cannot."""

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
        """Send a message to all who subscribe, keep it where there is history; return its offset.

        Messages are sent in the order of the calls. Raises ``ChannelsUnavailable`` after a second at most.
        """
        ...

    async def subscribe(self, channel: str) -> None:
        """Have messages of a channel delivered, from when this returns; if it raises, they are not.

        Connections may come and go from then on: :class:`BackendEvents` are told.
        """
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Have no more of them delivered."""
        ...

    async def replay(self, channel: str, since: str | None, history: History) -> Replay:
        """Return what history holds after ``since``, oldest first; with ``None`` all of it."""
        ...

    async def position(self, channel: str, history: History) -> str | None:
        """Return the offset of the last message of a channel, ``EPOCH-0`` where there was none, to ``replay`` after it.

        ``None`` where the back end cannot tell before a message comes.
        """
        ...

    async def enter(self, channel: str, member: str, ttl: float) -> bool:
        """Note that this process has ``member`` present for ``ttl`` seconds; return whether no process had before."""
        ...

    async def keep(self, present: Sequence[tuple[str, str]], ttl: float) -> None:
        """Have members that entered, each a channel and a member, present for ``ttl`` seconds from now on."""
        ...

    async def leave(self, channel: str, member: str) -> bool:
        """Forget that this process has ``member`` present; return whether no process has any more, though one had."""
        ...

    async def members(self, channel: str) -> list[str]:
        """Return whom any process has present, each once, sorted."""
        ...


@runtime_checkable
class BlockingBackend(Protocol):
    """A :class:`ChannelBackend` that can publish on the thread of whoever publishes, and in its transaction."""

    def publish_blocking(self, channel: str, payload: bytes, history: History | None) -> str:
        """Do what ``publish`` does, on a thread that may wait: a message is sent when the transaction is committed."""
        ...
