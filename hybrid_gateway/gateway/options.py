"""Everything that a gateway is built from, as one value that plugins may change before it is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, Unpack

import msgspec

from hybrid_gateway.concurrency.thread_pool import ThreadPool
from hybrid_gateway.conf import DjangoSideMode, EncodedSlashes, OpenAPISettings, TrailingSlash
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.health import databases
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions, Layers
from hybrid_gateway.spelling import check_options

__all__ = ["GatewayOptions", "Plugin", "apply_plugins"]


class GatewayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of ``Gateway``. ``layers`` are the options of its layer: of all routes, that is."""

    routes: tuple[Any, ...]
    path: str = ""
    django_routes: tuple[str, ...] = ()
    django_side: DjangoSideMode = "auto"
    fallthrough: bool = False
    trailing_slash: TrailingSlash = "redirect"
    encoded_slashes: EncodedSlashes = "refuse"
    threads: int = 8
    body_timeout: float = 30
    graceful_timeout: float = 10
    pdb_on_exception: bool = False
    openapi: OpenAPISettings = OpenAPISettings(enabled=False)
    lifespan: tuple[Callable[..., Any], ...] = ()
    on_startup: tuple[Callable[..., Any], ...] = ()
    on_shutdown: tuple[Callable[..., Any], ...] = ()
    health_checks: tuple[Any, ...] = (databases,)
    around_unrouted: tuple[Callable[..., Awaitable[Any]], ...] = ()
    """For plugins: ``async around(ctx, respond)``, outer to inner, which gives back the answer of ``respond(ctx)`` to
    what no route answers (404, 405, redirects, OPTIONS, what is refused before). Nothing in it may wait."""
    pool: Callable[..., ThreadPool] = ThreadPool
    """For plugins: makes the pools of threads, ``pool(size, name=...)``."""
    layers: Layers = Layers()

    def replace(self, **changes: Any) -> GatewayOptions:
        """The same with other values: ``options.replace(routes=[*options.routes, health])``."""
        check_options(changes, self.__struct_fields__, "GatewayOptions.replace()")
        return msgspec.structs.replace(self, **{name: _frozen(value) for name, value in changes.items()})

    def inside(self, **options: Unpack[LayerOptions]) -> GatewayOptions:
        """The same with more options of a layer, merged as those of a router are: ``options.inside(guards=[Paid])``."""
        check_options(options, LAYER_OPTIONS, "GatewayOptions.inside()")
        return msgspec.structs.replace(self, layers=self.layers.inside(options, "the gateway"))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Plugin(Protocol):
    """Something that changes what a gateway is built from."""

    def on_gateway_init(self, options: GatewayOptions) -> GatewayOptions: ...


def apply_plugins(options: GatewayOptions, plugins: Iterable[Any]) -> GatewayOptions:
    """What ``plugins``, one after the other, make of ``options``; raises :class:`ConfigurationError` for no plugin."""
    for entry in plugins:
        plugin: Any = entry() if inspect.isclass(entry) else entry
        if not hasattr(plugin, "on_gateway_init"):
            raise ConfigurationError(f"{entry!r} is no plugin: it has no on_gateway_init(options).")
        changed = plugin.on_gateway_init(options)
        if not isinstance(changed, GatewayOptions):
            raise ConfigurationError(
                f"on_gateway_init of {entry!r} returned {changed!r} instead of the options, changed or not."
            )
        options = changed
    return options
