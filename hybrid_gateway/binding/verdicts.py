"""What compiled endpoints ask of authentication and guards: who calls, and may they?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid_gateway.exceptions import Forbidden, Unauthorized

__all__ = ["USERS", "admit", "admit_or_challenge", "claimed"]


def admit(verdict: Any, authentication: Any) -> None:
    if verdict is False:
        raise Forbidden("You do not have permission to perform this action.")


def admit_or_challenge(verdict: Any, authentication: Any) -> None:
    if verdict is False:
        if authentication is None:
            raise Unauthorized("Authentication credentials were not provided.")
        raise Forbidden("You do not have permission to perform this action.")


def claimed(call: Any, authentication: Any) -> None:
    # SECURITY: credentials nobody understands are an error, not an anonymous request.
    if authentication is None and call.header(b"authorization") is not None:
        raise Unauthorized("The Authorization header is not of a kind this API accepts.")
    call.authentication = authentication  # for error handlers and hooks, which would ask again


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
