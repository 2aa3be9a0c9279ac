"""The other sides of a row: the rows that refer to it, and those that it shares with others.

How this works: a list is the other side of a foreign key or a generic relation, or many-to-many; the other side of a
one-to-one relation is one row or none. What clients send for it are nested Structs, which are written by the rule of
their field, or keys of rows that exist, which are made to belong. What belonged before and is not named any more is let
go where a row may belong to nobody, and deleted where the field says ``write="replace"``; else the client is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey, Model, QuerySet
from django.db.models.fields.related import ForeignObjectRel
from msgspec import UNSET

from hybrid_gateway._compat.django_orm_internals import forget_related
from hybrid_gateway.exceptions import Location, RequestValidationError, error_entry
from hybrid_gateway.orm.columns.field_facts import is_key_column, key_columns, value_field
from hybrid_gateway.orm.columns.value_limits import limit_violation
from hybrid_gateway.orm.write.write_plan import RelationWrite, StructWrite, key_in_struct, write_plan_of


class RowWriter(msgspec.Struct, frozen=True):
    """The functions of :mod:`~.instance_writer` that write one row."""

    create: Callable[..., Model]
    update: Callable[..., Model]


class _RelatedManager(Protocol):
    """The manager of related rows, an attribute of an instance."""

    def using(self, alias: str) -> QuerySet[Model]: ...
    def add(self, *rows: Model) -> None: ...
    def remove(self, *rows: Model) -> None: ...
    def set(self, rows: Sequence[Model]) -> None: ...


def write_relation(
    write: StructWrite, relation: RelationWrite, instance: Model, value: object, writer: RowWriter, *, is_new: bool
) -> None:
    """Write what a client has sent for one other side of ``instance``."""
    if relation.field.one_to_one:
        _RelatedRow(write, relation, instance, writer, is_new=is_new).write(value)
    else:
        many = _RelatedRows(write, relation, instance, writer, is_new=is_new)
        items = cast("Sequence[object]", value or ())
        (many.write_structs if relation.is_nested else many.write_keys)(items)


class _Relation:
    def __init__(
        self, write: StructWrite, relation: RelationWrite, instance: Model, writer: RowWriter, *, is_new: bool
    ) -> None:
        self._using = write.using
        self._location = (*write.location, relation.wire)
        self._field = relation.field
        self._replaces = relation.replaces
        self._instance = instance
        self._writer = writer
        self._is_new = is_new
        assert relation.field.related_model is not None
        self._model = relation.field.related_model

    def _belonging(self) -> dict[str, object]:
        """Return the attributes by which a new row on the other side belongs to the instance."""
        field = self._field
        if field.many_to_many:
            return {}
        if isinstance(field, ForeignObjectRel):
            return {field.field.name: self._instance}
        # Here, because its model can only be imported once Django knows all apps.
        from django.contrib.contenttypes.fields import GenericRelation
        from django.contrib.contenttypes.models import ContentType

        assert isinstance(field, GenericRelation)
        types = ContentType.objects.db_manager(self._using)
        content_type = types.get_for_model(self._instance, for_concrete_model=field.for_concrete_model)
        return {field.content_type_field_name: content_type, field.object_id_field_name: self._instance.pk}

    def _update(self, item: msgspec.Struct, row: Model, belonging: dict[str, object], location: Location) -> None:
        written = {column.field_name for column in write_plan_of(type(item)).columns}
        kept = {name: value for name, value in belonging.items() if name in written}
        self._writer.update(item, row, kept, using=self._using, location=location)

    def _rows(self, keys: Sequence[object]) -> list[Model]:
        """Return the rows that keys name; raise a 422 for those that name none."""
        converted = [self._key(key) for key in keys]
        rows = self._model._base_manager.using(self._using).in_bulk([key for key in converted if key is not None])
        faults = [
            error_entry(self._location if self._field.one_to_one else (*self._location, number), message)
            for number, (given, key) in enumerate(zip(keys, converted, strict=True))
            if key not in rows and (message := f"There is no {given!r}")
        ]
        if faults:
            raise RequestValidationError(faults)
        return [rows[key] for key in converted]

    def _key(self, key: object) -> object:
        """Return a key as the model has it; ``None`` for what can be none."""
        columns = key_columns(self._model)
        if limit_violation(key) is not None:
            return None
        try:
            if len(columns) == 1:
                return value_field(columns[0]).to_python(key)
            parts = zip(columns, cast("Sequence[object]", key), strict=True)
            return tuple(field.to_python(value) for field, value in parts)
        except (ValidationError, ValueError, TypeError):
            return None

    def _not_left_out(self, keys: str) -> RequestValidationError:
        return RequestValidationError([error_entry(self._location, f"What belongs to it cannot be left out: {keys}")])


class _RelatedRows(_Relation):
    def write_structs(self, items: Sequence[object]) -> None:
        """Change the rows that Structs name and this instance has; add the others.

        What is replaced goes first: what comes in its place may have values that only one row can have.
        """
        belonging = self._belonging()
        structs = cast("Sequence[msgspec.Struct]", items)
        there = {} if self._is_new else {row.pk: row for row in self._manager.using(self._using).all()}
        keys = [key_in_struct(item, self._model, belonging) for item in structs]
        if self._replaces:
            self._remove([row for key, row in there.items() if key not in keys])
        made = []
        for number, (item, key) in enumerate(zip(structs, keys, strict=True)):
            location = (*self._location, number)
            if key is not UNSET and key in there:
                self._update(item, there[key], belonging, location)
            else:
                made.append(self._writer.create(item, belonging, using=self._using, location=location))
        if self._field.many_to_many:
            self._manager.add(*made)

    def write_keys(self, keys: Sequence[object]) -> None:
        """Make the rows that keys name belong to the instance, and no others."""
        rows = self._rows(keys)
        if self._field.many_to_many:
            self._manager.set(rows)
            return
        if not self._is_new:
            named = {row.pk for row in rows}
            self._remove([row for row in self._manager.using(self._using).all() if row.pk not in named])
        self._manager.add(*rows)

    @property
    def _manager(self) -> _RelatedManager:
        name = self._field.get_accessor_name() if isinstance(self._field, ForeignObjectRel) else self._field.name
        manager: _RelatedManager = getattr(self._instance, str(name))
        return manager

    def _remove(self, rows: Sequence[Model]) -> None:
        """End that rows belong to the instance."""
        if not rows:
            return
        is_free = isinstance(self._field, ForeignObjectRel) and self._field.field.null  # may belong to nobody
        if self._field.many_to_many or (is_free and not self._replaces):
            self._manager.remove(*rows)
        elif self._replaces:
            for row in rows:
                row.delete(using=self._using)
        else:
            raise self._not_left_out(", ".join(str(row.pk) for row in rows))


class _RelatedRow(_Relation):
    """One row, or none: the other side of a one-to-one relation."""

    def write(self, value: object) -> None:
        belonging, there = self._belonging(), None
        if not self._is_new:
            rows = self._model._base_manager.using(self._using)
            there = rows.filter(**{self._link.name: self._instance}).first()
        if isinstance(value, msgspec.Struct):
            if there is None:
                there = self._writer.create(value, belonging, using=self._using, location=self._location)
            else:
                self._update(value, there, belonging, self._location)
        else:
            row = self._rows([value])[0] if value is not None else None
            if there is not None and row != there:
                self._let_go(there)
            if row is not None and row != there:
                if is_key_column(self._link, type(row)):
                    raise RequestValidationError([error_entry(self._location, "The key of a row cannot be changed")])
                self._set_link(row, self._instance)
            there = row
        forget_related(self._instance, self._link.remote_field)
        if there is not None:
            setattr(there, self._link.name, self._instance)

    @property
    def _link(self) -> ForeignKey[object, object]:
        """The field on the other side that refers to the instance."""
        assert isinstance(self._field, ForeignObjectRel)
        return cast("ForeignKey[object, object]", self._field.field)

    def _let_go(self, row: Model) -> None:
        if self._replaces:
            row.delete(using=self._using)
        elif self._link.null:
            self._set_link(row, None)
        else:
            raise self._not_left_out(str(row.pk))

    def _set_link(self, row: Model, owner: Model | None) -> None:
        setattr(row, self._link.name, owner)
        row.save(using=self._using, update_fields=[self._link.name])
