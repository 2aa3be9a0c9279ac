"""Path, query, header and cookie parameters: one small reader per parameter, built at start-up.

A reader takes the values of its source and the list of errors; it returns the converted value, or appends an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from hybrid_gateway.binding.call import Call
from hybrid_gateway.binding.custom import DecodeHook, decode_known
from hybrid_gateway.binding.digits import decimal_faults, holds_decimal
from hybrid_gateway.binding.shapes import is_list, struct_fields
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, strip_annotated, strip_optional
from hybrid_gateway.binding.validation import Error, collect_errors, missing, one_error
from hybrid_gateway.exceptions import NotFound

__all__ = [
    "SOURCES",
    "ParameterGroup",
    "Reader",
    "fresh",
    "list_reader",
    "path_reader",
    "scalar_reader",
    "struct_reader",
]

Reader = Callable[[Any, list[Error]], Any]

SOURCES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "query": (Call.query_values, Call.query_lists),
    "header": (Call.header_values, Call.header_lists),
    "cookie": (Call.cookies, lambda call: {name: [value] for name, value in call.cookies().items()}),
}
"""Where text comes from: values by name, and all values by name."""


def _converter(kind: Any, hook: DecodeHook) -> Callable[[Any], Any] | None:
    """Text → value, or ``None`` when text is the value. Text is never ``None``, whatever msgspec makes of "null"."""
    kind = strip_optional(kind)
    if kind is str or kind is NO_DEFAULT:
        return None
    convert = msgspec.convert

    def read(text: Any) -> Any:
        return convert(text, kind, strict=False, dec_hook=hook)

    return read


def scalar_reader(parameter: Parameter, source: str, wire_name: str, hook: DecodeHook = decode_known) -> Reader:
    """One value by name; absent ones take the default or are an error."""
    convert = _converter(parameter.type, hook)
    default = parameter.default
    location = (source, wire_name)

    def read(values: Mapping[str, str], errors: list[Error]) -> Any:
        text = values.get(wire_name)
        if text is None:
            if default is NO_DEFAULT:
                errors.append(missing(location))
            return default
        if convert is None:
            return text
        try:
            return convert(text)
        except msgspec.ValidationError as error:
            errors.append(one_error(error, location))
            return None

    return read


class ParameterGroup:
    """All parameters of one source, converted by one generated Struct; only what is at fault is looked at singly."""

    def __init__(self, source: str, hook: DecodeHook = decode_known) -> None:
        self._source = source
        self._hook = hook
        self._values, self._lists = SOURCES[source]
        self._fields: dict[str, tuple[str, Any, Any]] = {}  # by wire name
        self._lists_of: list[str] = []
        self._decimals: list[str] = []
        self._readers: list[tuple[Reader, bool]] = []
        self._struct: Any = None

    def add(self, parameter: Parameter, wire_name: str) -> str | None:
        """The attribute that will hold ``parameter``; ``None`` when another goes by its name already."""
        if wire_name in self._fields:
            return None
        many = is_list(parameter.type)
        field = f"p{len(self._fields)}"
        kind = Any if parameter.type is NO_DEFAULT else strip_optional(parameter.type)
        self._fields[wire_name] = (field, kind, _field_default(parameter.default))
        if many:
            self._lists_of.append(wire_name)
        if holds_decimal(kind):
            self._decimals.append(wire_name)
        make_reader = list_reader if many else scalar_reader
        self._readers.append((make_reader(parameter, self._source, wire_name, self._hook), many))
        return field

    def build(self) -> None:
        """Every parameter is added."""
        if self._source == "header" and not self._lists_of:  # PERF: some of many
            self._values = partial(_headers, names=tuple((name, name.encode("latin-1")) for name in self._fields))
        names = {field: wire_name for wire_name, (field, _, _) in self._fields.items()}
        fields = list(self._fields.values())
        self._struct = msgspec.defstruct(f"{self._source.title()}Parameters", fields, rename=names, kw_only=True)

    def read(self, call: Any, errors: list[Error]) -> Any:
        """The Struct with every value, or nothing and at least one more error."""
        values = self._values(call)
        if self._lists_of:
            lists = self._lists(call)
            values = {**values, **{name: lists[name] for name in self._lists_of if name in lists}}
        try:
            found = msgspec.convert(values, self._struct, strict=False, dec_hook=self._hook)
        except msgspec.ValidationError:
            for read, many in self._readers:
                read(self._lists(call) if many else values, errors)
            return None
        if self._decimals:
            errors += decimal_faults(values, self._decimals, self._source)
        return found


def _headers(call: Call, names: tuple[tuple[str, bytes], ...]) -> dict[str, str]:
    found = [(name, call.header(raw)) for name, raw in names]
    return {name: value.decode("latin-1") for name, value in found if value is not None}


def _field_default(value: Any) -> Any:
    if value is NO_DEFAULT:
        return msgspec.NODEFAULT
    simple = value is None or isinstance(value, (str, bytes, int, float))
    return value if simple else msgspec.field(default_factory=lambda: fresh(value))


def list_reader(parameter: Parameter, source: str, wire_name: str, hook: DecodeHook = decode_known) -> Reader:
    """Every value of a repeated name."""
    kind = strip_optional(parameter.type)
    default = parameter.default
    location = (source, wire_name)

    def read(lists: Mapping[str, list[str]], errors: list[Error]) -> Any:
        texts = lists.get(wire_name)
        if texts is None:
            if default is NO_DEFAULT:
                errors.append(missing(location))
            return fresh(default)
        try:
            return msgspec.convert(texts, kind, strict=False, dec_hook=hook)
        except msgspec.ValidationError:
            errors += collect_errors(texts, kind, location, strict=False, hook=hook)
            return None

    return read


def fresh(default: Any) -> Any:
    """A mutable default is never shared between requests."""
    return default.copy() if isinstance(default, list | set | dict) else default


def struct_reader(
    parameter: Parameter, source: str, wire_name: Callable[[str], str], hook: DecodeHook = decode_known
) -> Reader:
    """A Struct whose fields are parameters of one source; errors carry the names of the fields on the wire."""
    kind = strip_optional(parameter.type)
    fields = [(wire_name(field.encode_name), field.encode_name, is_list(field.type)) for field in struct_fields(kind)]
    decimals = [field.encode_name for field in struct_fields(kind) if holds_decimal(field.type)]
    # Text is never None, but msgspec reads "null" as that where a field may be; another text is the error it should be.
    nullable = {field.encode_name for field in struct_fields(kind) if _is_read_as_none("null", field.type)}

    def read(call: Call, errors: list[Error]) -> Any:
        lists = SOURCES[source][1](call)
        found = {}
        for name, field, many in fields:
            texts = lists.get(name)
            if texts is not None:
                found[field] = texts if many else texts[-1]
                if found[field] == "null" and field in nullable:
                    found[field] = "null "
        if not found and parameter.default is not NO_DEFAULT:
            return parameter.default
        try:
            value = msgspec.convert(found, kind, strict=False, dec_hook=hook)
        except msgspec.ValidationError:
            errors += collect_errors(found, kind, (source,), strict=False, hook=hook)
            return None
        errors += decimal_faults(found, decimals, source)
        return value

    return read


def _is_read_as_none(text: str, kind: Any) -> bool:
    try:
        return msgspec.convert(text, kind, strict=False) is None
    except (msgspec.ValidationError, TypeError, NotImplementedError):
        return False


def path_reader(parameter: Parameter, position: int, hook: DecodeHook = decode_known) -> Reader:
    """A path value that the tree's converter left to convert; text that is no such value is 404, not 422."""
    kind = parameter.type
    loose = strip_annotated(kind)
    location = ("path", parameter.name)

    def read(values: tuple[Any, ...], errors: list[Error]) -> Any:
        value = values[position]
        try:
            return msgspec.convert(value, kind, strict=False, dec_hook=hook)
        except msgspec.ValidationError as error:
            if loose is kind or collect_errors(value, loose, location, strict=False, hook=hook):
                raise NotFound from None
            errors.append(one_error(error, location))
            return None

    return read
