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
from hybrid_gateway.codegen import define
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
        self._names: dict[str, object] = {"values_of": row.values, "lists_of": row.lists, "fresh": fresh}
        self._lines: list[str] = []
        self._wire_names: list[str] = []
        self._takes = {"values": False, "lists": False}

    def add(self, parameter: Parameter, wire_name: str, kind: TextType) -> int | None:
        """The position of ``parameter`` among the values; ``None`` when another goes by its name already."""
        if wire_name in self._wire_names:
            return None
        position = len(self._wire_names)
        self._wire_names.append(wire_name)
        location = (self._source, wire_name)
        self._names |= {f"n{position}": wire_name, f"r{position}": kind.reader(location)}
        self._lines += [*self._take(position, wire_name, many=kind.many), *self._absent(position, parameter, location)]
        self._lines += _converted(position, kind)
        return position

    def _take(self, position: int, wire_name: str, *, many: bool) -> list[str]:
        if SOURCES[self._source].is_header and not many:  # PERF: one of many
            self._names[f"h{position}"] = wire_name.encode("latin-1")
            return [f"text = ctx.header(h{position})", "if text is not None: text = text.decode('latin-1')"]
        source = "lists" if many else "values"
        self._takes[source] = True
        return [f"text = {source}.get(n{position})"]

    def _absent(self, position: int, parameter: Parameter, location: tuple[str, str]) -> list[str]:
        if parameter.required:
            self._names[f"e{position}"] = lambda: missing(location)
            return ["if text is None:", f"    errors.append(e{position}())", f"    v{position} = None"]
        self._names[f"d{position}"] = parameter.default
        value = f"fresh(d{position})" if isinstance(parameter.default, _MUTABLE) else f"d{position}"
        return ["if text is None:", f"    v{position} = {value}"]

    def build(self, where: str) -> Reader:
        """The function of ``(ctx, errors)`` that gives the values, in order; every parameter is added."""
        taken = [f"{source} = {source}_of(ctx)" for source, wanted in self._takes.items() if wanted]
        values = "".join(f"v{position}, " for position in range(len(self._wire_names)))
        lines = [*taken, *self._lines, f"return ({values})"]
        source = "def read(ctx, errors):\n" + "".join(f"    {line}\n" for line in lines)
        return define("read", source, self._names, f"{where}: {self._source}")


def _converted(position: int, kind: TextType) -> list[str]:
    """The lines that make ``v`` of the text."""
    slow = f"v{position} = r{position}(text, errors)"
    if kind.kind is str and kind.check is None:
        return ["else:", f"    v{position} = text"]
    if kind.kind is not int or (kind.check is not None and kind.bounds is None):
        return ["else:", f"    {slow}"]
    lines = ["elif text.isdigit() and text.isascii():", "    try:", f"        v{position} = int(text)"]
    lines += ["    except ValueError:", f"        {slow}"]
    if kind.bounds is not None:
        kept = " and ".join(f"v{position} {_SIGNS[name]} {bound!r}" for name, bound in kind.bounds.by_name.items())
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
