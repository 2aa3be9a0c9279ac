"""Schemes and guards in the plan of a route: who calls, and may they?

First the functions that compiled endpoints call to find that out, then what plans these calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec
from django.core.exceptions import PermissionDenied

from hybrid_gateway.access_control import Authentication, AuthenticationScheme, Guard
from hybrid_gateway.binding.components import Mode, mode_of
from hybrid_gateway.binding.plan import Chain, Code, Phase, Step, code, format_chain
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.planner import BindingPlanner
from hybrid_gateway.binding.shared_components import Needs
from hybrid_gateway.binding.signature import Parameter, Signature, known_signature, reject_generator
from hybrid_gateway.exceptions import DependencyError, Forbidden, Unauthorized
from hybrid_gateway.request.context import RequestContext

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


_AUTHENTICATION = "authentication"  # among the variables
_NONE, _TRUE = Code("None"), Code("True")


class UserBelowMiddleware(Protocol):
    """The caller as Django's middleware around a route knows it."""

    def known(self, ctx: RequestContext) -> Authentication | None:
        """Return what is known before a scheme is asked."""
        ...

    def as_left(self, ctx: RequestContext, authentication: Authentication | None) -> Authentication | None:
        """Return what becomes of what the schemes have found; it may block."""
        ...


class RoutePlanner:
    """Plans the schemes and guards of one route, whose values ``binding`` plans.

    A parameter of the user model, or that is an :class:`Authentication`, gets who calls.
    """

    def __init__(
        self, scope: PlanScope, schemes: Sequence[AuthenticationScheme], below: UserBelowMiddleware | None = None
    ) -> None:
        self.binding = BindingPlanner(scope)
        self.plan = self.binding.plan
        self._builder = self.binding.builder
        self._open = self.plan.open
        self._schemes = schemes
        self._user_type = _user_model()
        self._below = below
        for scheme in schemes:
            self.binding.query_names.update(scheme.query_carriers)
        self.binding.add_source(self.value)

    def needs(self) -> Needs:
        """Return an account, still empty, of what functions on the way out of the route ask for."""

        def callers(parameter: Parameter) -> list[Signature]:
            if not self._is_authentication(parameter):
                return []
            return [known_signature(scheme.authenticate, self.binding.where) for scheme in self._schemes]

        return Needs(self.binding.provider, callers)

    # --- who calls

    def authenticate(self, signature: Signature) -> None:
        """Plan authentication first of all where the handler, or anything it needs, asks who calls.

        A handler that cannot do without a user rejects before any guard runs.
        """
        if self._schemes and self._asks_for_user(signature, set()):
            self._authentication((self.binding.where,))
        for parameter in signature.parameters:
            if self.binding.provider(parameter) is None:
                self.value(parameter, (self.binding.where,), self._open)

    def _asks_for_user(self, signature: Signature, seen: set[object]) -> bool:
        for parameter in signature.parameters:
            provider = self.binding.provider(parameter)
            if provider is None:
                if self._is_authentication(parameter):
                    return True
            elif provider.key not in seen:
                seen.add(provider.key)
                if self._asks_for_user(provider.signature, seen):
                    return True
        return False

    def _is_authentication(self, parameter: Parameter) -> bool:
        kind = parameter.info.without_none
        return isinstance(kind, type) and kind in (self._user_type, Authentication)

    def value(self, parameter: Parameter, chain: Chain, phase: Phase) -> Code | None:
        """Return the variable of who calls, for a parameter that asks for that."""
        if not self._is_authentication(parameter):
            return None
        kind, optional = parameter.info.without_none, parameter.info.is_optional
        authentication = self._authentication(chain)
        self.plan.requires_user |= not optional
        function = self._builder.name("identify", USERS[kind is self._user_type, optional])
        step = Step(call=code("{}({})", function, authentication))
        return self._builder.once(("authenticated", kind, optional), parameter.name, self._open.steps, step)

    def _authentication(self, chain: Chain) -> Code:
        if _AUTHENTICATION in self._builder.variables:
            return self._builder.variables[_AUTHENTICATION]
        if not self._schemes:
            raise DependencyError(
                f"{format_chain(chain)} asks for the user, but no authentication scheme applies to this route. "
                "Set `authentication=[TokenAuthentication()]` on the handler or a layer around it, or "
                'HYBRID_GATEWAY["AUTHENTICATION"].',
                id="A004",
            )
        self.plan.authenticates = True
        known = Code("ctx.authentication")
        if self._below is not None:
            known = Code(f"{self._builder.name('known', self._below.known)}(ctx)")
        found = self._assign(Step(call=known))
        for scheme in self._schemes:
            found = self._assign(self._ask_scheme(scheme, chain, found))
        if self._below is not None:
            call = code("{}(ctx, {})", self._builder.name("as_left", self._below.as_left), found)
            found = self._assign(Step(call=call, mode="thread"))
        self._add(code("{}(ctx, {})", self._builder.name("require_known_scheme", require_known_scheme), found))
        self._builder.variables[_AUTHENTICATION] = found
        return found

    def _assign(self, step: Step) -> Code:
        return self._builder.assign(_AUTHENTICATION, self._open.steps, step)

    def _ask_scheme(self, scheme: AuthenticationScheme, chain: Chain, found: Code) -> Step:
        where = f"{type(scheme).__qualname__}.authenticate"
        reject_generator(scheme.authenticate, where, "It returns an Authentication or None.")
        callee = self._builder.function("scheme", scheme.authenticate)
        call = self.binding.call_early(scheme.authenticate, (*chain, where), callee)
        mode = mode_of(scheme.authenticate, scheme.sync_to_thread)
        return Step(call=call, mode=mode, before=code("{} if {} is not None else ", found, found))

    # --- guards, and what else runs before the handler

    def guard(self, guard: Guard) -> None:
        """Run ``guard`` before the body is read; ``False`` rejects the request."""
        where = (self.binding.where,)
        if guard.looks_up and self._schemes:
            # SECURITY: before the object is looked up, for the anonymous shall not tell 404 from 401.
            found = self._authentication(where)
            self._add(code("{}({} is not None, {})", self._requirement(), found, found))
        if guard.combines is not None:
            verdict = code(
                "{}({})", self._builder.name("resolve_verdict", resolve_verdict), self._verdict(guard, _TRUE)
            )
            asked = Step(call=verdict)
        else:
            asked = self._ask_guard(guard)
        authentication = self._authentication(where) if self._schemes else _NONE
        before, after = Code(f"{self._requirement()}("), code(", {})", authentication)
        self._open.steps.append(msgspec.structs.replace(asked, before=before, after=after))

    def _requirement(self) -> str:
        return self._builder.name("require", require_or_challenge if self._schemes else require)

    def _ask_guard(self, guard: Guard) -> Step:
        """Return the call of ``guard``; what it needs is planned before."""
        function = guard.function
        where = f"the guard {getattr(function, '__qualname__', type(function).__qualname__)} of {self.binding.where}"
        reject_generator(function, where, "A guard returns True or False, or raises.")
        call = self.binding.call_early(function, (where,), self._builder.function("guard", function))
        return Step(call=call, mode=mode_of(function, guard.sync_to_thread))

    def _verdict(self, guard: Guard, condition: Code) -> Code:
        """Return the variable of the verdict of a guard inside others; it is asked where ``condition`` holds."""
        if guard.combines is not None:
            combine, goes_on = COMBINED[guard.combines]
            verdicts: list[Code] = []
            for inner in guard.guards:
                verdicts.append(self._verdict(inner, condition))
                condition = code(f"{{}} and {{}} {goes_on}", condition, verdicts[-1])
            listed = code(", ".join(["{}"] * len(verdicts)), *verdicts)
            step = Step(call=code("{}({})", self._builder.name(f"{guard.combines}_of", combine), listed))
        else:
            asked = self._ask_guard(guard)
            function = evaluate_guard_async if asked.mode == "loop" else evaluate_guard
            call = code("{}(lambda: {})", self._builder.name("evaluate_guard", function), asked.call)
            step = Step(call=call, mode=asked.mode, after=code(" if {} else None", condition))
        return self._builder.assign("verdict", self._open.steps, step)

    def begin(self, function: Callable[[RequestContext], Awaitable[None]]) -> None:
        """Await ``function(ctx)`` first of all, and close what it enters with the request."""
        self.plan.enters = True
        self._add(code("{}(ctx)", self._builder.name("begin", function)), "loop")

    def check(
        self, function: Callable[[RequestContext, Authentication | None], None], mode: Mode, *, authenticated: bool
    ) -> None:
        """Call ``function(ctx, authentication)`` here; the latter is ``None`` unless ``authenticated``."""
        found = self._authentication((self.binding.where,)) if authenticated and self._schemes else _NONE
        self._add(code("{}(ctx, {})", self._builder.name("check", function), found), mode)

    def _add(self, call: Code, mode: Mode = "inline") -> None:
        self._open.steps.append(Step(call=call, mode=mode))


def _user_model() -> type | None:
    # Here, since models can be imported only once Django has loaded the apps.
    from django.contrib.auth import get_user_model
    from django.core.exceptions import ImproperlyConfigured

    try:
        return get_user_model()
    except ImproperlyConfigured:  # a project without django.contrib.auth has no user to ask for
        return None
