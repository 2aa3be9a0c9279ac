"""Struct of a model instance that was loaded already."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related import ForeignObjectRel

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.annotation_types import bare
from hybrid_gateway.orm.columns.column_types import normalizer, read_converter
from hybrid_gateway.orm.introspection import columns_of, computed_of, hints_of, is_model_struct
from hybrid_gateway.orm.querysets.lookup_paths import condition_filter, condition_paths, leads_to_many
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.read.selection import check_model

__all__ = ["from_model"]


def from_model(struct: Any, instance: Any) -> Any:
    """The Struct of an instance that was loaded already."""
    plan = read_plan_of(struct)
    check_model(plan, type(instance))
    return _from_instance(struct, instance)


def _from_instance(struct: Any, instance: Any) -> Any:
    columns, made = columns_of(struct), computed_of(struct)
    values: dict[str, Any] = {}
    for field in struct.__struct_fields__:
        if field in made:
            places = [_value(instance, path.split(LOOKUP_SEP)) for path in made[field].columns]
            function: Any = made[field].function
            values[field] = function(*places)
            continue
        column = columns[field]
        if column.is_unseen:
            values[field] = msgspec.UNSET
            continue
        path = column.source if isinstance(column.source, str) else field
        if isinstance(column.source, models.expressions.Combinable):
            path = f"_{field}"
        annotation = hints_of(struct)[field]
        values[field] = _from_path(instance, path, annotation, column, f"{struct.__qualname__}.{field}")
    return struct(**values)


def _from_path(instance: Any, path: str, annotation: Any, column: Any, where: str) -> Any:
    kind = bare(annotation)
    steps = path.split(LOOKUP_SEP)
    if leads_to_many(type(instance), path):
        [item] = kind.__args__
        return _from_list(instance, steps, item, column)
    if is_model_struct(kind):
        related = _value(instance, steps)
        return None if related is None else _from_instance(kind, related)
    owner = _value(instance, steps[:-1])
    if owner is None:
        return None
    try:
        field = owner._meta.get_field(steps[-1]) if steps[-1] != "pk" else owner._meta.pk
    except FieldDoesNotExist:
        return _attribute(owner, steps[-1], where)
    if isinstance(field, ForeignObjectRel):
        related = _value(owner, steps[-1:])
        return None if related is None else related.pk
    value = getattr(owner, field.attname)
    show, convert = _showing(annotation, field, where)
    if isinstance(field, models.FileField):
        value = value.name
    if value is not None and show is not None:
        value = show(value, connections[owner._state.db or DEFAULT_DB_ALIAS])
    return value if convert is None or value is None else convert(value)


_MOST_SHOWN = 100  # annotations per column


def _showing(annotation: Any, field: Any, where: str) -> tuple[Any, Any]:
    """What the database makes of a value of an instance, and what the annotation makes of that; made once."""
    kept = field.__dict__.setdefault("_hybrid_gateway_showing", {})
    key = (where, id(annotation))
    if key not in kept:
        if len(kept) >= _MOST_SHOWN:
            kept.clear()
        # With the annotation, so that no other one can ever have its id.
        kept[key] = (normalizer(field), read_converter(annotation, field, where), annotation)
    show, convert, _ = kept[key]
    return show, convert


def _attribute(owner: Any, name: str, where: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise ConfigurationError(f"{where} is an annotation, which this instance has not got.") from None


def _from_list(instance: Any, steps: list[str], item: Any, column: Any) -> list[Any]:
    for position, step in enumerate(steps):
        manager = _value(instance, [step])
        if not isinstance(manager, models.Manager):
            instance = manager
            continue
        found: Any = manager.all()
        if column.filter is not None:
            found = condition_filter(found.model, list(condition_paths(column.filter)))(
                found, copy.deepcopy(column.filter)
            )
        if column.order_by:
            found = found.order_by(*column.order_by)
        found = found if found.ordered else sorted(found, key=lambda entry: entry.pk)
        rest = steps[position + 1 :]
        return [
            _from_instance(bare(item), entry)
            if not rest and is_model_struct(item)
            else _from_path(entry, LOOKUP_SEP.join(rest) or "pk", item, column, "")
            for entry in found
        ]
    return []


def _value(instance: Any, steps: Sequence[str]) -> Any:
    """What a path leads to, ``None`` where it ends before."""
    for step in steps:
        if instance is None:
            return None
        try:
            meta = instance._meta
            field = meta._forward_fields_map.get(step) or meta.fields_map.get(step)
            name = field.get_accessor_name() if isinstance(field, ForeignObjectRel) else step
            instance = getattr(instance, name or step)
        except ObjectDoesNotExist:  # of a one-to-one relation
            return None
    return instance
