"""The document for those only who may enter the admin, by Django's own session."""

from __future__ import annotations

from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from hybrid_gateway.exceptions import ConfigurationError, Forbidden, Unauthorized
from hybrid_gateway.responses.response_classes import RedirectResponse

__all__ = ["DJANGO_MIDDLEWARE", "check_apps", "refuse_others", "send_to_login"]

DJANGO_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def check_apps() -> None:
    """Raise :class:`ConfigurationError` in a project that knows no staff."""
    for name in ("django.contrib.auth", "django.contrib.sessions"):
        if not apps.is_installed(name):
            raise ConfigurationError(f'OPENAPI["STAFF_ONLY"] needs {name!r} among INSTALLED_APPS.')


def refuse_others(request: HttpRequest) -> None:
    """401 and 403, as for any other route."""
    if not request.user.is_authenticated:
        raise Unauthorized("The document of this API is for its staff.")
    if not _is_staff(request):
        raise Forbidden("The document of this API is for its staff.")


def send_to_login(request: HttpRequest) -> RedirectResponse | None:
    """Redirect callers who are not known to be staff to the admin's login page."""
    if request.user.is_authenticated and _is_staff(request):
        return None
    try:
        login: str = reverse("admin:login")
    except NoReverseMatch:
        login = str(settings.LOGIN_URL)
    query = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()}, safe="/")
    return RedirectResponse(f"{login}?{query}", status_code=302)


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and getattr(request.user, "is_staff", False)
