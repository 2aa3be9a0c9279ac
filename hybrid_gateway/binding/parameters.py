"""Path, query, header and cookie parameters: one small reader per parameter, built at start-up.

A reader takes the values of its source and the list of errors; it returns the converted value, or appends an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hybrid_gateway.binding.shapes import is_list, struct_fields
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, strip_annotated, strip_optional
from hybrid_gateway.binding.validation import Error, collect_errors, missing, one_error
from hybrid_gateway.exceptions import NotFound

__all__ = ["Reader", "list_reader", "path_reader", "scalar_reader", "struct_reader"]

Reader = Callable[[Any, list[Error]], Any]


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    """Text → value, or ``None`` when text is the value."""
    if kind is str or kind is NO_DEFAULT:
        return None
    convert = msgspec.convert

    def read(text: Any) -> Any:
        return convert(text, kind, strict=False)

    return read


def scalar_reader(parameter: Parameter, source: str, wire_name: str) -> Reader:
    """One value by name; absent ones take the default or are an error."""
    convert = _converter(parameter.type)
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


def list_reader(parameter: Parameter, source: str, wire_name: str) -> Reader:
    """Every value of a repeated name."""
    kind = parameter.type
    default = parameter.default
    location = (source, wire_name)

    def read(lists: Mapping[str, list[str]], errors: list[Error]) -> Any:
        texts = lists.get(wire_name)
        if texts is None:
            if default is NO_DEFAULT:
                errors.append(missing(location))
            return _fresh(default)
        try:
            return msgspec.convert(texts, kind, strict=False)
        except msgspec.ValidationError:
            errors += collect_errors(texts, kind, location, strict=False)
            return None

    return read


def _fresh(default: Any) -> Any:
    """A mutable default is never shared between requests."""
    return default.copy() if isinstance(default, list | set | dict) else default


def struct_reader(parameter: Parameter, source: str, wire_name: Callable[[str], str]) -> Reader:
    """A Struct whose fields are parameters of one source; errors carry the names of the fields on the wire."""
    kind = strip_optional(parameter.type)
    fields = [(wire_name(field.encode_name), field.encode_name, is_list(field.type)) for field in struct_fields(kind)]

    def read(lists: Mapping[str, list[str]], errors: list[Error]) -> Any:
        found = {}
        for name, field, many in fields:
            texts = lists.get(name)
            if texts is not None:
                found[field] = texts if many else texts[-1]
        if not found and parameter.default is not NO_DEFAULT:
            return parameter.default
        try:
            return msgspec.convert(found, kind, strict=False)
        except msgspec.ValidationError:
            errors += collect_errors(found, kind, (source,), strict=False)
            return None

    return read


def path_reader(parameter: Parameter, position: int) -> Reader:
    """A path value that the tree's converter left to convert; text that is no such value is 404, not 422."""
    kind = parameter.type
    loose = strip_annotated(kind)
    location = ("path", parameter.name)

    def read(values: tuple[Any, ...], errors: list[Error]) -> Any:
        value = values[position]
        try:
            return msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            if loose is kind or collect_errors(value, loose, location, strict=False):
                raise NotFound from None
            errors.append(one_error(error, location))
            return None

    return read
