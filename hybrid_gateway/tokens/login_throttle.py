"""Limits of failed logins: by address, by the name that is typed, and by the user it leads to.

How this works: an attempt is counted before the password is looked at, in one operation of the store, so that no burst
slips through, and given back when it succeeds: who knows the password is not kept out by logging in often. Names are
counted as they are typed, never folded, and the user they lead to by primary key, whatever else leads there.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import TooManyRequests
from hybrid_gateway.throttling import Throttle, throttle_store

__all__ = ["LoginAttempt"]


class LoginAttempt:
    """One attempt to log in as ``username`` from ``address``, under the limits of ``TOKENS``."""

    def __init__(self, address: str, username: str) -> None:
        settings = get_settings().tokens
        self._fail = settings.throttle_fail
        self._store = throttle_store.STORE(settings.throttle_cache)
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
            except throttle_store.StoreUnavailable:
                if self._fail == "closed":
                    raise
                continue
            if count > throttle.limit:
                raise TooManyRequests("Too many failed logins.", headers={"Retry-After": str(reset)})
            self._counted.append(key)

    def refund(self) -> None:
        """Give back what :meth:`count` took, for the attempt succeeded."""
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
