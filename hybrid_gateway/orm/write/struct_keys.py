"""The primary key of a row, as a Struct of its model names it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Model
from msgspec import UNSET

from hybrid_gateway.orm.columns.model_fields import key_columns
from hybrid_gateway.orm.introspection import model_of

__all__ = ["key_fields", "key_in_struct"]


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
