"""What is known of a :class:`~.ModelStruct` class: its model, its columns, and what the rooms above derive of it once.

How this works: the metaclass leaves one :class:`StructInfo` on each class. It is an attribute of the class and no entry
of a table elsewhere, because what is derived of a class refers to it: a table, even a weak one, would keep every class
that was ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from django.db.models import Model

from hybrid_gateway.orm.columns.annotation_types import bare
from hybrid_gateway.orm.columns.struct_annotations import Column, computed

__all__ = ["StructInfo", "columns_of", "computed_of", "hints_of", "is_model_struct", "model_of", "once_per_struct"]

R = TypeVar("R")


class StructInfo(msgspec.Struct, frozen=True, eq=False):
    """What the metaclass knows of one class, without what its bases say."""

    model: type[Model] | None
    columns: Mapping[str, Column]
    computed: Mapping[str, computed[Any]]
    declared: Mapping[str, Any]  # annotations, without what the columns demand of clients
    derived: dict[object, Any] = {}  # what once_per_struct() has stored


def once_per_struct(compute: Callable[[Any], R]) -> Callable[[Any], R]:
    """Return ``compute`` with a cache of one result for each class."""

    def derive(struct: Any) -> R:
        derived: dict[object, R] = struct.__struct_info__.derived
        if compute not in derived:
            derived[compute] = compute(struct)
        return derived[compute]

    return derive


def is_model_struct(kind: Any) -> bool:
    """Tell whether an annotation is a :class:`~.ModelStruct` of a model, optional or not."""
    info = getattr(bare(kind), "__struct_info__", None)
    return info is not None and info.model is not None


def model_of(struct: type[msgspec.Struct]) -> type[Model]:
    """Return the model of a :class:`~.ModelStruct` class."""
    model: type[Model] = vars(struct)["__struct_info__"].model
    return model


@once_per_struct
def columns_of(struct: Any) -> Mapping[str, Column]:
    """Return the :class:`Column` of each field by name, those of its bases included."""
    found: dict[str, Column] = {}
    for info in _infos(struct):
        found |= info.columns
    return found


@once_per_struct
def computed_of(struct: Any) -> Mapping[str, computed[Any]]:
    """Return the computed fields by name, those of its bases included."""
    found: dict[str, computed[Any]] = {}
    for info in _infos(struct):
        found |= info.computed
    return found


def _infos(struct: Any) -> list[StructInfo]:
    parents = reversed(struct.__mro__)
    return [vars(parent)["__struct_info__"] for parent in parents if "__struct_info__" in vars(parent)]


@once_per_struct
def hints_of(struct: Any) -> Mapping[str, Any]:
    """Return the annotations of its fields, as msgspec has resolved them."""
    return {field.name: field.type for field in msgspec.structs.fields(struct)}
