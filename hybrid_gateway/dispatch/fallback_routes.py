"""Routes that answer where no other does: those of front ends, each below its prefix.

How this works: they are not in the tree of routes, where one for any path would stand before mounts, redirects to the
other slash, 405 and Django's pages. They are asked last, and the longest prefix wins, mounts among them.
"""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_gateway.dispatch.mounts import Mounts
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.routing.path_template import PathValues
from hybrid_gateway.routing.websocket_routes import WEBSOCKET


class FallbackRoutes:
    """The fallback routes of a gateway by prefix and method; the rest of the path is their one value."""

    def __init__(self, endpoints: Iterable[Endpoint], mounts: Mounts) -> None:
        self._mounts = mounts
        found: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            prefix = endpoint.route.path.partition("{")[0]
            if len(endpoint.route.template.parameters) > 1:
                raise RouteError(f"A front end at {prefix!r} lies under parameters, which it cannot have.", id="R014")
            taken = found.setdefault(prefix, {}).setdefault(endpoint.method, endpoint)
            if taken is not endpoint:
                raise RouteError(f"Two front ends are at {prefix!r}. Give one of them another path.", id="R013")
        for methods in found.values():
            if "GET" in methods:
                methods.setdefault("HEAD", methods["GET"])
        self._by_prefix = sorted(found.items(), key=lambda entry: len(entry[0]), reverse=True)

    def __bool__(self) -> bool:
        return bool(self._by_prefix)

    def find(self, path: str, method: str) -> tuple[Endpoint, PathValues] | None:
        """Return the endpoint for a path that no route answers, and the value of its parameter."""
        for prefix, methods in self._by_prefix:
            if path.startswith(prefix):
                mounted = self._mounts.prefix(path)
                endpoint = methods.get(method) if mounted is None or len(mounted) < len(prefix) else None
                return None if endpoint is None else (endpoint, (path[len(prefix) :],))
        return None

    def check(self, endpoints: Iterable[Endpoint]) -> None:
        """Raise :class:`RouteError` for what could never be reached, beside the ``endpoints`` of the tree."""
        mounts = {path.rstrip("/") + "/" for path in self._mounts.paths}
        for prefix, methods in self._by_prefix:
            front_end = next(iter(methods.values()))
            if prefix in mounts:
                raise RouteError(
                    f"The mount at {prefix!r} could never be reached: a front end is there. Move one.", id="R013"
                )
            for endpoint in endpoints:
                template = endpoint.route.template
                is_websocket = endpoint.method == WEBSOCKET
                before = template.path.partition("{")[0]
                if template.has_tail and prefix.startswith(before) and is_websocket == (front_end.method == WEBSOCKET):
                    raise RouteError(
                        f"The front end at {prefix!r} could never be reached: {endpoint.method} {template.path} "
                        f"({describe_handler(endpoint.route.handler)}) answers every path below. Narrow that route, or "
                        "remove one of them.",
                        id="R013",
                    )
