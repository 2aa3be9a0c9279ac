"""Constraints of an annotation that are those of its column: choices, length, bounds."""

from __future__ import annotations

import math
import types
import typing
from typing import Annotated, Any, Literal, TypeAlias, Union

import msgspec
from django.core import validators
from msgspec import UnsetType

from hybrid_gateway.orm.columns.column_types import annotation_for, column_type_of, stored_type
from hybrid_gateway.orm.columns.field_facts import (
    ModelField,
    PathStep,
    base_field,
    choices_of,
    own_validators,
    takes_empty,
    value_field,
)
from hybrid_gateway.orm.columns.postgresql import Range
from hybrid_gateway.type_info import ANYTHING, bare, resolve_new_types

MetaKeywords: TypeAlias = dict[str, Any]
"""Keywords of :class:`msgspec.Meta`."""

_RECEIVED = {"min_length": "minLength", "ge": "minimum", "le": "maximum"}
_BOUNDS: dict[type, str] = {
    validators.MinValueValidator: "ge",
    validators.MaxValueValidator: "le",
    validators.MinLengthValidator: "min_length",
    validators.MaxLengthValidator: "max_length",
}
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
_DESCRIPTIONS = ("title", "description", "examples", "extra_json_schema", "extra")
_RIVALS = {"ge": {"ge", "gt"}, "le": {"le", "lt"}, "min_length": {"min_length"}, "max_length": {"max_length"}}
"""What an annotation may say that makes a bound of the column superfluous."""


def constrained(annotation: object, field: PathStep) -> object:
    """Return ``annotation`` with what the field demands: choices, length, bounds. What it says itself stays."""
    field, kind = value_field(field), bare(annotation)
    row = column_type_of(field)
    if row.is_file:
        return annotation
    if kind is Range and row.python_type is Range:
        return _replaced(annotation, bare(annotation_for(field)))
    if kind in ANYTHING:  # of clients no more than the column holds, where that is known
        kind = annotation_for(field)
        return annotation if kind is Any else _replaced(annotation, constrained(kind, field))
    meta = row.constraints(field, kind) if row.constraints is not None else None
    if meta is not None:
        return _replaced(annotation, Annotated[kind, meta])
    if (typing.get_origin(kind) or kind) in (list, set, frozenset, dict, bytes):
        return _constrained_container(annotation, kind, field)
    if kind not in (str, int, float):
        return annotation
    found = choices_of(field) if kind is not float else []
    if found and all(type(value) is kind for value in found):
        values = tuple(dict.fromkeys([*found, *([""] if field.blank and kind is str else [])]))
        return _replaced(annotation, Literal[values])
    own = _constraints_in(annotation)
    given = {name: value for name, value in _constraints(field, kind).items() if not own.keys() & _RIVALS[name]}
    if not (given or own):
        return annotation
    # A row may hold what no client could have sent, so of answers this is not said.
    received = {"received": [_RECEIVED[name] for name in given if name in _RECEIVED]}
    return _replaced(annotation, Annotated[kind, msgspec.Meta(**given, **own, extra=received)])


def _constrained_container(annotation: object, kind: Any, field: ModelField) -> object:
    """Return ``annotation`` of a list, of JSON or bytes with what its items and their number have to be."""
    given: MetaKeywords = {} if takes_empty(field) else {"min_length": 1}
    if column_type_of(field).is_array:
        size: int | None = getattr(field, "size", None)
        given |= {} if size is None else {"max_length": size}
        if typing.get_args(kind):
            kind = typing.get_origin(kind)[constrained(typing.get_args(kind)[0], base_field(field))]
    received = {"received": ["minItems", "minProperties"] if "min_length" in given else []}
    given |= _constraints_in(annotation)
    return _replaced(annotation, Annotated[kind, msgspec.Meta(**given, extra=received)] if given else kind)


def _constraints(field: ModelField, kind: type) -> MetaKeywords:
    given: MetaKeywords = {}
    if kind is str and stored_type(field) is str:  # of a UUID, the length is that of its digits
        if field.max_length is not None:
            given["max_length"] = field.max_length
        if not takes_empty(field):
            given["min_length"] = 1
    for validator in own_validators(field):  # those of the database's own range are left to full_clean
        name = _BOUNDS.get(type(validator))
        limit = getattr(validator, "limit_value", None)
        if name == "min_length" and given.get(name) is None:  # DJANGO: validators do not see what is empty
            continue
        if name is None or limit is None or callable(limit) or name.endswith("length") != (kind is str):
            continue
        bound = limit if kind is str else _bound(limit, name, kind)
        if bound is not None:
            given[name] = bound
    return given


def _bound(limit: Any, name: str, kind: type) -> float | None:
    """Return a bound as msgspec takes it; ``None`` where it takes none, and the model's validator is left to say it."""
    try:
        number = float(limit) if kind is float else (math.ceil if name == "ge" else math.floor)(limit)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 2**63 else None


def _constraints_in(annotation: object) -> MetaKeywords:
    """Return the constraints that an annotation has, wherever in it; of those that say it twice the inner one."""
    annotation = resolve_new_types(annotation)
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return {name: value for kind in typing.get_args(annotation) for name, value in _constraints_in(kind).items()}
    if typing.get_origin(annotation) is not Annotated:
        return {}
    base, *extras = typing.get_args(annotation)
    given: MetaKeywords = {}
    for meta in extras:
        given |= _keywords(meta, _CONSTRAINTS) if isinstance(meta, msgspec.Meta) else {}
    return {**given, **_constraints_in(base)}


def _keywords(meta: msgspec.Meta, names: tuple[str, ...]) -> MetaKeywords:
    return {name: value for name in names if (value := getattr(meta, name)) is not None}


def _replaced(annotation: object, inner: object) -> object:
    """Return ``annotation`` with ``inner``, which has all of the constraints, for its bare type."""
    annotation = resolve_new_types(annotation)
    if typing.get_origin(annotation) is Annotated:
        base, *extras = typing.get_args(annotation)
        kept: list[object] = []  # without constraints
        for extra in extras:
            if not isinstance(extra, msgspec.Meta):
                kept.append(extra)
            elif keywords := _keywords(extra, _DESCRIPTIONS):
                kept.append(msgspec.Meta(**keywords))
        made = _replaced(base, inner)
        return Annotated[(made, *kept)] if kept else made
    if typing.get_origin(annotation) in (Union, types.UnionType):
        absent = (types.NoneType, UnsetType)
        members = [kind if kind in absent else _replaced(kind, inner) for kind in typing.get_args(annotation)]
        return Union[tuple(members)]  # noqa: UP007 (built at run time)
    return inner
