"""Everything that a gateway is built from, as one value that plugins may change before it is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Unpack

import msgspec
from starlette.datastructures import State

from hybrid_gateway.concurrency.thread_pool import ThreadPool
from hybrid_gateway.conf import DjangoSideMode, EncodedSlashes, OpenAPISettings, TrailingSlash
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.health import databases
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions, Layers
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.routing.declare import import_routes
from hybrid_gateway.spelling import check_options
from hybrid_gateway.types import ASGIApp, Handler
from hybrid_gateway.websockets.connection_observer import ConnectionObserver
from hybrid_gateway.websockets.registry import WebSocketRegistry


class GatewayArguments(LayerOptions, total=False):
    """The keyword arguments of ``Gateway``: see ``docs/settings.md``; and the options of a layer, which all routes get.

    ``openapi``, ``health_checks`` and ``state`` have their defaults where they are ``None``; ``static`` follows
    ``DEBUG`` then. ``state`` is what requests share, or a class that is called without arguments; they ask for it by
    its class.
    """

    path: str
    django_routes: Iterable[str]
    django_side: DjangoSideMode
    django_websockets: ASGIApp | None
    fallthrough: bool
    trailing_slash: TrailingSlash
    encoded_slashes: EncodedSlashes
    threads: int
    body_timeout: float
    graceful_timeout: float
    max_websockets: int
    pdb_on_exception: bool
    openapi: OpenAPISettings | None
    static: bool | None
    lifespan: Sequence[Handler] | Handler
    on_startup: Sequence[Handler] | Handler
    on_shutdown: Sequence[Handler] | Handler
    health_checks: Sequence[Any] | None
    state: object
    plugins: Sequence[Any]


class GatewayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of ``Gateway``. ``layers`` are the options of its layer: of all routes, that is."""

    routes: tuple[Any, ...]
    path: str = ""
    django_routes: tuple[str, ...] = ()
    django_side: DjangoSideMode = "auto"
    django_websockets: ASGIApp | None = None
    fallthrough: bool = False
    trailing_slash: TrailingSlash = "redirect"
    encoded_slashes: EncodedSlashes = "refuse"
    threads: int = 8
    body_timeout: float = 30
    graceful_timeout: float = 10
    max_websockets: int = 50_000
    pdb_on_exception: bool = False
    openapi: OpenAPISettings = OpenAPISettings(enabled=False)
    lifespan: tuple[Handler, ...] = ()
    on_startup: tuple[Handler, ...] = ()
    on_shutdown: tuple[Handler, ...] = ()
    health_checks: tuple[Any, ...] = (databases,)
    state: object = msgspec.field(default_factory=State)
    around_unrouted: tuple[Callable[..., Awaitable[EndpointResponse]], ...] = ()
    """For plugins: ``async around(ctx, respond)``, outer to inner, which gives back the response of ``respond(ctx)`` to
    what no route answers (404, 405, redirects, OPTIONS, rejected requests). Nothing in it may wait."""
    pool: Callable[..., ThreadPool] = ThreadPool
    """For plugins: makes the pools of threads, ``pool(size, name=...)``."""
    websocket_observers: tuple[Callable[[WebSocketRegistry], ConnectionObserver], ...] = ()
    """For plugins: ``make(registry)`` gives back who is told of its connections, a ``ConnectionObserver``."""
    layers: Layers = Layers()

    def replace(self, **changes: Any) -> GatewayOptions:
        """Return these with other values: ``options.replace(routes=[*options.routes, health])``."""
        check_options(changes, self.__struct_fields__, "GatewayOptions.replace()")
        frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
        return msgspec.structs.replace(self, **frozen)

    def inside(self, **options: Unpack[LayerOptions]) -> GatewayOptions:
        """Return these with more options of a layer, merged as a router's are: ``options.inside(guards=[Paid])``."""
        check_options(options, LAYER_OPTIONS, "GatewayOptions.inside()")
        return msgspec.structs.replace(self, layers=self.layers.inside(options, "the gateway"))


def gateway_options(routes: Sequence[Any] | str, arguments: GatewayArguments) -> GatewayOptions:
    """Return the options that ``Gateway(routes, **arguments)`` means, before plugins change them."""
    given: dict[str, Any] = dict(arguments)
    layer = {name: given.pop(name) for name in list(given) if name in LAYER_OPTIONS}
    own = {name: given[name] for name in given.keys() & set(GatewayOptions.__struct_fields__)}
    for name in ("openapi", "health_checks", "state"):
        if own.get(name, ()) is None:
            del own[name]
    if "state" in own:
        own["state"] = as_state(own["state"])
    for name in ("lifespan", "on_startup", "on_shutdown"):
        if callable(own.get(name)):
            own[name] = (own[name],)
    for name in own.keys() & {"django_routes", "health_checks", "lifespan", "on_startup", "on_shutdown"}:
        own[name] = tuple(own[name])
    return GatewayOptions(
        routes=tuple(import_routes(routes, "HYBRID_GATEWAY['ROUTES']") if isinstance(routes, str) else routes),
        layers=Layers().inside(layer, "the gateway"),
        **own,
    )


def as_state(state: object) -> object:
    """Return what requests share: ``state``, or an instance of it where it is a class.

    Raises :class:`ConfigurationError` for an instance of a built-in class, which many other parameters are of.
    """
    if inspect.isclass(state):
        state = state()
    if type(state).__module__ == "builtins":
        raise ConfigurationError(
            f"state={state!r} must be of a class of its own, by which handlers ask for it, or State({{...}}).",
            id="H013",
        )
    return state


def apply_plugins(options: GatewayOptions, plugins: Iterable[Any]) -> GatewayOptions:
    """Return what ``plugins``, one after the other, make of ``options``.

    Raises :class:`ConfigurationError` for what is no plugin.
    """
    for entry in plugins:
        plugin: Any = entry() if inspect.isclass(entry) else entry
        if not hasattr(plugin, "on_gateway_init"):
            raise ConfigurationError(f"{entry!r} is no plugin: it has no on_gateway_init(options).", id="H012")
        changed = plugin.on_gateway_init(options)
        if not isinstance(changed, GatewayOptions):
            raise ConfigurationError(
                f"on_gateway_init of {entry!r} returned {changed!r} instead of the options, changed or not.", id="H012"
            )
        options = changed
    return options
