"""The methods of a view that are REST framework's own, so that it is known what they do."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, TypeAlias

from rest_framework import generics, mixins

from hybrid_gateway.migration.drf.endpoints import Endpoint
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.source_place import place_of

ViewClass: TypeAlias = Any
"""A view of REST framework; the package has no types."""

_MIXINS: dict[str, Any] = {
    "list": mixins.ListModelMixin,
    "retrieve": mixins.RetrieveModelMixin,
    "create": mixins.CreateModelMixin,
    "update": mixins.UpdateModelMixin,
    "partial_update": mixins.UpdateModelMixin,
    "destroy": mixins.DestroyModelMixin,
}
_GENERIC_VIEWS = (
    generics.ListCreateAPIView,
    generics.RetrieveUpdateDestroyAPIView,
    generics.ListAPIView,
    generics.CreateAPIView,
    generics.RetrieveAPIView,
    generics.UpdateAPIView,
    generics.DestroyAPIView,
    generics.RetrieveUpdateAPIView,
    generics.RetrieveDestroyAPIView,
)
_VERBS = {"post": "create", "put": "update", "patch": "partial_update", "delete": "destroy"}


def kind_of(endpoint: Endpoint) -> str:
    """Return which of the six an endpoint is, or ``""``, whatever class it is of; raises nothing."""
    if endpoint.action in _MIXINS:
        return endpoint.action if issubclass(endpoint.view, generics.GenericAPIView) else ""
    own = getattr(endpoint.view, endpoint.action, None)
    for view in _GENERIC_VIEWS:
        if getattr(view, endpoint.action, None) is own and own is not None:
            return _VERBS.get(endpoint.action) or ("list" if hasattr(view, "list") else "retrieve")
    return ""


def need_stock(view: ViewClass, *names: str) -> None:
    """Raise :class:`UnmovedError` where a view has a method of its own, but for one that only calls ``super()``."""
    for name in names:
        owner = _MIXINS.get(name, generics.GenericAPIView)
        if not hasattr(owner, name) and name.startswith("perform_"):
            owner = _MIXINS[name.removeprefix("perform_")]
        found = _beyond_delegation(view, name)
        if found is not getattr(owner, name):
            place = place_of(view, name)
            raise UnmovedError(f"{view.__name__}.{name} is its own.", place)


def _beyond_delegation(view: ViewClass, name: str) -> object:
    """Return the first method of that name that does more than to call the next one."""
    for base in view.__mro__:
        method = _without_schema(vars(base).get(name))
        if method is not None and not _delegates(method, name):
            return method
    return None


def _without_schema(method: object) -> object:
    """Return a method without what a generator of schemas has put around it."""
    while any(name in getattr(getattr(method, "__code__", None), "co_filename", "") for name in _SCHEMAS):
        inner = getattr(method, "__wrapped__", None)
        if inner is None:
            break
        method = inner
    return method


_SCHEMAS = ("drf_spectacular", "drf_yasg")


def _delegates(method: ViewClass, name: str) -> bool:
    """Return whether all a method does is ``return super().name(...)``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method)))).body[0]
    except (OSError, TypeError, SyntaxError):
        return False
    if not isinstance(tree, ast.FunctionDef):
        return False
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    return len(body) == 1 and ast.unparse(body[0]).startswith(f"return super().{name}(")


def depends_on_request(view: ViewClass, name: str) -> bool:
    """Return whether a method of a project's looks at who asks, or what for."""
    method = inspect.unwrap(getattr(view, name))
    code = getattr(method, "__code__", None)
    return code is not None and bool({"request", "kwargs", "user"} & {*code.co_names})
