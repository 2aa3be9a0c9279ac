"""The connection to Redis that sends commands, opened when one is to be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from hybrid_gateway.channels.backend import ChannelsUnavailable
from hybrid_gateway.channels.backends.reconnection import PATIENCE
from hybrid_gateway.channels.backends.redis_connection import Answer, RedisAddress, RedisConnection


class RedisCommands:
    """The connection that sends commands; each is answered, or has failed in time."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._connection: RedisConnection | None = None
        self._turn = asyncio.Lock()
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        self.run = ""  # of the server: another one may have forgotten something
        self.on_open: Callable[[], None] = lambda: None

    async def call(self, make: Callable[[], Sequence[str | bytes | float]], patience: float = PATIENCE) -> Answer:
        """Send the command that ``make`` returns, in the order of the calls, and return its answer.

        It is made when the connection is there; ``patience`` is in seconds.

        Raises ``ChannelsUnavailable``; whether the command was carried out nobody knows then.
        """
        try:
            async with asyncio.timeout(patience):
                async with self._turn:
                    connection = await self._opened()
                    command = make()
                    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await connection.send(*command)
                return await future
        except TimeoutError as error:
            # What does not answer in time is left: the next command may find a server that does.
            await self.close()
            raise ChannelsUnavailable(detail=f"{self._address} does not answer.") from error
        except ResponseError as error:
            if isinstance(error, ReadOnlyError):  # a primary no longer: its name may lead to the one that is
                await self.close()
            raise ChannelsUnavailable(detail=f"{self._address} refuses: {error}") from error
        except (RedisError, OSError) as error:
            raise ChannelsUnavailable(detail=f"{self._address} cannot be reached: {error}") from error

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
            self._fail(ConnectionError("The connection was closed."))

    async def _opened(self) -> RedisConnection:
        if self._connection is None:
            connection = RedisConnection(self._address, self._answer, self._lose)
            await connection.open("hybrid_gateway-publish")
            try:
                info = await connection.ask("INFO", "server")
            except BaseException:
                await connection.close()
                raise
            assert isinstance(info, bytes)
            self.run = info.partition(b"run_id:")[2][:40].decode("ascii", "replace")
            self._connection = connection
            connection.listen()
            self.on_open()
        return self._connection

    def _answer(self, answer: Answer | ResponseError) -> None:
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(answer, ResponseError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _lose(self, error: Exception) -> None:
        self._connection = None
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
