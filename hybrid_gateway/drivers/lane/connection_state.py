"""The state of one connection that the lane keeps beside uvicorn's."""

from __future__ import annotations

import asyncio
from enum import Enum
from math import inf

from hybrid_gateway.drivers.lane.heads import NO_HEAD, ValidatedHead


class RequestPhase(Enum):
    """The part of a request on uvicorn's road that is still to come, and with it the time-out that ends the wait.

    ``on_message_begin`` leads from the first to the second, ``on_headers_complete`` to the third, and
    ``on_message_complete`` or an upgrade back to the first.
    """

    IDLE = "no request has begun, or all of it has come"  # timeout_keep_alive, once it is answered
    HEAD = "a head has begun"  # head_timeout, from its first byte
    BODY = "a body has begun"  # body_timeout, from its last bytes


class ConnectionState:
    """The part of a connection's state that is the lane's.

    PERF: as attributes of the protocol these would be too many for its instances to share the keys of their
    dictionaries, which takes 1 KiB of each.
    """

    __slots__ = (
        "deadline",
        "head",
        "head_size",
        "ignores_data",
        "is_ending",
        "phase",
        "timer",
        "trailer_bytes",
        "wakes",
    )

    def __init__(self) -> None:
        self.head: ValidatedHead = NO_HEAD  # the last that was found to be in order
        self.phase = RequestPhase.IDLE
        self.trailer_bytes = 0
        self.ignores_data = False  # the last request of the connection has come
        self.head_size: int | None = None  # of the handshake of a websocket, whose first frames may follow it
        self.is_ending = False  # with the server, after one more request
        self.deadline: float | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.wakes = inf  # when the timer looks at the deadline
