"""Credentials of django-allauth's headless API: session tokens, and access tokens of its JWT strategy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from django.http import HttpRequest
from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Credential
from hybrid_gateway.auth.credential_store import logged_out_after
from hybrid_gateway.auth.jwt import MAX_TOKEN, issued_at
from hybrid_gateway.auth.request_credentials import read_credentials
from hybrid_gateway.auth.schemes import describe_session, find_ended_sessions
from hybrid_gateway.exceptions import Unauthorized

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

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
        from django.contrib.auth import get_user

        request = HttpRequest()
        if len(tokens) == 1 and tokens[0].isascii() and tokens[0].isprintable() and len(tokens[0]) <= MAX_SESSION_TOKEN:
            request.session = app_settings.TOKEN_STRATEGY.lookup_session(tokens[0])
        # SECURITY: checks the hash of the password that the session was begun with
        user = get_user(request) if getattr(request, "session", None) is not None else None
        if user is None or not user.is_authenticated or not user.is_active:
            raise Unauthorized("The session token is unknown or expired.")
        return Authentication(user=user, scheme=self, token=request.session)

    def describe(self, authentication: Authentication) -> Credential:
        return describe_session(authentication.user, authentication.token)

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        return find_ended_sessions(credentials)

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
        token = read_credentials(headers, self.keywords)
        if token is None or token.count(".") != 2:
            return None
        claims, user = _verify(token)
        if user is None or not user.is_active or logged_out_after(claims.get("iat"), user):
            raise Unauthorized("The token is malformed, expired or revoked.")
        return Authentication(user=user, scheme=self, token=claims)

    def describe(self, authentication: Authentication) -> Credential:
        from allauth.headless.tokens.strategies.jwt import internal

        claims = authentication.token
        described = describe_session(authentication.user, internal.get_token_session(claims))
        return msgspec.structs.replace(described, since=issued_at(claims), expires_at=claims["exp"])

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        return find_ended_sessions(credentials)

    def openapi(self) -> dict[str, object]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def _verify(token: str) -> tuple[dict[str, object], AbstractBaseUser | None]:
    """Return the claims of a token and its user, None for one that is not good."""
    from allauth.headless.tokens.strategies.jwt import internal
    from jwt import PyJWTError

    if len(token) > MAX_TOKEN or not token.isascii():
        return {}, None
    try:
        claims = internal.decode_token(token, "access")
    except (PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        claims = None
    session = None if claims is None else internal.get_token_session(claims)
    return claims or {}, None if session is None or claims is None else internal.validate_token_user(claims, session)
