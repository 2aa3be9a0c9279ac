"""The ASGI application of the settings: ``ASGI_APPLICATION = "hybrid_gateway.asgi.application"``.

``application`` is built when it is first read, so that importing this module starts nothing, and a server that reads it
at boot fails at boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybrid_gateway.conf import set_up_django

if TYPE_CHECKING:
    from hybrid_gateway.gateway.application import Gateway

    application: Gateway
    """The gateway of ``HYBRID_GATEWAY``, for ASGI servers; built when it is first looked at."""

__all__ = ["application", "get_asgi_application"]


def get_asgi_application() -> Gateway:
    """Set Django up and give the gateway that ``HYBRID_GATEWAY`` describes, for a project's own ``asgi.py``."""
    set_up_django()
    from hybrid_gateway.checks.tenants import serving_gateway

    return serving_gateway()


def __getattr__(name: str) -> Any:
    if name == "application":
        return get_asgi_application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
