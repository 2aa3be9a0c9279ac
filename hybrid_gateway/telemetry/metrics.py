"""Metrics for Prometheus: ``PLUGINS: ["hybrid_gateway.telemetry.metrics.Prometheus"]``.

How this works: a hook before all others counts responses by the templates of routes, never by the paths of clients,
who could make up any number of them. Requests without a route count as one, ``""``. Django's side counts where
:class:`PrometheusMiddleware` is in ``MIDDLEWARE``. The pools tell how long work waits for a thread.

Several processes: set ``PROMETHEUS_MULTIPROC_DIR``, and ``/metrics`` of any of them tells of all.
"""

from __future__ import annotations

import os
import time
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, Unpack
from weakref import WeakKeyDictionary

import msgspec
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from hybrid_gateway import http
from hybrid_gateway.binding.components import inline
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.channels.process_channels import channels
from hybrid_gateway.concurrency.thread_pools import InstrumentedPool
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, status_of
from hybrid_gateway.responses.response_classes import Response
from hybrid_gateway.routing.declare import HandlerOptions, Route
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.telemetry.metric_children import Children
from hybrid_gateway.telemetry.request_ids import O, Respond
from hybrid_gateway.telemetry.websocket_metrics import ConnectionCounter, WebSocketMetrics
from hybrid_gateway.websockets.registry import WebSocketRegistry

__all__ = ["Prometheus", "PrometheusMiddleware"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# SECURITY: a client may send any method; each of them would be a series of its own for ever.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class PrometheusMetrics:
    """The metrics of one registry; a unit of time is the second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "hybrid_gateway"
        gauge = partial(Gauge, multiprocess_mode="livesum", registry=registry)
        self.registry = registry
        requests = Counter(
            f"{name}_requests",
            "Requests by route template and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.requests = Children(requests)
        seconds = Histogram(
            f"{name}_request_duration_seconds",
            "Time until the answer was ready.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.seconds = Children(seconds)
        self.in_progress = gauge(f"{name}_requests_in_progress", "Requests being answered.")
        self._busy = Children(gauge(f"{name}_threads_busy", "Threads at work, by pool.", ["pool"]))
        waited = Histogram(
            f"{name}_thread_wait_seconds",
            "How long work waited for a thread.",
            ["pool"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._waited = Children(waited)
        self._connections = Children(
            gauge(f"{name}_database_connections", "Connections that threads hold open, by pool.", ["pool", "alias"])
        )
        self.websockets = WebSocketMetrics(registry)
        self.channels = ChannelMetrics(registry)

    def start(self, method: str, route: str) -> InFlightRequest:
        """Begin to measure a request."""
        return InFlightRequest(self, method if method in _METHODS else "other", route)

    def begin(self, pool: str, waited: float) -> None:
        """Note that a unit of work begins; see :class:`PoolMetrics`."""
        self._busy[pool,].inc()
        self._waited[pool,].observe(waited)

    def end(self, pool: str, opened: Count[str]) -> None:
        """Note that a unit of work is done; see :class:`PoolMetrics`."""
        self._busy[pool,].dec()
        for alias in connections:
            self._connections[pool, alias].set(opened[alias])


class InFlightRequest:
    """A request that is being answered."""

    def __init__(self, metrics: PrometheusMetrics, method: str, route: str) -> None:
        self._metrics, self._method, self.route = metrics, method, route
        self._began = time.perf_counter()

    def end(self, status: int | Literal["aborted"]) -> None:
        """Record the response; ``aborted`` where nobody waited for it."""
        family = f"{status // 100}xx" if isinstance(status, int) else status
        self._metrics.requests[self._method, self.route, family].inc()
        self._metrics.seconds[self._method, self.route].observe(time.perf_counter() - self._began)


_registered: WeakKeyDictionary[CollectorRegistry, PrometheusMetrics] = WeakKeyDictionary()


def _metrics_of(registry: CollectorRegistry) -> PrometheusMetrics:
    """Return the metrics of a registry, which takes each name once, however many gateways a process builds."""
    if registry not in _registered:
        _registered[registry] = PrometheusMetrics(registry)
    return _registered[registry]


class ChannelMetrics:
    """The metrics of channels, by their templates: names are as many as clients ask for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "hybrid_gateway_channel"
        gauge = partial(Gauge, multiprocess_mode="livesum", registry=registry)
        self._subscriptions = Children(gauge(f"{name}_subscriptions", "Readers of channels.", ["channel"]))
        self._delivered = Children(
            Counter(f"{name}_deliveries", "Messages handed to readers.", ["channel"], registry=registry)
        )
        self._dropped = Children(
            Counter(f"{name}_dropped", "Messages dropped for slow readers.", ["channel"], registry=registry)
        )
        seconds = Histogram(
            f"{name}_fan_out_seconds",
            "Time from the arrival of a message until every reader of a loop had it.",
            ["channel"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._seconds = Children(seconds)
        self._queued = gauge(f"{name}_queue_bytes", "Bytes of messages that wait for readers.")
        self._connected = gauge(f"{name}_backend_connected", "Whether the back end is reached, once it is used.")
        self._reconnects = Counter(f"{name}_reconnects", "Returns of the back end after an outage.", registry=registry)
        self._is_away = False
        self._next_sample = 0.0

    def fanned_out(self, channel: str, seconds: float, sinks: int) -> None:
        """Note a message that was handed to readers."""
        self._seconds[channel,].observe(seconds)
        self._delivered[channel,].inc(sinks)
        if time.monotonic() >= self._next_sample:
            self.sample()

    def sample(self) -> None:
        """Note how much waits now. PERF: once a second, not with each message."""
        self._next_sample = time.monotonic() + 1
        self._queued.set(channels.queued_bytes)

    def subscribed(self, channel: str, change: int) -> None:
        """Note readers that have come or gone."""
        self._subscriptions[channel,].inc(change)

    def dropped(self, channel: str, count: int) -> None:
        """Note messages that a reader was too slow for."""
        self._dropped[channel,].inc(count)

    def connection_changed(self, is_connected: bool) -> None:
        """Note that the back end has gone or come."""
        self._connected.set(is_connected)
        if is_connected and self._is_away:
            self._reconnects.inc()
        self._is_away = not is_connected


class Prometheus:
    """A plugin: measures, and adds the route ``GET path``, below the gateway's guards and those in ``options``.

    ``path=None`` adds none, for those who serve the registry elsewhere. ``options`` are those of a handler.
    """

    def __init__(
        self,
        path: str | None = "/metrics",
        *,
        registry: CollectorRegistry = REGISTRY,
        **options: Unpack[HandlerOptions],
    ) -> None:
        self._path = path
        self._metrics = _metrics_of(registry)
        channels.meter = self._metrics.channels
        self._counters: list[ConnectionCounter] = []
        self._options: HandlerOptions = {
            "name": "metrics",
            "include_in_schema": False,
            "sync_to_thread": False,
            **options,
        }

    def on_gateway_init(self, options: O) -> O:
        """Put the hook before all others, measure the threads, add the route."""
        hooks = (_make_hook(self._metrics), *options.layers.event_hooks)
        routes = options.routes
        if self._path is not None:
            routes = (*routes, Route(self._path, self._show, **self._options))
        return options.replace(
            routes=routes,
            layers=msgspec.structs.replace(options.layers, event_hooks=hooks),
            around_unrouted=(self._around, *options.around_unrouted),
            pool=partial(InstrumentedPool, meters=self._metrics),
            websocket_observers=(self._observe, *options.websocket_observers),
        )

    def _observe(self, registry: WebSocketRegistry) -> ConnectionCounter:
        counter = self._metrics.websockets.observe(registry)
        self._counters.append(counter)
        return counter

    def _show(self, headers: Headers) -> Response[bytes]:
        """All metrics, in the format that is asked for; on the loop, since they matter most when no thread is free."""
        for counter in self._counters:
            counter.look()
        registry = self._metrics.registry
        self._metrics.channels.sample()
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def _around(self, ctx: RequestContext, respond: Respond) -> EndpointResponse:
        request = self._metrics.start(ctx.method, "")
        with self._metrics.in_progress.track_inprogress():
            response = await respond(ctx)
        request.end(status_of(response))
        return response


def _make_hook(metrics: PrometheusMetrics) -> type:

    @inline
    def track(route: FlatRoute, method: http.Method) -> Iterator[InFlightRequest]:
        # A clean-up, since no hook sees the end of a request that nobody waits for any more.
        request = metrics.start(method, route.path)
        with metrics.in_progress.track_inprogress():
            try:
                yield request
            except BaseException as error:
                if isinstance(error, ClientDisconnect) or not isinstance(error, Exception):
                    request.end("aborted")
                raise  # of the others on_response sees what becomes of them

    class Measured:
        sees_websockets = False  # which are counted otherwise: they are in progress as long as they are open
        _request: InFlightRequest

        async def on_request(self, request: InFlightRequest) -> None:
            self._request = request

        on_request.__annotations__["request"] = Annotated[InFlightRequest, Depends(track)]

        async def on_response(self, response: Response[object]) -> None:
            self._request.end(response.status_code)

    return Measured


class PrometheusMiddleware:
    """Metrics of Django's side, first in ``MIDDLEWARE``: routes are those of the URLconf, below ``"django:"``."""

    sync_capable = True
    async_capable = True
    registry = REGISTRY

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._metrics = _metrics_of(self.registry)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._call_async(request)
        flight = self._metrics.start(request.method or "", "")
        with self._metrics.in_progress.track_inprogress():
            return _finish(flight, request, self._get_response(request))

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        flight = self._metrics.start(request.method or "", "")
        with self._metrics.in_progress.track_inprogress():
            return _finish(flight, request, await self._get_response(request))


def _finish(flight: InFlightRequest, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    route = "" if request.resolver_match is None else request.resolver_match.route
    flight.route = f"django:{route}"
    flight.end(response.status_code)
    return response
