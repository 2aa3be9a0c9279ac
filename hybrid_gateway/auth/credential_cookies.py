"""Credentials in cookies. Whoever reads one calls ``check_csrf``: a browser sends it whatever page it is on."""

from __future__ import annotations

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import is_token
from hybrid_gateway.sessions.django_context import DjangoContext

__all__ = ["check_cookie_name", "read_cookie"]


def check_cookie_name(name: str) -> str:
    """Return ``name``; raise :class:`ConfigurationError` for what no cookie can be called."""
    if not isinstance(name, str) or not is_token(name.encode()):
        raise ConfigurationError(f"cookie={name!r} must be the name of a cookie.")
    return name


def read_cookie(visit: DjangoContext, name: str) -> str | None:
    """Return the cookie ``name``, None where it is absent or empty."""
    return visit.request.COOKIES.get(name) or None
