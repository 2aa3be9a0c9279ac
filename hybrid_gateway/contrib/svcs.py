"""Services of a svcs registry for typed handlers: ``Gateway(..., plugins=[SvcsPlugin(registry)])``.

A handler asks for the ``svcs.Container`` of its request, or for one service: ``FromSvcs[Repository]``. The container is
closed with the request, after the last byte of a stream; the registry when the gateway shuts down.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

import svcs

from hybrid_gateway.binding.components import Component
from hybrid_gateway.gateway.options import GatewayOptions

__all__ = ["FromSvcs", "SvcsPlugin"]

T = TypeVar("T")


class _Service:
    """Marks a parameter as a service."""


FromSvcs = Annotated[T, _Service()]
"""A service of the registry, by its type."""


class SvcsPlugin:
    """Lets every handler, guard and component ask ``registry``."""

    def __init__(self, registry: svcs.Registry) -> None:
        self._registry = registry

    def on_gateway_init(self, options: GatewayOptions) -> GatewayOptions:
        """Add the container of a request, and what resolves parameters from it."""

        async def open_for_request() -> AsyncIterator[svcs.Container]:
            async with svcs.Container(self._registry) as container:
                yield container

        closing = options.replace(on_shutdown=(*options.on_shutdown, self._registry.aclose))
        return closing.inside(components=[open_for_request, _FromContainer()])


class _FromContainer(Component):
    def can_handle_parameter(self, parameter: inspect.Parameter) -> bool:
        return any(isinstance(extra, _Service) for extra in typing.get_args(parameter.annotation)[1:])

    async def resolve(self, parameter: inspect.Parameter, container: svcs.Container) -> object:
        found: object = await container.aget(typing.get_args(parameter.annotation)[0])
        return found
