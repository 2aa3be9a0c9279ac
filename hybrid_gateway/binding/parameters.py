"""Path, query, header and cookie parameters: one small reader per parameter, built at start-up.

A reader takes the values of its source and the list of errors; it returns the converted value, or appends an error.
"""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union

import msgspec

from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, strip_annotated, strip_optional
from hybrid_gateway.binding.validation import Error, collect_errors, missing, one_error
from hybrid_gateway.exceptions import NotFound

__all__ = [
    "Reader",
    "is_list",
    "is_scalar",
    "is_structure",
    "list_reader",
    "path_reader",
    "scalar_reader",
    "struct_reader",
]

Reader = Callable[[Any, list[Error]], Any]

_SCALARS = frozenset(
    (
        str,
        int,
        float,
        bool,
        bytes,
        uuid.UUID,
        decimal.Decimal,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
    )
)
_LISTS = (list, set, frozenset, tuple, collections.abc.Sequence, collections.abc.Set, collections.abc.Collection)


# --- which kind of type is it? -------------------------------------------------------------------------------------


def is_scalar(kind: Any) -> bool:
    """Whether one piece of text can hold a value of this type."""
    kind = strip_annotated(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        return all(member is types.NoneType or is_scalar(member) for member in typing.get_args(kind))
    if typing.get_origin(kind) is Literal or isinstance(kind, typing.NewType):
        return True
    return kind in _SCALARS or (isinstance(kind, type) and issubclass(kind, enum.Enum))


def is_list(kind: Any) -> bool:
    """Whether the type is a list, set or tuple of scalars."""
    kind = strip_annotated(strip_optional(strip_annotated(kind)))
    origin = typing.get_origin(kind) or kind
    if origin not in _LISTS:
        return False
    return all(item is Ellipsis or is_scalar(item) for item in typing.get_args(kind))


def is_structure(kind: Any) -> bool:
    """Whether the type is an object of named fields: Struct, dataclass, attrs, TypedDict."""
    kind = strip_annotated(strip_optional(strip_annotated(kind)))
    kind = typing.get_origin(kind) or kind
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, msgspec.Struct)
        or typing.is_typeddict(kind)
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
    )


# --- readers -------------------------------------------------------------------------------------------------------


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


class StructField(msgspec.Struct, frozen=True):
    """One field of a parameter Struct: its name on the wire, type and default."""

    encode_name: str
    type: Any
    required: bool


def struct_fields(kind: Any) -> list[StructField]:
    """The fields of a Struct, dataclass, attrs class or TypedDict."""
    hints = typing.get_type_hints(typing.get_origin(kind) or kind, include_extras=True)
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return [StructField(field.encode_name, hints[field.name], field.required) for field in fields]


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
