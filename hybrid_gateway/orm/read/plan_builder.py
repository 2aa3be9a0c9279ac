"""From the annotations of a ModelStruct to its :class:`~.ReadPlan`.

How this works: the fields of a class are walked once, together with the fields of its model. Every value that is needed
gets a slot in the row; the code that makes the Struct of a row is an expression of those slots.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related import ForeignObjectRel

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.annotation_types import bare, is_nullable
from hybrid_gateway.orm.columns.column_types import read_converter
from hybrid_gateway.orm.columns.model_fields import check_has_one_column, has_several_columns, value_field
from hybrid_gateway.orm.columns.modeltranslation import chosen_of
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.introspection import (
    columns_of,
    computed_of,
    hints_of,
    is_model_struct,
    model_of,
    once_per_struct,
)
from hybrid_gateway.orm.querysets.lookup_paths import (
    condition_filter,
    condition_paths,
    crosses_to_many,
    is_annotation,
    is_compatible_model,
    is_optional_step,
    is_to_many,
    path_steps,
)
from hybrid_gateway.orm.querysets.ordering import key_names, term_name
from hybrid_gateway.orm.read.read_plan import ReadPlan, RelatedList

__all__ = ["read_plan_of"]


@once_per_struct
def read_plan_of(struct: Any) -> ReadPlan:
    """Return how ``struct`` is read; raises ConfigurationError for a field that its model lacks or cannot fill."""
    model = model_of(struct)
    plan = ReadPlan(struct, model)
    plan.code = _ReadPlanBuilder(plan).struct(struct, model, "", ())
    if not (
        plan.paths or plan.named or plan.expressions or plan.many
    ):  # nothing of a row is shown, but that there is one
        plan.column_slot(model._meta.concrete_fields[0].attname)
    return plan


class _ReadPlanBuilder:
    """Walks a class and its model; the code it gives names places as ``{p0}``."""

    def __init__(self, plan: ReadPlan) -> None:
        self._plan = plan

    def struct(self, struct: Any, model: Any, prefix: str, around: tuple[Any, ...]) -> str:
        """The code of a Struct, whose columns are read below ``prefix``."""
        if struct in around:
            chain = " → ".join(entry.__qualname__ for entry in (*around, struct))
            raise ConfigurationError(f"{chain}: a Struct cannot be joined to itself without end; use another inside.")
        hints = hints_of(struct)
        columns, made = columns_of(struct), computed_of(struct)
        arguments = []
        for name, annotation in hints.items():
            where = f"{struct.__qualname__}.{name}"
            if name in made:
                code = self._computed(made[name], model, prefix, where)
            else:
                code = self._field(name, annotation, columns.get(name) or Column(), model, prefix, (*around, struct))
            arguments.append(f"{name}={code}")
        return f"{self._plan.name_for('struct', struct)}({', '.join(arguments)})"

    def _computed(self, entry: Any, model: Any, prefix: str, where: str) -> str:
        places = []
        for path in entry.columns:
            steps = list(path_steps(model, path, where))
            if any(is_to_many(field) for field in steps):
                raise ConfigurationError(f"{where} is computed of {path!r}, which leads to many rows.")
            places.append(self._column(model, steps, prefix + path))
        return f"{self._plan.name_for('compute', entry.function)}({', '.join(places)})"

    def _field(
        self, name: str, annotation: Any, column: Column, model: Any, prefix: str, around: tuple[Any, ...]
    ) -> str:
        where = f"{around[-1].__qualname__}.{name}"
        if column.is_unseen:
            return "UNSET"
        if column.source is ... or isinstance(column.source, str):
            path = name if column.source is ... else column.source
            if column.source is not ... and is_annotation(model, path):
                return self._annotation(path, None, annotation, prefix, where)
            return self._path(path, annotation, column, model, prefix, around, where)
        return self._annotation(name, column.source, annotation, prefix, where)

    def _annotation(self, name: str, expression: Any, annotation: Any, prefix: str, where: str) -> str:
        if prefix:
            raise ConfigurationError(f"{where} is an annotation, which a nested Struct cannot have.")
        place = self._plan.annotation_slot(f"_{name}" if expression is not None else name, expression)
        kind = bare(annotation)
        if kind in (float, str) and expression is not None:
            return f"({place} if {place} is None else {self._plan.name_for('make', kind)}({place}))"
        return place

    def _path(
        self, path: str, annotation: Any, column: Column, model: Any, prefix: str, around: tuple[Any, ...], where: str
    ) -> str:
        steps = list(path_steps(model, path, where))
        for position, field in enumerate(steps):
            if is_to_many(field):
                owner = LOOKUP_SEP.join([*path.split(LOOKUP_SEP)[:position]])
                rest = LOOKUP_SEP.join(path.split(LOOKUP_SEP)[position + 1 :])
                return self._list(
                    field, rest, annotation, column, f"{prefix}{owner}{LOOKUP_SEP if owner else ''}", where
                )
        field = steps[-1]
        outer = any(is_optional_step(step) for step in steps)
        if is_model_struct(annotation):
            return self._one(path, field, annotation, prefix, around, where, outer=outer)
        if isinstance(field, ForeignObjectRel):
            field, path = field.related_model._meta.pk, f"{path}{LOOKUP_SEP}pk"
        if (outer or field.null) and not is_nullable(annotation):
            raise ConfigurationError(f"{where} can be null in the database: write `| None` after its type.")
        convert = read_converter(annotation, field, where)
        place = self._column(model, [*steps[:-1], field], prefix + path)
        if convert is None:
            return place
        value = self._plan.name_for("value", None)
        return f"(None if ({value} := {place}) is None else {self._plan.name_for('make', convert)}({value}))"

    def _column(self, model: Any, steps: Sequence[Any], path: str) -> str:
        """The place of what is at the end of a path: of a column, or of those that it is made of."""
        field, before = steps[-1], path.rpartition(LOOKUP_SEP)[0]
        before = f"{before}{LOOKUP_SEP}" if before else ""
        if isinstance(field, models.CompositePrimaryKey):
            parts: Any = field.fields
            key = [self._plan.column_slot(before + part.attname) for part in parts]
            return f"(None if {key[0]} is None else ({', '.join(key)}))"
        chosen = chosen_of(steps[-2].related_model if len(steps) > 1 else model, field)
        if chosen is None:
            check_has_one_column(field)
            return self._plan.column_slot(path)
        names, choose = chosen
        places = ", ".join(self._plan.column_slot(before + name) for name in names)
        return f"{self._plan.name_for('choose', choose)}({places})"

    def _one(
        self,
        path: str,
        field: Any,
        annotation: Any,
        prefix: str,
        around: tuple[Any, ...],
        where: str,
        *,
        outer: bool,
    ) -> str:
        kind = bare(annotation)
        if not field.is_relation or not is_compatible_model(kind.__model__, field.related_model):
            raise ConfigurationError(f"{where} is a {kind.__model__.__name__}, which {path!r} does not lead to.")
        if outer and not is_nullable(annotation):
            raise ConfigurationError(f"{where} can be null in the database: write `| None` after its type.")
        inside = f"{prefix}{path}{LOOKUP_SEP}"
        is_elsewhere = isinstance(field, ForeignObjectRel) or has_several_columns(field)
        key = f"{inside}{key_names(field.related_model)[0]}" if is_elsewhere else prefix + path
        present = self._plan.column_slot(key)
        code = self.struct(kind, kind.__model__, inside, around)
        return f"(None if {present} is None else {code})" if outer or prefix else code

    def _list(self, field: Any, rest: str, annotation: Any, column: Column, owner: str, where: str) -> str:
        kind = bare(annotation)
        if typing.get_origin(kind) is not list:
            raise ConfigurationError(f"{where} leads to many rows: its type is list[...].")
        [item] = typing.get_args(kind)
        related, link, key, extra, own = _relation(field)
        narrow = _checked(column, related, where)
        nested, value = None, None
        if is_model_struct(item):
            if rest or not is_compatible_model(bare(item).__model__, related):
                raise ConfigurationError(
                    f"{where} lists {bare(item).__model__.__name__}, but its path leads to {related.__name__}."
                )
            nested = bare(item)
        else:
            steps = list(path_steps(related, rest, where)) if rest else [related._meta.pk]
            last = steps[-1]
            if is_to_many(last):
                raise ConfigurationError(f"{where} leads to lists in lists; nest a ModelStruct.")
            value = _value_of(related, steps, rest or "pk", read_converter(item, last, where))
        many = RelatedList(related, link, nested, value, column.order_by, column.filter, narrow, extra, own)
        self._plan.many.append(many)
        return f"add_list(many{len(self._plan.many) - 1}, {self._plan.column_slot(owner + key)})"


def _value_of(related: Any, steps: Sequence[Any], path: str, convert: Any) -> tuple[tuple[str, ...], Any]:
    """The paths of one value, and what is made of theirs."""
    chosen = chosen_of(steps[-2].related_model if len(steps) > 1 else related, steps[-1])
    if chosen is None:
        return (path,), convert and (lambda value: None if value is None else convert(value))
    names, choose = chosen
    before = path.removesuffix(steps[-1].name)

    def make(*values: Any) -> Any:
        value = choose(*values)
        return value if convert is None or value is None else convert(value)

    return tuple(before + name for name in names), make


def _checked(column: Column, related: Any, where: str) -> Callable[[Any, Any], Any] | None:
    """How a list is narrowed; raises :class:`ConfigurationError` for an order in which rows would come twice."""
    for term in column.order_by:
        name = term_name(term)
        if name is not None and crosses_to_many(related, name):
            raise ConfigurationError(f"{where} cannot be ordered by {name!r}, which leads to many rows of each.")
    return None if column.filter is None else condition_filter(related, condition_paths(column.filter))


_Relation = tuple[Any, str, str, Callable[[], dict[str, Any]] | None, Callable[[Any], Any] | None]


def _relation(field: Any) -> _Relation:
    """The model on the other side, the path from there to the key, the owner's key, what else narrows the rows, and
    what makes a key of the owner's of one from there."""
    if isinstance(field, ForeignObjectRel):
        if field.many_to_many:
            return field.related_model, field.field.name, "pk", None, None
        check_has_one_column(field.field)
        return field.related_model, field.field.attname, field.field.target_field.name, None, None
    if field.many_to_many:
        return field.related_model, field.related_query_name(), "pk", None, None
    key = field.model._meta.pk
    if isinstance(key, models.CompositePrimaryKey):
        raise ConfigurationError(f"{field.model.__name__}.{field.name} cannot refer to a composite key.")
    own = value_field(key).to_python
    return field.related_model, field.object_id_field_name, "pk", partial(_content_type, field), own


def _content_type(field: Any) -> dict[str, Any]:
    """What tells the rows of this model from those of others, in a generic relation."""
    from django.contrib.contenttypes.models import ContentType

    content_type = ContentType.objects.get_for_model(field.model, for_concrete_model=field.for_concrete_model)
    return {f"{field.content_type_field_name}_id": content_type.pk}
