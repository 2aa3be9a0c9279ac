"""The tables of credentials: API tokens; logins by JSON Web Token, tokens revoked early, logouts everywhere.

How this works: a login by JWT is one row. Its access tokens name it (``sid``), and are good as long as it is; its
refresh token is drawn anew each time, and the row knows the digest of the last one alone. So a refresh token that comes
twice is a stolen one, whoever comes second, and ends the login for both.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, TypeVar, Unpack
from uuid import uuid4

from django.conf import settings
from django.db import Error, models, router, transaction
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.conf import get_settings
from hybrid_gateway.orm import Prepared, prepare
from hybrid_gateway.tokens import secret

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["JWTSession", "RevokedJWT", "SignOut", "StoredCredential", "Ticket", "Token", "TokenState"]

logger = logging.getLogger("hybrid_gateway.tokens")

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
    vars(revoke)["queryset_only"] = True


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
        user = row.user
        if not user.is_active:
            return TokenState.USER_INACTIVE
        if not compare_digest(row.password_fingerprint, secret.password_fingerprint(user)):
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
        await on_request_thread(self.revoke)


class JWTSessionManager(models.Manager.from_queryset(RevocableQuerySet)):  # type: ignore[misc]
    """``JWTSession.objects``."""

    def start(
        self, user: AbstractBaseUser, *, expires_in: timedelta, scopes: Sequence[str] = ()
    ) -> tuple[JWTSession, str]:
        """Begin a login that ends after ``expires_in`` at the latest; return it with its refresh token."""
        if expires_in <= timedelta(0):
            raise ValueError(f"expires_in must be positive, not {expires_in!r}")
        plain = secret.generate_refresh()
        session = self.model(user=user, sid=secret.login_of(plain), scopes=secret.check_scopes(scopes))
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
        return session if session is not None and session.sid == sid and session.is_active else None

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
            RevocableQuerySet(JWTSession, using=self.db).filter(sid=secret.login_of(plain)).revoke()


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

    class Meta(StoredCredential.Meta):
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
        models.CASCADE,
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


class Ticket(models.Model):
    """A ticket for one websocket, and what it was issued for; gone soon after it has expired."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    content = models.JSONField(editable=False)
    expires_at = models.DateTimeField(db_index=True, editable=False)
    used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("websocket ticket")
        verbose_name_plural = _("websocket tickets")

    def __str__(self) -> str:
        return f"{self.digest[:8]}…"


LAST_USED_PRECISION = timedelta(minutes=1)  # so that a busy token costs one write a minute, not one a request


class IssueOptions(TypedDict, total=False):
    """The keywords of ``Token.objects.issue``."""

    name: str
    expires_in: timedelta | None
    expires_at: datetime | None
    scopes: Sequence[str]


class TokenQuerySet(RevocableQuerySet["Token"]):
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
        token = self.model(user=user, name=name, scopes=secret.check_scopes(scopes))
        if expires_in is not None:
            expires_at = min(expires_at or token.created_at + expires_in, token.created_at + expires_in)
        token.expires_at = expires_at
        token.expires_at = token.ends_at
        plain = token.draw_secret()
        token.save(force_insert=True, using=self.db)
        return token, plain

    async def aissue(self, user: AbstractBaseUser, **options: Unpack[IssueOptions]) -> tuple[Token, str]:
        """:meth:`issue` for ``async def``, with the same options."""
        return await on_request_thread(self.issue, user, **options)

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
        # SECURITY: the index found it by a digest the client cannot steer; comparing again in constant time also keeps
        # databases whose collation ignores case or accents from being generous.
        if token is None or not compare_digest(token.digest, digest) or not token.is_active:
            return None
        token.record_use()
        return token


class Token(StoredCredential):
    """A credential of one user, known by its digest only. Make one with ``Token.objects.issue(user)``."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="gateway_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True, help_text=_("What the token is for."))
    hint = models.CharField(_("begins with"), max_length=16, editable=False)
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    objects: ClassVar[TokenManager] = TokenManager()

    class Meta(StoredCredential.Meta):
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)" if self.name else f"{self.hint}…"

    @property
    def state(self) -> TokenState:
        """The state of the token now; reads the user's row unless it is loaded."""
        state, end = super().state, self.ends_at
        return TokenState.EXPIRED if state is TokenState.ACTIVE and end is not None and end <= timezone.now() else state

    @property
    def ends_at(self) -> datetime | None:
        """When the token ends at the latest: ``MAX_LIFETIME`` may have been set after it was issued."""
        longest = get_settings().tokens.max_lifetime
        if longest is None:
            return self.expires_at
        return min(self.expires_at or self.created_at + longest, self.created_at + longest)

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
            after = Token.objects.issue(self.user, name=self.name, scopes=self.scopes, expires_at=self.ends_at)
        self.revoked_at = timezone.now()
        return after

    async def arotate(self) -> tuple[Token, str]:
        """:meth:`rotate` for ``async def``."""
        return await on_request_thread(self.rotate)

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
