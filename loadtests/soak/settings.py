"""The example project's settings, with what a soak needs: JSON logs, a time-out, routes of its own, a shared cache."""

import os

from config.settings import *  # noqa: F403
from config.settings import HYBRID_GATEWAY as EXAMPLE

HYBRID_GATEWAY = {
    **EXAMPLE,
    "ROUTES": "loadtests.soak.routes",
    "PLUGINS": ["hybrid_gateway.telemetry.RequestIDs"],
    "LIFESPAN": ["loadtests.soak.routes.beat"],
    "TIMEOUT": float(os.environ["SOAK_TIMEOUT"]),
    "CHANNELS": os.environ["SOAK_CHANNELS"],
    "BODY_TIMEOUT": float(os.environ["SOAK_BODY_TIMEOUT"]),
}

if os.environ.get("SOAK_REDIS"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["SOAK_REDIS"],
            "KEY_PREFIX": os.environ["SOAK_KEY_PREFIX"],
            "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
        }
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "hybrid_gateway.telemetry.JSONFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
