"""The connection to PostgreSQL that listens, and answers queries in between.

How this works: one task has the connection. It waits until the server sends something or somebody has a query, hands on
notifications, performs queries one by one, and asks for a sign of life where there is neither. Others wait for futures.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from psycopg import AsyncClientCursor, AsyncConnection, Error, Notify, OperationalError
from psycopg.sql import SQL, Identifier

from hybrid_gateway.channels.backends.postgres_statements import PRUNE, PRUNED_AT_ONCE, TABLE
from hybrid_gateway.channels.backends.reconnection import SILENCE, STALL

Row: TypeAlias = "tuple[Any, ...]"
Query: TypeAlias = "Callable[[ListeningConnection], Awaitable[Sequence[Row]]]"

PRUNE_EVERY = 60.0
"""Seconds between two looks of a process for what has ended."""
_AT_ONCE = 500  # topics of one command


class ListeningConnection:
    """An open connection, in autocommit. ``on_notify`` gets the name and the text of each notification."""

    def __init__(
        self, connection: AsyncConnection[Row], on_notify: Callable[[ListeningConnection, str, str], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._on_notify = on_notify
        self._arrived: deque[Notify] = deque()
        self._queries: deque[tuple[Query, asyncio.Future[Sequence[Row]]]] = deque()
        self._wake = asyncio.Event()
        self._heard = time.monotonic()
        connection.add_notify_handler(self._arrived.append)

    @classmethod
    async def open(
        cls,
        parameters: Mapping[str, Any],
        role: str | None,
        on_notify: Callable[[ListeningConnection, str, str], Awaitable[None]],
    ) -> ListeningConnection:
        """Connect. Raises ``psycopg.Error``."""
        connection: AsyncConnection[Row] = await AsyncConnection.connect(
            **{**parameters, "application_name": "hybrid_gateway-listen"}, autocommit=True
        )
        self = cls(connection, on_notify)
        try:
            if role:
                await connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
            if (await self.ask("SELECT to_regclass(%s)", [TABLE]))[0][0] is None:
                raise OperationalError("The tables of channels are missing. Run manage.py migrate.")
        except BaseException:
            await connection.close()
            raise
        return self

    async def close(self) -> None:
        """End the connection; queries that wait fail."""
        await self._connection.close()
        for _, future in self._queries:
            if not future.done():
                future.set_exception(OperationalError("The connection has ended."))

    # --- within a query, and before run()

    async def ask(self, statement: str, values: Mapping[str, object] | Sequence[object] = ()) -> list[Row]:
        """Perform a statement and return its rows, with bytes as bytes."""
        cursor = self._connection.cursor(binary=True)
        await cursor.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []

    async def ask_last(self, statements: str, values: Mapping[str, object]) -> Row | None:
        """Perform statements in one transaction, sent as one; return the row of the last."""
        cursor = AsyncClientCursor(self._connection)
        await cursor.execute(statements.encode(), values)
        while cursor.nextset():
            pass
        row: Row | None = await cursor.fetchone()
        return row

    async def listen(self, topics: Sequence[str]) -> None:
        """Have notifications of these names from now on."""
        for start in range(0, len(topics), _AT_ONCE):
            some = topics[start : start + _AT_ONCE]
            await self._connection.execute(SQL(";").join(SQL("LISTEN {}").format(Identifier(topic)) for topic in some))

    async def unlisten(self, topic: str) -> None:
        """Have no more of them."""
        await self._connection.execute(SQL("UNLISTEN {}").format(Identifier(topic)))

    # --- from any task of the loop

    def enqueue(self, query: Query) -> asyncio.Future[Sequence[Row]]:
        """Have a query performed after those before it; a failed one fails the future."""
        future: asyncio.Future[Sequence[Row]] = asyncio.get_running_loop().create_future()
        self._queries.append((query, future))
        self._wake.set()
        return future

    async def run(self) -> None:
        """Hand on notifications and perform queries until the connection ends, which raises the reason."""
        prune_at = time.monotonic() + PRUNE_EVERY / 2
        while True:
            await self._hand_on()
            if not self._queries:
                await self._wait()
            self._collect()
            if self._queries:
                await self._perform(*self._queries.popleft())
            elif time.monotonic() >= prune_at:
                prune_at = time.monotonic() + await self._prune()
            elif time.monotonic() - self._heard >= SILENCE:
                await self._ping()

    async def _wait(self) -> None:
        self._wake.clear()
        loop = asyncio.get_running_loop()
        # psycopg watches the same socket, but only while a statement is performed: never at the same time.
        loop.add_reader(self._connection.fileno(), self._wake.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await self._wake.wait()
        finally:
            loop.remove_reader(self._connection.fileno())

    def _collect(self) -> None:
        """Take what the server has sent; raise ``OperationalError`` where it has gone."""
        connection = self._connection.pgconn
        connection.consume_input()
        while (notify := connection.notifies()) is not None:
            self._arrived.append(Notify(notify.relname.decode(), notify.extra.decode(), notify.be_pid))

    async def _hand_on(self) -> None:
        while self._arrived:
            self._heard = time.monotonic()
            notify = self._arrived.popleft()
            await self._on_notify(self, notify.channel, notify.payload)

    async def _perform(self, query: Query, future: asyncio.Future[Sequence[Row]]) -> None:
        if future.done():  # nobody waits any more
            return
        try:
            async with asyncio.timeout(STALL):
                rows = await query(self)
        except (Error, TimeoutError) as error:
            if not future.done():
                future.set_exception(error)
            if self._connection.closed or isinstance(error, TimeoutError):
                raise
        else:
            self._heard = time.monotonic()
            if not future.done():
                future.set_result(rows)

    async def _prune(self) -> float:
        """Delete what has ended; return the seconds after which to look again."""
        async with asyncio.timeout(STALL):
            deleted = [(await self._connection.execute(statement)).rowcount for statement in PRUNE]
        self._heard = time.monotonic()
        return 0.1 if max(deleted) >= PRUNED_AT_ONCE else random.uniform(0.8, 1.2) * PRUNE_EVERY  # noqa: S311  # nosec B311

    async def _ping(self) -> None:
        async with asyncio.timeout(STALL):
            await self._connection.execute("")
        self._heard = time.monotonic()
