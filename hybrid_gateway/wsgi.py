"""The WSGI application of the settings: ``WSGI_APPLICATION = "hybrid_gateway.wsgi.application"``.

``application`` is built when it is first read, like that of :mod:`hybrid_gateway.asgi`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybrid_gateway.conf import set_up_django

if TYPE_CHECKING:
    from hybrid_gateway.drivers.wsgi_driver import WSGIDriver

    application: WSGIDriver
    """The gateway of ``HYBRID_GATEWAY``, for WSGI servers; built when it is first looked at."""

__all__ = ["application", "get_wsgi_application"]


def get_wsgi_application() -> WSGIDriver:
    """Set Django up and give the WSGI side of the gateway of the settings, for a project's own ``wsgi.py``."""
    set_up_django()
    from hybrid_gateway.checks.tenants import serving_gateway

    gateway = serving_gateway()
    gateway.dispatcher.shutdown.watch_signals()  # a WSGI server tells of its end in no other way
    return gateway.wsgi


def __getattr__(name: str) -> Any:
    if name == "application":
        return get_wsgi_application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
