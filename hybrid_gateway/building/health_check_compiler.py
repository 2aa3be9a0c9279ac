"""Health checks → probes: what a check asks for is planned as a handler's parameters are, but without a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.building.route_planner import RoutePlanner
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.health.health_check import as_health_check
from hybrid_gateway.health.readiness import Probe
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.routing.declare import describe_handler

__all__ = ["compile_health_check"]

_SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


def compile_health_check(entry: Any, planner: Callable[[str], RoutePlanner]) -> Probe:
    """Compile an entry of ``HEALTH_CHECKS``; raises :class:`ConfigurationError` where it needs a request."""
    check = as_health_check(entry)
    where = f"the health check {describe_handler(check.function)}"
    made = planner(where)
    made.binding.result(check.function, read_signature(check.function, where), mode_of(check.function), _as_it_is)
    plan = made.plan
    if plan.reads:
        raise ConfigurationError(
            f"{where} asks for something of a request, but its outcome is shared by many and belongs to none. It may "
            "ask for components, for State and for the Gateway."
        )
    endpoint, _ = compile_plan(plan, where)

    async def run(thread: RequestThread) -> Any:
        ctx, error = RequestContext(dict(_SCOPE), _hear_nothing, lambda: thread), None
        try:
            return await endpoint(ctx)
        except BaseException as raised:
            error = raised
            raise
        finally:
            await _leave(ctx, error)

    return Probe(check, run)


async def _leave(ctx: RequestContext, error: BaseException | None) -> None:
    failure = await close_all(ctx, error) if ctx.exits else error
    if failure is not None and failure is not error:
        raise failure


async def _hear_nothing() -> Any:
    return {"type": "http.disconnect"}


def _as_it_is(value: Any) -> Any:
    return value
