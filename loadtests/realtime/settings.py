"""Settings of the peers that have Django: no database, no middleware, nothing that websockets do not need."""

from __future__ import annotations

import os

SECRET_KEY = "load tests only: it signs nothing of value"
ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = False
ROOT_URLCONF = "loadtests.realtime.apps.channels"
USE_TZ = True
DATABASES: dict[str, dict[str, str]] = {}
INSTALLED_APPS = ["hybrid_gateway"]
if os.environ.get("BENCH_BOLT"):
    INSTALLED_APPS = ["django_bolt"]
MIDDLEWARE: list[str] = []
ASGI_APPLICATION = "loadtests.realtime.apps.gateway.application"
BOLT_API = ["loadtests.realtime.apps.bolt:api"]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 10_000}}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.server": {"level": "ERROR"}, "django.request": {"level": "ERROR"}},
}
