"""Signature → plan: which values a route needs, where each comes from, in which order and on which thread.

How this works: a :class:`BindingPlanner` walks the components and the handler of one route, and gives every value a
variable; what else runs before the handler (guards, schemes, hooks) is planned by others, with its help. A value asked
for twice is one variable, which is how components are cached per request. The steps fall into two phases: *open*
(authentication and guards) needs only the head of the request, *finish* (parameters, body, components, handler) runs
when nobody has rejected the request. So 401 comes before 403 before 422, and the body of a rejected request is
never read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import msgspec

from hybrid_gateway._compat.cpython_internals import without_coroutine
from hybrid_gateway.binding.body_planner import BodyPlanner
from hybrid_gateway.binding.component_planner import ComponentPlanner
from hybrid_gateway.binding.components import Mode, Provider
from hybrid_gateway.binding.markers import Body, Depends, File, Form, Marker, Path, Query
from hybrid_gateway.binding.parameters import ParameterPlanner
from hybrid_gateway.binding.plan import Chain, Code, Phase, PlanBuilder, Step, code, format_chain, format_type
from hybrid_gateway.binding.plan_scope import InputTypes, PlanScope
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, known_signature, layered
from hybrid_gateway.binding.typed_values import TypedValues
from hybrid_gateway.binding.uploads import is_file, is_files
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.types import Handler, UsualResult

ValueSource = Callable[[Parameter, Chain, Phase], Code | None]
"""Returns the variable of a parameter without a marker, or None to let others try."""


class BindingPlanner:
    """Plans the values of one route, or of a function around the plan of one."""

    def __init__(self, scope: PlanScope) -> None:
        self.builder = builder = PlanBuilder()
        self.plan = builder.plan
        self.where = scope.where
        self._scope = scope
        self._layered = {name: layered(name, kind, scope.where) for name, kind in scope.parameters.items()}
        self._named_in_layer: set[str] = set()
        self._types = InputTypes(scope.decoders)
        self._parameters = ParameterPlanner(builder, scope, self._types)
        self.query_names = self._parameters.query_names  # credentials among them
        self._body = BodyPlanner(builder, scope, self._types)
        self._components = ComponentPlanner(builder, scope, self.arguments)
        self.typed = TypedValues(builder, scope, self._parameters, self._body)
        self._sources: list[ValueSource] = [self.typed.value]

    def add_source(self, source: ValueSource) -> None:
        """Ask ``source`` for values after those before it, and before components."""
        self._sources.append(source)

    def provider(self, parameter: Parameter) -> Provider | None:
        """Return what provides the value of a parameter, if a component does."""
        layered = self._layered.get(parameter.name)
        return self._components.find(layered if parameter.marker is None and layered is not None else parameter)

    # --- calls

    def arguments(self, signature: Signature, chain: Chain, phase: Phase) -> Code:
        """Plan what a function asks for; return the arguments of its call."""
        arguments = []
        for parameter in signature.parameters:
            variable = self._value(parameter, chain, phase)
            positional = parameter.raw.kind is inspect.Parameter.POSITIONAL_ONLY
            arguments.append(variable if positional else code(f"{parameter.name}={{}}", variable))
        return code(", ".join(["{}"] * len(arguments)), *arguments)

    def call_early(self, function: Handler, chain: Chain, callee: str) -> Code:
        """Plan what ``function`` asks for before the body is read; return the call, by the name ``callee``."""
        signature = known_signature(function, chain[-1])
        return code("{}({})", callee, self.arguments(signature, chain, self.plan.open))

    def result(
        self,
        handler: Handler,
        signature: Signature,
        mode: Mode,
        encode: Callable[..., object],
        *,
        receiver: str | Code | None = None,
        changes: Sequence[Callable[..., object]] = (),
        if_asked: Callable[..., object] | None = None,
        usual: UsualResult | None = None,
    ) -> None:
        """End the plan by calling ``handler``, a method of ``receiver`` if there is one; ``encode`` makes a
        response.

        ``changes`` are made to that, one after the other: ``change(ctx, response)``; ``if_asked``, which is one
        of them, only where something has asked for the ``Response``. ``usual`` is what most values are encoded by.
        """
        arguments = self.arguments(signature, (self.where,), self.plan.finish)
        for name, parameter in () if self._scope.follows else self._layered.items():
            if name not in self._named_in_layer and isinstance(parameter.marker, Marker):
                # Nobody asked for it, and it is checked all the same; a provider is for those who ask.
                self._value(parameter, (self.where,), self.plan.finish)
        if receiver is not None:
            arguments = code("{}, {}", receiver, arguments) if signature.parameters else code("{}", receiver)
        call = code("{}({})", self.builder.name("handler", handler), arguments)
        before, after = Code(f"{self.builder.name('encode', encode)}("), Code(")")
        if usual is not None:  # PERF: without a call, and in the order in which it is written: the condition first
            kind, status, headers, to_bytes = usual
            content = f"{self.builder.name('headers', headers)}, {self.builder.name('to_bytes', to_bytes)}(returned)"
            after = Code(f") is {self.builder.name('kind', kind)} else {before.text}returned))")
            before = Code(f"(({status:d}, {content}) if type(returned := ")
        plain = without_coroutine(handler) if mode == "loop" else None
        now = None if plain is None else code("{}({})", self.builder.name("plain_handler", plain), arguments)
        self.plan.result = Step(call=call, mode=mode, before=before, after=after, now=now)
        for change in changes:
            if change is not if_asked or self.plan.sees_response:
                self.change_last(change)
        self.typed.end()
        self._body.end(handler)
        self._parameters.end(whole_path=not self._scope.follows)

    def component(self, provider: Provider, parameter: Parameter, chain: Chain) -> None:
        """End the plan with what ``provider`` makes."""
        variable = self._components.provide(provider, parameter, chain, self.plan.finish, here=True)
        self.plan.result = Step(call=variable)
        self._body.end(provider.call)
        self._parameters.end(whole_path=False)

    def change_last(self, change: Callable[..., object]) -> None:
        """Make one more change to the response, after all others."""
        self.plan.result = self.plan.result.wrapped(self.builder.name("change", change))

    # --- values

    def _value(self, parameter: Parameter, chain: Chain, phase: Phase) -> Code:
        """Return the variable that will hold ``parameter``'s value; the first source that fits wins."""
        provider = self._components.find(parameter) if isinstance(parameter.marker, Depends) else None
        provider = provider or self._scope.components.override_of(parameter)
        if provider is not None:
            return self._components.provide(provider, parameter, chain, phase)
        if self._scope.follows and parameter.marker is None:
            # A hook is for many paths, and knows what it means by the types of the gateway.
            given = self.typed.value(parameter, chain, phase)
            if given is not None:
                return given
        if parameter.name in self._scope.path and (parameter.marker is None or isinstance(parameter.marker, Path)):
            return self._parameters.path_value(parameter, phase)
        if isinstance(parameter.marker, Marker):
            return self._marked(parameter, parameter.marker, chain, phase)
        for source in self._sources:
            value = source(parameter, chain, phase)
            if value is not None:
                return value
        provider = self._scope.components.find(parameter)
        if provider is not None:
            return self._components.provide(provider, parameter, chain, phase)
        declared = self._layered.get(parameter.name)
        if declared is not None:
            # A layer declares it for every handler below; the handler may say more of its type.
            self._named_in_layer.add(parameter.name)
            said = declared if parameter.type is NO_DEFAULT else parameter
            default = declared.default if parameter.required else parameter.default
            refined = msgspec.structs.replace(declared, info=said.info, asked=said.asked, default=default)
            return self._value(refined, chain, phase)
        return self._by_shape(parameter, chain, phase)

    def _marked(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        if isinstance(marker, Path):
            path = self._scope.path
            known = f"its parameters are {', '.join(path)}" if path else "it has none"
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} is marked Path(), but the path does not name it; {known}.",
                id="P012",
            )
        if isinstance(marker, Body):
            return self._body.body(parameter, chain, phase)
        if isinstance(marker, Form):
            return self._body.form_value(parameter, marker, chain, phase)
        return self._parameters.text(parameter, marker, chain, phase)

    def _by_shape(self, parameter: Parameter, chain: Chain, phase: Phase) -> Code:
        reject_unannotated(parameter, chain)
        info, where = parameter.info, f"{format_chain(chain)}: "
        if self._types.fits_text(parameter.type):
            if info.inner is bytes:
                raise DependencyError(
                    f"{where}{parameter.name!r} is bytes; write Annotated[bytes, Body()] for the raw body.", id="B003"
                )
            return self._parameters.text(parameter, Query(), chain, phase)
        if is_file(info) or is_files(info):
            return self._body.form_value(parameter, File(), chain, phase)
        if info.is_json:
            return self._body.body(parameter, chain, phase)
        inner = format_type(info.inner)
        raise DependencyError(
            f"{where}nothing provides {parameter.name!r} of type {format_type(parameter.type)}. Register a component "
            f"whose resolve() returns {inner}, or say where it comes from: Annotated[..., Depends(provider)]. If "
            f"clients send it, give a function that reads it, type_decoders={{{inner}: function}}.",
            id="C001",
        )


_REQUEST = (
    "Write `{name}: Request`, of hybrid_gateway, or ask for what you need of it: a path or query parameter, a header."
)
_BODY = "Write `{name}: Item`, where Item is a msgspec.Struct, or `{name}: dict`; of one value, Annotated[int, Body()]."
_FORM = "Write `{name}: Annotated[LoginForm, Form()]`, where LoginForm is a msgspec.Struct."
_FILE = "Write `{name}: UploadFile`, or list[UploadFile]."
_ERROR = "Write `{name}: Exception`."
_USER = "Write `{name}: User`, the model of AUTH_USER_MODEL, or `{name}: User | None` where nobody need be logged in."

_REMEDIES = {
    **dict.fromkeys(("request", "req", "http_request", "info"), _REQUEST),
    **dict.fromkeys(("data", "body", "payload", "json"), _BODY),
    **dict.fromkeys(("form", "form_data"), _FORM),
    **dict.fromkeys(("file", "files", "upload"), _FILE),
    **dict.fromkeys(("exc", "exception", "error"), _ERROR),
    **dict.fromkeys(("user", "current_user"), _USER),
    "response": "Write `{name}: Response`, of hybrid_gateway.",
    "headers": "Write `{name}: http.Headers`; of one header, Annotated[str, Header()].",
    "cookies": "Write `{name}: http.Cookies`; of one cookie, Annotated[str, Cookie()].",
    "state": "Write `{name}: State`, of hybrid_gateway.",
    "htmx": "Write `{name}: HTMXRequest`, of hybrid_gateway.htmx.",
    "messages": "Write `{name}: Messages`, of hybrid_gateway.",
    "session": "Write `{name}: SessionBase`, of django.contrib.sessions.backends.base.",
    "background_tasks": "Write `{name}: BackgroundTasks`, of hybrid_gateway.",
}


def reject_unannotated(parameter: Parameter, chain: Chain) -> None:
    """Raise :class:`DependencyError` for an unannotated ``request``, ``data``, ``body`` and their like."""
    remedy = _REMEDIES.get(parameter.name)
    if parameter.type is NO_DEFAULT and parameter.marker is None and remedy is not None:
        raise DependencyError(
            f"{format_chain(chain)}: {parameter.name!r} has no annotation, so it would be text of the query. "
            f"{remedy.format(name=parameter.name)} If text of the query is meant, write `{parameter.name}: str`.",
            id="P001",
        )
