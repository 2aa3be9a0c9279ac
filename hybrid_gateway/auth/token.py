"""Opaque tokens of :mod:`hybrid_gateway.tokens`."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth.credential_store import ISSUED_PREFIX, credential_store
from hybrid_gateway.auth.request_credentials import read_credentials
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["TokenAuthentication"]


@reject_unknown_keywords()
class TokenAuthentication(AuthenticationScheme):
    """``Authorization: Bearer hgt_...`` or ``Token hgt_...``; ``Authentication.token`` is the ``Token`` row.

    Bearer credentials of another shape are left to other schemes.
    """

    carries_scopes = True
    is_ours = True

    def __init__(self, *, keywords: Sequence[str] = ("Bearer", "Token")) -> None:
        if isinstance(keywords, str) or not keywords or not all(word.isalpha() and word.isascii() for word in keywords):
            raise ConfigurationError(f'keywords={keywords!r} must be a tuple of words, such as ("Bearer", "Token").')
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
