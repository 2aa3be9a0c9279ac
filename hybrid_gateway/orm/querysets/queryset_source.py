"""Querysets as handlers give them: a queryset, a manager or a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard, TypeVar

from django.core.exceptions import MultipleObjectsReturned
from django.db.models import Manager, Model, QuerySet

from hybrid_gateway._compat.django_query_internals import unread_instances
from hybrid_gateway.exceptions import NotFound

__all__ = ["Source", "as_queryset", "is_queryable", "the_one"]

T = TypeVar("T")

Source: TypeAlias = "QuerySet[Any] | Manager[Any] | type[Model]"
"""What rows are read from."""


def as_queryset(source: Source) -> QuerySet[Model]:
    """Return a queryset of instances; of a manager or a model, all rows. Raises ``TypeError`` for other values."""
    if isinstance(source, type) and issubclass(source, Model):
        source = source._default_manager
    if isinstance(source, Manager):
        source = source.all()
    if not isinstance(source, QuerySet):
        raise TypeError(f"A QuerySet, a manager or a model is read, not {source!r}.")
    queryset = unread_instances(source)  # a slice of one with rows would be a list
    if queryset is None:
        raise TypeError("values() and values_list() have chosen columns already; leave that to the Struct.")
    return queryset


def is_queryable(value: object) -> TypeGuard[Source]:
    """Return whether it is a queryset, a manager or a model."""
    return isinstance(value, (QuerySet, Manager)) or (isinstance(value, type) and issubclass(value, Model))


def the_one(found: Sequence[T], model: type[Model]) -> T:
    """Return the only item of ``found``; raises for none and for several as ``QuerySet.get`` does, none being 404."""
    if not found:
        raise NotFound
    if len(found) > 1:
        several: type[MultipleObjectsReturned] = getattr(model, "MultipleObjectsReturned")  # noqa: B009 (of each model)
        raise several(f"There is more than one {model._meta.object_name}.")
    return found[0]
