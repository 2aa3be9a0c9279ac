"""The places in which requests carry secrets, by what the schemes of routes say and read."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import QueryParams

from hybrid_gateway import http
from hybrid_gateway.access_control import AuthenticationScheme
from hybrid_gateway.auth.credential_store import check_installed
from hybrid_gateway.auth.secret_carriers import SecretCarriers
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.building.build_context import PlanFactory
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.request_parts import HANDLED
from hybrid_gateway.spelling import check_attributes_of

__all__ = ["SchemeSecrets"]


class SchemeSecrets:
    """Finds the secrets of each scheme once, by a plan of what it asks for."""

    def __init__(self, plans: PlanFactory) -> None:
        self._plans = plans
        self._found: dict[object, SecretCarriers] = {}

    @property
    def all(self) -> SecretCarriers:
        """Those of every scheme that was seen."""
        return SecretCarriers.union(self._found.values())

    def of(self, schemes: Iterable[AuthenticationScheme], layers: Layers) -> SecretCarriers:
        """Return where requests to a route with these schemes carry secrets."""
        return SecretCarriers.union(self._find(scheme, layers) for scheme in schemes)

    def _find(self, scheme: AuthenticationScheme, layers: Layers) -> SecretCarriers:
        check_attributes_of(scheme, AuthenticationScheme.__annotations__)
        if scheme.is_ours:
            check_installed()
        key = (scheme if vars(scheme) else type(scheme), layers.components)
        if key not in self._found:
            where = f"{type(scheme).__qualname__}.authenticate"
            planner = self._plans.surroundings(layers).planner(where, {}, HANDLED)
            try:
                planner.binding.arguments(read_signature(scheme.authenticate, where), (where,), planner.plan.open)
            except ConfigurationError:  # a route that needs it will say so; one that does not may stay
                self._found[key] = SecretCarriers(in_any_header=True, in_any_parameter=True)
            else:
                asks_for_query = planner.binding.typed.asks_for((QueryParams, http.QueryString, http.URL))
                self._found[key] = SecretCarriers.of(scheme, planner.plan, asks_for_query)
        return self._found[key]
