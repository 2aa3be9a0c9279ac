"""Authentication schemes → security schemes and the requirements of an operation."""

from __future__ import annotations

from typing import Any

from hybrid_gateway.auth import Authentication
from hybrid_gateway.binding.signature import read_signature, strip_optional
from hybrid_gateway.handlers.endpoint import Endpoint

__all__ = ["SecuritySchemes", "has_guards"]


class SecuritySchemes:
    """Collects the security schemes that operations refer to, by name, in ``components``."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = {}

    def requirements(self, endpoint: Endpoint) -> list[Any] | None:
        """The ``security`` of an operation, one of its entries is enough; None where nobody asks who calls."""
        layers = endpoint.route.layers
        names = {scheme: self._name(scheme) for scheme in layers.authentication}
        if layers.security is not None:
            return list(layers.security)
        if not endpoint.schemes:
            return None
        alternatives: list[dict[str, list[str]]] = []
        for scheme in endpoint.schemes:
            if {names[scheme]: []} not in alternatives:
                alternatives.append({names[scheme]: []})
        # SPEC: OpenAPI 3.1, security: an empty requirement makes the others optional.
        return [*alternatives, {}] if _anonymous_may_call(endpoint) else alternatives

    def _name(self, scheme: Any) -> str:
        """The class's name, with a number for a second scheme of that class that reads something else."""
        description, base = scheme.openapi(), type(scheme).__name__
        name, number = base, 1
        while self.components.setdefault(name, description) != description:
            number += 1
            name = f"{base}_{number}"
        return name


def has_guards(endpoint: Endpoint) -> bool:
    """Whether any guard of the route may refuse; ``AllowAny`` does not."""
    return any(not getattr(guard, "drops_outer_guards", False) for guard in endpoint.route.layers.guards)


def _anonymous_may_call(endpoint: Endpoint) -> bool:
    """Only when the handler itself says so; what its components insist on is not looked into."""
    if has_guards(endpoint):
        return False
    kinds = [parameter.type for parameter in read_signature(endpoint.route.handler, repr(endpoint)).parameters]
    if any(_is_user(kind) for kind in kinds):
        return False
    return bool(endpoint.route.layers.guards) or any(_is_user(strip_optional(kind)) for kind in kinds)


def _is_user(kind: Any) -> bool:
    from django.contrib.auth.base_user import AbstractBaseUser

    return isinstance(kind, type) and issubclass(kind, (Authentication, AbstractBaseUser))
