"""A store in Redis or Valkey, by redis-py: each operation is one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hybrid_gateway.exceptions import SettingsError
from hybrid_gateway.stores.store_protocol import told

# Redis runs a script as one operation, so the counter never outlives its window, whatever becomes of the client.
_INCREMENT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
"""
_DECREMENT = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECR', KEYS[1]) end return 0"
TIMEOUT = 1.0  # seconds until a Redis that does not answer counts as away


class RedisStore:
    """Counters and values in the Redis at ``url``: ``redis://``, ``rediss://``, ``unix://``, ``valkey://``.

    ``prefix`` stands before each key. Connections are made when first needed, ``max_connections`` at most.
    """

    mode: Literal["inline", "thread"] = "thread"

    def __init__(self, url: str, *, prefix: str = "", timeout: float = TIMEOUT, max_connections: int = 64) -> None:
        try:
            import redis
        except ImportError as error:
            raise SettingsError('RedisStore needs redis-py: install "hybrid-gateway[channels]".', id="S007") from error
        url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                timeout=timeout,
                max_connections=max_connections,
            )
        except (ValueError, TypeError) as error:
            raise SettingsError(f"The address of the Redis is not understood: {error}", id="S006") from None
        self._client: Any = redis.Redis(connection_pool=pool)
        options = pool.connection_kwargs  # SECURITY: the address has a password in it
        self._name = f"Redis at {options.get('path') or options.get('host', 'localhost')}"
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"<RedisStore: {self._name}>"

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those of ``keys`` that there are."""
        names = list(keys)
        with told(self._name):
            values = self._client.mget([self._prefix + name for name in names])
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def set_many(self, values: Mapping[str, bytes], seconds: float | None) -> None:
        """Keep values for so many seconds, or for as long as there is room."""
        with told(self._name), self._client.pipeline(transaction=False) as pipeline:
            for key, value in values.items():
                pipeline.set(self._prefix + key, value, px=_milliseconds(seconds))
            pipeline.execute()

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        """Keep a value unless there is one; return whether there was none."""
        with told(self._name):
            return bool(self._client.set(self._prefix + key, value, px=_milliseconds(seconds), nx=True))

    def delete(self, key: str) -> None:
        """Forget a value, if there is any."""
        with told(self._name):
            self._client.delete(self._prefix + key)

    def increment(self, key: str, seconds: int) -> int:
        """Add one to a counter that lives ``seconds`` from its first use, and return it."""
        with told(self._name):
            return int(self._client.eval(_INCREMENT, 1, self._prefix + key, seconds + 1))

    def decrement(self, key: str) -> None:
        """Take one back from a counter, if it is still there."""
        with told(self._name):
            self._client.eval(_DECREMENT, 1, self._prefix + key)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, int(seconds * 1000))
