"""The tables of this app, as authentication schemes ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from django.db.models import Model, QuerySet

from hybrid_gateway.tokens.jwt_sessions import JWTSessionQuerySet
from hybrid_gateway.tokens.models import JWTSession, SignOut, Token

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["DatabaseCredentials"]

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
