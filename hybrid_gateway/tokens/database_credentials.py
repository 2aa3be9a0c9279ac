"""The credentials of this app, as schemes ask for them: the store that is registered when Django starts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error, models, router, transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.models import JWTSession, RevocableQuerySet, SignOut, Ticket, Token

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

logger = logging.getLogger("hybrid_gateway.tokens")

M = TypeVar("M", bound=models.Model)


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
        RevocableQuerySet(JWTSession).filter(sid=sid).revoke()

    # --- of open websockets; on the database that is written to, for a replica may be late

    def find_working_tokens(self, keys: Collection[str]) -> set[str]:
        rows = Token.objects.using(router.db_for_write(Token)).select_related("user").filter(pk__in=keys)
        return {str(token.pk) for token in rows if token.is_active}

    def find_working_logins(self, sids: Collection[str]) -> set[str]:
        rows = JWTSession.objects.using(router.db_for_write(JWTSession)).select_related("user").filter(sid__in=sids)
        return {session.sid for session in rows if session.is_active}

    # --- tickets

    def issue_ticket(self, user: AbstractBaseUser, content: Mapping[str, object], expires_at: datetime) -> str:
        plain = secret.generate_ticket()
        # SECURITY: the content may name a session, and who reads the table could take it over; so it stays no longer
        # than it has to.
        Ticket.objects.create(
            user_id=user.pk, digest=secret.digest(plain), content=dict(content), expires_at=expires_at
        )
        try:
            with transaction.atomic(using=router.db_for_write(Ticket)):
                Ticket.objects.filter(expires_at__lt=timezone.now()).delete()
        except Error:  # of two who tidy at once one may be in the other's way
            logger.warning("expired tickets could not be deleted", exc_info=True)
        return plain

    @sensitive_variables("plain")
    def redeem_ticket(self, plain: str) -> tuple[Any, Mapping[str, object]] | None:
        if not secret.is_well_formed_ticket(plain):
            return None
        now = timezone.now()
        one = Ticket.objects.using(router.db_for_write(Ticket)).filter(digest=secret.digest(plain))
        # SECURITY: one statement, so that of two who come at once, to whatever process, one has come second; and first
        # of all, so that nothing that fails later leaves the ticket good.
        if one.filter(used_at=None, expires_at__gt=now).update(used_at=now) != 1:
            return None
        ticket = one.select_related("user").first()
        return None if ticket is None else (ticket.user, ticket.content)

    # --- logging out everywhere

    def with_logout_times(self, users: models.QuerySet[M]) -> models.QuerySet[M]:
        return users.select_related("gateway_sign_out")

    def logged_out_at(self, user: AbstractBaseUser) -> datetime | None:
        sign_out: SignOut | None = getattr(user, "gateway_sign_out", None)
        return None if sign_out is None else sign_out.at
