"""The other sides of a row: the rows that refer to it, and those that it shares with others.

How this works: a list is the other side of a foreign key or a generic relation, or many-to-many; the other side of a
one-to-one relation is one row or none. What clients send for it are nested Structs, which are written by the rule of
their field, or keys of rows that exist, which are made to belong. What belonged before and is not named any more is let
go where a row may belong to nobody, and deleted where the field says ``write="replace"``; else the client is told.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.fields.related import ForeignObjectRel
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError, Location, RequestValidationError, error_entry
from hybrid_gateway.orm.columns.annotation_types import bare
from hybrid_gateway.orm.columns.model_fields import value_field
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.columns.value_limits import limit_violation
from hybrid_gateway.orm.introspection import is_model_struct
from hybrid_gateway.orm.write.write_errors import StructWrite

__all__ = [
    "ReverseRelation",
    "check_write_rule",
    "is_key_column",
    "is_nested",
    "is_reverse",
    "key_fields",
    "key_in_struct",
]


class _Plan(StructWrite, Protocol):
    def add(self, item: Any, extra: dict[str, Any], loc: Location) -> Any: ...
    def change(self, item: Any, row: Any, extra: dict[str, Any], loc: Location) -> Any: ...


def is_reverse(field: Any) -> bool:
    """Whether its values are rows that are written after the row that has it."""
    return isinstance(field, ForeignObjectRel) or bool(field.many_to_many or field.one_to_many)


def is_nested(annotation: Any) -> bool:
    """Whether a field holds a ``ModelStruct``, or a list of them."""
    kind = bare(annotation)
    return is_model_struct(typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind)


def check_write_rule(where: str, target: Any, column: Column, *, is_nested: bool) -> None:
    """Raise :class:`ConfigurationError` for nested Structs without a rule, and for a relation that cannot be given."""
    if is_nested and column.write is None:
        raise ConfigurationError(
            f'{where} is nested: say what writing it means, Annotated[..., Column(write="create")] or '
            'Column(write="replace").'
        )
    through: Any = getattr(target if isinstance(target, ForeignObjectRel) else target.remote_field, "through", None)
    if through is not None and (needed := _needed(through)):
        raise ConfigurationError(
            f"{where} goes through {through.__name__}, whose rows need {', '.join(needed)}: write those, or mark it "
            "Column(read_only=True)."
        )


def _needed(through: Any) -> list[str]:
    """What rows between two others need that nobody sends."""
    return [
        field.name
        for field in through._meta.concrete_fields
        if not (field.is_relation or field.primary_key or field.null or field.has_default() or field.generated)
        and not (field.has_db_default() or field.empty_strings_allowed or getattr(field, "auto_now_add", False))
        and not getattr(field, "auto_now", False)
    ]


# --- keys ----------------------------------------------------------------------------------------------------------


def is_key_column(field: Any, instance: Any) -> bool:
    """Whether a column is the key of a row, of its parents', or a part of it."""
    return bool(field.primary_key) or field in getattr(instance._meta.pk, "fields", ())


def key_fields(struct: Any, given: Mapping[str, Any] = {}) -> tuple[str, ...] | None:
    """The fields of a Struct that are the key of its model; ``None`` where there are not all of them."""
    key, there = struct.__model__._meta.pk, struct.__struct_fields__
    if not isinstance(key, models.CompositePrimaryKey):
        found = [name for name in ("pk", key.name, key.attname) if name in there]
        return tuple(found[:1]) or None
    names, parts = [], typing.cast("Any", key.fields)
    for field in parts:
        named = [name for name in (field.name, field.attname) if name in there or name in given]
        if not named:
            return None
        names.append(named[0])
    return tuple(names)


def key_in_struct(item: Any, model: Any, given: Mapping[str, Any]) -> Any:
    """The key that a Struct names, as its model has it; ``UNSET`` for none. ``given`` is what it need not say."""
    names, key = key_fields(type(item), given), model._meta.pk
    if names is None:
        return UNSET
    values = [given[name] if name in given else getattr(item, name) for name in names]
    if any(value is UNSET or value is None for value in values):
        return UNSET
    found = [value.pk if isinstance(value, models.Model) else value for value in values]
    fields: Any = key.fields if isinstance(key, models.CompositePrimaryKey) else (key,)
    try:
        made = [field.to_python(value) for field, value in zip(fields, found, strict=True)]
    except ValidationError:
        return UNSET
    return tuple(made) if len(made) > 1 else made[0]


# --- rows ----------------------------------------------------------------------------------------------------------


class ReverseRelation:
    """One other side of one instance, as a Struct writes it."""

    def __init__(self, plan: _Plan, write: Any, instance: Any, *, is_new: bool) -> None:
        self._plan = plan
        self._field = write.field
        self._instance = instance
        self._is_new = is_new
        self._is_nested = write.is_nested
        self._replaces = write.column.write == "replace"
        self._loc: Location = (*plan.loc, write.wire)
        self._model = write.field.related_model

    def write(self, value: Any) -> None:
        """Write what a client has sent for it."""
        if self._field.one_to_one:
            self._write_one(value)
        elif self._is_nested:
            self._write_structs(value or [])
        else:
            self._write_keys(value or [])

    def _manager(self) -> Any:
        name = self._field.get_accessor_name() if isinstance(self._field, ForeignObjectRel) else self._field.name
        return getattr(self._instance, str(name))

    def _belonging(self) -> dict[str, Any]:
        """What makes a new row on the other side belong to the instance."""
        field = self._field
        if field.many_to_many:
            return {}
        if isinstance(field, ForeignObjectRel):
            return {field.field.name: self._instance}
        from django.contrib.contenttypes.models import ContentType

        types = ContentType.objects.db_manager(self._plan.using)
        content_type = types.get_for_model(self._instance, for_concrete_model=field.for_concrete_model)
        return {field.content_type_field_name: content_type, field.object_id_field_name: self._instance.pk}

    def _lets_go(self) -> bool:
        """Whether a row on the other side may belong to nobody."""
        return bool(isinstance(self._field, ForeignObjectRel) and self._field.field.null) or self._field.many_to_many

    # --- lists

    def _write_structs(self, items: Sequence[Any]) -> None:
        """Rows on the other side: changed where a Struct names one of this instance, otherwise new.

        What is replaced goes first: what comes in its place may have values that only one row can have.
        """
        manager, belonging = self._manager(), self._belonging()
        there = {} if self._is_new else {row.pk: row for row in manager.using(self._plan.using).all()}
        keys = [key_in_struct(item, self._model, belonging) for item in items]
        if self._replaces:
            self._remove([row for key, row in there.items() if key not in keys])
        made = []
        for number, (item, key) in enumerate(zip(items, keys, strict=True)):
            loc = (*self._loc, number)
            if key is not UNSET and key in there:
                self._plan.change(item, there[key], belonging, loc)
            else:
                made.append(self._plan.add(item, belonging, loc))
        if self._field.many_to_many:
            manager.add(*made)

    def _write_keys(self, keys: Sequence[Any]) -> None:
        rows = self._rows(keys)
        manager = self._manager()
        if self._field.many_to_many:
            manager.set(rows)
            return
        if not self._is_new:
            named = {row.pk for row in rows}
            self._remove([row for row in manager.using(self._plan.using).all() if row.pk not in named])
        manager.add(*rows)

    def _rows(self, keys: Sequence[Any]) -> list[Any]:
        """The rows that keys name; raises a 422 for those that name none."""
        named = [self._key(key) for key in keys]
        rows = self._model._base_manager.using(self._plan.using).in_bulk([key for key in named if key is not None])
        faults = [
            error_entry((*self._loc, number) if not self._field.one_to_one else self._loc, f"There is no {given!r}")
            for number, (given, key) in enumerate(zip(keys, named, strict=True))
            if key not in rows
        ]
        if faults:
            raise RequestValidationError(faults)
        return [rows[key] for key in named]

    def _key(self, key: Any) -> Any:
        """A key as the model has it; ``None`` for what can be none."""
        if limit_violation(key) is not None:
            return None
        pk = self._model._meta.pk
        try:
            if isinstance(pk, models.CompositePrimaryKey):
                parts: Any = pk.fields
                return tuple(field.to_python(value) for field, value in zip(parts, key, strict=True))
            return value_field(pk).to_python(key)
        except (ValidationError, ValueError, TypeError):
            return None

    def _remove(self, rows: Sequence[Any]) -> None:
        """End that rows belong to the instance."""
        if not rows:
            return
        if self._field.many_to_many:
            self._manager().remove(*rows)
        elif self._replaces:
            for row in rows:
                row.delete(using=self._plan.using)
        elif self._lets_go():
            self._manager().remove(*rows)
        else:
            names = ", ".join(str(row.pk) for row in rows)
            raise RequestValidationError([error_entry(self._loc, f"What belongs to it cannot be left out: {names}")])

    # --- one row

    def _write_one(self, value: Any) -> None:
        link, belonging = self._field.field, self._belonging()
        there = self._there()
        if isinstance(value, msgspec.Struct):
            if there is not None:
                self._plan.change(value, there, belonging, self._loc)
            else:
                there = self._plan.add(value, belonging, self._loc)
        else:
            [row] = self._rows([value]) if value is not None else [None]
            if there is not None and row != there:
                self._let_one_go(there)
            if row is not None and row != there:
                self._give(row)
            there = row
        if link.remote_field.is_cached(self._instance):
            link.remote_field.delete_cached_value(self._instance)
        if there is not None:
            setattr(there, link.name, self._instance)

    def _there(self) -> Any:
        if self._is_new:
            return None
        rows = self._model._base_manager.using(self._plan.using)
        return rows.filter(**{self._field.field.name: self._instance}).first()

    def _let_one_go(self, row: Any) -> None:
        if self._replaces:
            row.delete(using=self._plan.using)
        elif self._field.field.null:
            setattr(row, self._field.field.name, None)
            row.save(using=self._plan.using, update_fields=[self._field.field.name])
        else:
            raise RequestValidationError([error_entry(self._loc, f"What belongs to it cannot be left out: {row.pk}")])

    def _give(self, row: Any) -> None:
        link = self._field.field
        if is_key_column(link, row):
            raise RequestValidationError([error_entry(self._loc, "The key of a row cannot be changed")])
        setattr(row, link.name, self._instance)
        row.save(using=self._plan.using, update_fields=[link.name])
