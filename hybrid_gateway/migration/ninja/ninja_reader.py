"""A project's API of django-ninja, as the form that is written."""

from __future__ import annotations

import inspect
import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.urls import URLPattern, URLResolver
from ninja.errors import ValidationError

from hybrid_gateway.migration.form import Decision, Difference, Move, RouteReport, TextForm, snake
from hybrid_gateway.migration.module_writer import write_module
from hybrid_gateway.migration.ninja.annotation_text import UnknownAnnotation, quoted
from hybrid_gateway.migration.ninja.mounted_operations import MountedOperation, mounted_operations
from hybrid_gateway.migration.ninja.moved_functions import FunctionSource, NotMovable, Origins
from hybrid_gateway.migration.ninja.moved_helpers import Helpers
from hybrid_gateway.migration.ninja.ninja_auth import AuthWriter, object_text
from hybrid_gateway.migration.ninja.ninja_parameters import NotWritable
from hybrid_gateway.migration.ninja.ninja_schemas import SchemaWriter
from hybrid_gateway.migration.ninja.operation_writer import OperationWriter, Writers, project_handlers


def read_ninja(
    patterns: Sequence[URLPattern | URLResolver], *, only: str = "", read_only: bool = False, bridges: bool = True
) -> Move:
    """Read every operation that the URLconf leads to; ``only`` those below a path.

    ``read_only`` leaves those that write, and without ``bridges`` those stay that need django-ninja at run time.
    """
    move = Move(source=f"django-ninja {version('django-ninja')}", doc="Routes that were django-ninja's.")
    reader = _Reader(move, bridges)
    everything = list(mounted_operations(patterns))
    found = [one for one in everything if one.full_path.startswith(only)]
    found = [one for one in found if not read_only or set(one.methods) <= {"GET", "HEAD"}]
    for mounted in found:
        reader.learn(mounted)
    for mounted in found:
        reader.read(mounted)
    reader.keep_others(everything)
    reader.finish()
    return move


_GENERAL = (
    Difference("error 422", "problem details in place of {'detail': [...]}, and every fault of a request at once"),
    Difference("error 404", "problem details in place of {'detail': 'Not Found'}"),
    Difference("crash 500→404", "a row that get() misses is 404"),
    Difference("crash 500→422", "Django's ValidationError is 422, told by field"),
    Difference("error 500", "problem details in place of Django's page"),
    Difference("bytes $", 'JSON of Structs has no spaces and no escapes beyond ASCII: {"name":"é"}'),
    Difference("header content-type", "application/json, without a charset, where a Struct is sent"),
    Difference("header vary", "Cookie, where the handler asks for Django's request"),
    Difference("header cache-control", "private, where the route knows its callers"),
)


class _Reader:
    """Collects what is written, API by API."""

    def __init__(self, move: Move, bridges: bool) -> None:
        self.move = move
        origins = Origins()
        self.writers = Writers(move, AuthWriter(move), SchemaWriter(move, origins), origins, Helpers(move), bridges)
        self.names: dict[int, str] = {}
        self.routers: dict[int, list[str]] = {}
        self.mounts: dict[int, MountedOperation] = {}
        self.moved: dict[tuple[int, str], set[str]] = {}
        """The API and the path of what is written → its methods."""

    def learn(self, mounted: MountedOperation) -> None:
        """Note where the module of an operation imports things from, and keep its name for it."""
        with suppress(NotMovable):
            source = FunctionSource(mounted.operation.view_func)
            self.writers.origins.learn(source)
            word = source.file.module.removesuffix(".api").split(".")[-1]
            self.names[id(mounted)] = self.move.names.define(source.node.name, hint=f"{snake(word)}_")

    def read(self, mounted: MountedOperation) -> None:
        """Write one operation, or say why it stays."""
        function = inspect.unwrap(mounted.operation.view_func)
        origin = _origin(function)
        reports = [RouteReport(method, mounted.full_path, mounted.name, origin, "kept") for method in mounted.methods]
        self.move.routes.extend(reports)
        try:
            _check_owner(mounted.operation.view_func)
            written = OperationWriter(
                self.writers, mounted, FunctionSource(function), reports, self.names[id(mounted)]
            ).write()
        except (NotMovable, NotWritable, UnknownAnnotation) as error:
            for report in reports:
                report.decisions.append(Decision(f"stays with django-ninja: {error}", _place(function)))
            return
        self.routers.setdefault(id(mounted.api), []).append(written)
        self.mounts.setdefault(id(mounted.api), mounted)
        self.moved.setdefault((id(mounted.api), mounted.path), set()).update(mounted.methods)

    def keep_others(self, everything: Iterable[MountedOperation]) -> None:
        """Hand the methods that stay to the URLconf where another one of their path has moved: it would be 405."""
        kept: dict[tuple[int, str], list[str]] = {}
        for mounted in everything:
            key = id(mounted.api), mounted.path
            missing = [one for one in mounted.methods if one not in self.moved.get(key, mounted.methods)]
            kept.setdefault(key, []).extend(missing)
        use = self.move.names.use
        for (api, path), methods in kept.items():
            if not methods:
                continue
            name = self.move.names.define(f"stays_{snake(path)}")
            options = f"methods=[{', '.join(map(quoted, dict.fromkeys(methods)))}], include_in_schema=False"
            use("typing", "Any")
            # the old view knows its users itself, by schemes that need not be here
            middleware = f"django_middleware={use('django.conf', 'settings')}.MIDDLEWARE"
            kinds = {"int": "int", "uuid": use("uuid", "UUID")}
            found = re.findall(r"{(\w+)(?::(\w+))?}", path)
            parameters = "".join(f", {one}: {kinds.get(kind, 'str')}" for one, kind in found)
            lines = [
                f"@{use('hybrid_gateway', 'route')}(",
                f"    {quoted(path or '/')},",
                f"    {options},",
                f"    {middleware},",
                "    authentication=[],",
                "    csrf_exempt=True,",
                ")",
                f"def {name}(request: {use('django.http', 'HttpRequest')}{parameters}) -> Any:",
                f"    return {use('hybrid_gateway.contrib.ninja', 'ask_django')}(request)",
            ]
            self.move.views.append(TextForm(name, "\n".join(lines)))
            self.routers[api].append(name)

    def finish(self) -> None:
        """List the routes, a router for each API, and leave out what nothing uses."""
        self.move.general.extend(_GENERAL)
        router = self.move.names.use("hybrid_gateway", "Router")
        for key, functions in self.routers.items():
            mounted = self.mounts[key]
            handled = project_handlers(mounted.api)
            options = [f"name={quoted(mounted.namespace)}"] if mounted.namespace else []
            modules = [module for module in list(sys.modules.values()) if module]
            is_named = any(found is mounted.api for module in modules for found in list(vars(module).values()))
            api = object_text(mounted.api, self.move) if is_named else None
            # what functions of the project's raise is answered as before: HttpError, Http404, and what the API handles
            if api is not None and (self.writers.bridges or handled):
                errors = self.move.names.use("hybrid_gateway.contrib.ninja", "ninja_errors")
                options.append(f"exception_handlers={{Exception: {errors}({api})}}")
            if ValidationError in handled:
                what = "problem details in place of what the project's handler of ValidationError answers"
                self.move.general += [Difference("status *→422", what), Difference("status *→404", f"in paths, {what}")]
            if Exception in handled:
                what = "the project's handler is given an exception with another traceback"
                self.move.general.append(Difference("error 5*", what))
            listed = f"[{', '.join(functions)}]"
            self.move.listed.append(f"{router}({', '.join([quoted(mounted.prefix), listed, *options])})")
        self._prune()

    def _prune(self) -> None:
        """Leave out the Structs that were written for a route which needed more in the end."""
        while True:
            text = write_module(self.move)
            unused = [one for one in self.move.structs if len(re.findall(rf"\b{one.name}\b", text)) < 2]
            if not unused:
                return
            self.move.structs = [one for one in self.move.structs if one not in unused]


def _check_owner(view: Any) -> None:
    """Raise for a method of a controller, whose permissions would be lost, and for a function of another package."""
    layer: Any = view
    while layer is not None:
        route = getattr(layer, "get_route_function", None)
        if route is not None:
            controller = route().api_controller
            permissions = route().route.permissions or controller.permission_classes
            shown = ", ".join(getattr(one, "__name__", type(one).__name__) for one in permissions) or "none"
            name = controller.controller_class.__qualname__
            raise NotWritable(
                f"{name} is a controller of django-ninja-extra (permissions: {shown}), of which none moves"
            )
        layer = getattr(layer, "__wrapped__", None)
    file = inspect.unwrap(view).__code__.co_filename if inspect.isfunction(inspect.unwrap(view)) else ""
    if Path(file).is_relative_to(sysconfig.get_path("purelib")):
        raise NotWritable(f"it is a route of the package {inspect.unwrap(view).__module__.split('.')[0]}")


def _place(function: Any) -> str:
    try:
        return FunctionSource(function).place
    except NotMovable:
        return ""


def _origin(function: Any) -> str:
    name = getattr(function, "__qualname__", repr(function))
    return f"{_place(function) or getattr(function, '__module__', '')} ({name})"
