"""A small project for servers to serve: these are its settings.

Django answers ``/admin/`` and ``/static/``; ``/internal/`` is a view of its URLconf that nobody may reach.
"""

import os

SECRET_KEY = "security"
DEBUG = False
ALLOWED_HOSTS = ["ex.test", "127.0.0.1"]
INSTALLED_APPS = ["hybrid_gateway", "django.contrib.contenttypes", "django.contrib.auth"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "tests.security.site_urls"
USE_TZ = True
STATIC_URL = "static/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "all": {
            "()": "logging.Formatter",
            "fmt": "{levelname} {name} {message} [{client}] [{path}] [{user_agent}]",
            "style": "{",
            "defaults": {"client": "", "path": "", "user_agent": ""},
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "all"}},
    "root": {"level": "INFO", "handlers": ["console"]},
}
ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"
HYBRID_GATEWAY = {
    "ROUTES": "tests.security.site_routes",
    "ALLOWED_DJANGO_ROUTES": ("/admin/", "/static/"),
    "BODY_TIMEOUT": float(os.environ.get("BODY_TIMEOUT", "30")),
    "GRACEFUL_TIMEOUT": float(os.environ.get("GRACE", "2")),
}
