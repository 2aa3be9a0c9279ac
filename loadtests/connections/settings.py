"""What ``startproject`` writes, with PostgreSQL, and the age of connections from the environment."""

import os

from loadtests.apps.settings import *  # noqa: F403

ROOT_URLCONF = "loadtests.connections.site"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "hybrid_gateway_connections",
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", "5432"),
        "CONN_MAX_AGE": int(os.environ.get("CONN_MAX_AGE", "0")),
    }
}
