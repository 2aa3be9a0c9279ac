"""The authentication and the limits of an operation, in our words."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field
from ninja.operation import Operation
from ninja.security import SessionAuth
from ninja.throttling import AnonRateThrottle, AuthRateThrottle, BaseThrottle, UserRateThrottle

from hybrid_gateway.migration.form import Difference, FieldForm, Move, snake
from hybrid_gateway.migration.ninja.annotation_text import quoted
from hybrid_gateway.migration.ninja.ninja_parameters import NotWritable


class AuthWriter:
    """Writes each combination of ``auth=`` once, as a constant of the module."""

    def __init__(self, move: Move) -> None:
        self.move = move
        self._known: dict[tuple[int, ...], str] = {}

    def constant(self, callbacks: Sequence[Any]) -> str | None:
        """Return the name of the scheme for these callables, or None where one cannot be written."""
        key = tuple(map(id, callbacks))
        if key not in self._known:
            written = [object_text(callback, self.move) for callback in callbacks]
            if None in written:
                return None
            scheme = self.move.names.use("hybrid_gateway.contrib.ninja", "NinjaAuthentication")
            text = f"{scheme}({', '.join(filter(None, written))})"
            same = next((one.name for one in self.move.constants if one.default == text), None)
            self._known[key] = same or self._define(callbacks, text)
        return self._known[key]

    def _define(self, callbacks: Sequence[Any], text: str) -> str:
        first = callbacks[0]
        name = getattr(first, "__name__", type(first).__name__)
        constant = self.move.names.define(snake(name), hint="auth_")
        self.move.constants.append(FieldForm(constant, default=text))
        return constant


class Access(Struct):
    """The options of a route that keep callers out, what of django-ninja they need, and what clients see of them."""

    options: list[str] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


def written_access(operation: Operation, auth: AuthWriter) -> Access:
    """Return who may call an operation, and how often; raises :class:`NotWritable` for what cannot be made again."""
    found, callbacks, names = Access(), operation.auth_callbacks, auth.move.names
    is_session = [type(callback) for callback in callbacks] == [SessionAuth]
    guards: list[str] = []
    limits: list[str] = []
    throttles: list[str] = []
    if callbacks:
        found.options.append(f"authentication=[{_scheme(callbacks, auth, found, is_session=is_session)}]")
        guards.append(names.use("hybrid_gateway.auth", "IsAuthenticated"))
    for throttle in operation.throttle_objects:
        text = _limit_text(throttle, is_of_users=is_session)
        made = object_text(throttle, auth.move) if text is None else None
        if text is None and made is None:
            raise NotWritable(f"its throttle, {type(throttle).__name__}, cannot be made again")
        (limits if made is None else throttles).append(made or str(text))
    if throttles:
        found.keeps.append("django-ninja, for a throttle that counts in its own way")
        found.differences.append(Difference("header retry-after", "a 429 says when to come again"))
        guard = names.use("hybrid_gateway.contrib.ninja", "NinjaThrottle")
        guards.append(f"{guard}({', '.join(throttles)})")
    found.options += [f"guards=[{', '.join(guards)}]"] if guards else []
    if limits:
        names.use("hybrid_gateway", "Throttle")
        found.differences.append(Difference("header ratelimit-*", "answers say what is left of the limit"))
        found.options.append(f"throttle=[{', '.join(limits)}]")
    return found


def _scheme(callbacks: Sequence[Any], auth: AuthWriter, found: Access, *, is_session: bool) -> str:
    if is_session:
        what = "problem details in place of {'detail': 'Unauthorized'}"
        found.differences.append(Difference("error 401", what))
        found.differences.append(Difference("header www-authenticate", "a 401 says what would be accepted"))
        return f"{auth.move.names.use('hybrid_gateway.auth', 'SessionAuthentication')}()"
    constant = auth.constant(callbacks)
    if constant is None:
        raise NotWritable(f"its auth, {callbacks!r}, has no name in any module")
    classes = ", ".join(dict.fromkeys(getattr(one, "__name__", type(one).__name__) for one in callbacks))
    found.keeps.append(f"django-ninja, for the authentication by {classes}")
    return constant


def _limit_text(throttle: Any, *, is_of_users: bool) -> str | None:
    """Return a limit as ours, or None: what is counted by a user is so only where callers are users."""
    rate, kind = getattr(throttle, "rate", None), type(throttle)
    by = {AnonRateThrottle: "address", AuthRateThrottle: "user", UserRateThrottle: "user"}.get(kind)
    if by is None or not rate or (by == "user" and not is_of_users):
        return None
    count, _, period = rate.partition("/")
    return f'Throttle("{count}/{_PERIODS[period]}", by="{by}")' if period in _PERIODS else None


_PERIODS = {
    **dict.fromkeys(("s", "sec"), "second"),
    **dict.fromkeys(("m", "min"), "minute"),
    **dict.fromkeys(("h", "hour"), "hour"),
    **dict.fromkeys(("d", "day"), "day"),
}


def object_text(value: Any, move: Move) -> str | None:
    """Return an expression that gives ``value``: a name that a module has for it, or a call that makes one like it."""
    names = move.names
    if inspect.isroutine(value) or isinstance(value, type):
        return None if "<locals>" in value.__qualname__ else names.use_object(value)
    kind = type(value)
    call = _call_text(value)
    if call is not None:
        return f"{names.use_object(kind)}({call})"
    for module_name, module in list(sys.modules.items()):
        for name, found in list(vars(module).items()) if module else ():
            if found is value and not name.startswith("_"):
                return names.use(module_name, name)
    return None


def _call_text(value: Any) -> str | None:
    """Return the arguments that make an object with the same attributes, or None."""
    kind, attributes = type(value), dict(getattr(value, "__dict__", {}))
    if isinstance(value, BaseThrottle):
        for counted in ("key", "history", "now"):  # of the request that it was asked for last
            attributes.pop(counted, None)
    parameters = inspect.signature(kind).parameters.values()
    named = {
        one.name: attributes[one.name]
        for one in parameters
        if one.name in attributes and one.default != attributes[one.name]
    }
    if not all(isinstance(one, str | int | float | bool | None) for one in named.values()):
        return None
    try:
        made = kind(**named)
    except Exception:  # a class that takes more than its attributes say
        return None
    is_same = getattr(made, "__dict__", {}) == attributes
    return ", ".join(f"{name}={quoted(one)}" for name, one in named.items()) if is_same else None
