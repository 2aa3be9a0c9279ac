"""Questions about annotated types: can text hold it, is it a list of such, is it an object of fields, is it JSON?"""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union

import msgspec

from hybrid_gateway.binding.signature import NO_DEFAULT, strip_annotated, strip_optional
from hybrid_gateway.http import SecretBytes, SecretString
from hybrid_gateway.type_hints import cached_by_type, field_types, has_fields, resolve_new_types
from hybrid_gateway.type_info import is_pydantic_model

__all__ = ["StructField", "is_closed", "is_json", "is_list", "is_scalar", "is_structure", "struct_fields"]

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
_LISTS = (
    list,
    set,
    frozenset,
    tuple,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Set,
    collections.abc.MutableSet,
    collections.abc.Collection,
)
_ABSENT = (types.NoneType, msgspec.UnsetType)

Knows = Callable[[Any], bool]
"""Whether somebody makes values of a class out of text."""


def _nobody(kind: Any) -> bool:
    return False


def is_scalar(kind: Any, knows: Knows = _nobody) -> bool:
    """Whether one piece of text can hold a value of this type."""
    kind = strip_annotated(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        return all(member in _ABSENT or is_scalar(member, knows) for member in typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        return True
    return kind in _SCALARS or (isinstance(kind, type) and issubclass(kind, (enum.Enum, PurePath))) or knows(kind)


def is_list(kind: Any, knows: Knows = _nobody) -> bool:
    """Whether the type is a list, set or tuple of scalars, perhaps beside scalars."""
    kind = strip_annotated(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member not in _ABSENT and not is_scalar(member, knows)]
        return bool(members) and all(is_list(member, knows) for member in members)
    if (typing.get_origin(kind) or kind) not in _LISTS:
        return False
    return all(item is Ellipsis or is_scalar(item, knows) for item in typing.get_args(kind))


def is_structure(kind: Any) -> bool:
    """Whether the type is an object of named fields: Struct, dataclass, attrs, TypedDict, a model of pydantic."""
    kind = strip_annotated(strip_optional(strip_annotated(kind)))
    kind = typing.get_origin(kind) or kind
    if not isinstance(kind, type):
        return False
    return (has_fields(kind) and not issubclass(kind, tuple)) or is_pydantic_model(kind)


def is_closed(kind: Any) -> bool:
    """Whether a class with fields refuses names that it lacks: ``forbid_unknown_fields``, or pydantic's ``extra``."""
    config = getattr(kind, "__struct_config__", None)
    if config is not None:
        return bool(config.forbid_unknown_fields)
    return is_pydantic_model(kind) and kind.model_config.get("extra") == "forbid"


def is_json(kind: Any) -> bool:
    """Whether a parameter of this type is the JSON body: a structure, a dict, or a container of them."""
    if kind in (dict, list) or is_structure(kind) or (isinstance(kind, type) and has_fields(kind)):
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
    default: Any = NO_DEFAULT


@cached_by_type
def struct_fields(kind: Any) -> Sequence[StructField]:
    """The fields of a Struct, dataclass, attrs class, TypedDict or model of pydantic."""
    if is_pydantic_model(kind):
        return [entry for name, field in kind.model_fields.items() for entry in _of_pydantic(name, field)]
    hints = field_types(kind)
    return [
        StructField(field.encode_name, resolve_new_types(hints[field.name]), field.required, _default(field))
        for field in msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    ]


def _of_pydantic(name: str, field: Any) -> list[StructField]:
    """A field of a model of pydantic, once for each name it goes by.

    What it demands is for the documentation: the model itself checks it.
    """
    default = NO_DEFAULT if field.is_required() or field.default_factory is not None else field.default
    if field.default_factory in (list, dict, set):
        default = field.default_factory()
    said: dict[str, Any] = {
        key: value
        for rule in field.metadata
        for key in _CONSTRAINTS
        if isinstance(value := getattr(rule, key, None), (int, float, str))
    }
    if field.description:
        said["description"] = field.description
    inner = strip_optional(field.annotation)
    kind: Any = Annotated[inner, msgspec.Meta(**said)] if said else inner
    kind = kind if inner is field.annotation else kind | None
    names = _wire_names(name, field)
    return [StructField(known, kind, field.is_required() and len(names) == 1, default) for known in names]


def _wire_names(name: str, field: Any) -> list[str]:
    """The names that a field of pydantic is read by; raises :class:`TypeError` for a path into other values."""
    alias = name if field.validation_alias is None else field.validation_alias
    names = getattr(alias, "choices", [alias])
    if not all(isinstance(known, str) for known in names):
        raise TypeError(f"{name} has an AliasPath, which leads into JSON; give it a name")
    return names


_CONSTRAINTS = ("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length")


def _default(field: Any) -> Any:
    """The default of a field that ``msgspec.inspect`` describes."""
    if field.default_factory in (list, dict, set):
        return field.default_factory()
    return NO_DEFAULT if field.default in (msgspec.NODEFAULT, msgspec.UNSET) else field.default
