from __future__ import annotations

import logging
from datetime import timedelta
from hmac import compare_digest
from typing import ClassVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.managers import TokenManager

__all__ = ["Token", "TokenState"]

logger = logging.getLogger("hybrid_gateway.tokens")

LAST_USED_PRECISION = timedelta(minutes=1)  # so that a busy token costs one write a minute, not one a request


class TokenState(models.TextChoices):
    """Why a token does or does not authenticate."""

    ACTIVE = "active", _("active")
    REVOKED = "revoked", _("revoked")
    EXPIRED = "expired", _("expired")
    USER_INACTIVE = "user_inactive", _("user inactive")
    PASSWORD_CHANGED = "password_changed", _("password changed")


class Token(models.Model):
    """A credential of one user, known by its digest only. Make one with ``Token.objects.issue(user)``."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="gateway_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True, help_text=_("What the token is for."))
    hint = models.CharField(_("begins with"), max_length=16, editable=False)
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    password_fingerprint = models.CharField(_("password fingerprint"), max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    objects: ClassVar[TokenManager] = TokenManager()

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)" if self.name else f"{self.hint}…"

    @property
    def state(self) -> TokenState:
        """What the token would be answered now; reads the user's row unless it is loaded."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return TokenState.EXPIRED
        if not self.user.is_active:
            return TokenState.USER_INACTIVE
        if not compare_digest(self.password_fingerprint, secret.password_fingerprint(self.user)):
            return TokenState.PASSWORD_CHANGED
        return TokenState.ACTIVE

    @property
    def is_active(self) -> bool:
        """Whether the token authenticates now."""
        return self.state is TokenState.ACTIVE

    def draw_secret(self) -> str:
        """Give an unsaved token its secret, bound to the user's password of this moment; return the plain text."""
        plain = secret.generate()
        self.hint = secret.hint(plain)
        self.digest = secret.digest(plain)
        self.password_fingerprint = secret.password_fingerprint(self.user)
        return plain

    def revoke(self) -> None:
        """End the token at once; again, or after its row is gone, is no error."""
        self.revoked_at = self.revoked_at or timezone.now()
        Token.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=self.revoked_at)

    async def arevoke(self) -> None:
        """:meth:`revoke` for ``async def``."""
        await sync_to_async(self.revoke)()

    def record_use(self) -> None:
        """Note the time of use, to the minute; never raises a database error, for a log is not worth a request."""
        now = timezone.now()
        if self.last_used_at is not None and now - self.last_used_at < LAST_USED_PRECISION:
            return
        unnoted = models.Q(last_used_at=None) | models.Q(last_used_at__lte=now - LAST_USED_PRECISION)
        try:
            # The savepoint keeps a failure from spoiling a transaction the request may be in.
            with transaction.atomic(using=router.db_for_write(Token, instance=self)):
                # Not save(): it would write back, and so undo, what others changed meanwhile, a revocation above all.
                Token.objects.filter(unnoted, pk=self.pk).update(last_used_at=now)
        except Error:
            logger.warning("could not note the use of token %s", self.pk, exc_info=True)
        else:
            self.last_used_at = now
