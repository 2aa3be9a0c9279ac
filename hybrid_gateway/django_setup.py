"""``django.setup()`` before the first route is imported, with a useful sentence when no settings are named."""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings

from hybrid_gateway.exceptions import SettingsError

__all__ = ["set_up_django"]


def set_up_django() -> None:
    """Set Django up once; raise :class:`SettingsError` when ``DJANGO_SETTINGS_MODULE`` is not set."""
    if apps.ready:
        return
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        found = sorted(".".join(path.with_suffix("").parts) for path in Path().glob("*/settings.py"))
        hint = f" In this directory there is {', '.join(found)}." if found else ""
        raise SettingsError(
            "DJANGO_SETTINGS_MODULE is not set, so there are no settings to build the gateway from. Set it in the "
            f"environment or in your asgi.py, before asking for the application.{hint}"
        )
    django.setup(set_prefix=False)
