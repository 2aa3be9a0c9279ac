"""A request's id wherever it goes: what :class:`RequestID` does for a route, for all of them, and for Django."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.response_conversion import as_raw, as_response
from hybrid_gateway.telemetry.event_hooks import RequestID, request_id

__all__ = ["RequestIDMiddleware", "RequestIDs"]


class RequestIDs:
    """A plugin: every request of the API has an id before anything of it runs, those that no route answers as well.

    ``PLUGINS: ["hybrid_gateway.telemetry.RequestIDs"]``. On Django's side :class:`RequestIDMiddleware` does it.
    ``hook`` may be a subclass of :class:`RequestID` with another ``header``.
    """

    def __init__(self, hook: type[RequestID] = RequestID) -> None:
        if not (isinstance(hook, type) and issubclass(hook, RequestID)):
            raise ConfigurationError(f"RequestIDs(hook={hook!r}) needs RequestID or a subclass of it.")
        self._hook = hook

    def on_gateway_init(self, options: Any) -> Any:
        """Put the hook before all others, and around what no route answers."""
        others = [hook for hook in options.layers.event_hooks if hook not in (RequestID, self._hook)]
        layers = msgspec.structs.replace(options.layers, event_hooks=(self._hook, *others))
        return options.replace(layers=layers, around_unrouted=(self._around, *options.around_unrouted))

    async def _around(self, ctx: RequestContext, respond: Callable[[Any], Awaitable[Any]]) -> Any:
        made = self._hook()
        made.take((ctx.header(self._hook.header.lower().encode()) or b"").decode("latin-1"))
        response = as_response(await respond(ctx))
        made.on_response(response)
        return as_raw(response)


class RequestIDMiddleware:
    """The same for Django's side, first in ``MIDDLEWARE``: views, their logs and the answer have the id.

    It shares :data:`request_id` with the API, and takes over the same ``header``.
    """

    sync_capable = True
    async_capable = True
    hook = RequestID

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        made = self.hook()
        made.take(request.headers.get(made.header, ""))
        request.request_id = request_id.get()
        if self._is_async:
            return self._answer_later(request, made)
        return self._stamp(self._get_response(request), made)

    async def _answer_later(self, request: Any, made: RequestID) -> Any:
        request_id.set(made.id)  # in the context of this coroutine, which may be another's task
        return self._stamp(await self._get_response(request), made)

    def _stamp(self, response: Any, made: RequestID) -> Any:
        response.headers[made.header] = made.id
        return response
