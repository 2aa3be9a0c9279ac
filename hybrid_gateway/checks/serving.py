"""The checks of a server, which does not run ``manage.py check`` before it starts."""

from __future__ import annotations

from hybrid_gateway.checks.missed_middleware import missed_middleware
from hybrid_gateway.checks.tenants import missed_tenants
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway

__all__ = ["serving_gateway"]


def serving_gateway() -> Gateway:
    """Return the gateway of the settings; raise :class:`ConfigurationError` where E006 or E040 is not silenced."""
    gateway = default_gateway()
    endpoints = list(gateway.endpoints)
    for message in (*missed_middleware(endpoints), *missed_tenants(endpoints)):
        if message.is_serious() and not message.is_silenced():
            raise ConfigurationError(f"{message.msg} {message.hint} ({message.id})")
    return gateway
