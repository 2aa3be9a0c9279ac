"""Tells which authentications have ended that were good once, for what outlives a request: open websockets, tickets.

How this works: each authentication is described once, as a :class:`Credential`. The clock and one query for 1,000 users
tell most ends: deactivation, deletion, another password, logging out everywhere. Its scheme tells the rest, with a
query of its own for 1,000 credentials: a token that was revoked, a session that is gone. Nothing is kept between two
rounds, and nobody has to announce an end: whatever process it came about in, the database knows.

A scheme or a database that cannot be asked ends nothing: who was let in stays, as in an outage of the database nobody
could come back. ``expires_at`` holds nevertheless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import router

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Credential, describe_user
from hybrid_gateway.auth.credential_store import installed_store
from hybrid_gateway.request.request_thread import RequestThread

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

logger = logging.getLogger("hybrid_gateway.auth")

MOST = 1000  # credentials that one query asks for

Question = Callable[[Sequence[Credential]], Iterable[Credential]]
"""``find_ended(credentials)``: those that are no longer good."""


async def ended_authentications(
    authentications: Iterable[Authentication], lend: Callable[[], RequestThread]
) -> set[Authentication]:
    """Return those that are no longer good, asked on a thread that ``lend()`` gives.

    Meant to be called every few seconds, and never again before it has returned.
    """
    thread = lend()
    try:
        return await thread.run(find_ended, list(authentications))
    finally:
        thread.release()


def find_ended(authentications: Iterable[Authentication]) -> set[Authentication]:
    """Return those that are no longer good, as far as can be told; blocks."""
    known = list(authentications)
    for authentication in known:
        try:
            credential_of(authentication)
        except Exception:
            logger.exception(
                "%r cannot describe what it has accepted, which ends with its user.", authentication.scheme
            )
            authentication.credential = describe_user(authentication.user, since=time.time())
    return _find(known, _ask)


def find_ended_strictly(authentications: Iterable[Authentication]) -> set[Authentication]:
    """Return those that are no longer good; raise what asking raises: for a door, which nobody has passed yet."""
    return _find(authentications, lambda who, question, credentials: question(credentials))


def credential_of(authentication: Authentication) -> Credential:
    """Return what ``authentication`` depends on, as it was when somebody first asked."""
    found: Credential | None = getattr(authentication, "credential", None)
    if found is None:
        scheme = authentication.scheme
        found = describe_user(authentication.user) if scheme is None else scheme.describe(authentication)
        if found.since is None:
            found = msgspec.structs.replace(found, since=getattr(authentication, "opened_at", time.time()))
        authentication.credential = found
    return found


def _find(
    authentications: Iterable[Authentication],
    ask: Callable[[str, Question, Sequence[Credential]], Iterable[Credential]],
) -> set[Authentication]:
    now = time.time()
    ended: set[Authentication] = set()
    # By the scheme that vouches, which need not be hashable.
    groups: dict[int, tuple[AuthenticationScheme | None, dict[Credential, list[Authentication]]]] = {}
    for authentication in authentications:
        credential, scheme = credential_of(authentication), authentication.scheme
        if credential.expires_at is not None and credential.expires_at <= now:
            ended.add(authentication)
        else:
            groups.setdefault(id(scheme), (scheme, {}))[1].setdefault(credential, []).append(authentication)
    for scheme, cases in groups.values():
        credentials = list(cases)
        over: set[Credential] = set()
        for start in range(0, len(credentials), MOST):
            batch = credentials[start : start + MOST]
            over.update(ask("The table of users", find_ended_users, [one for one in batch if one.user]))
            batch = [one for one in batch if one not in over]
            if scheme is not None and batch:
                over.update(ask(repr(scheme), scheme.find_ended, batch))
        ended.update(authentication for one in over for authentication in cases.get(one, ()))
    return ended


def find_ended_users(credentials: Sequence[Credential]) -> list[Credential]:
    """Return those of ``credentials`` that their user's row ends, by one query."""
    store = installed_store()
    users = load_users({credential.user for credential in credentials})
    stamps: dict[str, str] = {}
    ended: list[Credential] = []
    for credential in credentials:
        user = users.get(credential.user)
        if user is not None and credential.stamp and credential.user not in stamps:
            stamps[credential.user] = user.get_session_auth_hash()
        out_at = None if store is None or user is None else store.logged_out_at(user)
        if (
            user is None
            # A backend such as AllowAllUsersModelBackend lets in those who are not.
            or (credential.is_active and not getattr(user, "is_active", True))
            or (credential.stamp and credential.stamp != stamps[credential.user])
            or (out_at is not None and (credential.since or 0) <= out_at.timestamp())
        ):
            ended.append(credential)
    return ended


def load_users(keys: set[str]) -> dict[str, AbstractBaseUser]:
    from django.contrib.auth import get_user_model  # imports a model

    if not keys:
        return {}
    model, store = get_user_model(), installed_store()
    pk: Any = model._meta.pk
    # Not the default manager: one of the project's own may look at who asks, and nobody does. Not a replica, which may
    # not know yet a user who has just come.
    users = model._base_manager.using(router.db_for_write(model)).filter(pk__in=[pk.to_python(key) for key in keys])
    return {pk.value_to_string(user): user for user in (users if store is None else store.with_logout_times(users))}


_failing: set[str] = set()  # an outage is told at its beginning and its end, not by every round


def _ask(who: str, question: Question, credentials: Sequence[Credential]) -> Iterable[Credential]:
    """Return what the question finds, nothing where it fails."""
    try:
        found = list(question(credentials))
    except Exception:
        if who not in _failing:
            _failing.add(who)
            logger.exception("%s cannot tell which open websockets have ended; they stay open meanwhile.", who)
        return ()
    if who in _failing:
        _failing.discard(who)
        logger.warning("%s tells again which open websockets have ended.", who)
    return found
