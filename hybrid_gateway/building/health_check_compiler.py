"""Health checks → probes: what a check asks for is planned as a handler's parameters are, but without a request."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.dispatch.dispatcher import no_message
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.health.health_check import Probe, as_health_check
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Scope

__all__ = ["compile_health_check"]

_SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


def compile_health_check(entry: object, planner: Callable[[str], RoutePlanner]) -> Probe:
    """Compile an entry of ``HEALTH_CHECKS``; raises :class:`ConfigurationError` where it needs a request."""
    check = as_health_check(entry)
    where = f"the health check {describe_handler(check.function)}"
    made = planner(where)
    made.binding.result(
        check.function, read_signature(check.function, where), mode_of(check.function), lambda value: value
    )
    plan = made.plan
    if plan.reads:
        raise ConfigurationError(
            f"{where} asks for something of a request, but its outcome is shared by many and belongs to none. It may "
            "ask for components, for State and for the Gateway."
        )
    endpoint, _ = compile_plan(plan, where)

    async def run(thread: RequestThread) -> object:
        ctx, error = RequestContext(dict(_SCOPE), no_message, lambda: thread), None
        try:
            return await endpoint(ctx)
        except BaseException as raised:
            error = raised
            raise
        finally:
            failure = await close_all(ctx, error) if ctx.exits else error
            if failure is not None and failure is not error:
                raise failure

    return Probe(check, run)
