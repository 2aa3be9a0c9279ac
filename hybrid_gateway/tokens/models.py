from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import ClassVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.conf import get_settings
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.credential_state import TokenState, state_of
from hybrid_gateway.tokens.jwt_sessions import JWTSession, RevokedJWT, SignOut
from hybrid_gateway.tokens.managers import TokenManager

__all__ = ["JWTSession", "RevokedJWT", "SignOut", "Token", "TokenState"]

logger = logging.getLogger("hybrid_gateway.tokens")

LAST_USED_PRECISION = timedelta(minutes=1)  # so that a busy token costs one write a minute, not one a request


class Token(models.Model):
    """A credential of one user, known by its digest only. Make one with ``Token.objects.issue(user)``."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="gateway_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True, help_text=_("What the token is for."))
    hint = models.CharField(_("begins with"), max_length=16, editable=False)
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    password_fingerprint = models.CharField(_("password fingerprint"), max_length=64, editable=False)
    scopes = models.JSONField(_("scopes"), default=list, blank=True, editable=False)
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
        state, end = state_of(self), self._end
        return TokenState.EXPIRED if state is TokenState.ACTIVE and end is not None and end <= timezone.now() else state

    @property
    def _end(self) -> datetime | None:
        """When it ends at the latest; the setting may be younger than the token."""
        longest = get_settings().tokens.max_lifetime
        if longest is None:
            return self.expires_at
        return min(self.expires_at or self.created_at + longest, self.created_at + longest)

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

    def rotate(self) -> tuple[Token, str]:
        """End the token and issue the next one: same user, name, scopes, and end, which rotating does not put off.

        Raises :class:`ValueError` where the token no longer works; of two at a time one does.
        """
        with transaction.atomic(using=router.db_for_write(Token, instance=self)):
            ended = Token.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
            if not ended or not self.is_active:
                raise ValueError("A token that no longer works cannot be rotated.")
            after = Token.objects.issue(self.user, name=self.name, scopes=self.scopes, expires_at=self._end)
        self.revoked_at = timezone.now()
        return after

    async def arotate(self) -> tuple[Token, str]:
        """:meth:`rotate` for ``async def``."""
        return await sync_to_async(self.rotate)()

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
