"""The check of a user name and a password, with which every login route begins, and the limits of failed ones.

How this works: an attempt is counted before the password is looked at, in one operation of the store, so that no burst
slips through, and given back when it succeeds: who knows the password is not locked out by logging in often. Names are
counted as they are typed, never folded, and the user they lead to by primary key, whatever else leads there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from msgspec import Meta

from hybrid_gateway.auth.schemes import check_credentials
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import TooManyRequests, Unauthorized
from hybrid_gateway.stores import StoreUnavailable, find_store
from hybrid_gateway.throttling import Throttle
from hybrid_gateway.tokens import secret

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

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


class LoginAttempt:
    """One attempt to log in as ``username`` from ``address``, under the limits of ``TOKENS``."""

    def __init__(self, address: str, username: str) -> None:
        settings = get_settings().tokens
        self._fail = settings.throttle_fail
        self._store = find_store(settings.throttle_cache)
        self._counted: list[str] = []
        self._limits = [(rate, f"address:{address}") for rate in settings.login_throttle]
        if settings.user_throttle:
            user = _find_user(username)
            self._limits += [(rate, f"name:{username}") for rate in settings.user_throttle]
            self._limits += [(rate, f"user:{user}") for rate in settings.user_throttle]

    def count(self) -> None:
        """Count the attempt; raise 429 where one limit is passed, 503 where nobody can tell."""
        for rate, who in self._limits:
            throttle = Throttle(rate)
            try:
                count, reset, key = throttle.count(self._store, "login", who)
            except StoreUnavailable:
                if self._fail == "closed":
                    raise
                continue
            if count > throttle.limit:
                raise TooManyRequests("Too many failed logins.", headers={"Retry-After": str(reset)})
            self._counted.append(key)

    def refund(self) -> None:
        """Give back what :meth:`count` took, for the attempt succeeded."""
        with suppress(StoreUnavailable):  # which is logged, and no reason to keep anybody out
            for key in self._counted:
                self._store.decrement(key)


def _find_user(username: str) -> str:
    """Return the primary key behind a name; something as unique where there is none, so that both cost the same."""
    users: Any = get_user_model()  # stubs do not know USERNAME_FIELD
    pk = None
    if "\0" not in username:
        name = users.normalize_username(username)
        pk = users._default_manager.filter(**{users.USERNAME_FIELD: name}).values_list("pk", flat=True).first()
    return f"unknown:{username}" if pk is None else f"pk:{pk}"
