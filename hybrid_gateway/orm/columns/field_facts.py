"""Facts about the fields of Django models; what is done with a kind of field is a row of ``column_types``."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from django.db import models
from django.db.models.fields.related import ForeignObjectRel, RelatedField

from hybrid_gateway.exceptions import ConfigurationError

ModelField: TypeAlias = "models.Field[Any, Any]"
"""A field of a model, of whatever its values are."""

PathStep: TypeAlias = "ModelField | ForeignObjectRel"
"""One step of a lookup path: a field, or a relation seen from its other side."""


def value_field(field: PathStep) -> ModelField:
    """Return the field that defines the values: the one a foreign key points to, the output of a generated field."""
    while True:
        if isinstance(field, (RelatedField, ForeignObjectRel)):
            check_has_one_column(field)
            field = field.target_field
        elif isinstance(field, models.GeneratedField):
            assert field.output_field is not None
            field = field.output_field
        else:
            return field


def base_field(field: ModelField) -> ModelField:
    """Return the field of the values that an array or a range is made of."""
    base: ModelField = getattr(field, "base_field")  # noqa: B009 (of django.contrib.postgres alone)
    return base


def key_columns(model: type[models.Model]) -> tuple[ModelField, ...]:
    """Return the columns of the primary key: several where it is composite."""
    key = model._meta.pk
    fields = key.fields if isinstance(key, models.CompositePrimaryKey) else (key,)
    return tuple(field for field in fields if isinstance(field, models.Field))


def is_key_column(field: ModelField, model: type[models.Model]) -> bool:
    """Return whether a column is the key of a row, of its parents', or a part of it."""
    return field.primary_key or field in key_columns(model)


def has_several_columns(field: PathStep) -> bool:
    """Return whether it is a relation over several columns of the model, such as those of a composite key."""
    return isinstance(field, models.ForeignObject) and len(field.foreign_related_fields) > 1


def check_has_one_column(field: PathStep) -> None:
    """Raise :class:`ConfigurationError` for a relation that has no column of its own."""
    if has_several_columns(field):
        raise ConfigurationError(
            f"{field.model.__name__}.{field.name} is a relation of several columns, which has no value of its own: "
            "name those columns, or nest a class on the side that has them.",
            id="M014",
        )


def is_server_managed(field: PathStep) -> bool:
    """Return whether clients never set it: automatic keys, generated columns, ``auto_now``, ``editable=False``."""
    is_set = any(getattr(field, flag, False) for flag in ("generated", "auto_now", "auto_now_add"))
    return is_set or isinstance(field, models.AutoField) or not field.editable


def takes_empty(field: ModelField) -> bool:
    """Return whether a column takes an empty text, list or object: by ``blank=True``, or because it is the default.

    DJANGO: to a model's validators such a value is missing, whatever the default says.
    """
    if field.blank or not field.has_default():
        return field.blank
    default = field.default() if field.default in (str, bytes, list, dict, set, tuple) else field.default
    return not callable(default) and default in field.empty_values


def choices_of(field: ModelField) -> list[object]:
    """Return the values that a field's ``choices`` name, groups opened, without the one for none of them.

    Those that a function gives are not asked for: they may be others tomorrow.
    """
    if not getattr(field, "choices", None) or callable(getattr(field.choices, "func", None)):
        return []
    values = [value.value if isinstance(value, enum.Enum) else value for value, _ in field.flatchoices]
    return [value for value in values if value is not None]


def is_overridden(field: PathStep, *methods: str) -> bool:
    """Return whether one of these methods of a field is code that is not Django's."""
    found = [getattr(type(field), name, None) for name in methods]
    return any(method is not None and not method.__module__.startswith("django.") for method in found)


def has_fixed_join(field: PathStep) -> bool:
    """Return whether a relation is joined in the same way each time, and not by the language of the day."""
    sides = (field, field.field) if isinstance(field, ForeignObjectRel) else (field,)
    joins = ("get_extra_restriction", "get_joining_fields", "get_path_info", "get_reverse_path_info", "get_col")
    return not any(is_overridden(side, *joins) for side in sides)


def own_validators(field: ModelField) -> Sequence[object]:
    """Return the validators that a model gives a field, without those of its class and of the database's range."""
    return cast("Sequence[object]", field.deconstruct()[3].get("validators", ()))


def describe_field(field: PathStep) -> str:
    """Return how messages name a field: ``Product.price (DecimalField)``."""
    return f"{field.model.__name__}.{field.name} ({type(field).__name__})"
