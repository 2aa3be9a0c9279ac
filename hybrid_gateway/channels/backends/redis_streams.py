"""Channels over Redis: publish and subscribe, and a Stream where there is history.

How this works: two connections per process. One listens: it subscribes to the topics of all channels that somebody in
the process follows, and is opened anew whenever it ends (:class:`Reconnection`). The other sends commands, and is
opened when one is to be sent. Where there is history, one script numbers a message, keeps it and sends it, so that
what is kept and what is heard have one order. Names of topics have the number of the database, which ``PUBLISH``
itself does not mind.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

from redis.exceptions import RedisError, ResponseError

from hybrid_gateway.channels.backend import BackendEvents, Delivery, History, Replay
from hybrid_gateway.channels.backends import redis_scripts as scripts
from hybrid_gateway.channels.backends.numbering import STATE_LIFETIME, Numbering, draw_epoch, parse_offset, replay_after
from hybrid_gateway.channels.backends.reconnection import PATIENCE, SILENCE, STALL, Reconnection
from hybrid_gateway.channels.backends.redis_commands import RedisCommands
from hybrid_gateway.channels.backends.redis_connection import Answer, RedisAddress, RedisConnection

_AT_ONCE = 500  # topics of one SUBSCRIBE, members of one script


class RedisBackend:
    """The back end of ``"CHANNELS": "redis://…"``.

    ``prefix`` keeps sites that share a database apart. Redis 5 or later, Valkey; one server, or an address that
    leads to the primary.
    """

    is_shared = True

    def __init__(self, url: str, *, prefix: str = "gateway") -> None:
        self._address = RedisAddress(url)
        self._prefix = f"{prefix}:"
        self._topics = f"{prefix}:{self._address.database}:".encode()
        self._process = draw_epoch()
        self._count = count(1)
        self._wanted: set[str] = set()
        self._confirmations: dict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._listening: RedisConnection | None = None
        self._heard = False

    def __repr__(self) -> str:
        return f"<RedisBackend {self._address}>"

    async def start(self, events: BackendEvents) -> None:
        """Begin to connect and to listen, and connect anew, with back-off, until :meth:`stop`."""
        self._events = events
        self._commands = RedisCommands(self._address)
        self._reconnection = Reconnection(self._listen)
        self._commands.on_open = self._reconnection.hurry
        self._reconnection.start(events)

    async def stop(self) -> None:
        """Close both connections."""
        await self._reconnection.stop()
        await self._commands.close()

    # --- messages

    async def publish(self, channel: str, payload: bytes, history: History | None) -> str:
        """Send a message to all who subscribe, keep it where there is history; return its offset.

        Raises ``ChannelsUnavailable`` after a second at most; nobody knows then whether the message was sent.
        """
        topic = self._topics + channel.encode()
        if history is None:
            offset = f"{self._process}-{next(self._count)}"
            await self._commands.call(lambda: ("PUBLISH", topic, offset.encode() + b" " + payload))
            return offset
        size, ttl = history
        given = await self._commands.call(
            lambda: (
                *("EVAL", scripts.PUBLISH, 2, self._key("stream", channel), self._key("state", channel)),
                *(payload, size, ttl, draw_epoch(), self._commands.run, topic, ttl + STATE_LIFETIME),
            )
        )
        assert isinstance(given, bytes)
        return given.decode()

    async def replay(self, channel: str, since: str | None, history: History) -> Replay:
        """Return what history holds after ``since``, oldest first; with ``None`` all of it."""
        after = parse_offset(since)
        answer = await self._commands.call(
            lambda: (
                *("EVAL", scripts.REPLAY, 2, self._key("stream", channel), self._key("state", channel)),
                *(history.size, after.epoch, after.number + 1),
            ),
            STALL,
        )
        state, kept = _read_replay(channel, answer)
        return replay_after(since, state, kept)

    async def position(self, channel: str, history: History) -> str:
        """Return the offset of the last message of a channel, ``EPOCH-0`` where there was none."""
        offset = await self._commands.call(
            lambda: (
                *("EVAL", scripts.POSITION, 2, self._key("stream", channel), self._key("state", channel)),
                *(draw_epoch(), self._commands.run, history.ttl + STATE_LIFETIME),
            )
        )
        assert isinstance(offset, bytes)
        return offset.decode()

    async def subscribe(self, channel: str) -> None:
        """Have messages of a channel delivered, from when this returns; if it raises, they are not."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reconnection.ready()
                self._wanted.add(channel)
                self._confirmations[channel].append(confirmed)
                await self._tell("SUBSCRIBE", channel)
                await confirmed
        except BaseException as error:
            self._wanted.discard(channel)
            if isinstance(error, (TimeoutError, RedisError, OSError)):
                raise self._reconnection.unavailable(str(self._address)) from error
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Have no more messages of a channel delivered."""
        if channel in self._wanted:
            self._wanted.discard(channel)
            with suppress(RedisError, OSError):  # the next connection does not subscribe to it
                await self._tell("UNSUBSCRIBE", channel)

    async def _tell(self, command: str, *channels: str) -> None:
        if self._listening is not None:
            await self._listening.send(command, *(self._topics + channel.encode() for channel in channels))

    # --- the connection that listens

    async def _listen(self, establish: Callable[[], None]) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection = RedisConnection(self._address, self._hear, partial(_end, ended))
        try:
            async with asyncio.timeout(STALL):
                await connection.open("hybrid_gateway-listen")
                connection.listen()
                self._listening = connection
                await self._subscribe_again(ended)
            establish()
            while True:
                self._heard = False
                await asyncio.wait([ended], timeout=SILENCE)
                if not self._heard and not ended.done():
                    await connection.send("PING")
                    await asyncio.wait([ended], timeout=STALL)
                    if not self._heard:
                        raise ConnectionError(f"{self._address} is silent.")
                if ended.done():
                    return ended.result()
        finally:
            self._listening = None
            await connection.close()
            self._fail_confirmations(ConnectionError("The connection has ended."))

    async def _subscribe_again(self, ended: asyncio.Future[None]) -> None:
        wanted = list(self._wanted)
        for start in range(0, len(wanted), _AT_ONCE):
            await self._tell("SUBSCRIBE", *wanted[start : start + _AT_ONCE])
        if wanted:
            # Confirmations come in the order of the topics.
            confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._confirmations[wanted[-1]].append(confirmed)
            await asyncio.wait([confirmed, ended], return_when=asyncio.FIRST_COMPLETED)
            (confirmed if confirmed.done() else ended).result()

    def _hear(self, answer: Answer | ResponseError) -> None:
        self._heard = True
        if isinstance(answer, ResponseError):  # SUBSCRIBE is not allowed
            self._fail_confirmations(answer)
        elif isinstance(answer, list) and isinstance(answer[1], bytes) and answer[1].startswith(self._topics):
            channel = answer[1][len(self._topics) :].decode()
            if answer[0] == b"message":
                assert isinstance(answer[2], bytes)
                offset, _, payload = answer[2].partition(b" ")
                if channel in self._wanted:
                    self._events.deliver(Delivery(channel, offset.decode(), payload))
            elif answer[0] == b"subscribe" and channel in self._confirmations:
                confirmed = self._confirmations[channel].popleft()
                if not self._confirmations[channel]:
                    del self._confirmations[channel]
                if not confirmed.done():
                    confirmed.set_result(None)

    def _fail_confirmations(self, error: Exception) -> None:
        waiting = [future for futures in self._confirmations.values() for future in futures]
        self._confirmations.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)

    # --- who is present

    async def enter(self, channel: str, member: str, ttl: float) -> bool:
        """Note that this process has ``member`` present for ``ttl`` seconds; return whether no process had before."""
        return (await self._hold([(channel, member)], ttl))[0]

    async def keep(self, present: Sequence[tuple[str, str]], ttl: float) -> None:
        """Have members that entered, each a channel and a member, present for ``ttl`` seconds from now on."""
        for start in range(0, len(present), _AT_ONCE):
            await self._hold(present[start : start + _AT_ONCE], ttl)

    async def _hold(self, present: Sequence[tuple[str, str]], ttl: float) -> list[bool]:
        keys = [key for channel, member in present for key in self._presence_keys(channel, member)]
        members = [member for _, member in present]
        news = await self._commands.call(lambda: ("EVAL", scripts.KEEP, len(keys), *keys, self._process, ttl, *members))
        assert isinstance(news, list)
        return [new == 1 for new in news]

    async def leave(self, channel: str, member: str) -> bool:
        """Forget that this process has ``member`` present; return whether no process has any more, though one had."""
        keys = self._presence_keys(channel, member)
        return await self._commands.call(lambda: ("EVAL", scripts.LEAVE, 2, *keys, self._process, member)) == 1

    async def members(self, channel: str) -> list[str]:
        """Return whom any process has present, each once, sorted."""
        key = self._key("present", channel)
        members = await self._commands.call(lambda: ("EVAL", scripts.MEMBERS, 1, key))
        assert isinstance(members, list)
        return sorted(member.decode() for member in members if isinstance(member, bytes))

    # --- keys

    def _key(self, kind: str, channel: str) -> str:
        return f"{self._prefix}{kind}:{channel}"

    def _presence_keys(self, channel: str, member: str) -> tuple[str, str]:
        # The length keeps ("a:b", "c") and ("a", "b:c") apart.
        return f"{self._prefix}holders:{len(channel)}:{channel}:{member}", self._key("present", channel)


def _end(ended: asyncio.Future[None], error: Exception) -> None:
    if not ended.done():
        ended.set_exception(error)


def _read_replay(channel: str, answer: Any) -> tuple[Numbering | None, list[Delivery]]:
    """Return the state and the messages, oldest first, that :data:`redis_scripts.REPLAY` answers."""
    fields, packed = answer
    kept, at = [], 0
    while at < len(packed):
        space = packed.index(b" ", at)
        start = packed.index(b" ", space + 1) + 1
        end = start + int(packed[space + 1 : start - 1])
        kept.append(Delivery(channel, packed[at:space].decode(), packed[start:end]))
        at = end
    kept.reverse()
    texts = [field.decode() for field in fields]
    state = dict(zip(texts[::2], texts[1::2], strict=True))
    if not state:
        return None, kept
    ends = {key[len("end:") :]: int(value) for key, value in state.items() if key.startswith("end:")}
    return Numbering(state["epoch"], int(state["last"]), ends), kept
