"""Authentication schemes → security schemes and the requirements of an operation."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from django.conf import settings

from hybrid_gateway.access_control import AuthenticationScheme, Guard
from hybrid_gateway.binding.markers import Cookie, Header, Query
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.openapi.schema import plain_name

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
            scopes = _scopes(layers.guards) if scheme.carries_scopes else []
            if {names[scheme]: scopes} not in alternatives:
                alternatives.append({names[scheme]: scopes})
        # SPEC: OpenAPI 3.1, security: an empty requirement makes the others optional.
        return [*alternatives, {}] if endpoint.is_open and not has_guards(endpoint) else alternatives

    def credentials(self, endpoint: Endpoint) -> set[tuple[str, str]]:
        """Where the schemes of an operation read keys, and by which names: those are no parameters beside."""
        named = [self.components[self._name(scheme)] for scheme in endpoint.route.layers.authentication]
        return {(one["in"], one["name"].lower()) for one in named if one.get("type") == "apiKey"}

    def _name(self, scheme: AuthenticationScheme) -> str:
        """The class's name, with a number for a second scheme of that class that reads something else."""
        description, base = _described(scheme), plain_name(type(scheme).__name__)
        name, number = base, 1
        while self.components.setdefault(name, description) != description:
            number += 1
            name = f"{base}_{number}"
        return name


def _described(scheme: AuthenticationScheme) -> dict[str, Any]:
    """The security scheme object: the scheme's own, or what can be told from how it authenticates."""
    if scheme.declares("openapi"):
        return scheme.openapi()
    words = inspect.getdoc(type(scheme)) if vars(type(scheme)).get("__doc__") else None
    return {**_guessed(scheme), **({"description": words} if words else {})}


def _guessed(scheme: AuthenticationScheme) -> dict[str, Any]:
    if scheme.keywords:
        return {"type": "http", "scheme": scheme.keywords[0].lower()}
    for parameter in read_signature(scheme.authenticate, f"{type(scheme).__name__}.authenticate").parameters:
        if isinstance(parameter.marker, (Header, Query, Cookie)):
            name = parameter.marker.wire_name(parameter.name)
            return {"type": "apiKey", "in": parameter.marker.source, "name": name}
    header = next((name for name in scheme.carriers if name.lower() != "cookie"), None)
    if header is None and "Cookie" in scheme.carriers:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
    return {"type": "apiKey", "in": "header", "name": header or "Authorization"}


def _scopes(guards: Iterable[Guard]) -> list[str]:
    """What all of these guards together ask of credentials; of what any of several may ask, nothing can be said."""
    found: dict[str, None] = {}
    for guard in guards:
        if guard.combines != "any":
            found |= dict.fromkeys(guard.scopes if guard.match == "all" else ())
            found |= dict.fromkeys(_scopes(guard.guards))
    return list(found)


def has_guards(endpoint: Endpoint) -> bool:
    """Whether any guard of the route may refuse; ``AllowAny`` does not."""
    return any(not guard.drops_outer_guards for guard in endpoint.route.layers.guards)
