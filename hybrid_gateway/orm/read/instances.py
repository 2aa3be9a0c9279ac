"""The Struct of a model instance that was loaded already."""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import FileField, Manager, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Combinable
from django.db.models.fields.related import ForeignObjectRel
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import normalizer, read_converter
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.introspection import columns_of, computed_of, hints_of, is_model_struct, once_per_struct
from hybrid_gateway.orm.querysets.lookup_paths import condition_filter, condition_paths, find_field, leads_to_many
from hybrid_gateway.orm.querysets.querysets import order_terms
from hybrid_gateway.orm.read.read_plan import read_plan_of
from hybrid_gateway.type_info import bare

S = TypeVar("S", bound=msgspec.Struct)
Convert = Callable[[object], object]
Normalize = Callable[..., object]


def from_model(struct: type[S], instance: Model) -> S:
    """Return the Struct of an instance that was loaded already."""
    read_plan_of(struct).check_model(type(instance))
    return _from_instance(struct, instance)


def read_rows(struct: type[S], queryset: QuerySet[Any], chunk_size: int | None = None) -> Iterator[tuple[S, Model]]:
    """Yield the Structs of the rows of a queryset with their instances, which keep what it prefetches.

    With a ``chunk_size`` no more than so many rows are in memory.
    """
    plan = read_plan_of(struct)
    plan.check_model(queryset.model)
    found = queryset.annotate(**plan.expressions) if plan.expressions else queryset.all()
    for instance in found if chunk_size is None else found.iterator(chunk_size):
        yield _from_instance(struct, instance), instance


def value_at(instance: Model, path: str) -> object:
    """Return what a lookup path leads to from an instance."""
    return _follow(instance, path.split(LOOKUP_SEP))


def _from_instance(struct: type[S], instance: Model) -> S:
    return struct(**{name: read(instance) for name, read in _readers_of(struct).items()})


@once_per_struct
def _readers_of(struct: type[msgspec.Struct]) -> Mapping[str, Callable[[Model], object]]:
    return {name: _reader(struct, name, annotation) for name, annotation in hints_of(struct).items()}


def _reader(struct: type[msgspec.Struct], name: str, annotation: object) -> Callable[[Model], object]:
    column, entry = columns_of(struct)[name], computed_of(struct).get(name)
    if entry is not None:
        if not entry.columns:
            return entry.function
        paths = [path.split(LOOKUP_SEP) for path in entry.columns]
        return lambda instance: entry.function(*[_follow(instance, steps) for steps in paths])
    if column.is_unseen:
        return lambda instance: UNSET
    return _FieldReader(f"{struct.__qualname__}.{name}", name, annotation, column).read


class _FieldReader:
    """Reads one field of a Struct off instances."""

    def __init__(self, where: str, name: str, annotation: object, column: Column) -> None:
        self._where = where
        self._annotation = annotation
        self._column = column
        self._path = column.source if isinstance(column.source, str) else name
        if isinstance(column.source, Combinable):
            self._path = f"_{name}"
        self._steps = self._path.split(LOOKUP_SEP)
        # By the model that has the column: what makes its values those of the database, then those of the annotation.
        self._converters: dict[type[Model], tuple[Normalize | None, Convert | None]] = {}

    def read(self, instance: Model) -> object:
        """Return the value of the field; what was not loaded costs queries."""
        if leads_to_many(type(instance), self._path):
            [item] = typing.get_args(bare(self._annotation))
            return self._read_list(instance, item)
        if is_model_struct(self._annotation):
            related = _follow(instance, self._steps)
            return None if related is None else _from_instance(bare(self._annotation), related)
        return self._read_value(instance, self._steps, self._annotation)

    def _read_value(self, instance: Model, steps: Sequence[str], annotation: object) -> object:
        owner = _follow(instance, steps[:-1])
        if owner is None:
            return None
        name = steps[-1]
        field = find_field(type(owner), name)
        if field is None:
            value = getattr(owner, name, UNSET)
            if value is UNSET:
                raise ConfigurationError(f"{self._where} is an annotation, which this instance has not got.", id="M010")
            return value
        if isinstance(field, ForeignObjectRel):
            related = _follow(owner, [name])
            return None if related is None else related.pk
        value = getattr(owner, field.attname)
        if isinstance(field, FileField):
            value = value.name
        known = self._converters.get(type(owner))
        if known is None:
            known = normalizer(field), read_converter(annotation, field, self._where)
            self._converters[type(owner)] = known
        normalize, convert = known
        if value is not None and normalize is not None:
            value = normalize(value, connections[owner._state.db or DEFAULT_DB_ALIAS])
        return value if convert is None or value is None else convert(value)

    def _read_list(self, instance: Any, item: object) -> list[object]:
        for position, step in enumerate(self._steps):
            manager = _follow(instance, [step])
            if not isinstance(manager, Manager):
                instance = manager
                continue
            rest = self._steps[position + 1 :]
            if not rest and is_model_struct(item):
                return [_from_instance(bare(item), entry) for entry in self._entries(manager)]
            return [self._read_value(entry, rest or ["pk"], item) for entry in self._entries(manager)]
        return []

    def _entries(self, manager: Manager[Any]) -> Iterable[Any]:
        """Return the instances of a list, narrowed and ordered as the column says."""
        found = manager.all()
        condition = self._column.filter
        if condition is not None:
            found = condition_filter(found.model, list(condition_paths(condition)))(found, copy.deepcopy(condition))
        if self._column.order_by and order_terms(found) != self._column.order_by:  # what is prefetched stays, if it may
            found = found.order_by(*self._column.order_by)
        return found if found.ordered else sorted(found, key=lambda entry: entry.pk)


def _follow(instance: Any, steps: Sequence[str]) -> Any:
    """Return what a path leads to, ``None`` where it ends before."""
    for step in steps:
        if instance is None:
            return None
        try:
            field = find_field(type(instance), step)
            accessor = field.get_accessor_name() if isinstance(field, ForeignObjectRel) else None
            instance = getattr(instance, accessor or step)
        except ObjectDoesNotExist:  # of a one-to-one relation
            return None
    return instance
