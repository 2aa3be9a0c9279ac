"""What a value of an instance is in JSON, and what a value of a Struct is to Django: said without the package."""

from __future__ import annotations

import decimal
import enum
import types
import typing
from typing import Any, Literal

import msgspec

__all__ = ["packed", "plain", "same", "shown", "without_null"]


def shown(value: Any, annotation: Any) -> Any:
    """What JSON has of the value of an instance under an annotation."""
    annotation, optional = without_null(annotation)
    if value is None:
        return None
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        if value == "" and optional and "" not in {member.value for member in annotation}:
            return None
        return annotation(value).value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return None if value == "" and "" not in arguments else value
    if type(value).__name__ == "Range" or hasattr(value, "isempty"):
        end = arguments[0] if arguments else Any
        if value.isempty:
            return {"lower": None, "upper": None, "bounds": "[)", "empty": True}
        ends = {"lower": shown(value.lower, end), "upper": shown(value.upper, end)}
        return {**ends, "bounds": value.bounds, "empty": False}
    if origin in (list, set) and isinstance(value, list):
        made = [shown(entry, arguments[0] if arguments else Any) for entry in value]
        return sorted(made, key=str) if origin is set else made
    if hasattr(value, "storage"):
        return value.url if value else None if optional else ""
    if annotation is str:
        return str(value)
    if annotation is float and not isinstance(value, int):
        return float(value)
    if annotation is int:
        return int(value)
    if hasattr(annotation, "__struct_fields__") or typing.is_typeddict(annotation):
        value = msgspec.to_builtins(msgspec.convert(value, annotation))
    elif origin is dict and isinstance(value, dict):
        value = {key: shown(entry, arguments[1]) for key, entry in value.items()}
    return msgspec.to_builtins(bytes(value) if isinstance(value, memoryview) else value, enc_hook=str)


def without_null(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [entry for entry in typing.get_args(annotation) if entry is not types.NoneType]
        return members[0], len(members) < len(typing.get_args(annotation))
    return annotation, annotation is Any


def packed(value: Any) -> Any:
    """A Struct as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def same(mine: Any, others: Any) -> bool:
    """Whether two values of JSON are one; a set has no order, and 1 and 1.0 are one number."""
    if isinstance(mine, list) and isinstance(others, list):
        return len(mine) == len(others) and (
            all(map(same, mine, others)) or sorted(mine, key=str) == sorted(others, key=str)
        )
    if isinstance(mine, dict) and isinstance(others, dict):
        return mine.keys() == others.keys() and all(same(mine[name], others[name]) for name in mine)
    return bool(mine == others and isinstance(mine, bool) == isinstance(others, bool))


def plain(value: Any, field: Any) -> Any:
    """A value of a Struct as code that has no Structs would have it."""
    from django.db.models import DecimalField

    from hybrid_gateway.orm import Range

    if value is None:
        return None
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Range):
        ends = [None if end is None else field.base_field.to_python(end) for end in (value.lower, value.upper)]
        return field.range_type(empty=True) if value.empty else field.range_type(*ends, value.bounds)
    if field.get_internal_type() == "ArrayField":
        return [plain(entry, field.base_field) for entry in value]
    if isinstance(value, (dict, list, msgspec.Struct)):
        return msgspec.to_builtins(value)
    if type(value) is float and isinstance(field, DecimalField):
        return decimal.Decimal(repr(value))
    return field.to_python(value)
