"""``Include("/auth", "hybrid_gateway.tokens.jwt_routes")``: access and refresh tokens for a password.

``routes`` are those of the first ``JWTAuthentication`` of ``HYBRID_GATEWAY["AUTHENTICATION"]`` that signs;
``Include("/auth", jwt_routes(scheme))`` names another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import HttpRequest
from msgspec import Struct
from starlette.responses import Response

from hybrid_gateway.auth import AllowAny, Authentication, CSRFProtect, JWTAuthentication
from hybrid_gateway.auth.credential_cookies import read_cookie
from hybrid_gateway.binding.markers import Form
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import BadRequest, ConfigurationError, TooManyRequests, Unauthorized
from hybrid_gateway.routing.declare import post
from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.tokens.login import CHALLENGE, Credentials, log_in
from hybrid_gateway.tokens.models import JWTSession
from hybrid_gateway.tokens.revocation import logout_everywhere

__all__ = ["Pair", "Refresh", "TokenForm", "jwt_routes"]

Scopes = Callable[[Any], Iterable[str]]


class Pair(Struct, omit_defaults=True):
    """What OAuth 2 calls an access token response (RFC 6749, section 5.1); tokens in cookies are left out."""

    expires_in: int
    token_type: str
    access_token: str | None = None
    refresh_token: str | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        return "Pair()"  # SECURITY: error reports show the variables of every frame


class Refresh(Struct):
    """The refresh token that came last."""

    refresh_token: str

    def __repr__(self) -> str:
        return "Refresh()"


class TokenForm(Struct):
    """The password flow of OAuth 2 and its refreshing (RFC 6749, sections 4.3.2 and 6), as tools know it."""

    grant_type: Literal["password", "refresh_token"]
    username: str = ""
    password: str = ""
    refresh_token: str = ""
    scope: str = ""

    def __repr__(self) -> str:
        return "TokenForm()"


# `atomic` would undo the end of a stolen login together with the 401 that follows.
_OPEN: dict[str, Any] = {
    "authentication": [],
    "guards": [AllowAny],
    "atomic": False,
    "tags": ["auth"],
    "raises": [Unauthorized, TooManyRequests],
    "response_headers": {"Cache-Control": "no-store"},
}


def jwt_routes(scheme: JWTAuthentication, *, scopes_for: Scopes | None = None) -> list[Any]:
    """Login, refresh, revoke and logout for tokens of ``scheme``; in cookies where the scheme reads one.

    ``scopes_for(user)`` are the scopes somebody may have by password, none by default; who asks for some gets of
    those. Tokens live as ``TOKENS`` in the settings says.
    """
    if not scheme.is_ours:
        raise ConfigurationError(f"jwt_routes({scheme!r}) needs a scheme with a key that signs, not a foreign one.")
    pairs = (_CookiePairs if scheme.cookie else _Pairs)(scheme, scopes_for or _no_scopes)
    # In cookies, a page elsewhere could log its visitors in as somebody else; in bodies no cookie is read.
    open_to_all = {**_OPEN, "guards": [AllowAny, CSRFProtect]} if scheme.cookie else {**_OPEN, "csrf_exempt": True}
    known: dict[str, Any] = {"authentication": [scheme], "guards": [AllowAny], "atomic": False, "tags": ["auth"]}
    return [
        post("/login", summary="Log in", **open_to_all)(pairs.login),
        post("/refresh", status_code=200, summary="Exchange a refresh token", **open_to_all)(pairs.refresh),
        *(
            []
            if scheme.cookie
            else [post("/token", status_code=200, summary="OAuth 2 token", **open_to_all)(pairs.token)]
        ),
        *(
            []
            if scheme.cookie
            else [post("/revoke", status_code=204, summary="End a login", **open_to_all)(pairs.revoke)]
        ),
        post("/logout", status_code=204, summary="Log out", **known)(pairs.logout),
        post("/logout/everywhere", status_code=204, summary="Log out everywhere", **known)(pairs.logout_everywhere),
    ]


class _Pairs:
    """The handlers of one scheme, tokens in bodies."""

    def __init__(self, scheme: JWTAuthentication, scopes_for: Scopes) -> None:
        self._scheme = scheme
        self._scopes_for = scopes_for

    def login(self, data: Credentials, request: HttpRequest) -> Pair:
        """Exchange a username and a password for an access token and a refresh token."""
        return self._start(request, data.username, data.password, "")

    def refresh(self, data: Refresh) -> Pair:
        """Exchange a refresh token for the next pair; used twice, it ends the login."""
        return self._next(data.refresh_token)

    def token(self, data: Annotated[TokenForm, Form()], request: HttpRequest) -> Pair:
        """Either of both, as a form."""
        if data.grant_type == "refresh_token":
            return self._next(data.refresh_token)
        if not data.username or len(data.username) > 254 or len(data.password) > 4096:
            raise BadRequest("The password flow needs username and password.", extra={"error": "invalid_request"})
        return self._start(request, data.username, data.password, data.scope)

    def revoke(self, data: Refresh) -> None:
        """End the login of a refresh token, also an old one; one that means nothing is no error (RFC 7009)."""
        JWTSession.objects.end(data.refresh_token)

    def logout(self, authentication: Authentication) -> None:
        """End the login that the access token belongs to."""
        self._scheme.revoke(authentication.token)

    def logout_everywhere(self, authentication: Authentication) -> None:
        """End every token, API key, JWT and session of the user."""
        logout_everywhere(authentication.user)

    def _start(self, request: HttpRequest, username: str, password: str, wanted: str) -> Pair:
        user = log_in(request, username, password)
        allowed = list(self._scopes_for(user))
        scopes = [name for name in allowed if name in wanted.split()] if wanted else allowed
        lifetime = get_settings().tokens.refresh_lifetime
        return self._pair(*JWTSession.objects.start(user, expires_in=lifetime, scopes=scopes))

    def _next(self, refresh_token: str) -> Pair:
        found = JWTSession.objects.refresh(refresh_token)
        if found is None:
            detail = "The refresh token is unknown, expired, revoked or used."
            raise Unauthorized(detail, headers=CHALLENGE, extra={"error": "invalid_grant"})
        return self._pair(*found)

    def _pair(self, session: JWTSession, refresh_token: str) -> Pair:
        lifetime = get_settings().tokens.access_lifetime
        return Pair(
            expires_in=int(lifetime.total_seconds()),
            token_type="Bearer",  # noqa: S106 (no password)
            access_token=self._scheme.sign(session, expires_in=lifetime),
            refresh_token=refresh_token,
            scope=" ".join(session.scopes) or None,
        )


class _CookiePairs(_Pairs):
    """The same with both tokens in cookies that no script can read; the refresh token goes to these routes alone."""

    def login(self, data: Credentials, visit: DjangoContext, response: Response) -> Pair:  # type: ignore[override]
        """Exchange a username and a password for two cookies."""
        return self._in_cookies(self._start(visit.request, data.username, data.password, ""), visit.request, response)

    def refresh(self, visit: DjangoContext, response: Response) -> Pair:  # type: ignore[override]
        """Exchange the cookies for the next two; a refresh token used twice ends the login."""
        pair = self._next(read_cookie(visit, self._refresh_cookie) or "")
        return self._in_cookies(pair, visit.request, response)

    def logout(self, authentication: Authentication, visit: DjangoContext, response: Response) -> None:  # type: ignore[override]
        """End the login that the cookie belongs to, and take the cookies away."""
        super().logout(authentication)
        self._set(response, str(self._scheme.cookie), "", "/", 0)
        self._set(response, self._refresh_cookie, "", _below(visit.request), 0)

    @property
    def _refresh_cookie(self) -> str:
        return f"{self._scheme.cookie}_refresh"

    def _in_cookies(self, pair: Pair, request: HttpRequest, response: Response) -> Pair:
        refresh_lifetime = int(get_settings().tokens.refresh_lifetime.total_seconds())
        self._set(response, str(self._scheme.cookie), pair.access_token or "", "/", pair.expires_in)
        self._set(response, self._refresh_cookie, pair.refresh_token or "", _below(request), refresh_lifetime)
        return Pair(expires_in=pair.expires_in, token_type="Cookie", scope=pair.scope)  # noqa: S106

    def _set(self, response: Response, name: str, value: str, path: str, max_age: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=path,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="strict" if name == self._refresh_cookie else "lax",
        )


def _below(request: HttpRequest) -> str:
    """The path that these routes lie below, as the browser knows it."""
    return request.path.rstrip("/").rpartition("/")[0] or "/"


def _no_scopes(user: Any) -> Iterable[str]:
    return ()


def __getattr__(name: str) -> Any:
    if name != "routes":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    for scheme in get_settings().layer.get("authentication", ()):
        if isinstance(scheme, JWTAuthentication) and scheme.is_ours:
            return jwt_routes(scheme)
    raise ConfigurationError(
        'Include(..., "hybrid_gateway.tokens.jwt_routes") needs a JWTAuthentication with a key that signs in '
        'HYBRID_GATEWAY["AUTHENTICATION"], or write Include(..., jwt_routes(scheme)).'
    )
