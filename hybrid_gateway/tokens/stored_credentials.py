"""Rules that stored credentials share: their states, and the names of their scopes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hmac import compare_digest
from typing import Any, TypeVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.tokens import secret

__all__ = ["TokenState", "check_scopes", "state_of"]


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


# Any: type checkers know columns by Django's plugin alone.
def state_of(credential: Any) -> TokenState:
    """Return the state of a row with ``user``, ``revoked_at``, ``expires_at`` and ``password_fingerprint``."""
    if credential.revoked_at is not None:
        return TokenState.REVOKED
    if credential.expires_at is not None and credential.expires_at <= timezone.now():
        return TokenState.EXPIRED
    if not credential.user.is_active:
        return TokenState.USER_INACTIVE
    if not compare_digest(credential.password_fingerprint, secret.password_fingerprint(credential.user)):
        return TokenState.PASSWORD_CHANGED
    return TokenState.ACTIVE


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # SPEC: RFC 6749, section 3.3: scope-token


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """Return ``scopes`` as they are stored; raise :class:`ValueError` for what no scope can be called."""
    if isinstance(scopes, str) or not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in scopes):
        raise ValueError(f'scopes must be a list of names such as ["orders:read"], not {scopes!r}')
    return list(dict.fromkeys(scopes))
