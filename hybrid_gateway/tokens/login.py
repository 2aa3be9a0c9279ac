"""The check of a user name and a password, with which every login route begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from msgspec import Meta

from hybrid_gateway.auth.basic import check_credentials
from hybrid_gateway.exceptions import Unauthorized
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.login_throttle import LoginAttempt

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["CHALLENGE", "Credentials", "log_in"]

# SPEC: RFC 9110, section 15.5.2: a 401 carries a challenge. Not Basic's, for browsers open a dialog on it.
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}


class Credentials(secret.SecretStruct):
    """A user name and a password."""

    username: Annotated[str, Meta(max_length=254)]  # DJANGO: django/contrib/auth/forms.py, UsernameField
    password: Annotated[str, Meta(max_length=4096)]


@sensitive_variables("password")
def log_in(request: HttpRequest, username: str, password: str) -> AbstractBaseUser:
    """Return the active user with that name and password, and note the login; raise 401, or 429 after many failures.

    Blocks. SECURITY: an unknown, inactive or unusable user costs one hash and gets one response, like a wrong password.
    """
    attempt = LoginAttempt(request.META.get("REMOTE_ADDR", ""), username)
    attempt.count()
    user = check_credentials(username, password, request)
    if user is None:
        raise Unauthorized("The username or the password is wrong.", headers=CHALLENGE)
    attempt.refund()
    # Sets last_login, among others. Robust, because a receiver that fails has not made the password wrong.
    user_logged_in.send_robust(sender=type(user), request=request, user=user)
    return user
