"""Undocumented names of Django's handlers, requests, sessions, CSRF check and settings."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response as convert_exception_to_response
from django.dispatch import Signal
from django.http import HttpRequest, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict
from django.utils.functional import LazyObject, cached_property, empty

if TYPE_CHECKING:
    from django.contrib.messages.storage.base import BaseStorage


def live_receivers(signal: Signal, sender: object) -> tuple[list[Callable[..., object]], list[Callable[..., object]]]:
    """Return the receivers that a signal of ``sender`` reaches: plain functions, and ``async def`` ones."""
    plain, asynchronous = signal._live_receivers(sender)
    return list(plain), list(asynchronous)


class HeadRequest(ASGIRequest):
    """Django's request of a head alone: ``body``, ``POST`` and ``FILES`` are empty until :meth:`give_body`."""

    def __init__(self, scope: Any) -> None:
        super().__init__(scope, BytesIO())
        self._post: Any = QueryDict()
        self._files: Any = MultiValueDict()

    def give_body(self, body: bytes) -> None:
        """Make ``body``, ``POST`` and ``FILES`` what they are in a view."""
        del self._post, self._files
        self._body = body
        self._stream = BytesIO(body)

    @cached_property
    def _messages(self) -> BaseStorage:
        return self.open_messages()

    def open_messages(self) -> BaseStorage:
        """Make the storage of ``django.contrib.messages``, when somebody first asks for it."""
        raise NotImplementedError


def has_messages(request: HttpRequest) -> bool:
    """Tell whether the storage of ``django.contrib.messages`` was made for ``request``."""
    return "_messages" in request.__dict__


def set_csrf_unchecked(request: HttpRequest, unchecked: bool) -> None:
    """Let Django's CSRF check pass ``request``, as its test client does."""
    vars(request)["_dont_enforce_csrf_checks"] = unchecked


def has_new_csrf_token(request: HttpRequest) -> bool:
    """Tell whether the CSRF token of ``request`` is to be sent to the client."""
    return bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE"))


class _CsrfCheck(CsrfViewMiddleware):
    """Django's middleware, whose response is the reason alone."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def csrf_failure(request: HttpRequest) -> str | None:
    """Return the reason why Django's CSRF check refuses ``request``."""
    check: Any = _CsrfCheck(_no_view)
    check.process_request(request)
    reason: str | None = check.process_view(request, _no_view, (), {})
    return reason


def _no_view(request: HttpRequest) -> Any:
    raise RuntimeError("No view lies below this middleware.")


adapt_method_mode: Callable[..., Any] = BaseHandler().adapt_method_mode
"""``adapt_method_mode(is_async, method, method_is_async=None)``: make middleware async or sync, as the chain needs."""


def is_evaluated(value: object) -> bool:
    """Tell whether ``value`` is a lazy object that has been evaluated."""
    return isinstance(value, LazyObject) and value._wrapped is not empty


def evaluate(value: Any) -> Any:
    """Return what is behind lazy objects; evaluating them may block."""
    while isinstance(value, LazyObject):
        if value._wrapped is empty:
            value._setup()
        value = value._wrapped
    return value


def setting_as_written(name: str) -> Any:
    """Return a setting as the settings module has it, or None: ``LazySettings`` caches ``STATIC_URL`` with a prefix."""
    lazy: Any = settings
    return getattr(lazy._wrapped, name, None)
