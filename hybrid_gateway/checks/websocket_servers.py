"""System checks of what serves websockets: an ASGI server, and what uvicorn needs besides."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from django.conf import settings
from django.core.checks import CheckMessage

from hybrid_gateway.checks.messages import name_routes, report
from hybrid_gateway.gateway.application import Gateway

_LIBRARIES = ("websockets", "wsproto")


def unserved_websockets(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W039: nothing serves websockets that the project has; W043: uvicorn could, and lacks a package for it."""
    if not gateway.websockets and gateway.django_websockets is None:
        return
    names = name_routes(gateway.websockets) or 'The application of HYBRID_GATEWAY["DJANGO_WEBSOCKETS"]'
    if getattr(settings, "ASGI_APPLICATION", None) is None:
        yield report("W039", f"{names} need an ASGI server, and the project is for WSGI servers alone.")
    elif find_spec("uvicorn") is not None and not any(find_spec(name) is not None for name in _LIBRARIES):
        yield report("W043", f"{names} are not served by uvicorn, which finds neither websockets nor wsproto.")
