"""What compiled endpoints ask of authentication and guards: who calls, and may they?"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.exceptions import PermissionDenied

from hybrid_gateway.exceptions import Forbidden, Unauthorized
from hybrid_gateway.request.context import RequestContext

__all__ = ["COMBINED", "USERS", "admit", "admit_or_challenge", "attempt", "attempt_async", "claimed", "settle"]


def passes(verdict: Any) -> bool:
    """Whether a guard lets pass: it has returned nothing, or something true.

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


def admit(verdict: Any, authentication: Any) -> None:
    if verdict is not True and not passes(verdict):
        raise Forbidden("You do not have permission to perform this action.")


def admit_or_challenge(verdict: Any, authentication: Any) -> None:
    if verdict is not True and not passes(verdict):
        if authentication is None:
            raise Unauthorized("Authentication credentials were not provided.")
        raise Forbidden("You do not have permission to perform this action.")


def _unfit(who: str, value: Any, instead: str) -> TypeError:
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn that nobody has awaited it, which is said here
    return TypeError(f"A {who} has returned a {type(value).__name__}; it returns {instead}.")


# --- guards made of guards. A verdict is True, False, what was raised to refuse, or None where nobody was asked.

_REFUSALS = (Unauthorized, Forbidden, PermissionDenied)


def attempt(ask: Callable[[], Any]) -> Any:
    try:
        return passes(ask())
    except _REFUSALS as refusal:
        return refusal


async def attempt_async(ask: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return passes(await ask())
    except _REFUSALS as refusal:
        return refusal


def _any_of(*verdicts: Any) -> Any:
    refusals = [verdict for verdict in verdicts if verdict is not None]
    if True in refusals:
        return True
    return False if False in refusals or not refusals else refusals[-1]


def _all_of(*verdicts: Any) -> Any:
    return next((verdict for verdict in verdicts if verdict is not None and verdict is not True), True)


COMBINED: dict[str, tuple[Callable[..., Any], str]] = {
    "any": (_any_of, "is not True"),  # which verdict makes the next guard worth asking
    "all": (_all_of, "is True"),
}


def settle(verdict: Any) -> bool:
    if isinstance(verdict, Exception):
        raise verdict
    return bool(verdict)


def claimed(ctx: RequestContext, authentication: Any) -> None:
    # SECURITY: credentials nobody understands are an error, not an anonymous request.
    if authentication is None and ctx.header(b"authorization") is not None:
        raise Unauthorized("The Authorization header is not of a kind this API accepts.")
    if authentication is not None and not hasattr(authentication, "user"):
        # SECURITY: it is not None, so it would pass for somebody who is there.
        raise _unfit("scheme", authentication, "an Authentication, or None")
    ctx.authentication = authentication  # for error handlers and hooks, which would ask again


def _required(authentication: Any) -> Any:
    if authentication is None:
        raise Unauthorized("Authentication credentials were not provided.")
    return authentication


USERS: dict[tuple[bool, bool], Callable[[Any], Any]] = {
    (True, False): lambda authentication: _required(authentication).user,
    (True, True): lambda authentication: None if authentication is None else authentication.user,
    (False, False): _required,
    (False, True): lambda authentication: authentication,
}
