"""The decorators around an operation: which are written again, and which cannot be.

How this works: the text of a function shows the decorators that stand above it. What routers, APIs and other packages
have put around it besides is told by the objects; nothing of that may be lost, for it may be what keeps people out.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ninja
from msgspec import Struct
from ninja import NinjaAPI, Router
from ninja.operation import Operation

from hybrid_gateway.migration.form import Names
from hybrid_gateway.migration.ninja.moved_functions import FunctionSource
from hybrid_gateway.migration.ninja.ninja_parameters import NotWritable


class Decorators(Struct):
    """The text of decorators: of functions, as they stand; and of Django's views, the innermost first."""

    functions: list[str]
    views: list[str]


def written_decorators(
    source: FunctionSource, operation: Operation, names: Names, moved: Callable[[str, Any], str | None]
) -> Decorators:
    """Return the project's decorators around a function; raises :class:`NotWritable` where the text has not all."""
    found = Decorators([], [])
    for node in reversed(source.node.decorator_list):
        call = node.func if isinstance(node, ast.Call) else node
        word = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
        inside = list(node.args) if word == "decorate_view" and isinstance(node, ast.Call) else [node]
        if word in _NINJAS:
            continue
        kept = found.views if word == "decorate_view" else found.functions
        for one in inside:
            edits = source.imports(names, list(ast.walk(one)), moved)
            kept.append(source.decorator(one, edits))
    found.functions.reverse()
    around_view = vars(operation).get("_run_decorators", [])
    if len(around_view) != len(found.views) or ("run" in vars(operation) and not found.views):
        raise NotWritable("a decorator is put around its view that does not stand above it")
    function: Any = operation.view_func
    layers = 0
    while hasattr(function, "__wrapped__"):
        file = getattr(getattr(function, "__code__", None), "co_filename", "")
        layers += not Path(file).is_relative_to(_NINJA)
        function = function.__wrapped__
    if id(function) in _decorated_by_routers(operation.api):
        raise NotWritable("its router puts a decorator around all of its operations (add_decorator)")
    if layers > len(found.functions):
        raise NotWritable("a decorator is put around it that does not stand above it")
    own = inspect.signature(function).parameters
    added = {one.name for one in operation.signature.params} - {*own, "ninja_pagination"}
    if added:
        raise NotWritable(f"a decorator adds parameters to it: {', '.join(sorted(added))}")
    return found


_NINJAS = frozenset(("get", "post", "put", "patch", "delete", "api_operation", "paginate", "throttle", "csrf_exempt"))
"""Decorators whose work is done otherwise."""


_NINJA = Path(ninja.__file__).parent


def _decorated_by_routers(api: NinjaAPI) -> set[int]:
    """Return the functions of those routers that have decorators, or lie below such ones."""
    found: set[int] = set()
    outer = bool(vars(api.default_router).get("_decorators"))

    def walk(router: Any, *, is_decorated: bool) -> None:
        below = is_decorated or bool(vars(router).get("_decorators"))
        for path_view in router.path_operations.values() if below else ():
            found.update(id(inspect.unwrap(one.view_func)) for one in path_view.operations)
        for entry in vars(router).get("_routers", ()):
            child = entry[1]
            if isinstance(child, Router):
                walk(child, is_decorated=below)

    routers = [entry[1] for entry in vars(api).get("_routers", ())]
    for router in [api.default_router, *(one for one in routers if isinstance(one, Router))]:
        walk(router, is_decorated=outer)
    return found
