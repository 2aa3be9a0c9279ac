"""What django-allauth's headless API hands to apps: session tokens, and access tokens of its JWT strategy."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth.authorization_header import read_authorization
from hybrid_gateway.auth.jwt import MAX_TOKEN
from hybrid_gateway.auth.user_lookup import logged_out_after
from hybrid_gateway.exceptions import Unauthorized

__all__ = ["AllauthAccessTokenAuthentication", "AllauthSessionTokenAuthentication"]

MAX_SESSION_TOKEN = 512  # characters; those of Django's session engines have 32


class AllauthSessionTokenAuthentication(AuthenticationScheme):
    """``X-Session-Token``, by ``HEADLESS_TOKEN_STRATEGY``; ``Authentication.token`` is the session.

    Its user is Django's to say: a new password ends it, and so does deactivation.
    """

    carriers = ("X-Session-Token",)

    def authenticate(self, headers: Headers) -> Authentication | None:
        """Load the session and its user, on a pool thread."""
        tokens = headers.getlist("x-session-token")
        if not tokens:
            return None
        from allauth.headless import app_settings

        usable = len(tokens) == 1 and tokens[0].isascii() and tokens[0].isprintable()
        session = None
        if usable and len(tokens[0]) <= MAX_SESSION_TOKEN:
            session = app_settings.TOKEN_STRATEGY.lookup_session(tokens[0])
        user = None if session is None else _user_of(session)
        if user is None:
            raise Unauthorized("The session token is unknown or expired.")
        return Authentication(user=user, scheme=self, token=session)

    def openapi(self) -> dict[str, object]:
        return {"type": "apiKey", "in": "header", "name": "X-Session-Token"}


class AllauthAccessTokenAuthentication(AuthenticationScheme):
    """``Authorization: Bearer`` with an access token of the JWT strategy; ``Authentication.token`` are its claims.

    The session behind it is asked each time, whatever ``HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED`` says, so that a new
    password, deactivation and logging out end it at once.
    """

    keywords = ("bearer",)
    challenge = 'Bearer realm="api"'

    def authenticate(self, headers: Headers) -> Authentication | None:
        """Have the token verified, then load its session and user, on a pool thread."""
        authorization = read_authorization(headers)
        if authorization is None or authorization[0] not in self.keywords or authorization[1].count(".") != 2:
            return None
        token = authorization[1]
        claims = _claims(token) if len(token) <= MAX_TOKEN and token.isascii() else None
        user = None if claims is None else _user_of_claims(claims)
        if user is None or not user.is_active or claims is None or logged_out_after(claims.get("iat"), user):
            raise Unauthorized("The token is malformed, expired or revoked.")
        return Authentication(user=user, scheme=self, token=claims)

    def openapi(self) -> dict[str, object]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def _claims(token: str) -> dict[str, Any] | None:
    from allauth.headless.tokens.strategies.jwt.internal import decode_token
    from jwt import PyJWTError

    try:
        claims: dict[str, Any] | None = decode_token(token, "access")
    except (PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    return claims


def _user_of_claims(claims: dict[str, Any]) -> Any:
    from allauth.headless.tokens.strategies.jwt.internal import get_token_session, validate_token_user

    session = get_token_session(claims)
    return None if session is None else validate_token_user(claims, session)


def _user_of(session: Any) -> Any:
    from django.contrib.auth import get_user

    request: Any = HttpRequest()
    request.session = session
    user = get_user(request)  # SECURITY: checks the hash of the password that the session was begun with
    return user if user.is_authenticated and user.is_active else None
