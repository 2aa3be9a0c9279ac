"""Request ids for all routes, for requests without a route, and for Django's side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

import msgspec
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.responses.response_classes import as_raw, as_response
from hybrid_gateway.telemetry.event_hooks import RequestID, request_id


class RequestIDs:
    """A plugin: every request of the API has an id before anything of it runs, those without a route as well.

    ``PLUGINS: ["hybrid_gateway.telemetry.RequestIDs"]``. On Django's side :class:`RequestIDMiddleware` does it.
    ``hook`` may be a subclass of :class:`RequestID` with another ``header``.
    """

    def __init__(self, hook: type[RequestID] = RequestID) -> None:
        if not (isinstance(hook, type) and issubclass(hook, RequestID)):
            raise ConfigurationError(f"RequestIDs(hook={hook!r}) needs RequestID or a subclass of it.", id="H020")
        self._hook = hook

    def on_gateway_init(self, options: O) -> O:
        """Put the hook before all others, and around the responses to requests without a route."""
        others = [hook for hook in options.layers.event_hooks if hook not in (RequestID, self._hook)]
        layers = msgspec.structs.replace(options.layers, event_hooks=(self._hook, *others))
        return options.replace(layers=layers, around_unrouted=(self._around, *options.around_unrouted))

    async def _around(self, ctx: RequestContext, respond: Respond) -> EndpointResponse:
        hook = self._hook()
        hook.take((ctx.header(self._hook.header.lower().encode()) or b"").decode("latin-1"))
        response = as_response(await respond(ctx))
        hook.on_response(response)
        return as_raw(response)


class RequestIDMiddleware:
    """Request ids for Django's side, first in ``MIDDLEWARE``: views, their logs and the response have the id.

    It shares :data:`request_id` with the API, and takes over the same ``header``.
    """

    sync_capable = True
    async_capable = True
    hook = RequestID

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        hook = self.hook()
        hook.take(request.headers.get(hook.header, ""))
        request.request_id = request_id.get()  # type: ignore[attr-defined]
        if self._is_async:
            return self._call_async(request, hook)
        return self._stamp(self._get_response(request), hook)

    async def _call_async(self, request: HttpRequest, hook: RequestID) -> HttpResponseBase:
        request_id.set(hook.id)  # in the context of this coroutine, which may be another's task
        return self._stamp(await self._get_response(request), hook)

    def _stamp(self, response: HttpResponseBase, hook: RequestID) -> HttpResponseBase:
        response.headers[hook.header] = hook.id
        return response


Respond = Callable[[RequestContext], Awaitable[EndpointResponse]]


class PluginOptions(Protocol):
    """The options that ``on_gateway_init`` gets, as far as plugins here read them; see ``GatewayOptions``."""

    @property
    def layers(self) -> Layers: ...

    @property
    def routes(self) -> Sequence[object]: ...

    @property
    def around_unrouted(self) -> Sequence[Callable[..., Awaitable[EndpointResponse]]]: ...

    @property
    def websocket_observers(self) -> Sequence[Callable[..., object]]: ...

    def replace(self, **changes: object) -> Self: ...


O = TypeVar("O", bound=PluginOptions)  # noqa: E741
