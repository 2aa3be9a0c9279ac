"""What a column demands of clients: its choices, its length, its bounds, as constraints of an annotation."""

from __future__ import annotations

import decimal
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

import msgspec
from django.core import validators
from django.db import models
from msgspec import UnsetType

from hybrid_gateway.orm.columns import ranges
from hybrid_gateway.orm.columns.column_types import annotation_for, bare, choices, real_field, stored_type
from hybrid_gateway.orm.columns.decimal_bounds import digits_of
from hybrid_gateway.type_hints import resolve_new_types

__all__ = ["constrained", "takes_empty"]


def constrained(annotation: Any, field: Any) -> Any:
    """``annotation`` with what the field demands: its choices, its length, its bounds. What it says itself stays."""
    field, kind = real_field(field), bare(annotation)
    if isinstance(field, models.FileField):
        return annotation
    if ranges.is_range_field(field) and kind is ranges.Range:
        return _replaced(annotation, bare(annotation_for(field)))
    if kind in (Any, object):  # of clients no more than the column holds, where that is known
        kind = annotation_for(field)
        return annotation if kind is Any else _replaced(annotation, constrained(kind, field))
    if (typing.get_origin(kind) or kind) in (list, set, frozenset, dict, bytes):
        return _many(annotation, kind, field)
    if kind is decimal.Decimal and isinstance(field, models.DecimalField):
        return _replaced(annotation, Annotated[kind, digits_of(field)])
    if kind not in (str, int, float):
        return annotation
    found = choices(field) if kind is not float else []
    if found and all(type(value) is kind for value in found):
        values = tuple(dict.fromkeys([*found, *([""] if field.blank and kind is str else [])]))
        return _replaced(annotation, Literal[values])
    said = _said(annotation)
    given = {name: value for name, value in _constraints(field, kind).items() if not said.keys() & _RIVALS[name]}
    if not (given or said):
        return annotation
    # A row may hold what no client could have sent, so of answers this is not said.
    received = {"received": [_RECEIVED[name] for name in given if name in _RECEIVED]}
    return _replaced(annotation, Annotated[kind, msgspec.Meta(**given, **said, extra=received)])


def _many(annotation: Any, kind: Any, field: Any) -> Any:
    """``annotation`` of a list, of JSON or bytes: what its items and their number have to be."""
    given: dict[str, Any] = {} if takes_empty(field) else {"min_length": 1}
    if field.get_internal_type() == "ArrayField":
        if field.size is not None:
            given["max_length"] = field.size
        if typing.get_args(kind):
            kind = typing.get_origin(kind)[constrained(typing.get_args(kind)[0], field.base_field)]
    received = {"received": ["minItems", "minProperties"] if "min_length" in given else []}
    given |= _said(annotation)
    return _replaced(annotation, Annotated[kind, msgspec.Meta(**given, extra=received)] if given else kind)


def takes_empty(field: Any) -> bool:
    """Whether a column takes an empty text, list or object: by ``blank=True``, or because its default is one.

    DJANGO: to a model's validators such a value is missing, whatever the default says.
    """
    if field.blank or not field.has_default():
        return bool(field.blank)
    default = field.default() if field.default in (str, bytes, list, dict, set, tuple) else field.default
    return not callable(default) and default in field.empty_values


def _constraints(field: Any, kind: type) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if kind is str and stored_type(field) is str:  # of a UUID, the length is that of its digits
        if field.max_length is not None:
            given["max_length"] = field.max_length
        if not takes_empty(field):
            given["min_length"] = 1
    for validator in field._validators:  # those of the database's own range are left to full_clean
        name = _BOUNDS.get(type(validator))
        limit = getattr(validator, "limit_value", None)
        if name == "min_length" and given.get(name) is None:  # DJANGO: validators do not see what is empty
            continue
        if name is None or limit is None or callable(limit) or (name in _LENGTHS) != (kind is str):
            continue
        limit = limit if kind is str else _bound(limit, name, kind)
        if limit is not None:
            given[name] = limit
    return given


def _bound(limit: Any, name: str, kind: type) -> Any:
    """A bound as msgspec takes it; ``None`` where it takes none, and the model's validator is left to say it."""
    try:
        number = float(limit) if kind is float else (math.ceil if name == "ge" else math.floor)(limit)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 2**63 else None


_RECEIVED = {"min_length": "minLength", "ge": "minimum", "le": "maximum"}
_LENGTHS = ("min_length", "max_length")
_BOUNDS: dict[type, str] = {
    validators.MinValueValidator: "ge",
    validators.MaxValueValidator: "le",
    validators.MinLengthValidator: "min_length",
    validators.MaxLengthValidator: "max_length",
}

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
_RIVALS: dict[str, frozenset[str]] = {
    "ge": frozenset(("ge", "gt")),
    "le": frozenset(("le", "lt")),
    "min_length": frozenset(("min_length",)),
    "max_length": frozenset(("max_length",)),
}
"""What an annotation may say that makes a bound of the column superfluous."""


# --- annotations ---------------------------------------------------------------------------------------------------


def _said(annotation: Any) -> dict[str, Any]:
    """The constraints that an annotation has, wherever in it; of those that say it twice the inner one."""
    annotation = resolve_new_types(annotation)
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return {name: value for kind in typing.get_args(annotation) for name, value in _said(kind).items()}
    if typing.get_origin(annotation) is not Annotated:
        return {}
    base, *extras = typing.get_args(annotation)
    metas = [extra for extra in extras if isinstance(extra, msgspec.Meta)]
    return {**{name: value for meta in metas for name, value in _constraints_of(meta).items()}, **_said(base)}


def _constraints_of(meta: msgspec.Meta) -> dict[str, Any]:
    found = {name: getattr(meta, name) for name in _CONSTRAINTS}
    return {name: value for name, value in found.items() if value is not None}


def _replaced(annotation: Any, inner: Any) -> Any:
    """``annotation`` with ``inner``, which has all of the constraints, for its bare type."""
    annotation = resolve_new_types(annotation)
    if typing.get_origin(annotation) is Annotated:
        base, *extras = typing.get_args(annotation)
        kept = [entry for extra in extras for entry in _described(extra)]
        made = _replaced(base, inner)
        return Annotated[(made, *kept)] if kept else made
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [_replaced(kind, inner) if _holds_bare(kind) else kind for kind in typing.get_args(annotation)]
        return Union[tuple(members)]  # noqa: UP007 (built at run time)
    return inner


def _described(extra: Any) -> list[Any]:
    """A part of ``Annotated`` without constraints."""
    if not isinstance(extra, msgspec.Meta):
        return [extra]
    kept: Mapping[str, Any] = {name: getattr(extra, name) for name in _DESCRIPTIONS}
    kept = {name: value for name, value in kept.items() if value is not None}
    return [msgspec.Meta(**kept)] if kept else []


_DESCRIPTIONS = ("title", "description", "examples", "extra_json_schema", "extra")


def _holds_bare(kind: Any) -> bool:
    return kind not in (types.NoneType, UnsetType)
