"""Presence: who is connected to a channel, in any process.

How this works: a process tells the back end of a user with their first connection and their last, and renews that while
it lives; a message on a channel beside the channel tells the other processes. Each of them knows who is there, compares
that with the back end every few seconds, and tells its sinks of what differs. So a crash, an outage or a lost message
is healed by everyone for themselves, within :data:`TTL` and one comparison.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from hybrid_gateway.channels.backend import ChannelBackend
from hybrid_gateway.channels.channel_message import Message

PRESENCE = "#presence"  # no name of a channel has a ``#``
TTL = 20.0  # seconds
RENEW_SECONDS = 6.0

_Change = Literal["joined", "left"]


class _Event(msgspec.Struct):
    change: _Change
    user: str


_decode = msgspec.json.Decoder(_Event).decode


class Presence:
    """The users of one channel; ``tell`` hands a message to its sinks.

    All but :meth:`count` runs where coroutines of the back end do.
    """

    def __init__(self, channel: str, backend: ChannelBackend, tell: Callable[[Message], None]) -> None:
        self._channel = channel
        self._backend = backend
        self._tell = tell
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}  # of connections to this process
        self._entered: set[str] = set()
        self._known: set[str] | None = None  # who is there, as sinks were told
        self._touched: set[str] = set()  # of whom was heard while the back end was asked

    def count(self, user: str, change: int) -> int:
        """Note that a user has one connection more or less; return how many there are."""
        with self._lock:
            count = self._counts.get(user, 0) + change
            if count:
                self._counts[user] = count
            else:
                self._counts.pop(user, None)
            return count

    @property
    def entered(self) -> Iterable[tuple[str, str]]:
        """The users of whom the back end was told."""
        return [(self._channel, user) for user in self._entered]

    @property
    def unsettled(self) -> list[str]:
        """The users of whom the back end has to be told."""
        return sorted(self._counts.keys() ^ self._entered)

    async def settle(self, user: str) -> None:
        """Tell the back end that a user has come or gone, if that is so, and everybody where it changes anything."""
        backend = self._backend
        if user in self._counts and user not in self._entered:
            self._entered.add(user)
            try:
                is_new = await backend.enter(self._channel, user, TTL)
            except BaseException:
                self._entered.discard(user)
                raise
            if is_new:
                await self._announce("joined", user)
        elif user not in self._counts and user in self._entered:
            is_gone = await backend.leave(self._channel, user)
            self._entered.discard(user)
            if is_gone:
                await self._announce("left", user)

    async def _announce(self, change: _Change, user: str) -> None:
        payload = msgspec.json.encode(_Event(change, user))
        await self._backend.publish(self._channel + PRESENCE, payload, None)

    def hear(self, payload: bytes) -> None:
        """Take what a process, perhaps this one, has announced."""
        event = _decode(payload)
        self._touched.add(event.user)
        if self._known is not None:
            self._note(event.change, event.user)

    def _note(self, change: _Change, user: str) -> None:
        assert self._known is not None
        if (user in self._known) is (change == "joined"):
            return
        if change == "joined":
            self._known.add(user)
        else:
            self._known.discard(user)
        payload = msgspec.json.encode({"user": user})
        self._tell(Message(payload, None, change, time.perf_counter()))

    async def load(self) -> None:
        """Ask who is there, and tell of nobody."""
        self._known = set(await self._backend.members(self._channel))

    async def compare(self) -> None:
        """Ask who is there, and tell sinks of those whose coming or going nobody has announced."""
        if self._known is None:
            return
        self._touched.clear()
        there = set(await self._backend.members(self._channel))
        for user in sorted((there ^ self._known) - self._touched):
            self._note("joined" if user in there else "left", user)
