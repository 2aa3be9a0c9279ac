"""Metrics for Prometheus: ``PLUGINS: ["hybrid_gateway.telemetry.metrics.Prometheus"]``.

How this works: a hook before all others counts what routes answer, by their templates, never by the paths of clients,
who could make up any number of them. What no route answers is one route, ``""``. Django's side counts where
:class:`PrometheusMiddleware` is in ``MIDDLEWARE``. The pools tell how long work waits for a thread.

Several processes: set ``PROMETHEUS_MULTIPROC_DIR``, and ``/metrics`` of any of them tells of all.
"""

from __future__ import annotations

import os
import time
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import msgspec
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import connections
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from hybrid_gateway import http
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.concurrency.instrumented_pool import InstrumentedPool
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import status_of
from hybrid_gateway.responses.response_classes import Response
from hybrid_gateway.routing.declare import Route
from hybrid_gateway.routing.layers import FlatRoute

__all__ = ["Prometheus", "PrometheusMiddleware"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# SECURITY: a client may send any method; each of them would be a series of its own for ever.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class PrometheusMetrics:
    """The metrics of one registry; a unit of time is the second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "hybrid_gateway"
        live: dict[str, Any] = {"multiprocess_mode": "livesum", "registry": registry}
        self.registry = registry
        self.requests = Counter(
            f"{name}_requests",
            "Requests by route template and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            f"{name}_request_duration_seconds",
            "Time until the answer was ready.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(f"{name}_requests_in_progress", "Requests being answered.", **live)
        self.busy = Gauge(f"{name}_threads_busy", "Threads at work, by pool.", ["pool"], **live)
        self.waited = Histogram(
            f"{name}_thread_wait_seconds",
            "How long work waited for a thread.",
            ["pool"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.connections = Gauge(
            f"{name}_database_connections", "Connections that threads hold open, by pool.", ["pool", "alias"], **live
        )

    def count(self, method: str, route: str, status: str, seconds: float) -> None:
        """One answer; ``status`` is a class such as ``2xx``, or ``aborted`` where nobody waited for it."""
        method = method if method in _METHODS else "other"
        self.requests.labels(method, route, status).inc()
        self.seconds.labels(method, route).observe(seconds)

    def begin(self, pool: str, waited: float) -> None:
        """See ``PoolMeters``."""
        self.busy.labels(pool).inc()
        self.waited.labels(pool).observe(waited)

    def end(self, pool: str, opened: Count[str]) -> None:
        """See ``PoolMeters``."""
        self.busy.labels(pool).dec()
        for alias in connections:
            self.connections.labels(pool, alias).set(opened[alias])


_meters: WeakKeyDictionary[CollectorRegistry, PrometheusMetrics] = WeakKeyDictionary()


def _meters_of(registry: CollectorRegistry) -> PrometheusMetrics:
    """A registry takes each name once, however many gateways a process builds."""
    if registry not in _meters:
        _meters[registry] = PrometheusMetrics(registry)
    return _meters[registry]


class Prometheus:
    """A plugin: measures, and answers ``GET path``, below the gateway's guards and those in ``options``.

    ``path=None`` answers nothing, for those who serve the registry elsewhere. ``options`` are those of a handler.
    """

    def __init__(
        self, path: str | None = "/metrics", *, registry: CollectorRegistry = REGISTRY, **options: Any
    ) -> None:
        self._path = path
        self._meters = _meters_of(registry)
        self._options: Mapping[str, Any] = {"include_in_schema": False, **options}

    def on_gateway_init(self, options: Any) -> Any:
        """Put the hook before all others, measure the threads, add the route."""
        hooks = (_hook(self._meters), *options.layers.event_hooks)
        routes = options.routes
        if self._path is not None:
            routes = (*routes, Route(self._path, self._show, name="metrics", sync_to_thread=False, **self._options))
        return options.replace(
            routes=routes,
            layers=msgspec.structs.replace(options.layers, event_hooks=hooks),
            around_unrouted=(self._around, *options.around_unrouted),
            pool=partial(InstrumentedPool, meters=self._meters),
        )

    def _show(self, headers: Headers) -> Response[bytes]:
        """All metrics, in the format that is asked for; on the loop, since they matter most when no thread is free."""
        registry = self._meters.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def _around(self, ctx: RequestContext, respond: Callable[[Any], Awaitable[Any]]) -> Any:
        began = time.perf_counter()
        with self._meters.in_progress.track_inprogress():
            response = await respond(ctx)
        self._meters.count(ctx.method, "", _class_of(status_of(response)), time.perf_counter() - began)
        return response


def _class_of(status: int) -> str:
    return f"{status // 100}xx"


def _hook(meters: PrometheusMetrics) -> type:
    """An event hook that tells ``meters``."""

    def fly(route: FlatRoute, method: http.Method) -> Iterator[_Flight]:
        # A clean-up, since no hook sees the end of a request that nobody waits for any more.
        flight = _Flight(meters, method, route.path)
        with meters.in_progress.track_inprogress():
            try:
                yield flight
            except BaseException as error:
                if isinstance(error, ClientDisconnect) or not isinstance(error, Exception):
                    flight.end("aborted")
                raise  # of the others on_response sees what becomes of them

    fly.sync_to_thread = False  # type: ignore[attr-defined]
    return type("Measured", (_Measured,), {"on_request": _asking_for(fly)})


class _Flight:
    """A request on its way."""

    def __init__(self, meters: PrometheusMetrics, method: str, route: str) -> None:
        self._meters, self._method, self._route = meters, method, route
        self._began = time.perf_counter()

    def end(self, status: str) -> None:
        self._meters.count(self._method, self._route, status, time.perf_counter() - self._began)


class _Measured:
    _flight: _Flight

    async def on_response(self, response: Response[Any]) -> None:
        self._flight.end(_class_of(response.status_code))


def _asking_for(provider: Callable[..., Iterator[_Flight]]) -> Callable[..., Any]:
    async def on_request(self: Any, flight: Any) -> None:
        self._flight = flight

    on_request.__annotations__["flight"] = Annotated[_Flight, Depends(provider)]
    return on_request


class PrometheusMiddleware:
    """The same for Django's side, first in ``MIDDLEWARE``: routes are those of the URLconf, below ``"django:"``."""

    sync_capable = True
    async_capable = True
    registry = REGISTRY

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._meters = _meters_of(self.registry)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._answer_later(request)
        began = time.perf_counter()
        with self._meters.in_progress.track_inprogress():
            return self._counted(request, self._get_response(request), began)

    async def _answer_later(self, request: Any) -> Any:
        began = time.perf_counter()
        with self._meters.in_progress.track_inprogress():
            return self._counted(request, await self._get_response(request), began)

    def _counted(self, request: Any, response: Any, began: float) -> Any:
        route = request.resolver_match.route if request.resolver_match is not None else ""
        status = _class_of(response.status_code)
        self._meters.count(request.method, f"django:{route}", status, time.perf_counter() - began)
        return response
