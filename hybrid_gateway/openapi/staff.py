"""The document for those only who may enter the admin, by Django's own session."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.urls import NoReverseMatch, reverse

from hybrid_gateway.exceptions import Forbidden, Unauthorized

__all__ = ["DJANGO_MIDDLEWARE", "refuse_others", "send_to_login"]

DJANGO_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def refuse_others(request: HttpRequest) -> None:
    """401 and 403, as for any other route."""
    if not request.user.is_authenticated:
        raise Unauthorized("The document of this API is for its staff.")
    if not _is_staff(request):
        raise Forbidden("The document of this API is for its staff.")


def send_to_login(request: HttpRequest) -> HttpResponseBase | None:
    """The admin's login page to whoever is not known to be staff."""
    if request.user.is_authenticated and _is_staff(request):
        return None
    try:
        login: str = reverse("admin:login")
    except NoReverseMatch:
        login = str(settings.LOGIN_URL)
    return redirect_to_login(request.get_full_path(), login)


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and getattr(request.user, "is_staff", False)
