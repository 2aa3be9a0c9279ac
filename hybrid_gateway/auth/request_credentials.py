"""Credentials in the ``Authorization`` header and in cookies, and Django's CSRF check for the latter.

The check is Django's own, on the head of the request: the token comes in the header of ``CSRF_HEADER_NAME``
(``X-CSRFToken``), since authentication comes before the body. A form's hidden field is too late.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from django.http import HttpRequest
from starlette.datastructures import Headers

from hybrid_gateway._compat.django_internals import csrf_failure
from hybrid_gateway.access_control import Guard
from hybrid_gateway.exceptions import ConfigurationError, Forbidden, Unauthorized
from hybrid_gateway.headers import is_token
from hybrid_gateway.sessions.django_context import DjangoContext

__all__ = ["CSRFProtect", "check_cookie_name", "check_csrf", "quoted_realm", "read_cookie", "read_credentials"]

logger = logging.getLogger("django.security.csrf")


def check_cookie_name(name: str) -> str:
    """Return ``name``; raise :class:`ConfigurationError` for what no cookie can be called."""
    if not isinstance(name, str) or not is_token(name.encode()):
        raise ConfigurationError(f"cookie={name!r} must be the name of a cookie.")
    return name


def read_cookie(visit: DjangoContext, name: str) -> str | None:
    """Return the cookie ``name``, None where it is absent or empty."""
    return visit.request.COOKIES.get(name) or None


def read_credentials(headers: Headers, keywords: Collection[str]) -> str | None:
    """Return what the ``Authorization`` header holds after one of ``keywords``; None where it opens with none."""
    values = headers.getlist("authorization")
    if not values:
        return None
    if len(values) > 1:
        # SECURITY: a proxy may have checked the one, we would believe the other. SPEC: RFC 9110, section 5.3
        raise Unauthorized("The Authorization header was sent more than once.")
    # SPEC: RFC 9110, section 11.4: auth-scheme 1*SP token68, the scheme in any case
    scheme, _, credentials = values[0].partition(" ")
    return credentials.strip(" ") if scheme.lower() in keywords else None


def quoted_realm(realm: str) -> str:
    """Return ``realm="..."`` for a challenge; raise :class:`ConfigurationError` for what a header cannot quote."""
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ConfigurationError(f"realm={realm!r} must be printable ASCII without quotes and backslashes.")
    return f'realm="{realm}"'


def check_csrf(visit: DjangoContext | HttpRequest) -> None:
    """Raise 403 with Django's reason, unless the method is safe, the token right, or the route ``csrf_exempt``.

    For schemes that read a cookie: they ask for ``visit: DjangoContext`` and call this before they vouch for anybody.
    It blocks with ``CSRF_USE_SESSIONS``, so it belongs into a ``def authenticate``.
    """
    if isinstance(visit, HttpRequest):
        request = visit
    elif visit.is_csrf_exempt or visit.method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        return
    else:
        request = visit.request
    reason = csrf_failure(request)
    if reason is not None:
        # SECURITY: path and reason come from the client: what a log file could take for something else is escaped.
        path = request.path.encode("unicode_escape").decode("ascii")
        shown = reason.encode("unicode_escape").decode("ascii")
        logger.warning("Forbidden (%s): %s", shown, path, extra={"status_code": 403})
        raise Forbidden(f"CSRF verification failed: {reason}")


class CSRFProtect(Guard):
    """A guard: unsafe methods need a CSRF token, whoever calls. For handlers that log in, or that trust a session."""

    def __call__(self, visit: DjangoContext) -> bool:
        check_csrf(visit)
        return True
