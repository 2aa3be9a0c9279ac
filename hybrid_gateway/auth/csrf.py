"""Django's CSRF check, for credentials that a browser sends along by itself: cookies.

The check is Django's own, on the head of the request: the token comes in the header of ``CSRF_HEADER_NAME``
(``X-CSRFToken``), since authentication comes before the body. A form's hidden field is too late.
"""

from __future__ import annotations

import logging

from django.http import HttpRequest

from hybrid_gateway._compat.django_internals import csrf_failure
from hybrid_gateway.access_control import Guard
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.sessions.django_context import DjangoContext

__all__ = ["CSRFProtect", "check_csrf"]

logger = logging.getLogger("django.security.csrf")


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
