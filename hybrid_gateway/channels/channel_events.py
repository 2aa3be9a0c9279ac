"""Server-Sent Events of a channel: ``id`` is an offset, by which browsers resume. SPEC: WHATWG HTML, section 9.2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar, TypeVar

from hybrid_gateway.channels.backend import ChannelsUnavailable
from hybrid_gateway.channels.channel_message import Message
from hybrid_gateway.channels.subscription import Subscription
from hybrid_gateway.responses.server_sent_events import EventSourceResponse, ServerSentEvent

T = TypeVar("T")


class ChannelEvents(EventSourceResponse[T]):
    """The stream of a channel: its values, and the events ``gap``, ``joined`` and ``left``.

    ``ChannelEvents[Said]`` tells the OpenAPI document what values are.
    """

    is_of_channel: ClassVar[bool] = True


class _EncodedEvent(ServerSentEvent, kw_only=True):
    """An event that was encoded before, for all who get it."""

    encoded: bytes

    def encode(self) -> bytes:
        return self.encoded


async def channel_events(subscription: Subscription[Any], *, is_new: bool) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a subscription, gaps among them, until it ends.

    The back end away: the stream ends, and browsers come back by themselves. ``is_new`` is that of a client who has had
    no message yet; it is told where it begins, so that it can resume even then.
    """
    try:
        async with subscription:
            if subscription.offset is not None and (is_new or subscription.is_idle):
                yield ServerSentEvent(id=subscription.offset)
            while True:
                try:
                    event = await subscription.next_event()
                except StopAsyncIteration:
                    return
                if isinstance(event, Message):
                    yield event.cached(_encode_event)
                else:
                    yield ServerSentEvent(event="gap", data={"missed": event.missed, "recovered": event.recovered})
    except ChannelsUnavailable:
        return


def _encode_event(message: Message) -> ServerSentEvent:
    name = None if message.kind == "data" else message.kind
    event = ServerSentEvent(id=message.offset, event=name, data=message.payload.decode())
    return _EncodedEvent(encoded=event.encode())
