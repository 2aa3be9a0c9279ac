"""Signature → plan: which values a route needs, where each comes from, in which order and on which thread.

How this works: a :class:`Planner` walks the guards, schemes, components and the handler of one route, and gives every
value a variable. A value asked for twice is one variable, which is how components are cached per request. The steps
fall into two halves: *open* (authentication and guards) needs only the head of the request, *finish* (parameters, body,
components, handler) runs when nobody refused. So 401 comes before 403 before 422, and a refused body is never read.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
from django.http import HttpRequest

from hybrid_gateway import http
from hybrid_gateway.binding.body import JSONBody, RawBody
from hybrid_gateway.binding.builtins import BUILTINS, REQUEST
from hybrid_gateway.binding.components import Components, Mode, Provider, make_provider, mode_of
from hybrid_gateway.binding.custom import DecodeHook, Decoders, decode_known
from hybrid_gateway.binding.forms import FormFields, FormReader, is_file, is_files
from hybrid_gateway.binding.lifetime import AppComponents, enter, enter_async
from hybrid_gateway.binding.markers import Body, Cookie, Depends, File, Form, Header, Marker, Path, Query
from hybrid_gateway.binding.parameters import ParameterGroup, path_reader, struct_reader
from hybrid_gateway.binding.shapes import is_json, is_list, is_scalar, is_structure, struct_fields
from hybrid_gateway.binding.signature import (
    NO_DEFAULT,
    Parameter,
    Signature,
    read_signature,
    split_markers,
    strip_annotated,
    strip_optional,
)
from hybrid_gateway.binding.steps import Input, Plan, Step
from hybrid_gateway.binding.verdicts import USERS, admit, admit_or_challenge, claimed
from hybrid_gateway.exceptions import DependencyError

__all__ = ["Planner"]

Chain = tuple[str, ...]

_STREAM = ("body", "stream")  # among the variables


class Half(msgspec.Struct, frozen=True):
    """Where a value's steps go."""

    readers: list[Step]
    steps: list[Step]
    is_open: bool


class Planner:
    """Plans one route. ``given`` are ready variables by type (``Exception`` in error handlers, for one)."""

    def __init__(
        self,
        *,
        where: str,
        components: Components,
        app: AppComponents,
        constants: Mapping[Any, Any],
        path: Mapping[str, Any],
        schemes: Sequence[Any] = (),
        authentication_type: Any = None,
        user_type: Any = None,
        max_body_size: int = 1024 * 1024,
        max_upload_size: int = 50 * 1024 * 1024,
        media_types: Sequence[str] = (),
        decoders: Decoders | None = None,
        parameters: Mapping[str, Any] | None = None,
        body_allowed: bool = True,
        given: Mapping[Any, str] | None = None,
    ) -> None:
        self.plan = Plan()
        self._where = where
        self._components = components
        self._app = app
        self._constants = constants
        self._path = path  # name → type that the tree converts to
        self._schemes = schemes
        self._authentication_type = authentication_type
        self._user_type = user_type
        self._max_body_size = max_body_size
        self._max_upload_size = max_upload_size
        self._media_types = media_types
        self._decoders = decoders
        self._hook: DecodeHook = decoders or decode_known
        self._layered = {name: _layered(name, kind, where) for name, kind in (parameters or {}).items()}
        self._body_allowed = body_allowed
        self._given = given or {}
        self._variables: dict[Any, str] = {}
        self._open = Half(self.plan.open_readers, self.plan.open_steps, True)
        self._finish = Half(self.plan.finish_readers, self.plan.finish_steps, False)
        self._json_body: str | None = None
        self._form: FormFields | None = None
        self._groups: list[tuple[str, str, bool, ParameterGroup]] = []  # variable, source, half, what it holds
        self._named_in_path: set[str] = set()
        self._named_in_layer: set[str] = set()
        self._sees_path = False
        self._count = 0

    # --- what a route is made of

    def guard(self, guard: Any) -> None:
        """Run ``guard`` before the body is read; ``False`` refuses."""
        if inspect.isclass(guard):
            guard = guard()
        where = f"the guard {getattr(guard, '__qualname__', type(guard).__qualname__)} of {self._where}"
        signature = read_signature(guard, where)
        arguments = self._arguments(signature, (where,), self._open)
        authentication = self._authentication((where,)) if self._schemes else "None"
        mode = mode_of(guard)
        call = f"{'await ' if mode == 'loop' else ''}{self._name('guard', guard)}({arguments})"
        self.plan.names["admit"] = admit_or_challenge if self._schemes else admit
        self._open.steps.append(Step(target=None, code=f"admit({call}, {authentication})", mode=mode))

    def enter_hook(self, hook: Any, owner: Any, on_request: Callable[..., Any] | None) -> None:
        """Run the way in of an event hook (a class, made anew for each request, or an instance), then note it."""
        self.plan.enters = True
        instance = self._name("event_hook", owner)
        if inspect.isclass(owner):
            maker, instance = instance, self._new()
            self._open.steps.append(Step(target=instance, code=f"{maker}()"))
        if on_request is not None:
            where = f"{getattr(on_request, '__qualname__', 'on_request')} of {self._where}"
            arguments = self._arguments(read_signature(on_request, where), (where,), self._open)
            mode = mode_of(on_request)
            call = f"{'await ' if mode == 'loop' else ''}{instance}.on_request({arguments})"
            self._open.steps.append(Step(target=None, code=call, mode=mode))
        self._open.steps.append(Step(target=None, code=f"call.enter({self._name('hook', hook)}, {instance})"))

    def ask_first(self, function: Callable[..., Any], check: Callable[..., None], encode: Callable[..., Any]) -> None:
        """Run ``function`` before anything else of the route; what it returns goes to ``check(value, encode)``."""
        where = f"before_request {getattr(function, '__qualname__', function)} of {self._where}"
        arguments = self._arguments(read_signature(function, where), (where,), self._open)
        mode, variable = mode_of(function), self._new()
        call = f"{'await ' if mode == 'loop' else ''}{self._name('before', function)}({arguments})"
        self._open.steps.append(Step(target=variable, code=call, mode=mode))
        code = f"{self._name('check', check)}({variable}, {self._name('encode', encode)})"
        self._open.steps.append(Step(target=None, code=code))

    def check(self, function: Callable[[Any, Any], None], mode: Mode, *, authenticated: bool) -> None:
        """Call ``function(call, authentication)`` here; the latter is ``None`` unless ``authenticated``."""
        authentication = self._authentication((self._where,)) if authenticated and self._schemes else "None"
        code = f"{self._name('check', function)}(call, {authentication})"
        self._open.steps.append(Step(target=None, code=code, mode=mode))

    def authenticate(self, signature: Signature) -> None:
        """Plan authentication first of all where the handler, or anything it needs, asks who calls.

        A handler that cannot do without a user refuses before any guard runs.
        """
        if self._schemes and self._asks_for_user(signature, set()):
            self._authentication((self._where,))
        for parameter in signature.parameters:
            if self._is_authentication(parameter.type) and self._provider(parameter) is None:
                self._value(parameter, (self._where,), self._open)

    def _asks_for_user(self, signature: Signature, seen: set[Any]) -> bool:
        for parameter in signature.parameters:
            provider = self._provider(parameter)
            if provider is None:
                if self._is_authentication(parameter.type):
                    return True
            elif provider.key not in seen:
                seen.add(provider.key)
                if self._asks_for_user(provider.signature, seen):
                    return True
        return False

    def _provider(self, parameter: Parameter) -> Provider | None:
        if isinstance(parameter.marker, Depends):
            return self._depends(parameter, parameter.marker)
        return self._components.find(parameter)

    def _depends(self, parameter: Parameter, marker: Depends) -> Provider:
        target = marker.provider or strip_annotated(parameter.type)
        override = self._components.override(target) or self._components.override(parameter.type)
        return override or make_provider(target, use_cache=marker.use_cache)

    def result(
        self,
        handler: Any,
        signature: Signature,
        mode: Mode,
        finish: Callable[[Any], Any],
        *,
        receiver: str | None = None,
        changes: Sequence[Callable[[Any, Any], Any]] = (),
    ) -> None:
        """End the plan by calling ``handler``, a method of ``receiver`` if there is one; ``finish`` makes an answer.

        ``changes`` are made to that answer, one after the other: ``change(call, answer)``.
        """
        arguments = self._arguments(signature, (self._where,), self._finish)
        for name, parameter in self._layered.items():
            if name not in self._named_in_layer:  # nobody asked for it, and it is checked all the same
                self._value(parameter, (self._where,), self._finish)
        if receiver is not None:
            arguments = f"{receiver}, {arguments}" if arguments else receiver
        call = f"{'await ' if mode == 'loop' else ''}{self._name('handler', handler)}({arguments})"
        self.plan.names["answer"] = finish
        code = f"answer({call})"
        for change in changes:
            code = f"{self._name('change', change)}(call, {code})"
        self.plan.result = Step(target=None, code=code, mode=mode)
        if _STREAM in self._variables and not (self.plan.awaits or inspect.isasyncgenfunction(handler)):
            raise DependencyError(f"{self._where}: only `async def` can read a body that is an AsyncIterator.")
        for *_, group in self._groups:
            group.build()
        unused = self._path.keys() - self._named_in_path
        if unused and not self._sees_path:
            names = ", ".join(sorted(unused))
            raise DependencyError(
                f"{self._where}: the path names {names}, but neither the handler nor anything it needs takes a "
                "parameter of that name. Add it to the signature, or ask for http.PathParams."
            )

    # --- arguments

    def _arguments(self, signature: Signature, chain: Chain, half: Half) -> str:
        arguments = []
        for parameter in signature.parameters:
            variable = self._value(parameter, chain, half)
            positional = parameter.raw.kind is inspect.Parameter.POSITIONAL_ONLY
            arguments.append(variable if positional else f"{parameter.name}={variable}")
        return ", ".join(arguments)

    def _value(self, parameter: Parameter, chain: Chain, half: Half) -> str:
        """The variable that will hold ``parameter``'s value; the first source that fits wins."""
        if isinstance(parameter.marker, Depends):
            return self._provided(self._depends(parameter, parameter.marker), parameter, chain, half)
        override = self._components.override(parameter.type)
        if override is not None:
            return self._provided(override, parameter, chain, half)
        if parameter.name in self._path and (parameter.marker is None or isinstance(parameter.marker, Path)):
            return self._path_value(parameter, half)
        if isinstance(parameter.marker, Marker):
            return self._marked(parameter, parameter.marker, chain, half)
        return (
            self._by_type(parameter, half)
            or self._by_authentication(parameter, chain)
            or self._by_component(parameter, chain, half)
            or self._by_layer(parameter, chain, half)
            or self._by_shape(parameter, chain, half)
        )

    def _marked(self, parameter: Parameter, marker: Marker, chain: Chain, half: Half) -> str:
        if isinstance(marker, Path):
            known = f"its parameters are {', '.join(self._path)}" if self._path else "it has none"
            raise DependencyError(
                f"{_tell(chain)}: {parameter.name!r} is marked Path(), but the path does not name it; {known}."
            )
        if isinstance(marker, Body):
            return self._body(parameter, chain, half)
        if isinstance(marker, Form):
            return self._form_value(parameter, marker, chain, half)
        return self._text(parameter, marker, chain, half)

    def _by_type(self, parameter: Parameter, half: Half) -> str | None:
        kind = strip_optional(parameter.type)
        try:
            hash(kind)
        except TypeError:
            return None
        for given, variable in self._given.items():
            if kind is given or (isinstance(kind, type) and isinstance(given, type) and issubclass(kind, given)):
                return variable
        if kind in self._constants and kind is not REQUEST:
            return self._name("constant", self._constants[kind])
        if kind is REQUEST:
            self._sees_path = True
            router = self._name("router", self._constants.get(REQUEST))
            return self._inline(kind, f"call.request({self._max_body_size}, {self._path_names()}, {router})", half)
        if kind is http.PathParams:
            self._sees_path = True
            maker = self._name("PathParams", http.PathParams)
            return self._inline(kind, f"{maker}(zip({self._path_names()}, call.path_values))", half)
        if kind == AsyncIterator[bytes]:
            return self._streamed_body(parameter, half)
        if kind is http.Body:
            return self._raw_body(parameter, (self._where,), half)
        if kind in BUILTINS:
            return self._inline(kind, f"{self._name('builtin', BUILTINS[kind])}(call)", half)
        return None

    def _path_names(self) -> str:
        return self._name("path_names", tuple(self._path))

    def _inline(self, key: Any, code: str, half: Half) -> str:
        if key not in self._variables:
            self._variables[key] = self._new()
            half.readers.append(Step(target=self._variables[key], code=code))
        return self._variables[key]

    # --- authentication

    def _is_authentication(self, kind: Any) -> bool:
        kind = strip_optional(kind)
        return isinstance(kind, type) and kind in (self._user_type, self._authentication_type)

    def _by_authentication(self, parameter: Parameter, chain: Chain) -> str | None:
        kind = strip_optional(parameter.type)
        if not self._is_authentication(kind):
            return None
        optional = kind is not parameter.type
        key = ("authenticated", kind, optional)
        if key not in self._variables:
            authentication = self._authentication(chain)
            function = USERS[kind is self._user_type, optional]
            self.plan.requires_user |= not optional
            variable = self._variables[key] = self._new()
            code = f"{self._name('identify', function)}({authentication})"
            self._open.steps.append(Step(target=variable, code=code))
        return self._variables[key]

    def _authentication(self, chain: Chain) -> str:
        if "authentication" in self._variables:
            return self._variables["authentication"]
        if not self._schemes:
            raise DependencyError(
                f"{_tell(chain)} asks for the user, but no authentication scheme applies to this route. "
                "Set `authentication=[TokenAuthentication()]` on the handler or a layer around it, or "
                'HYBRID_GATEWAY["AUTHENTICATION"].'
            )
        self.plan.authenticates = True
        found = self._new()
        self._open.steps.append(Step(target=found, code="call.authentication"))
        for scheme in self._schemes:
            where = f"{type(scheme).__qualname__}.authenticate"
            signature = read_signature(scheme.authenticate, where)
            arguments = self._arguments(signature, (*chain, where), self._open)
            mode = mode_of(scheme.authenticate, getattr(scheme, "sync_to_thread", None))
            call = f"{'await ' if mode == 'loop' else ''}{self._name('scheme', scheme.authenticate)}({arguments})"
            previous, found = found, self._new()
            code = f"{previous} if {previous} is not None else {call}"
            self._open.steps.append(Step(target=found, code=code, mode=mode))
        self._open.steps.append(Step(target=None, code=f"{self._name('claimed', claimed)}(call, {found})"))
        self._variables["authentication"] = found
        return found

    # --- components

    def _by_component(self, parameter: Parameter, chain: Chain, half: Half) -> str | None:
        provider = self._components.find(parameter)
        return None if provider is None else self._provided(provider, parameter, chain, half)

    def _provided(self, provider: Provider, parameter: Parameter, chain: Chain, half: Half) -> str:
        sees_parameter = any(inner.type is inspect.Parameter for inner in provider.signature.parameters)
        key = (provider.key, parameter.name, parameter.type) if sees_parameter else provider.key
        if provider.use_cache and key in self._variables:
            return self._variables[key]
        where = provider.signature.where
        if where in chain[1:]:
            raise DependencyError(f"{_tell((*chain, where))}: a component cannot need itself.")
        if provider.lifetime == "app":
            call, mode = self._app_value(provider, chain)
        else:
            if sees_parameter:
                provider = _bind_parameter(provider, parameter)
            arguments = self._arguments(provider.signature, (*chain, where), half)
            call, mode = f"{self._name('provide', provider.call)}({arguments})", provider.mode
        if provider.lifetime != "app" and provider.cleans_up:
            self.plan.enters = True
            function = enter_async if mode == "loop" else enter
            call = f"{self._name('enter', function)}(call, {call}, {mode!r})"
        variable = self._new()
        if provider.use_cache:
            self._variables[key] = variable
        half.steps.append(Step(target=variable, code=f"{'await ' if mode == 'loop' else ''}{call}", mode=mode))
        return variable

    def _app_value(self, provider: Provider, chain: Chain) -> tuple[str, Mode]:
        mode = self._app.register(provider, self._components, self._constants, chain)
        function = self._app.open_async if mode == "loop" else self._app.open
        return f"{self._name('app', function)}({self._name('component', provider)})", mode

    # --- parameters and bodies

    def _by_shape(self, parameter: Parameter, chain: Chain, half: Half) -> str:
        kind = strip_annotated(strip_optional(strip_annotated(parameter.type)))
        if self._fits_text(parameter.type):
            if strip_annotated(kind) is bytes:
                raise DependencyError(
                    f"{_tell(chain)}: {parameter.name!r} is bytes; write Annotated[bytes, Body()] for the raw body."
                )
            return self._text(parameter, Query(), chain, half)
        if is_file(kind) or is_files(kind):
            return self._form_value(parameter, File(), chain, half)
        if is_json(kind):
            return self._body(parameter, chain, half)
        if isinstance(kind, type) and issubclass(kind, HttpRequest):
            raise DependencyError(
                f"{_tell(chain)}: {parameter.name!r} would be a Django request, which typed routes do not build. Ask "
                "for Request, or set django_middleware=[...] on a layer."
            )
        raise DependencyError(
            f"{_tell(chain)}: nothing provides {parameter.name!r} of type {_show(parameter.type)}. Register a "
            f"component whose resolve() returns {_show(kind)}, or say where it comes from: "
            "Annotated[..., Depends(provider)]."
        )

    def _by_layer(self, parameter: Parameter, chain: Chain, half: Half) -> str | None:
        """A parameter that a layer declares for every handler below it; the handler may say more of its type."""
        layered = self._layered.get(parameter.name)
        if layered is None:
            return None
        self._named_in_layer.add(parameter.name)
        kind = layered.type if parameter.type is NO_DEFAULT else parameter.type
        default = layered.default if parameter.required else parameter.default
        return self._value(msgspec.structs.replace(layered, type=kind, default=default), chain, half)

    def _path_value(self, parameter: Parameter, half: Half) -> str:
        self._named_in_path.add(parameter.name)
        names = list(self._path)
        position = names.index(parameter.name)
        key = ("path", parameter.name, _hashable(parameter.type))
        if key in self._variables:
            return self._variables[key]
        self._document("path", parameter.name, parameter, parameter.type if parameter.type is not NO_DEFAULT else str)
        code = f"call.path_values[{position}]"
        if parameter.type not in (NO_DEFAULT, self._path[parameter.name]):
            code = f"{self._name('read_path', path_reader(parameter, position, self._hook))}(call.path_values, errors)"
        self._variables[key] = self._new()
        half.readers.append(Step(target=self._variables[key], code=code))
        return self._variables[key]

    def _text(self, parameter: Parameter, marker: Marker, chain: Chain, half: Half) -> str:
        source, wire_name = marker.source, marker.wire_name(parameter.name)
        key = (source, wire_name, _hashable(parameter.type), repr(parameter.default))
        if key not in self._variables:
            if is_structure(parameter.type):
                self._variables[key] = self._text_struct(parameter, marker, half)
            else:
                self._check_text(parameter, marker, chain)
                kind = str if parameter.type is NO_DEFAULT else parameter.type
                self._document(source, wire_name, parameter, kind)
                self._variables[key] = self._grouped(parameter, source, wire_name, half)
        return self._variables[key]

    def _text_struct(self, parameter: Parameter, marker: Marker, half: Half) -> str:
        source, wire_name = marker.source, type(marker)().wire_name
        for field in struct_fields(strip_annotated(strip_optional(parameter.type))):
            self._document(source, wire_name(field.encode_name), None, field.type, field.required)
        variable, reader = self._new(), struct_reader(parameter, source, wire_name, self._hook)
        half.readers.append(Step(target=variable, code=f"{self._name(f'read_{source}', reader)}(call, errors)"))
        return variable

    def _fits_text(self, kind: Any) -> bool:
        """Whether text, or a list of texts, can hold a value of this type."""
        if kind is NO_DEFAULT or is_scalar(kind) or is_list(kind):
            return True
        return self._decoders is not None and self._decoders.knows(kind)

    def _check_text(self, parameter: Parameter, marker: Marker, chain: Chain) -> None:
        if self._fits_text(parameter.type):
            return
        raise DependencyError(
            f"{_tell(chain)}: {parameter.name!r} is marked {type(marker).__name__}(), but text cannot hold "
            f"{_show(parameter.type)}. Use a scalar, a list of scalars, or a Struct of them."
        )

    def _grouped(self, parameter: Parameter, source: str, wire_name: str, half: Half) -> str:
        """The attribute of a Struct that holds everything of one source."""
        for variable, known, is_open, group in self._groups:
            field = group.add(parameter, wire_name) if (known, is_open) == (source, half.is_open) else None
            if field is not None:
                return f"{variable}.{field}"
        variable, group = self._new(), ParameterGroup(source, self._hook)
        self._groups.append((variable, source, half.is_open, group))
        half.readers.append(Step(target=variable, code=f"{self._name(f'read_{source}', group.read)}(call, errors)"))
        return f"{variable}.{group.add(parameter, wire_name)}"

    def _body(self, parameter: Parameter, chain: Chain, half: Half) -> str:
        if strip_annotated(parameter.type) is bytes:
            return self._raw_body(parameter, chain, half)
        if strip_annotated(parameter.type) == AsyncIterator[bytes]:
            return self._streamed_body(parameter, half)
        self._check_body(parameter, chain, half)
        key = ("body", parameter.name, _hashable(parameter.type))
        if key in self._variables:
            return self._variables[key]
        if self._json_body is not None:
            raise DependencyError(
                f"{_tell(chain)}: {parameter.name!r} and {self._json_body!r} are both the JSON body. Put them into "
                "one Struct, or mark one Query() or Depends(...)."
            )
        if self._form is not None or _STREAM in self._variables:
            raise self._two_bodies(parameter, chain)
        self._json_body = parameter.name
        kind = Any if parameter.type is NO_DEFAULT else parameter.type
        try:
            body = JSONBody(kind, parameter.default, self._media_types, self._hook)
        except TypeError as error:
            raise DependencyError(f"{_tell(chain)}: {parameter.name!r} cannot be a JSON body: {error}") from error
        return self._read_body(key, body, parameter, kind)

    def _streamed_body(self, parameter: Parameter, half: Half) -> str:
        """The body as it comes, for the handler to iterate; so nothing else may read it."""
        self._check_body(parameter, (self._where,), half)
        if self.plan.body_readers or self._form is not None:
            raise self._two_bodies(parameter, (self._where,))
        if _STREAM not in self._variables:
            self._document("body", parameter.name, None, bytes, media_type="application/octet-stream", required=False)
            self._variables[_STREAM] = self._new()
            code = f"call.stream({self._max_body_size})"
            half.readers.append(Step(target=self._variables[_STREAM], code=code))
        return self._variables[_STREAM]

    def _raw_body(self, parameter: Parameter, chain: Chain, half: Half) -> str:
        self._check_body(parameter, chain, half)
        key = ("body", bytes, parameter.type)
        if key in self._variables:
            return self._variables[key]
        if self._form is not None or _STREAM in self._variables:
            raise self._two_bodies(parameter, chain)
        return self._read_body(key, RawBody(strip_annotated(parameter.type)), parameter, bytes)

    def _read_body(self, key: Any, body: JSONBody | RawBody, parameter: Parameter, kind: Any) -> str:
        self._document("body", parameter.name, parameter, kind, media_type=body.media_type)
        self._variables[key] = self._new()
        code = f"{self._name('read_body', body.read)}(call, body, errors)"
        self.plan.body_readers.append(Step(target=self._variables[key], code=code))
        return self._variables[key]

    def _form_value(self, parameter: Parameter, marker: Form, chain: Chain, half: Half) -> str:
        self._check_body(parameter, chain, half)
        key = ("form", marker.wire_name(parameter.name), _hashable(parameter.type), repr(parameter.default))
        if key in self._variables:
            return self._variables[key]
        if self._form is None:
            if self.plan.body_readers or _STREAM in self._variables:
                raise self._two_bodies(parameter, chain)
            self._form = FormFields(self._hook)
            self.plan.enters = True  # files are closed with the request
            reader = FormReader(self._form, self._max_upload_size)
            self.plan.read_body = f"await {self._name('read_form', reader.read)}(call)"
        if is_structure(parameter.type):
            read = self._form.add_struct(parameter)
            for field in struct_fields(strip_annotated(strip_optional(parameter.type))):
                kind, inner = split_markers(field.type, field.encode_name, _tell(chain))
                self._document("form", field.encode_name, None, kind, field.required, marker=inner)
        else:
            self._check_form(parameter, marker, chain)
            read = self._form.add(parameter, marker)
            kind = str if parameter.type is NO_DEFAULT else parameter.type
            self._document("form", marker.wire_name(parameter.name), parameter, kind)
        self._variables[key] = self._new()
        code = f"{self._name('read_field', read)}(body, errors)"
        self.plan.body_readers.append(Step(target=self._variables[key], code=code))
        return self._variables[key]

    def _check_form(self, parameter: Parameter, marker: Form, chain: Chain) -> None:
        if not (is_file(parameter.type) or is_files(parameter.type)):
            if isinstance(marker, File):
                raise DependencyError(
                    f"{_tell(chain)}: {parameter.name!r} is marked File(), but is no file; annotate it UploadFile or "
                    "list[UploadFile]."
                )
            self._check_text(parameter, marker, chain)

    def _two_bodies(self, parameter: Parameter, chain: Chain) -> DependencyError:
        return DependencyError(
            f"{_tell(chain)}: {parameter.name!r} cannot be read, because the body would be two things at once, a form "
            "or a stream and something else. Make every part of it a field: Annotated[..., Form()]."
        )

    def _check_body(self, parameter: Parameter, chain: Chain, half: Half) -> None:
        if half.is_open:
            raise DependencyError(
                f"{_tell(chain)} needs the request body through {parameter.name!r}, but guards and authentication run "
                "before the body is read. Check the body in the handler, or in a component of its."
            )
        if not self._body_allowed:
            what = "a form field" if isinstance(parameter.marker, Form) or is_file(parameter.type) else "the JSON body"
            raise DependencyError(
                f"{_tell(chain)}: {parameter.name!r} would be {what}, which GET and HEAD do not have. For query "
                f"parameters write `{parameter.name}: Annotated[{_show(parameter.type)}, Query()]`."
            )

    # --- names

    def _document(
        self,
        source: str,
        name: str,
        parameter: Parameter | None,
        kind: Any,
        required: bool = True,
        media_type: str = "",
        marker: Any = None,
    ) -> None:
        default = parameter.default if parameter is not None else NO_DEFAULT
        self.plan.inputs.append(
            Input(
                source=source,
                name=name,
                type=kind,
                required=required if parameter is None else parameter.required,
                default=default,
                marker=parameter.marker if parameter is not None else marker,
                media_type=media_type,
            )
        )

    def _new(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _name(self, role: str, value: Any) -> str:
        for name, known in self.plan.names.items():
            if known is value and name.startswith(role):
                return name
        name = f"{role}_{sum(1 for known in self.plan.names if known.startswith(role + '_'))}"
        self.plan.names[name] = value
        return name


# --- types and messages --------------------------------------------------------------------------------------------


def _layered(name: str, annotation: Any, where: str) -> Parameter:
    """A parameter that a layer declares; one that may be ``None`` may be left out."""
    where = f"{where}: parameters={{{name!r}: ...}}"
    kind, marker = split_markers(annotation, name, where)
    if not isinstance(marker, Query | Header | Cookie):
        raise DependencyError(f"{where} must say where it comes from: Annotated[..., Header()], Query() or Cookie().")
    raw = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    default = NO_DEFAULT if strip_optional(kind) is kind else None
    return Parameter(name=name, type=kind, marker=marker, default=default, raw=raw)


def _bind_parameter(provider: Provider, parameter: Parameter) -> Provider:
    """``provider`` with its ``inspect.Parameter`` filled in."""
    [own] = [inner for inner in provider.signature.parameters if inner.type is inspect.Parameter]
    rest = tuple(inner for inner in provider.signature.parameters if inner is not own)
    call, bound = provider.call, parameter.raw.replace(annotation=parameter.type)

    def provide(**values: Any) -> Any:
        return call(**{own.name: bound}, **values)

    signature = msgspec.structs.replace(provider.signature, parameters=rest)
    return msgspec.structs.replace(provider, call=provide, signature=signature)


def _hashable(kind: Any) -> Any:
    try:
        hash(kind)
    except TypeError:
        return repr(kind)
    return kind


def _show(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _tell(chain: Chain) -> str:
    return " → ".join(chain)
