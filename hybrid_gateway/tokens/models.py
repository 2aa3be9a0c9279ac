"""Tokens: the table, how they are issued, found and revoked; the tables of logins by JWT are in ``jwt_sessions.py``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar, Self, TypedDict, TypeVar, Unpack

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, models, router, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from hybrid_gateway.conf import get_settings
from hybrid_gateway.orm import Prepared, prepare
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.jwt_sessions import JWTSession, JWTSessionQuerySet, RevokedJWT, SignOut
from hybrid_gateway.tokens.stored_credentials import RevocableQuerySet, StoredCredential, TokenState, check_scopes

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["DatabaseCredentials", "JWTSession", "RevokedJWT", "SignOut", "Token", "TokenState"]

logger = logging.getLogger("hybrid_gateway.tokens")

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
        token = self.model(user=user, name=name, scopes=check_scopes(scopes))
        if expires_in is not None:
            expires_at = min(expires_at or token.created_at + expires_in, token.created_at + expires_in)
        token.expires_at = expires_at
        token.expires_at = token.ends_at
        plain = token.draw_secret()
        token.save(force_insert=True, using=self.db)
        return token, plain

    async def aissue(self, user: AbstractBaseUser, **options: Unpack[IssueOptions]) -> tuple[Token, str]:
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

    class Meta:
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
        return await sync_to_async(self.rotate)()

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


M = TypeVar("M", bound=Model)


class DatabaseCredentials:
    """The :class:`~hybrid_gateway.auth.credential_store.CredentialStore` of ``hybrid_gateway.tokens``."""

    def find_token(self, plain: str) -> Token | None:
        return Token.objects.authenticate(plain)

    def find_login(self, sid: str) -> JWTSession | None:
        return JWTSession.objects.working(sid)

    def start_login(self, user: AbstractBaseUser, *, expires_in: timedelta, scopes: Sequence[str]) -> JWTSession:
        # Without its refresh token nobody can prolong it.
        return JWTSession.objects.start(user, expires_in=expires_in, scopes=scopes)[0]

    def end_login(self, sid: object) -> None:
        JWTSessionQuerySet(JWTSession).filter(sid=sid).revoke()

    def with_logout_times(self, users: QuerySet[M]) -> QuerySet[M]:
        return users.select_related("gateway_sign_out")

    def logged_out_at(self, user: AbstractBaseUser) -> datetime | None:
        sign_out: SignOut | None = getattr(user, "gateway_sign_out", None)
        return None if sign_out is None else sign_out.at
