"""Channels over PostgreSQL: ``LISTEN`` and ``NOTIFY``, tables where there is history.

How this works: one connection per process listens, and answers what has no transaction of somebody's: what history
holds, who is present. Messages are published by Django's connection of the thread that publishes, so that they are sent
when its transaction is committed, and not at all if it is rolled back. A notification has the message in it, or, where
it is too long, the number of its row.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from typing import Any, TypeAlias

import msgspec
import psycopg
from django.apps import apps
from django.db import InterfaceError, OperationalError, connections

from hybrid_gateway._compat.django_connection_internals import close_stale_connections, connection_parameters
from hybrid_gateway.channels.backend import BackendEvents, ChannelsUnavailable, Delivery, History, Replay
from hybrid_gateway.channels.backends import postgres_statements as statements
from hybrid_gateway.channels.backends.numbering import STATE_LIFETIME, Numbering, draw_epoch, parse_offset, replay_after
from hybrid_gateway.channels.backends.postgres_connection import ListeningConnection, Query, Row
from hybrid_gateway.channels.backends.reconnection import PATIENCE, STALL, Reconnection
from hybrid_gateway.exceptions import SettingsError

Value: TypeAlias = str | bytes | int | float | None

LONGEST_NOTIFICATION = 7_900
"""Bytes of a message that fit; SPEC: PostgreSQL, NOTIFY: less than 8,000 with what is before it."""
_LONG_TTL = 60.0  # seconds that a long message of a channel without history waits for whoever listens


class PostgreSQLBackend:
    """The back end of ``"CHANNELS": "postgresql"``.

    ``database`` is the alias of ``DATABASES`` that publishes, with Django's connections; ``listen`` that of the
    connection that listens, where the first leads to a pooler that hands connections on with each transaction.
    """

    is_shared = True

    def __init__(self, *, database: str = "default", listen: str | None = None) -> None:
        self._database = database
        self._listen_to = listen or database
        for alias in dict.fromkeys((self._database, self._listen_to)):
            _check_database(alias)
        self._process = draw_epoch()
        self._count = count(1)
        self._channels: dict[str, str] = {}  # by topic
        self._joining: dict[str, str] = {}  # those that the next LISTEN is for
        self._join: asyncio.Future[Sequence[Row]] | None = None
        self._connection: ListeningConnection | None = None

    def __repr__(self) -> str:
        return f"<PostgreSQLBackend of DATABASES[{self._database!r}]>"

    async def start(self, events: BackendEvents) -> None:
        """Begin to connect and to listen, and connect anew, with back-off, until :meth:`stop`."""
        self._events = events
        self._reconnection = Reconnection(self._listen)
        self._reconnection.start(events)

    async def stop(self) -> None:
        """Close the connection that listens."""
        await self._reconnection.stop()

    # --- messages

    def publish_blocking(self, channel: str, payload: bytes, history: History | None) -> str:
        """Do what :meth:`publish` does by Django's connection of this thread: sent when its transaction is committed.

        Raises ``ChannelsUnavailable`` where the database cannot be reached, after the ``connect_timeout`` of its
        ``OPTIONS``.
        """
        statement, values = self._statement(channel, payload, history)
        connection = connections[self._database]
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                row: Row | None = cursor.fetchone()
        except (OperationalError, InterfaceError) as error:
            # Django does so between requests, and a thread of somebody's own has none: the next call connects anew.
            close_stale_connections([connection])
            raise ChannelsUnavailable(detail=f"{self._server} cannot be reached: {error}") from error
        return _offset_of(row, values)

    async def publish(self, channel: str, payload: bytes, history: History | None) -> str:
        """Send a message by the connection that listens, outside of all transactions; return its offset.

        Raises ``ChannelsUnavailable`` after a second at most; nobody knows then whether the message was sent.
        """
        statement, values = self._statement(channel, payload, history)
        rows = await self._perform(lambda connection: connection.ask(statement, values))
        return _offset_of(rows[0], values)

    def _statement(self, channel: str, payload: bytes, history: History | None) -> tuple[str, dict[str, Value]]:
        inline = _inline(payload)
        values: dict[str, Value] = {"topic": _topic(channel), "inline": inline, "payload": payload}
        if history is not None:
            size, ttl = history
            values |= {"channel": channel, "epoch": draw_epoch(), "size": size, "ttl": ttl}
            values["state_ttl"] = ttl + STATE_LIFETIME
            return statements.PUBLISH, values
        values |= {"offset": f"{self._process}-{next(self._count)}", "ttl": _LONG_TTL}
        return (statements.NOTIFY_LONG if inline is None else statements.NOTIFY), values

    async def replay(self, channel: str, since: str | None, history: History) -> Replay:
        """Return what history holds after ``since``, oldest first; with ``None`` all of it."""
        after = parse_offset(since)
        values = {"channel": channel, "epoch": after.epoch, "first": after.number + 1, "size": history.size}
        rows = await self._perform(lambda connection: connection.ask(statements.REPLAY, values), STALL)
        kept = [Delivery(channel, offset, payload) for *_, offset, payload in rows if offset is not None]
        state = None
        if rows:
            name, last, ends, *_ = rows[0]
            state = Numbering(name, last, msgspec.json.decode(ends, type=dict[str, int]))
        return replay_after(since, state, kept)

    async def position(self, channel: str, history: History) -> str | None:
        """Return the offset of the last message of a channel, ``EPOCH-0`` where there was none.

        ``None`` while a transaction is open that has sent the first one.
        """
        values = {"channel": channel, "epoch": draw_epoch(), "state_ttl": history.ttl + STATE_LIFETIME}

        async def ask(connection: ListeningConnection) -> Sequence[Row]:
            with suppress(psycopg.errors.LockNotAvailable):
                if (row := await connection.ask_last(statements.POSITION, values)) is not None:
                    return (row,)
            return ()

        rows = await self._perform(ask)
        return rows[0][0] if rows else None

    async def subscribe(self, channel: str) -> None:
        """Have messages of a channel delivered, from when this returns; if it raises, they are not."""
        topic = _topic(channel)

        def join(connection: ListeningConnection) -> Awaitable[Sequence[Row]]:
            self._joining[topic] = channel
            if self._join is None or self._join.done():
                self._join = connection.enqueue(self._listen_to_joining)
            return asyncio.shield(self._join)

        try:
            await self._ask(join)
        except BaseException:
            self._joining.pop(topic, None)
            self._channels.pop(topic, None)
            raise

    async def _listen_to_joining(self, connection: ListeningConnection) -> Sequence[Row]:
        """Subscribe for all who have asked until now. PERF: a thousand who come at once cost one round trip or two."""
        joining, self._joining, self._join = self._joining, {}, None
        self._channels |= joining
        await connection.listen(list(joining))
        return ()

    async def unsubscribe(self, channel: str) -> None:
        """Have no more messages of a channel delivered."""
        topic = _topic(channel)
        if self._channels.pop(topic, None) is None or self._connection is None:
            return

        async def unlisten(connection: ListeningConnection) -> Sequence[Row]:
            if topic not in self._channels:  # nobody has subscribed again meanwhile
                await connection.unlisten(topic)
            return ()

        self._connection.enqueue(unlisten).add_done_callback(_retrieve)

    # --- who is present

    async def enter(self, channel: str, member: str, ttl: float) -> bool:
        """Note that this process has ``member`` present for ``ttl`` seconds; return whether no process had before."""
        return await self._ask_last(statements.ENTER, channel, member, ttl=ttl)

    async def leave(self, channel: str, member: str) -> bool:
        """Forget that this process has ``member`` present; return whether no process has any more, though one had."""
        return await self._ask_last(statements.LEAVE, channel, member)

    async def _ask_last(self, statement: str, channel: str, member: str, **more: object) -> bool:
        values = {"channel": channel, "member": member, "holder": self._process, **more}

        async def ask(connection: ListeningConnection) -> Sequence[Row]:
            row = await connection.ask_last(statement, values)
            return () if row is None else (row,)

        return bool((await self._perform(ask))[0][0])

    async def keep(self, present: Sequence[tuple[str, str]], ttl: float) -> None:
        """Have members that entered, each a channel and a member, present for ``ttl`` seconds from now on."""
        once = list(dict.fromkeys(present))
        values = {
            "channels": [channel for channel, _ in once],
            "members": [member for _, member in once],
            "holder": self._process,
            "ttl": ttl,
        }
        await self._perform(lambda connection: connection.ask(statements.KEEP, values))

    async def members(self, channel: str) -> list[str]:
        """Return whom any process has present, each once, sorted."""
        rows = await self._perform(lambda connection: connection.ask(statements.MEMBERS, {"channel": channel}))
        return sorted(member for (member,) in rows)

    # --- the connection that listens

    @property
    def _server(self) -> str:
        return f"The PostgreSQL of DATABASES[{self._listen_to!r}]"

    async def _perform(self, query: Query, patience: float = PATIENCE) -> Sequence[Row]:
        return await self._ask(lambda connection: connection.enqueue(query), patience)

    async def _ask(
        self, ask: Callable[[ListeningConnection], Awaitable[Sequence[Row]]], patience: float = PATIENCE
    ) -> Sequence[Row]:
        try:
            async with asyncio.timeout(patience):
                await self._reconnection.ready()
                assert self._connection is not None
                return await ask(self._connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise ChannelsUnavailable(detail=f"{self._server} cannot be reached: {error}") from error
        except TimeoutError as error:
            raise self._reconnection.unavailable(self._server) from error

    async def _listen(self, establish: Callable[[], None]) -> None:
        parameters, role = await asyncio.to_thread(_parameters, self._listen_to)
        async with asyncio.timeout(STALL):
            connection = await ListeningConnection.open(parameters, role, self._notified)
        try:
            async with asyncio.timeout(STALL):
                await connection.listen(list(self._channels))
            self._connection = connection
            establish()
            await connection.run()
        finally:
            self._connection = None
            await connection.close()

    async def _notified(self, connection: ListeningConnection, topic: str, text: str) -> None:
        channel = self._channels.get(topic)
        if channel is None:
            return
        offset, _, content = text.partition(" ")
        if content.startswith("="):
            rows = await connection.ask(statements.FETCH, [int(content[1:])])
            if not rows:
                raise LookupError(f"A message of channel {channel!r} was deleted before it was read.")
            payload = bytes(rows[0][0])
        else:
            payload = content[1:].encode() if content[0] == "t" else base64.b64decode(content[1:])
        self._events.deliver(Delivery(channel, offset, payload))


def _check_database(alias: str) -> None:
    if alias not in connections.settings:
        raise SettingsError(f"CHANNELS names the database {alias!r}, which DATABASES does not have.", id="S009")
    connection = connections[alias]
    if connection.vendor != "postgresql" or getattr(connection, "Database", None) is not psycopg:
        engine = connections.settings[alias]["ENGINE"]
        raise SettingsError(
            f'CHANNELS "postgresql" needs a PostgreSQL that Django speaks to by psycopg 3; DATABASES[{alias!r}] is '
            f"{engine!r}{' by psycopg2' if connection.vendor == 'postgresql' else ''}.",
            id="S009",
        )
    if not apps.is_installed("hybrid_gateway.channels"):
        raise SettingsError(
            'CHANNELS "postgresql" keeps messages in tables: add "hybrid_gateway.channels" to INSTALLED_APPS, and run '
            "manage.py migrate.",
            id="S010",
        )


def _parameters(alias: str) -> tuple[Mapping[str, Any], str | None]:
    return connection_parameters(alias), connections.settings[alias]["OPTIONS"].get("assume_role")


def _topic(channel: str) -> str:
    """Return the name to listen to: that of the channel, or a digest where it is too long for PostgreSQL."""
    topic = f"gateway:{channel}"
    return topic if len(topic.encode()) < 64 else "gateway#" + blake2b(channel.encode(), digest_size=16).hexdigest()


def _inline(payload: bytes) -> str | None:
    """Return a message as part of a notification, in whatever encoding the database has; ``None`` if it is too long."""
    # PERF: a look at the length first; base64 makes four bytes of three.
    if len(payload) > LONGEST_NOTIFICATION:
        return None
    text = (
        "t" + payload.decode()
        if payload.isascii() and b"\0" not in payload
        else "b" + base64.b64encode(payload).decode()
    )
    return text if len(text) <= LONGEST_NOTIFICATION else None


def _offset_of(row: Row | None, values: Mapping[str, Value]) -> str:
    """Return the offset that the statement was given, or gave."""
    assert row is not None
    return str(values.get("offset") or row[0])


def _retrieve(future: asyncio.Future[Sequence[Row]]) -> None:
    """Take the error of a query that nobody waits for: the connection has ended, and the next one does not listen."""
    if not future.cancelled():
        future.exception()
