"""Schemes by opaque tokens and API keys of :mod:`hybrid_gateway.tokens`, by HTTP Basic and by Django's sessions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from starlette.datastructures import Headers, QueryParams

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Credential, describe_user
from hybrid_gateway.auth.credential_store import ISSUED_PREFIX, credential_store, without
from hybrid_gateway.auth.request_credentials import (
    check_cookie_name,
    check_csrf,
    quoted_realm,
    read_cookie,
    read_credentials,
)
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.sessions.living_sessions import find_living_sessions
from hybrid_gateway.spelling import reject_unknown_keywords

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class _TokenScheme(AuthenticationScheme):
    """A scheme whose ``Authentication.token`` is a ``Token`` row."""

    carries_scopes = True
    is_ours = True

    def describe(self, authentication: Authentication) -> Credential:
        token = authentication.token
        ends_at = token.ends_at
        return describe_user(
            authentication.user, key=str(token.pk), expires_at=None if ends_at is None else ends_at.timestamp()
        )

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        return without(credentials, credential_store().find_working_tokens({one.key for one in credentials}))


@reject_unknown_keywords()
class TokenAuthentication(_TokenScheme):
    """``Authorization: Bearer hgt_...`` or ``Token hgt_...``; ``Authentication.token`` is the ``Token`` row.

    Bearer credentials of another shape are left to other schemes.
    """

    def __init__(self, *, keywords: Sequence[str] = ("Bearer", "Token")) -> None:
        if isinstance(keywords, str) or not keywords or not all(word.isalpha() and word.isascii() for word in keywords):
            raise ConfigurationError(
                f'keywords={keywords!r} must be a tuple of words, such as ("Bearer", "Token").', id="A012"
            )
        self.keywords = tuple(word.lower() for word in keywords)
        self._keyword = keywords[0]
        self.challenge = f'{self._keyword} realm="api"'

    def authenticate(self, headers: Headers) -> Authentication | None:
        """Look the token up with its user in one query, on a pool thread."""
        plain = read_credentials(headers, self.keywords)
        if plain is None or not plain.startswith(ISSUED_PREFIX):
            return None
        token = credential_store().find_token(plain)
        if token is None:
            raise Unauthorized("The token is unknown, expired or revoked.")
        return Authentication(user=token.user, scheme=self, token=token, scopes=token.scopes)

    def openapi(self) -> dict[str, object]:
        if "bearer" in self.keywords:
            return {"type": "http", "scheme": "bearer", "bearerFormat": f"{ISSUED_PREFIX}..."}
        description = f"{self._keyword} {ISSUED_PREFIX}..."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}


_HEADER = re.compile(r"[A-Za-z0-9-]+")  # without "_", which servers and proxies mix up with "-"


@reject_unknown_keywords()
class APIKeyAuthentication(_TokenScheme):
    """``X-API-Key: hgt_...``, or another ``header``; or the parameter ``query``; or the ``cookie``.

    ``Authentication.token`` is the ``Token`` row. A key in a query ends up in logs and histories: for clients that can
    send nothing else. A cookie needs Django's CSRF token for unsafe methods.
    """

    def __init__(self, *, header: str | None = None, query: str | None = None, cookie: str | None = None) -> None:
        given = {"header": header, "query": query, "cookie": cookie}
        places = [(place, name) for place, name in given.items() if name is not None] or [("header", "X-API-Key")]
        if len(places) > 1:
            raise ConfigurationError("APIKeyAuthentication reads one place: header=, query= or cookie=.", id="A012")
        self.place, self.name = places[0]
        if self.place == "cookie":
            check_cookie_name(self.name)
        elif self.place == "header" and not _HEADER.fullmatch(self.name):
            raise ConfigurationError(f"header={self.name!r} must be letters, digits and hyphens.", id="A012")
        elif not self.name:
            raise ConfigurationError('query="" names no parameter.', id="A012")
        self.carriers = {"header": (self.name,), "query": (), "cookie": ("Cookie",)}[self.place]
        self.query_carriers = (self.name,) if self.place == "query" else ()
        readers = {"header": self.in_header, "query": self.in_query, "cookie": self.in_cookie}
        self.authenticate = readers[self.place]  # type: ignore[method-assign, assignment]

    def in_header(self, headers: Headers) -> Authentication | None:
        """Look the key up with its user in one query, on a pool thread."""
        return self._authenticate_one(headers.getlist(self.name))

    def in_query(self, query: QueryParams) -> Authentication | None:
        """Look up the key that a parameter of the query holds."""
        return self._authenticate_one(query.getlist(self.name))

    def in_cookie(self, visit: DjangoContext) -> Authentication | None:
        """Look up the key that a cookie holds, and check for CSRF."""
        key = read_cookie(visit, self.name)
        authentication = self._authenticate_one([] if key is None else [key])
        if authentication is not None:
            check_csrf(visit)
        return authentication

    def _authenticate_one(self, keys: list[str]) -> Authentication | None:
        if not keys:
            return None
        # SECURITY: of two keys a proxy may have checked the one, and we the other.
        token = credential_store().find_token(keys[0]) if len(keys) == 1 else None
        if token is None:
            raise Unauthorized("The API key is unknown, expired or revoked.")
        return Authentication(user=token.user, scheme=self, token=token, scopes=token.scopes)

    def openapi(self) -> dict[str, object]:
        return {"type": "apiKey", "in": self.place, "name": self.name}

    def __repr__(self) -> str:
        return f"APIKeyAuthentication({self.place}={self.name!r})"


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

    def describe(self, authentication: Authentication) -> Credential:
        return describe_user(authentication.user, ends_with_password=True)

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
        found = Authentication(user=user, scheme=self)
        if visit.has_session_cookie:  # middleware may know a user without one
            found.session = visit.session
        return found

    def describe(self, authentication: Authentication) -> Credential:
        return describe_session(authentication.user, getattr(authentication, "session", None))

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        return find_ended_sessions(credentials)

    def openapi(self) -> dict[str, object]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


# --- sessions, those of other schemes too ----------------------------------------------------------------------------

_ENDED = "-"  # a key that no session has


def describe_session(user: AbstractBaseUser, session: SessionBase | None) -> Credential:
    """Return a credential that ends with ``session``, if there is one, and with the password of ``user``."""
    key = "" if session is None else session.session_key or _ENDED
    return describe_user(user, key=key, ends_with_password=True)


def find_ended_sessions(credentials: Sequence[Credential]) -> list[Credential]:
    """Return those of ``credentials`` whose session is gone or has expired; blocks."""
    keys = {credential.key for credential in credentials} - {"", _ENDED}
    return without(credentials, find_living_sessions(keys) | {""} if keys else {""})
