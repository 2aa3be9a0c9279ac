"""The methods of a view that are REST framework's own, so that it is known what they do."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, TypeAlias

from django.middleware.cache import CacheMiddleware
from django.utils import decorators
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
        if owner_beyond_delegation(view, name) not in owner.__mro__:
            raise UnmovedError(f"{view.__name__}.{name} is its own.", place_of(view, name))


def owner_beyond_delegation(view: ViewClass, name: str) -> ViewClass:
    """Return the first class whose method of that name does more than to call the next one."""
    methods = {base: _undecorated(vars(base)[name])[0] for base in view.__mro__ if name in vars(base)}
    owners = {method: base for base, method in methods.items()}  # of one that stands decorated in a subclass, the last
    return next((owners[method] for method in methods.values() if not _delegates(method, name)), None)


def header_decorators(view: ViewClass, *names: str) -> list[object]:
    """Return what stands around methods and touches nothing but headers and caches: ``cache_page`` and its like."""
    methods = [vars(base)[name] for name in names for base in view.__mro__ if name in vars(base)]
    return [decorator for method in methods for decorator in _undecorated(method)[1]]


def page_timeout(decorator: object) -> int | None:
    """Return the seconds of a ``cache_page``, and ``None`` of anything else."""
    cells = _cells(decorator)
    if cells.get("middleware_class") is not CacheMiddleware:
        return None
    seconds: object = cells.get("m_kwargs", {}).get("page_timeout")
    return seconds if isinstance(seconds, int) else None


def _undecorated(method: ViewClass) -> tuple[ViewClass, list[object]]:
    """Return a method without what generators of schemas and :func:`header_decorators` have put around it, and those.

    SECURITY: any other decorator may refuse a caller, and stays.
    """
    found: list[object] = []
    while True:
        code, inner = getattr(method, "__code__", None), getattr(method, "__wrapped__", None)
        file = getattr(code, "co_filename", "")
        cells = _cells(method)
        if inner is not None and any(name in file for name in _SCHEMAS):
            method = inner
        elif file == decorators.__file__ and {"decorators", "method"} <= cells.keys():
            around = cells["decorators"]
            if not all(one.__module__ in _HEADERS or page_timeout(one) is not None for one in around):
                return method, found
            found += around
            method = cells["method"]
        else:
            return method, found


_SCHEMAS = ("drf_spectacular", "drf_yasg")
_HEADERS = ("django.views.decorators.cache", "django.views.decorators.vary")


def _cells(function: object) -> dict[str, Any]:
    """Return what a function remembers of the one that has made it."""
    return dict(inspect.getclosurevars(function).nonlocals) if inspect.isfunction(function) else {}


def _delegates(method: ViewClass, name: str) -> bool:
    """Return whether all a method does is ``return super().name(...)``, of what it is called with."""
    if hasattr(method, "__wrapped__"):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method))).body[0]
    except (OSError, TypeError, SyntaxError):
        return False
    if not isinstance(tree, ast.FunctionDef):
        return False
    match tree.body[1:] if ast.get_docstring(tree) is not None else tree.body:
        case [ast.Return(ast.Call(ast.Attribute(ast.Call(ast.Name("super")), called), given, keywords))]:
            values = [entry.value if isinstance(entry, ast.Starred) else entry for entry in given]
            values += [entry.value for entry in keywords]
            return called == name and all(isinstance(value, ast.Name) for value in values)
    return False


def depends_on_request(view: ViewClass, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Return whether a method of a project's, or one that it calls, looks at who asks, or what for."""
    for base in view.__mro__:
        found = vars(base).get(name)
        if found is None or base.__module__.split(".")[0] in ("rest_framework", "django"):
            continue
        function = getattr(found, "fget", None) or getattr(found, "func", None) or found
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is None:
            continue
        names = {*code.co_names} - seen - {name}
        if {"request", "kwargs", "user"} & names or any(
            depends_on_request(view, entry, seen | {name}) for entry in names
        ):
            return True
    return False
