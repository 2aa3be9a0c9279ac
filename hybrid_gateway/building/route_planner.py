"""The planners of one route, or of a function around it, composed: they write to one plan."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_gateway.access_control import AuthenticationScheme
from hybrid_gateway.binding.plan import Plan
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.planner import BindingPlanner
from hybrid_gateway.endpoints.authorization_planner import AuthorizationPlanner, UserBelowMiddleware

__all__ = ["RoutePlanner"]


class RoutePlanner:
    """Plans values by ``binding``, and by ``authorization`` what may reject before there is any use for them."""

    def __init__(
        self, scope: PlanScope, schemes: Sequence[AuthenticationScheme], below: UserBelowMiddleware | None = None
    ) -> None:
        self.binding = BindingPlanner(scope)
        self.authorization = AuthorizationPlanner(self.binding, schemes, _user_model(), below)

    @property
    def plan(self) -> Plan:
        return self.binding.plan


def _user_model() -> type | None:
    # Here, since models can be imported only once Django has loaded the apps.
    from django.contrib.auth import get_user_model
    from django.core.exceptions import ImproperlyConfigured

    try:
        return get_user_model()
    except ImproperlyConfigured:  # a project without django.contrib.auth has no user to ask for
        return None
