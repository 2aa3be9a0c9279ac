"""Why a credential in the database does or does not authenticate."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.tokens import secret

__all__ = ["TokenState", "state_of"]


class TokenState(models.TextChoices):
    """Why a token does or does not authenticate."""

    ACTIVE = "active", _("active")
    REVOKED = "revoked", _("revoked")
    EXPIRED = "expired", _("expired")
    USER_INACTIVE = "user_inactive", _("user inactive")
    PASSWORD_CHANGED = "password_changed", _("password changed")


def state_of(credential: Any) -> TokenState:
    """The state of a row with ``user``, ``revoked_at``, ``expires_at`` and ``password_fingerprint``."""
    if credential.revoked_at is not None:
        return TokenState.REVOKED
    if credential.expires_at is not None and credential.expires_at <= timezone.now():
        return TokenState.EXPIRED
    if not credential.user.is_active:
        return TokenState.USER_INACTIVE
    if not compare_digest(credential.password_fingerprint, secret.password_fingerprint(credential.user)):
        return TokenState.PASSWORD_CHANGED
    return TokenState.ACTIVE
