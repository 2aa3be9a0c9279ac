"""What a dishka container provides, as parameters of handlers: ``Gateway(..., plugins=[DishkaPlugin(container)])``.

``FromDishka[Repository]`` is filled from a container of the request's own, which is closed with the request, after the
last byte of a stream. Its context holds Starlette's ``Request``. ``FromDishka`` is dishka's own.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any

from dishka import AsyncContainer, Container, FromComponent, FromDishka
from starlette.requests import Request

from hybrid_gateway.binding.components import Component
from hybrid_gateway.gateway.options import GatewayOptions

__all__ = ["DishkaPlugin", "FromDishka"]

_FromComponent: Any = type(FromComponent())


class DishkaPlugin:
    """Lets every handler, guard and component ask ``container``, which is closed when the gateway shuts down.

    With an ``AsyncContainer`` values are resolved on the loop, with a ``Container`` on the request's thread.
    """

    def __init__(self, container: AsyncContainer | Container) -> None:
        self._container = container

    def on_gateway_init(self, options: GatewayOptions) -> GatewayOptions:
        if isinstance(self._container, AsyncContainer):
            components: list[Any] = [_open_async(self._container), _FromAsyncContainer()]
        else:
            components = [_open(self._container), _FromContainer()]
        closing = options.replace(on_shutdown=(*options.on_shutdown, self._close))
        return closing.inside(components=components)

    async def _close(self) -> None:
        closed = self._container.close()
        if inspect.isawaitable(closed):
            await closed


def _open_async(container: AsyncContainer) -> Any:
    async def open_for_request(request: Request) -> AsyncIterator[AsyncContainer]:
        async with container(context={Request: request}) as inner:
            yield inner

    return open_for_request


def _open(container: Container) -> Any:
    def open_for_request(request: Request) -> Iterator[Container]:
        with container(context={Request: request}) as inner:
            yield inner

    return open_for_request


class _Marked(Component):
    def can_handle_parameter(self, parameter: inspect.Parameter) -> bool:
        return any(isinstance(extra, _FromComponent) for extra in typing.get_args(parameter.annotation)[1:])


class _FromAsyncContainer(_Marked):
    async def resolve(self, parameter: inspect.Parameter, container: AsyncContainer) -> Any:
        kind, component = _key(parameter)
        return await container.get(kind, component=component)


class _FromContainer(_Marked):
    def resolve(self, parameter: inspect.Parameter, container: Container) -> Any:
        kind, component = _key(parameter)
        return container.get(kind, component=component)


def _key(parameter: inspect.Parameter) -> tuple[Any, str]:
    kind, *extras = typing.get_args(parameter.annotation)
    [marker] = [extra for extra in extras if isinstance(extra, _FromComponent)]
    return kind, marker.component
