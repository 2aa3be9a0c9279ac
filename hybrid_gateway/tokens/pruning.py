"""Rows of credentials that are over: they open nothing, and only fill the table."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Model, Q
from django.utils import timezone

from hybrid_gateway.tokens.models import JWTSession, RevokedJWT, Token

__all__ = ["prune"]


def prune(age: timedelta) -> dict[str, int]:
    """Delete what expired or was revoked more than ``age`` ago; return how many rows of each kind."""
    before = timezone.now() - age
    over = Q(expires_at__lt=before) | Q(revoked_at__lt=before)
    kinds: dict[type[Model], Q] = {Token: over, JWTSession: over, RevokedJWT: Q(expires_at__lt=before)}
    counts: dict[str, int] = {}
    for model, ended in kinds.items():
        counts[str(model._meta.verbose_name_plural)] = model._default_manager.filter(ended).delete()[0]
    return counts
