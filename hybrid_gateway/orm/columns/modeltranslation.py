"""Columns in several languages (django-modeltranslation): read as instances show them.

How this works: there, the attribute of a translated field is not its column, but one of the columns of its languages,
chosen by the language of the day and what it falls back to. All of those are selected, and the attribute's own rule is
asked with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from hybrid_gateway.orm.columns.model_fields import PathStep

__all__ = ["Chosen", "chosen_of"]

Chosen = tuple[list[str], Callable[..., object]]
"""The columns of all languages, and what chooses among their values."""


def chosen_of(model: type[models.Model], steps: Sequence[PathStep]) -> Chosen | None:
    """Return how the value at the end of a path is chosen on instances; ``None`` where it is that of its column."""
    field, owner = steps[-1], model if len(steps) == 1 else steps[-2].related_model
    if owner is None or field.is_relation:
        return None
    names = [
        column.attname
        for column in owner._meta.concrete_fields
        if getattr(getattr(column, "translated_field", None), "name", None) == field.name
    ]
    attribute = inspect.getattr_static(owner, field.name, None)
    if not names or isinstance(attribute, DeferredAttribute) or not hasattr(attribute, "__get__"):
        return None
    is_file = isinstance(field, models.FileField)

    def choose(*values: object) -> object:
        value = attribute.__get__(SimpleNamespace(**dict(zip(names, values, strict=True))), owner)
        return value.name if is_file and hasattr(value, "name") else value

    return names, choose
