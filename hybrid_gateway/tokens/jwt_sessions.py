"""The tables behind JSON Web Tokens: logins, tokens revoked before their time, users who logged out everywhere.

How this works: a login by JWT is one row. Its access tokens name it (``sid``), and are good as long as it is; its
refresh token is drawn anew each time, and the row knows the digest of the last one alone. So a refresh token that comes
twice is a stolen one, whoever comes second, and ends the login for both.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from hybrid_gateway.conf import get_settings
from hybrid_gateway.orm import Prepared, prepare
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.stored_credentials import RevocableQuerySet, StoredCredential, check_scopes

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["JWTSession", "RevokedJWT", "SignOut"]

logger = logging.getLogger("hybrid_gateway.tokens")


class JWTSessionQuerySet(RevocableQuerySet["JWTSession"]):
    """Queries on logins by JWT."""


class JWTSessionManager(models.Manager.from_queryset(JWTSessionQuerySet)):  # type: ignore[misc]
    """``JWTSession.objects``."""

    def start(
        self, user: AbstractBaseUser, *, expires_in: timedelta, scopes: Sequence[str] = ()
    ) -> tuple[JWTSession, str]:
        """Begin a login that ends after ``expires_in`` at the latest; return it with its refresh token."""
        if expires_in <= timedelta(0):
            raise ValueError(f"expires_in must be positive, not {expires_in!r}")
        plain = secret.generate_refresh()
        session = self.model(user=user, sid=secret.login_of(plain), scopes=check_scopes(scopes))
        session.refresh_digest = secret.digest(plain)
        session.password_fingerprint = secret.password_fingerprint(user)
        longest = get_settings().tokens.max_lifetime
        session.expires_at = session.created_at + (expires_in if longest is None else min(expires_in, longest))
        session.save(force_insert=True, using=self.db)
        return session, plain

    @cached_property
    def _by_sid(self) -> Prepared[JWTSession]:
        return prepare(lambda sid: self.get_queryset().select_related("user").filter(sid=sid))

    def working(self, sid: str) -> JWTSession | None:
        """Return the login called ``sid`` with its user, by one query, unless it has ended."""
        session = self._by_sid.first(sid=sid) if len(sid) == 32 and sid.isascii() and sid.isalnum() else None
        if session is None or session.sid != sid or not session.is_active:
            return None
        return session

    @sensitive_variables("plain")
    def refresh(self, plain: str) -> tuple[JWTSession, str] | None:
        """Exchange a refresh token for the next one; one that was used before ends its login."""
        session = self.working(secret.login_of(plain)) if secret.is_well_formed_refresh(plain) else None
        if session is None:
            return None
        after = secret.generate_refresh(plain)
        before = secret.digest(plain)
        # One statement: of two who come at once with the same token, one has come second.
        last = self.filter(pk=session.pk, refresh_digest=before, revoked_at=None)
        if not compare_digest(session.refresh_digest, before) or not last.update(
            refresh_digest=secret.digest(after), refreshed_at=timezone.now()
        ):
            session.revoke()
            logger.warning("a refresh token of user %s was used twice; login %s is ended", session.user.pk, session.pk)
            return None
        return session, after

    def end(self, plain: str) -> None:
        """End the login that a refresh token belongs to, be it the last one or an old one."""
        if secret.is_well_formed_refresh(plain):
            JWTSessionQuerySet(self.model, using=self.db).filter(sid=secret.login_of(plain)).revoke()


class JWTSession(StoredCredential):
    """One login by JWT: who, since when, until when at the latest. Begun by ``JWTSession.objects.start(user)``."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="gateway_jwt_sessions", verbose_name=_("user")
    )
    sid = models.CharField(_("session id"), max_length=32, unique=True, editable=False)
    refresh_digest = models.CharField(_("refresh digest"), max_length=64, editable=False)
    refreshed_at = models.DateTimeField(_("refreshed"), null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)

    objects: ClassVar[JWTSessionManager] = JWTSessionManager()

    class Meta:
        verbose_name = _("JWT session")
        verbose_name_plural = _("JWT sessions")

    def __str__(self) -> str:
        return f"{self.sid[:8]}…"

    def claims(self, expires_in: timedelta) -> dict[str, object]:
        """Return what an access token of this login says, for ``expires_in`` or to the end of the login."""
        now = timezone.now()
        claims: dict[str, object] = {
            "sub": str(self.user.pk),
            "sid": self.sid,
            "jti": str(uuid4()),
            "iat": int(now.timestamp()),
            "exp": int(min(now + expires_in, self.expires_at).timestamp()),
        }
        return {**claims, "scope": " ".join(self.scopes)} if self.scopes else claims


class RevokedJWT(models.Model):
    """A token of another issuer that ended before its time; see ``TableDenylist``."""

    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)

    class Meta:
        verbose_name = _("revoked JWT")
        verbose_name_plural = _("revoked JWTs")

    def __str__(self) -> str:
        return f"{self.digest[:8]}…"


class SignOut(models.Model):
    """The last logout of a user everywhere: older tokens of other issuers, which have no row here, are rejected."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="gateway_sign_out",
        verbose_name=_("user"),
    )
    at = models.DateTimeField(_("at"), editable=False)

    class Meta:
        verbose_name = _("logout everywhere")
        verbose_name_plural = _("logouts everywhere")

    def __str__(self) -> str:
        return str(self.at)
