"""Facts about a :class:`~.ModelStruct` class: its model, its columns, and what the rooms above derive of it once.

How this works: the metaclass leaves one :class:`StructInfo` on each class. It is an attribute of the class and no entry
of a table elsewhere, because what is derived of a class refers to it: a table, even a weak one, would keep every class
that was ever made.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar

import msgspec
from django.db.models import Model

from hybrid_gateway.class_annotations import computed
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.type_info import bare

R = TypeVar("R")
StructClass = type[msgspec.Struct]

STRUCT_INFO = "__struct_info__"
"""The attribute of a class."""


class StructInfo(msgspec.Struct, frozen=True, eq=False):
    """Facts that the metaclass has about one class, without those of its bases."""

    model: type[Model] | None
    columns: Mapping[str, Column]
    computed: Mapping[str, computed[object]]
    declared: Mapping[str, object]  # annotations, without what the columns demand of clients
    derived: dict[object, Any] = {}  # what once_per_struct() has stored


def own_info(struct: type) -> StructInfo:
    """Return what the metaclass knows of a class."""
    info: StructInfo = vars(struct)[STRUCT_INFO]
    return info


def once_per_struct(compute: Callable[[StructClass], R]) -> Callable[[StructClass], R]:
    """Return ``compute`` with a cache of one result for each class."""

    def derive(struct: StructClass) -> R:
        derived: dict[object, R] = getattr(struct, STRUCT_INFO).derived
        try:
            return derived[compute]
        except KeyError:
            derived[compute] = compute(struct)
        return derived[compute]

    return derive


def is_model_struct(kind: object) -> TypeGuard[StructClass]:
    """Return whether an annotation is a :class:`~.ModelStruct` of a model, optional or not."""
    info: StructInfo | None = getattr(bare(kind), STRUCT_INFO, None)
    return info is not None and info.model is not None


def holds_structs(annotation: object) -> bool:
    """Return whether a field holds a :class:`~.ModelStruct`, or a list of them."""
    kind = bare(annotation)
    return is_model_struct(typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind)


@once_per_struct
def model_of(struct: StructClass) -> type[Model]:
    """Return the model of a class; raises :class:`ConfigurationError` for one without."""
    model = own_info(struct).model
    if model is None:
        raise ConfigurationError(
            f"{struct.__qualname__} has no model: write class {struct.__name__}(..., model=...).", id="M006"
        )
    return model


@once_per_struct
def columns_of(struct: StructClass) -> Mapping[str, Column]:
    """Return the :class:`Column` of each field by name, those of its bases included."""
    found: dict[str, Column] = {}
    for info in _infos(struct):
        found |= info.columns
    return found


@once_per_struct
def computed_of(struct: StructClass) -> Mapping[str, computed[object]]:
    """Return the computed fields by name, those of its bases included."""
    found: dict[str, computed[object]] = {}
    for info in _infos(struct):
        found |= info.computed
    return found


@once_per_struct
def needs_instances(struct: StructClass) -> bool:
    """Return whether a function of the class, or of one that it holds, is called with the instance."""
    seen, waiting = set[StructClass](), [struct]
    while waiting:
        current = waiting.pop()
        if not all(entry.columns for entry in computed_of(current).values()):
            return True
        seen.add(current)
        kinds = (bare(hint) for hint in hints_of(current).values())
        items = (bare(typing.get_args(kind)[0]) if typing.get_origin(kind) is list else kind for kind in kinds)
        waiting += [item for item in items if is_model_struct(item) and item not in seen]
    return False


def _infos(struct: type) -> list[StructInfo]:
    return [own_info(parent) for parent in reversed(struct.__mro__) if STRUCT_INFO in vars(parent)]


@once_per_struct
def hints_of(struct: StructClass) -> Mapping[str, object]:
    """Return the annotations of its fields, as msgspec has resolved them."""
    return {field.name: field.type for field in msgspec.structs.fields(struct)}
