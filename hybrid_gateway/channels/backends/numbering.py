"""Offsets of back ends with history: what a subscriber has, compared with what is kept.

How this works: each channel with history has a state: an epoch and the number of its last message. A new epoch begins
with the first message after the server has been started anew, for it may have forgotten some; the state remembers the
last number of each epoch before, as it was found then. Numbers go on. So whoever comes with an offset of an earlier
epoch has seen nothing but what is kept, if its number is not above that; and has seen what nobody knows any more, if
it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple

from hybrid_gateway.channels.backend import Delivery, Replay

STATE_LIFETIME = 7 * 86_400.0
"""Seconds that a state outlives the messages of its channel: who comes back by then learns how many are gone."""


class Numbering(NamedTuple):
    """The state of a channel."""

    epoch: str
    last: int
    ends: Mapping[str, int]
    """The last number of each earlier epoch."""


def draw_epoch() -> str:
    """Return a name for a new epoch."""
    return secrets.token_hex(6)


class Offset(NamedTuple):
    """An offset, read; without an epoch where it is none of ours."""

    epoch: str
    number: int


def parse_offset(text: str | None) -> Offset:
    """Read what a client has written."""
    epoch, _, number = (text or "").rpartition("-")
    # SECURITY: int() takes other digits, and 4,300 of them; no number of ours has more than 18.
    if epoch.isascii() and epoch.isalnum() and number.isascii() and number.isdigit() and len(number) <= 18:
        return Offset(epoch, int(number))
    return Offset("", 0)


def replay_after(since: str | None, state: Numbering | None, kept: list[Delivery]) -> Replay:
    """Return what follows ``since``; ``kept`` is what history holds, all of it or all from there on, oldest first."""
    if since is None:
        return Replay(kept, True, 0)
    epoch, number = parse_offset(since)
    last = None
    if state is not None:
        last = state.last if epoch == state.epoch else state.ends.get(epoch)
    if state is None or last is None:
        return Replay(kept, False, None)
    messages = [message for message in kept if parse_offset(message.offset).number > min(number, last)]
    if number > last:
        return Replay(messages, False, None)
    missed = (parse_offset(messages[0].offset).number if messages else state.last + 1) - number - 1
    return Replay(messages, missed == 0, missed)
