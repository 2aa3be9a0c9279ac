"""Authentication schemes → security schemes and the requirements of an operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
            scopes = _scopes(layers.guards) if getattr(scheme, "carries_scopes", False) else []
            if {names[scheme]: scopes} not in alternatives:
                alternatives.append({names[scheme]: scopes})
        # SPEC: OpenAPI 3.1, security: an empty requirement makes the others optional.
        return [*alternatives, {}] if endpoint.is_open and not has_guards(endpoint) else alternatives

    def _name(self, scheme: Any) -> str:
        """The class's name, with a number for a second scheme of that class that reads something else."""
        description, base = scheme.openapi(), type(scheme).__name__
        name, number = base, 1
        while self.components.setdefault(name, description) != description:
            number += 1
            name = f"{base}_{number}"
        return name


def _scopes(guards: Iterable[Any]) -> list[str]:
    """What all of these guards together ask of credentials; of what any of several may ask, nothing can be said."""
    found: dict[str, None] = {}
    for guard in guards:
        if getattr(guard, "combines", "all") == "all":
            match_any = getattr(guard, "match", "all") == "any"
            found |= dict.fromkeys([] if match_any else getattr(guard, "scopes", ()))
            found |= dict.fromkeys(_scopes(getattr(guard, "guards", ())))
    return list(found)


def has_guards(endpoint: Endpoint) -> bool:
    """Whether any guard of the route may refuse; ``AllowAny`` does not."""
    return any(not getattr(guard, "drops_outer_guards", False) for guard in endpoint.route.layers.guards)
