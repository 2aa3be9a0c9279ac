"""Values of a dishka container as parameters of handlers: ``Gateway(..., plugins=[DishkaPlugin(container)])``.

``FromDishka[Repository]`` is filled from a container of the request's own, which is closed with the request, after the
last byte of a stream. Its context holds Starlette's ``Request``. ``FromDishka`` is dishka's own.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Iterator, Sequence

from dishka import AsyncContainer, Container, FromComponent, FromDishka
from starlette.requests import Request

from hybrid_gateway.binding.components import Component
from hybrid_gateway.gateway.options import GatewayOptions

__all__ = ["DishkaPlugin", "FromDishka"]


class DishkaPlugin:
    """Lets every handler, guard and component ask ``container``, which is closed when the gateway shuts down.

    With an ``AsyncContainer`` values are resolved on the loop, with a ``Container`` on the request's thread.
    """

    def __init__(self, container: AsyncContainer | Container) -> None:
        self._container = container

    def on_gateway_init(self, options: GatewayOptions) -> GatewayOptions:
        """Add the container of a request, and what resolves parameters from it."""

        async def close() -> None:
            closed = self._container.close()
            if inspect.isawaitable(closed):
                await closed

        components = _components(self._container)
        return options.replace(on_shutdown=(*options.on_shutdown, close)).inside(components=components)


def _components(container: AsyncContainer | Container) -> Sequence[object]:
    if isinstance(container, AsyncContainer):

        async def open_async(request: Request) -> AsyncIterator[AsyncContainer]:
            async with container(context={Request: request}) as inner:
                yield inner

        return [open_async, _FromAsyncContainer()]

    def open_sync(request: Request) -> Iterator[Container]:
        with container(context={Request: request}) as inner:
            yield inner

    return [open_sync, _FromContainer()]


class _Marked(Component):
    def can_handle_parameter(self, parameter: inspect.Parameter) -> bool:
        return any(isinstance(extra, _FromComponent) for extra in typing.get_args(parameter.annotation)[1:])


class _FromAsyncContainer(_Marked):
    async def resolve(self, parameter: inspect.Parameter, container: AsyncContainer) -> object:
        kind, component = _key(parameter)
        return await container.get(kind, component=component)


class _FromContainer(_Marked):
    def resolve(self, parameter: inspect.Parameter, container: Container) -> object:
        kind, component = _key(parameter)
        return container.get(kind, component=component)


def _key(parameter: inspect.Parameter) -> tuple[type[object], str]:
    kind, *extras = typing.get_args(parameter.annotation)
    [marker] = [extra for extra in extras if isinstance(extra, _FromComponent)]
    return kind, marker.component


_FromComponent = type(FromComponent())
