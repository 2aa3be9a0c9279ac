"""The part of a gateway's options that plugins of this room change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, Self, TypeVar

from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse

__all__ = ["O", "PluginOptions", "Respond"]

Respond = Callable[[RequestContext], Awaitable[EndpointResponse]]


class PluginOptions(Protocol):
    """The options that ``on_gateway_init`` gets, as far as plugins here read them; see ``GatewayOptions``."""

    @property
    def layers(self) -> Layers: ...

    @property
    def routes(self) -> Sequence[object]: ...

    @property
    def around_unrouted(self) -> Sequence[Callable[..., Awaitable[EndpointResponse]]]: ...

    def replace(self, **changes: object) -> Self: ...


O = TypeVar("O", bound=PluginOptions)  # noqa: E741
