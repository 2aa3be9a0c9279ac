"""Gateway → router → controller → handler, flattened: each path of each handler with the options of all its layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hybrid_gateway.exceptions import RouteError, located
from hybrid_gateway.layer_options import LAYER_OPTIONS, OPTIONS, Layers
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.routing.controller_attributes import check_attributes, check_function
from hybrid_gateway.routing.declare import (
    HANDLER_OPTIONS,
    Controller,
    FallbackRoute,
    Mount,
    Route,
    Router,
    describe_handler,
)
from hybrid_gateway.routing.path_template import PathTemplate
from hybrid_gateway.routing.websocket_routes import (
    WEBSOCKET,
    WEBSOCKET_OPTIONS,
    FallbackWebSocketRoute,
    Kind,
    Listener,
    WebSocketRoute,
)
from hybrid_gateway.types import Handler


class FlatRoute(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One path of one handler, ready to be compiled; what a handler or guard gets when it asks for ``Route``."""

    template: PathTemplate
    methods: tuple[str, ...]
    handler: Handler
    name: str
    named: bool  # by the project; a name taken from the function may repeat until somebody reverses it
    layers: Layers
    options: dict[str, Any]  # the handler's own
    websocket: Kind | None = None  # None for HTTP
    is_fallback: bool = False  # asked where nothing else answers, not in the tree of routes
    sources: dict[str, str] = msgspec.field(default_factory=dict)  # what it was compiled to, by method

    @property
    def source(self) -> str:
        """The Python functions that this route was compiled to; several methods may share one."""
        return "\n".join(dict.fromkeys(self.sources.values()))

    @property
    def path(self) -> str:
        """The path template."""
        return self.template.path

    @property
    def opt(self) -> dict[str, Any]:
        """The merged ``opt`` of all layers."""
        return self.layers.opt

    def __repr__(self) -> str:
        return f"<Route {'|'.join(self.methods)} {self.path}: {describe_handler(self.handler)}>"


def flatten(routes: Sequence[object], layers: Layers, prefix: str = "", namespace: str = "") -> Iterator[FlatRoute]:
    """Yield every route under ``routes``, in order; raise :class:`RouteError` for an entry that is none."""
    for entry in routes:
        if isinstance(entry, Route):
            with located(entry.handler):
                yield from _flatten_route(entry, entry.handler, layers, prefix, namespace)
        elif isinstance(entry, Router):
            inside, path = f"{namespace}{entry.name}:" if entry.name else namespace, join_paths(prefix, entry.path)
            yield from flatten(entry.routes, layers.inside(entry.options, f"below {path}"), path, inside)
        elif inspect.isclass(entry) and issubclass(entry, Controller):
            with located(entry):
                yield from _flatten_class(entry, layers, prefix, namespace)
        elif not isinstance(entry, Mount):
            raise RouteError(_not_a_route(entry, prefix), id="R015", place=place_of(entry))


def find_mounts(routes: Sequence[object], prefix: str = "") -> Iterator[tuple[str, Mount]]:
    """Yield every mount under ``routes``, with its whole path; raise :class:`RouteError` if that has parameters."""
    for entry in routes:
        if isinstance(entry, Mount):
            path = join_paths(prefix, entry.path)
            if "{" in path:
                raise RouteError(f"{entry!r} lies under {prefix!r}, whose parameters a mount cannot have.", id="R014")
            yield path, entry
        elif isinstance(entry, Router):
            yield from find_mounts(entry.routes, join_paths(prefix, entry.path))


def _flatten_route(route: Route, handler: Handler, layers: Layers, prefix: str, namespace: str) -> Iterator[FlatRoute]:
    for declared in (route, inspect.unwrap(route.handler)):
        check_function(declared, route.known_options, f"Route {route.paths[0]!r} for {describe_handler(route.handler)}")
    name = route.options.get("name")
    for path in route.paths:
        try:
            template = PathTemplate.parse(join_paths(prefix, path) or "/")
        except RouteError as error:
            raise RouteError(f"{error.text} The handler is {describe_handler(route.handler)}.", id=error.id) from None
        yield FlatRoute(
            template=template,
            methods=route.methods,
            handler=handler,
            name=namespace + (name or route.__name__),
            named=name is not None,
            layers=layers.inside(route.options, f"{'|'.join(route.methods)} {template.path}"),
            options=dict(route.options),
            websocket=route.kind if isinstance(route, WebSocketRoute) else None,
            is_fallback=isinstance(route, (FallbackRoute, FallbackWebSocketRoute)) and template.has_tail,
        )


def _flatten_class(controller: type[Controller], layers: Layers, prefix: str, namespace: str) -> Iterator[FlatRoute]:
    members: dict[str, object] = {}
    for owner in reversed(controller.__mro__):
        members.update(vars(owner))
    if issubclass(controller, Listener):
        yield _flatten_listener(controller, members, layers, prefix, namespace)
    else:
        yield from _flatten_controller(controller, members, layers, prefix, namespace)


def _flatten_listener(
    listener: type[Listener], members: dict[str, object], layers: Layers, prefix: str, namespace: str
) -> FlatRoute:
    where = f"The listener {listener.__module__}.{listener.__qualname__}"
    check_attributes(listener, members, WEBSOCKET_OPTIONS, {})
    if not hasattr(listener, "on_message"):
        raise RouteError(f"{where} has no on_message(self, data: ...).", id="R021")
    options = {name: value for name, value in members.items() if name in LAYER_OPTIONS}
    try:
        template = PathTemplate.parse(join_paths(prefix, listener.path) or "/")
    except RouteError as error:
        raise RouteError(f"{error.text} {where} is there.", id=error.id) from None
    return FlatRoute(
        template=template,
        methods=(WEBSOCKET,),
        handler=listener,
        name=namespace + (listener.name or listener.__name__),
        named=bool(listener.name),
        layers=layers.inside(options, f"{WEBSOCKET} {template.path}"),
        options={"subprotocols": listener.subprotocols},
        websocket="listener",
    )


def _flatten_controller(
    controller: type[Controller], members: dict[str, object], layers: Layers, prefix: str, namespace: str
) -> Iterator[FlatRoute]:
    check_attributes(controller, members, LAYER_OPTIONS, {"each handler": HANDLER_OPTIONS})
    instance = controller()
    options = {name: value for name, value in members.items() if name in LAYER_OPTIONS}
    options.update({name: _bound(value, instance) for name, value in options.items() if OPTIONS[name].holds_functions})
    inner = layers.inside(options, f"{controller.__module__}.{controller.__qualname__}")
    found = False
    for member in members.values():
        if isinstance(member, Route):
            found = True
            handler = member.handler.__get__(instance, controller)
            with located(handler):
                yield from _flatten_route(member, handler, inner, join_paths(prefix, controller.path), namespace)
        elif inspect.isclass(member) and issubclass(member, Controller):
            found = True
            yield from _flatten_class(member, inner, join_paths(prefix, controller.path), namespace)
    if not found:
        raise RouteError(
            f"The controller {controller.__module__}.{controller.__qualname__} has no handlers.", id="R021"
        )


def _bound(value: Any, instance: Controller) -> object:
    """Return functions that ask for ``self`` as methods of ``instance``, alone or among others."""
    if isinstance(value, Mapping):
        return {key: _bound(entry, instance) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bound(entry, instance) for entry in value]
    wants_self = inspect.isfunction(value) and next(iter(inspect.signature(value).parameters), None) == "self"
    if wants_self or isinstance(value, (staticmethod, classmethod)):
        return value.__get__(instance, type(instance))
    return value


def join_paths(prefix: str, path: str) -> str:
    """Return two parts of a path template with exactly one slash between them; an empty part adds nothing."""
    if not path:
        return prefix
    return f"{prefix.rstrip('/')}/{path.lstrip('/')}"


def _not_a_route(entry: object, prefix: str) -> str:
    where = f" under {prefix!r}" if prefix else ""
    if isinstance(entry, Controller):
        return f"{entry!r}{where} is a Controller instance; list the class."
    if callable(entry):
        shown = describe_handler(entry)
        return f"{shown}{where} is no route; decorate it with @get(...), or wrap it: Route(path, function)."
    return f"{entry!r}{where} is no route; routes are made by the verb decorators, Route, Router, Include, Controller."
