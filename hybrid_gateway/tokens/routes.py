"""``Include("/auth", "hybrid_gateway.tokens.routes")``: a password for a token, and the token's end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from msgspec import Meta, Struct

from hybrid_gateway.auth import AllowAny, Authentication, TokenAuthentication
from hybrid_gateway.auth.basic import check_credentials
from hybrid_gateway.exceptions import Conflict, Unauthorized
from hybrid_gateway.routing.declare import post
from hybrid_gateway.tokens.models import Token

__all__ = ["LOGIN_LIFETIME", "Credentials", "IssuedToken", "login", "logout", "routes"]

LOGIN_LIFETIME = timedelta(days=30)  # Django's sessions live two weeks by default, and are renewed; these are not

_scheme = TokenAuthentication()


class Credentials(Struct):
    """What somebody knows."""

    username: Annotated[str, Meta(max_length=254)]  # DJANGO: django/contrib/auth/forms.py, UsernameField
    password: Annotated[str, Meta(max_length=4096)]

    def __repr__(self) -> str:
        return "Credentials()"  # SECURITY: error reports show the variables of every frame


class IssuedToken(Struct):
    """The plain token, which cannot be asked for again, and when it ends."""

    token: str
    expires_at: datetime | None

    def __repr__(self) -> str:
        return "IssuedToken()"


# No scheme reads the header here: a client whose old token has expired must be able to send it along.
@post(
    "/login",
    authentication=[],
    guards=[AllowAny],
    csrf_exempt=True,  # the request is for backends and receivers; no cookie counts
    tags=["auth"],
    summary="Log in",
    raises=[Unauthorized],
    response_headers={"Cache-Control": "no-store"},
)
def login(data: Credentials, request: HttpRequest) -> IssuedToken:
    """Exchange a username and a password for a token that lives 30 days."""
    user = check_credentials(data.username, data.password, request)
    if user is None:
        # SPEC: RFC 9110, section 15.5.2: a 401 carries a challenge. Not Basic's, for browsers open a dialog on it.
        challenge = {"WWW-Authenticate": str(_scheme.challenge)}
        raise Unauthorized("The username or the password is wrong.", headers=challenge)
    # Sets last_login, among others. Robust, because a receiver that fails has not made the password wrong.
    user_logged_in.send_robust(sender=type(user), request=request, user=user)
    token, plain = Token.objects.issue(user, name="login", expires_in=LOGIN_LIFETIME)
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
    if not isinstance(authentication.token, Token):
        raise Conflict("Only a token can be logged out; this request carries none.")
    authentication.token.revoke()


routes = [login, logout]
