"""One write of one Struct: its values by the columns they go to, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import Model
from msgspec import UNSET

from hybrid_gateway.exceptions import ErrorEntry, Location, error_entry
from hybrid_gateway.orm.columns.model_fields import ModelField
from hybrid_gateway.orm.write.write_plan import ColumnWrite, RelationWrite, write_plan_of

__all__ = ["INVALID_VALUE", "StructWrite"]

INVALID_VALUE = "This is no value of the field"


class StructWrite:
    """The values that a client has sent for one row."""

    def __init__(self, data: msgspec.Struct, extra: dict[str, object], using: str, location: Location) -> None:
        self.plan = plan = write_plan_of(type(data))
        self.using = using
        self.location = location
        self.faults: dict[str, str] = {}  # of values that no column takes: names of the model → messages
        self.columns: list[tuple[ColumnWrite, object]] = []
        self.nested: list[tuple[ColumnWrite, msgspec.Struct]] = []
        self.relations: list[tuple[RelationWrite, object]] = []
        for column in plan.columns:
            value = getattr(data, column.name)
            # SECURITY: what the server gives wins, by whichever of its names (owner, owner_id) the client has sent it.
            if value is UNSET or not column.attributes.isdisjoint(extra):
                continue
            if column.is_relation and isinstance(value, msgspec.Struct):
                self.nested.append((column, value))
            else:
                self.columns.append((column, value))
        for relation in plan.relations:
            value = getattr(data, relation.name)
            if value is not UNSET and relation.attributes.isdisjoint(extra):
                self.relations.append((relation, value))

    @property
    def is_single_statement(self) -> bool:
        return not (self.nested or self.relations or self.plan.model._meta.parents)

    def column_values(self) -> dict[str, object]:
        """Return the values by attribute, as the model takes them."""
        values: dict[str, object] = {}
        connection = connections[self.using]
        for column, value in self.columns:
            if value is not None:
                try:
                    value = column.convert(value, connection)
                except (ValueError, ValidationError) as error:
                    self.faults[column.field_name] = " ".join(getattr(error, "messages", None) or map(str, error.args))
                except (TypeError, ArithmeticError):  # of code that is asked for the value of an item
                    self.faults[column.field_name] = INVALID_VALUE
            elif column.is_left_out:
                if column.default is not None:
                    values[column.attname] = column.default()
                continue
            elif column.null_as_empty:
                value = ""
            elif column.null_error is not None:
                self.faults[column.field_name] = str(column.null_error)
            values[column.attname] = value
        return values

    def keep_key(self, instance: Model, values: dict[str, object]) -> None:
        """Take the key out of ``values``. A row keeps the one it has, so that any other is rejected."""
        for column, sent in (*self.columns, *self.nested):
            if not column.is_key:
                continue
            name = column.attname if column.attname in values else column.field_name
            value, known = values.pop(name, None), getattr(instance, name)
            if sent is not None and value != known and not _is_same(column.field, value, known):
                self.faults[column.field_name] = "The key of a row cannot be changed"

    def entry(self, field_name: str, message: str) -> ErrorEntry:
        """Return the error of a field of the model, at its place in what the client has sent."""
        return error_entry((*self.location, self.plan.wires.get(field_name, field_name)), message)

    def fault_entries(self) -> Iterator[ErrorEntry]:
        for name, message in self.faults.items():
            yield self.entry(name, message)


def _is_same(field: ModelField, value: object, known: object) -> bool:
    try:
        return bool(field.to_python(value) == known)
    except (ValidationError, TypeError, ValueError):
        return False
