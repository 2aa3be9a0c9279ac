"""Structs → rows: what clients sent is assigned, checked by the model's own validators, and saved.

How this works: a field of the Struct is written to the column of its name, unless the server manages that (automatic
keys, ``auto_now``, ``editable=False``), the Struct only reads it, or it is ``UNSET``. Validators of the model run for
the fields that were written; a foreign key has to lead somewhere. What the database then refuses is looked at once more
to say which field it was. One transaction holds everything that is more than one statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db import connections, models, router, transaction
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError, Conflict, Location, RequestValidationError, error_entry
from hybrid_gateway.orm.columns.column_types import column_type_of, is_unknown, write_converter
from hybrid_gateway.orm.columns.model_fields import is_server_managed, value_field
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.introspection import columns_of, computed_of, is_model_struct, once_per_struct
from hybrid_gateway.orm.querysets.lookup_paths import find_field
from hybrid_gateway.orm.querysets.ordering import rearrangeable
from hybrid_gateway.orm.querysets.queryset_source import as_queryset
from hybrid_gateway.orm.write.database_values import insert_row, refresh_written
from hybrid_gateway.orm.write.reverse_relations import (
    ReverseRelation,
    check_write_rule,
    is_key_column,
    is_nested,
    is_reverse,
    key_fields,
    key_in_struct,
)
from hybrid_gateway.orm.write.write_errors import (
    INVALID_VALUE,
    atomic_or_conflict,
    field_name,
    raise_conflicts,
    save_instance,
    validate_instance,
)

__all__ = ["check_input", "create", "create_many", "update", "update_many", "writable_fields"]

_BODY: Location = ("body",)


class _Write(msgspec.Struct, frozen=True):
    """One field of a Struct that is written."""

    name: str
    wire: str
    field: Any
    names: frozenset[str]  # of the attributes of an instance that it is (owner, owner_id, pk)
    column: Column
    is_reverse: bool
    is_nested: bool
    is_left_out: bool  # where it is None: the class's own default, for a column that has no null but a default
    is_unknown: bool  # what it takes only the database can tell
    needs_value: bool  # a null would reach the database, which refuses it: DJANGO's validators pass by blank columns
    take: Callable[[Any, Any], Any]


@once_per_struct
def writable_fields(struct: Any) -> list[_Write]:
    """The fields of ``struct`` that ``create()`` and ``update()`` write."""
    return list(_writes(struct))


def _writes(struct: Any) -> Iterator[_Write]:
    columns, made, model = columns_of(struct), computed_of(struct), struct.__model__
    for field in msgspec.structs.fields(struct):
        column = columns.get(field.name) or Column()
        if field.name in made or column.read_only:
            continue
        path = field.name if column.source is ... else column.source
        target = find_field(model, path) if isinstance(path, str) else None
        if target is None or (not is_reverse(target) and (is_server_managed(target) or _is_parent_link(target))):
            continue
        if column_type_of(target).is_file:  # files are no text: assign them by name
            continue
        nested = is_nested(field.type)
        if nested or is_reverse(target):
            check_write_rule(f"{struct.__qualname__}.{field.name}", target, column, is_nested=nested)
        take = write_converter(target) if getattr(target, "concrete", False) else _as_it_is
        yield _Write(
            field.name,
            field.encode_name,
            target,
            _names(target),
            column,
            is_reverse(target),
            nested,
            _is_left_out(field, target),
            _is_unknown(target),
            _needs_value(target),
            take,
        )


def _names(target: Any) -> frozenset[str]:
    names = {target.name, getattr(target, "attname", target.name)}
    return frozenset(names | {"pk"} if getattr(target, "primary_key", False) else names)


def _is_unknown(target: Any) -> bool:
    return bool(target.concrete and is_unknown(value_field(target)))


def _needs_value(target: Any) -> bool:
    if not target.concrete or target.null or target.primary_key:
        return False
    return bool(type(target).pre_save.__module__.startswith("django."))  # it may have a value of its own to give


def _is_left_out(field: Any, target: Any) -> bool:
    """Whether ``None`` is what the class says of an absent field, for a column that has no null but a default."""
    defaults = target.concrete and not target.null and (target.has_default() or target.has_db_default())
    return bool(defaults and field.default is None)


def _as_it_is(value: Any, connection: Any) -> Any:
    return value


def _is_parent_link(field: Any) -> bool:
    return bool(getattr(field.remote_field, "parent_link", False))


def check_input(struct: Any, model: Any) -> None:
    """Raise :class:`ConfigurationError` for a Struct that is not of ``model``, or that clients cannot write."""
    if not is_model_struct(struct) or not issubclass(model, struct.__model__):
        raise ConfigurationError(f"{struct!r} must be a ModelStruct of {model.__name__}.")
    columns = columns_of(struct)
    for field in msgspec.structs.fields(struct):
        column = columns.get(field.name)
        target = find_field(model, field.name)
        if target is not None and is_reverse(target):
            continue
        managed = target is not None and hasattr(target, "editable") and is_server_managed(target)
        if managed and not (column is not None and (column.read_only or isinstance(column.source, str))):
            raise ConfigurationError(
                f"{struct.__qualname__}.{field.name} is managed by the server, so no client can set it: leave it out, "
                "or mark it Column(read_only=True)."
            )
    writable_fields(struct)  # raises for what cannot be written


# --- one row -------------------------------------------------------------------------------------------------------


def create(data: Any, extra: dict[str, Any], *, using: str | None, full_clean: bool, loc: Location = _BODY) -> Any:
    """A new row of ``data``; ``extra`` are attributes that clients do not send."""
    model = type(data).__model__
    using = using or router.db_for_write(model)
    plan = _Plan(data, extra, using, loc)
    with plan.transaction():
        values = plan.columns(None)
        instance = model(**values, **extra)
        validate_instance(instance, plan, values, full_clean=full_clean)
        # SECURITY: of its parents as well, so that a key which a client sends overwrites none of them.
        new = (models.Model,) if model._meta.parents else True
        insert_row(instance, using, lambda: save_instance(instance, plan, force_insert=new))
        plan.lists(instance, is_new=True)
    return instance


def update(
    data: Any, instance: Any, extra: dict[str, Any], *, using: str | None, full_clean: bool, loc: Location = _BODY
) -> Any:
    """``instance`` with what ``data`` says; columns it does not name are neither read nor written."""
    using = using or router.db_for_write(type(instance), instance=instance)
    plan = _Plan(data, extra, using, loc)
    with plan.transaction():
        values = plan.columns(instance)
        plan.leave_key(instance, values)
        written = {**values, **extra}
        for name, value in written.items():
            setattr(instance, name, value)
        validate_instance(instance, plan, values, full_clean=full_clean)
        if written:
            saved = _saved(instance, written)
            save_instance(instance, plan, update_fields=saved)
            refresh_written(instance, using, saved)
        plan.lists(instance, is_new=False)
    return instance


class _Plan:
    """What one Struct writes."""

    def __init__(self, data: Any, extra: dict[str, Any], using: str, loc: Location) -> None:
        self.data = data
        self.using = using
        self.loc = loc
        self.wires: dict[str, str] = {}  # names of the model → names of the wire
        self.faults: dict[str, str] = {}  # of values that no column takes: names of the model → words
        self._ones: list[tuple[_Write, Any]] = []
        self._lists: list[tuple[_Write, Any]] = []
        self._columns: list[tuple[_Write, Any]] = []
        for write in writable_fields(type(data)):
            value = getattr(data, write.name)
            # SECURITY: what the server gives wins, by whichever of its names (owner, owner_id) the client has sent it.
            if value is UNSET or not write.names.isdisjoint(extra):
                continue
            self.wires[write.field.name] = write.wire
            if write.is_reverse:
                self._lists.append((write, value))
            elif write.field.is_relation and isinstance(value, msgspec.Struct):
                self._ones.append((write, value))
            else:
                self._columns.append((write, value))

    @property
    def columns_written(self) -> list[_Write]:
        return [write for write, _ in self._columns]

    def transaction(self) -> AbstractContextManager[Any]:
        """One for several statements; where another one is open, each of them has a savepoint of its own."""
        if self._ones or self._lists or type(self.data).__model__._meta.parents:
            return raise_conflicts(transaction.atomic(using=self.using))
        return raise_conflicts(nullcontext())

    def columns(self, instance: Any) -> dict[str, Any]:
        """Values by attribute; what nested Structs stand for is written first."""
        values: dict[str, Any] = {}
        connection = connections[self.using]
        for write, value in self._columns:
            if value is None and write.is_left_out:
                if write.field.has_default():
                    values[write.field.attname] = write.field.get_default()
                continue
            if value is not None:
                try:
                    value = write.take(value, connection)
                except (ValueError, ValidationError) as error:
                    self.faults[write.field.name] = " ".join(getattr(error, "messages", None) or map(str, error.args))
                except (TypeError, ArithmeticError):  # of code that is asked for the value of an item
                    self.faults[write.field.name] = INVALID_VALUE
            elif not write.field.null and write.field.empty_strings_allowed:
                value = ""
            elif write.needs_value:
                self.faults[write.field.name] = str(write.field.error_messages["null"])
            values[write.field.attname] = value
        for write, value in self._ones:
            inner = (*self.loc, write.wire)
            related = getattr(instance, write.field.name) if instance is not None else None
            if related is None:
                related = create(value, {}, using=self.using, full_clean=False, loc=inner)
            else:
                update(value, related, {}, using=self.using, full_clean=False, loc=inner)
            values[write.field.name] = related
        return values

    def leave_key(self, instance: Any, values: dict[str, Any]) -> None:
        """Take the key out of ``values``. A row keeps the one it has, so that any other is refused."""
        for write, sent in (*self._columns, *self._ones):
            if not is_key_column(write.field, instance):
                continue
            name = write.field.attname if write.field.attname in values else write.field.name
            value, known = values.pop(name, None), getattr(instance, name)
            if sent is not None and value != known and not _is_same(write.field, value, known):
                self.faults[write.field.name] = "The key of a row cannot be changed"

    def lists(self, instance: Any, *, is_new: bool) -> None:
        """Write the other sides of an instance that has a key."""
        for write, value in self._lists:
            ReverseRelation(self, write, instance, is_new=is_new).write(value)

    def add(self, item: Any, extra: dict[str, Any], loc: Location) -> Any:
        """A new row on the other side."""
        return create(item, extra, using=self.using, full_clean=False, loc=loc)

    def change(self, item: Any, row: Any, extra: dict[str, Any], loc: Location) -> Any:
        """A changed row on the other side."""
        written = {write.field.name for write in writable_fields(type(item))}
        kept = {name: value for name, value in extra.items() if name in written}
        return update(item, row, kept, using=self.using, full_clean=False, loc=loc)


def _is_same(field: Any, value: Any, known: Any) -> bool:
    try:
        return bool(field.to_python(value) == known)
    except (ValidationError, TypeError, ValueError):
        return False


def _saved(instance: Any, values: Any) -> list[str]:
    names = {field_name(instance, name) for name in values}
    stamps = {field.name for field in instance._meta.concrete_fields if getattr(field, "auto_now", False)}
    return sorted(names | stamps)


# --- many rows -----------------------------------------------------------------------------------------------------


def create_many(items: Sequence[Any], extra: dict[str, Any], *, using: str | None, full_clean: bool) -> list[Any]:
    """New rows, all of them or none; every fault of every item is told."""
    return _each(
        items,
        using,
        lambda item, loc, alias: create(item, dict(extra), using=alias, full_clean=full_clean, loc=loc),
    )


def update_many(items: Sequence[Any], queryset: Any, *, using: str | None, full_clean: bool) -> list[Any]:
    """The rows of ``queryset`` that the items name by their keys, changed: all of them or none."""
    if not items:
        return []
    struct = type(items[0])
    names = key_fields(struct)
    if names is None:
        raise ConfigurationError(f"{struct.__qualname__} has no key, by which update_many() finds rows.")
    keys = [key_in_struct(item, struct.__model__, {}) for item in items]
    rows = rearrangeable(as_queryset(queryset)).in_bulk([key for key in keys if key is not UNSET])
    numbered = iter(keys)
    wire = next(field.encode_name for field in msgspec.structs.fields(struct) if field.name == names[-1])

    def change(item: Any, loc: Location, alias: str) -> Any:
        row = rows.get(next(numbered))
        if row is None:
            raise RequestValidationError([error_entry((*loc, wire), "There is no such row")])
        return update(item, row, {}, using=alias, full_clean=full_clean, loc=loc)

    return _each(items, using, change)


def _each(items: Sequence[Any], using: str | None, write: Callable[[Any, Location, str], Any]) -> list[Any]:
    if not items:
        return []
    alias = using or router.db_for_write(type(items[0]).__model__)
    done: list[Any] = []
    faults: list[Any] = []
    conflict = False
    with atomic_or_conflict(alias):
        for number, item in enumerate(items):
            try:
                with transaction.atomic(using=alias):
                    done.append(write(item, ("body", number), alias))
            except RequestValidationError as error:
                faults += error.errors
            except Conflict as error:
                conflict = True
                faults += error.extra.get("errors") or [error_entry(("body", number), error.detail, "conflict")]
        if faults:
            raise Conflict(extra={"errors": faults}) if conflict else RequestValidationError(faults)
    return done
