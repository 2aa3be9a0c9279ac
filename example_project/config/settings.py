"""An ordinary Django settings file; what makes it a gateway is the section of that name.

Everything a deployment changes comes from the environment: DEBUG (0 or 1), SECRET_KEY, DATABASE_URL, MEDIA_ROOT and,
separated by commas, ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS.
"""

import os
from pathlib import Path

import dj_database_url

from hybrid_gateway.auth import BasicAuthentication, TokenAuthentication

BASE_DIR = Path(__file__).resolve().parent.parent
ON_HEROKU = "DYNO" in os.environ


def from_environment(name: str, default: str = "") -> list[str]:
    """Read a comma-separated variable."""
    return [value.strip() for value in os.environ.get(name, default).split(",") if value.strip()]


# --- The gateway ----------------------------------------------------------------------------------------------------

ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"

HYBRID_GATEWAY = {
    "ROUTES": "config.routes",
    "ALLOWED_DJANGO_ROUTES": ("/admin/", "/catalog/", "/media/"),
    "AUTHENTICATION": [TokenAuthentication(), BasicAuthentication()],
    "EVENT_HOOKS": ["hybrid_gateway.telemetry.RequestID", "hybrid_gateway.telemetry.ServerTiming"],
    "OPENAPI": {"TITLE": "Catalogue", "VERSION": "1.0.0"},
}

# --- Security -------------------------------------------------------------------------------------------------------

DEBUG = os.environ.get("DEBUG", "0" if ON_HEROKU else "1") == "1"
SECRET_KEY = os.environ.get("SECRET_KEY", "for-development-only" if DEBUG else "")  # Django refuses an empty one
ALLOWED_HOSTS = from_environment("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = from_environment("CSRF_TRUSTED_ORIGINS")

if ON_HEROKU:  # its router speaks TLS with the world, and overwrites this header whatever a client sends
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- Applications ---------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "hybrid_gateway",  # before staticfiles, so that `manage.py runserver` is the gateway's
    "hybrid_gateway.tokens",
    "hybrid_gateway.channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "catalog",
    "live",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# --- Database -------------------------------------------------------------------------------------------------------

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": dj_database_url.config(
        default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}",
        conn_max_age=600,  # seconds; safe because the gateway's threads are few and keep their connections
        conn_health_checks=True,
    ),
}

if DATABASES["default"].get("ENGINE") == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # a writer waits for its turn instead of failing half-way
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

if DATABASES["default"].get("ENGINE") == "django.db.backends.postgresql":
    HYBRID_GATEWAY["CHANNELS"] = "postgresql"  # several processes see one room; in memory each has its own

# --- Files ----------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
MEDIA_URL = "/media/"
MEDIA_ROOT = Path(os.environ.get("MEDIA_ROOT", BASE_DIR / "media"))  # a dyno forgets it: use an object store there

if not DEBUG:  # in development `manage.py runserver` serves the static files
    MIDDLEWARE.insert(1, "whitenoise.middleware.WhiteNoiseMiddleware")
    WHITENOISE_USE_FINDERS = True  # the admin has its CSS even where nobody ran collectstatic
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    }

# --- Time and logs --------------------------------------------------------------------------------------------------

TIME_ZONE = "UTC"
USE_TZ = True

if not DEBUG:  # everything to the console, where platforms collect it; in development Django's defaults are fine
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {"django": {"level": "INFO"}},  # drops Django's own handlers, so that a line is written once
    }
