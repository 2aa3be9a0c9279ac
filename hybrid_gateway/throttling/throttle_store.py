"""The counters of rate limits, those of routes and those of logins.

How this works: windows are fixed slices of time, and each has one counter per client, which the store increments. That
is one operation, so no burst slips through between reading and writing. Another store is another :data:`STORE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from hybrid_gateway.cache_connections import execution_mode, log_cache_down, log_cache_up, thread_cache
from hybrid_gateway.exceptions import ServiceUnavailable


class StoreUnavailable(ServiceUnavailable):
    """503 while the counters cannot be reached, which the store has logged."""

    quiet = True


class ThrottleStore(Protocol):
    """Counters by key, for all processes that answer for one site."""

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """The place to call :meth:`increment`: the request's thread, where it waits for somebody else."""
        ...

    def increment(self, key: str, seconds: int) -> int:
        """Add one to a counter that lives ``seconds`` from its first use, and return it; atomic.

        Raises :class:`StoreUnavailable` where nobody can tell.
        """
        ...

    def decrement(self, key: str) -> None:
        """Take one back; raises nothing where the counter is gone or cannot be reached."""
        ...


class CacheStore:
    """Counters in the cache ``alias`` of ``CACHES``.

    Redis and Memcached count atomically for several processes; Django's local-memory cache for each process alone.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """The place to call it."""
        return execution_mode(self._alias)

    def increment(self, key: str, seconds: int) -> int:
        """Add one to a counter, and return it."""
        try:
            cache = thread_cache(self._alias)
            for _ in range(3):
                try:
                    count = cache.incr(key)
                except ValueError:  # there is no counter yet; of many who see that, one adds it
                    count = int(cache.add(key, 1, timeout=seconds + 1))
                if count:
                    break
            else:
                raise ConnectionError("it neither keeps nor adds a counter")
        except Exception as error:  # which one, is up to the client of the cache
            log_cache_down(self._alias, error)
            raise StoreUnavailable(headers={"Retry-After": "5"}) from None
        log_cache_up(self._alias)
        return count

    def decrement(self, key: str) -> None:
        """Take one back."""
        try:
            thread_cache(self._alias).decr(key)
        except ValueError:
            return  # its window is over
        except Exception as error:
            log_cache_down(self._alias, error)


STORE: Callable[[str], ThrottleStore] = CacheStore
"""Makes the store of an alias, which is what ``Throttle(cache=...)`` and ``TOKENS["THROTTLE_CACHE"]`` name."""
