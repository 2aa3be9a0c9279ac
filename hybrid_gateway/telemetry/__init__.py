"""Observation by logs, browsers and monitoring; ``hybrid_gateway.telemetry.metrics`` speaks to Prometheus."""

from hybrid_gateway.telemetry.event_hooks import (
    AccessLog,
    DatabaseTiming,
    JSONFormatter,
    RequestID,
    RequestIDFilter,
    ServerTiming,
    request_id,
)
from hybrid_gateway.telemetry.request_ids import RequestIDMiddleware, RequestIDs

__all__ = [
    "AccessLog",
    "DatabaseTiming",
    "JSONFormatter",
    "RequestID",
    "RequestIDFilter",
    "RequestIDMiddleware",
    "RequestIDs",
    "ServerTiming",
    "request_id",
]
