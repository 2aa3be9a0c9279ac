"""Django's sessions: whoever is logged in on Django's side is known to the API."""

from __future__ import annotations

from django.conf import settings

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth.request_credentials import check_csrf
from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["SessionAuthentication"]


@reject_unknown_keywords()
class SessionAuthentication(AuthenticationScheme):
    """The user of Django's session cookie, by ``django.contrib.auth.get_user``; unsafe methods need a CSRF token.

    So the session's hash is checked, with ``SECRET_KEY_FALLBACKS``, a changed password ends the session, and the
    backend that logged the user in decides whether an inactive one may stay. JSON bodies must be declared as such.
    """

    carriers = ("Cookie",)
    reads_session = True

    def __init__(self, *, realm: str = "api") -> None:
        # SPEC: RFC 9110, section 15.5.2: a 401 carries a challenge. No browser opens a dialog on this one.
        self.challenge = f'Cookie realm="{realm}"'

    def authenticate(self, visit: DjangoContext) -> Authentication | None:
        """Look the session and its user up, on a pool thread; below ``django_middleware=`` as that has left them."""
        if not visit.has_session_cookie and not visit.is_below_django:
            return None
        user = visit.find_user()
        if not user.is_authenticated:
            return None
        check_csrf(visit)
        return Authentication(user=user, scheme=self)

    def openapi(self) -> dict[str, object]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
