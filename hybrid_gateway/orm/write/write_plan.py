"""The plan of how a ModelStruct is written (which fields go to which columns, what is done to values), and one write.

How this works: a field of the Struct is written to the column of its name, unless the server manages that (automatic
keys, ``auto_now``, ``editable=False``), or the Struct only reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import Field, Model
from django.db.models.fields.related import ForeignObjectRel
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError, ErrorEntry, Location, error_entry
from hybrid_gateway.orm.columns.column_types import column_type_of, is_unknown, write_converter
from hybrid_gateway.orm.columns.field_facts import (
    ModelField,
    PathStep,
    is_key_column,
    is_overridden,
    is_server_managed,
    key_columns,
    takes_empty,
    value_field,
)
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.columns.value_predictors import to_python
from hybrid_gateway.orm.columns.value_writers import Writer
from hybrid_gateway.orm.introspection import (
    columns_of,
    computed_of,
    holds_structs,
    is_model_struct,
    model_of,
    once_per_struct,
)
from hybrid_gateway.orm.querysets.lookup_paths import find_field, is_to_many


class FieldWrite(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A field of a Struct that is written."""

    name: str
    wire: str  # its name to clients
    field_name: str  # its name on the model
    attributes: frozenset[str]  # of an instance: owner, owner_id, pk


class ColumnWrite(FieldWrite, frozen=True, kw_only=True, eq=False):
    """One that goes to a column, or to the row that a foreign key refers to."""

    field: ModelField
    attname: str
    convert: Writer
    is_relation: bool
    is_unknown: bool  # what it takes only the database can tell
    is_key: bool  # or a part of it
    is_null: bool
    is_array: bool
    takes_empty: bool
    null_as_empty: bool  # it has no null, but an empty text
    default: Callable[[], object] | None  # for None, which stands for an absent value of a column without null
    is_left_out: bool  # where it is None: so that the database gives its default, where there is no ``default``
    null_error: object  # of a null that would reach the database, as DJANGO's validators pass by blank columns


class RelationWrite(FieldWrite, frozen=True, kw_only=True, eq=False):
    """One whose values are rows that are written after the row that has them."""

    field: PathStep
    is_nested: bool
    replaces: bool


class WritePlan(msgspec.Struct, frozen=True, eq=False):
    """The columns and relations that one Struct writes."""

    model: type[Model]
    columns: tuple[ColumnWrite, ...]
    relations: tuple[RelationWrite, ...]
    by_attribute: Mapping[str, ColumnWrite]
    wires: Mapping[str, str]  # names of the model → names of the wire


@once_per_struct
def write_plan_of(struct: type[msgspec.Struct]) -> WritePlan:
    """Return how ``struct`` is written; raises :class:`ConfigurationError` for what cannot be written."""
    found = list(_field_writes(struct))
    columns = tuple(entry for entry in found if isinstance(entry, ColumnWrite))
    by_attribute = {name: entry for entry in columns for name in (entry.attname, entry.field_name)}
    relations = tuple(entry for entry in found if isinstance(entry, RelationWrite))
    wires = {entry.field_name: entry.wire for entry in found}
    return WritePlan(model_of(struct), columns, relations, by_attribute, wires)


def _field_writes(struct: type[msgspec.Struct]) -> Iterator[FieldWrite]:
    columns, computed, model = columns_of(struct), computed_of(struct), model_of(struct)
    for field in msgspec.structs.fields(struct):
        column = columns.get(field.name) or Column()
        if field.name in computed or column.read_only:
            continue
        path = field.name if column.source is ... else column.source
        target = find_field(model, path) if isinstance(path, str) else None
        if target is None:
            continue
        where = f"{struct.__qualname__}.{field.name}"
        if is_reverse(target):
            yield _relation_write(where, field, target, column)
            continue
        is_parent_link = getattr(target.remote_field, "parent_link", False)
        if isinstance(target, Field) and not (is_server_managed(target) or is_parent_link):
            if holds_structs(field.type):
                _check_write_rule(where, target, column, is_nested=True)
            if not column_type_of(target).is_file:  # files are no text: assign them by name
                yield _column_write(field, target, model)


def is_reverse(field: PathStep) -> bool:
    """Return whether its values are rows that are written after the row that has it."""
    return isinstance(field, ForeignObjectRel) or is_to_many(field)


def _column_write(field: msgspec.structs.FieldInfo, target: ModelField, model: type[Model]) -> ColumnWrite:
    has_default = target.has_default() or target.has_db_default()
    is_left_out = bool(target.concrete and not target.null and has_default and field.default is None)
    has_value = not target.concrete or target.null or target.primary_key
    has_value = has_value or is_overridden(target, "pre_save")  # a field of a project may have one of its own to give
    return ColumnWrite(
        name=field.name,
        wire=field.encode_name,
        field_name=target.name,
        attributes=frozenset({target.name, target.attname, *(("pk",) if target.primary_key else ())}),
        field=target,
        attname=target.attname,
        convert=write_converter(target) if target.concrete else lambda value, connection: value,
        is_relation=target.is_relation,
        is_unknown=target.concrete and is_unknown(value_field(target)),
        is_key=is_key_column(target, model),
        is_null=target.null,
        is_array=column_type_of(target).is_array,
        takes_empty=takes_empty(target),
        null_as_empty=not target.null and target.empty_strings_allowed,
        default=target.get_default if is_left_out and target.has_default() else None,
        is_left_out=is_left_out,
        null_error=target.error_messages["null"] if not has_value else None,  # in the language of the day
    )


def _relation_write(where: str, field: msgspec.structs.FieldInfo, target: PathStep, column: Column) -> RelationWrite:
    is_nested = holds_structs(field.type)
    _check_write_rule(where, target, column, is_nested=is_nested)
    return RelationWrite(
        name=field.name,
        wire=field.encode_name,
        field_name=target.name,
        attributes=frozenset((target.name,)),
        field=target,
        is_nested=is_nested,
        replaces=column.write == "replace",
    )


def _check_write_rule(where: str, target: PathStep, column: Column, *, is_nested: bool) -> None:
    """Raise :class:`ConfigurationError` for nested Structs without a rule, and for a relation that cannot be given."""
    if is_nested and column.write is None:
        raise ConfigurationError(
            f'{where} is nested: say what writing it means, Annotated[..., Column(write="create")] or '
            'Column(write="replace").',
            id="M016",
        )
    relation = target if isinstance(target, ForeignObjectRel) else target.remote_field
    through: type[Model] | None = getattr(relation, "through", None)
    needed = [field.name for field in through._meta.concrete_fields if _needs_value(field)] if through else []
    if through and needed:
        raise ConfigurationError(
            f"{where} goes through {through.__name__}, whose rows need {', '.join(needed)}: write those, or mark it "
            "Column(read_only=True).",
            id="M016",
        )


def _needs_value(field: ModelField) -> bool:
    """Return whether a row between two others needs a value that nobody sends."""
    is_given = field.is_relation or field.primary_key or field.null or field.has_default() or field.generated
    is_stamp = getattr(field, "auto_now_add", False) or getattr(field, "auto_now", False)
    return not (is_given or is_stamp or field.has_db_default() or field.empty_strings_allowed)


def check_input(struct: type[msgspec.Struct], model: type[Model]) -> None:
    """Raise :class:`ConfigurationError` for a Struct that is not of ``model``, or that clients cannot write."""
    if not is_model_struct(struct) or not issubclass(model, model_of(struct)):
        raise ConfigurationError(f"{struct!r} must be a ModelStruct of {model.__name__}.", id="M020")
    columns = columns_of(struct)
    for field in msgspec.structs.fields(struct):
        column = columns.get(field.name)
        target = find_field(model, field.name)
        is_managed = target is not None and not is_reverse(target) and is_server_managed(target)
        if is_managed and not (column is not None and (column.read_only or isinstance(column.source, str))):
            raise ConfigurationError(
                f"{struct.__qualname__}.{field.name} is managed by the server, so no client can set it: leave it out, "
                "or mark it Column(read_only=True).",
                id="M017",
            )
    write_plan_of(struct)  # raises for what cannot be written


# --- keys -----------------------------------------------------------------------------------------------------------


def key_fields(struct: type[msgspec.Struct], given: Mapping[str, object] = {}) -> tuple[str, ...] | None:
    """Return the fields of a Struct that are the key of its model; ``None`` where there are not all of them."""
    columns, own = key_columns(model_of(struct)), struct.__struct_fields__
    if len(columns) == 1:
        found = [name for name in ("pk", columns[0].name, columns[0].attname) if name in own]
        return tuple(found[:1]) or None
    there = {*own, *given}
    names = [next((name for name in (field.name, field.attname) if name in there), "") for field in columns]
    return None if "" in names else tuple(names)


def key_in_struct(item: msgspec.Struct, model: type[Model], given: Mapping[str, object]) -> object:
    """Return the key that a Struct names, as its model has it; ``UNSET`` for none.

    ``given`` are attributes that it need not name.
    """
    names = key_fields(type(item), given)
    if names is None:
        return UNSET
    values = [given[name] if name in given else getattr(item, name) for name in names]
    if any(value is UNSET or value is None for value in values):
        return UNSET
    found = [value.pk if isinstance(value, Model) else value for value in values]
    try:
        key = [field.to_python(value) for field, value in zip(key_columns(model), found, strict=True)]
    except ValidationError:
        return UNSET
    return tuple(key) if len(key) > 1 else key[0]


# --- one write of one Struct: its values by the columns they go to, and what is wrong with them --------------------

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
            if sent is not None and value != known and to_python(column.field, value) != known:
                self.faults[column.field_name] = "The key of a row cannot be changed"

    def entry(self, field_name: str, message: str) -> ErrorEntry:
        """Return the error of a field of the model, at its place in what the client has sent."""
        return error_entry((*self.location, self.plan.wires.get(field_name, field_name)), message)

    def fault_entries(self) -> list[ErrorEntry]:
        return [self.entry(name, message) for name, message in self.faults.items()]
