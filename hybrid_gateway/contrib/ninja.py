"""Schemas, authentication and errors of django-ninja around typed routes, while a project moves.

``manage.py gateway migrate-from ninja`` writes these where a schema says more than a Struct can (resolvers,
validators), or a class of authentication is the project's own. What comes out is what django-ninja would have sent,
byte by byte.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Awaitable, Callable, Mapping
from types import GenericAlias
from typing import Any, TypeVar, cast, get_args

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import resolve
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, ConfigError, Throttled
from ninja.renderers import JSONRenderer
from ninja.throttling import BaseThrottle
from pydantic import BaseModel

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Guard
from hybrid_gateway.exceptions import ConfigurationError, HTTPException
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.types import Handler

__all__ = ["NinjaAuthentication", "NinjaThrottle", "ask_django", "ninja_errors", "ninja_response", "view_decorators"]

H = TypeVar("H", bound=Handler)


class _Result:
    """A holder of what a handler has returned: schemas read attributes."""

    def __init__(self, response: object) -> None:
        self.response = response


class _Writer:
    """Writes what a handler returns by the schema of its status."""

    def __init__(self, responses: Mapping[Any, Any], api: NinjaAPI | None, dumping: dict[str, Any]) -> None:
        self.models = {status: self._model(annotation) for status, annotation in responses.items()}
        only = next(iter(self.models)) if len(self.models) == 1 else 200
        self.usual = only if isinstance(only, int) else 200
        self.api, self.dumping = api, dumping

    @staticmethod
    def _model(annotation: Any) -> Any:
        return (
            None if annotation is None else type("Response", (Schema,), {"__annotations__": {"response": annotation}})
        )

    def begin(self, request: Any) -> HttpResponse:
        """Return the response before there is a body, as the API makes it before a function runs."""
        return HttpResponse("", content_type=_JSON) if self.api is None else self.api.create_temporal_response(request)

    def write(self, request: Any, result: Any, begun: HttpResponse) -> HttpResponseBase:
        """Return the response; raises ``ConfigError`` for a status without a schema, as django-ninja does."""
        if isinstance(result, HttpResponseBase):
            return result
        status, value = self._status(result)
        if status not in self.models and Ellipsis not in self.models:
            raise ConfigError(f"Schema for status {status} is not set in response {self.models.keys()}")
        model = self.models.get(status, self.models.get(Ellipsis))
        begun.status_code = status
        if model is None:
            return begun
        context = {"request": request, "response_status": status}
        annotation = model.model_fields["response"].annotation
        if isinstance(annotation, type) and isinstance(value, BaseModel) and isinstance(value, annotation):
            data: Any = value.model_dump(context=context, **self.dumping)
        else:
            data = model.model_validate(_Result(value), context=context)
            data = data.model_dump(context=context, **self.dumping)["response"]
        if self.api is not None:
            return self.api.create_response(request, data, temporal_response=begun)
        begun.content = _RENDERER.render(request, data, response_status=status)
        return begun

    def _status(self, result: Any) -> tuple[int, Any]:
        if type(result).__name__ == "Status":  # which older releases have not
            return result.status_code, result.value
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], int):
            return result[0], result[1]
        return self.usual, result


_RENDERER = JSONRenderer()
_JSON = f"{_RENDERER.media_type}; charset={_RENDERER.charset}"


def ninja_response(
    responses: Mapping[Any, Any], *, paginator: Any = None, api: NinjaAPI | None = None, **dumping: bool
) -> Callable[[H], H]:
    """Send what a handler returns by django-ninja's schemas: ``{200: PostOut, 404: Message}``.

    ``paginator`` is one of django-ninja's, whose parameters the handler has among its own; ``api`` is one that makes or
    renders responses in a way of its own. ``by_alias``, ``exclude_none``, ``exclude_unset`` and ``exclude_defaults``
    are those of the operation.
    """
    shown = dict(responses) if paginator is None else {**responses, 200: _page(paginator, responses[200])}
    writer = _Writer(shown, api, dumping)

    def decorate(handler: H) -> H:
        signature = inspect.signature(handler)

        def given(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Mapping[str, Any]:
            return signature.bind(*args, **kwargs).arguments

        def paged(result: Any, values: Mapping[str, Any]) -> Any:
            if paginator is None:
                return result
            chosen = paginator.Input(**{name: values[name] for name in paginator.Input.model_fields if name in values})
            page = paginator.paginate_queryset(result, pagination=chosen, request=_request_of(values))
            page[paginator.items_attribute] = list(page[paginator.items_attribute])
            return page

        @functools.wraps(handler)
        def wrapper(*args: object, **kwargs: object) -> HttpResponseBase:
            values = given(args, kwargs)
            request = _request_of(values)
            begun = writer.begin(request)
            return writer.write(request, paged(handler(*args, **kwargs), values), begun)

        @functools.wraps(handler)
        async def async_wrapper(*args: object, **kwargs: object) -> HttpResponseBase:
            values = given(args, kwargs)
            request = _request_of(values)
            begun = writer.begin(request)
            result = await handler(*args, **kwargs)
            if paginator is not None:
                chosen = {name: values[name] for name in paginator.Input.model_fields if name in values}
                result = await paginator.apaginate_queryset(
                    result, pagination=paginator.Input(**chosen), request=request
                )
            return writer.write(request, result, begun)

        return cast("H", async_wrapper if inspect.iscoroutinefunction(handler) else wrapper)

    return decorate


def _request_of(values: Mapping[str, object]) -> HttpRequest | None:
    """Return the request among the values of a handler, whatever it is called there."""
    return next((value for value in values.values() if isinstance(value, HttpRequest)), None)


def view_decorators(*decorators: Callable[..., Any]) -> Callable[[H], H]:
    """Put decorators of Django's views around a handler that answers by responses, the first one innermost.

    As ``@decorate_view`` does, but behind the route's authentication and its parameters: a decorator sees requests that
    came so far, and an exception in the place of the response to one.
    """

    def decorate(handler: H) -> H:
        signature = inspect.signature(handler)
        hints = typing.get_type_hints(handler)
        name = next((name for name in signature.parameters if hints.get(name) is HttpRequest), "")
        if not name:
            raise ConfigurationError(
                f"{handler!r} must take request: HttpRequest, for the decorators around it.",
                id="H021",
                place=place_of(handler),
            )

        def view(request: HttpRequest, **values: object) -> object:
            return handler(**{name: request, **values})

        async def async_view(request: HttpRequest, **values: object) -> object:
            return await handler(**{name: request, **values})

        is_async = inspect.iscoroutinefunction(handler)
        inner: Callable[..., Any] = functools.wraps(handler)(async_view if is_async else view)
        decorated = functools.reduce(lambda made, decorator: decorator(made), decorators, inner)

        @functools.wraps(handler)
        def wrapper(*args: object, **kwargs: object) -> object:
            values = dict(signature.bind(*args, **kwargs).arguments)
            return decorated(values.pop(name), **values)

        @functools.wraps(handler)
        async def async_wrapper(*args: object, **kwargs: object) -> Any:
            response = wrapper(*args, **kwargs)
            return await response if inspect.isawaitable(response) else response

        return cast("H", async_wrapper if is_async else wrapper)

    return decorate


def _page(paginator: Any, annotation: Any) -> Any:
    """Return the schema of a page, as django-ninja makes it."""
    item: Any = get_args(annotation)[0]
    return type("Page", (paginator.Output,), {"__annotations__": {paginator.items_attribute: GenericAlias(list, item)}})


def ask_django(request: HttpRequest) -> HttpResponseBase:
    """Return what the URLconf answers to a request: for the methods of a path that have not moved, beside one that has.

    The route names Django's middleware, ``django_middleware=settings.MIDDLEWARE``; the view authenticates for itself.
    """
    request.resolver_match = match = resolve(request.path_info)
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    return response


class NinjaAuthentication(AuthenticationScheme):
    """``auth=`` of django-ninja: the first of these callables that returns something true vouches for the caller.

    What it returns is ``request.auth``, and ``Authentication.token``. Nobody else gets in, so that a route needs
    ``guards=[IsAuthenticated]`` beside it.
    """

    carriers = ("Authorization", "Cookie")

    def __init__(self, *callbacks: Callable[[HttpRequest], Any]) -> None:
        self.callbacks = callbacks

    def authenticate(self, request: HttpRequest) -> Authentication:
        """Ask one after the other, on a pool thread; raises ``AuthenticationError`` where none knows the caller."""
        for callback in self.callbacks:
            result = callback(request)
            if inspect.isawaitable(result):  # SECURITY: a coroutine is true, whomever it would refuse
                result = async_to_sync(_awaited)(result)
            if result:
                request.auth = result  # type: ignore[attr-defined]
                user = result if hasattr(result, "is_authenticated") else request.user
                return Authentication(user=user, scheme=self, token=result)
        raise AuthenticationError

    def openapi(self) -> dict[str, object]:
        """Return the first description among the callables'."""
        described = (dict(getattr(callback, "openapi_security_schema", None) or {}) for callback in self.callbacks)
        return next(filter(None, described), {"type": "http", "scheme": "bearer"})


async def _awaited(result: Awaitable[object]) -> object:
    return await result


class NinjaThrottle(Guard):
    """Throttles of django-ninja as a guard: ``guards=[IsAuthenticated, NinjaThrottle(OwnThrottle("5/m"))]``.

    They count requests as django-ninja does, in Django's cache; all of them are asked.
    """

    def __init__(self, *throttles: BaseThrottle) -> None:
        self.throttles = throttles

    def __call__(self, request: HttpRequest) -> bool:
        """Count a request, on a pool thread; raises ``Throttled`` where it is one too many."""
        waits = [throttle.wait() for throttle in self.throttles if not throttle.allow_request(request)]
        if waits:
            wait: Any = max((wait for wait in waits if wait is not None), default=None)
            raise Throttled(wait=wait)
        return True


def ninja_errors(api: NinjaAPI) -> Handler:
    """Return a handler that answers exceptions as ``api`` does: ``exception_handlers={Exception: ninja_errors(api)}``.

    What the gateway itself raises stays the gateway's.
    """

    def answer(request: HttpRequest, error: Exception) -> HttpResponseBase:
        if isinstance(error, HTTPException):
            raise error
        response = api.on_exception(request, error)
        if isinstance(error, Throttled) and error.wait is not None:
            response["Retry-After"] = str(math.ceil(error.wait))
        return response

    return answer
