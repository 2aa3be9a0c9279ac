"""Tokens of ``rest_framework_simplejwt``, so that clients keep theirs while a project moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.apps import apps
from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Credential, describe_user
from hybrid_gateway.auth.credential_store import logged_out_after
from hybrid_gateway.auth.jwt import MAX_TOKEN, issued_at
from hybrid_gateway.auth.request_credentials import read_credentials
from hybrid_gateway.exceptions import Unauthorized

__all__ = ["SimpleJWTAuthentication"]


class SimpleJWTAuthentication(AuthenticationScheme):
    """Access tokens by the keys, classes and checks of ``settings.SIMPLE_JWT``; ``Authentication.token`` is theirs.

    An inactive user is rejected whatever those say. A new password ends tokens only with ``CHECK_REVOKE_TOKEN``. A
    ``JWTAuthentication`` with an ``issuer`` may stand before this one: it leaves these tokens alone.
    """

    keywords = ("bearer",)
    challenge = 'Bearer realm="api"'

    def authenticate(self, headers: Headers) -> Authentication | None:
        """Have the token verified and its user loaded, on a pool thread."""
        plain = read_credentials(headers, self.keywords)
        if plain is None or plain.count(".") != 2:
            return None
        from jwt import PyJWTError
        from rest_framework.exceptions import APIException
        from rest_framework_simplejwt.authentication import JWTAuthentication
        from rest_framework_simplejwt.exceptions import TokenError

        theirs = JWTAuthentication()
        try:
            if len(plain) > MAX_TOKEN:
                raise ValueError("too long")
            token = theirs.get_validated_token(plain.encode("ascii"))
            user = theirs.get_user(token)
        # OSError: datetime has it for a time beyond the clock of the platform.
        except (APIException, TokenError, PyJWTError, ValueError, TypeError, RecursionError, OverflowError, OSError):
            raise Unauthorized("The token is malformed, expired or revoked.") from None
        if not user.is_active or logged_out_after(token.get("iat"), user):
            raise Unauthorized("The token is malformed, expired or revoked.")
        return Authentication(user=user, scheme=self, token=token)

    def describe(self, authentication: Authentication) -> Credential:
        from rest_framework_simplejwt.settings import api_settings

        claims = authentication.token.payload
        return describe_user(
            authentication.user,
            key=str(claims.get(api_settings.JTI_CLAIM or "", "")),
            ends_with_password=bool(api_settings.CHECK_REVOKE_TOKEN),
            since=issued_at(claims),
            expires_at=claims.get("exp"),
        )

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        if not apps.is_installed("rest_framework_simplejwt.token_blacklist"):
            return ()
        from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken

        listed = BlacklistedToken.objects.filter(token__jti__in={one.key for one in credentials})
        ended = set(listed.values_list("token__jti", flat=True))
        return [one for one in credentials if one.key in ended]

    def openapi(self) -> dict[str, object]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
