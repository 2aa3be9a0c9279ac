"""Rules that stored credentials share: their states, and the names of their scopes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hmac import compare_digest
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.tokens import secret

__all__ = ["TokenState", "check_scopes", "StoredCredential"]


M = TypeVar("M", bound=models.Model)


class TokenState(models.TextChoices):
    """The state of a token: it works, or the reason why it does not."""

    ACTIVE = "active", _("active")
    REVOKED = "revoked", _("revoked")
    EXPIRED = "expired", _("expired")
    USER_INACTIVE = "user_inactive", _("user inactive")
    PASSWORD_CHANGED = "password_changed", _("password changed")


class RevocableQuerySet(models.QuerySet[M]):
    """Queries on credentials that can be revoked."""

    def revoke(self) -> int:
        """Revoke all of these at once; return how many were not revoked before."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())

    # As with Django's delete(): Token.objects.revoke() must not end every token there is.
    revoke.queryset_only = True  # type: ignore[attr-defined]


class StoredCredential(models.Model):
    """A credential of a ``user`` that ends by ``expires_at``, by revocation, or by a change of the password."""

    password_fingerprint = models.CharField(_("password fingerprint"), max_length=64, editable=False)
    scopes = models.JSONField(_("scopes"), default=list, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def state(self) -> TokenState:
        """The state now, and the reason of an end; reads the user's row unless it is loaded."""
        row: Any = self  # type checkers do not know the columns of subclasses
        if row.revoked_at is not None:
            return TokenState.REVOKED
        if row.expires_at is not None and row.expires_at <= timezone.now():
            return TokenState.EXPIRED
        if not row.user.is_active:
            return TokenState.USER_INACTIVE
        if not compare_digest(row.password_fingerprint, secret.password_fingerprint(row.user)):
            return TokenState.PASSWORD_CHANGED
        return TokenState.ACTIVE

    @property
    def is_active(self) -> bool:
        """True as long as it authenticates."""
        return self.state is TokenState.ACTIVE

    def revoke(self) -> None:
        """End it at once, with all that belongs to it; again, or after its row is gone, is no error."""
        self.revoked_at = self.revoked_at or timezone.now()
        type(self)._default_manager.filter(pk=self.pk, revoked_at=None).update(revoked_at=self.revoked_at)

    async def arevoke(self) -> None:
        """:meth:`revoke` for ``async def``."""
        await sync_to_async(self.revoke)()


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # SPEC: RFC 6749, section 3.3: scope-token


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """Return ``scopes`` as they are stored; raise :class:`ValueError` for what no scope can be called."""
    if isinstance(scopes, str) or not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in scopes):
        raise ValueError(f'scopes must be a list of names such as ["orders:read"], not {scopes!r}')
    return list(dict.fromkeys(scopes))
