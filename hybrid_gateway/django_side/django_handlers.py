"""Django's WSGI and ASGI handlers as the gateway runs them, with static files or without."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.exceptions import SuspiciousFileOperation
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string

__all__ = ["DJANGO_RESPONSE", "has_whitenoise", "make_asgi_handler", "make_wsgi_handler"]

DJANGO_RESPONSE = "hybrid_gateway.response"  # in the environ


def make_wsgi_handler(static: bool) -> WSGIHandler:
    """Build Django's ``WSGIHandler`` with the middleware of the settings, which blocks."""
    handler = _WSGIHandler()
    return _StaticFiles(handler) if static else handler


def make_asgi_handler(static: bool) -> ASGIHandler:
    """Build Django's ``ASGIHandler`` with the middleware of the settings, which blocks."""
    handler = ASGIHandler()
    return _ASGIStaticFiles(handler) if static else handler


def has_whitenoise() -> bool:
    """Return whether WhiteNoise, or a subclass of it, serves static files: under ``DEBUG`` by the same finders."""
    kinds = []
    for name in settings.MIDDLEWARE:
        with suppress(Exception):  # Django's handlers tell what is wrong
            kinds.append(import_string(name))
    bases = [base for kind in kinds if isinstance(kind, type) for base in kind.__mro__]
    return any(base.__module__ == "whitenoise.middleware" for base in bases)


class _KeepsResponse:
    """Keeps Django's response where it is found: error trackers patch its handlers to give back a wrapper of theirs."""

    def get_response(self, request: Any) -> HttpResponseBase:
        above: Any = super()
        response: HttpResponseBase = above.get_response(request)
        request.environ[DJANGO_RESPONSE] = response
        return response


class _WSGIHandler(_KeepsResponse, WSGIHandler):
    pass


class _NothingOutside:
    """Responds with 404 to paths that lead out of the static files, as to others that lead nowhere."""

    def serve(self, request: HttpRequest) -> HttpResponseBase:
        # DJANGO: StaticFilesHandlerMixin.get_response (contrib/staticfiles/handlers.py) answers Http404 alone, so that
        # a client could have a traceback logged for each of its requests.
        try:
            return super().serve(request)  # type: ignore[misc,no-any-return]
        except SuspiciousFileOperation as error:
            raise Http404 from error


class _StaticFiles(_KeepsResponse, _NothingOutside, StaticFilesHandler):  # type: ignore[misc]
    pass


class _ASGIStaticFiles(_NothingOutside, ASGIStaticFilesHandler):  # type: ignore[misc]
    pass
