"""All open websockets of a gateway: how many there are, and what ends them from outside.

How this works: one timer per event loop looks once a second at every connection of that loop: is a ping due, is one
unanswered, has nothing come for too long, has it lived too long, does its client not read? Every few seconds it asks
which of the authentications in use have ended. When the process is told to end, connections are closed in batches.
No look at all of them, and no ping to all of them, is one turn of the loop: requests would wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from contextvars import Context

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.responses.gateway_response import ShutdownSignal
from hybrid_gateway.websockets.connection import GOING_AWAY, HANDLER_GRACE, TOO_SLOW, Connection
from hybrid_gateway.websockets.connection_limits import ConnectionCounts
from hybrid_gateway.websockets.connection_observer import ConnectionObserver
from hybrid_gateway.websockets.wire import RESTART, RESTART_REASON

logger = logging.getLogger("hybrid_gateway.websockets")

SWEEP = 1.0  # seconds
SWEPT_AT_ONCE = 250  # connections that are looked at in one turn of the loop
RECHECK = 3.0  # seconds between two looks at the authentications in use
FIRST_CLOSE = 0.2  # of the time of a batch, before its first connection is closed
ENDED = 4401, "The credentials have ended."
MAX_BATCH = 500  # connections that are closed at once when the process ends

FindEnded = Callable[[Collection[Authentication]], Awaitable[Iterable[Authentication]]]
"""Returns which of these have ended: revoked, expired, logged out, of a user who is not active."""


class WebSocketRegistry:
    """The open connections of a gateway, of which there may be ``most``.

    ``grace`` is seconds in which they are closed when ``shutdown`` begins. ``observers`` are called with the registry,
    and give back who is told of its connections.
    """

    def __init__(
        self,
        shutdown: ShutdownSignal,
        grace: float,
        find_ended: FindEnded,
        most: int,
        observers: Iterable[Callable[[WebSocketRegistry], ConnectionObserver]] = (),
    ) -> None:
        self.counts = ConnectionCounts(most)
        self._shutdown = shutdown
        self._grace = grace
        self._find_ended = find_ended
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopConnections] = {}
        self.opened = 0  # since the process began
        self._observers = [make(self) for make in observers]

    def __len__(self) -> int:
        return sum(len(loop.connections) for loop in list(self._by_loop.values()))

    def __iter__(self) -> Iterator[Connection]:
        for loop in list(self._by_loop.values()):
            yield from list(loop.connections)

    def add(self, connection: Connection) -> None:
        """Look after a connection until it has ended."""
        self.opened += 1
        self.of_loop().add(connection)
        for observer in self._observers:
            observer.opened(connection)
            connection.when_ended(observer.ended)

    def refused(self, route: str, status: int) -> None:
        """Note that a handshake was answered with a status of HTTP; ``route`` is the template of its path, if any."""
        for observer in self._observers:
            observer.refused(route, status)

    def look(self) -> None:
        """Let observers look at all connections."""
        for observer in self._observers:
            observer.look()

    def of_loop(self) -> LoopConnections:
        """Return the connections of the running loop."""
        loop = asyncio.get_running_loop()
        known = self._by_loop.get(loop)
        if known is None:
            for other in [other for other in self._by_loop if other.is_closed()]:
                del self._by_loop[other]
            known = self._by_loop[loop] = LoopConnections(
                loop, self._shutdown, self._grace, self._find_ended, self.look
            )
        return known


class LoopConnections:
    """The open connections of one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        shutdown: ShutdownSignal,
        grace: float,
        find_ended: FindEnded,
        look: Callable[[], None],
    ) -> None:
        self._shutdown = shutdown
        self._grace = grace
        self._notified: AbstractContextManager[None] | None = None  # while there are connections
        self.connections: set[Connection] = set()
        self.is_still = False  # its clock moves by advance() alone
        self._loop = loop
        self._find_ended = find_ended
        self._look = look
        self._is_draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._recheck: asyncio.Task[None] | None = None
        self._last_recheck = loop.time()

    def add(self, connection: Connection) -> None:
        """Look after ``connection``."""
        self.connections.add(connection)
        connection.when_ended(self._forget)
        if connection.end is not None:
            return
        if (interval := connection.options.ping_interval) is not None:  # who come together are not pinged together
            connection.last_ping -= random.random() * 0.5 * interval  # noqa: S311  # nosec B311
        if self._is_draining:  # its handshake was on the way
            self._drain_one(connection, 0, 0.1 * self._grace)
            self._loop.call_later(0.9 * self._grace, _cut, (connection,))
        elif self._notified is None:
            self._notified = self._shutdown.notifying(self.drain)
            self._notified.__enter__()
        if self._timer is None and not self.is_still:
            self._set_timer()

    async def advance(self, seconds: float, find_ended: FindEnded) -> None:
        """Do what is to be done when ``seconds`` more have gone by: for tests, which do not wait for it."""
        self._find_ended = find_ended
        for connection in self.connections:
            connection.age(seconds)
        self._last_recheck -= seconds
        now = self._loop.time()
        for connection in list(self.connections):
            look_after(connection, now)
        self._end_look(now)
        if self._recheck is not None:
            await self._recheck

    def _forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections and self._notified is not None:
            self._notified.__exit__(None, None, None)
            self._notified = None
            self._is_draining = False

    def _set_timer(self) -> None:
        # in a context of its own: it belongs to no request, least of all to the first one
        self._timer = self._loop.call_later(SWEEP, self._sweep, context=Context())

    def _sweep(self) -> None:
        self._timer = None
        self._look_after(list(self.connections))

    def _look_after(self, waiting: list[Connection]) -> None:
        """Look at some of those that wait, and at the others in the turns of the loop that come next."""
        now = self._loop.time()
        for connection in waiting[:SWEPT_AT_ONCE]:
            look_after(connection, now)
        if rest := waiting[SWEPT_AT_ONCE:]:
            self._timer = self._loop.call_later(0, self._look_after, rest)
            return
        self._timer = None
        self._end_look(now)
        if self.connections and not self.is_still:
            self._set_timer()

    def _end_look(self, now: float) -> None:
        self._look()
        if now - self._last_recheck < RECHECK:
            return
        in_use: dict[int, Authentication] = {}
        for connection in list(self.connections):
            authentication = connection.authentication
            credential = getattr(authentication, "credential", None)  # since somebody has asked about it
            if credential is not None and credential.expires_at is not None and credential.expires_at <= time.time():
                connection.close(*ENDED)  # whatever becomes of the answer about others
            elif authentication is not None:
                in_use[id(authentication)] = authentication
        if in_use and self._recheck is None:
            self._last_recheck = now
            self._recheck = self._loop.create_task(self._end_revoked(list(in_use.values())))

    async def _end_revoked(self, in_use: Collection[Authentication]) -> None:
        try:
            ended = {id(authentication) for authentication in await self._find_ended(in_use)}
            if ended:
                for connection in list(self.connections):
                    if id(connection.authentication) in ended:
                        connection.close(*ENDED)
        except Exception:
            logger.exception("Nobody knows whether the users of open websockets are still allowed")
        finally:
            self._recheck = None

    # --- the end of the process

    def drain(self) -> None:
        """Close every connection within six tenths of the grace period, in batches, each at a moment of its own.

        Handlers get three tenths to notice; what is left then is cut.
        """
        self._is_draining = True
        waiting = list(self.connections)
        random.shuffle(waiting)
        batches = [waiting[start : start + MAX_BATCH] for start in range(0, len(waiting), MAX_BATCH)]
        step = min(0.5, 0.6 * self._grace / max(len(batches), 1))
        for number, batch in enumerate(batches):
            for connection in batch:
                self._drain_one(connection, number, step)
        self._loop.call_later(0.9 * self._grace, _cut, waiting)

    def _drain_one(self, connection: Connection, batch: int, step: float) -> None:
        connection.handler_grace = min(HANDLER_GRACE, 0.3 * self._grace)
        connection.begin_to_drain()
        # jitter, so that clients do not all come back in the same moment; and at first time for a last word
        when = FIRST_CLOSE * step + (batch + random.random() * (1 - FIRST_CLOSE)) * step  # noqa: S311  # nosec B311
        self._loop.call_later(when, connection.close, RESTART, RESTART_REASON)


def _cut(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.wire.abort()


def look_after(connection: Connection, now: float) -> None:
    """Close a connection that is idle, too old, or whose client does not read or answer; send pings that are due."""
    options = connection.options
    if connection.end is not None:
        return
    if options.max_lifetime is not None and now - connection.opened >= options.max_lifetime:
        connection.close(GOING_AWAY, "The connection has reached the end of its lifetime.")
    elif options.idle_timeout is not None and now - connection.last_active >= options.idle_timeout:
        connection.close(GOING_AWAY, "Nothing was sent for too long.")
    elif options.ping_interval is not None:
        _keep_alive(connection, options.ping_interval, now)


def _keep_alive(connection: Connection, interval: float, now: float) -> None:
    if connection.blocked_since is not None and now - connection.blocked_since >= interval:
        connection.close(TOO_SLOW, "The client reads too slowly.")
    elif connection.wire.can_ping and now - connection.last_ping >= interval:
        if connection.pongs_due:
            connection.close(TOO_SLOW, "The client does not answer.")
            return
        connection.last_ping = now
        connection.pongs_due = 1
        with suppress(OSError):
            connection.wire.ping()
