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

STATE_LIFETIME = 86_400.0
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


def number_of(offset: str) -> int:
    """Return the number in an offset of ours."""
    return int(offset.rpartition("-")[2])


def replay_after(since: str | None, state: Numbering | None, kept: list[Delivery]) -> Replay:
    """Return what follows ``since``; ``kept`` is all that history holds, oldest first."""
    if since is None:
        return Replay(kept, True, 0)
    epoch, _, text = since.rpartition("-")
    # SECURITY: a client wrote it. int() takes other digits and 4,300 of them; no number of ours has more than 18.
    if state is None or not (text.isascii() and text.isdigit() and len(text) <= 18):
        return Replay(kept, False, None)
    number = int(text)
    last = state.last if epoch == state.epoch else state.ends.get(epoch)
    if last is None:
        return Replay(kept, False, None)
    messages = [message for message in kept if number_of(message.offset) > min(number, last)]
    if number > last:
        return Replay(messages, False, None)
    missed = (number_of(messages[0].offset) if messages else state.last + 1) - number - 1
    return Replay(messages, missed == 0, missed)
