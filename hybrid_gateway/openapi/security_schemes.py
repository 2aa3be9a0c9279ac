"""Authentication schemes → security schemes and the requirements of an operation."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence

from django.conf import settings

from hybrid_gateway.access_control import AuthenticationScheme, Guard
from hybrid_gateway.binding.markers import Marker
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.signature import read_signature, signature_namespace
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.openapi.schema import plain_name
from hybrid_gateway.openapi.schema_types import JSONObject


class SecuritySchemes:
    """Collects the security schemes that operations refer to, by name, in ``components``."""

    def __init__(self) -> None:
        self.components: dict[str, JSONObject] = {}

    def requirements(self, endpoint: Endpoint) -> Sequence[Mapping[str, Sequence[str]]] | None:
        """Return the ``security`` of an operation, of which one entry is enough; None without authentication."""
        layers = endpoint.route.layers
        names = self._names(layers)
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
        """Return sources and names of the keys that an operation's schemes read: those are no parameters beside."""
        named = [self.components[name] for name in self._names(endpoint.route.layers).values()]
        keys = [one for one in named if one.get("type") == "apiKey"]
        return {(one["in"], one["name"].lower() if one["in"] == "header" else one["name"]) for one in keys}

    def _names(self, layers: Layers) -> dict[AuthenticationScheme, str]:
        with signature_namespace(layers.signature_namespace):
            return {scheme: self._name(scheme) for scheme in layers.authentication}

    def _name(self, scheme: AuthenticationScheme) -> str:
        """Return the class's name, with a number for a second scheme of that class that reads something else."""
        if scheme.declares("openapi"):
            description = scheme.openapi()
        else:
            words = inspect.getdoc(type(scheme)) if vars(type(scheme)).get("__doc__") else None
            description = {**_guessed(scheme), **({"description": words} if words else {})}
        if description.get("in") == "cookie" and "Cookie" in scheme.carriers:
            header = str(settings.CSRF_HEADER_NAME).removeprefix("HTTP_").replace("_", "-").title()
            header = {"X-Csrftoken": "X-CSRFToken"}.get(header, header)
            description = {"description": _CSRF.format(header=header), **description}
        base = plain_name(type(scheme).__name__)
        name, number = base, 1
        while self.components.setdefault(name, description) != description:
            number += 1
            name = f"{base}_{number}"
        return name


# SPEC: OpenAPI 3.1 has no word for it but the description: the token is no credential of its own.
_CSRF = "Methods that change something need Django's CSRF token as well, in the header {header}."


def _guessed(scheme: AuthenticationScheme) -> JSONObject:
    """Return the security scheme object, as far as it can be told from how the scheme authenticates."""
    if scheme.keywords:
        return {"type": "http", "scheme": scheme.keywords[0].lower()}
    for parameter in read_signature(scheme.authenticate, f"{type(scheme).__name__}.authenticate").parameters:
        marker = parameter.marker
        # SPEC: OpenAPI 3.1, security scheme object: no key is in the path
        if isinstance(marker, Marker) and (place := SOURCES[marker.source].openapi_in) not in (None, "path"):
            return {"type": "apiKey", "in": place, "name": marker.wire_name(parameter.name)}
    header = next((name for name in scheme.carriers if name.lower() != "cookie"), None)
    if header is None and "Cookie" in scheme.carriers:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
    return {"type": "apiKey", "in": "header", "name": header or "Authorization"}


def _scopes(guards: Iterable[Guard]) -> list[str]:
    """Return the scopes that all of these guards ask for; nothing of those of which one is enough."""
    found: dict[str, None] = {}
    for guard in guards:
        if guard.combines != "any":
            found |= dict.fromkeys(guard.scopes if guard.match == "all" else ())
            found |= dict.fromkeys(_scopes(guard.guards))
    return list(found)


def has_guards(endpoint: Endpoint) -> bool:
    """Return whether any guard of the route may reject a request; ``AllowAny`` does not."""
    return any(not guard.drops_outer_guards for guard in endpoint.route.layers.guards)
