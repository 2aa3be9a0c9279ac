"""Django, set up as far as the package's own modules need it."""

from __future__ import annotations

import django
from django.conf import settings

APPS = [
    *("django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages"),
    *("django.contrib.sessions", "hybrid_gateway", "hybrid_gateway.tokens", "hybrid_gateway.channels"),
    *("rest_framework", "rest_framework.authtoken", "rest_framework_simplejwt"),
]


def set_up() -> None:
    """Set Django up, unless somebody has."""
    if not settings.configured:
        settings.configure(INSTALLED_APPS=APPS, SECRET_KEY="of-no-use-to-anybody-" * 3, USE_TZ=True)
        django.setup()
