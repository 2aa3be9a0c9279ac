"""One connection to Redis, read all the time.

How this works: redis-py connects, speaks TLS, logs in and parses; nothing else of it is used, for its clients keep
pools, and connect anew without a word. What is sent is written at once; answers come in the order of what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from hybrid_gateway.channels.backends.reconnection import STALL
from hybrid_gateway.exceptions import SettingsError

Answer: TypeAlias = "bytes | int | list[Answer] | None"


class RedisAddress:
    """Place of a Redis, and how to log in: ``redis://user:password@host:6379/0``, ``rediss://``, ``unix://``."""

    def __init__(self, url: str) -> None:
        scheme, colon, rest = url.partition("://")
        # Valkey speaks the protocol of Redis, and redis-py does not know its name.
        scheme = {"valkey": "redis", "valkeys": "rediss"}.get(scheme, scheme)
        if not colon or scheme not in ("redis", "rediss", "unix"):
            raise SettingsError(
                f"{url!r} is no address of a Redis. Give redis://host:6379/0, rediss:// for TLS, or unix:// for a "
                "socket; valkey:// and valkeys:// are the same. A cluster or Sentinel needs an address of this kind "
                "that leads to its primary.",
                id="S006",
            )
        try:
            pool = ConnectionPool.from_url(f"{scheme}://{rest}", protocol=2)
        except (ValueError, TypeError) as error:
            raise SettingsError(f"The address of the Redis is not understood: {error}", id="S006") from None
        self.kind = pool.connection_class
        # Ours come last: redis-py's own retries hide that messages were lost, and its time-out of 5 s is for answers,
        # not for a connection on which nothing may happen for hours.
        given = {name: value for name, value in pool.connection_kwargs.items() if not name.startswith("maint_")}
        self.options = given | {
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": STALL,
            "health_check_interval": 0,
            "decode_responses": False,
            "protocol": 2,
        }
        self.database = int(self.options.get("db") or 0)

    def __str__(self) -> str:
        place = self.options.get("path") or f"{self.options.get('host', 'localhost')}:{self.options.get('port', 6379)}"
        return f"Redis at {place}"


class RedisConnection:
    """An open connection. ``on_answer`` gets each answer, ``on_end`` once the reason why none comes any more."""

    def __init__(
        self, address: RedisAddress, on_answer: Callable[[Answer | ResponseError], None],
        on_end: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._connection: Any = address.kind(**address.options)  # its methods have no types in redis-py 8
        self._on_answer = on_answer
        self._on_end = on_end
        self._reader: asyncio.Task[None] | None = None
        self.is_open = False

    async def open(self, name: str) -> None:
        """Connect and log in; ``name`` is what ``CLIENT LIST`` shows. Raises ``RedisError`` or :class:`OSError`."""
        try:
            await self._connection.connect()
            await self.ask("CLIENT", "SETNAME", name)
        except BaseException:
            await self.close()
            raise
        self.is_open = True

    async def ask(self, *command: str | bytes | float) -> Answer:
        """Send a command and return its answer, before :meth:`listen`."""
        await self._connection.send_command(*command, check_health=False)
        answer: Answer = await self._connection.read_response()
        return answer

    def listen(self) -> None:
        """Hand on answers from now on."""
        self._reader = asyncio.create_task(self._read())

    async def send(self, *command: str | bytes | float) -> None:
        """Write a command, in the order of the calls."""
        # redis-py would connect anew here, and nobody would read.
        if not self.is_open:
            raise ConnectionError("The connection has ended.")
        try:
            await self._connection.send_command(*command, check_health=False)
        except (RedisError, OSError) as error:
            self._end(error)
            raise

    async def close(self) -> None:
        """End the connection; nobody is told."""
        self.is_open = False
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _read(self) -> None:
        read = self._connection.read_response
        try:
            while True:
                try:
                    answer = await read()
                except ResponseError as error:
                    answer = error
                self._on_answer(answer)
        except Exception as error:  # be it that of whoever gets the answers
            self._end(error)

    def _end(self, error: Exception) -> None:
        if self.is_open:
            self.is_open = False
            self._on_end(error)
