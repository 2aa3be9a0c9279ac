"""``Include("/auth", "hybrid_gateway.tokens.jwt_routes")``: access and refresh tokens for a password, and tickets.

``routes`` are those of the first ``JWTAuthentication`` of ``HYBRID_GATEWAY["AUTHENTICATION"]`` that signs;
``Include("/auth", jwt_routes(scheme))`` names another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Unpack

from django.conf import settings
from django.http import HttpRequest
from starlette.responses import Response

from hybrid_gateway.auth import AllowAny, Authentication, CSRFProtect, JWTAuthentication
from hybrid_gateway.auth.request_credentials import read_cookie
from hybrid_gateway.binding.markers import Form
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import BadRequest, ConfigurationError, TooManyRequests, Unauthorized
from hybrid_gateway.routing.declare import HandlerOptions, post
from hybrid_gateway.sessions.django_context import DjangoContext
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.login import CHALLENGE, Credentials, log_in
from hybrid_gateway.tokens.models import JWTSession
from hybrid_gateway.tokens.revocation import logout_everywhere
from hybrid_gateway.tokens.ticket_routes import ticket_route
from hybrid_gateway.types import Handler

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

Scopes = Callable[["AbstractBaseUser"], Iterable[str]]


class Pair(secret.SecretStruct, omit_defaults=True):
    """The access token response of OAuth 2 (RFC 6749, section 5.1); tokens in cookies are left out."""

    expires_in: int
    token_type: str
    access_token: str | None = None
    refresh_token: str | None = None
    scope: str | None = None


class Refresh(secret.SecretStruct):
    """The refresh token that came last."""

    refresh_token: str


class TokenForm(secret.SecretStruct):
    """The password flow of OAuth 2 and its refreshing (RFC 6749, sections 4.3.2 and 6), as tools know it."""

    grant_type: Literal["password", "refresh_token"]
    username: str = ""
    password: str = ""
    refresh_token: str = ""
    scope: str = ""


def jwt_routes(scheme: JWTAuthentication, *, scopes_for: Scopes | None = None) -> list[Handler]:
    """Return the routes to log in, refresh, revoke and log out by ``scheme``; in cookies where the scheme reads one.

    ``scopes_for(user)`` are the scopes somebody may have by password, none by default; who asks for some gets of
    those. Tokens live as ``TOKENS`` in the settings says.
    """
    if not scheme.is_ours:
        raise ConfigurationError(
            f"jwt_routes({scheme!r}) needs a scheme with a key that signs, not a foreign one.", id="A011"
        )
    # `atomic` would undo the end of a stolen login together with the 401 that follows.
    known: HandlerOptions = {"authentication": [scheme], "guards": [AllowAny], "atomic": False, "tags": ["auth"]}
    anybody: HandlerOptions = {
        **known,
        "authentication": [],
        "raises": [Unauthorized, TooManyRequests],
        "response_headers": {"Cache-Control": "no-store"},
    }
    handlers: _BodyHandlers | _CookieHandlers
    if scheme.cookie:
        # A page elsewhere could log its visitors in as somebody else.
        anybody["guards"] = [AllowAny, CSRFProtect]
        handlers = _CookieHandlers(scheme, scopes_for)
        more = []
    else:
        anybody["csrf_exempt"] = True  # no cookie is read
        handlers = _BodyHandlers(scheme, scopes_for)
        more = [
            _post("/token", handlers.token, anybody, status_code=200, summary="OAuth 2 token"),
            _post("/revoke", handlers.revoke, anybody, status_code=204, summary="End a login"),
        ]
    return [
        _post("/login", handlers.login, anybody, summary="Log in"),
        _post("/refresh", handlers.refresh, anybody, status_code=200, summary="Exchange a refresh token"),
        *more,
        _post("/logout", handlers.logout, known, status_code=204, summary="Log out"),
        _post("/logout/everywhere", handlers.logout_everywhere, known, status_code=204, summary="Log out everywhere"),
        ticket_route(scheme),
    ]


def _post(path: str, handler: Handler, options: HandlerOptions, **more: Unpack[HandlerOptions]) -> Handler:
    merged: HandlerOptions = {**options, **more}
    return post(path, **merged)(handler)


class _Handlers:
    """The handlers of any scheme, and the pairs of tokens that it signs for them."""

    def __init__(self, scheme: JWTAuthentication, scopes_for: Scopes | None) -> None:
        self._scheme = scheme
        self._scopes_for = scopes_for
        self._cookie = str(scheme.cookie)

    def logout_everywhere(self, authentication: Authentication) -> None:
        """End every token, API key, JWT and session of the user."""
        logout_everywhere(authentication.user)

    def _first_pair(self, request: HttpRequest, username: str, password: str, wanted: str = "") -> Pair:
        """Return the first pair of a login, for the ``wanted`` scopes or all that the user may have."""
        user = log_in(request, username, password)
        allowed = [] if self._scopes_for is None else list(self._scopes_for(user))
        scopes = [name for name in allowed if name in wanted.split()] if wanted else allowed
        lifetime = get_settings().tokens.refresh_lifetime
        return self._sign(*JWTSession.objects.start(user, expires_in=lifetime, scopes=scopes))

    def _next_pair(self, refresh_token: str) -> Pair:
        found = JWTSession.objects.refresh(refresh_token)
        if found is None:
            detail = "The refresh token is unknown, expired, revoked or used."
            raise Unauthorized(detail, headers=CHALLENGE, extra={"error": "invalid_grant"})
        return self._sign(*found)

    def _sign(self, session: JWTSession, refresh_token: str) -> Pair:
        lifetime = get_settings().tokens.access_lifetime
        return Pair(
            expires_in=int(lifetime.total_seconds()),
            token_type="Bearer",  # noqa: S106 (no password)
            access_token=self._scheme.sign(session, expires_in=lifetime),
            refresh_token=refresh_token,
            scope=" ".join(session.scopes) or None,
        )


class _BodyHandlers(_Handlers):
    """The handlers of a scheme whose tokens are in bodies."""

    def login(self, data: Credentials, request: HttpRequest) -> Pair:
        """Exchange a username and a password for an access token and a refresh token."""
        return self._first_pair(request, data.username, data.password)

    def refresh(self, data: Refresh) -> Pair:
        """Exchange a refresh token for the next pair; used twice, it ends the login."""
        return self._next_pair(data.refresh_token)

    def token(self, data: Annotated[TokenForm, Form()], request: HttpRequest) -> Pair:
        """Exchange a password or a refresh token, as a form."""
        if data.grant_type == "refresh_token":
            return self._next_pair(data.refresh_token)
        if not data.username or len(data.username) > 254 or len(data.password) > 4096:
            raise BadRequest("The password flow needs username and password.", extra={"error": "invalid_request"})
        return self._first_pair(request, data.username, data.password, data.scope)

    def revoke(self, data: Refresh) -> None:
        """End the login of a refresh token, also an old one; one that means nothing is no error (RFC 7009)."""
        JWTSession.objects.end(data.refresh_token)

    def logout(self, authentication: Authentication) -> None:
        """End the login that the access token belongs to."""
        self._scheme.revoke(authentication.token)


class _CookieHandlers(_Handlers):
    """The handlers of a scheme whose tokens are in cookies that no script can read.

    The refresh token goes to these routes alone.
    """

    def login(self, data: Credentials, visit: DjangoContext, response: Response) -> Pair:
        """Exchange a username and a password for two cookies."""
        return self._in_cookies(self._first_pair(visit.request, data.username, data.password), visit, response)

    def refresh(self, visit: DjangoContext, response: Response) -> Pair:
        """Exchange the cookies for the next two; a refresh token used twice ends the login."""
        pair = self._next_pair(read_cookie(visit, f"{self._cookie}_refresh") or "")
        return self._in_cookies(pair, visit, response)

    def logout(self, authentication: Authentication, visit: DjangoContext, response: Response) -> None:
        """End the login that the cookie belongs to, and take the cookies away."""
        self._scheme.revoke(authentication.token)
        self._set_cookies(response, visit, ("", 0), ("", 0))

    def _in_cookies(self, pair: Pair, visit: DjangoContext, response: Response) -> Pair:
        lifetime = int(get_settings().tokens.refresh_lifetime.total_seconds())
        access, refresh = (pair.access_token or "", pair.expires_in), (pair.refresh_token or "", lifetime)
        self._set_cookies(response, visit, access, refresh)
        return Pair(expires_in=pair.expires_in, token_type="Cookie", scope=pair.scope)  # noqa: S106

    def _set_cookies(
        self, response: Response, visit: DjangoContext, access: tuple[str, int], refresh: tuple[str, int]
    ) -> None:
        below = visit.request.path.rstrip("/").rpartition("/")[0] or "/"  # these routes, as the browser sees them
        put = partial(response.set_cookie, secure=settings.SESSION_COOKIE_SECURE, httponly=True)
        put(self._cookie, *access, path="/", samesite="lax")
        put(f"{self._cookie}_refresh", *refresh, path=below, samesite="strict")


def __getattr__(name: str) -> list[Handler]:
    if name != "routes":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    for scheme in get_settings().layer.get("authentication", ()):
        if isinstance(scheme, JWTAuthentication) and scheme.is_ours:
            return jwt_routes(scheme)
    raise ConfigurationError(
        'Include(..., "hybrid_gateway.tokens.jwt_routes") needs a JWTAuthentication with a key that signs in '
        'HYBRID_GATEWAY["AUTHENTICATION"], or write Include(..., jwt_routes(scheme)).',
        id="A011",
    )
