"""Path, query, header and cookie parameters: what reads them, built at start-up.

A reader takes a request and the list of errors; it returns converted values, or appends errors.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

import msgspec

from hybrid_gateway.binding.decoders import DecodeHook, decode_known
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter
from hybrid_gateway.binding.struct_fields import struct_fields
from hybrid_gateway.binding.text_converters import TextType, is_list
from hybrid_gateway.binding.validation import REFUSALS, collect_errors, missing, one_error, unknown
from hybrid_gateway.codegen import Names, define
from hybrid_gateway.exceptions import ErrorEntry, NotFound
from hybrid_gateway.request.context import RequestContext

__all__ = ["ParameterGroup", "Reader", "fresh", "path_reader", "struct_reader", "struct_value"]

Reader = Callable[[RequestContext, list[ErrorEntry]], object]
PathReader = Callable[[tuple[object, ...], list[ErrorEntry]], object]

# --- single parameters ---------------------------------------------------------------------------------------------


class ParameterGroup:
    """All parameters of one source: one function, generated when every one is known."""

    # PERF: what most parameters are, text and whole numbers, is read by lines of that function, without a call.

    def __init__(self, source: str) -> None:
        self._source = source
        row = SOURCES[source]
        self._globals: dict[str, object] = {"values_of": row.values, "lists_of": row.lists, "fresh": fresh}
        self._names = Names(("ctx", "errors", "text", "values", "lists", "int", "ValueError", *self._globals))
        self._lines: list[str] = []
        self._variables: dict[str, str] = {}  # by name on the wire
        self._takes = {"values": False, "lists": False}

    def add(self, parameter: Parameter, wire_name: str, kind: TextType) -> int | None:
        """Return the position of ``parameter`` among the values; ``None`` when another goes by its name already."""
        if wire_name in self._variables:
            return None
        location = (self._source, wire_name)
        variable = self._variables[wire_name] = self._names.unique(parameter.name)
        slow = f"{variable} = {self._name(f'read_{parameter.name}', kind.reader(location))}(text, errors)"
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
        return len(self._variables) - 1

    def _name(self, wanted: str, value: object) -> str:
        name = self._names.unique(wanted)
        self._globals[name] = value
        return name

    def _take(self, name: str, wire_name: str, *, many: bool) -> list[str]:
        if SOURCES[self._source].is_header and not many:  # PERF: one of many
            header = self._name(f"name_of_{name}", wire_name.encode("latin-1"))
            return [f"text = ctx.header({header})", "if text is not None: text = text.decode('latin-1')"]
        source = "lists" if many else "values"
        self._takes[source] = True
        return [f"text = {source}.get({self._name(f'name_of_{name}', wire_name)})"]

    def build(self, where: str) -> Reader:
        """Return the function of ``(ctx, errors)`` that gives the values, in order; every parameter is added."""
        taken = [f"{source} = {source}_of(ctx)" for source, wanted in self._takes.items() if wanted]
        values = "".join(f"{variable}, " for variable in self._variables.values())
        lines = [*taken, *self._lines, f"return ({values})"]
        source = "def read(ctx, errors):\n" + "".join(f"    {line}\n" for line in lines)
        return define("read", source, self._globals, f"{where}: {self._source}")


def _converted(variable: str, slow: str, kind: TextType) -> list[str]:
    """Return the lines that make a value of the text."""
    if kind.kind is str and kind.check is None:
        return ["else:", f"    {variable} = text"]
    if kind.kind is not int or (kind.check is not None and kind.bounds is None):
        return ["else:", f"    {slow}"]
    lines = ["elif text.isdigit() and text.isascii():", "    try:", f"        {variable} = int(text)"]
    lines += ["    except ValueError:", f"        {slow}"]
    if kind.bounds is not None:
        kept = " and ".join(f"{variable} {_SIGNS[name]} {bound!r}" for name, bound in kind.bounds.by_name.items())
        lines += ["    else:", f"        if not ({kept}):", f"            {slow}"]
    return [*lines, "else:", f"    {slow}"]


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
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
