"""The site of websockets with consumers of Channels: its settings, its URLconf and its routes."""

import os
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.websockets.server_site import (  # noqa: F401  (settings)
    ALLOWED_HOSTS,
    ASGI_APPLICATION,
    DEBUG,
    LOGGING,
    SECRET_KEY,
    USE_TZ,
    WSGI_APPLICATION,
)

INSTALLED_APPS = [
    "hybrid_gateway", "channels", "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
]  # fmt: skip
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "tests.websockets.channels_site"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", ":memory:"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}


async def living() -> Any:
    from asgiref.sync import sync_to_async
    from django.core.management import call_command

    await sync_to_async(call_command)("migrate", verbosity=0)
    yield


def make_routes() -> list[Any]:
    from hybrid_gateway import Mount
    from tests.websockets.channels_routing import mounted
    from tests.websockets.server_routes import echo, probe

    return [echo, probe, Mount("/consumers", mounted)]


HYBRID_GATEWAY = {
    "ROUTES": "tests.websockets.channels_site",
    "ALLOWED_DJANGO_ROUTES": ("/admin/",),
    "DJANGO_WEBSOCKETS": "tests.websockets.channels_routing.application",
    "LIFESPAN": ["tests.websockets.channels_site.living"],
}


def enter(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import get_user_model, login

    user, _ = get_user_model().objects.get_or_create(username="visitor")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("welcome")


urlpatterns = [path("admin/enter/", enter)]


def __getattr__(name: str) -> Any:
    if name == "routes":
        return make_routes()
    raise AttributeError(name)
