"""Components in a plan: which fills a parameter, what it needs before, and when it is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hybrid_gateway.binding.components import Components, Mode, Provider, make_provider
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.binding.plan import Step
from hybrid_gateway.binding.plan_builder import Chain, Phase, PlanBuilder, format_chain
from hybrid_gateway.binding.request_cleanup import AppComponents, enter, enter_async
from hybrid_gateway.binding.shared_components import Sharing, ask, key_of, sees_parameter, share, share_async
from hybrid_gateway.binding.signature import Parameter, Signature
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.request.cleanup_phases import ANSWERED
from hybrid_gateway.type_info import strip_annotated

__all__ = ["Provision"]

Arguments = Callable[[Signature, Chain, Phase], str]


class Provision:
    """Plans the components of one plan; ``arguments`` plans what a provider asks for, and gives its call's arguments.

    ``sharing`` is what the route of the plan shares: the plan of the route notes it, one that ``follows`` asks for it.
    What the plan enters for nobody else is left at ``moment``; ``given`` are ready variables.
    """

    def __init__(
        self,
        draft: PlanBuilder,
        components: Components,
        app: AppComponents,
        constants: Mapping[Any, Any],
        arguments: Arguments,
        *,
        sharing: Sharing | None = None,
        follows: bool = False,
        moment: int = ANSWERED,
        given: Mapping[Any, str],
    ) -> None:
        self._draft = draft
        self._components = components
        self._app = app
        self._constants = constants
        self._arguments = arguments
        self._sharing = sharing
        self._follows = follows
        self._moment = moment  # of what is being planned just now
        self._given = given

    def find(self, parameter: Parameter) -> Provider | None:
        """The component that fills ``parameter``, if one does."""
        if isinstance(parameter.marker, Depends):
            return self._depends(parameter, parameter.marker)
        return self._components.find(parameter)

    def _depends(self, parameter: Parameter, marker: Depends) -> Provider:
        target = marker.provider or strip_annotated(parameter.type)
        override = self._components.override(target) or self._components.override_of(parameter)
        return override or make_provider(target, use_cache=marker.use_cache)

    def provided(
        self, provider: Provider, parameter: Parameter, chain: Chain, half: Phase, *, here: bool = False
    ) -> str:
        """The variable of what ``provider`` makes for ``parameter``; ``here`` also where the plan could ask for it."""
        key = key_of(provider, parameter)
        if provider.use_cache and key in self._draft.variables:
            return self._draft.variables[key]
        where = provider.signature.where
        if where in chain[1:]:
            raise DependencyError(f"{format_chain((*chain, where))}: a component cannot need itself.")
        code, mode, waits = self._code(key, provider, parameter, (*chain, where), half, here)
        variable = self._draft.new()
        if provider.use_cache:
            self._draft.variables[key] = variable
        code = f"await {code}" if mode == "loop" else code
        half.steps.append(Step(target=variable, code=code, mode=mode, waits=waits))
        return variable

    def _code(
        self, key: Any, provider: Provider, parameter: Parameter, chain: Chain, half: Phase, here: bool
    ) -> tuple[str, Mode, bool]:
        """The code that makes the value, where it runs, and whether it waits for something there."""
        if provider.lifetime == "app":
            return (*self._app_value(provider, chain[:-1]), True)
        shared = None if self._sharing is None or not provider.use_cache else self._sharing.components.get(key)
        if self._sharing is None or shared is None:
            return (*self._made(provider, parameter, chain, half, self._moment), True)
        if self._follows and not here:
            make, waits = self._sharing.maker(provider, parameter, chain, self._given)
            given = "".join(f", {variable}" for variable in self._given.values())
            names = self._draft.name("ask", ask), self._draft.name("key", key), self._draft.name("make", make)
            return f"{names[0]}(ctx, {names[1]}, {names[2]}{given})", "loop", waits
        code, mode = self._made(provider, parameter, chain, half, shared.moment)
        function = self._draft.name("share", share_async if mode == "loop" else share)
        return f"{function}(ctx, {self._draft.name('key', key)}, {shared.until}, lambda: {code})", mode, True

    def _made(
        self, provider: Provider, parameter: Parameter, chain: Chain, half: Phase, moment: int
    ) -> tuple[str, Mode]:
        if sees_parameter(provider):
            provider = provider.given(parameter)
        before, self._moment = self._moment, moment  # what it alone needs lasts as long as it does
        arguments = self._arguments(provider.signature, chain, half)
        self._moment = before
        code = f"{self._draft.name('provide', provider.call)}({arguments})"
        if not provider.cleans_up:
            return code, provider.mode
        self._draft.plan.enters = True
        function = self._draft.name("enter", enter_async if provider.mode == "loop" else enter)
        lasts = f", {moment}" if moment != ANSWERED else ""
        return f"{function}(ctx, {code}, {provider.mode!r}{lasts})", provider.mode

    def _app_value(self, provider: Provider, chain: Chain) -> tuple[str, Mode]:
        mode = self._app.register(provider, self._components, self._constants, chain)
        function = self._app.open_async if mode == "loop" else self._app.open
        return f"{self._draft.name('app', function)}({self._draft.name('component', provider)})", mode
