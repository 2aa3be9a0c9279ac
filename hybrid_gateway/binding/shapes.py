"""Questions about annotated types: can text hold it, is it a list of such, is it an object of fields, is it JSON?"""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Mapping
from typing import Any, Literal, Union

import msgspec

from hybrid_gateway.binding.custom import is_pydantic
from hybrid_gateway.binding.signature import strip_annotated, strip_optional
from hybrid_gateway.http import SecretBytes, SecretString

__all__ = ["StructField", "is_json", "is_list", "is_scalar", "is_structure", "struct_fields"]

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
        SecretString,
        SecretBytes,
    )
)
_LISTS = (list, set, frozenset, tuple, collections.abc.Sequence, collections.abc.Set, collections.abc.Collection)


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
    """Whether the type is an object of named fields: Struct, dataclass, attrs, TypedDict, a model of pydantic."""
    kind = strip_annotated(strip_optional(strip_annotated(kind)))
    kind = typing.get_origin(kind) or kind
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, msgspec.Struct)
        or typing.is_typeddict(kind)
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or is_pydantic(kind)
    )


def is_json(kind: Any) -> bool:
    """Whether a parameter of this type is the JSON body: a structure, a dict, or a container of them."""
    if kind in (dict, list) or is_structure(kind):
        return True
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(is_json(strip_annotated(member)) for member in arguments)
    if origin is None:
        return False
    return (isinstance(origin, type) and issubclass(origin, Mapping)) or any(
        is_json(strip_annotated(member)) for member in arguments if member is not Ellipsis
    )


class StructField(msgspec.Struct, frozen=True):
    """One field of a parameter Struct: its name on the wire, type and default."""

    encode_name: str
    type: Any
    required: bool


def struct_fields(kind: Any) -> list[StructField]:
    """The fields of a Struct, dataclass, attrs class, TypedDict or model of pydantic."""
    if is_pydantic(kind):
        fields = kind.model_fields.items()
        return [StructField(field.alias or name, field.annotation, field.is_required()) for name, field in fields]
    hints = typing.get_type_hints(typing.get_origin(kind) or kind, include_extras=True)
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return [StructField(field.encode_name, hints[field.name], field.required) for field in fields]
