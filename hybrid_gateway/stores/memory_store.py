"""A store in the memory of one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Literal

_FOR_EVER = float("inf")


class MemoryStore:
    """Counters and values of this process alone, ``max_entries`` at most: those that end first go first.

    For one worker, for tests, and where each process may count for itself.
    """

    mode: Literal["inline", "thread"] = "inline"

    def __init__(self, max_entries: int = 100_000) -> None:
        self._max_entries = max_entries
        self._entries: dict[str, tuple[bytes | int, float]] = {}  # and when they end, by the monotonic clock
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._entries)} entries>"

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those of ``keys`` that there are."""
        now = time.monotonic()
        with self._lock:
            found = {key: entry for key in keys if (entry := self._entries.get(key)) is not None}
        return {key: value for key, (value, end) in found.items() if end > now and isinstance(value, bytes)}

    def set_many(self, values: Mapping[str, bytes], seconds: float | None) -> None:
        """Keep values for so many seconds, or for as long as there is room."""
        with self._lock:
            for key, value in values.items():
                self._put(key, value, seconds)

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        """Keep a value unless there is one; return whether there was none."""
        with self._lock:
            if self._live(key) is not None:
                return False
            self._put(key, value, seconds)
            return True

    def delete(self, key: str) -> None:
        """Forget a value, if there is any."""
        with self._lock:
            self._entries.pop(key, None)

    def increment(self, key: str, seconds: int) -> int:
        """Add one to a counter that lives ``seconds`` from its first use, and return it."""
        with self._lock:
            known = self._live(key)
            if known is None or not isinstance(known[0], int):
                self._put(key, 1, seconds)
                return 1
            count = known[0] + 1
            self._entries[key] = count, known[1]
            return count

    def decrement(self, key: str) -> None:
        """Take one back from a counter, if it is still there."""
        with self._lock:
            known = self._live(key)
            if known is not None and isinstance(known[0], int):
                self._entries[key] = known[0] - 1, known[1]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    # --- under the lock

    def _live(self, key: str) -> tuple[bytes | int, float] | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry[1] > time.monotonic() else None

    def _put(self, key: str, value: bytes | int, seconds: float | None) -> None:
        self._entries[key] = value, _FOR_EVER if seconds is None else time.monotonic() + seconds
        if len(self._entries) > self._max_entries:
            now = time.monotonic()
            kept = sorted(((end, name) for name, (_, end) in self._entries.items() if end > now), reverse=True)
            # A tenth at once: sorting for each entry would make every one as dear as all of them.
            last = {name for _, name in kept[: self._max_entries - self._max_entries // 10]}
            self._entries = {name: entry for name, entry in self._entries.items() if name in last or name == key}
