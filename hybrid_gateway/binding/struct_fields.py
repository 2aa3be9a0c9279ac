"""The fields of classes whose fields are parameters: Structs, dataclasses, attrs, TypedDicts, models of pydantic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Union

import msgspec

from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.type_hints import cached_by_type, field_types, resolve_new_types
from hybrid_gateway.type_info import PydanticField, is_pydantic_model, type_info

__all__ = ["StructField", "inspect_fields", "is_closed", "struct_fields"]


class StructField(msgspec.Struct, frozen=True):
    """One field of a parameter Struct: its name on the wire, type and default."""

    encode_name: str
    type: object
    required: bool
    default: object = NO_DEFAULT


@cached_by_type
def struct_fields(cls: object) -> Sequence[StructField]:
    """Return the fields of a class; raise :class:`TypeError` for a class without fields."""
    if is_pydantic_model(cls):
        return [entry for name, field in cls.model_fields.items() for entry in _pydantic_fields(name, field)]
    hints = field_types(cls)
    found = []
    for field in inspect_fields(cls):
        default: object = NO_DEFAULT if field.default in (msgspec.NODEFAULT, msgspec.UNSET) else field.default
        if field.default_factory in _EMPTY:
            default = field.default_factory()
        found.append(StructField(field.encode_name, resolve_new_types(hints[field.name]), field.required, default))
    return found


def inspect_fields(cls: object) -> Sequence[msgspec.inspect.Field]:
    """Return msgspec's description of the fields of a class; raise :class:`TypeError` where it has none."""
    fields: Sequence[msgspec.inspect.Field] | None = getattr(msgspec.inspect.type_info(cls), "fields", None)
    if fields is None:
        raise TypeError(f"{cls!r} has no fields")
    return fields


def is_closed(cls: object) -> bool:
    """Return whether a class refuses names that it lacks: ``forbid_unknown_fields``, or pydantic's ``extra``."""
    config = getattr(cls, "__struct_config__", None)
    if config is not None:
        return bool(config.forbid_unknown_fields)
    return is_pydantic_model(cls) and cls.model_config.get("extra") == "forbid"


_EMPTY = (list, dict, set)


def _pydantic_fields(name: str, field: PydanticField) -> list[StructField]:
    """Return a field of a model of pydantic, once for each name it goes by.

    Its constraints are for the documentation: the model itself checks them.
    """
    default = NO_DEFAULT if field.is_required() or field.default_factory is not None else field.default
    if field.default_factory in _EMPTY:
        default = field.default_factory()
    said: dict[str, Any] = {
        key: value
        for rule in field.metadata
        for key in _CONSTRAINTS
        if isinstance(value := getattr(rule, key, None), (int, float, str))
    }
    if field.description:
        said["description"] = field.description
    info = type_info(field.annotation)
    kind: object = Annotated[info.without_none, msgspec.Meta(**said)] if said else info.without_none
    kind = Union[kind, None] if info.is_optional else kind  # noqa: UP007 (built at run time)
    alias = name if field.validation_alias is None else field.validation_alias
    names = getattr(alias, "choices", [alias])
    if not all(isinstance(known, str) for known in names):
        raise TypeError(f"{name} has an AliasPath, which leads into JSON; give it a name")
    return [StructField(known, kind, field.is_required() and len(names) == 1, default) for known in names]


_CONSTRAINTS = ("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length")
