"""What is public, module by module: what ``__all__`` lists, or the names that are given here."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from sphinx.pycode import ModuleAnalyzer

from website.repository import ROOT

PACKAGE = "hybrid_gateway"

# Chapters of the reference, and their modules. An empty tuple stands for `__all__`.
CHAPTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "The application": {
        "": (),
        "asgi": (),
        "wsgi": (),
        "conf": (),
        "gateway.options": ("GatewayArguments", "GatewayOptions"),
        "layer_options": ("LayerOptions",),
        "routing.declare": ("HandlerOptions",),
        "routing.websocket_routes": ("WebSocketOptions",),
        "middleware": (),
        "workers": (),
    },
    "Requests and answers": {"http": (), "exceptions": (), "htmx": (), "locale": (), "shapes": (), "static_files": ()},
    "Models": {"orm": (), "orm.views.crud": ("CrudOptions",)},
    "Who calls": {
        "auth": (),
        "sessions": (),
        "tokens": (),
        "tokens.models": (),
        "tokens.routes": (),
        "tokens.jwt_routes": ("Pair", "Refresh", "TokenForm", "jwt_routes"),
        "throttling": (),
    },
    "Live": {
        "channels": (),
        "channels.channel_message": ("Message", "json_envelope"),
        "channels.backend": ("BackendEvents", "ChannelBackend", "ChannelsUnavailable", "Delivery", "History", "Replay"),
        "events": (),
    },
    "Run it": {"test": (), "caching": (), "stores": (), "health": (), "telemetry": (), "telemetry.metrics": ()},
    "Other packages": {
        f"contrib.{name}": () for name in ("allauth", "dishka", "drf", "drf_bridge", "simplejwt", "svcs")
    },
}

# These have an `__all__` for rooms beside them, and no user needs them.
NOT_PUBLIC = {
    "contrib.by_status": "for the modules that `migrate-from ninja` writes",
    "contrib.ninja": "for the modules that `migrate-from ninja` writes",
    "binding.validation": "errors of values, for the room",
    "channels.models": "the tables of the PostgreSQL back end",
    "events.emitter": "`events` gives its names",
    "openapi": "settings and layers write the document",
    "openapi.schema": "schemas, for the document",
    "orm.querysets.querysets": "rows of queries, for the room",
    "tokens.admin": "the admin finds it",
    "tokens.secret": "the form of secrets, for the room",
    "types": "the words of ASGI and WSGI",
}


class PublicName(NamedTuple):
    """A name that users import, and from where."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """The whole name."""
        return f"{self.module}.{self.name}"

    @property
    def value(self) -> Any:
        """What bears the name."""
        return getattr(import_module(self.module), self.name)

    @property
    def is_application(self) -> bool:
        """Whether it is a gateway of the settings, which is built where it is looked at."""
        return self.name == "application"

    @property
    def is_of_others(self) -> bool:
        """Whether another package has made it."""
        if self.is_application:
            return False
        home = getattr(self.value, "__module__", None) or type(self.value).__module__
        return not home.startswith(PACKAGE) and self.text_beside == "" and self.is_class_or_function

    @property
    def is_class_or_function(self) -> bool:
        """Whether it has a signature and a docstring of its own."""
        return inspect.isclass(self.value) or inspect.isfunction(self.value)

    @property
    def text_beside(self) -> str:
        """What stands below its assignment, as documentation does, in its module or the one it is from."""
        modules = (
            [self.module] if self.is_application else [self.module, *sorted(filter(self.is_bound_in, sys.modules))]
        )
        found = (attribute_texts(module).get(self.name, "") for module in modules)
        return next(filter(None, found), "")

    def is_bound_in(self, module: str) -> bool:
        """Whether a module of the package has the same object under the same name."""
        return module.startswith(PACKAGE) and vars(sys.modules[module]).get(self.name) is self.value

    @property
    def documentation(self) -> str:
        """Its docstring: its own, none of a parent's."""
        if not self.is_application:
            if inspect.isclass(self.value):
                return inspect.cleandoc(vars(self.value).get("__doc__") or "")
            value = getattr(self.value, "function", inspect.unwrap(self.value))  # of a health check, of a route
            if inspect.isfunction(value) or inspect.ismodule(value):
                return inspect.getdoc(value) or ""
        return self.text_beside


@cache
def attribute_texts(module: str) -> Mapping[str, str]:
    """Return what stands below the assignments of a module, by name."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs()
    return {name: "\n".join(text).strip() for (scope, name), text in found.items() if not scope}


def dotted_module(short: str) -> str:
    """Return the name of a module of the package."""
    return f"{PACKAGE}.{short}" if short else PACKAGE


def names_of(short: str, given: tuple[str, ...]) -> list[PublicName]:
    """Return the public names of a module."""
    module = dotted_module(short)
    return [PublicName(module, name) for name in given or import_module(module).__all__]


@cache
def public_names() -> Mapping[str, list[PublicName]]:
    """Return the public names by module, in the order of the chapters."""
    modules = {short: given for chapter in CHAPTERS.values() for short, given in chapter.items()}
    return {dotted_module(short): names_of(short, given) for short, given in modules.items()}


@cache
def homes() -> Mapping[int, PublicName]:
    """Return under which name each object is documented, by its identity: that of its room, if it has one."""
    rooms = sorted(public_names(), key=lambda module: (module == PACKAGE, len(module)))
    found: dict[int, PublicName] = {}
    for module in rooms:
        for name in public_names()[module]:
            if not name.is_application:
                found.setdefault(id(name.value), name)
    return found


def modules_with_all() -> Iterator[str]:
    """Yield the modules that say what they give, without the name of the package."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__")
