"""HTTP Basic against Django's authentication backends."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth.request_credentials import quoted_realm, read_credentials
from hybrid_gateway.exceptions import Unauthorized
from hybrid_gateway.sessions.django_context import DjangoContext

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["BasicAuthentication", "check_credentials"]

MAX_CREDENTIALS = 8 * 1024  # characters; what nginx and Apache allow a whole header line

# SPEC: RFC 7617, section 2: user-id and password contain no control characters (RFC 5234, CTL)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


@reject_unknown_keywords()
class BasicAuthentication(AuthenticationScheme):
    """``Authorization: Basic ...`` (RFC 7617), UTF-8. Each request costs a password hash: meant for scripts."""

    keywords = ("basic",)

    def __init__(self, *, realm: str = "api") -> None:
        self.challenge = f'Basic {quoted_realm(realm)}, charset="UTF-8"'

    def authenticate(self, headers: Headers, visit: DjangoContext | None = None) -> Authentication | None:
        """Check name and password with ``django.contrib.auth.authenticate``, on a pool thread."""
        credentials = read_credentials(headers, self.keywords)
        if credentials is None:
            return None
        user = check_credentials(*_decode(credentials), None if visit is None else visit.request)
        if user is None:
            raise Unauthorized("The username or the password is wrong.")
        return Authentication(user=user, scheme=self)

    def openapi(self) -> dict[str, object]:
        return {"type": "http", "scheme": "basic"}


def _decode(credentials: str) -> tuple[str, str]:
    if len(credentials) > MAX_CREDENTIALS:
        raise Unauthorized(f"Basic credentials may not be longer than {MAX_CREDENTIALS} characters.")
    try:
        decoded = b64decode(credentials, validate=True)
        pair = decoded.decode()
    except ValueError:  # not ASCII, not base64, not UTF-8
        raise Unauthorized("Basic credentials must be UTF-8 text in base64.") from None
    if len(credentials) != len(b64encode(decoded)):  # Python 3.11 lets surplus padding pass
        raise Unauthorized("Basic credentials must be UTF-8 text in base64.")
    username, colon, password = pair.partition(":")
    if not colon or _CONTROL_CHARACTER.search(pair):
        raise Unauthorized("Basic credentials must be username:password, without control characters.")
    return username, password


@sensitive_variables("password")
def check_credentials(username: str, password: str, request: HttpRequest | None = None) -> AbstractBaseUser | None:
    """Return the active user with that name and password, as Django's login form would, else None; one hash either way.

    Blocks: it queries the database and hashes. Backends, and receivers of ``user_login_failed``, see ``request``.
    """
    from django.contrib.auth import authenticate, get_user_model

    if "\0" in username or "\0" in password:
        return None  # no user has these, but databases and hashers raise for them
    # DJANGO: django/contrib/auth/forms.py, UsernameField: names are stored and compared in NFKC
    username = get_user_model().normalize_username(username)
    # SECURITY: ModelBackend hashes once whether the user is unknown, inactive, without password or merely mistyped, so
    # that the time of the response does not tell which names exist.
    user = authenticate(request, username=username, password=password)
    # AllowAllUsersModelBackend lets inactive users in; an API credential of a disabled account never counts here.
    return user if user is not None and user.is_active else None
