"""Opaque tokens of :mod:`hybrid_gateway.tokens`: as bearer tokens, and as API keys in a place of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, QueryParams

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth.credential_store import ISSUED_PREFIX, credential_store
from hybrid_gateway.auth.request_credentials import check_cookie_name, check_csrf, read_cookie, read_credentials
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["TokenAuthentication", "APIKeyAuthentication"]


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


_HEADER = re.compile(r"[A-Za-z0-9-]+")  # without "_", which servers and proxies mix up with "-"


@reject_unknown_keywords()
class APIKeyAuthentication(AuthenticationScheme):
    """``X-API-Key: hgt_...``, or another ``header``; or the parameter ``query``; or the ``cookie``.

    ``Authentication.token`` is the ``Token`` row. A key in a query ends up in logs and histories: for clients that can
    send nothing else. A cookie needs Django's CSRF token for unsafe methods.
    """

    carries_scopes = True
    is_ours = True

    def __init__(self, *, header: str | None = None, query: str | None = None, cookie: str | None = None) -> None:
        given = {"header": header, "query": query, "cookie": cookie}
        places = [(place, name) for place, name in given.items() if name is not None] or [("header", "X-API-Key")]
        if len(places) > 1:
            raise ConfigurationError("APIKeyAuthentication reads one place: header=, query= or cookie=.")
        self.place, self.name = places[0]
        if self.place == "cookie":
            check_cookie_name(self.name)
        elif self.place == "header" and not _HEADER.fullmatch(self.name):
            raise ConfigurationError(f"header={self.name!r} must be letters, digits and hyphens.")
        elif not self.name:
            raise ConfigurationError('query="" names no parameter.')
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
