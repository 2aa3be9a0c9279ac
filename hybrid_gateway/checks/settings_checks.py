"""System checks of ``HYBRID_GATEWAY``, of the databases, and whether a gateway can be built."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from hybrid_gateway.checks.messages import report
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, SettingsError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway

__all__ = ["broken_configuration", "current_gateway", "pooled_persistent_connections", "whitenoise_under_asgi"]


def current_gateway() -> Gateway | None:
    """Return the gateway of the settings; ``None`` where there is none, or none can be built."""
    try:
        return default_gateway() if hasattr(settings, "HYBRID_GATEWAY") else None
    except Exception:  # broken_configuration() tells why
        return None


def broken_configuration() -> Iterator[CheckMessage]:
    """Yield E001 settings, E002 import of the routes, E003 routes or E004 components: the first hides the rest."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return
    number = "E001"
    try:
        get_settings()
        number = "E002"
        default_gateway()
    except ConfigurationError as error:
        if number != "E001":
            number = next(number for kind, number in _NUMBERS if isinstance(error, kind))
        yield report(number, str(error))
    except Exception as error:
        text = "".join(traceback.format_exception_only(error)).strip()
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame for frame in frames if not frame.filename.startswith("<frozen")][-1]
        yield report(number, f"{text}\n(raised in {place.filename}, line {place.lineno})")


_NUMBERS = ((SettingsError, "E001"), (DependencyError, "E004"), (ConfigurationError, "E003"))


def pooled_persistent_connections() -> Iterator[CheckMessage]:
    """Yield W008: psycopg's pool with persistent connections, which Django rejects when the first query comes.

    ``CONN_MAX_AGE`` alone is safe here, also under ASGI: threads are few, live long, and keep their connections.
    """
    for alias, database in connections.settings.items():
        if database["OPTIONS"].get("pool") and database["CONN_MAX_AGE"] != 0:
            yield report(
                "W008",
                f"DATABASES[{alias!r}] has a connection pool and CONN_MAX_AGE={database['CONN_MAX_AGE']!r}; "
                "Django refuses the combination at the first query.",
            )


def whitenoise_under_asgi() -> Iterator[CheckMessage]:
    """Yield W009: WhiteNoise where Django's side is pure ASGI. On pool threads, the default, it is at home."""
    try:
        side = get_settings().django_side
    except ImproperlyConfigured:  # E001 reports it
        return
    if side == "asgi" and any(name.startswith("whitenoise.") for name in settings.MIDDLEWARE):
        yield report(
            "W009",
            'WhiteNoise answers with synchronous files, which Django reads into memory under DJANGO_SIDE = "asgi".',
        )
