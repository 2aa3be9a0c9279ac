"""Path, query, header and cookie parameters: what reads them, and what plans that at start-up.

A reader takes a request and the list of errors; it returns converted values, or appends errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import msgspec

from hybrid_gateway.binding.decoders import DecodeHook, decode_known
from hybrid_gateway.binding.markers import Marker
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.plan import Chain, Code, Phase, PlanBuilder, Step, code, format_chain, format_type, hashable
from hybrid_gateway.binding.plan_scope import InputTypes, PlanScope, type_to_read
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, is_closed, struct_fields
from hybrid_gateway.binding.text_converters import TextType, documented, is_list
from hybrid_gateway.binding.usual_query import UsualParameter, is_usual, usual_lines
from hybrid_gateway.binding.validation import REFUSALS, collect_errors, missing, one_error, unknown
from hybrid_gateway.codegen import Names, define
from hybrid_gateway.exceptions import DependencyError, ErrorEntry, NotFound
from hybrid_gateway.request.context import RequestContext

Reader = Callable[[RequestContext, list[ErrorEntry]], object]
PathReader = Callable[[tuple[object, ...], list[ErrorEntry]], object]

# --- single parameters ---------------------------------------------------------------------------------------------


class ParameterGroup:
    """All parameters of one source: one function, generated when every one is known."""

    # PERF: what most parameters are, text and whole numbers, is read by lines of that function, without a call.

    def __init__(self, builder: PlanBuilder, source: str, phase: Phase) -> None:
        self.source, self.phase = source, phase
        self.reader = builder.name(f"read_{source}", self)  # what the code calls the function
        call = Code(f"{self.reader}(ctx, errors)")
        self.variable = builder.assign(source, phase.readers, Step(call=call, can_fail=True))
        row = SOURCES[source]
        self._globals: dict[str, object] = {"values_of": row.values, "lists_of": row.lists, "fresh": fresh}
        self._globals |= {"invalid": msgspec.ValidationError}
        self._names = Names((*_RESERVED, *self._globals))
        self._usual: list[UsualParameter] = []
        self._lines: list[str] = []
        self._variables: dict[str, str] = {}  # by name on the wire
        self._takes = {"values": False, "lists": False}

    def add(self, parameter: Parameter, wire_name: str, kind: TextType) -> int | None:
        """Return the position of ``parameter`` among the values; ``None`` when another goes by its name already."""
        if wire_name in self._variables:
            return None
        location = (self.source, wire_name)
        variable = self._variables[wire_name] = self._names.unique(parameter.name)
        slow = f"{variable} = {self._name(f'read_{parameter.name}', kind.reader(location))}(text, errors)"
        value = None
        self._lines += self._take(parameter.name, wire_name, many=kind.many)
        self._lines.append("if text is None:")
        if parameter.required:
            absent = self._name(f"missing_{parameter.name}", lambda: missing(location))
            self._lines += [f"    errors.append({absent}())", f"    {variable} = None"]
        else:
            default = self._name(f"default_{parameter.name}", parameter.default)
            value = f"fresh({default})" if isinstance(parameter.default, _MUTABLE) else default
            self._lines.append(f"    {variable} = {value}")
        self._lines += _converted(variable, slow, kind)
        usual = UsualParameter(
            variable=variable,
            wire_name=wire_name,
            prefix=self._name(f"{parameter.name}_is", f"{wire_name}=".encode()),
            kind=kind,
            read=self._name(f"convert_{parameter.name}", kind.read_one if kind.check is None else kind.read),
            default=value,
        )
        self._usual.append(usual)
        return len(self._variables) - 1

    def _name(self, wanted: str, value: object) -> str:
        name = self._names.unique(wanted)
        self._globals[name] = value
        return name

    def _take(self, name: str, wire_name: str, *, many: bool) -> list[str]:
        if SOURCES[self.source].is_header and not many:  # PERF: one of many
            header = self._name(f"name_of_{name}", wire_name.encode("latin-1"))
            return [f"text = ctx.header({header})", "if text is not None: text = text.decode('latin-1')"]
        source = "lists" if many else "values"
        self._takes[source] = True
        return [f"text = {source}.get({self._name(f'name_of_{name}', wire_name)})"]

    def build(self, where: str, *, alone: bool) -> Reader:
        """Return the function of ``(ctx, errors)`` that gives the values, in order; every parameter is added.

        ``alone``: nothing else asks for values of this source.
        """
        taken = [f"{source} = {source}_of(ctx)" for source, wanted in self._takes.items() if wanted]
        values = f"return ({''.join(f'{variable}, ' for variable in self._variables.values())})"
        source = _function("read", [*taken, *self._lines, values])
        if alone and self.source == "query" and is_usual(self._usual):
            usual = usual_lines(self._usual, "return read_any(ctx, errors)")
            source = source.replace("read", "read_any", 1) + _function("read", [*usual, values])
        return define("read", source, self._globals, f"{where}: {self.source}")


_RESERVED = ("ctx", "errors", "text", "values", "lists", "int", "ValueError", "raw", "pair", "read", "read_any")


def _function(name: str, lines: Sequence[str]) -> str:
    return f"def {name}(ctx, errors):\n" + "".join(f"    {line}\n" for line in lines)


def _converted(variable: str, slow: str, kind: TextType) -> list[str]:
    """Return the lines that make a value of the text."""
    if kind.is_simple_text:
        return ["else:", f"    {variable} = text"]
    if not kind.is_simple_int:
        return ["else:", f"    {slow}"]
    lines = ["elif text.isdigit() and text.isascii():", "    try:", f"        {variable} = int(text)"]
    lines += ["    except ValueError:", f"        {slow}"]
    if kind.bounds is not None:
        lines += ["    else:", *(f"        {line}" for line in kind.bounded(variable, slow))]
    return [*lines, "else:", f"    {slow}"]


_MUTABLE = (list, set, dict, bytearray)


def fresh(default: object) -> object:
    """A mutable default is never shared between requests."""
    return default.copy() if isinstance(default, _MUTABLE) else default


# --- Structs of them -----------------------------------------------------------------------------------------------


def struct_reader(
    parameter: Parameter,
    source: str,
    wire_name: Callable[[str], str],
    kinds: dict[str, TextType],
    hook: DecodeHook = decode_known,
    asked: Container[str] | None = None,
) -> Reader:
    """A Struct whose fields are parameters of one source; errors carry the names of the fields on the wire.

    ``kinds`` says how each becomes a value; pydantic's models see to that themselves. With ``asked``, other names are
    errors.
    """
    kind = parameter.info.without_none
    fields = []
    for field in struct_fields(kind):
        name, encode_name = wire_name(field.encode_name), field.encode_name
        known = kinds.get(encode_name)
        many = is_list(field.type) if known is None else known.many
        fields.append((name, encode_name, many, None if known is None else known.reader((source, name))))
    lists_of, default = SOURCES[source].lists, parameter.default
    assert lists_of is not None
    wire_names: dict[str | int, str] = {encode_name: name for name, encode_name, _, _ in fields}

    def read(ctx: RequestContext, errors: list[ErrorEntry]) -> object:
        lists, found = lists_of(ctx), {}
        before = len(errors)
        for name, field, many, convert in fields:
            texts = lists.get(name)
            if texts is not None:
                given = texts if many else texts[-1]
                found[field] = given if convert is None else convert(given, errors)
        if not found and default is not NO_DEFAULT:
            return default
        return struct_value(found, kind, source, errors, before, hook, wire_names)

    if asked is None:
        return read

    def read_closed(ctx: RequestContext, errors: list[ErrorEntry]) -> object:
        errors += unknown(source, lists_of(ctx), asked)
        return read(ctx, errors)

    return read_closed


def struct_value(
    found: dict[str, object],
    kind: object,
    source: str,
    errors: list[ErrorEntry],
    before: int,
    hook: DecodeHook,
    wire_names: Mapping[str | int, str],
) -> object:
    """The Struct of values that are converted already; with errors since ``before``, those of what is missing, too.

    ``wire_names`` has its fields in order, by the names they have in it.
    """
    wrong = {error["loc"][1] for error in errors[before:]}
    if not wrong:
        try:
            return msgspec.convert(found, kind, dec_hook=hook)
        except REFUSALS:
            pass
    for error in collect_errors(found, kind, (source,), hook=hook):
        if error["loc"][1:]:
            error["loc"][1] = wire_names.get(error["loc"][1], error["loc"][1])
        if not wrong or (error["loc"][1:] and error["loc"][1] not in wrong):
            errors.append(error)
    order: dict[str | int, int] = {name: position for position, name in enumerate(wire_names.values())}
    errors[before:] = sorted(errors[before:], key=lambda error: order.get((*error["loc"], "", "")[1], len(order)))
    return None


# --- the path ------------------------------------------------------------------------------------------------------


def path_reader(parameter: Parameter, position: int, kind: TextType, converted: object) -> PathReader:
    """A path value that the tree left as text, or whose constraints are to be checked.

    Text that is no such value is 404: another path. One that breaks a constraint is 422.
    """
    location, convert, check = ("path", parameter.name), kind.read_one, kind.check
    assert convert is not None
    is_ready = kind.kind is converted and converted is not str

    def read(values: tuple[object, ...], errors: list[ErrorEntry]) -> object:
        value = values[position]
        try:
            if not is_ready:
                value = convert(value if isinstance(value, str) else str(msgspec.to_builtins(value)))
        except msgspec.ValidationError:
            raise NotFound from None
        try:
            return value if check is None else check(value)
        except msgspec.ValidationError as error:
            errors.append(one_error(error, location))
            return None

    return read


# --- in the plan of a route ----------------------------------------------------------------------------------------


class ParameterPlanner:
    """Plans the parameters of one route."""

    def __init__(self, builder: PlanBuilder, scope: PlanScope, types: InputTypes) -> None:
        self.sees_path = False  # as a whole, not name by name
        self.query_names: set[str] = set()  # which parameters the query may have; complete when everything is planned
        self._builder = builder
        self._where, self._path = scope.where, scope.path
        self._types = types
        self._groups: list[ParameterGroup] = []
        self._reads: Counter[str] = Counter()  # how many functions read each source
        self._named_in_path: set[str] = set()

    def end(self, *, whole_path: bool) -> None:
        """Generate the readers: everything is planned.

        With ``whole_path`` raise :class:`DependencyError` unless somebody has asked for all of the path.
        """
        for group in self._groups:
            alone = self._reads[group.source] == 1
            self._builder.plan.names[group.reader] = group.build(self._where, alone=alone)
        self.query_names |= {entry.name for entry in self._builder.plan.inputs if entry.source == "query"}
        unused = self._path.keys() - self._named_in_path
        if whole_path and unused and not self.sees_path:
            names = ", ".join(sorted(unused))
            raise DependencyError(
                f"{self._where}: the path names {names}, but neither the handler nor anything it needs takes a "
                "parameter of that name. Add it to the signature, or ask for http.PathParams.",
                id="P011",
            )

    # --- the path

    def path_value(self, parameter: Parameter, phase: Phase) -> Code:
        """Return the variable of a value in the path."""
        self._named_in_path.add(parameter.name)
        key = ("path", parameter.name, hashable(parameter.type))
        if key not in self._builder.variables:
            step = self._read_path(parameter)
            self._builder.variables[key] = self._builder.assign(parameter.name, phase.readers, step)
        return self._builder.variables[key]

    def _read_path(self, parameter: Parameter) -> Step:
        position = list(self._path).index(parameter.name)
        converted = self._path[parameter.name]
        kind = converted if parameter.type is NO_DEFAULT else parameter.type
        self._builder.document(parameter, "path", parameter.name, documented(kind), parameter.marker)
        if not parameter.checked or kind is converted:
            return Step(call=Code(f"ctx.path_values[{position}]"))
        reader = path_reader(parameter, position, self._path_type(parameter, converted), converted)
        return Step(call=self._builder.call("read_path", reader, "ctx.path_values, errors"), can_fail=True)

    def _path_type(self, parameter: Parameter, converted: object) -> TextType:
        """Return how a value of the path becomes one of ``parameter``; the tree has made it ``converted``."""
        where = f"{self._where}: {parameter.name!r}"
        if not self._types.is_scalar(parameter.type):
            raise DependencyError(
                f"{where} is one piece of the path, which cannot hold {format_type(parameter.type)}. Annotate a "
                "scalar; what comes from elsewhere needs another name.",
                id="P013",
            )
        kind = self._types.text_type(parameter.type, where)
        if converted is not str and not kind.follows(converted):
            raise DependencyError(
                f"{where} is {format_type(converted)} by the converter in the path, and {format_type(parameter.type)} "
                "by its annotation. Leave the converter out, or annotate what it gives.",
                id="P013",
            )
        return kind

    # --- query, headers, cookies

    def text(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        """Return the variable of a query parameter, header or cookie, or of a Struct of them."""
        source, wire_name = marker.source, marker.wire_name(parameter.name)
        if SOURCES[source].values is None:
            raise DependencyError(
                f"{format_chain(chain)}: {parameter.name!r} is marked {type(marker).__name__}(), whose row of SOURCES "
                "has neither values= nor lists= to read it from.",
                id="P017",
            )
        key = (source, wire_name, hashable(parameter.type), repr(parameter.default), parameter.checked)
        if key not in self._builder.variables:
            plan = self._text_struct if parameter.info.is_structure else self._single_text
            self._builder.variables[key] = plan(parameter, marker, chain, phase)
        return self._builder.variables[key]

    def _single_text(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        where, wire_name = f"{format_chain(chain)}: {parameter.name!r}", marker.wire_name(parameter.name)
        if not self._types.fits_text(parameter.type):
            raise DependencyError(
                f"{where} is marked {type(marker).__name__}(), but text cannot hold {format_type(parameter.type)}. "
                "Use a scalar, a list of scalars, or a Struct of them.",
                id="P014",
            )
        self._builder.document(parameter, marker.source, wire_name, documented(parameter.type), marker)
        kind = self._types.text_type(type_to_read(parameter), where)
        for group in self._groups:
            if group.source == marker.source and group.phase is phase:
                position = group.add(parameter, wire_name, kind)
                if position is not None:
                    return code(f"{{}}[{position}]", group.variable)
        group = ParameterGroup(self._builder, marker.source, phase)
        self._groups.append(group)
        self._reads[marker.source] += 1
        return code(f"{{}}[{group.add(parameter, wire_name, kind)}]", group.variable)

    def _text_struct(self, parameter: Parameter, marker: Marker, chain: Chain, phase: Phase) -> Code:
        source, wire_name = marker.source, type(marker)().wire_name
        kinds: dict[str, TextType] = {}
        for field, kind, inner in self._types.fields(parameter, chain):
            where = f"{format_chain(chain)}: the field {field.encode_name!r} of {parameter.name!r}"
            if not (kind is Any or self._types.fits_text(kind)):
                raise DependencyError(
                    f"{where} is {format_type(kind)}, which the {source} cannot hold. Use a scalar, or a list of "
                    "scalars.",
                    id="P014",
                )
            if not parameter.info.is_pydantic:
                kinds[field.encode_name] = self._types.text_type(kind, where, raw=True)
            self._builder.document(field, source, wire_name(field.encode_name), documented(kind), inner)
        # Other headers and cookies are there whatever a client does: in the query alone unknown names are rejected.
        asked = self.query_names if source == "query" and is_closed(parameter.info.origin) else None
        reader = struct_reader(parameter, source, wire_name, kinds, self._types.hook, asked)
        self._reads[source] += 1
        step = Step(call=self._builder.call(f"read_{source}", reader, "ctx, errors"), can_fail=True)
        return self._builder.assign(parameter.name, phase.readers, step)
