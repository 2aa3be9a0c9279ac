"""Schemas, authentication and errors of django-ninja around typed routes, while a project moves.

``manage.py gateway migrate-from ninja`` writes these where a schema says more than a Struct can (resolvers,
validators), or a class of authentication is the project's own. What comes out is what django-ninja would have sent,
byte by byte.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import GenericAlias
from typing import Any, TypeVar, get_args

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, ConfigError
from ninja.renderers import BaseRenderer, JSONRenderer
from pydantic import BaseModel

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.types import Handler

__all__ = ["NinjaAuthentication", "ninja_errors", "ninja_response"]

H = TypeVar("H", bound=Handler)


class _Result:
    """A holder of what a handler has returned: schemas read attributes."""

    def __init__(self, response: object) -> None:
        self.response = response


class _Writer:
    """Writes what a handler returns by the schema of its status."""

    def __init__(self, responses: Mapping[Any, Any], renderer: BaseRenderer, dumping: dict[str, Any]) -> None:
        self.models = {status: self._model(annotation) for status, annotation in responses.items()}
        self.renderer, self.dumping = renderer, dumping

    @staticmethod
    def _model(annotation: Any) -> Any:
        return (
            None if annotation is None else type("Response", (Schema,), {"__annotations__": {"response": annotation}})
        )

    def write(self, request: HttpRequest | None, result: Any) -> HttpResponseBase:
        """Return the response; raises ``ConfigError`` for a status without a schema, as django-ninja does."""
        if isinstance(result, HttpResponseBase):
            return result
        status, value = self._status(result)
        if status not in self.models and Ellipsis not in self.models:
            raise ConfigError(f"Schema for status {status} is not set in response {self.models.keys()}")
        model = self.models.get(status, self.models.get(Ellipsis))
        kind = f"{self.renderer.media_type}; charset={self.renderer.charset}"
        if model is None:
            return HttpResponse(status=status, content_type=kind)
        context = {"request": request, "response_status": status}
        annotation = model.model_fields["response"].annotation
        if isinstance(annotation, type) and isinstance(value, BaseModel) and isinstance(value, annotation):
            data: Any = value.model_dump(context=context, **self.dumping)
        else:
            data = model.model_validate(_Result(value), context=context)
            data = data.model_dump(context=context, **self.dumping)["response"]
        content = self.renderer.render(request, data, response_status=status)  # type: ignore[arg-type]
        return HttpResponse(content, status=status, content_type=kind)

    @staticmethod
    def _status(result: Any) -> tuple[int, Any]:
        if type(result).__name__ == "Status":  # which older releases have not
            return result.status_code, result.value
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], int):
            return result[0], result[1]
        return 200, result


def ninja_response(
    responses: Mapping[Any, Any], *, paginator: Any = None, renderer: BaseRenderer | None = None, **dumping: bool
) -> Callable[[H], H]:
    """Send what a handler returns by django-ninja's schemas: ``{200: PostOut, 404: Message}``.

    ``paginator`` is one of django-ninja's, whose parameters the handler has among its own. ``by_alias``,
    ``exclude_none``, ``exclude_unset`` and ``exclude_defaults`` are those of the operation.
    """
    shown = dict(responses) if paginator is None else {**responses, 200: _page(paginator, responses[200])}
    writer = _Writer(shown, renderer or JSONRenderer(), dumping)

    def decorate(handler: H) -> H:
        signature = inspect.signature(handler)

        def given(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Mapping[str, Any]:
            return signature.bind(*args, **kwargs).arguments

        def paged(result: Any, values: Mapping[str, Any]) -> Any:
            if paginator is None:
                return result
            chosen = paginator.Input(**{name: values[name] for name in paginator.Input.model_fields if name in values})
            page = paginator.paginate_queryset(result, pagination=chosen, request=values.get("request"))
            page[paginator.items_attribute] = list(page[paginator.items_attribute])
            return page

        @functools.wraps(handler)
        def wrapper(*args: object, **kwargs: object) -> HttpResponseBase:
            values = given(args, kwargs)
            return writer.write(values.get("request"), paged(handler(*args, **kwargs), values))

        @functools.wraps(handler)
        async def async_wrapper(*args: object, **kwargs: object) -> HttpResponseBase:
            values = given(args, kwargs)
            result = await handler(*args, **kwargs)
            if paginator is not None:
                chosen = {name: values[name] for name in paginator.Input.model_fields if name in values}
                result = await paginator.apaginate_queryset(
                    result, pagination=paginator.Input(**chosen), request=values.get("request")
                )
            return writer.write(values.get("request"), result)

        return async_wrapper if inspect.iscoroutinefunction(handler) else wrapper  # type: ignore[return-value]

    return decorate


def _page(paginator: Any, annotation: Any) -> Any:
    """Return the schema of a page, as django-ninja makes it."""
    item: Any = get_args(annotation)[0]
    return type("Page", (paginator.Output,), {"__annotations__": {paginator.items_attribute: GenericAlias(list, item)}})


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
            if result:
                request.auth = result  # type: ignore[attr-defined]
                user = result if hasattr(result, "is_authenticated") else request.user
                return Authentication(user=user, scheme=self, token=result)
        raise AuthenticationError

    def openapi(self) -> dict[str, object]:
        """Return the first description among the callables'."""
        described = (dict(getattr(callback, "openapi_security_schema", None) or {}) for callback in self.callbacks)
        return next(filter(None, described), {"type": "http", "scheme": "bearer"})


def ninja_errors(api: NinjaAPI) -> Handler:
    """Return a handler that answers exceptions as ``api`` does: ``exception_handlers={Exception: ninja_errors(api)}``.

    What the gateway itself raises stays the gateway's.
    """

    def answer(request: HttpRequest, error: Exception) -> HttpResponseBase:
        if isinstance(error, HTTPException):
            raise error
        return api.on_exception(request, error)

    return answer
