"""A small project with websockets for servers to serve: these are its settings."""

import os

SECRET_KEY = "websockets"
DEBUG = False
ALLOWED_HOSTS = ["ex.test", "127.0.0.1"]
INSTALLED_APPS = ["hybrid_gateway", "django.contrib.contenttypes", "django.contrib.auth"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "tests.security.site_urls"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"level": "INFO", "handlers": ["console"]},
}
HYBRID_GATEWAY = {
    "ROUTES": "tests.websockets.server_routes",
    "ALLOWED_DJANGO_ROUTES": ("/admin/",),
    "GRACEFUL_TIMEOUT": float(os.environ.get("GRACE", "3")),
    "LIFESPAN": ["tests.websockets.server_routes.living"],
}
