"""Declarations of a project: verbs, routes, routers, includes, controllers. None is compiled or changed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Literal, TypeVar, Unpack, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from hybrid_gateway.exceptions import RouteError, check_status
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.spelling import check_options, reject_unknown_keywords
from hybrid_gateway.types import ASGIApp, Handler, WSGIApp

F = TypeVar("F", bound=Handler)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class HandlerOptions(LayerOptions, total=False):
    """The options of one handler, on top of those of a layer."""

    name: str
    """Name for ``reverse_url``; defaults to the function's name."""
    status_code: int
    """Status of a successful response."""
    response: object
    """The type of the response, where the annotation must say something else to a type checker."""
    template: str | Sequence[str]
    """A template of the project's, or a list of which the first that exists is taken. Below ``-> Template`` what the
    handler returns is its context; other values of JSON it shows, by their fields and as ``data``, to clients that
    would rather have HTML."""
    template_str: str
    """The template itself, in the place of the name of one."""
    template_engine: str
    """The engine of ``TEMPLATES`` that has the template, by its ``NAME``; else the first that knows it."""
    filters: object
    """A Struct of query parameters that narrow and order the rows of a list (``hybrid_gateway.orm``)."""
    chunked: bool
    """Whether a list of a ``ModelStruct`` is sent row by row as it is read, as an array or as lines of JSON."""
    sync_to_thread: bool
    """``False`` runs a ``def`` handler on the event loop: only for code that never blocks."""
    raises: Sequence[type[Exception] | int]
    """Errors that the handler raises, classes of ``hybrid_gateway.exceptions`` or status codes, for the document."""
    callbacks: Mapping[str, Mapping[str, Route]]
    """For the document: by name, what the handler will call later: runtime expression → route that describes it."""
    summary: str
    description: str
    operation_id: str
    deprecated: bool
    response_description: str


HANDLER_OPTIONS = frozenset(HandlerOptions.__annotations__) | LAYER_OPTIONS


def describe_handler(handler: object) -> str:
    """Return ``module.function (file, line N)``, as errors name a handler."""
    function = inner_function(handler)
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    code = getattr(function, "__code__", None)
    return f"{name} ({code.co_filename}, line {code.co_firstlineno})" if code is not None else name


def inner_function(handler: object) -> object:
    """Return the function that a method or a ``functools.partial`` calls; any other handler as it is."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__func__", handler)


class Route:
    """One handler at one or several paths. Calling it calls the handler as the plain function it is."""

    known_methods: ClassVar[tuple[str, ...]] = METHODS
    known_options: ClassVar[frozenset[str]] = HANDLER_OPTIONS

    def __init__(
        self,
        path: str | Sequence[str],
        handler: Handler,
        *,
        methods: Iterable[str] = ("GET",),
        **options: Unpack[HandlerOptions],
    ) -> None:
        if isinstance(handler, Route):
            raise RouteError(
                f"{handler!r} is a route already; list it as it is, or give Route() the plain function.", id="R016"
            )
        if not callable(handler):
            raise RouteError(f"Route({path!r}) needs a function as its handler, not {handler!r}.", id="R016")
        self.paths = (path,) if isinstance(path, str) else tuple(path)
        self.handler = handler
        self.methods = _check_methods(methods, self.paths, self.known_methods)
        self.options: Mapping[str, Any] = options
        self.__name__ = getattr(inner_function(handler), "__name__", type(handler).__name__)
        self.__doc__ = handler.__doc__
        self.__module__ = handler.__module__
        self.__wrapped__ = handler
        if iscoroutinefunction(handler):
            markcoroutinefunction(self)  # for async_to_sync and whoever else asks
        where = f"Route {self.paths[0]!r} for {describe_handler(handler)}"
        check_options(options, self.known_options | {"path", "methods"}, where, RouteError)
        status = options.get("status_code")
        if status is not None:
            _check_status(status, where)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.handler(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self.handler.__get__(instance, owner)

    def __repr__(self) -> str:
        return f"<Route {'|'.join(self.methods)} {' '.join(self.paths)}: {describe_handler(self.handler)}>"


class FallbackRoute(Route):
    """A route at a prefix, and at any path below it that nothing else answers: no route, mount or page of Django's."""


def _check_status(status: object, where: str) -> None:
    try:
        if not isinstance(status, int):
            raise ValueError(f"{status!r} is no number.")
        check_status(status)
    except ValueError as error:
        raise RouteError(f"{where}: status_code={status!r} cannot be answered. {error}", id="R019") from error


def _check_methods(methods: Iterable[str], paths: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    names = (methods,) if isinstance(methods, str) else tuple(methods)
    for name in names:
        if name not in known:
            raise RouteError(
                f"Route {paths[0]!r} has an unknown method {name!r}. Known methods: {', '.join(known)}.", id="R018"
            )
    if not names:
        raise RouteError(f"Route {paths[0]!r} has no methods.", id="R018")
    return names


@reject_unknown_keywords(*LAYER_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS}, error=RouteError)
class Router:
    """A prefix, a list of routes, and options for all of them; ``name=`` puts a namespace before their names."""

    def __init__(
        self, path: str, routes: Sequence[object], *, name: str | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        if isinstance(routes, str):
            raise RouteError(f"Router({path!r}) takes a list of routes; Include() takes a dotted module.", id="R016")
        self.path = path
        self.name = name
        self.options: Mapping[str, Any] = options
        self._routes: Sequence[object] = routes

    @property
    def routes(self) -> Sequence[object]:
        """The routes, routers, controllers and mounts below the prefix."""
        return self._routes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


@reject_unknown_keywords(*LAYER_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS}, error=RouteError)
class Include(Router):
    """A router whose routes may also be a dotted module with a ``routes`` list, imported when a gateway is built."""

    def __init__(
        self, path: str, routes: str | Sequence[object], *, name: str | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(path, () if isinstance(routes, str) else routes, name=name, **options)
        self._module = routes if isinstance(routes, str) else None

    @property
    def routes(self) -> Sequence[object]:
        """The entries of the list, or of the module; raises :class:`RouteError` when that has no ``routes``."""
        return self._routes if self._module is None else import_routes(self._module, f"Include({self.path!r})")


@reject_unknown_keywords(error=RouteError)
class Mount:
    """An application of another kind at a path and all below it, where no route matches.

    ``protocol`` is ``"asgi"`` or ``"wsgi"``; by default ``"asgi"`` for an application that is ``async``. It sees the
    mount in ``root_path`` (``SCRIPT_NAME``), and no layer applies to it: it guards itself. One of ASGI gets websockets
    as well, and a lifespan inside that of the gateway, with a ``state`` of its own; one that has none goes without.
    """

    def __init__(self, path: str, app: ASGIApp | WSGIApp, *, protocol: Literal["asgi", "wsgi"] | None = None) -> None:
        if not callable(app) or isinstance(app, type):
            raise RouteError(f"Mount({path!r}) needs an ASGI or WSGI application, not {app!r}.", id="R016")
        if "{" in path or not path.strip("/"):
            raise RouteError(f"Mount({path!r}) needs a path of its own, without parameters.", id="R014")
        self.path = path
        self.app = app
        is_async = iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__)
        self.protocol = protocol or ("asgi" if is_async else "wsgi")

    def __repr__(self) -> str:
        return f"<Mount {self.path}: {self.app!r}>"


def import_routes(module: str, where: str) -> Sequence[object]:
    """Return the ``routes`` list of a dotted module; errors of its import are raised as they are."""
    try:
        routes = import_module(module).routes
    except AttributeError as error:
        if getattr(error, "name", None) != "routes":
            raise
        raise RouteError(f"{where} names the module {module!r}, which has no `routes` list.", id="R017") from None
    if isinstance(routes, str) or not isinstance(routes, Sequence):
        raise RouteError(f"{where}: `routes` in {module!r} must be a list, not {type(routes).__name__}.", id="R017")
    return routes


class Controller:
    """A class that groups handlers: ``path`` is their prefix, every other layer option a class attribute.

    One instance is made without arguments per place it is listed at; its methods carry verb decorators. A controller
    that is an attribute of another one, such as a class inside it, lies below it.
    """

    path: str = ""


# --- verbs ---------------------------------------------------------------------------------------------------------


def route(
    path: str | Sequence[str] = "", *, methods: Iterable[str] = ("GET",), **options: Unpack[HandlerOptions]
) -> Callable[[F], F]:
    """Make a route of a function; it can still be called as that function."""

    def decorate(handler: F) -> F:
        return cast("F", Route(path, handler, methods=methods, **options))

    return decorate


def get(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for GET, and for HEAD with the body left out."""
    return route(path, methods=("GET",), **options)


def post(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for POST; its status is 201 by default."""
    return route(path, methods=("POST",), **options)


def put(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for PUT."""
    return route(path, methods=("PUT",), **options)


def patch(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for PATCH."""
    return route(path, methods=("PATCH",), **options)


def delete(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for DELETE; its status is 204, or 200 when the handler returns a value."""
    return route(path, methods=("DELETE",), **options)


def head(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for HEAD alone, where the response to GET would cost too much."""
    return route(path, methods=("HEAD",), **options)


def options(path: str | Sequence[str] = "", **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
    """A route for OPTIONS, instead of the response that the gateway gives by itself."""
    return route(path, methods=("OPTIONS",), **options)
