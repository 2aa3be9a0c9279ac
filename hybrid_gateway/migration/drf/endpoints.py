"""The routes of REST framework in a URLconf, and the groups that are written as one class."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

from django.http import HttpRequest
from msgspec import Struct, field
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from hybrid_gateway.migration.drf.path_templates import Place, walk
from hybrid_gateway.migration.source_place import place_of

View: TypeAlias = Any
"""A view of REST framework, or an instance of one; the package has no types."""

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")


class Endpoint(Struct):
    """One method of one path of REST framework."""

    method: str
    path: str
    name: str
    view: View
    """The class."""
    action: str
    """``list``, ``retrieve``, an ``@action``, or the method of an ``APIView``: ``get``."""
    function: View
    """What the URLconf has: the result of ``as_view()``."""
    options: dict[str, object] = field(default_factory=dict)
    """The arguments of ``as_view()``, which stand above what the class says."""

    @property
    def origin(self) -> str:
        """The original, for people."""
        place = place_of(self.view, self.action)
        place = place or place_of(self.view) or place_of(self.function)
        return f"{place} ({self.view.__name__}.{self.action})".strip()

    def instance(self) -> View:
        """Return a view as it stands before its action, for a request of nobody."""
        known = {name: value for name, value in self.options.items() if hasattr(self.view, name)}
        view = self.view(**known)
        request = HttpRequest()
        request.method, request.path, request.path_info = self.method, self.path, self.path
        request.META.update(SERVER_NAME="testserver", SERVER_PORT="80")
        view.args, view.kwargs, view.format_kwarg, view.action = (), {}, None, self.action
        view.action_map = {self.method.lower(): self.action}
        view.request = view.initialize_request(request)
        view.request.accepted_renderer = JSONRenderer()
        view.request.authenticators = ()
        return view

    def is_stock(self, *names: str, owner: View) -> bool:
        """Return whether methods are those of a class of REST framework."""
        return all(getattr(self.view, name, None) is getattr(owner, name) for name in names)


def endpoints(only: str = "") -> tuple[list[Endpoint], list[Place]]:
    """Return the routes of REST framework whose path begins with ``only``, and places that have no template."""
    found: list[Endpoint] = []
    unread: list[Place] = []
    for place in walk():
        cls = getattr(place.view, "cls", None)
        if not inspect.isclass(cls) or not issubclass(cls, APIView):
            continue
        if place.path is None:
            unread.append(place)
        elif place.path.startswith(only) and "{format}" not in place.path:
            found += _of_place(place, cls, place.path)
    return found, unread


def _of_place(place: Place, cls: View, path: str) -> list[Endpoint]:
    options = dict(getattr(place.view, "initkwargs", {}))
    actions = getattr(place.view, "actions", None)
    allowed: Any = options.get("http_method_names", cls.http_method_names)  # what else is bound answers 405
    if actions is None:
        actions = {verb: verb for verb in _VERBS if hasattr(cls, verb) and verb not in ("options", "head", "trace")}
    return [
        Endpoint(verb.upper(), path, place.name, cls, action, place.view, options)
        for verb, action in actions.items()
        if verb not in ("head", "options") and verb in allowed
    ]
