"""Components in a plan: which fills a parameter, what it needs before, and when it is left."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_gateway.binding.components import Provider, make_provider
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.binding.plan import Chain, Code, Phase, PlanBuilder, Step, code, format_chain
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.request_cleanup import enter, enter_async
from hybrid_gateway.binding.shared_components import ask, key_of, sees_parameter, share, share_async
from hybrid_gateway.binding.signature import Parameter, Signature
from hybrid_gateway.exceptions import DependencyError, located
from hybrid_gateway.request.request_parts import HANDLED
from hybrid_gateway.type_info import strip_annotated

Arguments = Callable[[Signature, Chain, Phase], Code]


class ComponentPlanner:
    """Plans the components of one plan; ``arguments`` plans what a provider asks for, and gives its call's arguments.

    The plan of a route notes what it makes of the components that are shared; one that follows asks for them. What a
    plan enters for nobody else is left at its own moment.
    """

    def __init__(self, builder: PlanBuilder, scope: PlanScope, arguments: Arguments) -> None:
        self._builder = builder
        self._scope = scope
        self._arguments = arguments
        self._moment = scope.moment  # of what is being planned just now

    def find(self, parameter: Parameter) -> Provider | None:
        """Return the component that fills ``parameter``, if one does."""
        components, marker = self._scope.components, parameter.marker
        if not isinstance(marker, Depends):
            return components.find(parameter)
        target = marker.provider or strip_annotated(parameter.type)
        override = components.override(target) or components.override_of(parameter)
        return override or make_provider(target, use_cache=marker.use_cache)

    def provide(
        self, provider: Provider, parameter: Parameter, chain: Chain, phase: Phase, *, here: bool = False
    ) -> Code:
        """Return the variable of what ``provider`` makes; ``here`` even where the plan could ask for it."""
        key = key_of(provider, parameter)
        if provider.use_cache and key in self._builder.variables:
            return self._builder.variables[key]
        where = provider.signature.where
        if where in chain[1:]:
            raise DependencyError(f"{format_chain((*chain, where))}: a component cannot need itself.", id="C002")
        with located(provider.key):
            step = self._step(key, provider, parameter, (*chain, where), phase, here)
        variable = self._builder.assign(parameter.name, phase.steps, step)
        if provider.use_cache:
            self._builder.variables[key] = variable
        return variable

    def _step(
        self, key: object, provider: Provider, parameter: Parameter, chain: Chain, phase: Phase, here: bool
    ) -> Step:
        name, scope = self._builder.name, self._scope
        if provider.lifetime == "app":
            mode = scope.app.register(provider, scope.components, scope.constants, chain[:-1])
            function = name("app", scope.app.open_async if mode == "loop" else scope.app.open)
            return Step(call=Code(f"{function}({name('component', provider)})"), mode=mode)
        shared = scope.shared.get(key) if provider.use_cache else None
        if shared is None:
            return self._made(provider, parameter, chain, phase, self._moment)
        if scope.follows and not here and scope.maker is not None:
            make, awaits = scope.maker(provider, parameter, chain, scope.given)
            given = ", ".join(("ctx", name("key", key), name("make", make), *scope.given.values()))
            return Step(call=Code(f"{name('ask', ask)}({given})"), mode="loop", awaits=awaits)
        step = self._made(provider, parameter, chain, phase, shared.moment)
        function = name("share", share_async if step.mode == "loop" else share)
        call = code(f"{function}(ctx, {name('key', key)}, {shared.until}, lambda: {{}})", step.call)
        return Step(call=call, mode=step.mode)

    def _made(self, provider: Provider, parameter: Parameter, chain: Chain, phase: Phase, moment: int) -> Step:
        if sees_parameter(provider):
            provider = provider.given(parameter)
        before, self._moment = self._moment, moment  # what it alone needs lasts as long as it does
        arguments = self._arguments(provider.signature, chain, phase)
        self._moment = before
        call = code("{}({})", self._builder.function("provide", provider.call), arguments)
        if not provider.cleans_up:
            return Step(call=call, mode=provider.mode)
        self._builder.plan.enters = True
        function = self._builder.name("enter", enter_async if provider.mode == "loop" else enter)
        lasts = f", {moment}" if moment != HANDLED else ""
        return Step(call=code(f"{function}(ctx, {{}}, {provider.mode!r}{lasts})", call), mode=provider.mode)
