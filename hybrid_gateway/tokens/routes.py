"""``Include("/auth", "hybrid_gateway.tokens.routes")``: a password for a token, the next token, and the token's end.

So are tickets for websockets, by whatever schemes the layers around have.
"""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from hybrid_gateway.auth import AllowAny, Authentication, TokenAuthentication
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import Conflict, TooManyRequests, Unauthorized
from hybrid_gateway.routing.declare import post
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.login import Credentials, log_in
from hybrid_gateway.tokens.models import Token
from hybrid_gateway.tokens.revocation import logout_everywhere
from hybrid_gateway.tokens.ticket_routes import ticket_route

__all__ = ["Credentials", "IssuedToken", "login", "logout", "log_out_everywhere", "rotate", "routes"]

_scheme = TokenAuthentication()


class IssuedToken(secret.SecretStruct):
    """The plain token, which cannot be asked for again, and its end."""

    token: str
    expires_at: datetime | None


# No scheme reads the header here: a client whose old token has expired must be able to send it along.
@post(
    "/login",
    authentication=[],
    guards=[AllowAny],
    csrf_exempt=True,  # no cookie is read, and none is set
    atomic=False,
    tags=["auth"],
    summary="Log in",
    raises=[Unauthorized, TooManyRequests],
    response_headers={"Cache-Control": "no-store"},
)
def login(data: Credentials, request: HttpRequest) -> IssuedToken:
    """Exchange a username and a password for a token that lives 30 days, or ``TOKENS["LOGIN_LIFETIME"]``."""
    user = log_in(request, data.username, data.password)
    token, plain = Token.objects.issue(user, name="login", expires_in=get_settings().tokens.login_lifetime)
    return IssuedToken(token=plain, expires_at=token.expires_at)


@post(
    "/rotate",
    authentication=[_scheme],
    guards=[AllowAny],
    tags=["auth"],
    summary="Exchange a token",
    raises=[Conflict],
    response_headers={"Cache-Control": "no-store"},
)
def rotate(authentication: Authentication) -> IssuedToken:
    """End the token that the request carries and return the next one, which ends when the old one would have."""
    try:
        token, plain = _token_of(authentication).rotate()
    except ValueError:
        raise Conflict("The token has just ended.") from None
    return IssuedToken(token=plain, expires_at=token.expires_at)


@post(
    "/logout",
    status_code=204,
    authentication=[_scheme],
    guards=[AllowAny],
    tags=["auth"],
    summary="Log out",
    raises=[Conflict],
)
def logout(authentication: Authentication) -> None:
    """Revoke the token that the request carries."""
    _token_of(authentication).revoke()


@post(
    "/logout/everywhere",
    status_code=204,
    authentication=[_scheme],
    guards=[AllowAny],
    tags=["auth"],
    summary="Log out everywhere",
    name="logout_everywhere",
)
def log_out_everywhere(authentication: Authentication) -> None:
    """End every token, API key, JWT and session of the user."""
    logout_everywhere(authentication.user)


def _token_of(authentication: Authentication) -> Token:
    if not isinstance(authentication.token, Token):
        raise Conflict("Only a token can be logged out or exchanged; this request carries none.")
    return authentication.token


routes = [login, rotate, logout, log_out_everywhere, ticket_route(_scheme)]
"""Log-ins, log-outs, new secrets, tickets: ``Include("/auth", "hybrid_gateway.tokens.routes")``."""
