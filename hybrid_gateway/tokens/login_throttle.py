"""How often somebody may fail to log in: by address, by the name they type, and by the user it leads to.

How this works: an attempt is counted before the password is looked at, in one operation of the cache, so that no burst
slips through, and given back when it succeeds: who knows the password is not kept out by logging in often. Names are
counted as they are typed, never folded, and the user they lead to by primary key, whatever else leads there.
"""

from __future__ import annotations

import logging
import time
from hashlib import blake2b
from typing import Any

from django.contrib.auth import get_user_model

from hybrid_gateway.cache_connections import thread_cache
from hybrid_gateway.conf import TokenSettings, get_settings
from hybrid_gateway.exceptions import ServiceUnavailable, TooManyRequests
from hybrid_gateway.throttling import Throttle

__all__ = ["LoginAttempt"]

logger = logging.getLogger("hybrid_gateway.tokens")


class LoginAttempt:
    """One attempt to log in as ``username`` from ``address``, under the limits of ``TOKENS``."""

    def __init__(self, address: str, username: str) -> None:
        self._settings = get_settings().tokens
        self._counted: list[str] = []
        self._places = [
            *((rate, f"address:{address}") for rate in self._settings.login_throttle),
            *((rate, f"name:{username}") for rate in self._settings.user_throttle),
            *((rate, f"user:{_resolve(username, self._settings)}") for rate in self._settings.user_throttle),
        ]

    def count(self) -> None:
        """Count it; raises 429 where one limit is passed."""
        now = time.time()
        for rate, who in self._places:
            throttle = Throttle(rate)
            window, elapsed = divmod(now, throttle.seconds)
            key = _key(rate, who, int(window))
            if self._increment(key, throttle.seconds) > throttle.limit:
                retry_after = str(int(throttle.seconds - elapsed) + 1)
                raise TooManyRequests("Too many failed logins.", headers={"Retry-After": retry_after})
            self._counted.append(key)

    def _increment(self, key: str, seconds: int) -> int:
        cache = thread_cache(self._settings.throttle_cache)
        try:
            cache.add(key, 0, timeout=seconds + 1)
            count: int = cache.incr(key)
        except ValueError:  # a cache that keeps nothing (DummyCache) limits nobody
            return 0
        except Exception as error:
            logger.warning("logins are not counted, for the cache cannot be reached: %s", error)
            if self._settings.throttle_fail == "closed":
                raise ServiceUnavailable(headers={"Retry-After": "5"}) from None
            return 0
        return count

    def refund(self) -> None:
        """It succeeded: give back what :meth:`count` took."""
        cache = thread_cache(self._settings.throttle_cache)
        for key in self._counted:
            try:
                cache.decr(key)
            except Exception as error:  # the window is over, or the cache out of reach: nothing that a login fails for
                logger.debug("an attempt could not be given back: %s", error)


def _resolve(username: str, settings: TokenSettings) -> str:
    """The primary key behind a name; something as unique where there is none, so that both cost the same."""
    users: Any = get_user_model()
    pk = None
    if settings.user_throttle and "\0" not in username:
        name = users.normalize_username(username)
        pk = users._default_manager.filter(**{users.USERNAME_FIELD: name}).values_list("pk", flat=True).first()
    return f"unknown:{username}" if pk is None else f"pk:{pk}"


def _key(rate: str, who: str, window: int) -> str:
    # SECURITY: with its length, so that no name can be written to look like another rate's.
    text = f"{len(rate)}:{rate}{who}".encode("utf-8", "surrogatepass")
    return f"hybrid_gateway.login:{blake2b(text, digest_size=16).hexdigest()}:{window}"
