"""The end of credentials: logging out everywhere, lists of foreign tokens that ended early, rows that are over.

Settings import this before any model may be imported, so functions import models when they are called.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from django.apps import apps
from django.conf import settings
from django.db.models import Model, Q
from django.utils import timezone

from hybrid_gateway.cache_connections import thread_cache
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class LoggedOut(NamedTuple):
    """The numbers of credentials that ended; ``sessions`` is None where the engine cannot tell whose a session is."""

    tokens: int
    jwt_sessions: int
    sessions: int | None


def logout_everywhere(user: AbstractBaseUser) -> LoggedOut:
    """End every credential of ``user``: tokens and API keys, logins by JWT, Django's sessions. Blocks.

    Sessions end where the engine keeps them in a table (``db``, ``cached_db``), all of which are read; those in a
    cache, in files or in signed cookies outlive this, but not a change of the password. So does a JWT of another issuer
    end that has no ``iat``, or an older one.
    """
    tokens = jwt_sessions = 0
    if apps.is_installed("hybrid_gateway.tokens"):
        from hybrid_gateway.tokens.models import JWTSession, RevocableQuerySet, SignOut, Token, TokenQuerySet

        SignOut.objects.update_or_create(user_id=user.pk, defaults={"at": timezone.now()})
        tokens = TokenQuerySet(Token).filter(user_id=user.pk).revoke()
        jwt_sessions = RevocableQuerySet(JWTSession).filter(user_id=user.pk).revoke()
    return LoggedOut(tokens, jwt_sessions, _end_sessions(user))


async def alogout_everywhere(user: AbstractBaseUser) -> LoggedOut:
    """Call :func:`logout_everywhere` from ``async def``."""
    return await on_request_thread(logout_everywhere, user)


def _end_sessions(user: AbstractBaseUser) -> int | None:
    from django.contrib.auth import SESSION_KEY

    if not apps.is_installed("django.contrib.sessions"):
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return None
    owner, ended = user._meta.pk.value_to_string(user), 0
    # A session is a signed text: only reading it tells its user.
    for row in store.get_model_class()._default_manager.iterator():
        if store().decode(row.session_data).get(SESSION_KEY) == owner:
            store(row.session_key).delete()
            ended += 1
    return ended


class CacheDenylist:
    """In the cache ``alias`` of ``CACHES``: fast, forgotten when the cache is; several processes need a shared one."""

    def __init__(self, alias: str = "default") -> None:
        self._alias = alias

    def add(self, claims: Mapping[str, object]) -> None:
        lifetime = max(_end_of(claims) - int(time.time()), 1)
        thread_cache(self._alias).set(_PREFIX + _digest(claims), 1, timeout=lifetime)

    def holds(self, claims: Mapping[str, object]) -> bool:
        return self.find_held([claims])[0]

    def find_held(self, several: Sequence[Mapping[str, object]]) -> list[bool]:
        """Say of each of ``several`` tokens whether it is rejected, by one question."""
        keys = [_PREFIX + _digest(claims) for claims in several]
        found = thread_cache(self._alias).get_many(keys)
        return [key in found for key in keys]

    def __repr__(self) -> str:
        return f"CacheDenylist({self._alias!r})"


class TableDenylist:
    """In a table of ``hybrid_gateway.tokens``: one more query per request; ``manage.py gateway prunetokens`` tidies."""

    def add(self, claims: Mapping[str, object]) -> None:
        from hybrid_gateway.tokens.models import RevokedJWT

        expires_at = datetime.fromtimestamp(_end_of(claims), UTC)
        RevokedJWT.objects.get_or_create(digest=_digest(claims), defaults={"expires_at": expires_at})

    def holds(self, claims: Mapping[str, object]) -> bool:
        return self.find_held([claims])[0]

    def find_held(self, several: Sequence[Mapping[str, object]]) -> list[bool]:
        """Say of each of ``several`` tokens whether it is rejected, by one query."""
        from hybrid_gateway.tokens.models import RevokedJWT

        digests = [_digest(claims) for claims in several]
        found = set(RevokedJWT.objects.filter(digest__in=digests).values_list("digest", flat=True))
        return [digest in found for digest in digests]

    def __repr__(self) -> str:
        return "TableDenylist()"


_PREFIX = "hybrid_gateway.jwt.revoked:"
_MARGIN = 300  # seconds: the longest leeway for which an expired token still counts


def _end_of(claims: Mapping[str, object]) -> int:
    return int(msgspec.convert(claims["exp"], float, strict=False)) + _MARGIN


def _digest(claims: Mapping[str, object]) -> str:
    # Hashed, because an issuer chooses both; the length tells apart where the one ends.
    issuer = str(claims.get("iss", ""))
    return sha256(f"{len(issuer)}:{issuer}:{claims['jti']}".encode()).hexdigest()


def prune(age: timedelta) -> dict[str, int]:
    """Delete what expired or was revoked more than ``age`` ago; return how many rows of each kind."""
    from hybrid_gateway.tokens.models import JWTSession, RevokedJWT, Token

    before = timezone.now() - age
    over = Q(expires_at__lt=before) | Q(revoked_at__lt=before)
    kinds: dict[type[Model], Q] = {Token: over, JWTSession: over, RevokedJWT: Q(expires_at__lt=before)}
    counts: dict[str, int] = {}
    for model, ended in kinds.items():
        counts[str(model._meta.verbose_name_plural)] = model._default_manager.filter(ended).delete()[0]
    return counts
