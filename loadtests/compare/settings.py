"""One Django project for every peer that has Django: what ``startproject`` writes, and the parts the peers ask for.

The environment says what differs: ``BENCH_DATABASE`` (``postgresql``, or the path of an SQLite file), ``BENCH_URLS``
(the URL configuration), ``BENCH_MIDDLEWARE`` (``none``).
"""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "load tests only: it signs nothing of value, and is long enough for HS256"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEBUG = False
ROOT_URLCONF = os.environ.get("BENCH_URLS", "loadtests.compare.apps.pages")
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS = [
    "hybrid_gateway",
    "hybrid_gateway.tokens",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "loadtests.compare.shop",
]
if os.environ.get("BENCH_BOLT"):
    INSTALLED_APPS.append("django_bolt")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if os.environ.get("BENCH_MIDDLEWARE") == "none":
    MIDDLEWARE = []

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASE = os.environ.get("BENCH_DATABASE", "bench.sqlite3")
if DATABASE == "postgresql":
    # The pool is what Django's documentation recommends under ASGI, and it serves threads as well.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("BENCH_POSTGRESQL", "hybrid_gateway_bench"),
            "HOST": os.environ.get("PGHOST", "127.0.0.1"),
            "USER": os.environ.get("PGUSER", "postgres"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "OPTIONS": {"pool": {"min_size": 2, "max_size": 10}},
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "CONN_MAX_AGE": 600,
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
        }
    }

# django-bolt writes its access log through this logger; nobody else here has one, so neither does it.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.server": {"level": "ERROR"}, "django.request": {"level": "ERROR"}},
}

if os.environ.get("BENCH_OBSERVED"):
    LOGGING["handlers"] = {"stderr": {"class": "logging.StreamHandler"}}
    LOGGING["loggers"]["hybrid_gateway.access"] = {"level": "INFO", "handlers": ["stderr"]}

ASGI_APPLICATION = os.environ.get("BENCH_APPLICATION", "loadtests.compare.apps.gateway.application")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
BOLT_API = ["loadtests.compare.apps.bolt:api"]
