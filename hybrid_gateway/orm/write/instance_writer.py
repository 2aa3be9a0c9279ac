"""Structs → rows: what clients sent is assigned, checked by the model's own validators, and saved; many rows or none.

How this works: the plan of the class says which values go where, and validators of the model run for those; a foreign
key has to lead somewhere. What nested Structs stand for is written before the row that refers to it, or after the row
that it belongs to. One transaction holds everything that is more than one statement.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec
from django.db import router, transaction
from django.db.models import Model
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError, Conflict, Location, RequestValidationError, error_entry
from hybrid_gateway.orm.introspection import model_of
from hybrid_gateway.orm.querysets.querysets import Source, as_queryset, rearrangeable
from hybrid_gateway.orm.write.reverse_relations import RowWriter, write_relation
from hybrid_gateway.orm.write.saved_values import insert_row, refresh_written, saved_names
from hybrid_gateway.orm.write.write_errors import CONFLICTS_RAISED, atomic_or_conflict, save_instance, validate_instance
from hybrid_gateway.orm.write.write_plan import StructWrite, key_fields, key_in_struct, write_plan_of

_BODY: Location = ("body",)


def create(
    data: msgspec.Struct,
    extra: dict[str, object],
    *,
    using: str | None = None,
    full_clean: bool = False,
    location: Location = _BODY,
) -> Model:
    """Save a new row of ``data`` and return it; ``extra`` are attributes that clients do not send."""
    model = write_plan_of(type(data)).model
    using = using or router.db_for_write(model)
    write = StructWrite(data, extra, using, location)
    with CONFLICTS_RAISED, _transaction(write):
        values = write.column_values()
        _write_nested(write, None, values)
        instance = model(**values, **extra)
        validate_instance(instance, write, values, full_clean=full_clean)
        # SECURITY: of its parents as well, so that a key which a client sends overwrites none of them.
        new = (Model,) if model._meta.parents else True
        save = functools.partial(instance.save, using=using, force_insert=new)
        insert_row(instance, using, lambda: save_instance(instance, write, save, is_new=True))
        for relation, sent in write.relations:
            write_relation(write, relation, instance, sent, _ROW_WRITER, is_new=True)
    return instance


def update(
    data: msgspec.Struct,
    instance: Model,
    extra: dict[str, object],
    *,
    using: str | None = None,
    full_clean: bool = False,
    location: Location = _BODY,
) -> Model:
    """Save ``instance`` with what ``data`` says; columns it does not name are neither read nor written."""
    using = using or router.db_for_write(type(instance), instance=instance)
    write = StructWrite(data, extra, using, location)
    with CONFLICTS_RAISED, _transaction(write):
        values = write.column_values()
        _write_nested(write, instance, values)
        write.keep_key(instance, values)
        written = {**values, **extra}
        for name, value in written.items():
            setattr(instance, name, value)
        validate_instance(instance, write, values, full_clean=full_clean)
        if written:
            names = saved_names(type(instance), written)
            save_instance(instance, write, lambda: instance.save(using=using, update_fields=names), is_new=False)
            refresh_written(instance, using, names)
        for relation, sent in write.relations:
            write_relation(write, relation, instance, sent, _ROW_WRITER, is_new=False)
    return instance


def _transaction(write: StructWrite) -> AbstractContextManager[None]:
    """Return one for several statements; where another one is open, each of them has a savepoint of its own."""
    return nullcontext() if write.is_single_statement else transaction.atomic(using=write.using)


def _write_nested(write: StructWrite, instance: Model | None, values: dict[str, object]) -> None:
    """Write the rows that nested Structs of foreign keys stand for, and add them to ``values``."""
    for column, item in write.nested:
        location = (*write.location, column.wire)
        related = getattr(instance, column.field_name) if instance is not None else None
        if related is None:
            related = create(item, {}, using=write.using, location=location)
        else:
            update(item, related, {}, using=write.using, location=location)
        values[column.field_name] = related


_ROW_WRITER = RowWriter(create, update)


# --- many rows: all of them or none, with the faults of every item -------------------------------------------------

WriteItem = Callable[[msgspec.Struct, Location, str], Model]
"""An item, its place and a database → the row."""


def create_many(
    items: Sequence[msgspec.Struct], extra: dict[str, object], *, using: str | None, full_clean: bool
) -> list[Model]:
    """Save new rows, all of them or none; the errors of all items are raised together."""

    def add(item: msgspec.Struct, location: Location, alias: str) -> Model:
        return create(item, dict(extra), using=alias, full_clean=full_clean, location=location)

    return _write_each(items, using, add)


def update_many(
    items: Sequence[msgspec.Struct], queryset: Source, *, using: str | None, full_clean: bool
) -> list[Model]:
    """Change the rows of ``queryset`` that the items name by their keys: all of them or none."""
    if not items:
        return []
    struct = type(items[0])
    names = key_fields(struct)
    if names is None:
        raise ConfigurationError(f"{struct.__qualname__} has no key, by which update_many() finds rows.", id="M018")
    keys = [key_in_struct(item, model_of(struct), {}) for item in items]
    rows = rearrangeable(as_queryset(queryset)).in_bulk([key for key in keys if key is not UNSET])
    numbered = iter(keys)
    wire = next(field.encode_name for field in msgspec.structs.fields(struct) if field.name == names[-1])

    def change(item: msgspec.Struct, location: Location, alias: str) -> Model:
        row = rows.get(next(numbered))
        if row is None:
            raise RequestValidationError([error_entry((*location, wire), "There is no such row")])
        return update(item, row, {}, using=alias, full_clean=full_clean, location=location)

    return _write_each(items, using, change)


def _write_each(items: Sequence[msgspec.Struct], using: str | None, write: WriteItem) -> list[Model]:
    if not items:
        return []
    alias = using or router.db_for_write(model_of(type(items[0])))
    done: list[Model] = []
    faults: list[Mapping[str, object]] = []
    has_conflict = False
    with atomic_or_conflict(alias):
        for number, item in enumerate(items):
            try:
                with transaction.atomic(using=alias):
                    done.append(write(item, ("body", number), alias))
            except RequestValidationError as error:
                faults += error.errors
            except Conflict as error:
                has_conflict = True
                faults += error.extra.get("errors") or [error_entry(("body", number), error.detail, "conflict")]
        if faults:
            raise Conflict(extra={"errors": faults}) if has_conflict else RequestValidationError(faults)
    return done
