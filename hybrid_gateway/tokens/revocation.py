"""Logging out everywhere: every credential of a user ends at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["LoggedOut", "alogout_everywhere", "logout_everywhere"]


class LoggedOut(NamedTuple):
    """The numbers of credentials that ended; ``sessions`` is None where the engine cannot tell whose a session is."""

    tokens: int
    jwt_sessions: int
    sessions: int | None


def logout_everywhere(user: AbstractBaseUser) -> LoggedOut:
    """End every credential of ``user``: tokens and API keys, logins by JWT, Django's sessions. Blocks.

    Sessions end where the engine keeps them in a table (``db``, ``cached_db``), all of which are read; those in a
    cache, in files or in signed cookies outlive this, but not a change of the password. So does a JWT of another issuer
    end that has no ``iat``, or an older one.
    """
    tokens = jwt_sessions = 0
    if apps.is_installed("hybrid_gateway.tokens"):
        # Imported late, as below: settings import this before any model may be imported.
        from hybrid_gateway.tokens.jwt_sessions import JWTSession, JWTSessionQuerySet, SignOut
        from hybrid_gateway.tokens.models import Token, TokenQuerySet

        SignOut.objects.update_or_create(user_id=user.pk, defaults={"at": timezone.now()})
        tokens = TokenQuerySet(Token).filter(user_id=user.pk).revoke()
        jwt_sessions = JWTSessionQuerySet(JWTSession).filter(user_id=user.pk).revoke()
    return LoggedOut(tokens, jwt_sessions, _end_sessions(user))


async def alogout_everywhere(user: AbstractBaseUser) -> LoggedOut:
    """Call :func:`logout_everywhere` from ``async def``."""
    return await sync_to_async(logout_everywhere)(user)


def _end_sessions(user: AbstractBaseUser) -> int | None:
    from django.contrib.auth import SESSION_KEY

    if not apps.is_installed("django.contrib.sessions"):
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return None
    owner, ended = user._meta.pk.value_to_string(user), 0
    # A session is a signed text: only reading it tells its user.
    for row in store.get_model_class()._default_manager.iterator():
        if store().decode(row.session_data).get(SESSION_KEY) == owner:
            store(row.session_key).delete()
            ended += 1
    return ended
