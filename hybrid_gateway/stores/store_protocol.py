"""The one interface of what counts rate limits and keeps responses, and the error of one that is away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Protocol, runtime_checkable

from hybrid_gateway.cache_connections import log_cache_down, log_cache_up
from hybrid_gateway.exceptions import ServiceUnavailable


class StoreUnavailable(ServiceUnavailable):
    """503 while a store cannot be reached, which it has logged."""

    quiet = True


@runtime_checkable
class Store(Protocol):
    """Counters and values by key, for all processes that answer for one site; used by many threads at once.

    Keys are ASCII, of at most 100 characters. Each method raises :class:`StoreUnavailable` where nobody can tell.
    """

    @property
    def mode(self) -> Literal["inline", "thread"]:
        """The place to call the methods: the request's thread, where they wait for somebody else."""
        ...

    def get_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        """Return the values of those of ``keys`` that there are."""
        ...

    def set_many(self, values: Mapping[str, bytes], seconds: float | None) -> None:
        """Keep values for so many seconds, or (``None``) for as long as there is room."""
        ...

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        """Keep a value unless there is one; return whether there was none. Atomic: of several callers one gets True."""
        ...

    def delete(self, key: str) -> None:
        """Forget a value, if there is any."""
        ...

    def increment(self, key: str, seconds: int) -> int:
        """Add one to a counter that lives ``seconds`` from its first use, and return it; atomic."""
        ...

    def decrement(self, key: str) -> None:
        """Take one back from a counter, if it is still there."""
        ...


@contextmanager
def told(name: str) -> Iterator[None]:
    """Log an outage of the store ``name`` once, and its end; raise :class:`StoreUnavailable` for whatever fails."""
    try:
        yield
    except Exception as error:  # which one, is up to the client of the store
        log_cache_down(name, error)
        raise StoreUnavailable(headers={"Retry-After": "5"}) from None
    log_cache_up(name)
