"""How tokens are issued, found and revoked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.views.decorators.debug import sensitive_variables

from hybrid_gateway.conf import get_settings
from hybrid_gateway.orm import Prepared, prepare
from hybrid_gateway.tokens import secret

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from hybrid_gateway.tokens.models import Token

__all__ = ["TokenManager", "TokenQuerySet", "check_scopes"]


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """``scopes`` as they are stored; raises :class:`ValueError` for what no scope can be called."""
    if isinstance(scopes, str) or not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in scopes):
        raise ValueError(f'scopes must be a list of names such as ["orders:read"], not {scopes!r}')
    return list(dict.fromkeys(scopes))


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # SPEC: RFC 6749, section 3.3: scope-token


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


class TokenQuerySet(models.QuerySet["Token"]):
    """Queries on tokens; SQL cannot see a changed password, ``Token.state`` can."""

    def active(self) -> Self:
        """Tokens of active users that are neither revoked nor expired."""
        return self.filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()), revoked_at=None, user__is_active=True
        )

    def expired(self) -> Self:
        """Tokens whose time is over."""
        return self.filter(expires_at__lte=timezone.now())

    def revoked(self) -> Self:
        """Tokens that somebody ended."""
        return self.filter(revoked_at__isnull=False)

    def revoke(self) -> int:
        """Revoke all of these at once; return how many were not revoked before."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())

    # As with Django's delete(): Token.objects.revoke() must not end every token there is.
    revoke.queryset_only = True  # type: ignore[attr-defined]


class TokenManager(models.Manager.from_queryset(TokenQuerySet)):  # type: ignore[misc]
    """``Token.objects``."""

    def issue(
        self,
        user: AbstractBaseUser,
        *,
        name: str = "",
        expires_in: timedelta | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] = (),
    ) -> tuple[Token, str]:
        """Make a token for ``user`` and return it with its plain text, which cannot be had again.

        It lives for ``expires_in`` (or until ``expires_at``), never longer than ``TOKENS["MAX_LIFETIME"]``, or until it
        is revoked, the user deactivated or the password changed. ``scopes`` are what :class:`HasScope` asks for.
        """
        if expires_in is not None and expires_in <= timedelta(0):
            raise ValueError(f"expires_in must be positive, not {expires_in!r}")
        token = self.model(user=user, name=name, scopes=check_scopes(scopes))
        token.expires_at = _earliest(
            expires_at,
            None if expires_in is None else token.created_at + expires_in,
            None if (longest := get_settings().tokens.max_lifetime) is None else token.created_at + longest,
        )
        plain = token.draw_secret()
        token.save(force_insert=True, using=self.db)
        return token, plain

    async def aissue(self, user: AbstractBaseUser, **options: Any) -> tuple[Token, str]:
        """:meth:`issue` for ``async def``, with the same options."""
        return await sync_to_async(self.issue)(user, **options)

    @cached_property
    def _by_digest(self) -> Prepared[Token]:
        # PERF: one request in two is authenticated; compiled once, the look-up costs a quarter.
        return prepare(lambda digest: self.get_queryset().select_related("user").filter(digest=digest))

    @sensitive_variables("plain")
    def authenticate(self, plain: str) -> Token | None:
        """Return the working token with this plain text, its user loaded by the same query, and note its use."""
        if not secret.is_well_formed(plain):
            return None
        digest = secret.digest(plain)
        token = self._by_digest.first(digest=digest)
        if token is None:
            return None
        # SECURITY: the index found it by a digest the client cannot steer; comparing again in constant time also keeps
        # databases whose collation ignores case or accents from being generous.
        if not compare_digest(token.digest, digest) or not token.is_active:
            return None
        token.record_use()
        return token
