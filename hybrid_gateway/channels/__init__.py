"""Channels: typed messages between everybody who is connected, with promises; see ``docs/channels.md``."""

from hybrid_gateway.channels.backend import ChannelsUnavailable
from hybrid_gateway.channels.channel import Channel
from hybrid_gateway.channels.channel_events import ChannelEvents
from hybrid_gateway.channels.channel_message import Gap, Joined, Left, MessagesMissed
from hybrid_gateway.channels.process_channels import channels
from hybrid_gateway.channels.subscription import Subscription

__all__ = [
    "Channel",
    "ChannelEvents",
    "ChannelsUnavailable",
    "Gap",
    "Joined",
    "Left",
    "MessagesMissed",
    "Subscription",
    "channels",
]
