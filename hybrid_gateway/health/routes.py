"""``Include("", "hybrid_gateway.health.routes")``: ``/livez`` and ``/readyz``, for whoever restarts and routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import json

from hybrid_gateway.auth import AllowAny
from hybrid_gateway.health.health_check import Readiness
from hybrid_gateway.responses.problem_details import problem_document
from hybrid_gateway.responses.response_classes import Response
from hybrid_gateway.routing.declare import HandlerOptions, get

# Orchestrators ask an address of theirs, without TLS, credentials or a host name that a site would know.
_PROBE: HandlerOptions = {
    "opt": {"probe": True},
    "authentication": [],
    "guards": [AllowAny],
    "include_in_schema": False,
}


@get("/livez", **_PROBE)
async def livez() -> Response[dict[str, str]]:
    """Answer 200 as long as the process takes requests at all; a restart mends one that does not answer."""
    return _respond({"status": "ok"}, 200)


@get("/readyz", **_PROBE)
async def readyz(readiness: Readiness) -> Response[dict[str, object]]:
    """Answer 200 when requests are welcome; 503 with the checks that failed, while starting up, and while draining."""
    ready, checks = await readiness.ask()
    if ready:
        return _respond({"status": "ok", "checks": checks}, 200)
    failed = ", ".join(name for name, outcome in checks.items() if outcome != "ok")
    # Not raised: it is no error of the application, which a log would show with a traceback at every probe.
    return _respond(problem_document(503, f"Not ready: {failed}.", checks=checks), 503, "application/problem+json")


def _respond(value: Mapping[str, object], status: int, media_type: str = "application/json") -> Response[Any]:
    return Response(json.encode(value), status, {"Cache-Control": "no-store"}, media_type)


routes = [livez, readyz]
