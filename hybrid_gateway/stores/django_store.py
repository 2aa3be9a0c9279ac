"""A store in one of Django's caches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from hybrid_gateway.cache_connections import execution_mode, thread_cache
from hybrid_gateway.stores.store_protocol import told


class DjangoCacheStore:
    """Counters and values in the cache ``alias`` of ``CACHES``.

    Redis and Memcached count atomically for several processes; Django's local-memory cache for each process alone.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __repr__(self) -> str:
        return f"DjangoCacheStore({self._alias!r})"

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """The place to call it."""
        return execution_mode(self._alias)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those of ``keys`` that there are."""
        with told(self._alias):
            return {
                key: value for key, value in thread_cache(self._alias).get_many(keys).items() if type(value) is bytes
            }

    def set_many(self, values: Mapping[str, bytes], seconds: float | None) -> None:
        """Keep values for so many seconds, or for as long as there is room."""
        with told(self._alias):
            thread_cache(self._alias).set_many(dict(values), timeout=seconds)

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        """Keep a value unless there is one; return whether there was none."""
        with told(self._alias):
            return bool(thread_cache(self._alias).add(key, value, timeout=seconds))

    def delete(self, key: str) -> None:
        """Forget a value, if there is any."""
        with told(self._alias):
            thread_cache(self._alias).delete(key)

    def increment(self, key: str, seconds: int) -> int:
        """Add one to a counter that lives ``seconds`` from its first use, and return it."""
        with told(self._alias):
            cache = thread_cache(self._alias)
            for _ in range(3):
                try:
                    count = int(cache.incr(key))
                except ValueError:  # there is no counter yet; of many who see that, one adds it
                    count = int(cache.add(key, 1, timeout=seconds + 1))
                if count:
                    return count
            raise ConnectionError("it neither keeps nor adds a counter")

    def decrement(self, key: str) -> None:
        """Take one back from a counter, if it is still there."""
        with told(self._alias):
            try:
                thread_cache(self._alias).decr(key)
            except ValueError:
                return  # its window is over
