"""The lists of a Struct: rows on the other side of a relation, read for all owners at once."""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from django.db.models import CompositePrimaryKey, Model, Q, QuerySet
from django.db.models.fields.related import ForeignObjectRel

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import read_converter
from hybrid_gateway.orm.columns.field_facts import PathStep, check_has_one_column, value_field
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.introspection import StructClass, is_model_struct, model_of
from hybrid_gateway.orm.query_cache.prepared import Prepared
from hybrid_gateway.orm.querysets.lookup_paths import (
    chosen_of,
    condition_filter,
    condition_paths,
    crosses_to_many,
    is_compatible_model,
    is_to_many,
    path_steps,
)
from hybrid_gateway.orm.querysets.querysets import term_name
from hybrid_gateway.type_info import bare

Value = tuple[Sequence[str], Callable[..., object] | None]
"""The paths of single values, and what makes a value of theirs."""
Narrow = Callable[[QuerySet[Model], Q], QuerySet[Model]]


class _Relation(msgspec.Struct, frozen=True, eq=False):
    """A relation to many rows, seen from its owner."""

    model: type[Model]  # on the other side
    link: str  # the path from there to the key
    owner_column: str  # that has the key, of the owner
    extra: Callable[[], Mapping[str, object]] | None = None  # what else narrows the rows, of a generic relation
    owner_key: Callable[[object], object] | None = None  # of a generic relation: the link, which may be text → the key


class RelatedList(_Relation, frozen=True, eq=False, kw_only=True):
    """A list of a Struct: the rows on the other side, all at once, by the key that they share with their owners."""

    struct: StructClass | None  # what they become; None: single values
    value: Value | None
    order_by: tuple[Any, ...]  # names and expressions
    condition: Q | None
    narrow: Narrow | None  # how the condition is put to the rows
    prepared: dict[str, Prepared[Any] | None] = {}  # the query of these rows, by database

    def rows(self, using: str) -> QuerySet[Model]:
        """Return the rows on the other side, in order, of all owners."""
        queryset = self.model._default_manager.using(using)
        if self.extra is not None:
            queryset = queryset.filter(**self.extra())
        if self.narrow is not None and self.condition is not None:
            # Managers of others (django-modeltranslation) change the condition that they are given.
            queryset = self.narrow(queryset, copy.deepcopy(self.condition))
        if self.order_by:
            return queryset.order_by(*self.order_by)
        return queryset if queryset.ordered else queryset.order_by("pk")


def related_list(field: PathStep, rest: str, annotation: object, column: Column, where: str) -> RelatedList:
    """Return the list at ``field``, whose items are Structs or what is at the end of the path ``rest``."""
    kind = bare(annotation)
    if typing.get_origin(kind) is not list:
        raise ConfigurationError(f"{where} leads to many rows: its type is list[...].", id="M007")
    [item] = typing.get_args(kind)
    relation = _relation(field)
    struct, value = None, None
    if is_model_struct(item):
        struct = bare(item)
        if rest or not is_compatible_model(model_of(struct), relation.model):
            shown, there = model_of(struct).__name__, relation.model.__name__
            raise ConfigurationError(f"{where} lists {shown}, but its path leads to {there}.", id="M008")
    else:
        value = _value(relation.model, rest, item, where)
    return RelatedList(
        *msgspec.structs.astuple(relation),
        struct=struct,
        value=value,
        order_by=column.order_by,
        condition=column.filter,
        narrow=_narrow(column, relation.model, where),
    )


def _value(model: type[Model], rest: str, item: object, where: str) -> Value:
    steps = list(path_steps(model, rest or "pk", where))
    last = steps[-1]
    if is_to_many(last):
        raise ConfigurationError(f"{where} leads to lists in lists; nest a ModelStruct.", id="M007")
    convert = read_converter(item, last, where)
    chosen = chosen_of(model, steps)
    if chosen is None:
        return (rest or "pk",), convert and (lambda value: None if value is None else convert(value))
    names, choose = chosen
    before = rest.removesuffix(last.name)

    def make(*values: object) -> object:
        value = choose(*values)
        return value if convert is None or value is None else convert(value)

    return tuple(before + name for name in names), make


def _narrow(column: Column, model: type[Model], where: str) -> Narrow | None:
    """Return how a list is narrowed; raises :class:`ConfigurationError` for an order that would repeat rows."""
    for term in column.order_by:
        name = term_name(term)
        if name is not None and crosses_to_many(model, name):
            raise ConfigurationError(
                f"{where} cannot be ordered by {name!r}, which leads to many rows of each.", id="M007"
            )
    return None if column.filter is None else condition_filter(model, condition_paths(column.filter))


def _relation(field: Any) -> _Relation:
    if field.many_to_many:
        is_reverse = isinstance(field, ForeignObjectRel)
        return _Relation(field.related_model, field.field.name if is_reverse else field.related_query_name(), "pk")
    if isinstance(field, ForeignObjectRel):
        check_has_one_column(field.field)
        return _Relation(field.related_model, field.field.attname, field.field.target_field.name)
    key = field.model._meta.pk
    if isinstance(key, CompositePrimaryKey):
        raise ConfigurationError(f"{field.model.__name__}.{field.name} cannot refer to a composite key.", id="M014")

    def of_this_model() -> Mapping[str, object]:
        # A model of an optional app, which cannot be imported before all apps are loaded.
        from django.contrib.contenttypes.models import ContentType

        content_type = ContentType.objects.get_for_model(field.model, for_concrete_model=field.for_concrete_model)
        return {f"{field.content_type_field_name}_id": content_type.pk}

    owner_key = value_field(key).to_python
    return _Relation(field.related_model, field.object_id_field_name, "pk", of_this_model, owner_key)
