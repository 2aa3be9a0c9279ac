"""Querysets as handlers give them: a queryset, a manager or a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.query import ModelIterable

from hybrid_gateway.exceptions import NotFound

__all__ = ["as_queryset", "is_queryable", "the_one"]


def as_queryset(source: Any) -> Any:
    """A queryset of instances; a manager or a model is all of its rows. Raises ``TypeError`` for what is none."""
    if isinstance(source, type) and issubclass(source, models.Model):
        source = source._default_manager
    if isinstance(source, models.Manager):
        source = source.all()
    if not isinstance(source, models.QuerySet):
        raise TypeError(f"A QuerySet, a manager or a model is read, not {source!r}.")
    queryset: Any = source
    if queryset._fields is not None or not issubclass(queryset._iterable_class, ModelIterable):
        raise TypeError("values() and values_list() have chosen columns already; leave that to the Struct.")
    return queryset if queryset._result_cache is None else queryset._chain()  # a slice of one with rows is a list


def is_queryable(value: Any) -> bool:
    """Whether it is a queryset, a manager or a model."""
    return isinstance(value, (models.QuerySet, models.Manager)) or (
        isinstance(value, type) and issubclass(value, models.Model)
    )


def the_one(found: Sequence[Any], model: Any) -> Any:
    """The one of ``found``."""
    if not found:
        raise NotFound
    if len(found) > 1:
        raise model.MultipleObjectsReturned(f"There is more than one {model._meta.object_name}.")
    return found[0]
