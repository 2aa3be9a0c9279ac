"""The back end of one process: messages reach nobody else, and history ends with it."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Sequence

from hybrid_gateway.channels.backend import BackendEvents, Delivery, History, Replay
from hybrid_gateway.channels.channel_message import Position

_PRUNE_EVERY = 512  # calls; only then does anybody look for channels whose time is over


class _Kept:
    """Messages that are kept of one channel; every instance has an epoch of its own, so no number is given twice."""

    __slots__ = ("entries", "epoch", "last", "until")

    def __init__(self) -> None:
        self.epoch = secrets.token_urlsafe(6).replace("-", "_")
        self.last = 0
        self.entries: deque[tuple[int, float, bytes]] = deque()  # number, end of its time, payload
        self.until = 0.0

    def forget(self, size: int, now: float) -> None:
        entries = self.entries
        while entries and (len(entries) > size or entries[0][1] <= now):
            entries.popleft()


class MemoryBackend:
    """Messages, history and presence of this process. Its coroutines never wait, so they may run where they are called.

    Whoever calls sees to it that only one runs at a time.
    """

    is_shared = False

    def __init__(self) -> None:
        self._epoch = secrets.token_urlsafe(6).replace("-", "_")
        self._count = 0
        self._calls = 0
        self._kept: dict[str, _Kept] = {}
        self._present: dict[str, dict[str, None]] = {}
        self._subscribed: set[str] = set()
        self._events: BackendEvents | None = None

    def forget(self) -> None:
        """Forget history and presence, as a new process would have none."""
        self._kept.clear()
        self._present.clear()

    async def start(self, events: BackendEvents) -> None:
        """Begin to deliver."""
        self._events = events
        events.connected()

    async def stop(self) -> None:
        """Deliver no more."""
        self._events = None

    async def publish(self, channel: str, payload: bytes, history: History | None) -> str:
        """Deliver a message at once; return its offset."""
        if history is None:
            self._count += 1
            offset = f"{self._epoch}-{self._count}"
        else:
            kept = self._keep(channel, history)
            kept.last += 1
            offset = f"{kept.epoch}-{kept.last}"
            now = time.monotonic()
            kept.entries.append((kept.last, now + history.ttl, payload))
            kept.forget(history.size, now)
        if self._events is not None and channel in self._subscribed:
            self._events.deliver(Delivery(channel, offset, payload))
        return offset

    async def subscribe(self, channel: str) -> None:
        """Have messages delivered."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Have them delivered no more."""
        self._subscribed.discard(channel)

    async def replay(self, channel: str, since: str | None, history: History) -> Replay:
        """Return what is kept after ``since``; ``missed`` is known, since numbers of an epoch have no holes."""
        kept = self._keep(channel, history)
        kept.forget(history.size, time.monotonic())
        position = None if since is None else Position.parse(since)
        is_known = position is not None and position.epoch == kept.epoch and position.number <= kept.last
        after = position.number if position is not None and is_known else 0
        messages = [
            Delivery(channel, f"{kept.epoch}-{number}", payload)
            for number, _, payload in kept.entries
            if number > after
        ]
        if position is None:
            return Replay(messages, True, 0)
        if not is_known:
            return Replay(messages, False, None)
        missed = kept.last - after - len(messages)
        return Replay(messages, missed == 0, missed)

    async def position(self, channel: str, history: History) -> str | None:
        """Return the offset of the last message."""
        kept = self._keep(channel, history)
        return f"{kept.epoch}-{kept.last}"

    async def enter(self, channel: str, member: str, ttl: float) -> bool:
        """Note that somebody is present, who is as long as the process does not end or says otherwise."""
        present = self._present.setdefault(channel, {})
        is_new = member not in present
        present[member] = None
        return is_new

    async def keep(self, present: Sequence[tuple[str, str]], ttl: float) -> None:
        """Do nothing: nobody is forgotten here."""

    async def leave(self, channel: str, member: str) -> bool:
        """Note that somebody has gone."""
        present = self._present.get(channel, {})
        was_there = member in present
        present.pop(member, None)
        if not present:
            self._present.pop(channel, None)
        return was_there

    async def members(self, channel: str) -> list[str]:
        """Return who is present."""
        return sorted(self._present.get(channel, ()))

    def _keep(self, channel: str, history: History) -> _Kept:
        self._calls += 1
        now = time.monotonic()
        if self._calls % _PRUNE_EVERY == 0:
            for name in [name for name, kept in self._kept.items() if kept.until <= now]:
                if name not in self._subscribed:
                    del self._kept[name]
        kept = self._kept.get(channel)
        if kept is None:
            kept = self._kept[channel] = _Kept()
        kept.until = max(kept.until, now + history.ttl)
        return kept
