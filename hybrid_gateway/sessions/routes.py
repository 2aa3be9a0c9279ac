"""``Include("/auth", "hybrid_gateway.sessions.routes")``: the CSRF token, for pages that Django does not render."""

from __future__ import annotations

from django.http import HttpRequest
from django.middleware.csrf import get_token
from msgspec import Struct

from hybrid_gateway.access_control import AllowAny
from hybrid_gateway.routing.declare import get


class CSRFToken(Struct):
    """The text that unsafe requests carry in the header ``X-CSRFToken``, or that of ``CSRF_HEADER_NAME``."""

    csrf_token: str


@get(
    "/csrf",
    authentication=[],
    guards=[AllowAny],
    tags=["auth"],
    summary="Get a CSRF token",
    response_headers={"Cache-Control": "no-store"},
)
def csrf(request: HttpRequest) -> CSRFToken:
    """Return the token, whose cookie comes with the response. Another page's script can read neither."""
    return CSRFToken(get_token(request))


routes = [csrf]
