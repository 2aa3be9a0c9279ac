"""Functions that compiled endpoints call to find out who calls, and whether they may."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Literal

from django.core.exceptions import PermissionDenied

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import Forbidden, Unauthorized
from hybrid_gateway.request.context import RequestContext

__all__ = [
    "COMBINED",
    "USERS",
    "Verdict",
    "evaluate_guard",
    "evaluate_guard_async",
    "require",
    "require_known_scheme",
    "require_or_challenge",
    "resolve_verdict",
]

Verdict = bool | Exception | None
"""What a guard among others says: True, False, what it has raised to reject, or None where it was not asked."""


def _passes(verdict: object) -> bool:
    """Return whether a guard lets pass: it has returned nothing, or something true.

    Raises :class:`TypeError` for what is no verdict yet: nobody awaits, runs or calls it, and as an object it is true.
    """
    if verdict is None or verdict is True:
        return True
    if verdict is False:
        return False
    # SECURITY: a coroutine of `lambda: allowed()`, or the guard that a factory makes, would let everybody in.
    if (
        inspect.isawaitable(verdict)
        or callable(verdict)
        or hasattr(verdict, "__next__")
        or hasattr(verdict, "__anext__")
    ):
        raise _unfit("guard", verdict, "True or False, or raises")
    return bool(verdict)


def require(verdict: object, authentication: Authentication | None) -> None:
    """Raise 403 where a guard has rejected the request."""
    if verdict is not True and not _passes(verdict):
        raise Forbidden("You do not have permission to perform this action.")


def require_or_challenge(verdict: object, authentication: Authentication | None) -> None:
    """Raise 401 where a guard has rejected somebody unknown, 403 where it has rejected somebody else."""
    if verdict is not True and not _passes(verdict):
        if authentication is None:
            raise Unauthorized("Authentication credentials were not provided.")
        raise Forbidden("You do not have permission to perform this action.")


def _unfit(who: str, value: object, instead: str) -> TypeError:
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn that nobody has awaited it, which is said here
    return TypeError(f"A {who} has returned a {type(value).__name__}; it returns {instead}.")


# --- guards made of guards -----------------------------------------------------------------------------------------

_REFUSALS = (Unauthorized, Forbidden, PermissionDenied)


def evaluate_guard(ask: Callable[[], object]) -> Verdict:
    """Return the verdict of a guard among others."""
    try:
        return _passes(ask())
    except _REFUSALS as refusal:
        return refusal


async def evaluate_guard_async(ask: Callable[[], Awaitable[object]]) -> Verdict:
    """Return the verdict of an asynchronous guard among others."""
    try:
        return _passes(await ask())
    except _REFUSALS as refusal:
        return refusal


def any_of(*verdicts: Verdict) -> Verdict:
    """Return the verdict of guards of which one has to pass."""
    asked = [verdict for verdict in verdicts if verdict is not None]
    if True in asked:
        return True
    return False if False in asked or not asked else asked[-1]


def all_of(*verdicts: Verdict) -> Verdict:
    """Return the verdict of guards that all have to pass."""
    return next((verdict for verdict in verdicts if verdict is not None and verdict is not True), True)


COMBINED: dict[Literal["any", "all"], tuple[Callable[..., Verdict], str]] = {
    "any": (any_of, "is not True"),  # which verdict makes the next guard worth asking
    "all": (all_of, "is True"),
}


def resolve_verdict(verdict: Verdict) -> bool:
    """Raise what the guards have raised, or return their verdict."""
    if isinstance(verdict, Exception):
        raise verdict
    return bool(verdict)


# --- who calls -----------------------------------------------------------------------------------------------------


def require_known_scheme(ctx: RequestContext, authentication: Authentication | None) -> None:
    """Store who calls in the context; raise 401 for credentials that no scheme of the route understands."""
    # SECURITY: credentials nobody understands are an error, not an anonymous request.
    if authentication is None and ctx.header(b"authorization") is not None:
        raise Unauthorized("The Authorization header is not of a kind this API accepts.")
    if authentication is not None and not hasattr(authentication, "user"):
        # SECURITY: it is not None, so it would pass for somebody who is there.
        raise _unfit("scheme", authentication, "an Authentication, or None")
    ctx.authentication = authentication  # for error handlers and hooks, which would ask again


def _required(authentication: Authentication | None) -> Authentication:
    if authentication is None:
        raise Unauthorized("Authentication credentials were not provided.")
    return authentication


USERS: dict[tuple[bool, bool], Callable[[Authentication | None], object]] = {
    (True, False): lambda authentication: _required(authentication).user,
    (True, True): lambda authentication: None if authentication is None else authentication.user,
    (False, False): _required,
    (False, True): lambda authentication: authentication,
}
"""By whether the user is asked for, and whether None will do: what parameters get."""
