"""Settings of the package's own tests: stock Django apps and middleware, SQLite in memory.

``TEST_DATABASE=postgresql`` runs them on the PostgreSQL of this machine instead, ``mysql`` on its MariaDB, as the user
``hybrid`` with that password.
"""

import os

SECRET_KEY = "tests-only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "[::1]", ".example", ".example.org", ".test"]
ROOT_URLCONF = "tests.urls"
INSTALLED_APPS = [
    "hybrid_gateway",
    "hybrid_gateway.tokens",
    "hybrid_gateway.channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework.authtoken",
    "tests.library",
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
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
if os.environ.get("TEST_DATABASE") == "postgresql":
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "TEST": {"NAME": os.environ.get("TEST_DATABASE_NAME")},  # for two runs at once
    }
if os.environ.get("TEST_DATABASE") == "mysql":
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "hybrid",
        "USER": "hybrid",
        "PASSWORD": "hybrid",
        "HOST": "127.0.0.1",
        "OPTIONS": {"charset": "utf8mb4"},
    }
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SIMPLE_JWT = {"SIGNING_KEY": "tests-only-and-as-long-as-a-hash"}
STATIC_URL = "static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
HYBRID_GATEWAY = {"ROUTES": "tests.routes", "ALLOWED_DJANGO_ROUTES": ("/admin/",)}
