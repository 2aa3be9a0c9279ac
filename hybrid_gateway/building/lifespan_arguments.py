"""Arguments of start-up hooks, shutdown hooks and lifespans: components and constants that belong to no request."""

from __future__ import annotations

from typing import Any

from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, read_signature
from hybrid_gateway.building.build_context import BuildContext, PlanFactory
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Handler

__all__ = ["find_arguments"]


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
