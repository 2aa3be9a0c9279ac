"""Metrics of websockets, which :class:`~hybrid_gateway.telemetry.metrics.Prometheus` adds to its own.

How this works: a connection counts its own messages, which is an addition and no lock; once a second, when somebody
asks for the metrics, and when the last connection ends, what has been added meanwhile goes to the counters of its
route. With several processes nobody asks most of them, and one that ends is asked no more.
"""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from hybrid_gateway.telemetry.metric_children import Children
from hybrid_gateway.websockets.close_codes import CLOSE_CODES
from hybrid_gateway.websockets.connection import Connection
from hybrid_gateway.websockets.registry import WebSocketRegistry

# SECURITY: a client may close with any code; each of them would be a series of its own for ever.
_CODES = frozenset({1005, *(row.code for row in CLOSE_CODES)})

Figures = Count[tuple[str, str, str]]
"""Sums by the metric, the route and the direction."""


class WebSocketMetrics:
    """The metrics of websockets in one registry; ``hybrid_gateway_websocket_...``, by the template of the route."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "hybrid_gateway_websocket"
        gauge = partial(Gauge, multiprocess_mode="livesum", registry=registry)
        counter = partial(Counter, registry=registry)
        handshakes = "Handshakes by status: 101 was accepted."
        self.handshakes = Children(counter(f"{name}_handshakes", handshakes, ["route", "status"]))
        self.open = Children(gauge(f"{name}_connections", "Open connections.", ["route"]))
        self.closed = Children(counter(f"{name}_closed", "Connections that have ended, by code.", ["route", "code"]))
        self.queued = Children(gauge(f"{name}_queue_bytes", "Bytes that wait for clients.", ["route"]))
        self.sums = {
            "messages": Children(counter(f"{name}_messages", "Messages.", ["route", "direction"])),
            "bytes": Children(counter(f"{name}_message_bytes", "Bytes of messages.", ["route", "direction"])),
            "throttled": Children(counter(f"{name}_throttled", "Messages over a rate.", ["route", "direction"])),
        }

    def observe(self, registry: WebSocketRegistry) -> ConnectionCounter:
        """Return what hears of the connections of one gateway."""
        return ConnectionCounter(self, registry)


class ConnectionCounter:
    """Counts the connections of one gateway. See :class:`~hybrid_gateway.websockets.connection_observer`."""

    def __init__(self, metrics: WebSocketMetrics, registry: WebSocketRegistry) -> None:
        self._metrics = metrics
        self._registry = registry
        self._lock = threading.Lock()  # a gateway may have several loops
        self._ended: Figures = Count()  # of connections that are no more
        self._told: Figures = Count()
        self._queued: set[str] = set()  # routes whose queue was not empty when we looked

    def refused(self, route: str, status: int, /) -> None:
        self._metrics.handshakes[route, str(status)].inc()

    def opened(self, connection: Connection, /) -> None:
        route = connection.options.path
        self._metrics.handshakes[route, "101"].inc()
        self._metrics.open[route,].inc()

    def ended(self, connection: Connection, /) -> None:
        route = connection.options.path
        code = 1006 if connection.end is None else connection.end.code
        known = code in _CODES or 4400 <= code < 4600
        self._metrics.open[route,].dec()
        self._metrics.closed[route, str(code) if known else "other"].inc()
        with self._lock:
            for key, figure in _figures(connection):
                self._ended[key] += figure
        if not len(self._registry):
            self.look()

    def look(self) -> None:
        """Bring counters and gauges up to date."""
        with self._lock:
            sums = self._ended.copy()
            queued: Count[str] = Count()
            for connection in self._registry:
                for key, figure in _figures(connection):
                    sums[key] += figure
                queued[connection.options.path] += connection.wire.queued[1]
            for key, figure in sums.items():
                more = figure - self._told[key]
                if more > 0:  # a connection that has just ended may be in neither sum for a moment
                    self._metrics.sums[key[0]][key[1:]].inc(more)
                    self._told[key] = figure
            for route in self._queued - queued.keys():
                self._metrics.queued[route,].set(0)
            self._queued = set(queued)
            for route, size in queued.items():
                self._metrics.queued[route,].set(size)


def _figures(connection: Connection) -> Iterator[tuple[tuple[str, str, str], int]]:
    route = connection.options.path
    yield ("messages", route, "in"), connection.received
    yield ("messages", route, "out"), connection.sent
    yield ("bytes", route, "in"), connection.received_bytes
    yield ("bytes", route, "out"), connection.sent_bytes
    if connection.throttled:
        yield ("throttled", route, "in"), connection.throttled
