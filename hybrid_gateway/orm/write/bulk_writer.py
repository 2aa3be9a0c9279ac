"""Many Structs → many rows: all of them or none, with the faults of every item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from django.db import router, transaction
from django.db.models import Model
from msgspec import UNSET

from hybrid_gateway.exceptions import (
    ConfigurationError,
    Conflict,
    Location,
    RequestValidationError,
    error_entry,
)
from hybrid_gateway.orm.introspection import model_of
from hybrid_gateway.orm.querysets.ordering import rearrangeable
from hybrid_gateway.orm.querysets.queryset_source import Source, as_queryset
from hybrid_gateway.orm.write.instance_writer import create, update
from hybrid_gateway.orm.write.write_errors import atomic_or_conflict
from hybrid_gateway.orm.write.write_plan import key_fields, key_in_struct

__all__ = ["create_many", "update_many"]

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
        raise ConfigurationError(f"{struct.__qualname__} has no key, by which update_many() finds rows.")
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
