"""Streams of channels: what is published goes to the client as a frame, with its offset.

How this works: the connection is a sink of the channel, so that no task waits for each message. As long as the client
reads, the frame, which all of them share, is written at once; else messages wait in a backlog, with the overflow rule
of the channel, until the wire is writable again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from hybrid_gateway.channels import Channel, Gap
from hybrid_gateway.channels.backlog import Backlog
from hybrid_gateway.channels.channel import user_key
from hybrid_gateway.channels.channel_message import Message, json_envelope
from hybrid_gateway.websockets.codec import Codec
from hybrid_gateway.websockets.connection import TOO_SLOW, Connection
from hybrid_gateway.websockets.conversations import Conversation, ConversationPlan, Values
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.websocket_context import WebSocketContext
from hybrid_gateway.websockets.wire import Wire

SINCE = "since"
"""The query parameter by which a client that comes back says what it has seen."""


class ChannelStream(msgspec.Struct, frozen=True, eq=False):
    """The channel of a route, and the names of the values that make the channel's name."""

    channel: Channel[object]
    names: tuple[str, ...]


class ChannelConversation(Conversation):
    """The conversation of a stream of a channel."""

    def __init__(self, plan: ConversationPlan, stream: ChannelStream, values: Values) -> None:
        super().__init__(plan, values)
        self._stream = stream

    async def converse(self, ctx: WebSocketContext, wire: Wire) -> None:
        """Attach to the channel, then accept, and send what comes until the connection ends."""
        channel, codec = self._stream.channel, self.plan.options.codec
        names = {name: self.values[name] for name in self._stream.names}
        since = cast("str | None", self.values[SINCE])
        user = ctx.authentication.user if channel.presence and ctx.authentication is not None else None
        messages, size = self.plan.options.max_queued
        sink = ChannelSink(codec, Backlog(messages, channel.on_overflow, size), channel.count_dropped)
        attachment = await channel.attach(sink, since=since, user=user_key(user), **names)
        try:
            connection = await self.accept(ctx, wire)
            connection.discards = True
            sink.open(connection)
            await connection.wait_ended()
        finally:
            attachment.detach()


class ChannelSink:
    """A connection as a reader of a channel."""

    __slots__ = ("_backlog", "_connection", "_count_dropped", "_frame", "_gap", "_waiting")

    def __init__(self, codec: Codec, backlog: Backlog[Message], count_dropped: Callable[[int], None]) -> None:
        self._backlog = backlog
        self._waiting = backlog.entries  # PERF: to ask it costs less than to ask the backlog, once for each socket
        self._count_dropped = count_dropped
        self._connection: Connection | None = None
        self._frame = FRAMES[codec.mode]
        self._gap: Callable[[object], Frame] = codec.pack

    def open(self, connection: Connection) -> None:
        """Begin to write, with what has come meanwhile."""
        self._connection = connection
        connection.on_room = self._flush
        self._flush()

    def deliver(self, message: Message, /) -> None:
        """Write a message, or keep it for later."""
        connection = self._connection
        if connection is not None and not self._waiting:
            frame = message.cached(self._frame)
            if connection.write_at_once(frame):
                return
            if not connection.is_full:
                connection.write(frame)
                return
        dropped = self._backlog.push(message, len(message.payload))
        if dropped:
            self._count_dropped(dropped)
        if connection is not None:
            self._wait(connection)

    def gap(self, missed: int | None, recovered: bool, /) -> None:
        """Tell the client that messages are missing, in their place."""
        self._backlog.push_gap(missed, recovered)
        if self._connection is not None:
            self._flush()

    def _flush(self) -> None:
        connection = self._connection
        assert connection is not None
        while self._backlog and connection.end is None and not connection.is_full:
            entry = self._backlog.pop()
            frame = self._gap({"gap": entry._asdict()}) if isinstance(entry, Gap) else entry.cached(self._frame)
            connection.write(frame)
        if self._backlog or self._backlog.is_closed:
            self._wait(connection)

    def _wait(self, connection: Connection) -> None:
        if self._backlog.is_closed:
            connection.close(TOO_SLOW, "The client reads too slowly.")
        connection.begin_to_wait()


def _packed_frame(message: Message) -> Frame:
    value = msgspec.json.decode(message.payload)
    whole = {message.kind: value} if message.kind != "data" else {"offset": message.offset, "data": value}
    return Frame(msgspec.msgpack.encode(whole), is_text=False)


FRAMES: dict[str, Callable[[Message], Frame]] = {
    "json": lambda message: Frame(json_envelope(message)),
    "msgpack": _packed_frame,
}
"""What makes the frame of a message, by the mode of a route."""
