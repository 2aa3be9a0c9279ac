"""Tokens of ``rest_framework.authtoken``, so that clients keep theirs while a project moves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Credential, describe_user
from hybrid_gateway.auth.credential_store import logged_out_after, without
from hybrid_gateway.auth.request_credentials import read_credentials
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized

__all__ = ["DRFTokenAuthentication"]

_KEY = re.compile(r"[0-9a-f]{40}")


class DRFTokenAuthentication(AuthenticationScheme):
    """``Authorization: Token <40 hex digits>``, as REST framework's ``TokenAuthentication`` reads it.

    ``Authentication.token`` is the row. The table holds the keys in clear, one per user and without end: who reads it
    is everybody, and a new password ends none. Issue tokens of ``hybrid_gateway.tokens`` to new clients.
    """

    def __init__(self, *, keyword: str = "Token") -> None:
        if not keyword.isalpha() or not keyword.isascii():
            raise ConfigurationError(f'keyword={keyword!r} must be a word, such as "Token".', id="A012")
        self.keyword = keyword
        self.keywords = (keyword.lower(),)
        self.challenge = f'{keyword} realm="api"'

    def authenticate(self, headers: Headers) -> Authentication | None:
        """Look the key up with its user in one query, on a pool thread."""
        key = read_credentials(headers, self.keywords)
        if key is None or not _KEY.fullmatch(key):
            return None
        from rest_framework.authtoken.models import Token  # after the settings that make schemes

        token = Token.objects.select_related("user").filter(key=key).first()
        if token is None or not token.user.is_active or logged_out_after(token.created.timestamp(), token.user):
            raise Unauthorized("The token is unknown, or its user has logged out or been deactivated.")
        return Authentication(user=token.user, scheme=self, token=token)

    def describe(self, authentication: Authentication) -> Credential:
        token = authentication.token
        # SECURITY: not the key itself, for what is described may be stored.
        return describe_user(authentication.user, key=_digest(token.key), since=token.created.timestamp())

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        from rest_framework.authtoken.models import Token

        users = {credential.user for credential in credentials}
        keys = Token.objects.filter(user__in=users).values_list("key", flat=True)
        return without(credentials, set(map(_digest, keys)))

    def openapi(self) -> dict[str, object]:
        description = f"{self.keyword} and 40 hex digits"
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()
