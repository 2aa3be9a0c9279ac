"""Functions that run outside of requests: health checks, and the arguments of start-up hooks and lifespans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, read_signature
from hybrid_gateway.building.build_context import BuildContext, PlanFactory
from hybrid_gateway.dispatch.dispatcher import no_message
from hybrid_gateway.endpoints.authorization_planner import RoutePlanner
from hybrid_gateway.exceptions import ConfigurationError, DependencyError
from hybrid_gateway.health.health_check import Probe, as_health_check
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Handler, Scope

__all__ = ["compile_health_check", "find_arguments"]


def find_arguments(
    hook: Handler, layers: Layers, context: BuildContext, plans: PlanFactory
) -> list[tuple[Parameter, object]]:
    """Return a constant, or a provider that lives as long as the process, for each parameter of ``hook``.

    A parameter that says nothing of its type is the gateway. Raises :class:`DependencyError` for any other.
    """
    where, gateway, constants = f"the hook {describe_handler(hook)}", context.gateway, plans.constants
    components = plans.components(layers)
    found: list[tuple[Parameter, object]] = []
    for parameter in read_signature(hook, where).parameters:
        provider, kind = components.find(parameter), parameter.type
        is_untyped = kind in (NO_DEFAULT, Any, object)
        if provider is not None and provider.lifetime == "app":
            context.components.register(provider, components, constants, (where,))
            found.append((parameter, provider))
        elif (is_untyped and parameter.required) or (
            isinstance(kind, type) and kind is not object and isinstance(gateway, kind)
        ):
            found.append((parameter, gateway))
        elif not is_untyped and kind in constants:
            found.append((parameter, constants[kind]))
        elif parameter.required:
            raise DependencyError(
                f"{where} asks for {parameter.name!r}, and nothing that lives as long as the process provides it. "
                'It may ask for the Gateway, its State, and components with lifetime = "app".'
            )
    if sum(given is gateway for _, given in found) > 1:
        raise DependencyError(f"{where} has two parameters for the gateway: annotate what each shall be.")
    return found


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
