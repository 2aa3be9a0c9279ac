"""The gateway that ``settings.HYBRID_GATEWAY`` describes, one per process."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from hybrid_gateway.conf import GatewaySettings, get_settings
from hybrid_gateway.dispatch.prefixes import static_prefix
from hybrid_gateway.events.emitter import set_default_emitter
from hybrid_gateway.exceptions import SettingsError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.options import GatewayArguments
from hybrid_gateway.problems.places import place_of_setting

_default: Gateway | None = None
_static_files: bool | None = None


def default_gateway() -> Gateway:
    """The gateway that ``settings.HYBRID_GATEWAY`` describes; built when first asked for, and anew when it changes."""
    global _default
    if _default is None:
        _default = from_settings(get_settings())
    return _default


def from_settings(settings: GatewaySettings) -> Gateway:
    """Build a gateway from settings; raises :class:`ConfigurationError` and whatever importing the routes raises."""
    if settings.routes is None:
        raise SettingsError(
            'HYBRID_GATEWAY["ROUTES"] is missing: name the module with your `routes` list, such as "config.routes".',
            id="S005",
            place=place_of_setting("HYBRID_GATEWAY", getattr(django_settings, "HYBRID_GATEWAY", None)),
        )
    shared = GatewayArguments.__annotations__.keys() & set(settings.__struct_fields__)
    gateway = Gateway(
        settings.routes,
        django_routes=settings.allowed_django_routes or static_prefix(),
        static=_static_files,
        **{name: getattr(settings, name) for name in shared},
        **settings.layer,
    )
    if gateway.dispatcher.prefixes.prefixes or settings.fallthrough:
        _ = gateway.dispatcher.django.wsgi_handler  # a broken MIDDLEWARE fails now, not at the first request
    return gateway


def serve_static(static: bool | None) -> None:
    """Let the default gateway serve static files itself: always, never, or (``None``) while ``DEBUG`` is on."""
    global _static_files
    _static_files = static
    _forget()


def _forget(**kwargs: Any) -> None:
    global _default
    _default = None


set_default_emitter(lambda: default_gateway().emit)
setting_changed.connect(_forget, dispatch_uid="hybrid_gateway.gateway")
