"""Functions around the plan of a route: the values in its path that they see, and the components that both share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping

from hybrid_gateway.binding.components import Provider
from hybrid_gateway.binding.plan_builder import hashable
from hybrid_gateway.binding.plan_compiler import compile_plan
from hybrid_gateway.binding.shared_components import Needs, Shared, key_of
from hybrid_gateway.binding.signature import Parameter, read_signature
from hybrid_gateway.building.hook_compiler import WAY_OUT, method_of
from hybrid_gateway.building.route_planner import RoutePlanner
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.cleanup_phases import AFTER_RESPONSE, ERROR_HANDLED, FIRST_HOOK
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Handler

__all__ = ["RouteSurroundings", "SurroundingsCompiler"]

PlanAround = Callable[["RouteSurroundings", str, Mapping[type, str], int], RoutePlanner]


class RouteSurroundings:
    """Whatever functions around the plans of some routes have in common, so that they are compiled once for all."""

    def __init__(
        self, plan: PlanAround, layers: Layers, path: Mapping[str, object], components: Mapping[object, Shared]
    ) -> None:
        self.layers = layers
        self.path = path
        self.components = components
        self._plan = plan
        self._makers: dict[object, tuple[Callable[..., Awaitable[object]], bool] | None] = {}

    def planner(self, where: str, given: Mapping[type, str], moment: int) -> RoutePlanner:
        """Return an empty plan for a function that has run at ``moment``."""
        return self._plan(self, where, given, moment)

    def maker(
        self, provider: Provider, parameter: Parameter, chain: tuple[str, ...], given: Mapping[type, str]
    ) -> tuple[Callable[..., Awaitable[object]], bool]:
        """See :class:`hybrid_gateway.binding.shared_components.Sharing`."""
        key = key_of(provider, parameter)
        if (key, *given) not in self._makers:
            self._makers[key, *given] = None
            planner = self.planner(chain[0], given, self.components[key].moment)
            planner.binding.component(provider, parameter, chain[:-1])
            run, _ = compile_plan(planner.plan, chain[-1], tuple(given.values()))
            self._makers[key, *given] = run, planner.plan.awaits
        found = self._makers[key, *given]
        if found is None:
            raise DependencyError(f"{' → '.join(chain)}: a component cannot need itself.")
        return found


class SurroundingsCompiler:
    """Finds, for each route, what it has in common with others; ``plan`` makes empty plans for functions around it."""

    def __init__(self, plan: PlanAround) -> None:
        self._plan = plan
        self._needs: dict[object, Needs] = {}
        self._found: dict[object, RouteSurroundings] = {}

    def find(self, layers: Layers, path: Mapping[str, object]) -> RouteSurroundings:
        """Return that of a route with these layers; ``path`` are the values in its path and their types."""
        handlers = tuple(layers.exception_handlers.items())
        parameters = tuple((name, hashable(kind)) for name, kind in layers.parameters.items())
        common = layers.components, layers.authentication, parameters, layers.max_body_size, layers.csrf_exempt
        hooks = layers.event_hooks, layers.after_request, layers.after_response
        needs = self._needs.get((common, hooks, handlers))
        if needs is None:
            planner = self._plan(RouteSurroundings(self._plan, layers, {}, {}), "a route", {}, AFTER_RESPONSE)
            needs = self._needs[common, hooks, handlers] = _needs_of(layers, planner.authorization.needs())
        seen = path if needs.names.intersection(path) else {}
        components = needs.components
        key = (common, tuple(seen.items()), (hooks, handlers) if components else ())
        if key not in self._found:
            self._found[key] = RouteSurroundings(self._plan, layers, seen, components)
        return self._found[key]


def _needs_of(layers: Layers, needs: Needs) -> Needs:
    for handler in layers.exception_handlers.values():
        needs.add(read_signature(handler, f"the exception handler {describe_handler(handler)}"), ERROR_HANDLED)
    for function, moment in _functions(layers):
        needs.add(read_signature(function, f"the hook {describe_handler(function)}"), moment)
    return needs


def _functions(layers: Layers) -> Iterator[tuple[Handler, int]]:
    """Yield the functions on the way out, each with the moment at which it has run."""
    for position, function in enumerate(reversed(layers.after_request)):
        yield function, FIRST_HOOK + position
    for position, entry in enumerate(reversed(layers.event_hooks), len(layers.after_request)):
        for name in WAY_OUT:
            if hasattr(entry, name):
                yield method_of(entry, name), FIRST_HOOK + position
    for function in layers.after_response:
        yield function, AFTER_RESPONSE
