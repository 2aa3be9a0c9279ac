"""API keys: tokens of :mod:`hybrid_gateway.tokens` in a header, a query parameter or a cookie of their own."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, QueryParams

from hybrid_gateway.access_control import Authentication, AuthenticationScheme
from hybrid_gateway.auth.credential_store import credential_store
from hybrid_gateway.auth.request_credentials import check_cookie_name, check_csrf, read_cookie
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["APIKeyAuthentication"]

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
