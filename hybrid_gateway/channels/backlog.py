"""Bounded queues between what comes and who reads, with a rule for what happens when they are full."""

from __future__ import annotations

from collections import deque
from typing import Generic, Literal, TypeVar

from hybrid_gateway.channels.channel_message import Gap

T = TypeVar("T")

Overflow = Literal["drop_oldest", "drop_newest", "latest", "close"]


class Backlog(Generic[T]):
    """A queue of at most ``size`` items, and of ``max_bytes`` bytes, as far as whoever pushes tells their weights.

    What does not fit is dropped by ``policy``, and counted: at its place in the queue stands a :class:`Gap`.
    ``"drop_oldest"`` drops from the front, ``"drop_newest"`` what comes, ``"latest"`` all but what comes, and
    ``"close"`` everything, after which nothing more is taken.
    """

    __slots__ = ("bytes", "dropped", "entries", "is_closed", "items", "max_bytes", "policy", "size")

    def __init__(self, size: int, policy: Overflow = "drop_oldest", max_bytes: int | None = None) -> None:
        if size < 1:
            raise ValueError(f"A backlog of {size} messages holds none; give 1 or more.")
        self.size, self.policy, self.max_bytes = size, policy, max_bytes
        self.items = self.bytes = self.dropped = 0
        self.is_closed = False
        self.entries: deque[tuple[T, int] | Gap] = deque()
        """What there is to read, always the same queue; changed by the methods alone."""

    def __len__(self) -> int:
        """Return how many entries there are to read, items and gaps."""
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<Backlog {self.items} of {self.size}, {self.bytes} bytes, {self.dropped} dropped>"

    def push(self, item: T, weight: int = 0) -> int:
        """Add an item of ``weight`` bytes; return how many were dropped for it, itself included."""
        if self.items < self.size and (self.max_bytes is None or self.bytes + weight <= self.max_bytes):
            if self.is_closed:
                return 1
            self._append(item, weight)
            return 0
        before = self.dropped
        if self.policy == "drop_newest":
            self.dropped += 1
            self.push_gap(1)
        elif self.policy == "drop_oldest":
            self._make_room(weight)
            self._append(item, weight)
        else:
            self.is_closed = self.policy == "close"
            lost = self._clear() + self.is_closed
            self.dropped += lost
            if lost:
                self.push_gap(lost)
            if not self.is_closed:  # one item is always taken, however large: something must get through
                self._append(item, weight)
        return self.dropped - before

    def push_gap(self, missed: int | None, recovered: bool = False) -> None:
        """Add a place where messages are missing, to the one before it where nothing lies between."""
        gap = Gap(missed, recovered)
        last = self.entries[-1] if self.entries else None
        if isinstance(last, Gap):
            self.entries[-1] = _merge(last, gap)
        else:
            self.entries.append(gap)

    def close(self) -> None:
        """Forget everything, and take nothing more."""
        self.is_closed = True
        self.entries.clear()
        self.items = self.bytes = 0

    def pop(self) -> T | Gap:
        """Take the first entry; raise ``IndexError`` where there is none."""
        entry = self.entries.popleft()
        if isinstance(entry, Gap):
            return entry
        item, weight = entry
        self.items -= 1
        self.bytes -= weight
        return item

    def _append(self, item: T, weight: int) -> None:
        self.entries.append((item, weight))
        self.items += 1
        self.bytes += weight

    def _make_room(self, weight: int) -> None:
        gap: Gap | None = None
        while self.items and (
            self.items >= self.size or (self.max_bytes is not None and self.bytes + weight > self.max_bytes)
        ):
            entry = self.pop()
            if isinstance(entry, Gap):
                gap = entry if gap is None else _merge(gap, entry)
            else:
                self.dropped += 1
                gap = Gap(1) if gap is None else _merge(gap, Gap(1))
        if gap is not None:
            first = self.entries[0] if self.entries else None
            if isinstance(first, Gap):
                self.entries[0] = _merge(gap, first)
            else:
                self.entries.appendleft(gap)

    def _clear(self) -> int:
        """Forget all items, and return how many messages are missing for it, without gaps of unknown size."""
        lost = self.items
        gaps = [entry for entry in self.entries if isinstance(entry, Gap)]
        self.entries.clear()
        self.items = self.bytes = 0
        for gap in gaps:
            self.push_gap(gap.missed, gap.recovered)
        return lost


def _merge(one: Gap, other: Gap) -> Gap:
    missed = None if one.missed is None or other.missed is None else one.missed + other.missed
    return Gap(missed, one.recovered and other.recovered)
