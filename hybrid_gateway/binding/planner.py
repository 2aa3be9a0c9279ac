"""Signature → plan: which values a route needs, where each comes from, in which order and on which thread.

How this works: a :class:`BindingPlanner` walks the guards, schemes, components and the handler of one route, and gives
every value a variable. A value asked for twice is one variable, which is how components are cached per request. The
steps fall into two halves: *open* (authentication and guards) needs only the head of the request, *finish* (parameters,
body, components, handler) runs when nobody refused. So 401 comes before 403 before 422, and a refused body is never
read.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.access_control import AuthenticationScheme, Guard
from hybrid_gateway.binding.authorization import (
    COMBINED,
    USERS,
    admit,
    admit_or_challenge,
    attempt,
    attempt_async,
    claimed,
    settle,
)
from hybrid_gateway.binding.component_planner import Provision
from hybrid_gateway.binding.components import Components, Mode, Provider, mode_of
from hybrid_gateway.binding.injected_types import BUILTINS, REQUEST
from hybrid_gateway.binding.markers import Body, Depends, File, Form, Marker, Path, Query
from hybrid_gateway.binding.plan import Step
from hybrid_gateway.binding.plan_builder import Chain, Phase, PlanBuilder, format_chain, format_type
from hybrid_gateway.binding.request_cleanup import AppComponents
from hybrid_gateway.binding.request_inputs import InputLimits, InputPlanner
from hybrid_gateway.binding.shared_components import Needs, Sharing
from hybrid_gateway.binding.signature import (
    NO_DEFAULT,
    Parameter,
    Signature,
    layered,
    read_signature,
    reject_generator,
)
from hybrid_gateway.binding.unannotated import reject_unannotated
from hybrid_gateway.binding.uploads import is_file, is_files
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.request.cleanup_phases import ANSWERED
from hybrid_gateway.request.context import RequestContext

__all__ = ["BindingPlanner"]


class MakesVisits(Protocol):
    """Who makes what Django knows of a request."""

    @property
    def builders(self) -> Mapping[Any, tuple[Callable[[Any], Any], Mode]]:
        """By the type that asks for it: the function of a ctx, and where it runs."""
        ...

    def give_body(self, ctx: RequestContext, body: bytes) -> None:
        """Tell it the body."""


class KnowsCaller(Protocol):
    """What a route below Django's middleware asks about the caller, beside its schemes."""

    def known(self, ctx: RequestContext) -> Any:
        """What is known before a scheme is asked."""
        ...

    def as_left(self, ctx: RequestContext, authentication: Any) -> Any:
        """What becomes of what they have found; it may block."""
        ...


class BindingPlanner:
    """Plans one route, or a function that ``follows`` the plan of one and ends at ``moment``.

    ``given`` are ready variables by type (``Exception`` in error handlers, for one); ``sharing`` is what both plan.
    """

    def __init__(
        self,
        *,
        where: str,
        components: Components,
        app: AppComponents,
        constants: Mapping[Any, Any],
        path: Mapping[str, Any],
        reading: InputLimits,
        schemes: Sequence[AuthenticationScheme] = (),
        authentication_type: Any = None,
        user_type: Any = None,
        parameters: Mapping[str, Any] | None = None,
        given: Mapping[Any, str] | None = None,
        visits: MakesVisits | None = None,
        sharing: Sharing | None = None,
        follows: bool = False,
        moment: int = ANSWERED,
        below: KnowsCaller | None = None,
    ) -> None:
        self._draft = PlanBuilder()
        self.plan = self._draft.plan
        self._where = where
        self._components = components
        self._constants = constants
        self._path = path  # name → type that the tree converts to
        self._schemes = schemes
        self._authentication_type = authentication_type
        self._user_type = user_type
        self._reading = reading
        self._layered = {name: layered(name, kind, where) for name, kind in (parameters or {}).items()}
        self._given = given or {}
        self._visits = visits
        self._below = below
        self._asked_of_visit = {} if visits is None else visits.builders
        self._gives_body = False
        self._named_in_layer: set[str] = set()
        self._open, self._finish = self._draft.open, self._draft.finish
        self._inputs = InputPlanner(self._draft, where, path, reading)
        for scheme in schemes:
            self._inputs.query_names.update(scheme.query_carriers)
        self._follows = follows
        self._provision = Provision(
            self._draft,
            components,
            app,
            constants,
            self._arguments,
            sharing=sharing,
            follows=follows,
            moment=moment,
            given=self._given,
        )

    @property
    def query_names(self) -> set[str]:
        """The parameters that the query may have, credentials among them; complete when everything is planned."""
        return self._inputs.query_names

    # --- who needs what, before anything is planned

    def needs(self) -> Needs:
        """An account of what functions on the way out of the route ask for."""

        def callers(parameter: Parameter) -> list[Signature]:
            if not self._is_authentication(parameter.info.without_none):
                return []
            return [read_signature(scheme.authenticate, self._where) for scheme in self._schemes]

        return Needs(self._provider, callers)

    def component(self, provider: Provider, parameter: Parameter, chain: Chain) -> None:
        """End the plan with what ``provider`` makes."""
        variable = self._provision.provided(provider, parameter, chain, self._finish, here=True)
        self.plan.result = Step(target=None, code=variable)
        self._inputs.end(provider.call, whole_path=False)

    # --- what a route is made of

    def guard(self, guard: Guard) -> None:
        """Run ``guard`` before the body is read; ``False`` refuses."""
        if guard.looks_up and self._schemes:
            # SECURITY: before the object is looked up, whose absence is an answer that the anonymous shall not get.
            authentication = self._authentication((self._where,))
            self.plan.names["admit"] = admit_or_challenge
            self._open.steps.append(Step(target=None, code=f"admit({authentication} is not None, {authentication})"))
        if guard.combines is not None:
            verdict, mode = f"{self._draft.name('settle', settle)}({self._verdict(guard, 'True')})", None
        else:
            verdict, mode = self._ask(guard)
        authentication = self._authentication((self._where,)) if self._schemes else "None"
        self.plan.names["admit"] = admit_or_challenge if self._schemes else admit
        self._open.steps.append(Step(target=None, code=f"admit({verdict}, {authentication})", mode=mode or "inline"))

    def _ask(self, guard: Guard) -> tuple[str, Mode]:
        """The code that calls ``guard``, and where; what it needs is planned before."""
        function = guard.function
        where = f"the guard {getattr(function, '__qualname__', type(function).__qualname__)} of {self._where}"
        reject_generator(function, where, "A guard returns True or False, or raises.")
        arguments = self._arguments(read_signature(function, where), (where,), self._open)
        mode = mode_of(function, guard.sync_to_thread)
        return f"{'await ' if mode == 'loop' else ''}{self._draft.name('guard', function)}({arguments})", mode

    def _verdict(self, guard: Guard, condition: str) -> str:
        """The variable that will hold the verdict of a guard inside others; it is asked where ``condition`` holds."""
        target, mode = self._draft.new(), None
        if guard.combines is not None:
            combine, goes_on = COMBINED[guard.combines]
            verdicts: list[str] = []
            for inner in guard.guards:
                verdicts.append(self._verdict(inner, condition))
                condition = f"{condition} and {verdicts[-1]} {goes_on}"
            code = f"{self._draft.name('combine', combine)}({', '.join(verdicts)})"
        else:
            call, mode = self._ask(guard)
            function = attempt_async if mode == "loop" else attempt
            asked = f"{self._draft.name('attempt', function)}(lambda: {call.removeprefix('await ')})"
            code = f"{'await ' if mode == 'loop' else ''}{asked} if {condition} else None"
        self._open.steps.append(Step(target=target, code=code, mode=mode or "inline"))
        return target

    def enter_hook(self, hook: Any, owner: Any, on_request: Callable[..., Any] | None) -> None:
        """Run the way in of an event hook (a class, made anew for each request, or an instance), then note it."""
        self.plan.enters = True
        instance = self._draft.name("event_hook", owner)
        if inspect.isclass(owner):
            maker, instance = instance, self._draft.new()
            self._open.steps.append(Step(target=instance, code=f"{maker}()"))
        if on_request is not None:
            where = f"{getattr(on_request, '__qualname__', 'on_request')} of {self._where}"
            reject_generator(on_request, where)
            signature, seen = read_signature(on_request, where), self.plan.sees_request
            arguments = self._arguments(signature, (where,), self._open)
            if not any(self._provider(parameter) for parameter in signature.parameters):
                self.plan.sees_request = seen  # what a hook has looked at is in no answer, unless a component shares it
            mode = mode_of(on_request)
            call = f"{'await ' if mode == 'loop' else ''}{instance}.on_request({arguments})"
            self._open.steps.append(Step(target=None, code=call, mode=mode))
        self._open.steps.append(Step(target=None, code=f"ctx.enter({self._draft.name('hook', hook)}, {instance})"))

    def ask_first(self, function: Callable[..., Any], check: Callable[..., None], encode: Callable[..., Any]) -> None:
        """Run ``function`` before anything else of the route; what it returns goes to ``check(value, encode)``."""
        where = f"before_request {getattr(function, '__qualname__', function)} of {self._where}"
        reject_generator(function, where)
        arguments = self._arguments(read_signature(function, where), (where,), self._open)
        mode, variable = mode_of(function), self._draft.new()
        call = f"{'await ' if mode == 'loop' else ''}{self._draft.name('before', function)}({arguments})"
        self._open.steps.append(Step(target=variable, code=call, mode=mode))
        code = f"{self._draft.name('check', check)}({variable}, {self._draft.name('encode', encode)})"
        self._open.steps.append(Step(target=None, code=code))

    def check(self, function: Callable[[Any, Any], None], mode: Mode, *, authenticated: bool) -> None:
        """Call ``function(ctx, authentication)`` here; the latter is ``None`` unless ``authenticated``."""
        authentication = self._authentication((self._where,)) if authenticated and self._schemes else "None"
        code = f"{self._draft.name('check', function)}(ctx, {authentication})"
        self._open.steps.append(Step(target=None, code=code, mode=mode))

    def authenticate(self, signature: Signature) -> None:
        """Plan authentication first of all where the handler, or anything it needs, asks who calls.

        A handler that cannot do without a user refuses before any guard runs.
        """
        if self._schemes and self._asks_for_user(signature, set()):
            self._authentication((self._where,))
        for parameter in signature.parameters:
            if self._is_authentication(parameter.info.without_none) and self._provider(parameter) is None:
                self._value(parameter, (self._where,), self._open)

    def _asks_for_user(self, signature: Signature, seen: set[Any]) -> bool:
        for parameter in signature.parameters:
            provider = self._provider(parameter)
            if provider is None:
                if self._is_authentication(parameter.info.without_none):
                    return True
            elif provider.key not in seen:
                seen.add(provider.key)
                if self._asks_for_user(provider.signature, seen):
                    return True
        return False

    def _provider(self, parameter: Parameter) -> Provider | None:
        layered = self._layered.get(parameter.name)
        return self._provision.find(layered if parameter.marker is None and layered is not None else parameter)

    def result(
        self,
        handler: Any,
        signature: Signature,
        mode: Mode,
        finish: Callable[[Any], Any],
        *,
        receiver: str | None = None,
        changes: Sequence[Callable[[Any, Any], Any]] = (),
        if_asked: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        """End the plan by calling ``handler``, a method of ``receiver`` if there is one; ``finish`` makes an answer.

        ``changes`` are made to that answer, one after the other: ``change(ctx, answer)``; ``if_asked``, which is one
        of them, only where something has asked for the ``Response``.
        """
        arguments = self._arguments(signature, (self._where,), self._finish)
        for name, parameter in () if self._follows else self._layered.items():
            if name not in self._named_in_layer and isinstance(parameter.marker, Marker):
                # Nobody asked for it, and it is checked all the same; a provider is for those who ask.
                self._value(parameter, (self._where,), self._finish)
        if receiver is not None:
            arguments = f"{receiver}, {arguments}" if arguments else receiver
        call = f"{'await ' if mode == 'loop' else ''}{self._draft.name('handler', handler)}({arguments})"
        self.plan.names["answer"] = finish
        code = f"answer({call})"
        for change in changes:
            if change is if_asked and not self.plan.sees_response:
                continue
            code = f"{self._draft.name('change', change)}(ctx, {code})"
        self.plan.result = Step(target=None, code=code, mode=mode)
        if self._gives_body and self._visits is not None and REQUEST not in self._draft.variables:
            self._inputs.share_body(self._visits.give_body)
        self._inputs.end(handler, whole_path=not self._follows)

    def change_last(self, change: Callable[[Any, Any], Any]) -> None:
        """Make one more change to the answer, after all others."""
        code = f"{self._draft.name('change', change)}(ctx, {self.plan.result.code})"
        self.plan.result = msgspec.structs.replace(self.plan.result, code=code)

    def look_at(self, signature: Signature) -> None:
        """Plan the arguments of a call that this plan will not make, to learn what it reads."""
        self._arguments(signature, (signature.where,), self._open)

    def asks_for(self, kinds: Iterable[Any]) -> bool:
        """Whether anything that is planned asks for one of these types of the request as a whole."""
        return any(kind in self._draft.variables for kind in kinds)

    # --- arguments

    def _arguments(self, signature: Signature, chain: Chain, half: Phase) -> str:
        arguments = []
        for parameter in signature.parameters:
            variable = self._value(parameter, chain, half)
            positional = parameter.raw.kind is inspect.Parameter.POSITIONAL_ONLY
            arguments.append(variable if positional else f"{parameter.name}={variable}")
        return ", ".join(arguments)

    def _value(self, parameter: Parameter, chain: Chain, half: Phase) -> str:
        """The variable that will hold ``parameter``'s value; the first source that fits wins."""
        provider = self._provision.find(parameter) if isinstance(parameter.marker, Depends) else None
        provider = provider or self._components.override_of(parameter)
        if provider is not None:
            return self._provision.provided(provider, parameter, chain, half)
        given = self._by_type(parameter, half) if self._follows and parameter.marker is None else None
        if given is not None:  # a hook is for many paths, and knows what it means by the types of the gateway
            return given
        if parameter.name in self._path and (parameter.marker is None or isinstance(parameter.marker, Path)):
            return self._inputs.path_value(parameter, half)
        if isinstance(parameter.marker, Marker):
            return self._marked(parameter, parameter.marker, chain, half)
        return (
            self._by_type(parameter, half)
            or self._by_authentication(parameter, chain)
            or self._by_component(parameter, chain, half)
            or self._by_layer(parameter, chain, half)
            or self._by_shape(parameter, chain, half)
        )

    def _marked(self, parameter: Parameter, marker: Marker, chain: Chain, half: Phase) -> str:
        if isinstance(marker, Path):
            known = f"its parameters are {', '.join(self._path)}" if self._path else "it has none"
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} is marked Path(), but the path does not name it; {known}."
            )
        if isinstance(marker, Body):
            return self._inputs.body(parameter, chain, half)
        if isinstance(marker, Form):
            return self._inputs.form_value(parameter, marker, chain, half)
        return self._inputs.text(parameter, marker, chain, half)

    def _by_type(self, parameter: Parameter, half: Phase) -> str | None:
        kind = parameter.info.without_none
        try:
            hash(kind)
        except TypeError:
            return None
        cls = typing.get_origin(kind) or kind  # Response[Any] is a Response
        for given, variable in self._given.items():
            if _is_kind_of(cls, given):
                self.plan.sees_response |= given is Response
                return variable
        for asked in self._asked_of_visit:
            if _is_kind_of(cls, asked) and self._components.find(parameter) is None:
                return self._visit(asked, half)
        if kind in self._constants and kind is not REQUEST:
            return self._draft.name("constant", self._constants[kind])
        if kind is REQUEST:
            self._inputs.sees_path = True
            self.plan.sees_request = True
            router = self._draft.name("router", self._constants.get(REQUEST))
            return self._draft.inline(
                kind, f"ctx.request({self._reading.max_body_size}, {self._path_names()}, {router})", half
            )
        if kind is http.PathParams:
            self._inputs.sees_path = True
            maker = self._draft.name("PathParams", http.PathParams)
            return self._draft.inline(kind, f"{maker}(zip({self._path_names()}, ctx.path_values))", half)
        if kind == AsyncIterator[bytes]:
            return self._inputs.streamed_body(parameter, half)
        if kind is http.Body:
            return self._inputs.raw_body(parameter, (self._where,), half)
        if kind in BUILTINS:
            self.plan.sees_request |= kind is http.Headers
            return self._draft.inline(kind, f"{self._draft.name('builtin', BUILTINS[kind])}(ctx)", half)
        return None

    def _visit(self, asked: Any, half: Phase) -> str:
        """The variable of what Django knows of a visit: its request, its session."""
        function, mode = self._asked_of_visit[asked]
        self.plan.visits = True
        if asked in (HttpRequest, SessionBase):
            self.plan.reads_cookies = self.plan.sees_request = True
        if asked is HttpRequest and not half.is_open:
            self._gives_body = True
        key = ("visit", asked)
        if key not in self._draft.variables:
            self._draft.variables[key] = self._draft.new()
            code = f"{self._draft.name('visit', function)}(ctx)"
            half.steps.append(Step(target=self._draft.variables[key], code=code, mode=mode))
        return self._draft.variables[key]

    def _path_names(self) -> str:
        return "ctx.path_names" if self._follows else self._draft.name("path_names", tuple(self._path))

    # --- authentication

    def _is_authentication(self, kind: object) -> bool:
        return isinstance(kind, type) and kind in (self._user_type, self._authentication_type)

    def _by_authentication(self, parameter: Parameter, chain: Chain) -> str | None:
        kind = parameter.info.without_none
        if not self._is_authentication(kind):
            return None
        optional = parameter.info.is_optional
        key = ("authenticated", kind, optional)
        if key not in self._draft.variables:
            authentication = self._authentication(chain)
            function = USERS[kind is self._user_type, optional]
            self.plan.requires_user |= not optional
            variable = self._draft.variables[key] = self._draft.new()
            code = f"{self._draft.name('identify', function)}({authentication})"
            self._open.steps.append(Step(target=variable, code=code))
        return self._draft.variables[key]

    def _authentication(self, chain: Chain) -> str:
        if "authentication" in self._draft.variables:
            return self._draft.variables["authentication"]
        if not self._schemes:
            raise DependencyError(
                f"{format_chain(chain)} asks for the user, but no authentication scheme applies to this route. "
                "Set `authentication=[TokenAuthentication()]` on the handler or a layer around it, or "
                'HYBRID_GATEWAY["AUTHENTICATION"].'
            )
        self.plan.authenticates = True
        found = self._draft.new()
        known = "ctx.authentication" if self._below is None else f"{self._draft.name('known', self._below.known)}(ctx)"
        self._open.steps.append(Step(target=found, code=known))
        for scheme in self._schemes:
            where = f"{type(scheme).__qualname__}.authenticate"
            reject_generator(scheme.authenticate, where, "It returns an Authentication or None.")
            signature = read_signature(scheme.authenticate, where)
            arguments = self._arguments(signature, (*chain, where), self._open)
            mode = mode_of(scheme.authenticate, scheme.sync_to_thread)
            call = f"{'await ' if mode == 'loop' else ''}{self._draft.name('scheme', scheme.authenticate)}({arguments})"
            previous, found = found, self._draft.new()
            code = f"{previous} if {previous} is not None else {call}"
            self._open.steps.append(Step(target=found, code=code, mode=mode))
        if self._below is not None:
            previous, found = found, self._draft.new()
            code = f"{self._draft.name('as_left', self._below.as_left)}(ctx, {previous})"
            self._open.steps.append(Step(target=found, code=code, mode="thread"))
        self._open.steps.append(Step(target=None, code=f"{self._draft.name('claimed', claimed)}(ctx, {found})"))
        self._draft.variables["authentication"] = found
        return found

    # --- components

    def _by_component(self, parameter: Parameter, chain: Chain, half: Phase) -> str | None:
        provider = self._components.find(parameter)
        return None if provider is None else self._provision.provided(provider, parameter, chain, half)

    # --- by the shape of a type, and by what layers say

    def _by_shape(self, parameter: Parameter, chain: Chain, half: Phase) -> str:
        reject_unannotated(parameter, chain)
        info = parameter.info
        if self._inputs.fits_text(parameter.type):
            if info.inner is bytes:
                raise DependencyError(
                    f"{format_chain(chain)}: {parameter.name!r} is bytes; write Annotated[bytes, Body()] for the raw "
                    "body."
                )
            return self._inputs.text(parameter, Query(), chain, half)
        if is_file(info) or is_files(info):
            return self._inputs.form_value(parameter, File(), chain, half)
        if info.is_json:
            return self._inputs.body(parameter, chain, half)
        raise DependencyError(
            f"{format_chain(chain)}: nothing provides {parameter.name!r} of type {format_type(parameter.type)}. "
            f"Register a component whose resolve() returns {format_type(info.inner)}, or say where it comes from: "
            "Annotated[..., Depends(provider)]. If clients send it, give a function that reads it, "
            f"type_decoders={{{format_type(info.inner)}: function}}."
        )

    def _by_layer(self, parameter: Parameter, chain: Chain, half: Phase) -> str | None:
        """A parameter that a layer declares for every handler below it; the handler may say more of its type."""
        layered = self._layered.get(parameter.name)
        if layered is None:
            return None
        self._named_in_layer.add(parameter.name)
        said = layered if parameter.type is NO_DEFAULT else parameter
        default = layered.default if parameter.required else parameter.default
        declared = msgspec.structs.replace(layered, info=said.info, asked=said.asked, default=default)
        return self._value(declared, chain, half)


def _is_kind_of(cls: Any, given: Any) -> bool:
    return cls is given or (isinstance(cls, type) and isinstance(given, type) and issubclass(cls, given))
