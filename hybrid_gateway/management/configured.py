"""The gateway that the settings name, for commands that look at it."""

from __future__ import annotations

from django.core.management.base import CommandError

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway


def configured_gateway() -> Gateway:
    """Return the gateway of the settings; a mistake in them ends the command."""
    try:
        return default_gateway()
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
